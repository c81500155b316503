"""What lies under another process's root directory: nothing of it is opened but by :func:`open_at`.

A container decides what is there. Where a file of proc should be, it may have put a FIFO, on which a reader waits for
ever; a link to a file of the host's; a device that acts when it is opened; a filesystem of its own whose server never
answers. And what it wants to be believed it can write down. So what is looked at there

* is looked at in a child that is killed in time (:mod:`mntscope.kernel.worker`);
* is reached without following a link, and, where it should be of proc, without crossing into another filesystem;
* is held as a mere place (O_PATH), which opens nothing, until it is known to be what it should be;
* is read without waiting, up to a bound, and is a claim: one that makes no sense is as good as none.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

from mntscope.base.records import NamedTuple
from mntscope.errors import KernelError, MntscopeError, NoAnswerError
from mntscope.kernel import syscalls
from mntscope.kernel.worker import (
    DEADLINE,
    MOST_DESCRIPTORS,
    Child,
    WorkerLostError,
    inside,
    with_descriptors,
    write_all,
)
from mntscope.live.procfs import Proc, device_of, mount_id_of, namespace_link, start_time_of

LARGEST = 1 << 16
"""A status file of proc has fewer bytes."""

MOST_PROCESSES = 4096
"""Processes of a proc that are asked which PID namespace it shows, before that is given up."""

SHARE = DEADLINE / 2
"""Seconds of one deadline that one place may use up."""

_PLACE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC

_NO_LINKS = syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_MAGICLINKS
IN_ROOT = syscalls.RESOLVE_IN_ROOT
IN_PROC = syscalls.RESOLVE_NO_XDEV

_LINK = re.compile(r"[a-z_]+:\[([0-9]{1,20})\]")


# The one function


def open_at(directory: int, path: str, flags: int, resolve: int) -> int:
    """A descriptor by openat2(2), below *directory*; where there is no such call, step by step, which is no weaker.

    To be called in a child whose current directory is the root of our own proc: /proc may be anything where it is.

    No link is followed; the last component may be one, if *flags* say O_PATH and O_NOFOLLOW. *resolve* is
    :data:`IN_ROOT`: mounts are crossed, and ``..`` does not lead out; or :data:`IN_PROC`: neither mount nor ``..``.

    :raises OSError: ELOOP: there is a link; EXDEV: another filesystem is mounted there; and what openat2(2) says.
    """
    try:
        return syscalls.openat2(directory, path, flags, resolve | _NO_LINKS)
    except KernelError as error:
        # Before Linux 5.6, or behind a filter of system calls that does not know it.
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
        return stepwise(directory, path, flags, resolve)


@contextmanager
def closing(fd: int) -> Iterator[int]:
    """A descriptor, until the end of the ``with``."""
    try:
        yield fd
    finally:
        os.close(fd)


def stepwise(directory: int, path: str, flags: int, resolve: int) -> int:
    """What openat2(2) would give: each component is held as a mere place, looked at, and only then gone on from."""
    at = os.dup(directory)
    try:
        mount = mount_id_of(at) if resolve & IN_PROC else 0
        parts = [part for part in path.split("/") if part not in ("", ".")]
        for position, part in enumerate(parts, 1):
            place = os.open(part, _PLACE, dir_fd=at) if part != ".." else -1
            if place < 0:
                raise KernelError("openat2", errno.EXDEV, where=path)
            os.close(at)
            at = place
            if stat.S_ISLNK(os.fstat(place).st_mode) and not (position == len(parts) and flags & os.O_PATH):
                raise KernelError("openat2", errno.ELOOP, where=path)
            if resolve & IN_PROC and mount_id_of(place) != mount:
                raise KernelError("openat2", errno.EXDEV, where=path)
        if flags & os.O_DIRECTORY and not stat.S_ISDIR(os.fstat(at).st_mode):
            raise KernelError("openat2", errno.ENOTDIR, where=path)
        # The same object once more, now opened: a place cannot be exchanged for another.
        return os.dup(at) if flags & os.O_PATH else os.open(f"self/fd/{at}", flags & ~os.O_NOFOLLOW)
    finally:
        os.close(at)


# Files of a proc filesystem that somebody else mounted


def read_claim(proc: int, path: str) -> bytes:
    """The content of a regular file of a proc, at most :data:`LARGEST` bytes; *proc* is a directory of it.

    :raises OSError: it is something else, or may not be read.
    """
    # Nothing but proc is reached from proc, but there are things in proc, too, that are no regular files.
    with closing(open_at(proc, path, _PLACE, IN_PROC)) as place:
        _refuse_other_than(stat.S_ISREG, place)
    with closing(open_at(proc, path, _READ, IN_PROC)) as fd:
        _refuse_other_than(stat.S_ISREG, fd)
        return os.read(fd, LARGEST)


def claimed_pids(proc: int, process: str) -> list[int]:
    """A process's pids, from the PID namespace that a proc shows down to its own; none where they make no sense."""
    for line in read_claim(proc, f"{process}/status").split(b"\n"):
        if line.startswith(b"NSpid:"):
            words = line.split()[1:]
            return [int(word) for word in words] if all(word.isdigit() and len(word) < 11 for word in words) else []
    return []


