"""The picture of a peer graph on a terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mntscope.graph import Member
from mntscope.graph.names import listed
from mntscope.graph.peers import GroupKey
from mntscope.report.document import shortened
from mntscope.report.page import Page
from mntscope.report.peers.picture import Crossing, Node
from mntscope.report.peers.sharing import Sharing
from mntscope.report.peers.words import Row, caption, rows, summary
from mntscope.report.text import visible

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

FEW = 2
"""The members of a node's groups are named if there are no more groups, or everything is wanted."""
MEMBERS = 6
PROBLEMS = 6

_STYLES: dict[Crossing, str] = {"both ways": "bold red", "to the host": "bold red", "one way": "yellow", "": ""}


def as_table(sharing: Sharing, page: Page) -> str:
    """What there is in words, then the forest; of few groups also their members."""
    from rich.text import Text

    drawing = [_tree(row, sharing, page) for row in rows(sharing.picture.roots, unfolded=page.everything)]
    blocks: list[Text | Tree] = [Text(visible(" ".join(map(shortened, summary(sharing)))))]
    for tree in drawing:
        blocks += [Text(""), tree]
    problems = sharing.not_seen if page.everything else sharing.not_seen[:PROBLEMS]
    if problems:
        blocks.append(Text(""))
    blocks += [Text(f"Not seen: {visible(shortened(str(problem)))}.", style="dim") for problem in problems]
    if len(sharing.not_seen) > len(problems):
        blocks.append(Text(f"and {len(sharing.not_seen) - len(problems)} more (--all)", style="dim"))
    return page.draw(*blocks)


def _tree(row: Row, sharing: Sharing, page: Page, above: Tree | None = None) -> Tree:
    """A row as a branch of *above*, with all below it."""
    from rich.tree import Tree

    label = _label(row, sharing, page)
    tree = Tree(label, guide_style="dim") if above is None else above.add(label)
    if not row.several:
        for each in rows(row.first.below, unfolded=page.everything):
            _tree(each, sharing, page, tree)
    return tree


def _label(row: Row, sharing: Sharing, page: Page) -> Text:
    from rich.text import Text

    words = caption(row, sharing.names)
    node = row.first
    text = Text(visible(words.title), style="bold")
    if node.marked:
        text.stylize("underline")
    lines = [Text(visible(line), style="not bold") for line in words.lines]
    if row.crossing:
        lines[-1].stylize(_STYLES[row.crossing])
    if not row.several and (page.everything or (node.kind == "peers" and len(node.groups) <= FEW)):
        kept = 1 if row.crossing else 0
        lines[len(lines) - kept : len(lines) - kept] = _members(node, sharing, page)
    return Text("\n").join([text, *lines])


def _members(node: Node, sharing: Sharing, page: Page) -> list[Text]:
    """Who is in each group of a node."""
    from rich.text import Text

    lone: dict[GroupKey, list[Member]] = defaultdict(list)
    for key, slave in node.slaves:
        lone[key].append(slave)
    lines = []
    for key in node.groups:
        group = sharing.graph.groups[key]
        if node.kind != "slaves" and group.members:
            lines.append(f"  {key[1]}: {_list(sharing.host_first(group.members), sharing, page)}")
        if lone[key]:
            lines.append(f"  slaves of {key[1]}: {_list(lone[key], sharing, page)}")
    return [Text(visible(line), style="not bold dim") for line in lines]


def _list(members: Sequence[Member], sharing: Sharing, page: Page) -> str:
    shown = len(members) if page.everything else MEMBERS
    names = (shortened(sharing.names.mount(member.label, member.mount)) for member in members)
    return listed(names, len(members), shown)
