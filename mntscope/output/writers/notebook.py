"""A document as the output of a notebook's cell: made short, and as HTML, Markdown or text.

A page holds many outputs, and belongs to somebody else: each bears its own style sheet, whose every rule is confined
to it, and no headings, which would end up in the notebook's table of contents. There is no script. What is folded away
is a ``<details>``. Where style sheets are dropped (GitHub, an untrusted notebook), it still reads from top to bottom.

Notebooks do not agree on how to say that they are dark: JupyterLab and nbconvert mark the body, VS Code does it in
another way, and elsewhere only the reader's own preference is known. So the ground is drawn as well as the ink.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TypeVar

from mntscope.base.counting import counted
from mntscope.base.records import dataclass
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
    Table,
    Tree,
    Word,
    Words,
    parts,
    with_content,
)
from mntscope.output.escape import shortened
from mntscope.output.writers import markdown
from mntscope.output.writers.colours import DARK, LIGHT, PICTURE
from mntscope.output.writers.html import escape, inline, markup
from mntscope.output.writers.page import Page
from mntscope.output.writers.terminal import blocks_text

T = TypeVar("T")

ROWS = 12
"""How many rows of a table, or items of a list, are shown before the rest is counted."""
LONGEST = 2000
"""Characters of a command."""
SECTIONS = 12
"""How many parts under a heading of their own are shown before the rest is counted."""
FRAME = ".frame() has all of them"


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing that goes with a document."""

    caption: str
    svg: str
    """An element of :mod:`mntscope.output.graph.svg`."""
    folded: bool = False
    alone: str = ""
    """The same as a file of its own; empty where it only goes with the words."""


@dataclass(frozen=True, slots=True)
class NotebookCell:
    """What a cell shows of a result: its document, made short, and a picture where there is one."""

    document: Document
    picture: Picture | None = None
    rest: str = FRAME
    """Where to find what is left out."""
    text: str = ""
    """What a terminal shows of it, where that is more than the document says: a drawing in characters."""


# ---- as text, Markdown and HTML ----


def as_text(cell: NotebookCell) -> str:
    """For consoles, and wherever else an output is read without markup."""
    if cell.text and len(cell.text) <= 20_000:
        return cell.text.removesuffix("\n")
    title = blocks_text([Paragraph(cell.document.title)], Page())
    return f"{title}{blocks_text(_short(cell), Page())}".removesuffix("\n")


def as_markdown(cell: NotebookCell) -> str:
    """Without headings: those would be headings of the notebook."""
    blocks = [Paragraph(_strong(cell.document.title)), *map(_without_heading, _short(cell))]
    # A document's title is a heading, too: this one has none.
    return markdown.as_markdown(Document("", tuple(blocks))).partition("\n\n")[2]


def as_html(cell: NotebookCell) -> str:
    """One element, with its style sheet."""
    lead, sections = _sections(_short(cell))
    title = [f'<p class="title">{inline(cell.document.title)}</p>', markup(lead)]
    folded = [_folded(heading, blocks, opened=number == 0) for number, (heading, blocks) in enumerate(sections)]
    drawn = [_drawn(cell.picture)] if cell.picture is not None else []
    parts = [*title, *folded, *drawn] if cell.picture is not None and cell.picture.folded else [*title, *drawn, *folded]
    style = _WORDS if cell.picture is None else _WORDS + _DRAWING
    body = "\n".join(part for part in parts if part)
    return f'<div class="{CLASS}">\n<style>\n{style}</style>\n{body}\n</div>'


def _sections(blocks: tuple[Block, ...]) -> tuple[list[Block], list[tuple[Heading, list[Block]]]]:
    """What stands before the first heading, and each heading of level 2 with what follows it."""
    lead: list[Block] = []
    sections: list[tuple[Heading, list[Block]]] = []
    for block in blocks:
        if isinstance(block, Heading) and block.level == 2:
            sections.append((block, []))
        else:
            (sections[-1][1] if sections else lead).append(_without_heading(block))
    return lead, sections


def _without_heading(block: Block) -> Block:
    return Paragraph(_strong(block.words)) if isinstance(block, Heading) else block


