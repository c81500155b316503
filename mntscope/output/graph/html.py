"""The picture of a peer graph as a web page: boxes that open, search, zoom; and all groups as a table.

The drawing is nested lists, which the browser lays out and, being ``details`` elements, opens and closes: it works
without the script, which adds search, zoom and pan. The markup is in ``page.html``, and this says what is in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TypeVar

from markupsafe import Markup

from mntscope.analysis.folding import Crossing, Node, crossings
from mntscope.analysis.sharing import Sharing
from mntscope.base.records import NamedTuple
from mntscope.graph import Member
from mntscope.graph.peers import GroupKey
from mntscope.output.escape import shortened
from mntscope.output.graph.captions import (
    CLASSES,
    MEANINGS,
    SIGNS,
    Row,
    caption,
    exchanging_nothing,
    fitting,
    rows,
    summary,
)
from mntscope.output.head import head
from mntscope.output.writers.html import escape, render_page, resource
from mntscope.output.writers.page import Page

MEMBERS = 40_000
"""How many mounts are listed inside of boxes. What is more is counted."""
GROUPS = 20_000
"""How many groups are."""
TABLE = 5_000
"""How many groups the table has."""
CELL = 200
"""How many characters of a name a table shows."""
NAMES = 2_000
"""How many namespaces that exchange nothing are named."""
PROBLEMS = 100

T = TypeVar("T")


def as_html(sharing: Sharing, page: Page) -> str:
    """One file, which needs no network."""
    about = f": {shortened(sharing.about)}" if sharing.about else ""
    contents = _Contents(sharing)
    apart = exchanging_nothing(sharing)
    problems = [shortened(str(problem)) for problem in sharing.not_seen]
    return render_page(
        "graph/page.html",
        f"Who shares mounts with whom{about}",
        style=resource("graph/page.css"),
        script=resource("graph/page.js") if sharing.folded.roots else "",
        facts=head(page, [sharing.snapshot]),
        apart=[shortened(each, CELL) for each in apart[:NAMES]],
        apart_left_out=len(apart[NAMES:]),
        summary=[shortened(sentence, 600) for sentence in summary(sharing, hint=", in the table alone")],
        legend=[(CLASSES[way], SIGNS[way], MEANINGS[way]) for way in ("both ways", "to the host", "one way")],
        boxes=[contents.box(row) for row in rows(sharing.folded.roots)],
        all_groups=contents.all_groups(),
        table_markup=_table_markup,
        not_seen=problems[:PROBLEMS],
        not_seen_left_out=len(problems[PROBLEMS:]),
    )


class _Table(NamedTuple):
    head: tuple[str, ...]
    lines: list[list[str]]
    left_out: int


def _table_markup(table: _Table) -> Markup:
    """A table, without the end tags that HTML does not need.

    This is plain code, not in the template: a page may have 20,000 tables with 40,000 rows, which take a template
    3.2 seconds, and this 2.0.
    """
    head = "".join(f'<th scope="col">{escape(title)}' for title in table.head)
    rows = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}" for cell in line) for line in table.lines)
    written = f'<div class="scroll"><table><thead><tr>{head}</thead><tbody>\n{rows}\n</tbody></table></div>'
    return Markup(written)  # noqa: S704 - each text in it was escaped


class _Group(NamedTuple):
    """A group: a line, which opens to the tables of its members and slaves."""

    number: int
    device: str
    where: str
    master: str
    """The group that it receives from, if any."""
    tables: list[_Table]


class _Inside(NamedTuple):
    """What is seen of a node when its box is opened."""

    namespaces: list[str]
    namespaces_left_out: int
    groups: list[_Group]
    groups_left_out: int
    slaves: list[_Table]


class _Box(NamedTuple):
    classes: str
    title: str
    lines: tuple[str, ...]
    passing: str
    """What passes between namespaces: its last line, which stands out."""
    parts: list[_Box]
    """Of a box that stands for several nodes, one for each of them; then there is nothing else in it or below it."""
    inside: _Inside | None
    below: list[_Box]


class _Room:
    """How many things of a kind there is still room for on the page."""

    def __init__(self, left: int) -> None:
        self._left = left

    def take(self, things: Sequence[T]) -> tuple[Sequence[T], int]:
        """The first of them, as many as there is room for, and how many there is none for."""
        taken = things[: self._left]
        self._left -= len(taken)
        return taken, len(things) - len(taken)


class _Contents:
    """Makes them in the order in which they are on the page, as long as there is room."""

    def __init__(self, sharing: Sharing) -> None:
        self.sharing = sharing
        self.names = sharing.names
        self.known = sharing.graph.groups
        self.room_for_groups = _Room(GROUPS)
        self.room_for_members = _Room(MEMBERS)

    def box(self, row: Row) -> _Box:
        """A box, with what is below it. The picture is not deeper than the interpreter's stack."""
        words = caption(row, self.names)
        lines, passing = (words.lines[:-1], words.lines[-1]) if row.crossing else (words.lines, "")
        if row.several:
            parts = [self.box(Row((one,))) for one in row.nodes]
            return _Box(row.classes, words.title, lines, passing, parts, None, [])
        inside = self._inside(row.first)
        below = [self.box(each) for each in rows(row.first.below)]
        return _Box(row.classes, words.title, lines, passing, [], inside, below)

    def _inside(self, node: Node) -> _Inside:
        several = node.namespaces if len(node.namespaces) > 1 else ()
        labels, labels_left_out = self.room_for_members.take(several)
        names = [shortened(self.names.view(label)) for label in labels]
        if node.kind == "slaves":
            return _Inside(names, labels_left_out, [], 0, [self._slaves(node.slaves)])
        lone: dict[GroupKey, list[Member]] = defaultdict(list)
        for key, slave in node.slaves:
            lone[key].append(slave)
        keys, keys_left_out = self.room_for_groups.take(node.groups)
        groups = [self._group(key, lone[key]) for key in keys]
        return _Inside(names, labels_left_out, groups, keys_left_out, [])

    def _group(self, key: GroupKey, slaves: Sequence[Member]) -> _Group:
        group = self.known[key]
        master = "" if group.master is None else self._called((key[0], group.master))
        members = self.sharing.host_first(group.members)
        tables = [self._members(of, found) for of, found in (("Member", members), ("Slave", slaves)) if found]
        return _Group(key[1], key[0], self._where(key), master, tables)

    def _members(self, what: str, members: Sequence[Member]) -> _Table:
        shown, left_out = self.room_for_members.take(members)
        head = ("Namespace", f"{what} at", "Directory", "Type", "Source", "ID")
        return _Table(head, [[self._name(member), *_mount(member)] for member in shown], left_out)

    def _slaves(self, slaves: Sequence[tuple[GroupKey, Member]]) -> _Table:
        """Mounts that are slaves, and whose."""
        shown, left_out = self.room_for_members.take(slaves)
        head = ("Slave at", "Receives from", "Directory", "Type", "Source", "ID")
        mounts = [(self._called(key), *_mount(slave)) for key, slave in shown]
        return _Table(head, [[at, master, *others] for master, at, *others in mounts], left_out)

    def all_groups(self) -> _Table:
        """Every group, a row each."""
        keys = list(self.sharing.groups)
        ways = crossings(self.sharing.folded)
        head = ("Group", "Device", "At", "Members in", "Slaves without a group in", "Receives from", "Events")
        return _Table(head, [self._line(key, ways.get(key, "")) for key in keys[:TABLE]], len(keys[TABLE:]))

    def _line(self, key: GroupKey, way: Crossing) -> list[str]:
        group = self.known[key]
        lone = [slave for slave in group.slaves if slave.mount.peer_group is None]
        return [
            str(key[1]),
            key[0],
            self._where(key),
            self._namespaces(group.members),
            self._namespaces(lone),
            "" if group.master is None else self._called((key[0], group.master)),
            f"{SIGNS[way]} {MEANINGS[way]}".strip(),
        ]

    def _namespaces(self, members: Iterable[Member]) -> str:
        links = self.sharing.links
        found = links.namespaces(members)
        return fitting((self.names.view(links.label(namespace)) for namespace in found), len(found))

    def _name(self, member: Member) -> str:
        return shortened(self.names.view(member.label), CELL)

    def _where(self, key: GroupKey) -> str:
        return shortened(self.names.group(key)) if self.known[key].members else "no member is seen"

    def _called(self, key: GroupKey) -> str:
        return f"group {key[1]} ({self._where(key)})" if self.known[key].members else f"group {key[1]}"


def _mount(member: Member) -> list[str]:
    """Where it is mounted, and what."""
    mount = member.mount
    names = (mount.mount_point, mount.root, mount.fs_type, mount.source)
    return [*(shortened(name, CELL) for name in names), str(mount.mount_id)]
