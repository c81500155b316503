"""Files that nobody but the caller can have written, or can put another in the place of.

Root obeys what a journal says: whoever can write one, or have root read another one, commands root. So every
directory on the way to it is looked at, from the root directory on (as sshd's StrictModes has it, but without a moment
between the look and the use: :mod:`mntscope.kernel.walk`).
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from functools import partial

from mntscope.errors import AccessError, RefusedError, TargetError
from mntscope.kernel.trust import who_else
from mntscope.kernel.walk import DIRECTORY, Walk
from mntscope.kernel.worker import in_child, with_descriptors


def open_directory(path: str) -> int:
    """A descriptor of the directory *path*, in which nobody but the caller and root can replace the caller's files.

    :raises RefusedError: somebody else can; it says where.
    :raises AccessError: it may not be opened.
    """
    try:
        _, (fd,) = with_descriptors(lambda: (b"", [_walked(path)]), where=path)
    except OSError as error:
        hint = "journals are kept in a directory that is there, and may be read"
        raise AccessError(f"it cannot be opened ({error.strerror})", where=path, hint=hint) from error
    return fd


def read_own(directory: int, path: str, most: int) -> bytes:
    """What the file *path* of the *directory* holds, which must be the caller's alone, and of at most *most* bytes.

    :raises RefusedError: somebody else can have written it, or it is reached through a link.
    :raises TargetError: there is none, it is no file, or it is too long.
    :raises AccessError: it may not be read.
    """

    def look() -> bytes:
        fd = open_own(directory, path, os.O_RDONLY)
        with open(fd, "rb", buffering=0) as file:
            parts, left = [], most + 1
            while left and (part := file.read(left)):
                parts.append(part)
                left -= len(part)
            return b"".join(parts)

    data = in_child(look, where=path)
    if len(data) > most:
        raise TargetError(f"it is longer than {most} bytes", where=path, hint="name the journal that isolate wrote")
    return data


def open_own(directory: int, path: str, flags: int) -> int:
    """A descriptor of the file *path* of the *directory*, which must be the caller's alone.

    :raises RefusedError: somebody else can have written it, or it is reached through a link.
    :raises TargetError: there is none, or it is no file.
    :raises AccessError: it may not be opened.
    """
    name = os.path.basename(path)
    try:
        # Looked at first: to open a device can do something, and a socket cannot be opened.
        _refuse_unless_own(os.stat(name, dir_fd=directory, follow_symlinks=False), path)
        # Not followed, and not waited for: what was a file may be a link or a FIFO by now.
        fd = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=directory)
    except PermissionError as error:
        raise AccessError("permission denied", where=path, hint="run mntscope as who wrote it") from error
    except OSError as error:
        hint = "isolate says where it wrote the journal"
        raise TargetError(f"it cannot be read ({error.strerror})", where=path, hint=hint) from error
    try:
        _refuse_unless_own(os.fstat(fd), path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def private(directory: int) -> bool:
    """Whether nobody but the caller can open the directory, so that a lock on it is the caller's, too."""
    found = os.fstat(directory)
    return found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _refuse_unless_own(found: os.stat_result, path: str) -> None:
    if stat.S_ISLNK(found.st_mode):
        what, hint = "it is a symbolic link, which may lead elsewhere by tomorrow", "name the file itself"
    elif not stat.S_ISREG(found.st_mode):
        raise TargetError("it is not a file", where=path, hint="name the journal that isolate wrote")
    elif (who := who_else(found, (os.geteuid(),))) == "owner":
        what, hint = f"it belongs to user {found.st_uid}, whose orders are not obeyed", "run mntscope as that user"
    elif who:
        what, hint = "others may write it", "if what it says is yours, `chmod go-w` it"
    elif found.st_nlink != 1:
        what, hint = f"it has {found.st_nlink} names (hard links)", "remove the others"
    else:
        return
    raise RefusedError(what, where=path, hint=hint)


def _walked(path: str) -> int:
    """A descriptor of a directory, reached by names that nobody else can change. To be called in a child."""
    root = os.open("/", DIRECTORY)
    # Who owns that can replace all. (In a user namespace whose root is not the machine's, it is nobody that is known.)
    trusted = {0, os.geteuid(), os.fstat(root).st_uid}
    refuse_unless_safe = partial(_refuse_unless_safe, trusted, _served_by_users())
    walk = Walk(root, passing=refuse_unless_safe)
    rest = path
    while link := walk.along(rest):
        if link.status.st_uid not in trusted:
            what = f"{link.place}, on the way to it, is a link of user {link.status.st_uid}"
            raise RefusedError(what, where=path, hint="name the directory itself")
        rest = link.path
    refuse_unless_safe(walk.fd, walk.place)
    return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=walk.fd)


def _refuse_unless_safe(trusted: set[int], served: dict[int, int], fd: int, place: str) -> None:
    found = os.fstat(fd)
    server = served.get(found.st_dev, 0)
    who = who_else(found, trusted)
    if server not in trusted:
        what = f"its files are what a program of user {server} says (FUSE)"
    elif who == "owner":
        what = f"it belongs to user {found.st_uid}, who can put another file in the place of any"
    elif who and not found.st_mode & stat.S_ISVTX:
        what = "others may write it, and put another file in the place of any"
    else:
        return
    raise RefusedError(what, where=place, hint="keep journals where only their owner can write, as in /run/mntscope")


def _served_by_users() -> dict[int, int]:
    """The device numbers of FUSE filesystems, and the user whose program answers for each: owners and modes, too."""
    found: dict[int, int] = {}
    with suppress(OSError, ValueError), open("/proc/self/mountinfo", "rb") as table:
        for line in table:
            if b" - fuse" in line:
                major, _, minor = line.split(b" ")[2].partition(b":")
                _, _, user = line.partition(b",user_id=")
                found[os.makedev(int(major), int(minor))] = int(user.partition(b",")[0] or 0)
    return found
