"""A peer graph as tables of its groups, members and leaks; on a terminal, the graph as it is folded, drawn in lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from mntscope.analysis.folding import Crossing, Node
from mntscope.analysis.sharing import Sharing
from mntscope.base.counting import counted
from mntscope.graph import Leak, Member, PeerGroup
from mntscope.graph.names import listed
from mntscope.graph.peers import GroupKey
from mntscope.output import phrases
from mntscope.output.document import Block, Document, Heading, Paragraph, Table, Word, Words, name
from mntscope.output.escape import shell_word, shortened, visible
from mntscope.output.graph.captions import Row, caption, rows, summary
from mntscope.output.writers.lines import Piece, Text
from mntscope.output.writers.page import Page

GROUPS = ("Group", "Device", "Members", "In namespaces", "Slaves", "Receives from", "Best known member")
MEMBER_FIELDS = ("View", "Mount point", "Root", "Filesystem", "Propagation")
LEAKS = ("Severity", "Direction", "Path", "On the host", "Through", "Remedy")
FEW = 2
"""The members of a node's groups are named if there are no more groups, or everything is wanted."""
MEMBERS = 6
PROBLEMS = 6

_STYLES: dict[Crossing, str] = {"both ways": "bold red", "to the host": "bold red", "one way": "yellow", "": ""}


def as_table(sharing: Sharing, page: Page) -> str:
    """What there is in words, then the forest; of few groups also their members."""
    blocks = [Text(visible(" ".join(map(shortened, summary(sharing)))))]
    for row in rows(sharing.folded.roots, unfolded=page.everything):
        blocks += [Text(""), *_tree(row, sharing, page)]
    problems = sharing.not_seen if page.everything else sharing.not_seen[:PROBLEMS]
    if problems:
        blocks.append(Text(""))
    blocks += [Text((f"Not seen: {visible(shortened(str(problem)))}.", "dim")) for problem in problems]
    if len(sharing.not_seen) > len(problems):
        blocks.append(Text((f"and {len(sharing.not_seen) - len(problems)} more (--all)", "dim")))
    return page.draw(*blocks)


def _tree(row: Row, sharing: Sharing, page: Page, branch: str = "", trunk: str = "") -> Iterator[Text]:
    """A row behind its *branch*, and behind the *trunk* all below it."""
    yield Text(*_label(row, sharing, page), lead=(branch, "dim"), indent=(trunk, "dim"))
    if row.several:
        return
    below = rows(row.first.below, unfolded=page.everything)
    for number, each in enumerate(below, 1):
        fork, onward = ("└── ", "    ") if number == len(below) else ("├── ", "│   ")
        yield from _tree(each, sharing, page, trunk + fork, trunk + onward)


def _label(row: Row, sharing: Sharing, page: Page) -> Iterator[Piece]:
    words = caption(row, sharing.names)
    node = row.first
    yield visible(words.title), "bold underline" if node.marked else "bold"
    lines = [(visible(line), "") for line in words.lines]
    # Where there is a crossing, the last line says which.
    crossing = [(lines.pop()[0], _STYLES[row.crossing])] if row.crossing else []
    if not row.several and (page.everything or (node.kind == "peers" and len(node.groups) <= FEW)):
        lines += [(visible(line), "dim") for line in _members(node, sharing, page)]
    yield from ((f"\n{line}", style) for line, style in lines + crossing)


def _members(node: Node, sharing: Sharing, page: Page) -> Iterator[str]:
    """Who is in each group of a node."""
    lone: dict[GroupKey, list[Member]] = defaultdict(list)
    for key, slave in node.slaves:
        lone[key].append(slave)
    for key in node.groups:
        group = sharing.graph.groups[key]
        if node.kind != "slaves" and group.members:
            yield f"  {key[1]}: {_list(sharing.host_first(group.members), sharing, page)}"
        if lone[key]:
            yield f"  slaves of {key[1]}: {_list(lone[key], sharing, page)}"


def _list(members: Sequence[Member], sharing: Sharing, page: Page) -> str:
    shown = len(members) if page.everything else MEMBERS
    names = (shortened(sharing.names.mount(member.label, member.mount)) for member in members)
    return listed(names, len(members), shown)


# ---- as documents ----


def group_row(group: PeerGroup) -> tuple[Words, ...]:
    """A peer group in a table of :data:`GROUPS`."""
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
    """A leak in a table of :data:`LEAKS`."""
    inward = leak.direction == "in"
    return (
        Word("", "dim") if inward else Word(leak.severity, leak.severity),
        {"out": "to the host", "in": "from the host", "both": "both ways"}[leak.direction],
        name(leak.path),
        phrases.some(leak.lands_at, Page(), phrases.PLACES),
        f"{leak.via} in group {leak.peer_group}",
        "" if inward else leak.remedy,
    )


def leak_document(leak: Leak, page: Page) -> Document:
    """One leak: where it lands, through which group, and what stops it."""
    mount = leak.mount
    word = "receives" if leak.direction == "in" else f"{leak.severity} leak"
    facts: list[tuple[Words, ...]] = [
        (
            "Comes from" if leak.direction == "in" else "Lands on the host at",
            phrases.some(leak.lands_at, page, phrases.PLACES),
        ),
        ("Through", f"{leak.via} in group {leak.peer_group}"),
        ("Mount", (name(mount.mount_point), " ", name(phrases.filesystem(mount)), f", {phrases.tags(mount)}")),
    ]
    if leak.direction != "in":
        command = f"mount --{leak.remedy} {shell_word(leak.remedy_path or '')}"
        remedy: Words = Word(command, "command") if leak.remedy_path else "no path leads to the mount"
        facts.append(("Remedy, in its namespace", remedy))
    blocks = (Paragraph(f"{leak.why[:1].upper()}{leak.why[1:]}."), Table(("", ""), tuple(facts)))
    return Document(f"{word}: {leak.path}", blocks)


def group_document(group: PeerGroup, page: Page) -> Document:
    """One peer group: its members, and its slaves."""
    master = f", which receives from group {group.master}" if group.master is not None else ""
    lead = f"What is mounted at one of its {counted(len(group.members), 'member')} is mounted at all{master}."
    if group.external:
        lead = f"No view shows a member: it is known from its slaves only{master}."
    blocks: list[Block] = [Paragraph(lead)]
    for heading, found in (("Members", group.members), ("Slaves, which only receive", group.slaves)):
        if found:
            blocks.append(Heading(heading))
            blocks += phrases.rows(MEMBER_FIELDS, found, _member_row, page)
    return Document(f"Peer group {group.number} of device {group.device}", tuple(blocks))


def _member_row(member: Member) -> tuple[Words, ...]:
    mount = member.mount
    return member.label, name(mount.mount_point), name(mount.root), name(phrases.filesystem(mount)), phrases.tags(mount)


def document(sharing: Sharing, page: Page) -> Document:
    """What there is in words, and the groups as a table."""
    groups = sorted(
        (sharing.graph.groups[key] for key in sharing.groups),
        key=lambda group: -len(group.members) - len(group.slaves),
    )
    blocks: list[Block] = [Paragraph(" ".join(summary(sharing, hint="")))]
    if groups:
        blocks += [Heading("Groups, the largest first"), *phrases.rows(GROUPS, groups, group_row, page)]
    return Document(f"Peer groups around {sharing.about}" if sharing.about else "Peer groups", tuple(blocks))
