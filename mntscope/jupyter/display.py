"""How the objects show themselves in a notebook: Jupyter, VS Code, and what is exported from them.

The last expression of a cell that is a snapshot, a view, a mount, a diff, a prediction, a finding .. is shown as a
document: who it is about, what matters of it first, and the rest folded away. It is the document that a command
writes, made short, as text, as Markdown, as HTML, and where it fits as a picture (:func:`mimebundle`); nothing in it
runs, and nothing untrusted is obeyed. What is left out is counted: ``.frame()`` has all of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

from mntscope.analysis.diff import Change, Diff
from mntscope.analysis.diff_captures import CapturesDiff
from mntscope.analysis.holders import Holders
from mntscope.analysis.listing import Listing
from mntscope.analysis.namespaces import NamespaceList, NamespaceStatus
from mntscope.analysis.predict import Prediction
from mntscope.analysis.preview.findings import PreviewFinding
from mntscope.analysis.preview.preview import Preview, PreviewedContainer
from mntscope.base.counting import counted
from mntscope.base.display import Records
from mntscope.graph import Leak, PeerGraph, PeerGroup
from mntscope.isolate import Plan
from mntscope.model import Mount, View
from mntscope.output import diff, diff_captures, holders, isolate, namespaces, phrases, predict, tree
from mntscope.output.audit import AuditReport
from mntscope.output.audit import document as audits
from mntscope.output.document import Document, Paragraph, Table, Words, name
from mntscope.output.graph import Sharing, svg, table
from mntscope.output.preview import document as previews
from mntscope.output.writers.notebook import FRAME, NotebookCell, Picture, as_html, as_markdown, as_text
from mntscope.output.writers.page import Page
from mntscope.propagation import Effect, Outcome
from mntscope.rules import Audit, Finding
from mntscope.snapshot import Snapshot

Bundle = dict[str, str]
"""Representations by media type."""


def mimebundle(thing: object, include: Collection[str] | None = None, exclude: Collection[str] | None = None) -> Bundle:
    """*thing* as ``text/plain``, ``text/markdown``, ``text/html``, and ``image/svg+xml`` where it is a picture.

    Only the types in *include*, if it is given, and none in *exclude*.

    :raises TypeError: it is nothing that shows itself.
    """
    cell = _cell(thing)
    made: dict[str, Callable[[NotebookCell], str]] = {
        "text/plain": as_text,
        "text/markdown": as_markdown,
        "text/html": as_html,
    }
    if cell.picture is not None and cell.picture.alone:
        made["image/svg+xml"] = _picture
    return {
        media: make(cell)
        for media, make in made.items()
        if (not include or media in include) and media not in (exclude or ())
    }


def _picture(cell: NotebookCell) -> str:
    assert cell.picture is not None
    return cell.picture.alone


def _cell(thing: object) -> NotebookCell:
    known = kinds()
    for kind in type(thing).__mro__:
        if kind in known:
            return known[kind](thing)
    raise TypeError(f"{type(thing).__name__} does not show itself in notebooks")


def kinds() -> dict[type, Callable[[Any], NotebookCell]]:
    """The kinds of objects that show themselves in a notebook, with what makes a cell's output of each."""
    known: dict[type, Callable[[Any], NotebookCell]] = {
        Mount: _written(tree.mount_document),
        View: _written(tree.view_document),
        Listing: _written(tree.document, rest="--format csv has all of them"),
        NamespaceList: _written(namespaces.document),
        NamespaceStatus: _written(namespaces.status_document),
        Holders: _written(holders.document),
        Change: lambda change: NotebookCell(_of_one(Change, change, f"{change.kind}: {change.path}")),
        Effect: lambda effect: NotebookCell(
            _of_one(Effect, effect, f"{effect.change} in {effect.namespace}: {effect.path}")
        ),
        Outcome: _written(predict.outcome_document, rest=".effects.frame() has all of them"),
        Preview: _preview,
        PreviewFinding: _written(previews.finding_document, rest=".message, .where and .remedy are all of it"),
        PreviewedContainer: _written(previews.container_document, rest=".view, .steps and .findings have all of it"),
        Prediction: _written(predict.document, rest=".effects.frame() has all of them"),
        Plan: _written(isolate.plan_document),
        Diff: _diff,
        CapturesDiff: _written(diff_captures.document, rest=".changed, .new_leaks and .healed_leaks have all of them"),
        Snapshot: _snapshot,
        Records: _records,
        Audit: _audit,
        Finding: _written(audits.finding_document, rest=".evidence has all of it"),
        Leak: _written(table.leak_document),
        PeerGroup: _written(table.group_document, rest=".members and .slaves have all of them"),
        PeerGraph: _graph,
        Sharing: _sharing,
    }
    if "mntscope.fleet" in sys.modules:
        # It needs libraries that not everybody has: who has something of it to show has them.
        from mntscope.fleet.adding import Added
        from mntscope.fleet.state import FleetDrift, FleetReport
        from mntscope.output.fleet import document as fleets

        known |= {
            Added: _written(fleets.added),
            FleetReport: _written(fleets.report),
            FleetDrift: _written(fleets.drift),
        }
    return known


