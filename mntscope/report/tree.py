"""The mount tree of a view: propagation, and whom each mount shares with and receives from, by name.

Everything here takes time linear in the mounts, the largest tables included.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from mntscope.graph import GroupNames, Leak, MountTree, PeerGraph, leaks_in, leaks_to
from mntscope.graph.names import listed
from mntscope.model import Mount, Problem, View
from mntscope.places import normal, under
from mntscope.report.columns import Column, columns_text
from mntscope.report.csvs import csv_text
from mntscope.report.jsons import json_text, mount_json, problems_json
from mntscope.report.page import Format, Page
from mntscope.report.text import visible
from mntscope.showing import Shown
from mntscope.snapshot import Snapshot

BOUND = 100_000
"""About how many peers, and how many leaks, are listed one by one. n mounts can have n² of each."""
FEW = 3
"""No mount's share of these is smaller."""
PLACES = 8
"""No more landing places of one leak are listed."""
DEEPEST = 12
"""In JSON nothing is nested deeper: what lies below is listed in one ``children``, in which ``parent_id`` tells more.
(A stack of mounts can be as deep as there are mounts.)"""
INDENTED = 48
"""In text no line is indented further."""
UNSEEN = 6
"""How many of the things that were not seen are told before the rest is counted."""

NOWHERE = -1


@dataclass(frozen=True, slots=True)
class Crossing:
    """A leak, and the labels of the views it leads from and to."""

    source: str
    to: str
    leak: Leak


@dataclass(frozen=True, slots=True)
class Row:
    """A mount of the tree."""

    mount: Mount
    parent: int
    """The row of the nearest mount above it that is shown; :data:`NOWHERE` if there is none."""
    state: str
    """``overmounted`` by a mount on its root; ``hidden`` by one on a directory above it; else empty."""
    crossings: tuple[Crossing, ...]
    """Of a mount of the host what reaches it, of another what leaves it for the host; the first of them."""
    crossing_count: int


@dataclass(frozen=True, slots=True)
class Listing(Shown):
    """What is to be shown."""

    view: View
    host: str
    names: GroupNames
    path: str | None
    only: tuple[str, ...]
    rows: tuple[Row, ...]
    not_seen: tuple[Problem, ...]
    chosen: tuple[str, ...] | None = None
    """The columns that were asked for."""

    @property
    def name(self) -> str:
        """The namespace, in words; of the host, which only plays it where it is a file, the view's label."""
        return self.host if self.view.label == self.host else self.names.view(self.view.label)


ONLY: Mapping[str, Callable[[Row], bool]] = {
    "leaking": lambda row: row.crossing_count > 0,
    "shared": lambda row: row.mount.peer_group is not None,
    "slave": lambda row: row.mount.master is not None,
    "private": lambda row: row.mount.propagation == "private",
    "unbindable": lambda row: row.mount.unbindable,
    "hidden": lambda row: bool(row.state),
}
"""The kinds of mounts that can be asked for."""


def listing(
    snapshot: Snapshot,
    label: str,
    path: str | None = None,
    only: Collection[str] = (),
    chosen: tuple[str, ...] | None = None,
) -> Listing:
    """The mounts of a view: all, or those at and below *path* and the one that contains it; *only* of these kinds."""
    graph = PeerGraph.of(snapshot.views)
    tree = graph.tree(label)
    crossings, counts = _crossings(graph, label, snapshot.host_label)
    path = None if path is None else normal(path)
    containing = None if path is None else tree.containing(path)
    rows: list[Row] = []
    # For each depth of the tree the last row that was shown at that depth or, where none was, above.
    above: list[int] = []
    for depth, mount in tree.walk():
        del above[depth:]
        parent = above[-1] if above else NOWHERE
        mine = crossings.get(mount.mount_id, ())
        row = Row(mount, parent, _state(tree, mount), tuple(mine), counts.get(mount.mount_id, 0))
        here = path is None or under(mount.mount_point, path) or mount is containing
        if here and (not only or any(ONLY[kind](row) for kind in only)):
            above.append(len(rows))
            rows.append(row)
        else:
            above.append(parent)
    view = snapshot.view(label)
    problems = [*snapshot.not_seen, *view.problems]
    if sum(counts.values()) >= BOUND:
        problems.append(Problem("there are more leaks than are listed", where=label))
    return Listing(
        view, snapshot.host_label, GroupNames(graph, snapshot.host_label), path, tuple(only), tuple(rows),
        tuple(problems), chosen,
    )  # fmt: skip


def _state(tree: MountTree, mount: Mount) -> str:
    if tree.over(mount) is not None:
        return "overmounted"
    return "hidden" if tree.hidden(mount) else ""


