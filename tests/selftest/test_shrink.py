"""A failing sequence is shrunk to what it takes to fail."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from mntscope.selftest.shrink import shrink


def test_only_what_matters_is_left_in_its_order() -> None:
    assert list(shrink(range(100), lambda items: {17, 42, 99} <= set(items))) == [17, 42, 99]


def test_what_fails_by_itself_shrinks_to_nothing() -> None:
    assert list(shrink(range(9), lambda _: True)) == []


@given(st.sets(st.integers(0, 63), min_size=1))
def test_nothing_more_can_be_left_out(needed: set[int]) -> None:
    def fails(items: Sequence[int]) -> bool:
        # Fails where all that is needed is there, or all of it but for one and an odd number of others.
        rest = set(items) - needed
        return needed <= set(items) or (len(needed - set(items)) == 1 and len(rest) % 2 == 1)

    shrunk = list(shrink(range(64), fails))
    assert fails(shrunk)
    assert not any(fails([*shrunk[:index], *shrunk[index + 1 :]]) for index in range(len(shrunk)))
