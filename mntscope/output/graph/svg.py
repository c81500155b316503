"""The picture of a peer graph as SVG: a forest drawn from left to right.

The place of a box follows from those above it and to its left alone, so one walk draws it: a column for each depth, as
wide as its widest box; the first box below another stands beside it, each further one under what is drawn already.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mntscope.analysis.folding import FoldedGraph, fold
from mntscope.analysis.sharing import Sharing
from mntscope.graph import GroupNames, PeerGraph
from mntscope.graph.peers import GroupKey
from mntscope.output.escape import visible
from mntscope.output.graph.captions import CLASSES, Row, caption, rows
from mntscope.output.writers.colours import DARK, LIGHT, PICTURE
from mntscope.output.writers.html import escape
from mntscope.output.writers.page import Page

CELL = 7.8
"""How wide a character is, in pixels: 0.6 of the font's size, in monospaced fonts."""
LINE = 19
PADDING = 10
MARGIN = 6
GAP = 12
BETWEEN = 56
"""Between two columns: room for the lines, and their arrowheads."""
WIDEST = 56
"""Characters of a line in a box; what is longer is cut, and given in full as the box's tooltip."""
LONGEST_TOOLTIP = 2000


@dataclass(slots=True)
class _Box:
    row: Row
    texts: list[str]
    tooltip: str
    depth: int
    top: float
    above: _Box | None

    @property
    def width(self) -> float:
        return 2 * PADDING + CELL * max(map(_cells, self.texts))

    @property
    def right(self) -> float:
        """How far it reaches, with what peeps out behind a box that stands for several nodes."""
        return self.width + (5 if self.row.several else 0)

    @property
    def height(self) -> float:
        return 2 * PADDING + LINE * len(self.texts) - 4


def svg(
    graph: PeerGraph,
    host: str,
    *,
    chosen: Collection[GroupKey] | None = None,
    marked: Collection[GroupKey] = (),
    names: GroupNames | None = None,
) -> str:
    """An ``<svg>`` element for a page that has the style ``PICTURE``: *graph* as seen from the view labelled *host*.

    *chosen*: only these groups, and their slaves; otherwise all that is not within one namespace. *marked*: these stand
    out. Empty where there is nothing to draw.
    """
    folded = fold(graph, host, chosen=chosen, marked=marked)
    return element(folded, names or GroupNames(graph, host)) if folded.roots else ""


def element(folded: FoldedGraph, names: GroupNames, *, unfolded: bool = False, style: str = "") -> str:
    """The same of a graph that is folded already; with a *style* of its own the element can stand alone."""
    boxes = list(_boxes(folded, names, unfolded=unfolded))
    lefts = _lefts(boxes)
    width = max((lefts[box.depth] + box.right for box in boxes), default=0) + 2 * MARGIN
    height = max((box.top + box.height + box.right - box.width for box in boxes), default=0) + 2 * MARGIN
    lines = [line for box in boxes if box.above is not None for line in _edge(box, box.above, lefts)]
    lines += [line for box in boxes for line in _drawn(box, lefts[box.depth])]
    alone = f"<style>{style}</style>\n" if style else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="peers" role="img" aria-label="peer groups"'
        f' width="{width:.0f}" height="{height:.0f}" viewBox="-{MARGIN} -{MARGIN} {width:.0f} {height:.0f}">\n'
        f"{alone}{chr(10).join(lines)}\n</svg>"
    )


def as_svg(sharing: Sharing, page: Page) -> str:  # noqa: ARG001
    """A file of its own, in the colours that its viewer prefers."""
    light, dark = _coloured(PICTURE, LIGHT), _coloured(PICTURE, DARK)
    style = f"svg {{ background: {LIGHT['paper']}; }}\n{light}"
    style += f"@media (prefers-color-scheme: dark) {{\nsvg {{ background: {DARK['paper']}; }}\n{dark}}}\n"
    return element(sharing.folded, sharing.names, unfolded=sharing.everything, style=style) + "\n"


def _boxes(folded: FoldedGraph, names: GroupNames, *, unfolded: bool) -> Iterator[_Box]:
    """The boxes, each before those below it."""
    floor = 0.0
    beside: _Box | None = None
    pending: list[tuple[Row, int, _Box | None]] = [
        (row, 0, None) for row in reversed(rows(folded.roots, unfolded=unfolded))
    ]
    while pending:
        row, depth, above = pending.pop()
        # The first one below another stands beside it, any other below what has been drawn.
        top = above.top if above is not None and above is beside else floor
        words = caption(row, names)
        texts = [_cut(visible(text), WIDEST) for text in (words.title, *words.lines)]
        box = _Box(row, texts, visible("; ".join((words.title, *words.lines)))[:LONGEST_TOOLTIP], depth, top, above)
        floor = max(floor, top + box.height + GAP)
        beside = box
        yield box
        if not row.several:
            inner = rows(row.first.below, unfolded=unfolded)
            pending.extend((each, depth + 1, box) for each in reversed(inner))


def _lefts(boxes: Sequence[_Box]) -> list[float]:
    """The left edge of each column."""
    widths: list[float] = []
    for box in boxes:
        widths.extend([0.0] * (box.depth + 1 - len(widths)))
        widths[box.depth] = max(widths[box.depth], box.width)
    lefts = [0.0]
    for width in widths:
        lefts.append(lefts[-1] + width + BETWEEN)
    return lefts


def _edge(box: _Box, above: _Box, lefts: Sequence[float]) -> Iterator[str]:
    """From the box above to this one: along the top of both, and down the gap between the columns."""
    kind = CLASSES[box.row.crossing]
    start, end = lefts[above.depth] + above.width, lefts[box.depth]
    middle = end - BETWEEN / 2
    level, landing = above.top + PADDING + LINE / 2, box.top + PADDING + LINE / 2
    yield f'<path class="{kind}" d="M{start:.1f} {level:.1f}H{middle:.1f}V{landing:.1f}H{end - 8:.1f}"/>'
    yield f'<path class="arrow {kind}" d="M{end - 2:.1f} {landing:.1f}l-9 -5v10z"/>'


def _drawn(box: _Box, left: float) -> Iterator[str]:
    yield f'<g class="{box.row.classes}"><title>{escape(box.tooltip)}</title>'
    if box.row.several:
        yield _frame(left + 5, box.top + 5, box)
    yield _frame(left, box.top, box)
    for number, text in enumerate(box.texts):
        passes = box.row.crossing and number == len(box.texts) - 1
        kind = "title" if number == 0 else "passes" if passes else "line"
        at = f'x="{left + PADDING:.1f}" y="{box.top + PADDING + LINE * number + 13:.1f}"'
        yield f'<text class="{kind}" {at}>{escape(text)}</text>'
    yield "</g>"


def _frame(left: float, top: float, box: _Box) -> str:
    return f'<rect x="{left:.1f}" y="{top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="6"/>'


def _cells(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _cut(text: str, cells: int) -> str:
    from rich.cells import set_cell_size

    return text if _cells(text) <= cells else set_cell_size(text, cells - 1).rstrip() + "…"


def _coloured(style: str, colours: Mapping[str, str]) -> str:
    """*style* for programs that know no variables."""
    return re.sub(r"var\(--(\w+)\)", lambda found: colours[found[1]], style)
