"""Which mounts of a filesystem contain a place of it, and which lie within: found without looking at all of them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, NamedTuple, TypeVar

from mntscope.graph.forest import NONE
from mntscope.graph.tree import path_order
from mntscope.places import under

T = TypeVar("T")


class RootIndex(Generic[T]):
    """Things that belong to directories of one filesystem, sorted so that nearness in the tree is nearness here."""

    def __init__(self, things: Mapping[str, T]) -> None:
        self.roots = sorted(things, key=path_order)
        self.things = [things[root] for root in self.roots]
        self._keys = [path_order(root) for root in self.roots]
        self._above = [NONE] * len(self.roots)
        self._end = [len(self.roots)] * len(self.roots)
        around: list[int] = []
        for index, root in enumerate(self.roots):
            while around and not under(root, self.roots[around[-1]]):
                self._end[around.pop()] = index
            self._above[index] = around[-1] if around else NONE
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
    """Intervals of which any two are nested or apart."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._spans = sorted(spans, key=lambda span: (span.low, -span.high, span.owner))
        self._lows = [span.low for span in self._spans]
        self._around = [NONE] * len(self._spans)
        around: list[int] = []
        for index, span in enumerate(self._spans):
            while around and self._spans[around[-1]].high <= span.low:
                around.pop()
            self._around[index] = around[-1] if around else NONE
            around.append(index)

    def around(self, point: int) -> Iterator[int]:
        """The owners of the intervals that contain *point*."""
        index = bisect_right(self._lows, point) - 1
        while index != NONE:
            if point < self._spans[index].high:
                yield self._spans[index].owner
            index = self._around[index]


class Points:
    """Numbers, and which of them lie in an interval."""

    def __init__(self, points: Iterable[int]) -> None:
        self._points = sorted(points)

    def between(self, low: int, high: int) -> Iterator[int]:
        """Those with ``low <= x < high``."""
        index = bisect_left(self._points, low)
        while index < len(self._points) and self._points[index] < high:
            yield self._points[index]
            index += 1
