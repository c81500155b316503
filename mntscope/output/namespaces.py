"""Every mount namespace of a machine: whose it is, what keeps it alive, and how it stands with the host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from mntscope.analysis.diff import Verdict
from mntscope.analysis.namespaces import NamespaceList, NamespaceStatus, namespaces
from mntscope.base.counting import agreeing, counted
from mntscope.graph.names import in_words, namespace_name, process_name
from mntscope.model import Hold, Process, View
from mntscope.output import phrases
from mntscope.output.document import Block, Document, Paragraph, Style, Table, Word, Words, name
from mntscope.output.formats import Format, documents, table
from mntscope.output.writers.csv import csv_text
from mntscope.output.writers.json import json_text, problems_json
from mntscope.output.writers.page import Page
from mntscope.snapshot import Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_STYLES: dict[str, Style] = {"leaks": "critical", "receives": "medium", "isolated": "good"}


def document(found: NamespaceList, page: Page) -> Document:
    """A row a namespace, the worst first; at the end how many there are of each kind."""
    return Document(counted(len(found.namespaces), "mount namespace"), tuple(_blocks(found, page)))


def _blocks(found: NamespaceList, page: Page) -> Iterator[Block]:
    yield from _rows(found, page)
    yield Paragraph(_summary(found))
    yield from phrases.unseen(found.not_seen, page)


def _rows(found: NamespaceList, page: Page) -> Iterator[Block]:
    kept = found.namespaces if page.rows else phrases.shown(found.namespaces, page, phrases.ROWS)
    columns = tuple(NAMES[column] for column in page.columns or (OF_CAPTURES if page.labels else USUAL))
    rows = (tuple(TABLE[column](status) for column in columns) for status in kept)
    spare = () if page.columns else _SPARE
    yield Table(columns, tuple(rows), _RIGHT, tuple(column for column in columns if column != "Worst leak"), spare)
    yield from phrases.more(found.namespaces, kept)


def row(status: NamespaceStatus) -> tuple[Words, ...]:
    """A namespace in a table of :data:`HEADINGS`."""
    return tuple(TABLE[column](status) for column in HEADINGS)


def _plays_host(status: NamespaceStatus) -> bool:
    return status.verdict == "same-namespace"


def _verdict(status: NamespaceStatus) -> Words:
    return "the host" if _plays_host(status) else Word(status.verdict, _STYLES[status.verdict])


def _kept_by(status: NamespaceStatus) -> str:
    """``4711 (nginx)``; where no process lives in it, ``mount /run/snapd/ns/foo.mnt``."""
    if status.processes:
        return process_name(status.processes[0])
    holds = status.view.namespace.holds
    return phrases.and_more(phrases.held_by(holds[0]), len(holds) - 1) if holds else ""


def _worst(status: NamespaceStatus) -> Words:
    outward = [leak for leak in status.leaks if leak.direction != "in"]
    if not outward:
        return ""
    worst = outward[0]
    return Word(worst.severity, worst.severity), " ", name(worst.path), phrases.and_more("", len(outward) - 1)


def _leaks(status: NamespaceStatus, *, but_for: str) -> int:
    return sum(leak.direction != but_for for leak in status.leaks)


def _if_known(number: int | None) -> str:
    return "" if number is None else str(number)


TABLE: dict[str, Callable[[NamespaceStatus], Words]] = {
    "Namespace": lambda status: in_words(status.name),
    "Inode": lambda status: _if_known(status.view.namespace.inode),
    "Processes": lambda status: str(len(status.processes)),
    "Kept by": _kept_by,
    "Mounts": lambda status: str(len(status.view.mounts)),
    "Shared": lambda status: "" if _plays_host(status) else str(status.shared_groups),
    "Verdict": _verdict,
    "Worst leak": _worst,
    "Label": lambda status: name(status.view.label),
    "ID": lambda status: _if_known(status.view.namespace.id),
    "User namespace": lambda status: _if_known(status.view.namespace.user_namespace),
    "Owner": lambda status: str(status.view.namespace.owner or ""),
    "Pod": lambda status: status.view.namespace.owner.pod if status.view.namespace.owner else "",
    "Leaks out": lambda status: str(_leaks(status, but_for="in")),
    "Leaks in": lambda status: str(_leaks(status, but_for="out")),
}
"""What a column says of a namespace."""

HEADINGS = tuple(TABLE)[:8]
"""The columns where none are chosen."""
NAMES = {heading.upper().replace(" ", "-"): heading for heading in TABLE}
"""The columns as they are chosen: ``KEPT-BY``."""
USUAL = tuple(NAMES)[:8]
OF_CAPTURES = (USUAL[0], "LABEL", *USUAL[1:])
_RIGHT = ("Inode", "Processes", "Mounts", "Shared", "ID", "User namespace", "Leaks out", "Leaks in")
_SPARE = ("Inode", "Kept by", "Processes", "Mounts", "Shared", "Label")


def _summary(found: NamespaceList) -> str:
    """``12 mount namespaces: the host's, 2 leak to it, 4 receive from it, 5 are isolated.`` as far as there are any."""
    counts = Counter(status.verdict for status in found.namespaces)
    words: dict[Verdict, tuple[str, str]] = {
        "leaks": ("leaks to it", "leak to it"),
        "receives": ("receives from it", "receive from it"),
        "isolated": ("is isolated", "are isolated"),
    }
    said = [agreeing(counts[kind], one, several) for kind, (one, several) in words.items() if counts[kind]]
    kinds = ", ".join(["the host's", *said])
    return f"{counted(len(found.namespaces), 'mount namespace')}: {kinds}."


