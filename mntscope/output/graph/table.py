"""The picture of a peer graph on a terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from mntscope.analysis.folding import Crossing, Node
from mntscope.analysis.sharing import Sharing
from mntscope.graph import Member
from mntscope.graph.names import listed
from mntscope.graph.peers import GroupKey
from mntscope.output.escape import shortened, visible
from mntscope.output.graph.captions import Row, caption, rows, summary
from mntscope.output.writers.lines import Piece, Text
from mntscope.output.writers.page import Page

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
