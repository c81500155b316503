"""The mount tree of a namespace: propagation, and whom each mount shares with and receives from, by name.

Everything here takes time linear in the mounts, the largest tables included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

from mntscope.analysis.listing import BOUND, FEW, NOWHERE, Crossing, Listing, Row
from mntscope.base.counting import agreeing, counted, counted_each
from mntscope.graph import MountTree
from mntscope.graph.names import listed, namespace_name
from mntscope.model import Mount, View
from mntscope.output import phrases
from mntscope.output.document import (
    Block,
    Document,
    Heading,
    Paragraph,
    Style,
    Table,
    Tree,
    Word,
    Words,
    name,
)
from mntscope.output.formats import Format, documents, table
from mntscope.output.phrases import filesystem, tags
from mntscope.output.writers.csv import csv_text
from mntscope.output.writers.json import encoder, indented, json_text, mount_json, problems_json
from mntscope.output.writers.page import Page
from mntscope.parse import format_mountinfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PLACES = 8
"""In JSON no more landing places of one leak are listed; and"""
DEEPEST = 12
"""nothing is nested deeper: what lies below is listed in one ``children``, in which ``parent_id`` tells more.
(A stack of mounts can be as deep as there are mounts.)"""

_NULL = "null"


def document(listing: Listing, page: Page) -> Document:
    """A row a mount, below that of the mount in which it is; then what is to be known about the whole."""
    at = f" at {listing.path}" if listing.path else ""
    return Document(f"Mounts of {listing.in_words}{at}", tuple(_blocks(listing, page)))


def _blocks(listing: Listing, page: Page) -> Iterator[Block]:
    cells = {column: COLUMNS[column](listing) for column in page.columns or (*DEFAULT, *TELLING)}
    if not page.columns:
        cells = {column: texts for column, texts in cells.items() if column in DEFAULT or any(texts)}
    if listing.rows:
        yield Tree(
            cells,
            [row.parent for row in listing.rows],
            drawn="TARGET",
            marked=("PROPAGATION", "STATE", "LEAKS"),
            marks=_MARKS,
            right=_NUMBERS,
            firm=("TARGET", "PROPAGATION", "STATE", *_NUMBERS),
            spare=("SOURCE", "FSTYPE", "PEERS", "STATE") if not page.columns else (),
        )
    yield Paragraph(_summary(listing))
    yield from phrases.unseen(listing.not_seen, page)


def _summary(listing: Listing) -> str:
    """``41 of the 54 mounts of web-1 (docker); 3 are hidden.``: how many, and of whom."""
    rows, total = listing.rows, len(listing.view.mounts)
    count = counted(total, "mount") if len(rows) == total else f"{len(rows)} of the {counted(total, 'mount')}"
    below = f" at or below {listing.path}" if listing.path else ""
    kinds = f" {'is' if len(rows) == 1 else 'are'} {' or '.join(listing.only)}" if listing.only else ""
    states = Counter(row.state for row in rows if row.state)
    # Where the hidden ones were asked for, that has been said.
    known = states if set(listing.only) != {"hidden"} else {}
    also = ", ".join(f"{agreeing(number, 'is', 'are')} {state}" for state, number in known.items())
    return f"{count} of {listing.in_words}{below}{kinds}{f'; {also}' if also else ''}."


# ---- columns ----


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
    there = "" if worst.lands_at[0] == row.mount.mount_point else f" at {worst.lands_at[0]}"
    return phrases.and_more(f"{worst.severity}{there}", row.crossing_count - 1)


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
_MARKS: dict[str, Style] = {
    "shared": "linked",
    "shared,slave": "linked",
    "slave": "linked",
    "overmounted": "dim",
    "hidden": "dim",
    "critical": "critical",
    "high": "high",
    "medium": "medium",
    "from": "high",
}
"""How the first word of a cell stands out, in the columns that say how a mount stands with others."""


# ---- a mount, a view ----

MOUNTS = ("Mount point", "Filesystem", "Options", "Propagation")


def row(mount: Mount) -> tuple[Words, ...]:
    """A mount in a table of :data:`MOUNTS`."""
    return name(mount.mount_point), name(filesystem(mount)), ",".join(mount.options), tags(mount)


def mount_document(mount: Mount, page: Page) -> Document:  # noqa: ARG001 - as any document
    """All that its line of mountinfo says, and what that means."""
    facts: tuple[tuple[Words, ...], ...] = (
        ("Mount point", name(mount.mount_point)),
        ("Filesystem", (name(mount.fs_type), " from ", name(mount.source or '""'), ", device ", name(mount.device))),
        ("Shows", (name(mount.root), " of it")),
        ("Options", (name(",".join(mount.options)), "; of the superblock ", name(",".join(mount.super_options)))),
        ("Propagation", f"{tags(mount)}: {_meaning(mount)}"),
        ("Mount ID", f"{mount.mount_id}, mounted on {mount.parent_id}"),
    )
    line = format_mountinfo([mount]).decode("utf-8", "surrogateescape").removesuffix("\n")
    return Document(
        f"{mount.mount_point}: {mount.fs_type}, {mount.propagation}",
        (Table(("Field", "Value"), facts), Heading("As a line of mountinfo"), Paragraph(name(line))),
    )


def _meaning(mount: Mount) -> str:
    """What the propagation type means for it."""
    said = []
    if mount.peer_group is not None:
        said.append("what is mounted here is mounted at every peer, and the other way round")
    if mount.master is not None:
        said.append("what its master group mounts arrives here, and nothing goes back")
    if not said:
        said.append("nothing that is mounted here leaves, and nothing arrives")
    if mount.unbindable:
        said.append("it cannot be bind mounted")
    return "; ".join(said)


def view_document(view: View, page: Page) -> Document:
    """What is known of a namespace, and its mounts in the order of the table."""
    return Document(f"Mounts of {namespace_name(view)}", tuple(_view_blocks(view, page)))


def _view_blocks(view: View, page: Page) -> Iterator[Block]:
    kinds = Counter(mount.propagation for mount in view.mounts)
    counts = counted_each(kinds.most_common())
    yield Paragraph(f"{counted(len(view.mounts), 'mount')}{f': {counts}' if counts else ''}.")
    if described := ", ".join(_namespace(view)):
        yield Paragraph(f"{described}.")
    whole = MountTree.of(view) if len(view.mounts) <= phrases.QUICK else None

    def with_state(mount: Mount) -> tuple[Words, ...]:
        return *row(mount), Word("hidden", "dim") if whole and whole.hidden(mount) else ""

    yield Heading("Mounts, in the order of the table")
    yield from phrases.rows((*MOUNTS, "State"), view.mounts, with_state, page)
    yield from phrases.unseen(view.problems, page)


def _namespace(view: View) -> Iterator[str]:
    """What is known of the namespace."""
    namespace = view.namespace
    if view.detached:
        yield "A detached tree, in no namespace"
    if namespace.inode is not None:
        yield f"Mount namespace {namespace.inode}"
    if namespace.processes:
        yield counted(len(namespace.processes), "process")
    if namespace.holds:
        yield f"kept by {phrases.and_more(phrases.held_by(namespace.holds[0]), len(namespace.holds) - 1)}"


# ---- for programs ----


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
        self.encoded = encoder()
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
        mount, names, encoded = row.mount, self.names, self.encoded
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
    names = page.columns or tuple(COLUMNS)
    return csv_text(names, zip(*(COLUMNS[name](listing) for name in names), strict=True), page)


FORMATS: dict[str, Format[Listing]] = {
    "table": table(document),
    "json": as_json,
    "csv": as_csv,
    **documents(document, lambda listing: (listing.snapshot,)),
}
