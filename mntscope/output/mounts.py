"""A mount, and the mounts of one namespace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from mntscope.graph import MountTree
from mntscope.model import Mount, View
from mntscope.output import tree
from mntscope.output.document import Block, Heading, Items, Paragraph, Table, Word, Words, name
from mntscope.output.tree import Listing, Row
from mntscope.output.writers.page import Page
from mntscope.output.writers.told import QUICK, Told, counted, filesystem, tabled, tags
from mntscope.parse import format_mountinfo

COLUMNS = ("Mount point", "Filesystem", "Options", "Propagation")


def row(mount: Mount) -> tuple[Words, ...]:
    """A mount in a table of :data:`COLUMNS`."""
    return name(mount.mount_point), filesystem(mount), ",".join(mount.options), tags(mount)


def _mount(mount: Mount) -> Told:
    facts: list[tuple[Words, ...]] = [
        ("Mount point", name(mount.mount_point)),
        ("Filesystem", (name(mount.fs_type), " from ", name(mount.source or '""'), ", device ", name(mount.device))),
        ("Shows", (name(mount.root), " of it")),
        ("Options", (name(",".join(mount.options)), "; of the superblock ", name(",".join(mount.super_options)))),
        ("Propagation", f"{tags(mount)}: {_said(mount)}"),
        ("Mount ID", f"{mount.mount_id}, mounted on {mount.parent_id}"),
    ]
    title: Words = (name(mount.mount_point), ": ", name(mount.fs_type), f", {mount.propagation}")
    line = format_mountinfo([mount]).decode("utf-8", "surrogateescape").removesuffix("\n")
    blocks: list[Block] = [Table(("Field", "Value"), tuple(facts))]
    blocks += [Heading("As a line of mountinfo"), Paragraph(name(line))]
    return Told(title, tuple(blocks))


def _said(mount: Mount) -> str:
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


def _view(view: View) -> Told:
    kinds = Counter(mount.propagation for mount in view.mounts)
    counts = ", ".join(f"{number:,} {kind}" for kind, number in kinds.most_common())
    blocks: list[Block] = [Paragraph(f"{counted(len(view.mounts), 'mount')}{f': {counts}' if counts else ''}.")]
    if described := ", ".join(_namespace(view)):
        blocks.append(Paragraph(f"{described}."))
    whole = MountTree.of(view) if len(view.mounts) <= QUICK else None

    def with_state(mount: Mount) -> tuple[Words, ...]:
        return *row(mount), Word("hidden" if whole and whole.hidden(mount) else "", "dim")

    blocks.append(Heading("Mounts, in the order of the table"))
    blocks += tabled((*COLUMNS, ""), view.mounts, with_state)
    if view.problems:
        blocks += [Heading("Not seen"), Items(tuple(map(str, view.problems)))]
    return Told(f"Mounts of {called(view)}", tuple(blocks))


def called(view: View) -> str:
    """A view in words: ``host``, ``4711 (nginx, docker web-1)``."""
    owner, process = view.namespace.owner, view.process
    words = [process.comm] if process and process.comm else []
    words += [str(owner)] if owner and owner.known else []
    return view.label + (f" ({', '.join(words)})" if words and view.label != "host" else "")


def _namespace(view: View) -> Iterator[str]:
    """What is known of the namespace."""
    namespace = view.namespace
    if view.detached:
        yield "A detached tree, in no namespace"
    if namespace.inode is not None:
        yield f"Mount namespace {namespace.inode}"
    if namespace.processes:
        yield counted(len(namespace.processes), "process", "es")
    for hold in namespace.holds[:1]:
        more = f" and {len(namespace.holds) - 1} more" if len(namespace.holds) > 1 else ""
        yield f"kept by {hold.kind} {hold.where}{more}"


def _listing(listing: Listing) -> Told:
    told = Counter(row.state for row in listing.rows if row.state)
    counts = "".join(f", {number:,} {state}" for state, number in told.items())
    blocks: list[Block] = [Paragraph(f"{counted(len(listing.rows), 'mount')}{counts}.")]

    def with_peers(row: Row) -> tuple[Words, ...]:
        mount = row.mount
        leak = next((Word(each.leak.severity, each.leak.severity) for each in row.crossings), "")
        peers = listing.names.peers(listing.view.label, mount)
        return name(mount.mount_point), filesystem(mount), tags(mount), peers, Word(row.state, "dim"), leak

    columns = ("Mount point", "Filesystem", "Propagation", "Peers", "State", "Leaks")
    blocks += tabled(columns, listing.rows, with_peers, "--format csv has all of them")
    if listing.not_seen:
        blocks += [Heading("Not seen"), Items(tuple(map(str, listing.not_seen)))]
    title = f"Mounts of {listing.name}" + (f" at {listing.path}" if listing.path else "")
    return Told(title, tuple(blocks), text=tree.FORMATS["table"](listing, Page()))


TELLERS: dict[type, Callable[[Any], Told]] = {Mount: _mount, View: _view, tree.Listing: _listing}
