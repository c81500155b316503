"""The picture of a peer graph in the languages of other programs that draw: Graphviz's DOT, and Mermaid."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mntscope.analysis.folding import Crossing
from mntscope.analysis.sharing import Sharing
from mntscope.base.records import NamedTuple
from mntscope.output.escape import visible
from mntscope.output.graph.captions import CLASSES, Row, caption, rows
from mntscope.output.writers.colours import LIGHT
from mntscope.output.writers.page import Page

_COLOURS: dict[Crossing, tuple[str, float]] = {
    "both ways": (LIGHT["critical"], 2.5),
    "to the host": (LIGHT["critical"], 2.5),
    "one way": (LIGHT["medium"], 1.5),
    "": (LIGHT["dim"], 1.0),
}


class _Drawn(NamedTuple):
    row: Row
    number: int
    above: int | None


def as_dot(sharing: Sharing, page: Page) -> str:  # noqa: ARG001
    """A digraph for dot(1)."""
    lines = [
        "digraph peers {",
        '  graph [rankdir=LR, fontname="sans-serif"];',
        '  node [shape=box, style="rounded,filled", fillcolor="#f4f6f8", fontname="sans-serif", fontsize=11];',
    ]
    for row, number, above in _drawn(sharing):
        colour, width = _COLOURS[row.crossing]
        words = caption(row, sharing.names)
        text = "".join(f"{_dot(line)}\\l" for line in (words.title, *words.lines))
        node = row.first
        more = ['style="rounded,filled,dashed"'] if node.kind == "unseen" else []
        more += ["peripheries=2"] if row.several or node.marked else []
        attributes = ", ".join([f'label="{text}"', f'color="{colour}"', f"penwidth={width}", *more])
        lines.append(f"  n{number} [{attributes}];")
        if above is not None:
            lines.append(f'  n{above} -> n{number} [color="{colour}", penwidth={width}];')
    return "\n".join([*lines, "}"]) + "\n"


def as_mermaid(sharing: Sharing, page: Page) -> str:  # noqa: ARG001
    """A flowchart, as Markdown viewers draw it."""
    lines = ["flowchart LR"]
    for row, number, above in _drawn(sharing):
        words = caption(row, sharing.names)
        title, *others = map(_mermaid, (words.title, *words.lines))
        text = "<br/>".join([f"<b>{title}</b>", *others])
        lines.append(f'  n{number}["{text}"]:::{CLASSES[row.crossing]}')
        if above is not None:
            lines.append(f"  n{above} --> n{number}")
    for way, (colour, width) in _COLOURS.items():
        lines.append(f"  classDef {CLASSES[way]} stroke:{colour},stroke-width:{width}px,text-align:left")
    return "\n".join(lines) + "\n"


def _drawn(sharing: Sharing) -> Iterator[_Drawn]:
    """The boxes, numbered, each before those below it."""
    unfolded = sharing.everything
    pending: list[tuple[Row, int | None]] = [
        (row, None) for row in reversed(rows(sharing.folded.roots, unfolded=unfolded))
    ]
    number = 0
    while pending:
        row, above = pending.pop()
        yield _Drawn(row, number, above)
        if not row.several:
            pending.extend((each, number) for each in reversed(rows(row.first.below, unfolded=unfolded)))
        number += 1


def _dot(text: str) -> str:
    # In quoted strings dot knows escapes and HTML's entities.
    return visible(text).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")


def _mermaid(text: str) -> str:
    # Mermaid's labels are Markdown and HTML: whatever could mean something there is given by its number.
    return re.sub(r"[^\w /.,:()-]", lambda found: f"#{ord(found[0])};", visible(text))
