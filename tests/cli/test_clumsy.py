"""What newcomers type, and what they are told: tests/data/clumsy.txt (``python -m tests.support.clumsy``)."""

from __future__ import annotations

import pytest

from tests.support.clumsy import FILE, LINES, said

TOLD = FILE.read_text("utf-8").split("\n\n")


def test_each_line_is_told_once() -> None:
    assert [entry.splitlines()[0] for entry in TOLD] == [f"$ mntscope {line}" for line in LINES]


@pytest.mark.parametrize(("line", "told"), list(zip(LINES, TOLD, strict=True)))
def test_a_clumsy_line_is_told_in_one_line_what_to_write(line: str, told: str) -> None:
    answer = said(line)
    assert answer.rstrip("\n") == told.rstrip("\n")
    assert answer.count("\n") == 3
    assert answer.endswith("exit code 2\n")
