r"""A document as Markdown, for a ticket: GitHub Flavored Markdown, of which CommonMark readers lose only the tables.

Text is escaped so that no name becomes markup, a link, a mention or an image, wherever it stands; names are code spans.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mntscope.output.document import (
    Block,
    Commands,
    Document,
    Facts,
    Heading,
    Items,
    Paragraph,
    Prose,
    Table,
    Word,
    Words,
    parts,
    readable,
    remedy_first,
    together,
)
from mntscope.output.escape import shortened, visible

# What means something in the middle of a line; an underscore only at the end of a word.
_MARKUP = re.compile(r"[\\`*\[\]<&|~$#]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])|:(?=//)|(?<=www)\.")
# And what does at the beginning of a block.
_OPENING = re.compile(r"^([-+=>]|\d+(?=[.)]))")
_BETWEEN = "\u2060"
"""A word joiner, which is not seen: behind an ``@`` it keeps a forge from telling someone of that name."""


def as_markdown(document: Document, facts: Facts = ()) -> str:
    """The whole document: its title, *facts* about it, and what it says."""
    about = Items(tuple(together(f"{term}: ", words) for term, words in facts))
    blocks = [f"# {inline(document.title)}", *map(_block, (about, *remedy_first(document.blocks)))]
    return "\n\n".join(block for block in blocks if block) + "\n"


def inline(words: Words) -> str:
    """A sentence, on one line."""
    return "".join(_word(part) for part in parts(words))


def _block(block: Block) -> str:
    match block:
        case Heading(words, level):
            return f"{'#' * level} {inline(words)}"
        case Paragraph(words):
            return _opened(words)
        case Items(items):
            return "\n".join(f"- {_opened(item)}" for item in items)
        case Table(columns, rows):
            return "\n".join(_rows(columns, rows)) if rows else ""
        case Commands(lines):
            # A command is visible, and so has no line of three backticks of its own.
            return "\n".join(["```sh", *lines, "```"]) if lines else ""
        case Prose(markdown):
            return markdown.strip()


def _opened(words: Words) -> str:
    """The sentence at the beginning of a block, where blanks and signs would say what kind of block it is."""
    return _OPENING.sub(r"\\\1", inline(words).lstrip(" "))


def _rows(columns: tuple[str, ...], rows: tuple[tuple[Words, ...], ...]) -> Iterator[str]:
    yield f"| {' | '.join(map(escape, columns))} |"
    yield f"|{' --- |' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(_cell(cell) for cell in row)} |"


def _cell(words: Words) -> str:
    # A bar divides cells also within a code span, where nothing but the table's own rule takes a backslash.
    return "".join(
        _word(part).replace("|", "\\|") if isinstance(part, Word) and part.style in ("name", "command") else _word(part)
        for part in parts(words)
    )


def _word(part: str | Word) -> str:
    if isinstance(part, str):
        return escape(part)
    if not part.text:
        return ""
    if part.style == "command":
        return _span(part.text)
    if part.style == "name":
        return code(part.text)
    return escape(part.text) if part.style in ("dim", "low", "linked") else f"**{escape(part.text)}**"


def escape(text: str) -> str:
    """Untrusted text as text, for the middle of a line."""
    text = readable(text).replace("@", f"@{_BETWEEN}")
    return _MARKUP.sub(lambda match: f"\\{match[0]}", text)


def code(text: str) -> str:
    """A name as a code span."""
    return _span(shortened(visible(text)))


def _span(text: str) -> str:
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    pad = " " if text.startswith(("`", " ")) or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"
