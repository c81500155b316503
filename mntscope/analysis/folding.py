"""The peer graph folded: the groups that the same mount namespaces share, as one node.

A machine has as many groups as its namespaces have shared mounts, and most of them tell the same: what the host shares
with this container, what that unit receives. Groups with members in the same namespaces are therefore one node, below
the node of their master groups. So the nodes are a forest as the groups are. Mounts that are slaves without a group are
a node for each namespace that has them. What happens within one namespace (a group whose master has the same members)
stays in its node.

Sharing a number is not enough to pass events on: an event passes between two mounts only at places that lie under the
roots of both, so two mounts of a group pass events when the root of one is under that of the other
(:mod:`mntscope.graph.peers`). :class:`Senders` tells it of many at once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from mntscope.base.records import NamedTuple
from mntscope.graph import Member, PeerGraph, PeerGroup
from mntscope.graph.peers import GroupKey
from mntscope.graph.tree_shape import path_order

Kind = Literal["peers", "slaves", "unseen"]
"""Groups; slaves in no group; groups no member of which is in any view."""
Crossing = Literal["both ways", "to the host", "one way", ""]
"""How events get from one namespace to another: between peers of a node; into the host from the node above; from the
node above into another namespace; or not at all."""

DEEPEST = 24
"""How many nodes lie one below the other. No machine has as many; what lies deeper is drawn with what is above it."""


@dataclass(slots=True)
class Node:
    """Peer groups, or slaves without one, that are drawn together."""

    kind: Kind
    namespaces: tuple[str, ...]
    """The labels of those that have the mounts, the host's first; none where no member is seen."""
    depth: int
    groups: list[GroupKey] = field(default_factory=list)
    """The groups; of slaves the groups that they receive from."""
    slaves: list[tuple[GroupKey, Member]] = field(default_factory=list)
    """Slaves in no group, and whose."""
    below: list[Node] = field(default_factory=list)
    crossing: Crossing = ""
    marked: bool = False
    deeper: bool = False
    """Whether it also stands for what lies below it deeper than :data:`DEEPEST`."""


class FoldedGraph(NamedTuple):
    """What is drawn, and what is not."""

    roots: tuple[Node, ...]
    left_out: int
    """Groups whose members are in one namespace, which exchange nothing with another."""


def fold(
    graph: PeerGraph,
    host: str,
    *,
    chosen: Collection[GroupKey] | None = None,
    marked: Collection[GroupKey] = (),
    passing: Collection[GroupKey] | None = None,
    focus: str | None = None,
    within: bool = False,
) -> FoldedGraph:
    """*graph* folded, as seen from the view labelled *host*.

    *chosen*: only these groups. *passing*: of slaves in no group only those of these groups. *marked*: these stand out.
    *focus*: what the namespace of that view is part of stands out, and its slaves are drawn whatever *passing* says.
    *within*: also what stays in one namespace, which otherwise is only counted.
    """
    folder = _Folder(graph, host, frozenset(marked), focus)
    shown = graph.groups.keys() if passing is None else passing
    leaving_out = chosen is None and not within
    roots, left_out = [], 0
    for key, group in graph.groups.items():
        if leaving_out and not group.slaves and group.master is None and folder.in_one_namespace(group):
            left_out += 1
        elif chosen is None or key in chosen:
            folder.add(key, group, slaves=key in shown)
    for root in folder.roots:
        # Its slaves, if it has any, are in that namespace as well.
        if leaving_out and not root.below and not root.crossing and len(root.namespaces) == 1:
            left_out += len(root.groups)
        else:
            roots.append(root)
    _sort(roots, graph)
    return FoldedGraph(tuple(roots), left_out)


def crossings(folded: FoldedGraph) -> dict[GroupKey, Crossing]:
    """How the events of each group cross; those of groups that are not drawn do not."""
    return {key: node.crossing for node in nodes(folded) if node.kind != "slaves" for key in node.groups}


def nodes(folded: FoldedGraph) -> Iterator[Node]:
    """Every node."""
    pending = list(folded.roots)
    while pending:
        node = pending.pop()
        yield node
        pending.extend(node.below)