def _written(document: Callable[[Any, Page], Document], rest: str = FRAME) -> Callable[[Any], NotebookCell]:
    """A cell that shows the document of a thing."""
    return lambda thing: NotebookCell(document(thing, Page()), rest=rest)


def _diff(found: Diff) -> NotebookCell:
    picture = None
    if found.leaks:
        picture = _drawn(PeerGraph.of([found.host, found.target]), found.host.label)
    rest = ".leaks.frame(), .changes.frame() have all of them"
    return NotebookCell(diff.document(found, Page()), picture, rest)


def _snapshot(snapshot: Snapshot) -> NotebookCell:
    document = namespaces.snapshot_document(snapshot, Page())
    picture = _drawn(PeerGraph.of(snapshot.views), snapshot.host_label)
    return NotebookCell(document, picture, ".namespaces.frame() has all of them")


def _audit(audit: Audit) -> NotebookCell:
    # What was audited, and when, is not known here; a report says it.
    report = AuditReport(audit, subject="", when=datetime.now(UTC))
    return NotebookCell(audits.document(report, Page(), evidence=True), text=audits.as_table(report, Page()))


def _preview(found: Preview) -> NotebookCell:
    picture = _drawn(PeerGraph.of(found.snapshot.views), found.snapshot.host_label)
    return NotebookCell(previews.preview_document(found, Page()), picture, ".frame() has all findings")


def _graph(graph: PeerGraph) -> NotebookCell:
    # A graph does not know who plays the host: as in a snapshot, it is the first, unless one is called so.
    labels = [view.label for view in graph.views]
    if not labels:
        return NotebookCell(Document("Peer graph", (Paragraph("No views."),)))
    return _sharing(Sharing(Snapshot(graph.views, "host" if "host" in labels else labels[0]), graph), FRAME)


def _sharing(sharing: Sharing, rest: str = ".graph.frame() has all of them") -> NotebookCell:
    picture = None
    if sharing.folded.roots:
        drawing = svg.element(sharing.folded, sharing.names, unfolded=sharing.everything)
        picture = Picture("Who shares with whom", drawing, alone=svg.as_svg(sharing, Page()))
    return NotebookCell(table.document(sharing, Page()), picture, rest, table.as_table(sharing, Page()))


def _drawn(graph: PeerGraph, host: str) -> Picture | None:
    """A picture to go with something else; none of what is too large, or shares nothing."""
    if sum(len(view.mounts) for view in graph.views) > phrases.QUICK:
        return None
    drawing = svg.svg(graph, host)
    return Picture("Who shares with whom", drawing, folded=True) if drawing else None


_ROWS: dict[type, tuple[str, tuple[str, ...], Callable[[Any], tuple[Words, ...]]]] = {
    Mount: ("mount", tree.MOUNTS, tree.row),
    NamespaceStatus: ("mount namespace", namespaces.HEADINGS, namespaces.row),
    PeerGroup: ("peer group", table.GROUPS, table.group_row),
    Leak: ("leak", table.LEAKS, table.leak_row),
    Change: ("change", diff.CHANGES, diff.change_row),
    Effect: ("effect", predict.EFFECTS, predict.effect_row),
    Finding: ("finding", audits.COLUMNS, audits.row),
    PreviewFinding: ("finding", previews.COLUMNS, previews.row),
}


def _records(several: Records[Any]) -> NotebookCell:
    """How many there are, and the first of them."""
    noun, columns, row = _ROWS.get(several.kind, ("record", ("What",), lambda one: (name(repr(one)),)))
    blocks = phrases.rows(columns, several, row, Page())
    return NotebookCell(Document(counted(len(several), noun), tuple(blocks)))


def _of_one(kind: type, thing: object, title: str) -> Document:
    _, columns, row = _ROWS[kind]
    return Document(title, (Table(columns, (row(thing),)),))
