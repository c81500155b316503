"""Which mounts of a filesystem contain a place of it, and which lie within: found without looking at all of them.

The two lookups of :mod:`mntscope.graph.leaks`: things by the directory they belong to (:class:`RootIndex`), and nested
intervals by a point that they contain (:class:`Spans`). Both sort once and then search by halves; both go from one
entry to the one around it, so that an answer takes as many steps as it has parts.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence

from mntscope.base.paths import under
from mntscope.base.records import Generic
from mntscope.graph.forest import NONE
from mntscope.graph.tree_shape import path_order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")


class RootIndex(Generic["T"]):
    """Things that belong to directories of one filesystem, by the path of the directory.

    They are sorted so that all below a directory come directly behind it
    (:func:`~mntscope.graph.tree_shape.path_order`).
    """

    __slots__ = ("_above", "_end", "_keys", "roots", "things")

    def __init__(self, things: Mapping[str, T]) -> None:
        self.roots = list(things)
        self.things = list(things.values())
        if len(things) > 1:
            self._nest()

    def _nest(self) -> None:
        order = sorted([(path_order(root), index) for index, root in enumerate(self.roots)])
        self._keys = [key for key, _ in order]
        self.roots = [self.roots[index] for _, index in order]
        self.things = [self.things[index] for _, index in order]
        self._above = above = [NONE] * len(self.roots)
        self._end = end = [len(self.roots)] * len(self.roots)
        around: list[int] = []
        for index, root in enumerate(self.roots):
            while around and not under(root, self.roots[around[-1]]):
                end[around.pop()] = index
            above[index] = around[-1] if around else NONE
            around.append(index)

    def containing(self, place: str) -> Sequence[T]:
        """What belongs to *place* and the directories above it, the nearest first."""
        if len(self.roots) < 2:
            # As of most filesystems and groups: there is nothing to look up.
            return self.things if self.roots and under(place, self.roots[0]) else ()
        found = []
        index = bisect_right(self._keys, path_order(place)) - 1
        while index != NONE:
            if under(place, self.roots[index]):
                found.append(self.things[index])
            index = self._above[index]
        return found

    def within(self, place: str, wanted: Callable[[T], bool]) -> Iterator[str]:
        """The places strictly below *place* with a wanted thing and none above it."""
        if len(self.roots) < 2:
            below = self.roots and self.roots[0] != place and under(self.roots[0], place) and wanted(self.things[0])
            return iter(self.roots if below else ())
        return self._within(place, wanted)

    def _within(self, place: str, wanted: Callable[[T], bool]) -> Iterator[str]:
        index = bisect_right(self._keys, path_order(place))
        while index < len(self.roots) and under(self.roots[index], place):
            if wanted(self.things[index]):
                yield self.roots[index]
                index = self._end[index]
            else:
                index += 1


Span = tuple[int, int, int]
"""An interval ``low <= x < high``, and what it belongs to."""


class Spans:
    """Intervals of which any two are nested or apart, as subtrees are in a tour of their tree."""

    __slots__ = ("_around", "_lows", "_spans")

    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans = spans
        if len(spans) > 1:
            self._nest()

    def _nest(self) -> None:
        self._spans = sorted(self._spans, key=lambda span: (span[0], -span[1], span[2]))
        self._lows = [low for low, _, _ in self._spans]
        self._around = nearest = [NONE] * len(self._spans)
        around: list[int] = []
        for index, (low, _, _) in enumerate(self._spans):
            while around and self._spans[around[-1]][1] <= low:
                around.pop()
            nearest[index] = around[-1] if around else NONE
            around.append(index)

    def around(self, point: int, most: int) -> list[int]:
        """The owners of the intervals that contain *point*, the innermost first; *most* of them."""
        found: list[int] = []
        if len(self._spans) < 2:
            # Of one interval, as most groups have, there is nothing to look up.
            for low, high, owner in self._spans:
                if low <= point < high and most:
                    found.append(owner)
            return found
        index = bisect_right(self._lows, point) - 1
        while index != NONE and len(found) < most:
            _, high, owner = self._spans[index]
            if point < high:
                found.append(owner)
            index = self._around[index]
        return found


def between(points: list[int], low: int, high: int, most: int | None = None) -> list[int]:
    """The numbers of *points*, which must be sorted, with ``low <= x < high``; the first *most* of them."""
    begin = bisect_left(points, low)
    end = bisect_left(points, high, begin)
    return points[begin : end if most is None else min(end, begin + most)]


def any_between(points: list[int], low: int, high: int) -> bool:
    """Whether *points*, which must be sorted, has a number with ``low <= x < high``."""
    index = bisect_left(points, low)
    return index < len(points) and points[index] < high
