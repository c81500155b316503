"""A document on a terminal: what stands where, and that nothing in it is obeyed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mntscope.output.document import (
    Block,
    Commands,
    Document,
    Entries,
    Entry,
    Heading,
    Items,
    More,
    Paragraph,
    Prose,
    Style,
    Table,
    Tree,
    Verdict,
    Word,
    name,
)
from mntscope.output.writers.page import Page
from mntscope.output.writers.terminal import TRUNK, as_text

NASTY = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ["\x1b[2J", "\u202e", "\udcff", "a\nb", " ", ""]
)


def shown(*blocks: Block, width: int = 60, colour: bool = False) -> str:
    return as_text(Document("what was asked", blocks), Page(width, terminal=colour, colour=colour))


def test_the_verdict_comes_first_and_what_it_means_right_below() -> None:
    assert (
        shown(Verdict("LEAKS", "critical", "it does."), Paragraph("To stop it:"), Commands(("true",)))
        == """\
LEAKS  it does.
To stop it:
  true
"""
    )


def test_a_section_is_indented_below_its_heading() -> None:
    sections = Heading("First"), Items(("a", "b")), Heading("Second"), Paragraph("Much."), Commands(("true",))
    assert (
        shown(Paragraph("Lead."), *sections)
        == """\
Lead.

First
  a
  b

Second
  Much.
    true
"""
    )


def test_what_is_said_of_things_stands_aside_of_short_words_with_its_commands_below() -> None:
    entries = Entries(
        ("Severity", "Leak", "Why", "To stop it"),
        [
            Entry(Word("critical", "critical"), (name("/a"), " leaks"), "as it is shared", ("umount /a",)),
            Entry(Word("low", "low"), "nothing of note"),
        ],
    )
    assert (
        shown(entries)
        == """\
critical  /a leaks
          as it is shared
          umount /a
low       nothing of note
"""
    )


def test_a_long_name_has_what_is_said_of_it_behind_it() -> None:
    entries = Entries(("Mount point", "Who", "Why"), [Entry(name("/a/rather/long/path"), "the host", "it is so")])
    assert shown(entries) == "/a/rather/long/path  the host\n    it is so\n"


def test_a_field_that_no_entry_has_is_no_column() -> None:
    entries = Entries(("What", "Mount", "Why"), [Entry("added", name("/a")), Entry("removed", name("/b"))])
    assert (entries.columns, len(entries.rows)) == (("What", "Mount"), 2)


def test_a_table_has_headings_in_capitals_and_numbers_on_the_right() -> None:
    table = Table(("Name", "Mounts"), ((name("a"), "1"), ("bcd", Word("1000", "high"))), right=("Mounts",))
    assert shown(table) == "NAME  MOUNTS\na          1\nbcd     1000\n"
    assert "\x1b[31m1000\x1b[0m" in shown(table, colour=True)


def test_columns_without_a_heading_are_columns_too() -> None:
    assert (
        shown(Table(("", ""), (("Lands on", name("/a")), ("Through", "group 1"))))
        == "Lands on  /a\nThrough   group 1\n"
    )


def tree(*paths: str, below: tuple[int, ...]) -> Tree:
    return Tree({"TARGET": paths}, below, drawn="TARGET", marked=(), marks={})


def test_a_tree_has_branches() -> None:
    made = tree("/", "/a", "/a/b", "/c", "/lost", below=(-1, 0, 1, 0, -1))
    assert shown(made) == "TARGET\n/\n├─/a\n│ └─/a/b\n└─/c\n/lost\n"


def test_no_branch_begins_too_far_on_the_right() -> None:
    made = tree(*("/x",) * 100, below=tuple(range(-1, 99)))
    assert max(map(len, shown(made).splitlines())) == TRUNK + len("└─/x")


def test_the_same_tree_is_a_plain_table_for_others() -> None:
    made = Tree(
        {"TARGET": ["/"], "STATE": ["hidden"]}, [-1], drawn="TARGET", marked=("STATE",), marks={"hidden": "dim"}
    )
    assert made.rows == ((Word("/"), Word("hidden", "dim")),)


def test_what_is_left_out_is_counted_right_below() -> None:
    assert shown(Items(("a",)), Paragraph(More(3))) == "a\nand 3 more (--all)\n"


@pytest.mark.parametrize(
    ("style", "escape"), [("critical", "1;31"), ("high", "31"), ("good", "32"), ("command", "36"), ("name", "1")]
)
def test_colours_say_how_much_it_matters(style: Style, escape: str) -> None:
    assert shown(Paragraph(Word("word", style)), colour=True) == f"\x1b[{escape}mword\x1b[0m\n"


def test_a_blank_between_two_pieces_is_a_blank_and_one_at_the_end_of_a_name_is_seen() -> None:
    assert shown(Paragraph(("on ", name("/a "), " of it"))) == "on /a\\x20 of it\n"


@given(NASTY, st.integers(1, 120), st.booleans())
def test_nothing_in_a_document_reaches_the_terminal_raw(text: str, width: int, colour: bool) -> None:
    blocks: list[Block] = [
        Verdict("FOUND", "high", text),
        Heading((text, name(text))),
        Paragraph((text, Word(text, "dim"))),
        Items((text, name(text))),
        Table(("What",), ((text,), (name(text),))),
        Entries(("Lead", "Words", "Note"), [Entry(text, name(text), text), Entry(name(text), text)]),
        tree(text, text, below=(-1, 0)),
        Prose(text),
    ]
    text = shown(*blocks, width=width, colour=colour)
    plain = text.replace("\x1b[", "") if colour else text
    assert all(character.isprintable() or character == "\n" for character in plain)
