"""What processes have of a filesystem beside mounts of it: files, directories and programs, which keep it in use.

A mount that a process refers to lives on when it is unmounted lazily, in no table of any namespace; and one that is in
a table cannot be unmounted meanwhile (EBUSY).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from mntscope.analysis.remedies import Command
from mntscope.base.records import dataclass
from mntscope.model import Mount, Problem, Process

Kind = Literal["cwd", "root", "exe", "fd", "map"]


@dataclass(frozen=True, slots=True)
class Reference:
    """Something on a filesystem that a process has."""

    process: Process
    kind: Kind
    """Its working or root directory, its program, an open file or directory, a mapped file."""
    number: int | None
    """Of a descriptor."""
    device: str
    """``major:minor`` of the filesystem."""
    mount_id: int | None
    """Of the mount by which it was reached, if the kernel tells."""
    path: str
    """As the kernel has it: of what was unmounted lazily, from the root of that on."""

    @property
    def what(self) -> str:
        """``cwd``, ``fd 9``."""
        return self.kind if self.number is None else f"{self.kind} {self.number}"


@dataclass(frozen=True, slots=True)
class KernelFile:
    """A file that the kernel has open itself: behind a loop device, or as swap space."""

    user: str
    """The block device, ``/dev/loop3``; empty of swap space."""
    path: str
    """The file, from the host's root directory."""

    @property
    def release(self) -> Command:
        """What makes the kernel close it, when nothing uses the device or the space."""
        return ("losetup", "--detach", self.user) if self.user else ("swapoff", self.path)


@dataclass(frozen=True, slots=True)
class References:
    """What was found of some filesystems, on a machine that was looked at."""

    found: tuple[Reference, ...] = ()
    not_seen: tuple[Problem, ...] = ()
    files: tuple[KernelFile, ...] = ()
    """The kernel's own, on whatever filesystem."""

    def by_mount(self, mounts: Iterable[Mount]) -> dict[int, list[Reference]]:
        """Those that use a mount of a table, by its mount ID, of which no two namespaces have the same."""
        known: dict[int, list[Reference]] = {mount.mount_id: [] for mount in mounts}
        for reference in self.found:
            if reference.mount_id in known:
                known[reference.mount_id].append(reference)
        return known

    def of_none(self, mounts: Iterable[Mount]) -> tuple[Reference, ...]:
        """Those that use a mount of no table: it was unmounted lazily, or is attached nowhere."""
        known = {mount.mount_id for mount in mounts}
        return tuple(one for one in self.found if one.mount_id is not None and one.mount_id not in known)
