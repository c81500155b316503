"""Styled lines: rich, which draws tables and trees beside them, is the reference for how they look."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.console import Console
from rich.padding import Padding
from rich.style import Style
from rich.text import Text as RichText

from mntscope.output.writers.lines import Text, cells, painted
from mntscope.output.writers.page import Page

HOW = ["", "bold ", "dim ", "underline ", "bold underline "]
COLOURS = ["", "red", "green", "yellow", "magenta", "cyan"]
STYLES = ["", "bold", "dim", "red", "bold red", "cyan", "bold underline"]
WORDS = st.text("ab/,.-", max_size=12) | st.text("aé漢👍│…", max_size=8) | st.sampled_from([" ", "  ", "\n", ""])
PIECES = st.lists(st.tuples(st.lists(WORDS, max_size=8).map(" ".join), st.sampled_from(STYLES)), max_size=4)
WIDTHS = st.integers(8, 60)


def by_rich(pieces: list[tuple[str, str]], indent: int, width: int, *, colour: bool = False) -> list[str]:
    drawn = io.StringIO()
    console = Console(
        file=drawn, width=width, force_terminal=colour, color_system="standard" if colour else None, highlight=False
    )
    console.print(Padding(RichText.assemble(*pieces), (0, 0, 0, indent)))
    return drawn.getvalue().split("\n")[:-1]


def looks(line: str) -> list[tuple[str, str]]:
    """Each character, and its style, up to the blanks that end the line."""
    text = RichText.from_ansi(line)
    styles = [""] * len(text)
    for span in text.spans:
        for at in range(span.start, span.end):
            styles[at] = f"{styles[at]} {span.style}".strip()
    shown = len(text.plain.rstrip(" "))
    return list(zip(text.plain, styles, strict=True))[:shown]


@given(PIECES, st.integers(0, 5), WIDTHS)
def test_lines_are_broken_where_rich_breaks_them(pieces: list[tuple[str, str]], indent: int, width: int) -> None:
    drawn = Page(width).draw(Text(*pieces, indent=" " * indent))
    assert drawn.split("\n")[:-1] == [line.rstrip(" ") for line in by_rich(pieces, indent, width)]


@given(PIECES, st.integers(0, 5), WIDTHS)
def test_colours_are_those_of_rich(pieces: list[tuple[str, str]], indent: int, width: int) -> None:
    drawn = Page(width, terminal=True, colour=True).draw(Text(*pieces, indent=" " * indent))
    expected = by_rich(pieces, indent, width, colour=True)
    assert [looks(line) for line in drawn.split("\n")[:-1]] == [looks(line) for line in expected]


@given(PIECES, WIDTHS)
def test_colours_change_nothing_else(pieces: list[tuple[str, str]], width: int) -> None:
    text = Text(*pieces, lead=("word  ", "red"), indent=" " * 6)
    plain, coloured = Page(width).draw(text), Page(width, terminal=True, colour=True).draw(text)
    assert plain.split("\n") == [RichText.from_ansi(line).plain.rstrip(" ") for line in coloured.split("\n")]


@given(PIECES, WIDTHS)
def test_no_word_is_lost_and_no_line_is_too_long(pieces: list[tuple[str, str]], width: int) -> None:
    drawn = Page(width).draw(Text(*pieces, indent="  "))
    assert "".join(drawn.split()) == "".join("".join(text for text, _ in pieces).split())
    assert all(cells(line) <= width for line in drawn.split("\n"))


def test_what_belongs_to_a_word_stands_beside_it() -> None:
    text = Text(("/a", "bold"), " -> /b on the host", "\nwhy it is so", lead=("high".ljust(6), "red"), indent=" " * 6)
    assert Page(20).draw(text) == "high  /a -> /b on\n      the host\n      why it is so\n"


def test_a_whole_line_is_not_broken() -> None:
    assert Page(10).draw(Text("mount --make-rslave /", indent="  ", whole=True)) == "  mount --make-rslave /\n"


def test_a_word_that_has_room_on_no_line_is_broken_anywhere() -> None:
    assert Page(10).draw(Text("see /a/long/path/indeed")) == "see\n/a/long/pa\nth/indeed\n"


def test_an_empty_text_is_an_empty_line() -> None:
    assert Page().draw(Text(""), Text("a")) == "\na\n"


@pytest.mark.parametrize("width", [1, 2])
def test_a_page_without_room_for_the_indent_still_shows_everything(width: int) -> None:
    assert "".join(Page(width).draw(Text("abc", indent="    ")).split()) == "abc"


@pytest.mark.parametrize("style", [f"{how}{colour}".strip() for how in HOW for colour in COLOURS])
def test_styles_are_written_as_rich_writes_them(style: str) -> None:
    assert painted("a b", style) == Style.parse(style).render("a b", color_system=ColorSystem.STANDARD)
    assert painted("", style) == ""


def test_ascii_lines_load_no_rich() -> None:
    program = (
        "import sys; from mntscope.output.writers.page import Page; from mntscope.output.writers.lines import Text;"
        " Page(9, colour=True).draw(Text(('├── a b c d e', 'red'), indent='│ ')); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not [module for module in loaded if module.partition(".")[0] == "rich"]
