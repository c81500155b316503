"""What ``mntscope capture`` wrote, in a few lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from mntscope.base.counting import counted
from mntscope.base.records import dataclass
from mntscope.graph.names import namespace_name
from mntscope.model import Origin, View
from mntscope.output import phrases
from mntscope.output.document import Block, Document, Entries, Entry, Paragraph, name
from mntscope.output.formats import Format, documents, table
from mntscope.output.origin import machine, origin_json
from mntscope.output.writers.json import json_text
from mntscope.output.writers.page import Page
from mntscope.snapshot import Snapshot

OWNERS = ("Owner", "Mount namespaces")
MANY = 4
"""How many owners of a kind are named before the rest is counted."""


@dataclass(frozen=True, slots=True)
class Captured:
    """A snapshot, and the file it was written to."""

    snapshot: Snapshot
    file: str

    @property
    def mounts(self) -> int:
        """How many mounts it holds."""
        return sum(len(view.mounts) for view in self.snapshot.views)

    @property
    def processes(self) -> int:
        """How many processes live in its namespaces."""
        return sum(len(view.namespace.processes) for view in self.snapshot.views)


def document(captured: Captured, page: Page) -> Document:
    """How much was written, whose namespaces it is, and what was not seen."""
    return Document(captured.file, tuple(_blocks(captured, page)))


def _blocks(captured: Captured, page: Page) -> Iterator[Block]:
    counts = (
        counted(len(captured.snapshot.views), "mount namespace"),
        counted(captured.mounts, "mount"),
        counted(captured.processes, "process"),
    )
    yield Paragraph((name(captured.file), f": {', '.join(counts)}"))
    if captured.snapshot.origin != Origin():
        yield Paragraph(machine(captured.snapshot))
    yield Entries(OWNERS, _owners(captured.snapshot, page))
    yield from phrases.unseen(captured.snapshot.not_seen, page)


def _owners(snapshot: Snapshot, page: Page) -> Iterator[Entry]:
    """The names of each kind of owner, the host first and namespaces of nobody last."""
    kinds: dict[str, Counter[str]] = {}
    for view in snapshot.views:
        if view.label != snapshot.host_label:
            owner = view.namespace.owner
            kinds.setdefault(owner.kind or "unknown" if owner else "", Counter())[_called(view)] += 1
    yield Entry("host", counted(len(snapshot.host.namespace.processes), "process"))
    for kind, several in sorted(kinds.items(), key=lambda item: (item[0] == "", item[0])):
        found = sorted(several)
        kept = phrases.shown(found, page, MANY)
        words = ", ".join(f"{each} ({several[each]})" if several[each] > 1 else each for each in kept)
        yield Entry(kind or "nobody", phrases.and_more(words, sum(several[each] for each in found[len(kept) :])))


def _called(view: View) -> str:
    """The name of the owner, without its kind, which stands beside it."""
    owner = view.namespace.owner
    if owner is None or not owner.known:
        return namespace_name(view)
    return str(owner).removeprefix(f"{owner.kind} ")


def as_json(captured: Captured, _: Page) -> str:
    """The document ``mntscope.capture/1``: what was written, view by view."""
    snapshot = captured.snapshot
    return json_text(
        "capture",
        {
            "file": captured.file,
            "host": snapshot.host_label,
            "origin": origin_json(snapshot),
            "namespaces": len(snapshot.views),
            "mounts": captured.mounts,
            "processes": captured.processes,
            "views": [_view_json(view) for view in snapshot.views],
            "not_seen": [str(problem) for problem in snapshot.not_seen],
        },
    )


def _view_json(view: View) -> dict[str, Any]:
    owner = view.namespace.owner
    return {
        "label": view.label,
        "owner": str(owner) if owner else None,
        "processes": len(view.namespace.processes),
        "mounts": len(view.mounts),
    }


FORMATS: dict[str, Format[Captured]] = {
    "table": table(document),
    "json": as_json,
    **documents(document, lambda of: (of.snapshot,)),
}
