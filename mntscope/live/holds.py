"""What keeps mount namespaces alive beside the processes in them: threads, bind mounts of their files, descriptors.

Each is found by the inode of the namespace that it shows.
"""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from functools import partial

from mntscope.errors import AccessError, KernelError
from mntscope.frozen import NamedTuple
from mntscope.kernel import syscalls
from mntscope.kernel.worker import MOST_DESCRIPTORS, inside
from mntscope.live.namespaces import Reading
from mntscope.live.procfs import Proc, namespace_link, threads
from mntscope.parse import parse_mountinfo

_LINK = re.compile(r"mnt:\[([0-9]+)\]")
_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Pin(NamedTuple):
    """A bind mount of a namespace file."""

    inode: int
    mount_point: str


class Descriptor(NamedTuple):
    """A descriptor of a namespace file, of a process."""

    inode: int
    pid: int
    fd: int


def threads_elsewhere(proc: Proc, inodes: Mapping[int, int]) -> Iterator[tuple[int, int, int]]:
    """Threads in another mount namespace than the main thread of their process: inode, process and thread id.

    *inodes* has the mount namespace of each process; where it is unknown or the main thread has ended, all count.
    """
    for pid in proc.pids():
        with suppress(OSError):
            for thread in threads(pid, dir_fd=proc.fd):
                with suppress(OSError):
                    inode = namespace_link("mnt", f"{pid}/task/{thread}", dir_fd=proc.fd)
                    if inode != inodes.get(pid):
                        yield inode, pid, thread


def pins(table: bytes) -> list[Pin]:
    """The bind mounts of mount namespaces that a table shows, such as snapd makes."""
    lines = b"".join(line + b"\n" for line in table.split(b"\n") if b" - nsfs " in line)
    found = []
    for mount in parse_mountinfo(lines, strict=False):
        if match := _LINK.fullmatch(mount.root):
            found.append(Pin(int(match[1]), mount.mount_point))
    return found


def descriptors(proc: Proc, lived_in: Container[int], *, ours: Container[int]) -> Iterator[Descriptor]:
    """The descriptors of mount namespaces that processes have, except of those *lived_in*, and *ours* here."""
    own = os.getpid()
    for pid in proc.pids():
        with suppress(OSError):
            directory = os.open(f"{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc.fd)
            try:
                for name in sorted(os.listdir(directory), key=int):
                    with suppress(OSError):
                        match = _LINK.fullmatch(os.readlink(name, dir_fd=directory))
                        if not match or int(match[1]) in lived_in or (pid == own and int(name) in ours):
                            continue
                        yield Descriptor(int(match[1]), pid, int(name))
            finally:
                os.close(directory)


def open_pins(proc: Proc, reading: Reading, found: list[Pin]) -> Iterator[int]:
    """Descriptors of the namespaces that the mounts *found* in a namespace pin, as far as a path leads there."""
    if reading.root:
        yield from _opened(proc, reading.root, found)
    elif reading.entrance is not None:
        for begin in range(0, len(found), MOST_DESCRIPTORS):
            look = partial(_look, proc, found[begin : begin + MOST_DESCRIPTORS])
            with suppress(AccessError):
                yield from inside(reading.entrance, look)[1]


def open_descriptor(proc: Proc, found: Descriptor) -> int | None:
    """A descriptor of the namespace that a descriptor of another process refers to."""
    return _open(proc, f"{found.pid}/fd/{found.fd}", found.inode, follow=True)


def _look(proc: Proc, found: list[Pin]) -> tuple[bytes, list[int]]:
    return b"", list(_opened(proc, "self/root", found))


def _opened(proc: Proc, root: str, found: list[Pin]) -> Iterator[int]:
    for pin in found:
        if (fd := _open(proc, f"{root}{pin.mount_point}", pin.inode)) is not None:
            yield fd


def _open(proc: Proc, path: str, inode: int, *, follow: bool = False) -> int | None:
    """The mount namespace with this inode at *path*; ``None`` if something else is there."""
    with suppress(OSError):
        # Opening a device can do anything; a descriptor of the mere path cannot.
        place = os.open(path, _PATH & ~os.O_NOFOLLOW if follow else _PATH, dir_fd=proc.fd)
        try:
            status, nsfs = os.fstat(place), os.stat("self/ns/mnt", dir_fd=proc.fd)
            if (status.st_ino, status.st_dev) == (inode, nsfs.st_dev):
                return _reopened(proc, place)
        finally:
            os.close(place)
    return None


def _reopened(proc: Proc, place: int) -> int | None:
    fd = os.open(f"self/fd/{place}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=proc.fd)
    with suppress(KernelError):
        if syscalls.ns_get_nstype(fd) == syscalls.CLONE_NEWNS:
            return fd
    os.close(fd)
    return None
