"""What a report is drawn on."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from mntscope.frozen import NamedTuple
from mntscope.report.lines import Text, painted

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mntscope.report.document import Document

# Blanks at the end of a line, resets among them. It looks at each run of blanks once, however long it is.
_FILL = r"(?m)(?<! ) +(?! )(?=(?:\x1b\[0m *)*$)"


class Page(NamedTuple):
    """Where a report will be read."""

    width: int = 100
    """Columns."""
    terminal: bool = False
    """Whether a terminal will interpret it: then nothing untrusted may reach it raw."""
    colour: bool = False
    everything: bool = False
    """Whether long lists are given in full."""
    exact: bool = False
    """Whether CSV has the very bytes, also of a cell that a spreadsheet would run."""

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


Result = TypeVar("Result")

Format = Callable[[Result, Page], str]
"""A format of a report: a function from a command's result, and the page, to text that ends its last line."""


def later(module: str, function: str) -> Format[Any]:
    """The format that *function* of a *module* of this package is; the module is imported when it is called.

    A command writes one format: it need not wait until it has read how to write the others.
    """

    def write(result: Any, page: Page) -> str:
        from importlib import import_module

        text: str = getattr(import_module(f"mntscope.report.{module}"), function)(result, page)
        return text

    return write


def documents(document: Callable[[Result, Page], Document]) -> dict[str, Format[Result]]:
    """The formats of a report that is a *document*, too: Markdown for a ticket, and a page for a folder."""

    def as_markdown(result: Result, page: Page) -> str:
        from mntscope.report.markdown import as_markdown

        return as_markdown(document(result, page))

    def as_html(result: Result, page: Page) -> str:
        from mntscope.report.webpage import as_html

        return as_html(document(result, page))

    return {"markdown": as_markdown, "html": as_html}