def _strong(words: Words) -> Words:
    """The sentence, all of it but names standing out."""
    strong: list[Word] = []
    for part in parts(words):
        if isinstance(part, Word) and part.style in ("name", "command"):
            strong.append(part)
            continue
        text = part if isinstance(part, str) else part.text
        if strong and strong[-1].style == "strong":
            text = strong.pop().text + text
        strong.append(Word(text, "strong"))
    return tuple(strong)


def _folded(heading: Heading, blocks: list[Block], *, opened: bool) -> str:
    inner = markup(blocks)
    return f"<details{' open' if opened else ''}><summary>{inline(heading.words)}</summary>\n{inner}\n</details>"


def _drawn(picture: Picture) -> str:
    drawing = f'<div class="picture">\n{picture.svg}\n</div>'
    if not picture.folded:
        return drawing
    return f"<details><summary>{escape(picture.caption)}</summary>\n{drawing}\n</details>"


# ---- made short ----


def _short(cell: NotebookCell) -> tuple[Block, ...]:
    """The blocks without what is too much for a cell; they say what is left out, and where it is to be found."""
    blocks: list[Block] = []
    sections = 0
    for block in cell.document.blocks:
        if isinstance(block, Heading) and block.level == 2:
            sections += 1
        if sections <= SECTIONS:
            blocks += _cut(block)
    if sections > SECTIONS:
        blocks.append(Paragraph(Word(f"and {counted(sections - SECTIONS, 'more section')}", "dim")))
    return tuple(_counted_once(blocks, cell.rest))


def _cut(block: Block) -> Iterator[Block]:
    """The block, or its beginning and how much more there is of it."""
    match block:
        case Entries():
            yield Entries(block.fields, map(_short_entry, _first(block.entries)))
            yield from _left(block.entries)
        case Tree():
            yield block.first(len(_first(block.below)))
            yield from _left(block.below)
        case Table(columns, rows):
            kept = with_content(columns, (tuple(map(_short_words, row)) for row in _first(rows)))
            yield Table(*kept, block.right, block.firm, block.spare)
            yield from _left(rows)
        case Items(items):
            yield Items(tuple(map(_short_words, _first(items))))
            yield from _left(items)
        case Commands(lines):
            yield Commands(_short_lines(_first(lines)))
            yield from _left(lines)
        case _:
            yield block


def _first(things: Sequence[T]) -> Sequence[T]:
    return things if len(things) <= ROWS + 1 else things[:ROWS]


def _left(things: Sequence[object]) -> Iterator[Block]:
    kept = _first(things)
    if len(kept) < len(things):
        yield Paragraph(More(len(things) - len(kept)))


def _short_entry(entry: Entry) -> Entry:
    (lead,) = _short_words(entry.lead)
    note = _short_words(entry.note) if entry.note else ""
    return Entry(lead, _short_words(entry.words), note, _short_lines(entry.commands))


