"""The smallest part of a failing sequence that still fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def shrink(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> Sequence[T]:
    """*items* with as much left out as *fails* allows, in their order: no single one more can go.

    *fails* must hold of *items*. Ever smaller pieces are left out, as long as that helps
    (A. Zeller, R. Hildebrandt: Simplifying and Isolating Failure-Inducing Input, 2002).
    """
    size = len(items) // 2 or 1
    while items:
        start, shrunk = 0, False
        while start < len(items):
            without = [*items[:start], *items[start + size :]]
            if fails(without):
                items, shrunk = without, True
            else:
                start += size
        if size == 1 and not shrunk:
            break
        size = max(1, size // 2)
    return items
