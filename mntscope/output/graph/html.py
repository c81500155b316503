"""The picture of a peer graph as a web page: boxes that open, search, zoom; and all groups as a table.

The drawing is nested lists, which the browser lays out and, being ``details`` elements, opens and closes: it works
without the script, which adds search, zoom and pan.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files

from mntscope.analysis.folding import Crossing, Node, crossings
from mntscope.analysis.sharing import Sharing
from mntscope.graph import Member
from mntscope.graph.peers import GroupKey
from mntscope.model import Problem
from mntscope.output.escape import shortened
from mntscope.output.graph.captions import CLASSES, MEANINGS, SIGNS, Row, caption, fitting, rows, summary
from mntscope.output.writers.markup import document, escape
from mntscope.output.writers.page import Page

MEMBERS = 40_000
"""How many mounts are listed inside of boxes. What is more is counted."""
GROUPS = 20_000
"""How many groups are."""
TABLE = 5_000
"""How many groups the table has."""
CELL = 200
"""How many characters of a name a table shows."""
PROBLEMS = 100

_TOOLS = """\
<div class="tools noprint" hidden>
<input id="search" type="search" placeholder="Search namespaces, paths, groups, devices ( / )" aria-label="Search">
<button id="previous" type="button" title="Previous (Shift+Enter)" aria-label="Previous">↑</button>
<button id="next" type="button" title="Next (Enter)" aria-label="Next">↓</button>
<output id="found" for="search"></output>
<button id="farther" type="button" title="Smaller (Ctrl and wheel)" aria-label="Smaller">&minus;</button>
<button id="whole" type="button" title="Natural size">100 %</button>
<button id="closer" type="button" title="Larger (Ctrl and wheel)" aria-label="Larger">+</button>
<button id="fit" type="button" title="As small as fits">Fit</button>
</div>"""


def as_html(sharing: Sharing, page: Page) -> str:  # noqa: ARG001
    """One file, which needs no network."""
    about = f": {shortened(sharing.about)}" if sharing.about else ""
    title = f"Who shares mounts with whom{about}"
    writer = _Writer(sharing)
    body = [
        f"<main>\n<h1>{escape(title)}</h1>",
        f"<p>{' '.join(escape(shortened(sentence, 600)) for sentence in summary(sharing))}</p>",
        *writer.drawing(),
        *writer.table(),
        *_not_seen(sharing.not_seen),
        "</main>",
    ]
    package = files("mntscope.output.graph")
    return document(
        title,
        "\n".join(body),
        style=package.joinpath("page.css").read_text("utf-8"),
        script=package.joinpath("page.js").read_text("utf-8") if sharing.folded.roots else "",
    )


class _Writer:
    def __init__(self, sharing: Sharing) -> None:
        self.sharing = sharing
        self.names = sharing.names
        self.groups = sharing.graph.groups
        self.groups_left = GROUPS
        self.members_left = MEMBERS

    # The drawing

    def drawing(self) -> Iterator[str]:
        """The legend, the tools and the forest."""
        drawn = rows(self.sharing.folded.roots)
        if not drawn:
            yield "<p>There is nothing to draw.</p>"
            return
        yield '<ul class="legend">'
        for way in ("both ways", "to the host", "one way"):
            yield _legend(way)
        yield "<li>Click a box to see its groups and their members.</li>\n</ul>"
        yield _TOOLS
        yield '<div class="view" tabindex="0" aria-label="The peer groups as a picture">\n<ul class="forest">'
        for row in drawn:
            yield from self.row(row)
        yield "</ul>\n</div>"

    def row(self, row: Row) -> Iterator[str]:
        """A box, with what is below it. The picture is not deeper than the interpreter's stack."""
        words = caption(row, self.names)
        node = row.first
        yield f'<li class="node {row.classes}"><details class="box"><summary>'
        yield f'<span class="title">{escape(words.title)}</span>'
        for number, line in enumerate(words.lines):
            passes = ' class="passes"' if row.crossing and number == len(words.lines) - 1 else ""
            yield f"<span{passes}>{escape(line)}</span>"
        yield "</summary>"
        if row.several:
            yield '<ul class="inside">'
            for one in row.nodes:
                yield from self.row(Row((one,)))
            yield "</ul></details></li>"
            return
        yield '<div class="inside">'
        yield from self.inside(node)
        yield "</div></details>"
        if node.below:
            yield '<ul class="below">'
            for each in rows(node.below):
                yield from self.row(each)
            yield "</ul>"
        yield "</li>"

    def inside(self, node: Node) -> Iterator[str]:
        """What a box holds: all its namespaces, groups and members."""
        if len(node.namespaces) > 1:
            names = [escape(shortened(self.names.view(label))) for label in node.namespaces[: self.members_left]]
            self.members_left -= len(names)
            yield f"<details><summary>{len(node.namespaces)} namespaces</summary><p>{', '.join(names)}</p>"
            yield f"{_more(len(node.namespaces) - len(names))}</details>"
        if node.kind == "slaves":
            yield from self.slaves(node.slaves)
            return
        lone: dict[GroupKey, list[Member]] = defaultdict(list)
        for key, slave in node.slaves:
            lone[key].append(slave)
        shown = node.groups[: self.groups_left]
        self.groups_left -= len(shown)
        for key in shown:
            yield from self.group(key, lone[key])
        yield _more(len(node.groups) - len(shown))

    def group(self, key: GroupKey, slaves: Sequence[Member]) -> Iterator[str]:
        """A group: a line, which opens to a table of its members."""
        group = self.groups[key]
        where = shortened(self.names.group(key)) if group.members else "no member is seen"
        yield f"<details><summary>group {key[1]}: {escape(where)}"
        yield f'<span class="dim">device {escape(key[0])}</span></summary>'
        if group.master is not None:
            yield f"<p>Receives from {escape(self._group((key[0], group.master)))}.</p>"
        yield from self.members("member", self.sharing.host_first(group.members))
        yield from self.members("slave", slaves)
        yield "</details>"

    def members(self, what: str, members: Sequence[Member]) -> Iterator[str]:
        """A table of mounts."""
        if not members:
            return
        shown = members[: self.members_left]
        self.members_left -= len(shown)
        head = ("Namespace", f"{what.capitalize()} at", "Directory", "Type", "Source", "ID")
        yield _table(head, (self._member(member) for member in shown))
        yield _more(len(members) - len(shown))

    def slaves(self, slaves: Sequence[tuple[GroupKey, Member]]) -> Iterator[str]:
        """A table of mounts that are slaves, and whose."""
        shown = slaves[: self.members_left]
        self.members_left -= len(shown)
        head = ("Slave at", "Receives from", "Directory", "Type", "Source", "ID")
        lines = ([self._member(slave)[1], self._group(key), *self._member(slave)[2:]] for key, slave in shown)
        yield _table(head, lines)
        yield _more(len(slaves) - len(shown))

    def _member(self, member: Member) -> list[str]:
        mount = member.mount
        names = (self.names.view(member.label), mount.mount_point, mount.root, mount.fs_type, mount.source)
        return [*(shortened(name, CELL) for name in names), str(mount.mount_id)]

    def _group(self, key: GroupKey) -> str:
        return f"group {key[1]} ({shortened(self.names.group(key))})" if self.groups[key].members else f"group {key[1]}"

    # The table

    def table(self) -> Iterator[str]:
        """Every group, a row each."""
        keys = list(self.sharing.groups)
        if not keys:
            return
        ways = crossings(self.sharing.folded)
        yield f"<details><summary><strong>All {len(keys)} groups as a table</strong></summary>"
        yield _table(
            ("Group", "Device", "At", "Members in", "Slaves without a group in", "Receives from", "Events"),
            (self._line(key, ways.get(key, "")) for key in keys[:TABLE]),
        )
        yield _more(len(keys) - min(TABLE, len(keys)))
        yield "</details>"

    def _line(self, key: GroupKey, way: Crossing) -> list[str]:
        group = self.groups[key]
        lone = [slave for slave in group.slaves if slave.mount.peer_group is None]
        return [
            str(key[1]),
            key[0],
            shortened(self.names.group(key)) if group.members else "no member is seen",
            self._namespaces(group.members),
            self._namespaces(lone),
            "" if group.master is None else self._group((key[0], group.master)),
            f"{SIGNS[way]} {MEANINGS[way]}".strip(),
        ]

    def _namespaces(self, members: Iterable[Member]) -> str:
        links = self.sharing.links
        found = links.namespaces(members)
        return fitting((self.names.view(links.label(namespace)) for namespace in found), len(found))


def _legend(way: Crossing) -> str:
    return f'<li><b class="{CLASSES[way]}">{SIGNS[way]}</b> {escape(MEANINGS[way])}</li>'


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    titles = "".join(f'<th scope="col">{escape(title)}' for title in head)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}" for cell in line) for line in lines)
    return f'<div class="scroll"><table><thead><tr>{titles}</thead><tbody>\n{body}\n</tbody></table></div>'


def _more(number: int) -> str:
    return f'<p class="dim">and {number} more (mntscope graph --format json has all)</p>' if number > 0 else ""


def _not_seen(problems: Sequence[Problem]) -> Iterator[str]:
    if problems:
        yield "<h2>Not seen</h2>\n<ul>"
        yield from (f"<li>{escape(shortened(str(problem)))}</li>" for problem in problems[:PROBLEMS])
        yield "</ul>"
        yield _more(len(problems) - PROBLEMS)
