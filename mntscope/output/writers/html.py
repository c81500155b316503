"""A document as HTML: one file, and the pieces of one for reports that add their own."""

from __future__ import annotations

import html
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from mntscope.output.document import (
    Block,
    Commands,
    Document,
    Heading,
    Items,
    Paragraph,
    Prose,
    Table,
    Word,
    Words,
    parts,
    readable,
)
from mntscope.output.escape import shortened
from mntscope.output.writers.markup import document as whole
from mntscope.output.writers.markup import escape

if TYPE_CHECKING:
    from markdown_it import MarkdownIt


def as_html(document: Document) -> str:
    """The whole document."""
    return whole(document.title, f"<main>\n<h1>{inline(document.title)}</h1>\n{markup(document.blocks)}\n</main>")


def markup(blocks: Iterable[Block]) -> str:
    """The blocks as markup."""
    return "\n".join(map(_block, blocks))


def inline(words: Words) -> str:
    """A sentence as markup."""
    return "".join(_word(part) for part in parts(words))


def _block(block: Block) -> str:
    match block:
        case Heading(words, level):
            return f"<h{level}>{inline(words)}</h{level}>"
        case Paragraph(words):
            return f"<p>{inline(words)}</p>"
        case Items(items):
            return "<ul>\n" + "\n".join(f"<li>{inline(item)}</li>" for item in items) + "\n</ul>"
        case Table(columns, rows):
            return _table(columns, rows) if rows else ""
        case Commands(lines):
            return f"<pre><code>{escape_lines(lines)}</code></pre>" if lines else ""
        case Prose(markdown):
            return prose(markdown)


def escape_lines(lines: Iterable[str]) -> str:
    """Each line escaped by itself: a command must not be cut, nor end another way than it does."""
    return "\n".join(map(escape, lines))


def _table(columns: tuple[str, ...], rows: tuple[tuple[Words, ...], ...]) -> str:
    head = "".join(f'<th scope="col">{inline(column)}</th>' for column in columns)
    body = "\n".join(f"<tr>{''.join(f'<td>{inline(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def _word(part: str | Word) -> str:
    if isinstance(part, str):
        return html.escape(readable(part))
    text = escape(part.text if part.style == "command" else shortened(part.text))
    if part.style in ("name", "command"):
        return f"<code>{text}</code>" if text else ""
    return f"<strong>{text}</strong>" if part.style == "strong" else f'<span class="{part.style}">{text}</span>'


def prose(markdown: str) -> str:
    """A rule's text as markup. Tags in it are text, and of links only those to web pages lead anywhere."""
    return str(_reader().render(markdown)).strip()


@cache
def _reader() -> MarkdownIt:
    from markdown_it import MarkdownIt

    # No images: a page that is opened must not ask another machine for anything.
    return MarkdownIt("commonmark", {"html": False}).disable("image").enable("table")
