"""CSV that a spreadsheet opens: no cell is run, and all can be had back."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mntscope.output.writers.csv import csv_text, harmless, original
from mntscope.output.writers.page import Page

TEXT = st.text(st.sampled_from("=+-@'\t\r\n ;,a\"\uff1d\u00a0") | st.characters())


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@x", " =1", "\u00a0=1", "\tx", "\rx", "\nx", "\uff1d1", "'=1"])
def test_a_cell_that_would_be_run_begins_with_an_apostrophe(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"
    assert original(harmless(cell)) == cell


def test_nor_is_one_behind_another_separator() -> None:
    assert harmless("/a;=cmd") == "/a;'=cmd"


@pytest.mark.parametrize("cell", ["", "/a", "'", "'a", "a=b", "rw,-x", "1 2 0:5 / /a rw - proc x rw", "a@b"])
def test_others_are_exact(cell: str) -> None:
    assert harmless(cell) == original(cell) == cell


@given(TEXT)
def test_there_and_back(cell: str) -> None:
    assert original(harmless(cell)) == cell
    assert not harmless(cell).lstrip().startswith(("=", "+", "-", "@"))


# Python 3.11 quotes a carriage return only where it ends a line.
@given(st.lists(TEXT.filter(lambda cell: "\r" not in cell), min_size=1))
def test_exact_is_exact(row: list[str]) -> None:
    text = csv_text(row, [row], Page(exact=True))
    assert list(csv.reader(io.StringIO(text, newline="")))[1] == row