class _Folder:
    def __init__(self, graph: PeerGraph, host: str, marked: frozenset[GroupKey], focus: str | None) -> None:
        self.graph = graph
        self.links = Links(graph, host)
        self.host = self.links.label(self.links.host)
        self.marked = marked
        self.focus = None if focus is None else self.links.namespace(focus)
        self.roots: list[Node] = []
        self._of_group: dict[GroupKey, Node] = {}
        self._senders: dict[GroupKey, Senders] = {}
        self._alike: dict[tuple[int, Kind, tuple[int, ...], bool], Node] = {}

    def in_one_namespace(self, group: PeerGroup) -> bool:
        """Whether a group's members are all in one."""
        return len(self.links.namespaces(group.members)) == 1

    def add(self, key: GroupKey, group: PeerGroup, *, slaves: bool) -> None:
        """Draw a group, whose master is drawn already, and, if wanted, the *slaves* that are in no group."""
        namespaces = self.links.namespaces(group.members)
        master = None if group.master is None else (group.device, group.master)
        above = None if master is None else self._of_group.get(master)
        ends = self.links.ends(group.members)
        senders = self._senders[key] = Senders(ends)
        both = any(map(senders.reach, ends))
        kind: Kind = "unseen" if group.external else "peers"
        node = self._node(above, kind, namespaces, both=both)
        node.groups.append(key)
        node.marked = node.marked or key in self.marked or self.focus in namespaces
        self._of_group[key] = node
        if above is not None and above is not node and master is not None:
            self._receive(node, above, reached=any(map(self._senders[master].reach, ends)))
        lone: dict[int, list[Member]] = {}
        for slave in group.slaves:
            if slave.mount.peer_group is None:
                lone.setdefault(self.links.namespace(slave.label), []).append(slave)
        for namespace, found in lone.items():
            if slaves or self.focus == namespace:
                self._add_slaves(key, node, namespace, found)

    def _add_slaves(self, key: GroupKey, node: Node, namespace: int, slaves: list[Member]) -> None:
        receiver = self._node(node, "slaves", (namespace,), both=False)
        receiver.slaves.extend((key, slave) for slave in slaves)
        if receiver is not node:
            receiver.groups.append(key)
            receiver.marked = receiver.marked or self.focus == namespace
            self._receive(receiver, node, reached=any(map(self._senders[key].reach, self.links.ends(slaves))))

    def _receive(self, node: Node, above: Node, *, reached: bool) -> None:
        """Note that a node receives from the one above it, if what is in that one reaches it."""
        # Nobody can say where the events of a group come from that has no visible member: from elsewhere, at any rate.
        if (reached or above.kind == "unseen") and not node.crossing:
            node.crossing = "to the host" if self.host in node.namespaces else "one way"

    def _node(self, above: Node | None, kind: Kind, namespaces: tuple[int, ...], *, both: bool) -> Node:
        labels = tuple(map(self.links.label, namespaces))
        if above is not None:
            within = above.namespaces == labels and (above.crossing == "both ways") == both
            if within and kind != "unseen" and above.kind != "unseen":
                return above
            if above.depth >= DEEPEST:
                above.deeper = True
                return above
        key = (id(above), kind, namespaces, both)
        if key not in self._alike:
            node = Node(kind, labels, 0 if above is None else above.depth + 1, crossing="both ways" if both else "")
            self._alike[key] = node
            (self.roots if above is None else above.below).append(node)
        return self._alike[key]


def _sort(roots: list[Node], graph: PeerGraph) -> None:
    """What matters first, and otherwise as the views come."""
    ways: tuple[Crossing, ...] = ("both ways", "to the host", "one way", "")

    def importance(node: Node) -> tuple[bool, int, bool, int, int]:
        first = graph.number(node.namespaces[0]) if node.namespaces else -1
        return not node.marked, ways.index(node.crossing), not node.below, -len(node.groups), first

    pending = [roots]
    while pending:
        nodes = pending.pop()
        nodes.sort(key=importance)
        pending.extend(node.below for node in nodes if node.below)


# ---- between namespaces ----


class End(NamedTuple):
    """A mount, as far as this question goes."""

    namespace: int
    root: str


class Links:
    """The namespaces of a graph, each by the number of the first view that shows it."""

    def __init__(self, graph: PeerGraph, host: str) -> None:
        self._graph = graph
        self._first = graph.first
        self.host = self.namespace(host)

    def namespace(self, label: str) -> int:
        """The namespace that a view shows."""
        return self._first[self._graph.number(label)]

    def label(self, namespace: int) -> str:
        """The label of the first view that shows it."""
        return self._graph.views[namespace].label

    def namespaces(self, members: Iterable[Member]) -> tuple[int, ...]:
        """Those that have the mounts, the host first."""
        found = {self.namespace(member.label) for member in members}
        return tuple(sorted(found, key=lambda namespace: (namespace != self.host, namespace)))

    def ends(self, members: Iterable[Member]) -> set[End]:
        """What tells which of them pass events; a removed directory passes none."""
        found = ((member.label, self._graph.root(member.mount)) for member in members)
        return {End(self.namespace(label), root) for label, root in found if root is not None}


class Senders:
    """The mounts of a group: who receives their events in another namespace. To build it takes n log n steps."""

    def __init__(self, ends: Iterable[End]) -> None:
        ordered = sorted({(path_order(root), namespace) for namespace, root in ends})
        self._keys = [key for key, _ in ordered]
        self._namespaces = [namespace for _, namespace in ordered]
        # For each the next one that is of another namespace.
        self._next = [len(ordered)] * len(ordered)
        for at in range(len(ordered) - 2, -1, -1):
            alike = self._namespaces[at] == self._namespaces[at + 1]
            self._next[at] = self._next[at + 1] if alike else at + 1

    def reach(self, end: End) -> bool:
        """Whether the events of one of them arrive at *end*, a slave or a peer, from another namespace."""
        key = path_order(end.root)
        # Those at its root and below it are one stretch, as nothing sorts between a path and what is below it.
        below = (0, len(self._keys)) if end.root == "/" else self._stretch(key, f"{key}\1")
        return self._foreign(end, *below) or any(
            self._foreign(end, *self._stretch(above, f"{above}\0")) for above in _above(end.root)
        )

    def _stretch(self, first: str, last: str) -> tuple[int, int]:
        return bisect_left(self._keys, first), bisect_left(self._keys, last)

    def _foreign(self, end: End, start: int, stop: int) -> bool:
        """Whether one in this stretch is of another namespace than *end*."""
        return start < stop and (self._namespaces[start] != end.namespace or self._next[start] < stop)


def _above(root: str) -> Iterator[str]:
    """The sort keys of the paths above a path."""
    while root != "/":
        root = root.rpartition("/")[0] or "/"
        yield path_order(root)
