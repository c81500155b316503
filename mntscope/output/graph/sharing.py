"""Who shares with whom: the peer graph, its groups, and what leaks through them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mntscope.base.counting import counted
from mntscope.graph import GroupNames, Leak, Member, PeerGraph, PeerGroup
from mntscope.output.document import Block, Document, Heading, Paragraph, Table, Word, Words, listed, name, together
from mntscope.output.escape import shell_word
from mntscope.output.graph import Sharing
from mntscope.output.graph.captions import summary
from mntscope.output.graph.svg import as_svg, element, svg
from mntscope.output.graph.table import as_table
from mntscope.output.phrases import QUICK, filesystem, rows, tags
from mntscope.output.writers.notebook import FRAME, NotebookCell, Picture
from mntscope.output.writers.page import Page
from mntscope.snapshot import Snapshot

GROUP_COLUMNS = ("Group", "Device", "Members", "In namespaces", "Slaves", "Receives from", "Best known member")
MEMBER_COLUMNS = ("View", "Mount point", "Root", "Filesystem", "Propagation")
LEAK_COLUMNS = ("Severity", "Direction", "Path", "On the host", "Through", "Remedy")
PLACES = 3


def group_row(group: PeerGroup) -> tuple[Words, ...]:
    """A peer group in a table of :data:`GROUP_COLUMNS`."""
    best = min(group.members, key=lambda member: len(member.mount.mount_point), default=None)
    return (
        str(group.number),
        group.device,
        f"{len(group.members):,}" if group.members else Word("none is shown", "dim"),
        f"{len({member.label for member in group.members}):,}",
        f"{len(group.slaves):,}" if group.slaves else "",
        "" if group.master is None else str(group.master),
        (f"{best.label}:", name(best.mount.mount_point)) if best else "",
    )


def leak_row(leak: Leak) -> tuple[Words, ...]:
    """A leak in a table of :data:`LEAK_COLUMNS`."""
    inward = leak.direction == "in"
    return (
        Word("", "dim") if inward else Word(leak.severity, leak.severity),
        {"out": "to the host", "in": "from the host", "both": "both ways"}[leak.direction],
        name(leak.path),
        places(leak.lands_at),
        f"{leak.via} in group {leak.peer_group}",
        "" if inward else leak.remedy,
    )


def places(paths: tuple[str, ...]) -> Words:
    """The first few paths, the others as a number."""
    more = (f" and {len(paths) - PLACES:,} more",) if len(paths) > PLACES else ()
    return (*listed(map(name, paths[:PLACES])), *more)


def _leak(leak: Leak) -> NotebookCell:
    word = "receives" if leak.direction == "in" else f"{leak.severity} leak"
    facts: list[tuple[Words, ...]] = [
        ("Comes from" if leak.direction == "in" else "Lands on the host at", places(leak.lands_at)),
        ("Through", f"{leak.via} in group {leak.peer_group}"),
        ("Mount", together(name(leak.mount.mount_point), " ", name(filesystem(leak.mount)), f", {tags(leak.mount)}")),
    ]
    if leak.direction != "in":
        command = f"mount --{leak.remedy} {shell_word(leak.remedy_path or '')}"
        remedy: Words = Word(command, "command") if leak.remedy_path else "no path leads to the mount"
        facts.append(("Remedy, in its namespace", remedy))
    blocks = (Paragraph(f"{leak.why[:1].upper()}{leak.why[1:]}."), Table(("", ""), tuple(facts)))
    return NotebookCell(Document(f"{word}: {leak.path}", blocks))


def _group(group: PeerGroup) -> NotebookCell:
    master = f", which receives from group {group.master}" if group.master is not None else ""
    lead = f"What is mounted at one of its {counted(len(group.members), 'member')} is mounted at all{master}."
    if group.external:
        lead = f"No view shows a member: it is known from its slaves only{master}."
    blocks: list[Block] = [Paragraph(lead)]
    for heading, found in (("Members", group.members), ("Slaves, which only receive", group.slaves)):
        if found:
            blocks.append(Heading(heading))
            blocks += rows(MEMBER_COLUMNS, found, _member_row, Page())
    title = f"Peer group {group.number} of device {group.device}"
    return NotebookCell(Document(title, tuple(blocks)), rest=".members and .slaves have all of them")


def _member_row(member: Member) -> tuple[Words, ...]:
    mount = member.mount
    return member.label, name(mount.mount_point), name(mount.root), name(filesystem(mount)), tags(mount)


def _graph(graph: PeerGraph) -> NotebookCell:
    # A graph does not know who plays the host: as in a snapshot, it is the first, unless one is called so.
    labels = [view.label for view in graph.views]
    if not labels:
        return NotebookCell(Document("Peer graph", (Paragraph("No views."),)))
    return _sharing(Sharing(Snapshot(graph.views, "host" if "host" in labels else labels[0]), graph), FRAME)


def _sharing(sharing: Sharing, rest: str = ".graph.frame() has all of them") -> NotebookCell:
    chosen = [sharing.graph.groups[key] for key in sharing.groups]
    chosen.sort(key=lambda group: -len(group.members) - len(group.slaves))
    picture = None
    if sharing.folded.roots:
        made = element(sharing.folded, sharing.names, unfolded=sharing.everything)
        picture = Picture("Who shares with whom", made, alone=as_svg(sharing, Page()))
    blocks: list[Block] = [Paragraph(" ".join(summary(sharing)).replace(" (--all)", ""))]
    if chosen:
        blocks += [Heading("Groups, the largest first"), *rows(GROUP_COLUMNS, chosen, group_row, Page())]
    title = f"Peer groups around {sharing.about}" if sharing.about else "Peer groups"
    return NotebookCell(Document(title, tuple(blocks)), picture, rest, as_table(sharing, Page()))


def names(snapshot: Snapshot) -> Callable[[str], str]:
    """What the namespaces are called, by the labels of their views; of a large machine, the labels themselves."""
    if sum(len(view.mounts) for view in snapshot.views) > QUICK:
        return str
    known = GroupNames(PeerGraph.of(snapshot.views), snapshot.host_label)
    labels = {view.label for view in snapshot.views}
    return lambda label: known.view(label) if label in labels else label


def drawn(graph: PeerGraph, host: str, *, folded: bool) -> Picture | None:
    """A picture to go with something else; none of what is too large, or shares nothing."""
    if sum(len(view.mounts) for view in graph.views) > QUICK:
        return None
    made = svg(graph, host)
    return Picture("Who shares with whom", made, folded) if made else None


TELLERS: dict[type, Callable[[Any], NotebookCell]] = {
    Leak: _leak,
    PeerGroup: _group,
    PeerGraph: _graph,
    Sharing: _sharing,
}
