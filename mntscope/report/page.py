"""What a report is drawn on."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import RenderableType

# Blanks at the end of a line, resets among them. It looks at each run of blanks once, however long it is.
_FILL = re.compile(r"(?<! ) +(?! )(?=(?:\x1b\[0m *)*$)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Page:
    """Where a report will be read."""

    width: int = 100
    """Columns."""
    terminal: bool = False
    """Whether a terminal will interpret it: then nothing untrusted may reach it raw."""
    colour: bool = False
    everything: bool = False
    """Whether long lists are given in full."""

    def draw(self, *renderables: RenderableType) -> str:
        """The renderables, one below the other, as text; with escape sequences only where there is colour.

        Markup, emoji codes and highlighting are off: text is only ever text.
        """
        from rich.console import Console
        from rich.text import Text

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
        for renderable in renderables:
            whole = isinstance(renderable, Text) and renderable.no_wrap
            # A line that must not be broken (a command, to be copied) is the terminal's to wrap, not cut off.
            console.print(renderable, no_wrap=whole, overflow="ignore" if whole else None, crop=not whole)
        # What fills cells up to their width is of no use to anyone, and in the way of copying.
        return _FILL.sub("", drawn.getvalue())


Result = TypeVar("Result")

Format = Callable[[Result, Page], str]
"""A format of a report: a function from a command's result, and the page, to text that ends its last line."""
