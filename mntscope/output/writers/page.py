"""What a report is drawn on."""

from __future__ import annotations

import re

from mntscope.base.records import dataclass
from mntscope.output.writers.lines import Text, painted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from rich.console import RenderableType

    from mntscope.snapshot import Snapshot

# Blanks at the end of a line, resets among them. It looks at each run of blanks once, however long it is.
_FILL = r"(?m)(?<! ) +(?! )(?=(?:\x1b\[0m *)*$)"


@dataclass(frozen=True, slots=True)
class Made:
    """How a document that is to be filed came to be."""

    command: str
    """The command line, for a shell (quoted already)."""
    here: Snapshot
    """The machine that mntscope runs on, now: whose the document is that is about no capture. It has no views."""


@dataclass(frozen=True, slots=True)
class Page:
    """Where a report will be read."""

    width: int = 100
    """Columns."""
    terminal: bool = False
    """Whether a terminal will interpret it: then nothing untrusted may reach it raw."""
    colour: bool = False
    ascii: bool = False
    """Whether trees are drawn in ASCII: the locale has nothing else."""
    everything: bool = False
    """Whether long lists are given in full."""
    rows: Literal["", "aligned", "raw"] = ""
    """For a script: of tables the rows alone, aligned or with one blank between cells; ``""`` for a reader."""
    headings: bool = True
    """Whether a row of headings stands above them."""
    columns: tuple[str, ...] = ()
    """Which columns of the table are to be shown, where some were chosen and there is but one table."""
    labels: bool = False
    """Whether a list of namespaces has the labels of their views: those of a capture are named by them."""
    exact: bool = False
    """Whether CSV has the very bytes, also of a cell that a spreadsheet would run."""
    made: Made | None = None
    """What a document begins with that is to be filed (:mod:`mntscope.output.head`)."""

    def draw(self, *blocks: Text | RenderableType) -> str:
        """The blocks, one below the other, as text; with escape sequences only where there is colour.

        Markup, emoji codes and highlighting are off: text is only ever text.
        """
        return "".join(self._text(block) if isinstance(block, Text) else self._rich(block) for block in blocks)

    def _text(self, text: Text) -> str:
        shown = [
            "".join(painted(part, style) if self.colour else part for part, style in line)
            for line in text.lines(self.width)
        ]
        return "".join(f"{line.rstrip(' ')}\n" for line in shown)

    def _rich(self, renderable: RenderableType) -> str:
        import io

        from rich.console import Console

        drawn = io.StringIO()
        console = Console(
            file=drawn,
            width=self.width,
            force_terminal=self.colour,
            force_jupyter=False,  # what is drawn here is shown elsewhere
            color_system="standard" if self.colour else None,
            markup=False,
            emoji=False,
            highlight=False,
        )
        console.print(renderable)
        # What fills cells up to their width is of no use to anyone, and in the way of copying.
        return re.sub(_FILL, "", drawn.getvalue())