def claimed_namespace(proc: int, process: str, kind: str) -> int | None:
    """The inode of a namespace of a process, as a proc has it; ``None`` where it says nothing of the kind."""
    with closing(open_at(proc, f"{process}/ns/{kind}", _PLACE, IN_PROC)) as link:
        match = _LINK.fullmatch(os.readlink("", dir_fd=link))
        return int(match[1]) if match else None


def _refuse_other_than(kind: Callable[[int], bool], fd: int) -> None:
    if syscalls.fstatfs(fd) != syscalls.PROC_SUPER_MAGIC or not kind(os.fstat(fd).st_mode):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


# Which PID namespace a proc shows


class ProcMount(NamedTuple):
    """A mount of proc that a process has, as its table shows it."""

    pid: int
    start_time: int | None
    namespace: int | None
    """The inode of the process's mount namespace."""
    root: str
    """The root directory from which *path* counts, below our proc: ``4711/root``."""
    path: str
    device: str
    risk: int = 0
    """Those with the least come first: see :func:`shown_pid_namespaces`."""


def shown_pid_namespaces(proc: Proc, mounts: Sequence[ProcMount]) -> dict[ProcMount, int | None]:
    """The inode of the PID namespace that each proc shows, where that can be told; without those that do not answer.

    However many do not answer, all of them share one deadline. What lies in a namespace or on a filesystem that an
    ordinary user can make comes last (:attr:`ProcMount.risk`), so that no such user keeps the others from being told.
    """
    found: dict[ProcMount, int | None] = {}
    pending = sorted(mounts, key=lambda mount: mount.risk)
    left = DEADLINE
    while pending and left > 0:
        child = Child(partial(_tell_each, proc, pending))
        answers = b""
        try:
            while part := child.read(1 << 16, SHARE):
                answers += part
        except (NoAnswerError, WorkerLostError):
            left -= SHARE
        finally:
            child.end()
        lines = answers.split(b"\n")[:-1]
        found |= {mount: int(line) or None for mount, line in zip(pending, lines, strict=False)}
        # The next one is the one for which it waited.
        pending = pending[len(lines) + 1 :]
    return found


def _tell_each(proc: Proc, mounts: Sequence[ProcMount], out: int) -> None:
    os.fchdir(proc.fd)
    for mount in mounts:
        shown = None
        with suppress(OSError, ValueError):
            shown = _shown_by(proc, mount)
        write_all(out, b"%d\n" % (shown or 0))


def _shown_by(proc: Proc, mount: ProcMount) -> int | None:
    # A descriptor of its directory is of that process for ever; whether it is the one meant is asked through it.
    with closing(os.open(str(mount.pid), _DIRECTORY, dir_fd=proc.fd)) as process:
        if mount.start_time not in (None, start_time_of(process)):
            return None
        if mount.namespace not in (None, namespace_link("mnt", dir_fd=process)):
            return None
        # On the way down, and onto the proc, mounts are crossed; on from there none is.
        with (
            closing(os.open(mount.root, _DIRECTORY, dir_fd=proc.fd)) as root,
            closing(open_at(root, mount.path, _PLACE | os.O_DIRECTORY, IN_ROOT)) as top,
        ):
            if device_of(top) == mount.device:
                return pid_namespace_of(top)
    return None