def _short_lines(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(line if len(line) <= LONGEST else f"# {_too_long(line)}" for line in lines)


def _short_words(words: Words) -> tuple[str | Word, ...]:
    return tuple(map(_short_part, parts(words)))


def _short_part(part: str | Word) -> str | Word:
    """A name is cut in its middle; a command is not: where it is too long for a cell, only that is said."""
    if isinstance(part, str):
        return shortened(part)
    if isinstance(part, More):
        return More(part.count, "")
    if part.style == "command":
        return part if len(part.text) <= LONGEST else Word(_too_long(part.text), "dim")
    return Word(shortened(part.text), part.style)


def _too_long(command: str) -> str:
    return f"a command of {len(command)} characters: too long to be shown here"


def _counted_once(blocks: Sequence[Block], rest: str) -> Iterator[Block]:
    """The blocks; what the document and this writer leave out of one of them is counted together."""
    left, of = 0, ""
    for block, following in zip(blocks, [*blocks[1:], None], strict=False):
        if not (count := _count(block)):
            of = f": {rest}" if isinstance(block, Table) else ""
            yield block
            continue
        left += count
        if not _count(following):
            yield Paragraph(More(left, of))
            left = 0


def _count(block: Block | None) -> int:
    """How much a block says is left out; 0 for one that says something else."""
    return block.words.count if isinstance(block, Paragraph) and isinstance(block.words, More) else 0


# ---- how it looks ----

CLASS = "mntscope"

_GROUND = {
    "paper": "var(--jp-layout-color0, var(--vscode-editor-background, {}))",
    "ink": "var(--jp-content-font-color0, var(--vscode-editor-foreground, {}))",
}
"""The notebook's own colours, where it tells them."""

_DARK = (
    'body[data-jp-theme-light="false"]',
    "body.vscode-dark",
    "body.vscode-high-contrast:not(.vscode-high-contrast-light)",
    'html[data-theme="dark"]',
)
_UNMARKED = "body:not([data-jp-theme-light]):not([data-vscode-theme-kind]):not(.vscode-light)"


def _colours(colours: dict[str, str]) -> str:
    return " ".join(f"--{name}: {_GROUND.get(name, '{}').format(colour)};" for name, colour in colours.items())


# The name twice, so that a notebook's own rules for what it renders (.jp-RenderedHTMLCommon tbody tr:nth-child(odd)) do
# not win.
STYLE = (
    f"""\
.m {{ {_colours(LIGHT)} }}
@media (prefers-color-scheme: dark) {{ {_UNMARKED} .m {{ {_colours(DARK)} }} }}
{", ".join(f"{dark} .m" for dark in _DARK)} {{ {_colours(DARK)} }}
@media print {{ .m {{ {_colours(LIGHT)} }} }}
"""
    """\
.m { background: var(--paper); color: var(--ink); padding: 0.25rem 0.5rem; max-width: 68rem; }
.m { text-align: left; overflow-wrap: anywhere; }
.m { font: 14px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif; }
.m p, .m ul, .m table, .m pre, .m details { margin: 0.35rem 0; color: inherit; font-size: inherit; }
.m p { max-width: 96ch; }
.m a { color: var(--accent); }
.m ul { padding-left: 1.25rem; }
.m > .title { font-weight: 700; font-size: 1.1em; }
.m code, .m pre { font: 12px/1.5 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace; }
.m code, .m pre { color: inherit; background: none; padding: 0; border: 0; }
.m code, .m pre { white-space: pre-wrap; }
.m > .title code { font-size: 0.95em; font-weight: 700; }
.m pre { background: var(--panel); border: 1px solid var(--line); border-radius: 5px; padding: 0.4rem 0.6rem; }
.m table { border-collapse: collapse; border: 0; width: auto; min-width: 50%; table-layout: auto; font-size: 13px; }
.m tbody tr:nth-child(n), .m tbody tr:hover, .m thead tr { background: none; }
.m th, .m td { border: 0; border-bottom: 1px solid var(--line); padding: 0.2rem 1rem 0.2rem 0; color: inherit; }
.m th, .m td { text-align: left; vertical-align: top; min-width: 3.5rem; max-width: 32rem; white-space: normal; }
.m thead th { color: var(--dim); font-weight: 600; white-space: nowrap; border-bottom: 1px solid var(--line); }
.m .scroll { overflow-x: auto; }
.m .picture { overflow: auto; max-height: 36rem; }
.m .picture svg { max-width: none; height: auto; }
.m summary { cursor: pointer; font-weight: 600; }
.m details > :not(summary) { margin-left: 1rem; }
.m .dim { color: var(--dim); }
.m .critical { color: var(--critical); font-weight: 700; }
.m .high { color: var(--high); font-weight: 700; }
.m .medium { color: var(--medium); font-weight: 600; }
.m .low { color: var(--low); }
.m .good { color: var(--good); font-weight: 600; }
"""
)


def _confined(style: str) -> tuple[str, str]:
    """*style* with what it calls ``.m`` under its real name, and the picture's rules inside of it."""
    picture = re.sub(r"\.peers\b", ".m .peers", PICTURE)
    return re.sub(r"\.m\b", f".{CLASS}.{CLASS}", style), re.sub(r"\.m\b", f".{CLASS}", picture)


_WORDS, _DRAWING = _confined(STYLE)
