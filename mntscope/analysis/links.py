"""Which peer groups and masters carry events from one mount namespace to another.

Sharing a number is not enough: an event passes between two mounts only at places that lie under the roots of both, so
two mounts of a group pass events when the root of one is under that of the other (:mod:`mntscope.graph.peers`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from mntscope.base.records import NamedTuple
from mntscope.graph import Member, PeerGraph
from mntscope.graph.tree import path_order


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
