"""A report without a format: sentences, tables and commands, for each writer to set in its own way.

Every result becomes one document, by the function ``document`` of its module, and :mod:`mntscope.output.writers` write
it. A string here is text and nothing else: whatever it holds (names come from anyone who may mount), the writers see
to it that it is only read.

There are six kinds of blocks. A few of them have a kind of their own below (:class:`Verdict` is a paragraph,
:class:`Entries` and :class:`Tree` are tables), which says more than a writer must know: the terminal sets it in
another way, all others as what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from mntscope.base.records import dataclass
from mntscope.output.escape import shortened, visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

Style: TypeAlias = "Literal['name', 'command', 'strong', 'dim', 'critical', 'high', 'medium', 'low', 'good', 'linked']"


@dataclass(frozen=True, slots=True)
class Word:
    """Text that stands out: a ``name`` as the machine has it, a ``command`` for a shell (quoted already) ..

    A severity, ``good`` or ``strong`` say how much it matters, ``dim`` that it matters least, ``linked`` that a mount
    is in a peer group or has a master.
    """

    text: str
    style: Style = "name"


class More(Word):
    """How many things are left out, beside those that are told of; and how to get them."""

    __slots__ = ("count",)
    count: int

    def __init__(self, count: int, rest: str = " (--all)") -> None:
        super().__init__(f"and {count} more{rest}", "dim")
        object.__setattr__(self, "count", count)


Words = str | Word | tuple[str | Word, ...]
"""A sentence, or what stands in one cell of a table."""


@dataclass(frozen=True, slots=True)
class Heading:
    """Of what follows, up to the next one of its *level*; the document's title is level 1."""

    words: Words
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A sentence, or several that belong together."""

    words: Words


@dataclass(frozen=True, slots=True)
class Items:
    """Things of which each is told in a sentence, in no table."""

    items: tuple[Words, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of as many cells as there are *columns*; the other fields name some of these."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Words, ...], ...]
    right: tuple[str, ...] = ()
    """Those that are aligned on the right, as numbers are."""
    firm: tuple[str, ...] = ()
    """Those whose cells are never folded; and"""
    spare: tuple[str, ...] = ()
    """those that are left out where there is not room for all, the first of them first."""


class Verdict(Paragraph):
    """What it comes to, in a word that a reader cannot miss, and in a sentence."""

    __slots__ = ()

    def __init__(self, word: str, style: Style, *sentence: Words) -> None:
        super().__init__((Word(word, style), ": ", *together(*sentence)))

    @property
    def word(self) -> str | Word:
        """The word in capitals, alone."""
        return parts(self.words)[0]

    @property
    def sentence(self) -> Words:
        """What follows the word, and the colon."""
        return parts(self.words)[2:]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing: a word on it, what there is to say, what that means, and what can be done about it."""

    lead: str | Word
    words: Words
    note: Words = ""
    commands: tuple[str, ...] = ()


class Entries(Table):
    """Things of which each takes a sentence or more, and may have commands.

    *fields* are the headings of an entry's fields, as far as these are used: where no entry has a note, there is no
    column for notes.
    """

    __slots__ = ("entries", "fields")
    fields: tuple[str, ...]
    entries: tuple[Entry, ...]

    def __init__(self, fields: tuple[str, ...], entries: Iterable[Entry]) -> None:
        found = tuple(entries)
        cells = [(entry.lead, entry.words, entry.note, _cell(entry.commands)) for entry in found]
        super().__init__(*with_content((*fields, "", "", "", "")[:4], cells))
        object.__setattr__(self, "fields", fields)
        object.__setattr__(self, "entries", found)


def _cell(commands: tuple[str, ...]) -> Words:
    return listed((Word(command, "command") for command in commands), between="; ") if commands else ""


