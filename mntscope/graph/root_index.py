"""Which mounts of a filesystem contain a place of it, and which lie within: found without looking at all of them.

The two lookups of :mod:`mntscope.graph.leaks`: things by the directory they belong to (:class:`RootIndex`), and nested
intervals by a point that they contain (:class:`Spans`). Both sort once and then search by halves; both go from one
entry to the one around it, so that an answer takes as many steps as it has parts.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from mntscope.base.paths import under
from mntscope.base.records import NamedTuple
from mntscope.graph.forest import NONE
from mntscope.graph.tree import path_order

T = TypeVar("T")

_ALONE, _ONE = (NONE,), (1,)
"""Of one root, or one interval, as most filesystems and groups have: what is around it, and where it ends."""


class RootIndex(Generic[T]):
    """Things that belong to directories of one filesystem, by the path of the directory.

    They are sorted so that all below a directory come directly behind it (:func:`~mntscope.graph.tree.path_order`).
    """

    __slots__ = ("_above", "_end", "_keys", "roots", "things")

    def __init__(self, things: Mapping[str, T]) -> None:
        self.roots = sorted(things, key=path_order)
        self.things = [things[root] for root in self.roots]
        self._keys = [path_order(root) for root in self.roots]
        self._above: Sequence[int] = _ALONE
        self._end: Sequence[int] = _ONE
        if len(self.roots) > 1:
            self._nest()

    def _nest(self) -> None:
        self._above = above = [NONE] * len(self.roots)
        self._end = end = [len(self.roots)] * len(self.roots)
        around: list[int] = []
        for index, root in enumerate(self.roots):
            while around and not under(root, self.roots[around[-1]]):
                end[around.pop()] = index
            above[index] = around[-1] if around else NONE
            around.append(index)

    def containing(self, place: str) -> Iterator[T]:
        """What belongs to *place* and the directories above it, the nearest first."""
        index = bisect_right(self._keys, path_order(place)) - 1
        while index != NONE:
            if under(place, self.roots[index]):
                yield self.things[index]
            index = self._above[index]

    def within(self, place: str, wanted: Callable[[T], bool]) -> Iterator[str]:
        """The places strictly below *place* with a wanted thing and none above it."""
        index = bisect_right(self._keys, path_order(place))
        while index < len(self.roots) and under(self.roots[index], place):
            if wanted(self.things[index]):
                yield self.roots[index]
                index = self._end[index]
            else:
                index += 1


class Span(NamedTuple):
    """An interval ``low <= x < high`` and what it belongs to."""

    low: int
    high: int
    owner: int


class Spans:
    """Intervals of which any two are nested or apart, as subtrees are in a tour of their tree."""

    __slots__ = ("_around", "_lows", "_spans")

    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans = spans
        self._around: Sequence[int] = _ALONE
        if len(spans) > 1:
            self._nest()
        self._lows = [span.low for span in self._spans]

    def _nest(self) -> None:
        self._spans = sorted(self._spans, key=lambda span: (span.low, -span.high, span.owner))
        self._around = nearest = [NONE] * len(self._spans)
        around: list[int] = []
        for index, span in enumerate(self._spans):
            while around and self._spans[around[-1]].high <= span.low:
                around.pop()
            nearest[index] = around[-1] if around else NONE
            around.append(index)

    def around(self, point: int) -> Iterator[int]:
        """The owners of the intervals that contain *point*, the innermost first."""
        index = bisect_right(self._lows, point) - 1
        while index != NONE:
            if point < self._spans[index].high:
                yield self._spans[index].owner
            index = self._around[index]


def between(points: list[int], low: int, high: int) -> Iterator[int]:
    """The numbers of *points*, which must be sorted, with ``low <= x < high``."""
    index = bisect_left(points, low)
    while index < len(points) and points[index] < high:
        yield points[index]
        index += 1


def any_between(points: list[int], low: int, high: int) -> bool:
    """Whether *points*, which must be sorted, has a number with ``low <= x < high``."""
    index = bisect_left(points, low)
    return index < len(points) and points[index] < high