def status_document(status: NamespaceStatus, page: Page) -> Document:  # noqa: ARG001 - as any document
    """How one namespace stands with the host, in a row of the same table."""
    verdict = "" if status.verdict == "same-namespace" else f": {status.verdict}"
    return Document(f"Mount namespace of {in_words(status.name)}{verdict}", (Table(HEADINGS, (row(status),), _RIGHT),))


def snapshot_document(snapshot: Snapshot, page: Page) -> Document:
    """A whole machine as it was captured: its namespaces, with what leaks where that is told soon enough."""
    mounts = sum(len(view.mounts) for view in snapshot.views)
    title = f"Snapshot of {counted(len(snapshot.views), 'view')}, {counted(mounts, 'mount')}"
    return Document(title, tuple((_sizes if mounts > phrases.QUICK else _verdicts)(snapshot, page)))


def _verdicts(snapshot: Snapshot, page: Page) -> Iterator[Block]:
    found = namespaces(snapshot)
    yield Paragraph(f"{_circumstances(snapshot)}{_summary(found)}")
    yield from _rows(found, page)
    yield from phrases.unseen(found.not_seen, page)


def _sizes(snapshot: Snapshot, page: Page) -> Iterator[Block]:
    yield Paragraph(f"{_circumstances(snapshot)}It is large: what leaks is left out here. .namespaces works it out.")
    largest = sorted(snapshot.views, key=lambda view: -len(view.mounts))
    yield from phrases.rows(("Namespace", "Processes", "Mounts"), largest, _size, page)
    yield from phrases.unseen(snapshot.not_seen, page)


def _circumstances(snapshot: Snapshot) -> str:
    kernel = f"Linux {snapshot.kernel}. " if snapshot.kernel else ""
    host = f"{namespace_name(snapshot.host)} plays the host. " if snapshot.host_label != "host" else ""
    return kernel + host


def _size(view: View) -> tuple[Words, ...]:
    return namespace_name(view), str(len(view.namespace.processes)), str(len(view.mounts))


# ---- for programs ----


def as_json(found: NamespaceList, _: Page) -> str:
    """The document ``mntscope.ns/1``."""
    return json_text(
        "ns",
        {
            "host": found.host,
            "namespaces": [_status_json(status) for status in found.namespaces],
            "unreadable": problems_json(found.not_seen),
        },
    )


def _status_json(status: NamespaceStatus) -> dict[str, Any]:
    namespace = status.view.namespace
    owner = namespace.owner
    return {
        "label": status.view.label,
        "name": status.name,
        "inode": namespace.inode,
        "id": namespace.id,
        "user_namespace": namespace.user_namespace,
        "owner": str(owner) if owner else None,
        "owner_kind": owner.kind if owner else None,
        "owner_name": owner.name if owner else None,
        "owner_id": owner.id or None if owner else None,
        "pod": owner.pod or None if owner else None,
        "processes": [_process_json(process) for process in status.processes],
        "roots": list(status.roots),
        "holds": [_hold_json(hold) for hold in namespace.holds],
        "mounts": len(status.view.mounts),
        "groups_shared_with_host": status.shared_groups,
        "verdict": status.verdict,
        "severity": status.severity,
        "leaks_out": _leaks(status, but_for="in"),
        "leaks_in": _leaks(status, but_for="out"),
    }


def _process_json(process: Process) -> dict[str, Any]:
    return {
        "pid": process.pid,
        "start_time": process.start_time,
        "comm": process.comm,
        "root": process.root or None,
    }


def _hold_json(hold: Hold) -> dict[str, Any]:
    return {
        "kind": hold.kind,
        "where": hold.where,
        "label": hold.label or None,
        "pid": hold.process.pid if hold.process else None,
        "comm": hold.process.comm if hold.process else None,
    }


COLUMNS = (
    "label", "name", "inode", "id", "user_namespace", "owner", "processes", "kept_by", "mounts",
    "groups_shared_with_host", "verdict", "severity", "leaks_out", "leaks_in",
)  # fmt: skip
"""``processes`` is how many there are."""


def as_csv(found: NamespaceList, page: Page) -> str:
    """A row of :data:`COLUMNS` a namespace."""
    return csv_text(COLUMNS, _csv_rows(found), page)


def _csv_rows(found: NamespaceList) -> Iterator[list[str]]:
    for status in found.namespaces:
        row = {**_status_json(status), "processes": len(status.processes), "kept_by": _kept_by(status)}
        yield ["" if row[column] is None else str(row[column]) for column in COLUMNS]


FORMATS: dict[str, Format[NamespaceList]] = {
    "table": table(document),
    "json": as_json,
    "csv": as_csv,
    **documents(document, lambda found: (found.snapshot,)),
}
