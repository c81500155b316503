"""What keeps mount namespaces alive beside the processes in them: threads, bind mounts of their files, descriptors.

Each is found by the inode of the namespace that it shows.
"""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import suppress

from mntscope.base.records import NamedTuple
from mntscope.live.foreign import NamespaceFile, open_namespaces
from mntscope.live.namespaces import CapturedNamespace
from mntscope.live.procfs import Proc, namespace_link, threads
from mntscope.parse import parse_mountinfo

_LINK = re.compile(r"mnt:\[([0-9]+)\]")


class BindMount(NamedTuple):
    """A bind mount of a mount namespace's file, which keeps that alive without a process (``unshare --mount=FILE``)."""

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


def bind_mounts(table: bytes) -> list[BindMount]:
    """The bind mounts of mount namespaces that a table shows, such as snapd makes."""
    if b" - nsfs " not in table:
        return []
    lines = b"".join([line + b"\n" for line in table.split(b"\n") if b" - nsfs " in line])
    found = []
    for mount in parse_mountinfo(lines, strict=False):
        if match := _LINK.fullmatch(mount.root):
            found.append(BindMount(int(match[1]), mount.mount_point))
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


def open_bind_mounts(proc: Proc, captured: CapturedNamespace, found: Iterable[BindMount]) -> list[int]:
    """Descriptors of the namespaces that the mounts *found* in a namespace pin, as far as a path leads there."""
    files = [NamespaceFile(mount.inode, mount.mount_point, captured.root or "self/root") for mount in found]
    if not files or not (captured.root or captured.entrance is not None):
        return []
    return open_namespaces(proc, files, namespace=None if captured.root else captured.entrance)


def open_descriptors(proc: Proc, found: Iterable[Descriptor]) -> list[int]:
    """Descriptors of the namespaces that descriptors of other processes refer to."""
    return open_namespaces(proc, [NamespaceFile(one.inode, f"{one.pid}/fd/{one.fd}") for one in found])
