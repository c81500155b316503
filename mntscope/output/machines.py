"""A whole machine: its mount namespaces, and how each stands with the host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from mntscope.analysis.diff import Verdict
from mntscope.analysis.namespaces import NamespaceList, NamespaceStatus, namespaces
from mntscope.graph import PeerGraph
from mntscope.model import Problem, View
from mntscope.output import namespaces as report
from mntscope.output.document import Block, Heading, Items, Paragraph, Style, Table, Word, Words, listed, name
from mntscope.output.graph.sharing import drawn
from mntscope.output.mounts import called
from mntscope.output.writers.page import Page
from mntscope.output.writers.told import QUICK, Told, counted, tabled, together
from mntscope.snapshot import Snapshot

COLUMNS = ("Namespace", "Processes", "Mounts", "Shared groups", "Verdict", "Worst leak to the host")

NAMESPACES = ".namespaces.frame() has all of them"

_STYLES: dict[str, Style] = {"leaks": "critical", "receives": "medium", "isolated": "good"}


def row(standing: NamespaceStatus) -> tuple[Words, ...]:
    """A namespace in a table of :data:`COLUMNS`."""
    host = standing.verdict == "same-namespace"
    outward = [leak for leak in standing.leaks if leak.direction != "in"]
    worst: Words = ""
    if outward:
        more = f" and {len(outward) - 1:,} more" if len(outward) > 1 else ""
        worst = (Word(outward[0].severity, outward[0].severity), " ", name(outward[0].path), more)
    return (
        standing.name,
        f"{len(standing.processes):,}",
        f"{len(standing.view.mounts):,}",
        "" if host else f"{standing.shared_groups:,}",
        "the host" if host else Word(standing.verdict, _STYLES[standing.verdict]),
        worst,
    )


def _standing(standing: NamespaceStatus) -> Told:
    verdict = "" if standing.verdict == "same-namespace" else f": {standing.verdict}"
    title = (f"Mount namespace of {standing.name}{verdict}",)
    return Told(title, (Table(COLUMNS, (row(standing),)),))


def _census(census: NamespaceList) -> Told:
    blocks = (Paragraph(_verdicts(census)), *tabled(COLUMNS, census.namespaces, row), *unseen(census.not_seen))
    return Told(counted(len(census.namespaces), "mount namespace"), blocks, text=report.as_table(census, Page()))


def _verdicts(census: NamespaceList) -> Words:
    """``Of 12 mount namespaces 2 leak to the host, 4 receive from it, 5 are isolated.``."""
    counts = Counter(standing.verdict for standing in census.namespaces)
    words: tuple[tuple[Verdict, str, str], ...] = (
        ("leaks", "leaks to the host", "leak to the host"),
        ("receives", "receives from the host", "receive from the host"),
        ("isolated", "is isolated", "are isolated"),
    )
    said = [
        Word(f"{counts[verdict]:,} {one if counts[verdict] == 1 else more}", _STYLES[verdict])
        for verdict, one, more in words
        if counts[verdict]
    ]
    if not said:
        return "There is no mount namespace but the host's."
    return together(f"Of {len(census.namespaces) - 1:,} beside the host's, ", listed(said), ".")


def _snapshot(snapshot: Snapshot) -> Told:
    mounts = sum(len(view.mounts) for view in snapshot.views)
    title = f"Snapshot of {counted(len(snapshot.views), 'view')}, {counted(mounts, 'mount')}"
    if mounts > QUICK:
        return Told(title, tuple(_without_verdicts(snapshot)))
    census = namespaces(snapshot)
    blocks = [
        Paragraph(together(_circumstances(snapshot), _verdicts(census))),
        *tabled(COLUMNS, census.namespaces, row, NAMESPACES),
        *unseen(census.not_seen),
    ]
    picture = drawn(PeerGraph.of(snapshot.views), snapshot.host_label, folded=True)
    return Told(title, tuple(blocks), picture)


def _circumstances(snapshot: Snapshot) -> str:
    said = [f"Linux {snapshot.kernel}. "] if snapshot.kernel else []
    said += [f"{called(snapshot.host)} plays the host. "] if snapshot.host_label != "host" else []
    return "".join(said)


def _without_verdicts(snapshot: Snapshot) -> Iterator[Block]:
    yield Paragraph(f"{_circumstances(snapshot)}It is large: what leaks is left out here. .namespaces works it out.")
    largest = sorted(snapshot.views, key=lambda view: -len(view.mounts))
    yield from tabled(("Namespace", "Processes", "Mounts"), largest, _size, NAMESPACES)
    yield from unseen(snapshot.not_seen)


def _size(view: View) -> tuple[Words, ...]:
    return called(view), f"{len(view.namespace.processes):,}", f"{len(view.mounts):,}"


def unseen(problems: Sequence[Problem]) -> tuple[Block, ...]:
    """What was not seen, as a section; nothing where all was."""
    return (Heading("Not seen"), Items(tuple(map(str, problems)))) if problems else ()


TELLERS = {Snapshot: _snapshot, NamespaceList: _census, NamespaceStatus: _standing}
