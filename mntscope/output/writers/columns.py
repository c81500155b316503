"""Columns of text for long lists: aligned as on a terminal, in time linear in the rows.

(A table of rich measures and wraps every cell, which takes minutes for the mounts of a large machine.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mntscope.base.records import dataclass
from mntscope.output.writers.lines import cells, painted
from mntscope.output.writers.page import Page

GAP = 2
"""Blanks between columns."""
WIDEST = 60
"""Where nothing is cut off, a column is no wider: a longer cell shifts the rest of its row."""
ENOUGH = 20
"""What is cut off to this width can still be told from its like."""
NARROWEST = 5

_FILL = "\0"
"""What cells are filled up with until the lines are made: their own blanks stay at the end of a line."""
_GAP = _FILL * GAP


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading, and how it is set."""

    name: str
    right: bool = False
    """Whether it is aligned on the right, as numbers are."""
    firm: bool = False
    """Whether, where there is not :data:`ENOUGH` room for all, the others are cut off before it is."""
    spare: bool = False
    """Whether it is left out where a terminal is too narrow for all; the first of these goes first."""
    style: Callable[[str], str] | None = None
    """The style (as rich has them) of a cell by its text; empty for none."""


def columns_text(columns: Sequence[Column], rows: Sequence[Sequence[str]], page: Page) -> str:
    """Heading and rows, a line each. The cells must be fit to be shown.

    On a terminal the lines fit its width: what is too long loses its middle. Elsewhere nothing is cut off.
    """
    return set_columns(columns, [[row[at] for row in rows] for at in range(len(columns))], page)


def set_columns(columns: Sequence[Column], texts: Sequence[Sequence[str]], page: Page) -> str:
    """The same of the cells of each column. Long columns often say the same: each text is set once."""
    sizes = [{text: cells(text) for text in set(column)} for column in texts]
    widths = {at: max(len(column.name), max(sizes[at].values(), default=0)) for at, column in enumerate(columns)}
    if page.terminal:
        widths = _fitted(columns, widths, page.width)
    else:
        widths = {at: min(width, WIDEST) for at, width in widths.items()}
    filled = [_filled(columns[at], texts[at], sizes[at], width, page) for at, width in widths.items()]
    lines = ["".join(row).rstrip(_FILL) for row in zip(*filled, strict=True)]
    return "\n".join([*lines, ""]).replace(_FILL, " ")


def _filled(column: Column, texts: Sequence[str], sizes: Mapping[str, int], width: int, page: Page) -> list[str]:
    """The heading and the cells of a column, each filled up to its *width* and the gap that follows."""

    def filled(text: str, size: int, style: str) -> str:
        shown = text
        if size > width and page.terminal:
            shown = _cut(text, width)
            size = cells(shown)
        if page.colour and shown:
            shown = painted(shown, style)
        blanks = _FILL * (width - size)
        return f"{blanks}{shown}{_GAP}" if column.right else f"{shown}{blanks}{_GAP}"

    style = column.style if page.colour else None
    heading = filled(column.name, len(column.name), "bold")
    if len(sizes) == len(texts):
        return [heading, *[filled(text, sizes[text], style(text) if style else "") for text in texts]]
    known = {text: filled(text, size, style(text) if style else "") for text, size in sizes.items()}
    return [heading, *[known[text] for text in texts]]


def _fitted(columns: Sequence[Column], natural: dict[int, int], width: int) -> dict[int, int]:
    """The columns that are shown, and widths with which they fit in *width*, as far as possible."""
    shown = dict(natural)
    for at in [at for at, column in enumerate(columns) if column.spare]:
        if sum(min(wide, ENOUGH) for wide in shown.values()) + GAP * (len(shown) - 1) > width:
            del shown[at]
    room = width - GAP * (len(shown) - 1)
    fitted = _reduced(shown, room, ENOUGH)
    if sum(fitted.values()) > room:
        firm = {at: min(wide, room // 2) for at, wide in fitted.items() if columns[at].firm}
        others = {at: wide for at, wide in fitted.items() if at not in firm}
        fitted |= firm | _reduced(others, room - sum(firm.values()), NARROWEST)
    return fitted if sum(fitted.values()) <= room else _reduced(shown, room, NARROWEST)


def _reduced(widths: dict[int, int], room: int, least: int) -> dict[int, int]:
    """The widths, the widest reduced until all fit in *room*, but to no less than *least*."""
    most = max(widths.values(), default=0)
    while least < most:
        middle = (least + most + 1) // 2
        if sum(min(width, middle) for width in widths.values()) <= room:
            least = middle
        else:
            most = middle - 1
    left = room - sum(min(width, least) for width in widths.values())
    reduced = {}
    for at, width in widths.items():
        more = 1 if width > least and left > 0 else 0
        left -= more
        reduced[at] = min(width, least + more)
    return reduced


def _cut(text: str, width: int) -> str:
    """*text* in *width* cells: its beginning and its end, and a mark between them."""
    if cells(text) <= width:
        return text
    # A character takes two cells at most; of the text no more than this is looked at.
    head, tail = (width - 1) // 2, width - 1 - (width - 1) // 2
    first, last = text[:head], text[len(text) - tail :] if tail else ""
    while cells(first) > head:
        first = first[:-1]
    while cells(last) > tail:
        last = last[1:]
    return f"{first}…{last}"
