"""Trees of things that each name at most one other above them: mounts their parents, peer groups their masters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from operator import lt

NONE = -1
"""No node."""


class Forest:
    """Nodes 0..n-1; *above* gives the node above each, or :data:`NONE`.

    A circle, which only tables that no kernel wrote can hold, is cut open above its first node: every node is in
    exactly one tree. Linear, without recursion.
    """

    def __init__(self, above: list[int]) -> None:
        self.above = _cut_circles(above)
        below: dict[int, list[int]] = {}
        self.roots: list[int] = []
        for node, over in enumerate(self.above):
            if over == NONE:
                self.roots.append(node)
            elif over in below:
                below[over].append(node)
            else:
                below[over] = [node]
        self.below: list[Sequence[int]] = [below.get(node, ()) for node in range(len(above))]
        """The nodes directly below each."""

    def walk(self) -> Iterator[tuple[int, int]]:
        """Every node as (depth, node), each before those below it, in the order they were given."""
        pending = [(0, root) for root in reversed(self.roots)]
        while pending:
            depth, node = pending.pop()
            yield depth, node
            if below := self.below[node]:
                pending += [(depth + 1, child) for child in reversed(below)]


def _cut_circles(above: list[int]) -> list[int]:
    if all(map(lt, above, count())):
        # Each comes after the one above it, as in most tables: there is no circle.
        return above
    above = list(above)
    seen_from = [NONE] * len(above)
    for start in range(len(above)):
        node = start
        while node != NONE and seen_from[node] == NONE:
            seen_from[node] = start
            node = above[node]
        if node != NONE and seen_from[node] == start:
            circle = [node]
            while (node := above[node]) != circle[0]:
                circle.append(node)
            above[min(circle)] = NONE
    return above