class Tree(Table):
    """A table of things of which each stands below another; a terminal draws the branches before the column *drawn*.

    There may be a million rows, so it is told column by column: *cells* has the texts of each. *below* gives for each
    row the row it stands below, or a negative number where there is none; *marks* the style of a cell in the columns
    *marked*, by the first word in it.
    """

    __slots__ = ("below", "cells", "drawn", "marked", "marks")
    cells: Mapping[str, Sequence[str]]
    below: Sequence[int]
    drawn: str
    marked: tuple[str, ...]
    marks: Mapping[str, Style]

    def __init__(
        self,
        cells: Mapping[str, Sequence[str]],
        below: Sequence[int],
        *,
        drawn: str,
        marked: tuple[str, ...],
        marks: Mapping[str, Style],
        right: tuple[str, ...] = (),
        firm: tuple[str, ...] = (),
        spare: tuple[str, ...] = (),
    ) -> None:
        fields: dict[str, object] = {"columns": tuple(cells), "right": right, "firm": firm, "spare": spare}
        fields |= {"cells": cells, "below": below, "drawn": drawn, "marked": marked, "marks": marks}
        for field, value in fields.items():
            object.__setattr__(self, field, value)

    @property
    def rows(self) -> tuple[tuple[Words, ...], ...]:  # pyright: ignore[reportIncompatibleVariableOverride] - as frozen
        """Its rows, for who sets it as any table: the terminal has no use for them."""
        return tuple(zip(*(self._words(column, texts) for column, texts in self.cells.items()), strict=True))

    def _words(self, column: str, texts: Sequence[str]) -> Iterator[Words]:
        if column == self.drawn:
            return map(Word, texts)
        if column in self.marked:
            return (Word(text, mark) if (mark := self.marks.get(text.split(" ", 1)[0])) else text for text in texts)
        return iter(texts)

    def first(self, count: int) -> Tree:
        """Its first rows, in which what is long has lost its middle."""
        return Tree(
            {column: list(map(shortened, texts[:count])) for column, texts in self.cells.items()},
            self.below[:count],
            drawn=self.drawn,
            marked=self.marked,
            marks=self.marks,
            right=self.right,
            firm=self.firm,
            spare=self.spare,
        )


@dataclass(frozen=True, slots=True)
class Commands:
    """Lines for a shell, quoted already (:func:`mntscope.output.shell.shell`)."""

    lines: tuple[str, ...]


class Remedy(Commands):
    """The commands that matter; the sentence or the heading before them says what they do.

    On a terminal they stand where they are told of, near the prompt; a page has them above everything that is long.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Prose:
    """Paragraphs of ours in Markdown, without headings: the text of a rule. Never anything from a machine."""

    markdown: str


Block = Heading | Paragraph | Items | Table | Commands | Prose


Facts = tuple[tuple[str, Words], ...]
"""Terms, and what there is to say of each."""


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report: what it is about, and the blocks from the first that matters to the last."""

    title: str
    blocks: tuple[Block, ...]


def remedy_first(blocks: Iterable[Block]) -> tuple[Block, ...]:
    """The blocks with each :class:`Remedy`, and what is said of it, before the first heading, table or list."""
    remedies: list[Block] = []
    others: list[Block] = []
    for block in blocks:
        if isinstance(block, Remedy):
            if others and isinstance(before := others[-1], Heading | Paragraph):
                others.pop()
                remedies.append(Paragraph(together(before.words, ":")) if isinstance(before, Heading) else before)
            remedies.append(block)
        else:
            others.append(block)
    at = next((n for n, block in enumerate(others) if isinstance(block, Heading | Table | Items)), len(others))
    return (*others[:at], *remedies, *others[at:])


def parts(words: Words) -> tuple[str | Word, ...]:
    """The pieces of a sentence, also of one that is a single piece."""
    return words if isinstance(words, tuple) else (words,)


def name(text: str) -> Word:
    """A name as the machine has it: the writers make it visible, and set it apart from the words around it."""
    return Word(text)


def together(*words: Words) -> tuple[str | Word, ...]:
    """Several sentences or pieces as one sentence, with nothing between them."""
    return tuple(part for piece in words for part in parts(piece))


def with_content(
    columns: tuple[str, ...], rows: Iterable[tuple[Words, ...]]
) -> tuple[tuple[str, ...], tuple[tuple[Words, ...], ...]]:
    """Columns and rows of a table without the columns in which no row says anything."""
    found = tuple(rows)
    kept = [at for at in range(len(columns)) if any(map(_says, (row[at] for row in found)))]
    return tuple(columns[at] for at in kept), tuple(tuple(row[at] for at in kept) for row in found)


def _says(words: Words) -> bool:
    return any(part if isinstance(part, str) else part.text for part in parts(words))


def listed(things: Iterable[Words], between: str = ", ") -> tuple[str | Word, ...]:
    """The sentences as one: ``a, b, c``."""
    found: list[str | Word] = []
    for thing in things:
        found += [between] if found else []
        found += parts(thing)
    return tuple(found)


def marked(sentence: str, names: Iterable[str]) -> tuple[str | Word, ...]:
    """*sentence* with each of *names* set as one, where it stands as a word of its own; the longest that fits."""
    wanted = sorted({each for each in names if each}, key=len, reverse=True)
    if not wanted:
        return (sentence,)
    pattern = rf"(?<![\w/.])({'|'.join(map(re.escape, wanted))})(?![\w/-])"
    pieces = re.split(pattern, sentence)
    return tuple(Word(piece) if number % 2 else piece for number, piece in enumerate(pieces) if piece)


def readable(text: str) -> str:
    """A piece of a sentence made visible and short. The blank between it and the next piece stays a blank."""
    bare = text.rstrip(" ")
    return shortened(visible(bare)) + " " * min(1, len(text) - len(bare))
