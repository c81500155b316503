"""The files that a command is told to write or to read, and those it finds: whose word they are, and that they answer.

A path leads where those who may write to the directories on it want it to lead. So what somebody else has put there,
where he could, is refused, whatever the kernel's fs.protected_symlinks, protected_regular and protected_fifos are set
to (proc_sys_fs(5)); and since any filesystem on the way may have a server that never answers, a child goes first.
"""

from __future__ import annotations

import errno
import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType

from mntscope.errors import AccessError, MntscopeError, RefusedError
from mntscope.kernel.trust import ourselves, who_else
from mntscope.kernel.walk import DIRECTORY, Walk
from mntscope.kernel.worker import in_child, streamed, with_descriptors, write_all

STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
"""Descriptors by other names than their numbers."""

STEP = 10.0
"""Seconds within which a disk has taken another :data:`_PIECE` of a report."""

_PIECE = 1 << 20
_ANYTHING = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""How to open what may be a pipe or a terminal."""


# Writing


def write(path: str, data: bytes) -> None:
    """Make *path* hold *data*, all of it or, where that fails or is interrupted, what it held before.

    A link is followed, so that what it names is replaced and not the link, if it is this user's or root's. A device, a
    pipe or a descriptor (``/dev/fd/63``) is written to.

    :raises AccessError: it cannot be written.
    :raises RefusedError: somebody else has put there what is there.
    :raises BrokenPipeError: nobody reads any more.
    """
    try:
        _write(path, data)
    except (MntscopeError, BrokenPipeError):
        raise
    except OSError as error:
        raise AccessError(f"cannot write: {error.strerror}", where=path) from error


def _write(path: str, data: bytes) -> None:
    found, descriptors = with_descriptors(partial(_place, path), where=path)
    kind, mode, name = os.fsdecode(found).split(" ", 2)
    if kind == "open":
        descriptors = [os.dup(int(name))]
    try:
        if kind == "directory":
            _replace(descriptors[0], name, int(mode) if mode else None, data, path)
        else:
            if kind == "stream":
                # It has a reader, who may take as long as he likes.
                os.set_blocking(descriptors[0], True)
            write_all(descriptors[0], data)
    finally:
        for fd in descriptors:
            os.close(fd)


def _replace(directory: int, name: str, mode: int | None, data: bytes, where: str) -> None:
    """A new file takes the name at once; what had it is neither opened nor followed, whatever it is by then."""
    temporary = f".mntscope-{os.urandom(8).hex()}.tmp"

    def make(told: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(temporary, flags, 0o666 if mode is None else mode, dir_fd=directory)
        try:
            try:
                if mode is not None:
                    os.fchmod(fd, mode)
                for begin in range(0, len(data), _PIECE):
                    write_all(fd, data[begin : begin + _PIECE])
                    os.write(told, b".")
            finally:
                os.close(fd)
            os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError:
            _remove(temporary, directory)
            raise

    with _ended_by_an_exception():
        try:
            with streamed(make, seconds=STEP, where=where) as told:
                told.read()
        except BaseException:
            with suppress(MntscopeError, OSError):
                in_child(partial(_remove, temporary, directory), seconds=0.5)
            raise


def _remove(name: str, directory: int) -> bytes:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)
    return b""


class _Ended(BaseException):
    """Raised by a handler in place of the end of the process, so that the temporary file is removed first."""


@contextmanager
def _ended_by_an_exception() -> Iterator[None]:
    """SIGTERM and SIGHUP, where they would end the process at once, do so after what is to be removed is removed."""

    def end(number: int, _: FrameType | None) -> None:
        raise _Ended(number)

    def handle(handler: object) -> None:
        for number in ours:
            # In other threads than the main one nothing is ever interrupted.
            with suppress(ValueError):
                signal.signal(number, handler)  # type: ignore[arg-type]

    ours = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]
    handle(end)
    try:
        yield
    except _Ended as ended:
        handle(signal.SIG_DFL)
        signal.raise_signal(ended.args[0])
    finally:
        handle(signal.SIG_DFL)


# Where a path leads, in the child


def _place(path: str) -> tuple[bytes, list[int]]:
    """Where to write, in words, and a descriptor of it.

    ``directory MODE NAME``: a file of that name, which has the mode or is not there; ``stream``: what is open;
    ``open  NUMBER``: a descriptor that the caller has, which is its own affair.

    The way is gone link by link: as long as nobody else's is met, it is this user's and root's own.
    """
    walk = Walk(os.open("/", DIRECTORY), start=os.open(".", DIRECTORY))
    rest = path
    while (number := _descriptor(rest)) is None:
        link = walk.along(rest, to_the_last=False)
        if link is None:
            return _end(walk.fd, walk.last, path)
        if link.status.st_uid not in ourselves():
            raise _somebody_elses("a link", link.status, path)
        rest = link.path
    return f"open  {number}".encode(), []


def _end(here: int, name: str, path: str) -> tuple[bytes, list[int]]:
    if name in ("", ".", ".."):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    try:
        status = os.stat(name, dir_fd=here, follow_symlinks=False)
    except FileNotFoundError:
        return os.fsencode(f"directory  {name}"), [here]
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if status.st_uid not in ourselves() and who_else(os.fstat(here)):
        raise _somebody_elses("a file", status, path)
    if stat.S_ISREG(status.st_mode):
        return os.fsencode(f"directory {status.st_mode & 0o777} {name}"), [here]
    try:
        fd = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | _ANYTHING, dir_fd=here)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise AccessError("nobody reads from it", where=path, hint="start its reader first") from None
        raise
    if not os.path.samestat(os.fstat(fd), status):
        raise RefusedError("it was exchanged just now", where=path)
    return b"stream  ", [fd]


def _somebody_elses(what: str, status: os.stat_result, path: str) -> RefusedError:
    hint = "choose a directory that only you may write to"
    return RefusedError(f"{what} of user {status.st_uid} is there or on the way there", where=path, hint=hint)


def _descriptor(path: str) -> int | None:
    """The number, if the path names a descriptor of this process: the child's are others."""
    if path in STANDARD:
        return STANDARD[path]
    directory, _, name = path.rpartition("/")
    return int(name) if directory in ("/dev/fd", "/proc/self/fd") and name.isdecimal() and name.isascii() else None


