"""What undo puts back, and the journals that it could."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mntscope.isolate import Undoing
from mntscope.isolate.undo import Listed
from mntscope.output import phrases
from mntscope.output.document import Block, Document, Items, Table, Verdict
from mntscope.output.formats import Format, documents, table
from mntscope.output.writers.json import json_text
from mntscope.output.writers.page import Page

JOURNALS = ("Time", "Target", "What", "State", "To undo", "Journal")


def document(undoing: Undoing, page: Page) -> Document:
    """What was put back, and what is to be known of it."""
    return Document("What was undone", tuple(_blocks(undoing, page)))


def _blocks(undoing: Undoing, page: Page) -> Iterator[Block]:
    if undoing.done:
        yield Verdict("UNDONE", "good", "all is as it was before.")
        yield Items(undoing.done)
    else:
        yield Verdict("NOTHING TO UNDO", "good", "all is as it was before already.")
    yield from phrases.noted("Notes", [f"{note}." for note in undoing.notes], page)


def journals_document(journals: Sequence[Listed], page: Page) -> Document:  # noqa: ARG001 - as any document
    """The journals of the default directory, a row each, the oldest first; and which of them could be undone."""
    block: Block = Table(JOURNALS, tuple(map(_row, journals)), firm=("Journal",))
    if not journals:
        block = Verdict("NO JOURNALS", "good", "isolate has changed nothing that undo knows of.")
    return Document("Journals of isolate", (block,))


def _row(journal: Listed) -> tuple[str, ...]:
    target = f"mnt:[{journal.namespace}]" if journal.pid is None else f"process {journal.pid}"
    if journal.target:
        target = journal.target
    to_undo = "yes" if journal.to_undo else f"no: {journal.why}" if journal.why else "no"
    if journal.state is None:
        return "-", "-", "-", "-", to_undo, journal.journal
    return journal.time, target, journal.what, journal.state, to_undo, journal.journal


# ---- for programs ----


def undoing_json(undoing: Undoing, page: Page) -> str:  # noqa: ARG001
    """The document ``mntscope.undo/1``."""
    return json_text("undo", {"journal": undoing.journal, "done": list(undoing.done), "notes": list(undoing.notes)})


def journals_json(journals: Sequence[Listed], page: Page) -> str:  # noqa: ARG001
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
            "target": journal.target or None,
            "what": journal.what or None,
        }
        for journal in journals
    ]
    return json_text("undo", {"journal": None, "done": [], "notes": [], "journals": rows})


FORMATS: dict[str, Format[Undoing]] = {"table": table(document), "json": undoing_json, **documents(document, here=True)}
LIST_FORMATS: dict[str, Format[Sequence[Listed]]] = {
    "table": table(journals_document),
    "json": journals_json,
    **documents(journals_document, here=True),
}
