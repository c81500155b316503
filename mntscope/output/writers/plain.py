"""What is told, as text: for consoles, and wherever else an output is read without markup."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import fill

from mntscope.output.document import Block, Commands, Heading, Items, Paragraph, Prose, Table, Words, parts, readable
from mntscope.output.writers.columns import Column, columns_text
from mntscope.output.writers.page import Page
from mntscope.output.writers.told import Told, shortened

WIDTH = 100
LONGEST = 20_000
"""Characters of a report for the terminal that is still short enough for a cell."""


def as_text(told: Told) -> str:
    """The blocks, or what the report for the terminal says."""
    if told.text and len(told.text) <= LONGEST:
        return told.text.removesuffix("\n")
    return "\n".join([_words(told.title), *(line for block in shortened(told) for line in _lines(block))])


def _lines(block: Block) -> Iterator[str]:
    match block:
        case Heading(words):
            yield f"\n{_words(words)}:"
        case Paragraph(words):
            yield fill(_words(words), WIDTH, break_long_words=False, break_on_hyphens=False)
        case Items(items):
            yield from (f"- {_words(item)}" for item in items)
        case Table(columns, rows):
            cells = [[_words(cell) for cell in row] for row in rows]
            yield columns_text([Column(name) for name in columns], cells, Page(width=WIDTH)).removesuffix("\n")
        case Commands(lines):
            yield from (f"  {line}" for line in lines)
        case Prose(markdown):
            yield markdown.strip()


def _words(words: Words) -> str:
    return "".join(readable(part if isinstance(part, str) else part.text) for part in parts(words))