# Reading


def read(path: str, most: int) -> bytes:
    """What a file holds that the caller named, which may be a pipe; one byte more than *most* if it is longer.

    :raises AccessError: it cannot be read, or is a pipe to which nobody writes.
    """
    try:
        number = _descriptor(path)
        if number is not None:
            return _drained(os.dup(number), most)
        data, descriptors = with_descriptors(partial(_opened, path, most), where=path)
        if not descriptors:
            return data
        os.set_blocking(descriptors[0], True)
        pipe = stat.S_ISFIFO(os.fstat(descriptors[0]).st_mode)
        data = _drained(descriptors[0], most)
    except MntscopeError:
        raise
    except OSError as error:
        raise AccessError(f"cannot read: {error.strerror}", where=path) from error
    if pipe and not data:
        raise AccessError("it is a pipe, and nobody writes to it", where=path)
    return data


def _opened(path: str, most: int) -> tuple[bytes, list[int]]:
    fd = os.open(path, os.O_RDONLY | _ANYTHING)
    return (_drained(fd, most), []) if stat.S_ISREG(os.fstat(fd).st_mode) else (b"", [fd])


def _drained(fd: int, most: int) -> bytes:
    with open(fd, "rb") as file:
        return file.read(most + 1)


def read_own(path: str, most: int, *, about: bytes = b"") -> bytes | None:
    """What a file holds that nobody named and that was found, if no other user than this one and root has a say in it.

    ``None`` if there is none, or something else than a file, or one without the word *about*.

    :raises AccessError: it may not be read.
    :raises RefusedError: somebody else may have written it, or put it there.
    """
    try:
        found = in_child(partial(_own, path, most, about), where=path)
    except MntscopeError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise AccessError(f"cannot read: {error.strerror}", where=path) from error
    return found[1:] if found else None


def _own(path: str, most: int, about: bytes) -> bytes:
    directory = os.stat(os.path.dirname(path) or ".")
    shared = who_else(directory, own_group=True)
    link = stat.S_ISLNK(os.lstat(path).st_mode)
    if link and shared:
        raise RefusedError("it is not obeyed: it is a link, and others may write to its directory", where=path)
    # A link in a directory that nobody else writes to is this user's word, but another may get there before it is open.
    fd = os.open(path, os.O_RDONLY | _ANYTHING | (0 if link else os.O_NOFOLLOW))
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or about not in (data := _drained(fd, most)):
        return b""
    # In a sticky directory a file stays its owner's, but others may have given it another name there (link(2)).
    kept = shared == "others" and directory.st_mode & stat.S_ISVTX and status.st_nlink == 1
    who = who_else(status, own_group=True)
    if who == "owner":
        why = f"it is user {status.st_uid}'s"
    elif who:
        why = "others may write to it"
    elif shared and not kept:
        why = "others may write to its directory"
    else:
        return b"+" + data
    raise RefusedError(f"it is not obeyed: {why}", where=path)
