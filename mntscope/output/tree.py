"""The mount tree of a view: propagation, and whom each mount shares with and receives from, by name.

Everything here takes time linear in the mounts, the largest tables included.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from mntscope.base.display import Shown
from mntscope.base.paths import normal, under
from mntscope.base.records import NamedTuple, dataclass
from mntscope.graph import GroupNames, Leak, PeerGraph, leaks_in, leaks_to
from mntscope.graph.names import listed
from mntscope.model import Mount, Problem, View
from mntscope.output.escape import visible
from mntscope.output.formats import Format
from mntscope.output.writers.columns import Column, set_columns
from mntscope.output.writers.csv import csv_text
from mntscope.output.writers.indented import encoded, indented
from mntscope.output.writers.json import json_text, mount_json, problems_json
from mntscope.output.writers.page import Page
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
_NULL = "null"


class Crossing(NamedTuple):
    """A leak, and the labels of the views it leads from and to."""

    source: str
    to: str
    leak: Leak


class Row(NamedTuple):
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
    for depth, mount, covered, hidden in tree.walk_states():
        del above[depth:]
        parent = above[-1] if above else NOWHERE
        state = "overmounted" if covered else "hidden" if hidden else ""
        count = counts.get(mount.mount_id, 0)
        row = Row(mount, parent, state, tuple(crossings[mount.mount_id]) if count else (), count)
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


def _sources(listing: Listing) -> list[str]:
    """As findmnt(8) has it: ``/dev/sda1[/dir]``."""
    mounts = [row.mount for row in listing.rows]
    return [mount.source if mount.root == "/" else f"{mount.source}[{mount.root}]" for mount in mounts]


def _masters(listing: Listing) -> list[str]:
    mounts = [row.mount for row in listing.rows]
    group = listing.names.group
    return ["" if mount.master is None else group((mount.device, mount.master)) for mount in mounts]


def _peers(listing: Listing) -> list[str]:
    label, peers = listing.view.label, listing.names.peers
    return ["" if row.mount.peer_group is None else peers(label, row.mount) for row in listing.rows]


def _leaks(row: Row, listing: Listing) -> str:
    """``critical at /srv`` of the host, or without the path where it is the same; there, ``from web-1 (docker)``."""
    view = listing.names.view
    if row.crossings[0].to == listing.view.label:
        sources = dict.fromkeys(crossing.source for crossing in row.crossings)
        return f"from {listed(map(view, sources), len(sources), 1)}"
    worst = row.crossings[0].leak
    more = row.crossing_count - 1
    there = "" if worst.lands_at[0] == row.mount.mount_point else f" at {worst.lands_at[0]}"
    return f"{worst.severity}{there}{f' and {more} more' if more else ''}"


def _numbers(numbers: Iterable[int | None]) -> list[str]:
    return ["" if number is None else str(number) for number in numbers]


COLUMNS: Mapping[str, Callable[[Listing], list[str]]] = {
    "TARGET": lambda listing: [row.mount.mount_point for row in listing.rows],
    "SOURCE": _sources,
    "FSTYPE": lambda listing: [row.mount.fs_type for row in listing.rows],
    "PROPAGATION": lambda listing: [row.mount.propagation for row in listing.rows],
    "PEERS": _peers,
    "MASTER": _masters,
    "STATE": lambda listing: [row.state for row in listing.rows],
    "LEAKS": lambda listing: [_leaks(row, listing) if row.crossings else "" for row in listing.rows],
    "ID": lambda listing: _numbers(row.mount.mount_id for row in listing.rows),
    "PARENT": lambda listing: _numbers(row.mount.parent_id for row in listing.rows),
    "MAJ:MIN": lambda listing: [row.mount.device for row in listing.rows],
    "ROOT": lambda listing: [row.mount.root for row in listing.rows],
    "OPTIONS": lambda listing: [",".join(row.mount.options) for row in listing.rows],
    "SUPER-OPTIONS": lambda listing: [",".join(row.mount.super_options) for row in listing.rows],
    "GROUP": lambda listing: _numbers(row.mount.peer_group for row in listing.rows),
    "MASTER-GROUP": lambda listing: _numbers(row.mount.master for row in listing.rows),
}
"""What can be told of the mounts, row by row, by the names of the columns."""

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
    cells = {name: _visible(COLUMNS[name](listing)) for name in listing.chosen or (*DEFAULT, *TELLING)}
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
    text = set_columns(columns, list(cells.values()), page) if listing.rows else ""
    unseen = listing.not_seen if page.everything else listing.not_seen[:UNSEEN]
    lines = [_summary(listing), *(f"Not seen: {visible(str(problem))}." for problem in unseen)]
    if len(unseen) < len(listing.not_seen):
        lines.append(f"and {len(listing.not_seen) - len(unseen)} more (--all)")
    return text + ("\n" if text else "") + "".join(f"{line}\n" for line in lines)


def _visible(cells: list[str]) -> list[str]:
    """Cells made fit to be shown; most are, and many are alike."""
    together = "".join(cells)
    if together.isascii() and together.isprintable() and " " not in together:
        return cells
    known = {cell: visible(cell) for cell in set(cells)}
    return [known[cell] for cell in cells]


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
    document = json_text(
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
            "tree": [],
            "not_seen": problems_json(listing.not_seen),
        },
    )
    # No line of another field begins so: within a text there are no lines.
    head, tree, tail = document.partition('\n  "tree": [')
    return "".join([head, tree, *_nodes(listing), tail])


def _nodes(listing: Listing) -> Iterator[str]:
    """The nodes, each with its children in it, as text that is written from the first to the last.

    To make a record of each node first, and text of these then, would take four times as long.
    """
    rows, writer = listing.rows, _Nodes(listing)
    depths: list[int] = []
    for row in rows:
        depths.append(0 if row.parent == NOWHERE else min(depths[row.parent] + 1, DEEPEST))
    for row, depth, following in zip(rows, depths, [*depths[1:], NOWHERE], strict=False):
        yield writer.node(row, depth)
        yield writer.after(depth, following)


class _Nodes:
    """Writes nodes, and what stands between them."""

    FIELDS = ("hidden", "overmounted", "peers", "peer_count", "peer_names", "master_name", "leaks", "leak_count")
    """What a node tells beside what :func:`mount_json` does, and its children."""

    def __init__(self, listing: Listing) -> None:
        self.label, self.names = listing.view.label, listing.names
        self.share = max(FEW, BOUND // max(1, len(listing.view.mounts)))
        self.lines = ["\n" + " " * (4 + 4 * depth) for depth in range(DEEPEST + 1)]
        """How a line begins with which a node of each depth begins or ends."""
        fields = [name for row in listing.rows[:1] for name in (*mount_json(row.mount), *self.FIELDS)]
        self.templates = [
            f"{line}{{" + "".join(f'{line}  "{name}": %s,' for name in fields) + f'{line}  "children": ['
            for line in self.lines
        ]
        self.lists: dict[tuple[int, tuple[str, ...]], str] = {}
        self.ends: dict[tuple[int, int], str] = {}

    def node(self, row: Row, depth: int) -> str:
        """The text of a node of this depth, up to its children."""
        mount, names = row.mount, self.names
        line = f"{self.lines[depth]}  "
        peer_count = names.member_count(self.label, mount)
        return self.templates[depth] % (
            mount.mount_id,
            mount.parent_id,
            encoded(mount.device),
            encoded(mount.root),
            encoded(mount.mount_point),
            self._list(mount.options, depth),
            _NULL if mount.peer_group is None else mount.peer_group,
            _NULL if mount.master is None else mount.master,
            _NULL if mount.propagate_from is None else mount.propagate_from,
            "true" if mount.unbindable else "false",
            encoded(mount.fs_type),
            encoded(mount.source),
            self._list(mount.super_options, depth),
            f'"{mount.propagation}"',
            self._list(mount.unknown_tags, depth),
            "true" if row.state else "false",
            "true" if row.state == "overmounted" else "false",
            indented(self._peers(mount), line) if peer_count else "[]",
            peer_count,
            encoded(names.peers(self.label, mount)) if peer_count else '""',
            _NULL if mount.master is None else encoded(names.group((mount.device, mount.master))),
            indented([_leak_json(crossing) for crossing in row.crossings], line) if row.crossings else "[]",
            row.crossing_count,
        )

    def after(self, depth: int, following: int) -> str:
        """What stands between the children of a node and the next node, of the depth *following*."""
        if following > depth:
            return ""
        if (depth, following) not in self.ends:
            ending = range(depth - 1, max(following, 0) - 1, -1)
            above = [f"{self.lines[level]}  ]{self.lines[level]}}}" for level in ending]
            last = "," if following != NOWHERE else "\n  "
            self.ends[depth, following] = f"]{self.lines[depth]}}}{''.join(above)}{last}"
        return self.ends[depth, following]

    def _list(self, words: tuple[str, ...], depth: int) -> str:
        """Options: of a thousand mounts most have the same."""
        if (depth, words) not in self.lists:
            self.lists[depth, words] = indented(list(words), f"{self.lines[depth]}  ")
        return self.lists[depth, words]

    def _peers(self, mount: Mount) -> list[dict[str, Any]]:
        return [
            {
                "namespace": peer.label,
                "name": self.names.view(peer.label),
                "mount_id": peer.mount.mount_id,
                "mount_point": peer.mount.mount_point,
            }
            for peer in islice(self.names.members(self.label, mount), self.share)
        ]


def _leak_json(crossing: Crossing) -> dict[str, Any]:
    return {
        "from": crossing.source,
        "to": crossing.to,
        "path": crossing.leak.path,
        "lands_at": list(crossing.leak.lands_at[:PLACES]),
        "severity": crossing.leak.severity,
    }


def as_csv(listing: Listing, page: Page) -> str:
    """A row a mount, of the columns chosen or else of all."""
    names = listing.chosen or tuple(COLUMNS)
    return csv_text(names, zip(*(COLUMNS[name](listing) for name in names), strict=True), page)


FORMATS: dict[str, Format[Listing]] = {"table": as_table, "json": as_json, "csv": as_csv}
