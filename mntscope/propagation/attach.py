"""Attaching a tree of mounts, and what every receiver of the event gets.

fs/namespace.c, attach_recursive_mnt(), and fs/pnode.c, propagate_mnt(). If the mount at which a tree is
attached is private, nothing else happens. If it is shared, the tree becomes shared, and every mount that
receives its events gets a copy of the tree at the same place: peers get peers of it, slaves get slaves.
"""

from __future__ import annotations

from collections.abc import Iterator

from mntscope.base.paths import under
from mntscope.base.records import dataclass
from mntscope.propagation.clone import copy_tree, lock_tree
from mntscope.propagation.mounts import Group, Node, Space
from mntscope.propagation.world import World


@dataclass(frozen=True, slots=True)
class Receiver:
    """Mounts that get copies which are peers of each other: a slave group, or one slave alone."""

    group: Group | None
    members: tuple[Node, ...]


def attach(world: World, tree: Node, parent: Node, place: str, caller: Space) -> None:
    """Mount *tree* at *place* of *parent*, for a process of *caller*, and let the event propagate."""
    hangs = [(tree, parent)]
    if parent.group is not None:
        peers = tuple(peer for peer in parent.group.members if peer is not parent and _receives(peer, place))
        receivers = list(slave_receivers(world, parent.group, place))
        for node in tree.tree():
            if node.group is None:
                node.enter_group(world.new_group())
        for peer in peers:
            hangs.append((copy_tree(world, tree, tree.root)[tree], peer))
        made: dict[Group, Node] = {parent.group: tree}
        for receiver in receivers:
            first, *others = receiver.members
            source = _source(first.master, made) or tree
            shared = receiver.group is not None
            copy = copy_tree(world, source, source.root, slave=True, share=shared)[source]
            hangs.append((copy, first))
            for other in others:
                hangs.append((copy_tree(world, copy, copy.root)[copy], other))
            if receiver.group is not None:
                made[receiver.group] = copy
    for root, onto in hangs:
        _settle(root, onto, place, caller)


def _source(master: Group | None, made: dict[Group, Node]) -> Node | None:
    """What a slave's copy receives from: the copy in the nearest dominant group that got one."""
    passed: list[Group] = []
    while master is not None and master not in made:
        passed.append(master)
        master = master.master
    if master is None:
        return None
    # Those passed over get none: masters come before their slaves. The next to ask need not walk so far.
    made.update(dict.fromkeys(passed, made[master]))
    return made[master]


def slave_receivers(world: World, group: Group, place: str) -> Iterator[Receiver]:
    """The slaves that receive an event at *place*, transitively, masters before their slaves.

    A mount whose root does not contain the place gets nothing, but its own slaves still may.
    """
    for reached in group.reach():
        if not reached.members:
            world.uncertain[
                f"peer group {reached.number} lies between the event and mounts that receive it, and no view shows "
                "its members: whether they receive it, and so which group its slaves get, is not known"
            ] = None
        elif reached is not group:
            members = tuple(member for member in reached.members if _receives(member, place))
            if members:
                yield Receiver(reached, members)
        for slave in reached.slaves:
            if slave.group is None and _receives(slave, place):
                yield Receiver(None, (slave,))


def _receives(node: Node, place: str) -> bool:
    """A copy in the making and a detached tree receive nothing."""
    return node.space is not None and not node.space.detached and under(place, node.root)


def _settle(tree: Node, parent: Node, place: str, caller: Space) -> None:
    """Hang *tree* where it belongs; what is mounted there already ends up on top of it (it is *tucked*)."""
    assert parent.space is not None
    for node in tree.tree():
        node.space = parent.space
    if parent.space.user_namespace != caller.user_namespace:
        lock_tree(tree)
    tree.tuck(parent, place)
