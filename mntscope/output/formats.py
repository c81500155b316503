"""The formats of a report: functions that write it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mntscope.output.writers.page import Page

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias, TypeVar

    from mntscope.output.document import Document, Facts
    from mntscope.snapshot import Snapshot

    Result = TypeVar("Result")

Format: TypeAlias = "Callable[[Result, Page], str]"
"""A format of a report: a function from a command's result, and the page, to text that ends its last line."""


def later(module: str, function: str) -> Format[Any]:
    """The format that *function* of a *module* of this package is; the module is imported when it is called.

    A command writes one format: it need not wait until it has read how to write the others.
    """

    def write(result: Any, page: Page) -> str:
        from importlib import import_module

        text: str = getattr(import_module(f"mntscope.output.{module}"), function)(result, page)
        return text

    return write


def documents(
    document: Callable[[Result, Page], Document],
    about: Callable[[Result], Sequence[Snapshot | None]] = lambda _: (),
    *,
    here: bool = False,
) -> dict[str, Format[Result]]:
    """The formats that every report has that is a *document*: Markdown for a ticket, and a page for a folder.

    *about*: of which snapshots a result is; or it is of the machine that mntscope runs on, *here*.
    """

    def facts(result: Result, page: Page) -> Facts:
        from mntscope.output.head import head

        return head(page, [each for each in about(result) if each is not None], here=here)

    def as_markdown(result: Result, page: Page) -> str:
        from mntscope.output.writers.markdown import as_markdown

        return as_markdown(document(result, page), facts(result, page))

    def as_html(result: Result, page: Page) -> str:
        from mntscope.output.writers.html import as_html

        return as_html(document(result, page), facts(result, page))

    return {"markdown": as_markdown, "html": as_html}


def table(document: Callable[[Result, Page], Document]) -> Format[Result]:
    """The format ``table`` of a report that is a *document*: what a terminal shows of it."""

    def as_table(result: Result, page: Page) -> str:
        from mntscope.output.writers.terminal import as_text

        return as_text(document(result, page), page)

    return as_table
