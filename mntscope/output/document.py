"""A report without a format: sentences, tables and commands, for each writer to set in its own way.

:mod:`mntscope.output.writers` write it. A string here is text and nothing else: whatever it holds (names come from
anyone who may mount), the writers see to it that it is only read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from mntscope.base.records import dataclass
from mntscope.output.escape import shortened, visible

Style = Literal["name", "command", "strong", "dim", "critical", "high", "medium", "low", "good"]


@dataclass(frozen=True, slots=True)
class Word:
    """Text that stands out: a ``name`` as the machine has it, a ``command`` for a shell (quoted already) ..."""

    text: str
    style: Style = "name"


Words = str | Word | tuple[str | Word, ...]
"""A sentence, or what stands in one cell of a table."""


@dataclass(frozen=True, slots=True)
class Heading:
    """Of what follows, up to the next one of its *level*; the document's title is level 1."""

    words: Words
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A sentence or several."""

    words: Words


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: tuple[Words, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of as many cells as there are *columns*."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Words, ...], ...]


@dataclass(frozen=True, slots=True)
class Commands:
    """Lines for a shell, quoted already (:func:`mntscope.output.shell.shell`)."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prose:
    """Paragraphs of ours in Markdown, without headings: the text of a rule. Never anything from a machine."""

    markdown: str


Block = Heading | Paragraph | Items | Table | Commands | Prose


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report."""

    title: str
    blocks: tuple[Block, ...]


def parts(words: Words) -> tuple[str | Word, ...]:
    """The pieces of a sentence."""
    return words if isinstance(words, tuple) else (words,)


def name(text: str) -> Word:
    """A name, as it is."""
    return Word(text)


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
