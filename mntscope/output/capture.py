"""What ``mntscope capture`` wrote, in a few lines."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mntscope.base.records import dataclass
from mntscope.model import View
from mntscope.output.escape import visible
from mntscope.output.formats import Format
from mntscope.output.writers.json import json_text
from mntscope.output.writers.page import Page
from mntscope.snapshot import Snapshot

SHOWN = 4
"""How many of a kind are named before the rest is counted."""


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


def as_table(captured: Captured, page: Page) -> str:
    """A line on how much was written, one on whose namespaces it is, and one for each thing that was not seen."""
    views = captured.snapshot.views
    counts = (
        _count(len(views), "mount namespace"),
        _count(captured.mounts, "mount"),
        _count(captured.processes, "process", "es"),
    )
    lines = [f"{visible(captured.file)}: {', '.join(counts)}"]
    lines += [f"  {visible(line)}" for line in _owners(captured.snapshot, page)]
    lines += [f"not seen: {visible(str(problem))}" for problem in captured.snapshot.not_seen]
    return "".join(f"{line}\n" for line in lines)


def _owners(snapshot: Snapshot, page: Page) -> list[str]:
    """``docker: web-1, web-2`` for each kind of owner, the host first and namespaces of nobody last."""
    kinds: dict[str, Counter[str]] = {}
    for view in snapshot.views:
        if view.label != snapshot.host_label:
            owner = view.namespace.owner
            kinds.setdefault(owner.kind or "unknown" if owner else "", Counter())[_name(view)] += 1
    lines = [f"host: {_count(len(snapshot.host.namespace.processes), 'process', 'es')}"]
    for kind, names in sorted(kinds.items(), key=lambda item: (item[0] == "", item[0])):
        known = sorted(names)
        some = [f"{name} ({names[name]})" if names[name] > 1 else name for name in known]
        if len(some) > SHOWN and not page.everything:
            rest = sum(names[name] for name in known[SHOWN:])
            some[SHOWN:] = [f"and {rest} more"]
        lines.append(f"{kind or 'of nobody known'}: {', '.join(some)}".replace(", and", " and"))
    return lines


def _name(view: View) -> str:
    owner = view.namespace.owner
    if owner is None:
        return view.label
    return str(owner).removeprefix(f"{owner.kind} ")


def _count(number: int, noun: str, plural: str = "s") -> str:
    return f"{number} {noun}{'' if number == 1 else plural}"


def as_json(captured: Captured, _: Page) -> str:
    """The same for programs."""
    snapshot = captured.snapshot
    return json_text(
        "capture",
        {
            "file": captured.file,
            "host": snapshot.host_label,
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


FORMATS: dict[str, Format[Captured]] = {"table": as_table, "json": as_json}
