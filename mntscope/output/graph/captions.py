"""The words on a picture of the peer graph. They quote names as they are: each format makes these harmless itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from mntscope.analysis.folding import Crossing, Node, nodes
from mntscope.analysis.sharing import Sharing
from mntscope.base.counting import agreeing, counted
from mntscope.base.records import NamedTuple
from mntscope.graph import GroupNames
from mntscope.graph.peers import GroupKey
from mntscope.graph.tree_shape import path_order

LEAST = 4
MOST = 12
"""How many nodes of a kind are drawn one by one below another, before the others are one: of what passes events both
ways, or to the host, :data:`MOST`; of others, which are many and tell the same, :data:`LEAST`."""

ROOM = 30
WIDER = 44
MOST_NAMES = 6
"""How many characters, in a title more than in a line, and how many names are listed before the rest is counted."""

SIGNS: dict[Crossing, str] = {"both ways": "⇄", "to the host": "⇥", "one way": "→", "": ""}
"""What a crossing is marked with, beside its colour."""
MEANINGS: dict[Crossing, str] = {
    "both ways": "events pass both ways",
    "to the host": "the host receives its events",
    "one way": "only receives",
    "": "stays within one namespace",
}
CLASSES: dict[Crossing, str] = {"both ways": "both", "to the host": "host", "one way": "one", "": "within"}
"""The names of the crossings where a style needs one."""


class Caption(NamedTuple):
    """What is written on a node."""

    title: str
    """Whose it is: ``host, web-1 (docker) and 38 more``."""
    lines: tuple[str, ...]
    """How many groups, at which mount points; and what passes."""


class Row(NamedTuple):
    """Nodes with one parent that are drawn as one box; mostly one."""

    nodes: tuple[Node, ...]

    @property
    def first(self) -> Node:
        """The one whose crossing, kind and mark are those of all of them."""
        return self.nodes[0]

    @property
    def several(self) -> bool:
        """Whether it stands for more than one."""
        return len(self.nodes) > 1

    @property
    def crossing(self) -> Crossing:
        """How their events cross."""
        return self.first.crossing

    @property
    def classes(self) -> str:
        """What a style sheet is to know of it."""
        return " ".join(
            [
                CLASSES[self.crossing],
                *(["marked"] if self.first.marked else []),
                *(["unseen"] if self.first.kind == "unseen" else []),
                *(["several"] if self.several else []),
            ]
        )


def rows(siblings: Sequence[Node], *, unfolded: bool = False) -> list[Row]:
    """Nodes as they are drawn one below the other; of many that are alike, the last are one row unless *unfolded*."""
    alike: dict[tuple[Crossing, bool, bool], list[Node]] = {}
    for node in siblings:
        alike.setdefault((node.crossing, node.kind == "unseen", node.marked), []).append(node)
    drawn = []
    for (crossing, _, marked), group in alike.items():
        shown = MOST if crossing in ("both ways", "to the host") or marked else LEAST
        # A box for one node takes no more room than one for what is left.
        shown = len(group) if unfolded or len(group) <= shown + 1 else shown
        drawn += [Row((node,)) for node in group[:shown]]
        if group[shown:]:
            drawn.append(Row(tuple(group[shown:])))
    return drawn


def caption(row: Row, names: GroupNames) -> Caption:
    """The words on a box."""
    if row.several:
        return _several(row, names)
    node = row.first
    further = ("and what lies further down",) if node.deeper else ()
    if node.kind == "unseen":
        count = counted(len(node.groups), "group")
        return Caption("not seen", (f"{count} of which no view shows a member: {_numbers(node)}", *further))
    title = fitting(map(names.view, node.namespaces), len(node.namespaces), WIDER)
    if node.kind == "slaves":
        where = _places(member.mount.mount_point for _, member in node.slaves)
        what = f"{counted(len(node.slaves), 'slave mount')}: {where}"
    elif len(node.groups) == 1:
        what = f"group {node.groups[0][1]}: {place(node.groups[0], node, names)}"
    else:
        what = f"{len(node.groups)} groups: {_places(place(key, node, names) for key in node.groups)}"
    return Caption(title, (what, *further, *_passing(node)))


def _several(row: Row, names: GroupNames) -> Caption:
    alike = row.nodes
    labels = dict.fromkeys(label for node in alike for label in node.namespaces)
    counts = sorted({len(node.slaves) if node.kind == "slaves" else len(node.groups) for node in alike})
    kinds = {node.kind for node in alike}
    what = " or ".join(
        noun for kind, noun in (("peers", "groups"), ("unseen", "groups"), ("slaves", "slave mounts")) if kind in kinds
    )
    each = f"{what}: {counts[0]} to {counts[-1]} each" if len(counts) > 1 else f"{what}: {counts[0]} each"
    return Caption(
        f"and {len(alike)} more",
        (f"{', '.join(_that_fit(map(names.view, labels), WIDER))}, ..", each, *_passing(row.first)),
    )


def _passing(node: Node) -> tuple[str, ...]:
    if not node.crossing:
        return ()
    return (f"{SIGNS[node.crossing]} {MEANINGS[node.crossing]}",)


def place(key: GroupKey, node: Node, names: GroupNames) -> str:
    """Where the best known member of a group is, in the first namespace of its node."""
    name = names.group(key)
    return name.removeprefix(f"{names.view(node.namespaces[0])}:") if node.namespaces else name


def _places(paths: Iterable[str]) -> str:
    found = sorted(paths, key=path_order)
    return fitting(found, len(found))


def _numbers(node: Node) -> str:
    return fitting((str(number) for _, number in node.groups), len(node.groups))


def fitting(names: Iterable[str], count: int, room: int = ROOM) -> str:
    """The first of *count* names, as many as fit into *room* characters, the others as a number; at least one."""
    first = _that_fit(names, room)
    return ", ".join(first) + (f" and {count - len(first)} more" if len(first) < count else "")


def _that_fit(names: Iterable[str], room: int) -> list[str]:
    first: list[str] = []
    length = 0
    for name in islice(names, MOST_NAMES):
        length += len(name) + 2
        if first and length > room:
            break
        first.append(_clipped(name, room))
    return first


def _clipped(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room // 2]}…{text[1 - room // 2 :]}"


def summary(sharing: Sharing, *, hint: str = " (--all)") -> list[str]:
    """What there is, in sentences: how many groups, and how many of them pass events on.

    *hint*: how to see what is left out.
    """
    found = list(nodes(sharing.folded))
    ways = {way: [node for node in found if node.crossing == way] for way in MEANINGS}
    there = f"{counted(len(sharing.namespaces), 'mount namespace')}, {counted(len(list(sharing.groups)), 'peer group')}"
    sentences = [f"{there} around {sharing.about}." if sharing.about else f"{there}."]
    both = sum(len(node.groups) for node in ways["both ways"])
    if both:
        concerned = counted(len(_labels(ways["both ways"])), "namespace")
        passes = f"{counted(both, 'group')} in {concerned} {'passes' if both == 1 else 'pass'}"
        sentences.append(f"{passes} mounts and umounts both ways: what one mounts there, the others see.")
    if ways["to the host"]:
        sentences.append("The host receives what is mounted in other namespaces.")
    receiving = len(_labels(ways["one way"]))
    if receiving:
        receives = agreeing(receiving, "namespace receives", "namespaces receive")
        sentences.append(f"{receives} the events of others.")
    involved = _involved(sharing)
    apart = len(sharing.namespaces) - len(involved)
    if not involved:
        sentences.append("No mount or umount passes from one namespace to another.")
    elif apart and not sharing.about:
        exchanges = agreeing(apart, "namespace exchanges", "namespaces exchange")
        sentences.append(f"{exchanges} nothing with any other.")
    if sharing.folded.left_out:
        stays = agreeing(sharing.folded.left_out, "group stays", "groups stay")
        sentences.append(f"{stays} within one namespace{hint}.")
    return sentences


def exchanging_nothing(sharing: Sharing) -> list[str]:
    """The names of the namespaces that exchange nothing with any other; of none, where not all were asked about."""
    if sharing.about:
        return []
    namespace = sharing.links.namespace
    involved = {namespace(label) for label in _involved(sharing)}
    return [sharing.names.view(view.label) for view in sharing.namespaces if namespace(view.label) not in involved]


def _involved(sharing: Sharing) -> set[str]:
    """The labels of namespaces between which something passes."""
    found = nodes(sharing.folded)
    return _labels(node for node in found if node.crossing or any(below.crossing for below in node.below))


def _labels(several: Iterable[Node]) -> set[str]:
    return {label for node in several for label in node.namespaces}