def _crossings(graph: PeerGraph, label: str, host: str) -> tuple[Mapping[int, list[Crossing]], Mapping[int, int]]:
    """By mount ID the leaks that concern a mount of the view, as many as are its share; and how many there are."""
    if graph.same_namespace(label, host):
        pairs = (
            (mount.mount_id, Crossing(source, host, leak))
            for source, found in leaks_to(graph, host).items()
            for leak in found
            if leak.direction != "in"
            for mount in leak.host_mounts
        )
    else:
        pairs = (
            (leak.mount.mount_id, Crossing(label, host, leak))
            for leak in leaks_in(graph, label, host)
            if leak.direction != "in"
        )
    share = max(FEW, BOUND // max(1, len(graph.views[graph.number(label)].mounts)))
    crossings: defaultdict[int, list[Crossing]] = defaultdict(list)
    counts: defaultdict[int, int] = defaultdict(int)
    for mount_id, crossing in islice(pairs, BOUND):
        counts[mount_id] += 1
        if counts[mount_id] <= share:
            crossings[mount_id].append(crossing)
    return crossings, counts


# Columns


def _source(row: Row, _: Listing) -> str:
    """As findmnt(8) has it: ``/dev/sda1[/dir]``."""
    return row.mount.source if row.mount.root == "/" else f"{row.mount.source}[{row.mount.root}]"


def _number(number: int | None) -> str:
    return "" if number is None else str(number)


def _master(row: Row, listing: Listing) -> str:
    return "" if row.mount.master is None else listing.names.group((row.mount.device, row.mount.master))


def _leaks(row: Row, listing: Listing) -> str:
    """``critical at /srv`` of the host, or without the path where it is the same; there, ``from web-1 (docker)``."""
    if not row.crossings:
        return ""
    view = listing.names.view
    if row.crossings[0].to == listing.view.label:
        sources = dict.fromkeys(crossing.source for crossing in row.crossings)
        return f"from {listed(map(view, sources), len(sources), 1)}"
    worst = row.crossings[0].leak
    more = row.crossing_count - 1
    there = "" if worst.lands_at[0] == row.mount.mount_point else f" at {worst.lands_at[0]}"
    return f"{worst.severity}{there}{f' and {more} more' if more else ''}"


COLUMNS: Mapping[str, Callable[[Row, Listing], str]] = {
    "TARGET": lambda row, _: row.mount.mount_point,
    "SOURCE": _source,
    "FSTYPE": lambda row, _: row.mount.fs_type,
    "PROPAGATION": lambda row, _: row.mount.propagation,
    "PEERS": lambda row, listing: listing.names.peers(listing.view.label, row.mount),
    "MASTER": _master,
    "STATE": lambda row, _: row.state,
    "LEAKS": _leaks,
    "ID": lambda row, _: str(row.mount.mount_id),
    "PARENT": lambda row, _: str(row.mount.parent_id),
    "MAJ:MIN": lambda row, _: row.mount.device,
    "ROOT": lambda row, _: row.mount.root,
    "OPTIONS": lambda row, _: ",".join(row.mount.options),
    "SUPER-OPTIONS": lambda row, _: ",".join(row.mount.super_options),
    "GROUP": lambda row, _: _number(row.mount.peer_group),
    "MASTER-GROUP": lambda row, _: _number(row.mount.master),
}
"""What can be told of a mount, by the names of the columns."""

DEFAULT = ("TARGET", "SOURCE", "FSTYPE", "PROPAGATION")
"""The columns that are always shown, and"""
TELLING = ("PEERS", "MASTER", "STATE", "LEAKS")
"""those that are if they have something to tell."""

_NUMBERS = ("ID", "PARENT", "GROUP", "MASTER-GROUP")
_STYLES = {
    "shared": "cyan",
    "shared,slave": "cyan",
    "slave": "cyan",
    "overmounted": "magenta",
    "hidden": "magenta",
    "critical": "bold red",
    "high": "red",
    "medium": "yellow",
    "from": "red",
}


def columns_chosen(text: str) -> tuple[str, ...]:
    """The columns of ``A,B``, or the usual ones and those of ``+A,B``.

    :raises KeyError: there is no such column; its argument is the name.
    """
    names = [name.upper() for name in text.removeprefix("+").split(",") if name]
    for name in names:
        if name not in COLUMNS:
            raise KeyError(name)
    usual = (*DEFAULT, *TELLING) if text.startswith("+") else ()
    return tuple(dict.fromkeys((*usual, *names)))


# Formats


def as_table(listing: Listing, page: Page) -> str:
    """A line a mount, below the line of the mount in which it is; then what is to be known about the whole."""
    cells = {
        name: [visible(COLUMNS[name](row, listing)) for row in listing.rows]
        for name in listing.chosen or (*DEFAULT, *TELLING)
    }
    if listing.chosen is None:
        cells = {name: column for name, column in cells.items() if name in DEFAULT or any(column)}
    if "TARGET" in cells:
        cells["TARGET"] = [
            f"{branch}{path}" for branch, path in zip(_branches(listing.rows), cells["TARGET"], strict=True)
        ]
    columns = [
        Column(
            name,
            right=name in _NUMBERS,
            firm=name in ("TARGET", "PROPAGATION", "STATE", *_NUMBERS),
            spare=name in ("SOURCE", "FSTYPE") and listing.chosen is None,
            style=_style if name in ("PROPAGATION", "STATE", "LEAKS") else None,
        )
        for name in cells
    ]
    text = columns_text(columns, list(zip(*cells.values(), strict=True)), page) if listing.rows else ""
    unseen = listing.not_seen if page.everything else listing.not_seen[:UNSEEN]
    lines = [_summary(listing), *(f"Not seen: {visible(str(problem))}." for problem in unseen)]
    if len(unseen) < len(listing.not_seen):
        lines.append(f"and {len(listing.not_seen) - len(unseen)} more (--all)")
    return text + ("\n" if text else "") + "".join(f"{line}\n" for line in lines)


def _style(cell: str) -> str:
    return _STYLES.get(cell.split(" ", 1)[0], "")


def _branches(rows: Sequence[Row]) -> Iterator[str]:
    """What is drawn before each row's path: ``│ ├─``."""
    last = {row.parent: index for index, row in enumerate(rows)}
    trunks: list[str] = []
    for index, row in enumerate(rows):
        if row.parent == NOWHERE:
            trunks.append("")
            yield ""
            continue
        trunk, ends = trunks[row.parent], last[row.parent] == index
        deeper = trunk + ("  " if ends else "│ ")
        trunks.append(deeper if len(deeper) <= INDENTED else f"…{deeper[1 - INDENTED :]}")
        yield trunk + ("└─" if ends else "├─")


def _summary(listing: Listing) -> str:
    """``41 of the 54 mounts of web-1 (docker), 3 of them hidden.``: how many, and of whom."""
    shown, total = len(listing.rows), len(listing.view.mounts)
    hidden = sum(bool(row.state) for row in listing.rows)
    count = f"{shown} of the {total} mounts" if shown != total else f"{total} mount{'' if total == 1 else 's'}"
    below = f" at or below {visible(listing.path)}" if listing.path else ""
    kinds = f" {'is' if shown == 1 else 'are'} {' or '.join(listing.only)}" if listing.only else ""
    return f"{count} of {visible(listing.name)}{below}{kinds}{f', {hidden} of them hidden' if hidden else ''}."


def as_json(listing: Listing, _: Page) -> str:
    """The document ``mntscope.tree/1``."""
    view = listing.view
    return json_text(
        "tree",
        {
            "host": listing.host,
            "target": view.label,
            "name": listing.name,
            "mount_namespace": view.namespace.inode,
            "path": listing.path,
            "only": list(listing.only),
            "mounts": len(view.mounts),
            "shown": len(listing.rows),
            "tree": _nested(listing),
            "not_seen": problems_json(listing.not_seen),
        },
    )


def _nested(listing: Listing) -> list[dict[str, Any]]:
    top: list[dict[str, Any]] = []
    # For each row the list that takes its children, and how deep that is.
    places: list[tuple[list[dict[str, Any]], int]] = []
    share = max(FEW, BOUND // max(1, len(listing.view.mounts)))
    for row in listing.rows:
        siblings, depth = (top, 0) if row.parent == NOWHERE else places[row.parent]
        node = _node(row, listing, share)
        siblings.append(node)
        places.append((siblings, depth) if depth == DEEPEST else (node["children"], depth + 1))
    return top


def _node(row: Row, listing: Listing, share: int) -> dict[str, Any]:
    label, names = listing.view.label, listing.names
    peers = islice(names.members(label, row.mount), share)
    return {
        **mount_json(row.mount),
        "hidden": bool(row.state),
        "overmounted": row.state == "overmounted",
        "peers": [
            {
                "namespace": peer.label,
                "name": names.view(peer.label),
                "mount_id": peer.mount.mount_id,
                "mount_point": peer.mount.mount_point,
            }
            for peer in peers
        ],
        "peer_count": names.member_count(label, row.mount),
        "peer_names": names.peers(label, row.mount),
        "master_name": None if row.mount.master is None else names.group((row.mount.device, row.mount.master)),
        "leaks": [
            {
                "from": crossing.source,
                "to": crossing.to,
                "path": crossing.leak.path,
                "lands_at": list(crossing.leak.lands_at[:PLACES]),
                "severity": crossing.leak.severity,
            }
            for crossing in row.crossings
        ],
        "leak_count": row.crossing_count,
        "children": [],
    }


def as_csv(listing: Listing, page: Page) -> str:
    """A row a mount, of the columns chosen or else of all."""
    names = listing.chosen or tuple(COLUMNS)
    return csv_text(names, ([COLUMNS[name](row, listing) for name in names] for row in listing.rows), page)


FORMATS: dict[str, Format[Listing]] = {"table": as_table, "json": as_json, "csv": as_csv}
