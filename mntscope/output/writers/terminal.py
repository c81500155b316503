"""A document as a terminal, or a file of text, shows it: the verdict first, sections indented, commands to be copied.

The title is left out: it is what was asked. What is untrusted is made visible, and is never cut, but in the cells of a
table that would not fit a terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from mntscope.base.records import replace
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
    Table,
    Tree,
    Verdict,
    Word,
    Words,
    parts,
)
from mntscope.output.escape import visible
from mntscope.output.writers.lines import GUIDES, Piece, Text, cells
from mntscope.output.writers.page import Page

ASIDE = 13
"""Columns: where no lead of an entry is longer, what it says stands aside of it, aligned with that of the others."""
TRUNK = 48
"""Columns: no branch of a tree begins further on the right."""

_SECTION = "  "
_STYLES = {
    "name": "bold",
    "command": "cyan",
    "strong": "bold",
    "dim": "dim",
    "critical": "bold red",
    "high": "red",
    "medium": "yellow",
    "low": "dim",
    "good": "green",
    "linked": "cyan",
}


def as_text(document: Document, page: Page) -> str:
    """The whole document, one block below the other; or its tables alone."""
    if page.rows:
        tables = (block for block in document.blocks if isinstance(block, Table) and not isinstance(block, Entries))
        return "".join(map(partial(_rows_alone, page=page), tables))
    return blocks_text(document.blocks, page)


def blocks_text(blocks: Iterable[Block], page: Page) -> str:
    """The blocks, those under a heading indented."""
    indent, before, text = "", None, ""
    for block in blocks:
        if before is not None and _apart(before, block):
            text += "\n"
        if isinstance(block, Heading):
            lead = _SECTION * (block.level - 2)
            whole = any(isinstance(part, Word) and part.style == "command" for part in parts(block.words))
            text += page.draw(Text(*_pieces(block.words, "bold"), lead=lead, indent=f"{lead}  ", whole=whole))
            indent = _SECTION * (block.level - 1)
        else:
            text += _block(block, page, indent)
        before = block
    return text


def _apart(before: Block, block: Block) -> bool:
    """Whether there is an empty line between the two: not between a sentence and what it speaks of."""
    if isinstance(block, (Heading, Verdict)):
        return not isinstance(before, Heading)
    return not isinstance(before, (Heading, Paragraph)) and not (
        isinstance(block, Paragraph) and isinstance(block.words, More)
    )


def _block(block: Block, page: Page, indent: str) -> str:
    match block:
        case Verdict():
            return page.draw(Text(*_pieces(block.word, "bold"), "  ", *_pieces(block.sentence), indent=indent))
        case Heading(words) | Paragraph(words):
            return page.draw(Text(*_pieces(words), indent=indent))
        case Items(items):
            return page.draw(*(Text(*_pieces(item), lead=indent, indent=f"{indent}  ") for item in items))
        case Entries():
            return page.draw(*_entries(block.entries, indent))
        case Tree():
            return _tree(block, page, indent)
        case Table():
            return _table(block, page, indent)
        case Commands(lines):
            return page.draw(*(_command(line, f"{indent}  ") for line in lines))
        case Prose(markdown):
            return page.draw(Text(_visible_lines(markdown), indent=indent))


def _visible_lines(text: str) -> str:
    """*text* of several lines, each made visible."""
    return "\n".join(map(visible, text.strip().split("\n")))


def _command(line: str, indent: str) -> Text:
    """On a line of its own, which is not broken, so that it can be copied."""
    return Text((line, "cyan"), indent=indent, whole=True)


def _pieces(words: Words, style: str = "") -> list[Piece]:
    return [_piece(part, style) for part in parts(words)]


def _piece(part: str | Word, style: str) -> Piece:
    if isinstance(part, Word):
        own = _STYLES[part.style]
        return visible(part.text), f"{style} {own}".strip() if style and style not in own else own
    # The blank between it and the next piece is no blank at the end.
    bare = part.rstrip(" ")
    return visible(bare) + part[len(bare) :], style


def _entries(entries: tuple[Entry, ...], indent: str) -> Iterator[Text]:
    leads = [_pieces(entry.lead)[0] for entry in entries]
    longest = max((cells(text) for text, _ in leads), default=0)
    for entry, (lead, style) in zip(entries, leads, strict=True):
        said = [*_pieces(entry.words), *_below(entry.note)]
        if longest <= ASIDE:
            further = indent + " " * (longest + 2)
            yield Text(*said, lead=(f"{indent}{lead}{' ' * (longest + 2 - cells(lead))}", style), indent=further)
        else:
            further = f"{indent}    "
            yield Text((lead, style), "  ", *said, lead=indent, indent=further)
        yield from (_command(line, further) for line in entry.commands)


def _below(note: Words) -> list[Piece]:
    """The note of an entry, on a line of its own."""
    return [("\n", ""), *_pieces(note, "dim")] if note else []


def _table(table: Table, page: Page, indent: str) -> str:
    """Columns aligned below headings in capitals; a cell has the colour of what stands out in it."""
    texts, styles = [], []
    for at in range(len(table.columns)):
        column = [_pieces(row[at]) for row in table.rows]
        texts.append(["".join(text for text, _ in pieces) for pieces in column])
        colours = (next((style for _, style in pieces if style not in ("", "bold")), "") for pieces in column)
        styles.append(partial(_marked, dict(zip(texts[-1], colours, strict=True))))
    return _columns(table, texts, styles, page, indent)


def _marked(marks: Mapping[str, str], text: str) -> str:
    return marks.get(text, "")


def _tree(tree: Tree, page: Page, indent: str) -> str:
    """The same of a tree, its branches drawn. Many cells are alike: each text is made visible, and marked, once."""
    marks = {word: _STYLES[style] for word, style in tree.marks.items()}
    first_word = partial(_first_word_marked, marks)
    texts, styles = [], []
    for column, own in tree.cells.items():
        shown = _visible(own)
        if column == tree.drawn:
            branches = _branches(tree.below)
            if page.ascii:
                branches = (branch.translate(_ASCII) for branch in branches)
            shown = [f"{branch}{text}" for branch, text in zip(branches, shown, strict=True)]
        texts.append(shown)
        styles.append(first_word if column in tree.marked else None)
    return _columns(tree, texts, styles, page, indent)


def _first_word_marked(marks: Mapping[str, str], text: str) -> str:
    return marks.get(text.split(" ", 1)[0], "")


def _columns(
    table: Table,
    texts: Sequence[Sequence[str]],
    styles: Sequence[Callable[[str], str] | None],
    page: Page,
    indent: str,
) -> str:
    from mntscope.output.writers.columns import Column, set_columns

    columns = [
        Column(
            column.upper(),
            right=column in table.right,
            firm=column in table.firm,
            spare=table.spare.index(column) if column in table.spare else None,
            style=style,
            further=_trunks if (drawn := isinstance(table, Tree) and column == table.drawn) else None,
            runs_over=drawn,
        )
        for column, style in zip(table.columns, styles, strict=True)
    ]
    text = set_columns(columns, texts, replace(page, width=page.width - len(indent)))
    if not any(table.columns):
        # Nothing to be read above them.
        text = text.partition("\n")[2]
    return "".join(f"{indent}{line}" for line in text.splitlines(keepends=True)) if indent else text


def _rows_alone(table: Table, page: Page) -> str:
    """The rows of a table for a script: nothing is folded, left out or coloured."""
    if page.rows == "aligned":
        text = blocks_text([table], replace(page, terminal=False, colour=False))
        return text if page.headings else text.partition("\n")[2]
    headings = [tuple(column.upper().replace(" ", "-") for column in table.columns)] if page.headings else []
    rows = [[_raw("".join(_text(part) for part in parts(cell))) for cell in row] for row in (*headings, *table.rows)]
    return "".join(f"{' '.join(row)}\n" for row in rows)


def _text(part: str | Word) -> str:
    return part.text if isinstance(part, Word) else part


def _raw(text: str) -> str:
    r"""A cell as one word: blanks, backslashes and what no terminal should get are ``\x20``; an empty one is ``-``."""

    def escaped(character: str) -> str:
        if character.isprintable() and character not in " \\":
            return character
        return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))

    return "".join(map(escaped, text)) or "-"


def _visible(texts: Sequence[str]) -> Sequence[str]:
    together = "".join(texts)
    if together.isascii() and together.isprintable() and " " not in together:
        return texts
    known = {text: visible(text) for text in set(texts)}
    return [known[text] for text in texts]


def _trunks(cell: str) -> str:
    """What stands below a cell of a tree, on a further line of its row: the trunks without the branch."""
    drawn = cell[: len(cell) - len(cell.lstrip(GUIDES))]
    for branch, trunk in (("├─", "│ "), ("└─", "  "), ("|-", "| "), ("`-", "  ")):
        drawn = drawn.replace(branch, trunk)
    return drawn


_ASCII = str.maketrans({"│": "|", "├": "|", "└": "`", "─": "-", "…": "~"})
"""As findmnt(8) has it."""


def _branches(below: Sequence[int]) -> Iterator[str]:
    """What is drawn before each row of a tree: ``│ ├─``."""
    last = {above: row for row, above in enumerate(below)}
    trunks: list[str] = []
    for row, above in enumerate(below):
        if above < 0:
            trunks.append("")
            yield ""
            continue
        trunk, ends = trunks[above], last[above] == row
        deeper = trunk + ("  " if ends else "│ ")
        trunks.append(deeper if len(deeper) <= TRUNK else f"…{deeper[1 - TRUNK :]}")
        yield trunk + ("└─" if ends else "├─")
