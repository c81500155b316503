"""Columns of text for long lists: aligned as on a terminal, in time linear in the rows.

(A table of rich measures and wraps every cell, which takes minutes for the mounts of a large machine.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from mntscope.base.records import dataclass
from mntscope.output.writers.lines import cells, folded, painted
from mntscope.output.writers.page import Page

GAP = 2
"""Blanks between columns."""
WIDEST = 60
"""Where nothing is folded, a column is no wider: a longer cell shifts the rest of its row."""
ENOUGH = 36
"""A cell that is longer may be folded to this width before another column is left out."""
NARROWEST = 8

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
    """Whether its cells are never folded."""
    runs_over: bool = False
    """Whether a cell that is much longer than others has a line of its own, with the rest of its row below."""
    spare: int | None = None
    """Its place among those that are left out where a terminal is too narrow for all; the lowest goes first."""
    style: Callable[[str], str] | None = None
    """The style (as rich has them) of a cell by its text; empty for none."""
    further: Callable[[str], str] | None = None
    """What stands below a cell where the rest of its row goes on, by its text: a tree's trunks."""


def columns_text(columns: Sequence[Column], rows: Sequence[Sequence[str]], page: Page) -> str:
    """Heading and rows, a line each. The cells must be fit to be shown.

    On a terminal columns are left out, and cells folded at their blanks, until the lines fit its width. Nothing is cut
    off: what has no blank, such as a path, stays whole, and can be copied. Elsewhere every line is as long as it is.
    """
    return set_columns(columns, [[row[at] for row in rows] for at in range(len(columns))], page)


def set_columns(columns: Sequence[Column], texts: Sequence[Sequence[str]], page: Page) -> str:
    """The same of the cells of each column. Long columns often say the same: each text is set once."""
    sizes = [{text: cells(text) for text in set(column)} for column in texts]
    natural = {at: max(len(column.name), max(sizes[at].values(), default=0)) for at, column in enumerate(columns)}
    if page.terminal:
        widths = _fitted(columns, natural, sizes, page.width)
    else:
        widths = {at: min(width, WIDEST) for at, width in natural.items()}
    filled = [_filled(columns[at], texts[at], sizes[at], width, page) for at, width in widths.items()]
    if page.terminal and any(width < natural[at] for at, width in widths.items()):
        lines = [line for row in zip(*filled, strict=True) for line in _on_several_lines(row, columns, widths)]
    else:
        lines = ["".join(row).rstrip(_FILL) for row in zip(*filled, strict=True)]
    return "\n".join([*lines, ""]).replace(_FILL, " ")


def _filled(column: Column, texts: Sequence[str], sizes: Mapping[str, int], width: int, page: Page) -> list[str]:
    """The heading and the cells of a column, each filled up to its *width* and the gap that follows.

    A cell that is folded has a line feed before each further line.
    """

    def line(text: str, size: int, style: str) -> str:
        shown = painted(text, style) if page.colour and text else text
        blanks = _FILL * (width - size)
        return f"{blanks}{shown}{_GAP}" if column.right else f"{shown}{blanks}{_GAP}"

    def filled(text: str, size: int, style: str) -> str:
        if size > width and page.terminal and column.runs_over:
            below = column.further(text) if column.further else ""
            return f"{painted(text, style) if page.colour else text}\n{line(below, cells(below), '')}"
        if size > width and page.terminal and not column.firm:
            return "\n".join(line(part, cells(part), style) for part in folded(text, width))
        return line(text, size, style)

    style = column.style if page.colour else None
    heading = line(column.name, len(column.name), "bold")
    if len(sizes) == len(texts):
        return [heading, *[filled(text, sizes[text], style(text) if style else "") for text in texts]]
    known = {text: filled(text, size, style(text) if style else "") for text, size in sizes.items()}
    return [heading, *[known[text] for text in texts]]


def _on_several_lines(row: Sequence[str], columns: Sequence[Column], widths: Mapping[int, int]) -> Iterator[str]:
    """The lines of a row of which some cells may be folded."""
    if not any("\n" in cell for cell in row):
        yield "".join(row).rstrip(_FILL)
        return
    stacks = [cell.split("\n") for cell in row]
    if len(stacks[0]) > 1 and columns[next(iter(widths))].runs_over:
        yield stacks[0].pop(0)
    for number in range(max(map(len, stacks))):
        parts = []
        for stack, (at, width) in zip(stacks, widths.items(), strict=True):
            further = columns[at].further
            if number < len(stack):
                parts.append(stack[number])
            else:
                below = further(stack[0].rstrip(_FILL)) if further else ""
                parts.append(below + _FILL * (width - cells(below) + GAP))
        yield "".join(parts).rstrip(_FILL)


def _fitted(
    columns: Sequence[Column], natural: dict[int, int], sizes: Sequence[Mapping[str, int]], width: int
) -> dict[int, int]:
    """The columns that are shown, and widths with which they fit in *width*, as far as possible.

    None is narrower than its heading, or than its longest word that no more than :data:`ENOUGH` columns hold.
    """
    firm = {at: wide for at, wide in natural.items() if columns[at].firm and not columns[at].runs_over}
    least = {at: firm.get(at, min(wide, ENOUGH)) for at, wide in natural.items()}
    for _, at in sorted((column.spare, at) for at, column in enumerate(columns) if column.spare is not None):
        if sum(least.values()) + GAP * (len(least) - 1) > width:
            del least[at]
    others = {at: natural[at] for at in least if at not in firm}
    if sum(natural[at] for at in least) + GAP * (len(least) - 1) <= width:
        return {at: natural[at] for at in least}
    words = {
        at: max(NARROWEST, len(columns[at].name), 0 if columns[at].runs_over else _longest_word(sizes[at]))
        for at in others
    }
    room = width - sum(firm[at] for at in least if at in firm) - GAP * (len(least) - 1)
    return least | _reduced(others, room, words)


def _longest_word(texts: Iterable[str]) -> int:
    """The cells of the longest part between blanks, of those that are no longer than :data:`ENOUGH`."""
    words = {word for text in texts for word in text.split(" ")}
    return max((size for size in map(cells, words) if size <= ENOUGH), default=0)


def _reduced(widths: dict[int, int], room: int, floors: Mapping[int, int]) -> dict[int, int]:
    """The widths, the widest reduced until all fit in *room*, but each to no less than its floor."""

    def reduced_to(most: int) -> dict[int, int]:
        return {at: min(width, max(most, floors[at])) for at, width in widths.items()}

    least, most = 0, max(widths.values(), default=0)
    while least < most:
        middle = (least + most + 1) // 2
        if sum(reduced_to(middle).values()) <= room:
            least = middle
        else:
            most = middle - 1
    reduced = reduced_to(least)
    left = room - sum(reduced.values())
    for at, width in widths.items():
        if reduced[at] < width and left > 0:
            reduced[at] += 1
            left -= 1
    return reduced
