"""Columns of text, aligned and cut to fit."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mntscope.output.escape import visible
from mntscope.output.writers.columns import WIDEST, Column, columns_text
from mntscope.output.writers.page import Page

A_AND_B = (Column("A"), Column("B", right=True))


def test_cells_are_aligned_and_nothing_fills_the_end_of_a_line() -> None:
    assert columns_text((*A_AND_B, Column("C")), [("xyz", "1", ""), ("", "1000", "c")], Page()).splitlines() == [
        "A       B  C",
        "xyz     1",
        "     1000  c",
    ]


def test_a_wide_character_takes_two_cells() -> None:
    assert columns_text(A_AND_B, [("漢字", "1"), ("ab", "2")], Page()) == "A     B\n漢字  1\nab    2\n"


def test_a_terminal_gets_lines_that_fit_and_both_ends_of_what_is_cut() -> None:
    row = ("/var/lib/docker/overlay2/0123456789abcdef/merged", "web-1")
    heading, line = columns_text((Column("PATH"), Column("WHO")), [row], Page(width=30, terminal=True)).splitlines()
    assert len(line) == 30
    assert re.fullmatch(r"/var\S*…\S*/merged  web-1", line)
    assert heading.index("WHO") == line.index("web-1")


def test_what_can_be_spared_is_left_out_of_a_narrow_terminal_and_what_is_firm_is_cut_last() -> None:
    columns = (Column("WHO", firm=True), Column("WHAT", spare=True), Column("WHERE"), Column("WHY"))
    row = ("w" * 20, "x" * 20, "y" * 30, "z" * 30)

    def lengths(width: int, *, terminal: bool = True) -> list[int]:
        line = columns_text(columns, [row], Page(width, terminal=terminal)).splitlines()[1]
        return [len(cell) for cell in line.split()]

    assert lengths(120) == [20, 20, 30, 30]
    assert lengths(86) == [20, 20, 20, 20]
    assert lengths(85) == [20, 30, 30]
    assert lengths(50) == [20, 13, 13]
    assert lengths(30) == [13, 7, 6]
    assert lengths(30, terminal=False) == [20, 20, 30, 30]


def test_elsewhere_nothing_is_cut_and_a_very_long_cell_does_not_widen_every_row() -> None:
    long = "x" * 5000
    lines = columns_text(A_AND_B, [(long, "1"), *[("y", "2")] * 100], Page(width=30)).splitlines()
    assert lines[1] == f"{long}  1"
    assert {len(line) for line in lines[2:]} == {WIDEST + 3}


def test_only_where_there_is_colour_there_are_escapes() -> None:
    styled = (Column("A", style=lambda cell: "bold red" if cell == "bad" else ""),)
    assert columns_text(styled, [("bad",), ("good",)], Page(terminal=True)) == "A\nbad\ngood\n"
    lines = columns_text(styled, [("bad",), ("good",)], Page(terminal=True, colour=True)).splitlines()
    assert lines[1:] == ["\x1b[1;31mbad\x1b[0m", "good"]


ROWS = st.lists(st.tuples(*[st.sampled_from(["", "a", "bc ", "漢字", "└─x"]) | st.text(max_size=90)] * 3), max_size=6)


@given(ROWS.map(lambda rows: [tuple(map(visible, row)) for row in rows]), st.lists(st.booleans(), min_size=3))
def test_each_line_is_its_cells_filled_up_but_for_the_blanks_at_its_end(
    rows: list[tuple[str, ...]], right: list[bool]
) -> None:
    columns = [Column(name, right=right[at]) for at, name in enumerate(("ONE", "TWO", "THREE"))]
    widths = [
        min(WIDEST, max(len(column.name), *(cell_len(row[at]) for row in rows), 0)) for at, column in enumerate(columns)
    ]

    def line(row: tuple[str, ...]) -> str:
        filled = [
            " " * (width - cell_len(cell)) + cell if column.right else cell + " " * (width - cell_len(cell))
            for column, cell, width in zip(columns, row, widths, strict=True)
        ]
        return "  ".join(filled).rstrip(" ")

    expected = [line(("ONE", "TWO", "THREE")), *map(line, rows)]
    assert columns_text(columns, rows, Page()).split("\n") == [*expected, ""]


@given(
    st.lists(st.tuples(*[st.text(max_size=40).map(visible)] * 4), max_size=6),
    st.integers(30, 120),
)
def test_lines_fit_whatever_the_cells_hold(rows: list[tuple[str, ...]], width: int) -> None:
    text = columns_text([Column(name) for name in ("ONE", "TWO", "THREE", "FOUR")], rows, Page(width, terminal=True))
    lines = text.split("\n")[:-1]
    assert len(lines) == len(rows) + 1
    assert all(cell_len(line) <= width for line in lines)
