"""Every mount namespace in one table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from mntscope.analysis.diff import Verdict
from mntscope.analysis.namespaces import NamespaceList, NamespaceStatus
from mntscope.model import Hold, Process
from mntscope.output.escape import visible
from mntscope.output.formats import Format
from mntscope.output.writers.columns import Column, columns_text
from mntscope.output.writers.csv import csv_text
from mntscope.output.writers.json import json_text, problems_json
from mntscope.output.writers.page import Page

SHOWN = 100
"""How many namespaces are listed before the rest is counted; and"""
UNSEEN = 6
"""how many of the things that were not seen."""

_WORDS = {"same-namespace": "the host", "leaks": "leaks", "receives": "receives", "isolated": "isolated"}
_STYLES = {"leaks": "bold red", "receives": "yellow", "isolated": "green"}


def as_table(census: NamespaceList, page: Page) -> str:
    """A line a namespace, the worst first; at the end how many there are of each kind."""
    standings = census.namespaces if page.everything else census.namespaces[:SHOWN]
    unseen = census.not_seen if page.everything else census.not_seen[:UNSEEN]
    columns = (
        Column("NAMESPACE", firm=True),
        Column("INODE", right=True, firm=True, spare=True),
        Column("PROCESSES", right=True, firm=True),
        Column("KEPT BY"),
        Column("MOUNTS", right=True, firm=True),
        Column("SHARED", right=True, firm=True),
        Column("VERDICT", firm=True, style=lambda word: _STYLES.get(word, "")),
        Column("WORST LEAK"),
    )
    lines = [columns_text(columns, [_row(standing) for standing in standings], page)]
    if len(standings) < len(census.namespaces):
        lines.append(f"and {len(census.namespaces) - len(standings)} more (--all)\n")
    lines.append(f"\n{_summary(census)}\n")
    lines += [f"Not seen: {visible(str(problem))}.\n" for problem in unseen]
    if len(unseen) < len(census.not_seen):
        lines.append(f"and {len(census.not_seen) - len(unseen)} more (--all)\n")
    return "".join(lines)


def _row(standing: NamespaceStatus) -> tuple[str, ...]:
    inode = standing.view.namespace.inode
    return (
        visible(standing.name),
        "" if inode is None else str(inode),
        str(len(standing.processes)),
        visible(_kept_by(standing)),
        str(len(standing.view.mounts)),
        "" if standing.verdict == "same-namespace" else str(standing.shared_groups),
        _WORDS[standing.verdict],
        visible(_worst(standing)),
    )


def _kept_by(standing: NamespaceStatus) -> str:
    """``4711 nginx``; where no process lives in it, ``mount /run/snapd/ns/foo.mnt``."""
    if standing.processes:
        return _process(standing.processes[0])
    if not standing.view.namespace.holds:
        return ""
    first, *others = standing.view.namespace.holds
    return f"{_hold(first)} and {len(others)} more" if others else _hold(first)


def _hold(hold: Hold) -> str:
    """``mount /run/ns/kept``, ``fd /proc/4711/fd/7 (sleep)``, ``thread 4712 (worker)``."""
    who = hold.label if hold.kind == "mount" and hold.label != "host" else hold.process.comm if hold.process else ""
    return f"{hold.kind} {hold.where}{f' ({who})' if who else ''}"


def _process(process: Process) -> str:
    return f"{process.pid} {process.comm}".rstrip()


def _worst(standing: NamespaceStatus) -> str:
    outward = [leak for leak in standing.leaks if leak.direction != "in"]
    if not outward:
        return ""
    more = f" and {len(outward) - 1} more" if len(outward) > 1 else ""
    return f"{outward[0].severity} {outward[0].path}{more}"


def _summary(census: NamespaceList) -> str:
    """``12 mount namespaces: the host's, 2 leak to it, 4 receive from it, 5 are isolated.`` as far as there are any."""
    counts = Counter(standing.verdict for standing in census.namespaces)
    words: dict[Verdict, tuple[str, str]] = {
        "leaks": ("leaks to it", "leak to it"),
        "receives": ("receives from it", "receive from it"),
        "isolated": ("is isolated", "are isolated"),
    }
    said = [
        f"{counts[kind]} {one if counts[kind] == 1 else more}" for kind, (one, more) in words.items() if counts[kind]
    ]
    total = len(census.namespaces)
    kinds = ", ".join(["the host's", *said])
    return f"{total} mount namespace{'' if total == 1 else 's'}: {kinds}."


def as_json(census: NamespaceList, _: Page) -> str:
    """The document ``mntscope.ns/1``."""
    return json_text(
        "ns",
        {
            "host": census.host,
            "namespaces": [_standing_json(standing) for standing in census.namespaces],
            "unreadable": problems_json(census.not_seen),
        },
    )


def _standing_json(standing: NamespaceStatus) -> dict[str, Any]:
    namespace = standing.view.namespace
    owner = namespace.owner
    return {
        "label": standing.view.label,
        "name": standing.name,
        "inode": namespace.inode,
        "id": namespace.id,
        "user_namespace": namespace.user_namespace,
        "owner": str(owner) if owner else None,
        "owner_kind": owner.kind if owner else None,
        "owner_name": owner.name if owner else None,
        "owner_id": owner.id or None if owner else None,
        "pod": owner.pod or None if owner else None,
        "processes": [_process_json(process) for process in standing.processes],
        "roots": list(standing.roots),
        "holds": [_hold_json(hold) for hold in namespace.holds],
        "mounts": len(standing.view.mounts),
        "groups_shared_with_host": standing.shared_groups,
        "verdict": standing.verdict,
        "severity": standing.severity,
        "leaks_out": sum(leak.direction != "in" for leak in standing.leaks),
        "leaks_in": sum(leak.direction != "out" for leak in standing.leaks),
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


def as_csv(census: NamespaceList, page: Page) -> str:
    """A row of :data:`COLUMNS` a namespace."""
    return csv_text(COLUMNS, _csv_rows(census), page)


def _csv_rows(census: NamespaceList) -> Iterator[list[str]]:
    for standing in census.namespaces:
        row = {**_standing_json(standing), "processes": len(standing.processes), "kept_by": _kept_by(standing)}
        yield ["" if row[column] is None else str(row[column]) for column in COLUMNS]


FORMATS: dict[str, Format[NamespaceList]] = {"table": as_table, "json": as_json, "csv": as_csv}
