"""What somebody probably meant."""

from __future__ import annotations

import pytest

from mntscope.base.suggestion import LONGEST, did_you_mean

NAMES = ("leak-to-host", "proc-would-cover-host", "foreign-proc", "MNT001", "web (docker)")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("leak", "did you mean leak-to-host?"),
        ("LEEK-TO-HOST", "did you mean leak-to-host?"),
        ("proc", "did you mean proc-would-cover-host or foreign-proc?"),
        ("mnt01", "did you mean MNT001?"),
        ("web", "did you mean 'web (docker)'?"),
        ("w", ""),
        ("", ""),
        ("something else", ""),
        ("x" * (LONGEST + 1), ""),
    ],
)
def test_what_begins_so_or_holds_it_or_differs_by_a_slip(word: str, said: str) -> None:
    assert did_you_mean(word, [*NAMES, "x" * 10_000], most=2) == said


def test_one_is_enough_unless_more_are_asked_for() -> None:
    assert did_you_mean("proc", NAMES) == "did you mean proc-would-cover-host?"
