"""Unmounting a tree, and what every receiver of the event loses.

fs/namespace.c, umount_tree(), and fs/pnode.c, propagate_umount() as rewritten in Linux 6.17. Removing a
mount is an event of its *parent*: every mount that receives the parent's events loses what it has mounted at
that place, whatever it is. But nothing is pulled away from under a mount that stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mntscope.base.records import replace
from mntscope.propagation.change_type import hand_over
from mntscope.propagation.mounts import Group, Node
from mntscope.propagation.world import World

_RECEIVER = 10
"""How many steps it counts for that a receiver is asked what it has at a place."""


def umount_tree(world: World, target: Node) -> None:
    """Unmount *target* and all below it, here and in every receiver."""
    asked = dict.fromkeys(target.tree())
    copies = {node: list(copies_of(world, node)) for node in asked}
    unlocked = [copy for copy in copies[target] if copy.lock.locked is not False]
    for copy in unlocked:
        copy.lock = replace(copy.lock, locked=False)
    doomed = dict(asked)
    for its in copies.values():
        doomed.update(dict.fromkeys(its))
    wanted = len(doomed)
    _spare_parents_of_survivors(doomed, asked)
    _spare_locked(world, doomed, asked)
    slid = _let_survivors_slide(doomed)
    world.altered.update(slid)
    if (slid or len(doomed) < wanted) and not world.kernel_since(6, 17):
        world.uncertain[
            "before Linux 6.17, what an umount leaves standing in other namespaces differed where mounts are "
            "stacked, tucked or locked"
        ] = None
    remove(world, doomed)
    world.altered.update(dict.fromkeys(copy for copy in unlocked if copy.space is not None))


def receivers(group: Group) -> Iterator[Node]:
    """Every member of the group, and of the groups and mounts below it."""
    for reached in group.reach():
        yield from reached.members
        yield from (slave for slave in reached.slaves if slave.group is None)


def copies_of(world: World, node: Node) -> Iterator[Node]:
    """What the receivers of the parent's events have mounted where *node* is mounted."""
    parent = node.parent
    if parent is not None and parent.group is not None:
        for receiver in receivers(parent.group):
            world.takes(_RECEIVER)
            if receiver is not parent:
                child = receiver.mounted.get(node.place)
                if child is not None:
                    yield child


def _spare_parents_of_survivors(doomed: dict[Node, None], asked: dict[Node, None]) -> None:
    """Spare every mount on which something that stays is mounted, and so on upwards.

    What covers the mount's root does not count: it slides down when the mount goes.
    """
    survivors = [child for node in doomed for child in node.children if child not in doomed]
    while survivors:
        survivor: Node | None = survivors.pop()
        # Where it ends up if all it stands on goes.
        while survivor is not None and survivor.parent in doomed and survivor.place == survivor.parent.root:
            survivor = survivor.parent
        parent = survivor.parent if survivor is not None else None
        if parent is not None and parent in doomed and parent not in asked:
            del doomed[parent]
            survivors.append(parent)


def _spare_locked(world: World, doomed: dict[Node, None], asked: dict[Node, None]) -> None:
    """Spare the locked mounts whose parent stays: they only go together with it."""
    for node in [node for node in doomed if node not in asked]:
        if node not in doomed or node.parent is None or node.parent in doomed:
            continue
        stack = [node]
        while stack:
            spared = stack.pop()
            if spared in doomed and spared not in asked and world.is_locked(spared):
                del doomed[spared]
                stack.extend(spared.children)


def _let_survivors_slide(doomed: dict[Node, None]) -> dict[Node, None]:
    """What covered a removed mount takes its place; gives those that did."""
    slid: dict[Node, None] = {}
    for node in list(doomed):
        over = node.over
        if over is None or over in doomed:
            continue
        base = node
        while base.parent in doomed and base.place == base.parent.root:
            base = base.parent
        parent, place = base.parent, base.place
        if parent is None:
            continue
        over.unhang()
        base.unhang()
        over.hang(parent, place)
        slid[over] = None
    return slid


def remove(world: World, doomed: Iterable[Node]) -> None:
    """Take mounts out of every tree and group; their slaves go to the nearest dominant group that is left."""
    dead = dict.fromkeys(doomed)
    emptied: dict[Group, None] = {}
    for node in dead:
        group = node.group
        node.leave_group()
        if group is not None:
            world.left[group] = (group.slaves, group.unseen_slaves)
            if not group.members:
                emptied[group] = None
        if node.parent is None:
            if node.space is not None:
                node.space.tops.pop(node, None)
        elif node.parent not in dead:
            node.unhang()
    for group, heir in _heirs(emptied).items():
        orphans = dict.fromkeys(slave for slave in group.slaves if slave not in dead)
        if orphans:
            world.doubt_unseen_members(group)
        world.altered.update(orphans)
        world.left[group] = (orphans, tuple(group.unseen_slaves))
        hand_over(group, heir)
    for node in dead:
        node.obey(None)
        world.removed.append((node.space, node))
        node.space = None


def _heirs(emptied: dict[Group, None]) -> dict[Group, Group | None]:
    """For each of these groups the nearest above it that is not among them."""
    heirs: dict[Group, Group | None] = {}
    for group in emptied:
        passed: list[Group] = []
        above: Group | None = group
        while above is not None and above in emptied and above not in heirs:
            passed.append(above)
            above = above.master
        heir = heirs.get(above, above) if above is not None else None
        heirs.update(dict.fromkeys(passed, heir))
    return heirs