def pid_namespace_of(proc: int) -> int | None:
    """The inode of the PID namespace that a proc shows, of whose root *proc* is a descriptor. To be called in a child.

    A process that has but one pid in it lives in the very PID namespace that it shows.

    :raises OSError: it is no proc.
    """
    _refuse_other_than(stat.S_ISDIR, proc)
    with closing(os.open(".", _READ | os.O_DIRECTORY, dir_fd=proc)) as directory:
        for name in _processes(directory):
            # Not all may be inspected; where the first may be, the others need not be listed.
            with suppress(OSError):
                if len(claimed_pids(directory, name)) == 1 and (inode := claimed_namespace(directory, name, "pid")):
                    return inode
    return None


def _processes(directory: int) -> Iterator[str]:
    yield from ("1", str(os.getpid()))
    with os.scandir(directory) as entries:
        for _, entry in zip(range(MOST_PROCESSES), entries, strict=False):
            if entry.name.isdecimal():
                yield entry.name


def root_directory(process: int) -> int:
    """A descriptor of the root directory of a process, of whose /proc/PID directory *process* is one.

    :raises OSError: it may not be had.
    :raises NoAnswerError: the filesystem that it is on does not answer (NFS and 9p are asked whether it still exists).
    """
    (fd,) = with_descriptors(lambda: (b"", [os.open("root", _DIRECTORY, dir_fd=process)]))[1]
    return fd


def follow(root: int, path: str) -> int:
    """A descriptor (O_PATH) of what *path* leads to, links included, with *root* as root directory.

    To be called in a child that may lose its own root directory.

    :raises OSError: it leads nowhere.
    """
    flags = os.O_PATH | os.O_CLOEXEC
    try:
        return syscalls.openat2(root, path, flags, IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS)
    except KernelError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
    os.fchdir(root)
    os.chroot(".")
    return os.open(path, flags)


# Namespaces that a file keeps


class NamespaceFile(NamedTuple):
    """Where a mount namespace is said to be kept."""

    inode: int
    path: str
    """A bind mount of its file, from *root*; without that, a link of proc such as ``4711/fd/3``."""
    root: str = ""
    """A root directory below our proc: ``4711/root``."""


def open_namespaces(proc: Proc, files: Sequence[NamespaceFile], *, namespace: int | None = None) -> list[int]:
    """Descriptors of the mount namespaces that are kept there, of those that are, and answer.

    *namespace* is a descriptor of the mount namespace in whose own root directory to look (as ``self/root``).
    """
    found: list[int] = []
    for begin in range(0, len(files), MOST_DESCRIPTORS):
        some = files[begin : begin + MOST_DESCRIPTORS]

        def look(some: Sequence[NamespaceFile] = some) -> tuple[bytes, list[int]]:
            return b"", list(_namespaces(proc.fd, some))

        with suppress(MntscopeError, OSError):
            found += (with_descriptors(look) if namespace is None else inside(namespace, look, seconds=DEADLINE))[1]
    return found


def _namespaces(proc: int, files: Sequence[NamespaceFile]) -> Iterator[int]:
    os.fchdir(proc)
    nsfs = os.stat("self/ns/mnt", dir_fd=proc).st_dev
    for file in files:
        with suppress(OSError), closing(_place_of(proc, file)) as place:
            status = os.fstat(place)
            if (status.st_dev, status.st_ino) == (nsfs, file.inode):
                yield os.open(f"self/fd/{place}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=proc)


def _place_of(proc: int, file: NamespaceFile) -> int:
    if not file.root:
        # Gone to, and not opened: what a process has open may be anything.
        return os.open(file.path, os.O_PATH | os.O_CLOEXEC, dir_fd=proc)
    with closing(os.open(file.root, _DIRECTORY, dir_fd=proc)) as root:
        return open_at(root, file.path, _PLACE, IN_ROOT)


# A path that somebody has given


def open_namespace_file(path: str) -> int:
    """A descriptor of the namespace file at *path*, which the caller gave: here links are followed, in a child.

    :raises OSError: it cannot be opened, or is no namespace file (EINVAL).
    :raises NoAnswerError: the filesystem that it is on does not answer.
    """

    def look() -> tuple[bytes, list[int]]:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        # Opening a device can do anything; a place can be told from a namespace before.
        if os.fstat(place).st_dev != os.stat("/proc/self/ns/mnt").st_dev:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return b"", [os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_CLOEXEC)]

    (fd,) = with_descriptors(look, where=path)[1]
    return fd
