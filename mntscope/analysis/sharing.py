"""What ``mntscope graph`` was asked, and the part of the peer graph that answers it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from mntscope.analysis.folding import FoldedGraph, Links, fold
from mntscope.base.display import Shown
from mntscope.errors import TargetError
from mntscope.graph import GroupNames, Member, PeerGraph
from mntscope.graph.peers import GroupKey
from mntscope.model import Problem, View
from mntscope.snapshot import Snapshot


@dataclass(frozen=True)
class Sharing(Shown):
    """A question about who shares with whom, in one snapshot."""

    snapshot: Snapshot
    graph: PeerGraph
    about: str = ""
    """What was asked about, in words; empty where it was the whole machine."""
    chosen: frozenset[GroupKey] | None = None
    """The groups that answer it; ``None``: all."""
    passing: frozenset[GroupKey] | None = None
    """Those of them whose slaves are part of the answer; ``None``: all."""
    marked: frozenset[GroupKey] = frozenset()
    """Those that it was about."""
    focus: str | None = None
    """The view that it was about."""
    everything: bool = False
    """Whether what stays within one namespace was asked for too."""

    @cached_property
    def host(self) -> str:
        """The label of the view that plays the host."""
        return self.snapshot.host_label

    @cached_property
    def names(self) -> GroupNames:
        """What to call things."""
        return GroupNames(self.graph, self.host)

    @cached_property
    def links(self) -> Links:
        """What passes between namespaces."""
        return Links(self.graph, self.host)

    @cached_property
    def folded(self) -> FoldedGraph:
        """What is drawn."""
        return fold(
            self.graph,
            self.host,
            chosen=self.chosen,
            passing=self.passing,
            marked=self.marked,
            focus=self.focus,
            within=self.everything,
        )

    @cached_property
    def namespaces(self) -> tuple[View, ...]:
        """A view of each namespace, the host's first."""
        views = {self.links.namespace(view.label): view for view in reversed(self.snapshot.views) if not view.detached}
        order = sorted(views, key=lambda namespace: (namespace != self.links.host, namespace))
        return tuple(views[namespace] for namespace in order)

    def host_first(self, members: Iterable[Member]) -> list[Member]:
        """The mounts, those of the host before the others."""
        return sorted(members, key=lambda member: self.links.namespace(member.label) != self.links.host)

    @property
    def not_seen(self) -> tuple[Problem, ...]:
        """What could not be read."""
        return (*self.snapshot.not_seen, *(problem for view in self.snapshot.views for problem in view.problems))

    @property
    def groups(self) -> Iterator[GroupKey]:
        """The groups that answer the question, each before its slaves."""
        return (key for key in self.graph.groups if self.chosen is None or key in self.chosen)


def whole(snapshot: Snapshot, *, everything: bool = False) -> Sharing:
    """All of it; without *everything* what stays within one namespace is not drawn."""
    return Sharing(snapshot, PeerGraph.of(snapshot.views), everything=everything)


def of_view(snapshot: Snapshot, label: str, *, everything: bool = False) -> Sharing:
    """What the namespace of a view shares, receives, and passes on."""
    graph = PeerGraph.of(snapshot.views)
    shared, received = set(), set()
    for view in snapshot.views:
        if graph.same_namespace(view.label, label):
            shared |= {(mount.device, mount.peer_group) for mount in view.mounts if mount.peer_group is not None}
            received |= {(mount.device, mount.master) for mount in view.mounts if mount.master is not None}
    passing = _below(graph, shared)
    about = f"the mounts of {GroupNames(graph, snapshot.host_label).view(label)}"
    chosen = _above(graph, shared | received) | passing
    return Sharing(snapshot, graph, about, chosen, passing, focus=label, everything=everything)


def of_group(snapshot: Snapshot, number: int, *, everything: bool = False) -> Sharing:
    """A group, by its number, with all that it receives from and passes on to.

    :raises TargetError: there is none.
    """
    graph = PeerGraph.of(snapshot.views)
    found = {key for key in graph.groups if key[1] == number}
    if not found:
        known = sorted({key[1] for key in graph.groups})
        some = ", ".join(map(str, known[:8])) + (", .." if len(known) > 8 else "")
        raise TargetError(f"there is no peer group {number}", hint=f"there are {some or 'none'}")
    return _around(snapshot, graph, f"peer group {number}", frozenset(found), everything=everything)


def of_path(snapshot: Snapshot, label: str, path: str, *, everything: bool = False) -> Sharing:
    """The group, or the master, of the mount of a view that contains *path*.

    :raises TargetError: no mount of the view contains it, or the one that does is in no group.
    """
    graph = PeerGraph.of(snapshot.views)
    mount = graph.tree(label).containing(path)
    name = GroupNames(graph, snapshot.host_label).view(label)
    if mount is None:
        raise TargetError(f"no mount of {name} contains it", where=path, hint="give an absolute path")
    number = mount.peer_group if mount.peer_group is not None else mount.master
    if number is None:
        at = "it" if mount.mount_point == path else f"the mount at {mount.mount_point}, which contains it,"
        raise TargetError(
            f"{at} is {mount.propagation} in {name}: it is in no peer group, and receives from none",
            where=path,
            hint="there is nothing to draw",
        )
    found = frozenset({(mount.device, number)})
    return _around(snapshot, graph, f"{path} of {name}", found, everything=everything)


def _around(
    snapshot: Snapshot, graph: PeerGraph, about: str, keys: frozenset[GroupKey], *, everything: bool
) -> Sharing:
    """The groups, where their events come from, and where they go."""
    passing = _below(graph, keys)
    return Sharing(snapshot, graph, about, _above(graph, keys) | passing, passing, keys, everything=everything)


def _above(graph: PeerGraph, keys: Iterable[GroupKey]) -> frozenset[GroupKey]:
    """The groups, and those that their events come from."""
    found: set[GroupKey] = set()
    for each in keys:
        key: GroupKey | None = each
        while key is not None and key not in found:
            found.add(key)
            master = graph.groups[key].master
            key = None if master is None else (key[0], master)
    return frozenset(found)


def _below(graph: PeerGraph, keys: Collection[GroupKey]) -> frozenset[GroupKey]:
    """The groups, and those that receive from them."""
    found = set(keys)
    for key, group in graph.groups.items():
        if group.master is not None and (key[0], group.master) in found:
            found.add(key)
    return frozenset(found)
