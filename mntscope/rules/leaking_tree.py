"""Leaks put together that are one fault: those of a mount, and of what is mounted below it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mntscope.base.records import dataclass
from mntscope.graph import Leak, Member, MountTree, Severity
from mntscope.graph.severity import SEVERITIES, worst
from mntscope.model import Mount

MOST = 8
"""So many mounts are named as evidence; the tables hold the others."""


@dataclass(frozen=True, slots=True)
class LeakingTree:
    """A mount that leaks, and those below it that leak along with it."""

    leaks: tuple[Leak, ...]
    """The topmost mount's first, which what is done about it begins with; then the worst first."""

    @property
    def top(self) -> Leak:
        """The leak of the topmost mount."""
        return self.leaks[0]

    @property
    def below(self) -> int:
        """How many mounts leak below the topmost."""
        return len({leak.mount.mount_id for leak in self.leaks}) - 1

    @property
    def severity(self) -> Severity:
        """The worst of them."""
        return worst([leak.severity for leak in self.leaks])

    def members(self, label: str, host: str) -> tuple[Member, ...]:
        """The topmost mount, and the host's that receive from it."""
        return (Member(label, self.top.mount), *(Member(host, mount) for mount in self.top.host_mounts[:MOST]))


def outward(leaks: Iterable[Leak]) -> Iterator[Leak]:
    """Those that reach the host, but for two that runtimes leave in every container.

    One are its cgroups: each controller's is mounted with the container's own as the root, and nothing else can be
    reached there. The other is the host's /dev/null, with which crun masks files of /proc.
    """
    for leak in leaks:
        mount = leak.mount
        own_cgroup = mount.fs_type in ("cgroup", "cgroup2") and mount.root != "/"
        mask = mount.root == "/null" and mount.mount_point.startswith(("/proc/", "/sys/"))
        if leak.direction != "in" and not own_cgroup and not mask:
            yield leak


def leaking_trees(tree: MountTree, leaks: Iterable[Leak]) -> list[LeakingTree]:
    """What the namespace of *tree* leaks to the host, one for each topmost mount that does, the worst first."""
    by_mount: dict[Mount, list[Leak]] = {}
    for leak in outward(leaks):
        by_mount.setdefault(leak.mount, []).append(leak)
    if not by_mount:
        return []
    top: dict[Mount, Mount] = {}
    grouped: dict[Mount, list[Leak]] = {}
    for _, mount in tree.walk():
        parent = tree.parent(mount)
        above = top.get(parent) if parent is not None else None
        if mount in by_mount:
            above = top[mount] = above or mount
            grouped.setdefault(above, []).extend(by_mount[mount])
    found = [LeakingTree(_top_first(above, leaks)) for above, leaks in grouped.items()]
    return sorted(found, key=lambda leaking: (SEVERITIES.index(leaking.severity), leaking.top.path))


def _top_first(above: Mount, leaks: list[Leak]) -> tuple[Leak, ...]:
    first = min((leak for leak in leaks if leak.mount is above), key=lambda leak: len(leak.path))
    return (first, *(leak for leak in leaks if leak is not first))
