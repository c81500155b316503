"""Columns of text, aligned and cut to fit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mntscope.output.escape import visible
from mntscope.output.writers.columns import NARROWEST, WIDEST, Column, columns_text
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


def test_on_a_terminal_what_is_too_long_is_folded_and_what_has_no_blank_stays_whole() -> None:
    rows = [("/var/lib/docker/overlay2/0123456789abcdef/merged", "web-1, web-2, web-3 and 7 more"), ("/x", "web-1")]
    columns = (Column("PATH", firm=True), Column("WHO"))
    assert columns_text(columns, rows, Page(width=64, terminal=True)).splitlines() == [
        "PATH                                              WHO",
        "/var/lib/docker/overlay2/0123456789abcdef/merged  web-1, web-2,",
        "                                                  web-3 and 7",
        "                                                  more",
        "/x                                                web-1",
    ]


def test_what_can_be_spared_is_left_out_of_a_narrow_terminal_in_its_order() -> None:
    columns = (Column("WHO", firm=True), Column("WHAT", spare=1), Column("WHERE", spare=0), Column("WHY"))
    row = ("w" * 20, "x" * 20, "y" * 30, "z " * 30)

    def heads(width: int, *, terminal: bool = True) -> list[str]:
        return columns_text(columns, [row], Page(width, terminal=terminal)).splitlines()[0].split()

    assert heads(112) == ["WHO", "WHAT", "WHERE", "WHY"]
    assert heads(111) == ["WHO", "WHAT", "WHY"]
    assert heads(79) == ["WHO", "WHY"]
    assert heads(20) == ["WHO", "WHY"]
    assert heads(20, terminal=False) == ["WHO", "WHAT", "WHERE", "WHY"]


def test_a_cell_that_runs_over_has_a_line_of_its_own() -> None:
    columns = (Column("TARGET", firm=True, runs_over=True, further=lambda cell: cell[:1]), Column("KIND", firm=True))
    rows = [("|-/a", "shared"), ("|-/a/path/that/is/much/longer/than/the/others/are", "private"), ("`-/b", "slave")]
    assert columns_text(columns, rows, Page(width=30, terminal=True)).splitlines() == [
        "TARGET                 KIND",
        "|-/a                   shared",
        "|-/a/path/that/is/much/longer/than/the/others/are",
        "|                      private",
        "`-/b                   slave",
    ]


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
    st.lists(st.tuples(*[st.text(max_size=40).map(visible)] * 3), max_size=6),
    st.integers(30, 120),
)
def test_whatever_is_folded_no_word_is_broken_or_lost(rows: list[tuple[str, ...]], width: int) -> None:
    columns = [Column(name) for name in ("ONE", "TWO", "THREE")]
    text = columns_text(columns, rows, Page(width, terminal=True))
    assert sorted(text.split()) == sorted(
        ["ONE", "TWO", "THREE", *(word for row in rows for c in row for word in c.split())]
    )
    longest = max((cell_len(word) for row in rows for cell in row for word in cell.split()), default=0)
    if longest <= NARROWEST:
        assert all(cell_len(line) <= width for line in text.splitlines())
