"""The host's mounts as leaks are looked for among them: by tree of peer groups, and by root."""

from __future__ import annotations

from mntscope.graph.peers import PeerGraph, Reach
from mntscope.graph.root_index import RootIndex, Spans, between
from mntscope.graph.severity import CRITICAL
from mntscope.model import Mount


class MountsAtRoot:
    """The host's mounts with one root in one tree of peer groups."""

    __slots__ = ("receivers", "senders")

    def __init__(self, graph: PeerGraph, receivers: list[int]) -> None:
        self.receivers = receivers
        """Their positions in the graph's tour, ascending."""
        stretches = []
        for position in receivers:
            if (reach := graph.reach(graph.tour[position][1])) is not None:
                stretches.append((reach.low, reach.high, position))
        self.senders = Spans(stretches)
        """For each that is shared the stretch of the tour that receives from it."""


class Family(RootIndex[MountsAtRoot]):
    """The host's mounts in one tree of peer groups, by root; those that can be compared with none are left out."""

    __slots__ = ("only",)

    def __init__(self, graph: PeerGraph, positions: list[int]) -> None:
        by_root: dict[str, list[int]] = {}
        for position in positions:
            root = graph.root(graph.tour[position][1])
            if root is not None:
                by_root.setdefault(root, []).append(position)
        super().__init__({root: MountsAtRoot(graph, its) for root, its in by_root.items()})
        self.only = self.roots[0] if len(self.roots) == 1 else None
        """The root of all of them, where that is one."""


class HostIndex:
    """The mounts of the host by tree of groups and by root: made once, and asked for each target."""

    def __init__(self, graph: PeerGraph, label: str) -> None:
        self.graph = graph
        self.tree = graph.tree(label)
        number = graph.number(label)
        self.positions = [position for position, (whose, _) in enumerate(graph.tour) if whose == number]
        self.critical = [position for position in self.positions if self._is_critical(graph.tour[position][1])]
        """Where the host sees a mount at a path of :data:`CRITICAL`."""
        self.families: dict[int, Family] = {}

    def family(self, number: int) -> Family:
        """Its mounts in a tree of groups. Of most trees no other namespace has a part, and nothing is asked."""
        if number not in self.families:
            stretch = self.graph.family(number)
            self.families[number] = Family(self.graph, between(self.positions, stretch.low, stretch.high))
        return self.families[number]

    def first_two(self, number: int) -> list[int]:
        """Where in the tour its first mounts in a tree of groups are: mostly there is one, or none."""
        stretch = self.graph.family(number)
        return between(self.positions, stretch.low, stretch.high, 2)

    def critical_roots(self, reach: Reach) -> RootIndex[None]:
        """The roots of what the host sees at a path of :data:`CRITICAL`, as far as it is reached."""
        mounts = (self.graph.tour[position][1] for position in between(self.critical, reach.low, reach.high))
        return RootIndex({root: None for mount in mounts if (root := self.graph.root(mount)) is not None})

    def _is_critical(self, mount: Mount) -> bool:
        return mount.mount_point in CRITICAL and self.tree.leads_into(mount, mount.mount_point)
