"""The journals of a directory, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence

from mntscope.isolate.undo import Listed
from mntscope.output.escape import visible
from mntscope.output.formats import Format
from mntscope.output.writers.columns import Column, columns_text
from mntscope.output.writers.json import json_text
from mntscope.output.writers.page import Page
from mntscope.output.writers.terminal import Text

COLUMNS = (Column("TIME"), Column("TARGET"), Column("STATE"), Column("TO UNDO"), Column("JOURNAL", firm=True))


def journals_table(listed: Sequence[Listed], page: Page) -> str:
    """A line each, the oldest first."""
    if not listed:
        return page.draw(Text(("NO JOURNALS", "bold green"), "  isolate has changed nothing that undo knows of."))
    return columns_text(COLUMNS, [[visible(cell) for cell in _cells(journal)] for journal in listed], page)


def journals_json(listed: Sequence[Listed], page: Page) -> str:  # noqa: ARG001
    """The document ``mntscope.undo/1``, with nothing done."""
    rows = [
        {
            "journal": journal.journal,
            "time": journal.time or None,
            "pid": journal.pid,
            "namespace": journal.namespace,
            "state": journal.state,
            "to_undo": journal.to_undo,
            "why": journal.why or None,
        }
        for journal in listed
    ]
    return json_text("undo", {"journal": None, "done": [], "notes": [], "journals": rows})


FORMATS: dict[str, Format[Sequence[Listed]]] = {"table": journals_table, "json": journals_json}


def _cells(journal: Listed) -> list[str]:
    target = f"mnt:[{journal.namespace}]" if journal.pid is None else f"process {journal.pid}"
    to_undo = "yes" if journal.to_undo else f"no: {journal.why}" if journal.why else "no"
    if journal.state is None:
        return ["-", "-", "-", to_undo, journal.journal]
    return [journal.time, target, journal.state, to_undo, journal.journal]
