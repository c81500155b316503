"""Unmounting a tree, and what every receiver of the event loses.

fs/namespace.c, umount_tree(), and fs/pnode.c, propagate_umount() as rewritten in Linux 6.17 (its reasons are in
Documentation/filesystems/propagate_umount.txt); the one before is in :mod:`~mntscope.propagation.umount_older`.
Removing a mount is an event of its *parent*: every mount that receives the parent's events loses what it has mounted at
that place, whatever it is. But nothing is pulled away from under a mount that stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mntscope.base.records import replace
from mntscope.propagation import umount_older
from mntscope.propagation.change_type import move_slaves
from mntscope.propagation.mounts import KernelMount, KernelPeerGroup
from mntscope.propagation.versions import UMOUNT_REWRITTEN
from mntscope.propagation.world import World

STEPS_RECEIVER = 10
"""How many steps it counts for that a receiver is asked what it has at a place."""

Mounts = dict[KernelMount, None]
"""A set in order."""


def umount_tree(world: World, target: KernelMount) -> None:
    """Unmount *target* and all below it, here and in every receiver.

    fs/namespace.c, umount_tree() with UMOUNT_PROPAGATE, and fs/pnode.c, propagate_umount().

    :raises MntscopeError: there are too many receivers; nothing has changed then.
    """
    umount_set = dict.fromkeys(target.tree())
    candidates = {mount: list(propagated_children(world, mount)) for mount in umount_set}
    unlocked = propagate_mount_unlock(candidates[target])
    if world.kernel_has(UMOUNT_REWRITTEN):
        to_umount = gather_candidates(umount_set, candidates)
        trim_ancestors(to_umount, umount_set)
        handle_locked(world, to_umount, umount_set)
        reparented = reparent(to_umount)
    else:
        to_umount, reparented = umount_older.propagate_umount(world, umount_set, candidates)
    world.changes.altered.update(reparented)
    remove(world, to_umount)
    world.changes.altered.update(dict.fromkeys(mount for mount in unlocked if mount.namespace is not None))


def propagation_next(world: World, group: KernelPeerGroup) -> Iterator[KernelMount]:
    """Every member of the group, and of the groups and mounts below it: fs/pnode.c, propagation_next()."""
    for reached in group.reach():
        world.doubt_slaves(reached)
        yield from reached.members
        yield from (slave for slave in reached.slaves if slave.group is None)


def propagated_children(world: World, mount: KernelMount) -> Iterator[KernelMount]:
    """What the receivers of the parent's events have mounted where *mount* is mounted."""
    parent = mount.parent
    if parent is not None and parent.group is not None:
        for receiver in propagation_next(world, parent.group):
            world.count_steps(STEPS_RECEIVER)
            if receiver is not parent:
                child = receiver.mounted.get(mount.mountpoint)
                if child is not None:
                    yield child


def propagate_mount_unlock(candidates: Iterable[KernelMount]) -> list[KernelMount]:
    """Unlock what goes with the target itself (not what goes with the rest of the tree); gives those that were locked.

    fs/pnode.c, propagate_mount_unlock().
    """
    locked = [mount for mount in candidates if mount.lock.locked is not False]
    for mount in locked:
        mount.lock = replace(mount.lock, locked=False)
    return locked


def propagate_mount_busy(world: World, mount: KernelMount) -> bool:
    """Whether umount(2) gives EBUSY, as far as it is known what keeps a mount busy.

    fs/pnode.c, propagate_mount_busy().
    """
    if mount.children or world.is_pinned(mount):
        return True
    for child in propagated_children(world, mount):
        others = [inner for inner in child.children if inner is not child.overmount]
        if not others and world.is_pinned(child):
            return True
    return False


def gather_candidates(umount_set: Mounts, candidates: dict[KernelMount, list[KernelMount]]) -> Mounts:
    """The set and everything that would go with it, did nothing hold it: fs/pnode.c, gather_candidates()."""
    to_umount = dict(umount_set)
    for its in candidates.values():
        to_umount.update(dict.fromkeys(its))
    return to_umount


def trim_ancestors(to_umount: Mounts, umount_set: Mounts) -> None:
    """Spare every candidate on which something that stays is mounted, and so on upwards.

    fs/pnode.c, trim_one() and trim_ancestors(). An overmount does not count: it slides down when the mount goes.
    """
    survivors = [child for mount in to_umount for child in mount.children if child not in to_umount]
    while survivors:
        survivor: KernelMount | None = survivors.pop()
        # Where it ends up if all it stands on goes.
        while survivor is not None and survivor.parent in to_umount and survivor.mountpoint == survivor.parent.root:
            survivor = survivor.parent
        parent = survivor.parent if survivor is not None else None
        if parent is not None and parent in to_umount and parent not in umount_set:
            del to_umount[parent]
            survivors.append(parent)


def handle_locked(world: World, to_umount: Mounts, umount_set: Mounts) -> None:
    """Spare the locked candidates whose parent stays, as they only go together with it: fs/pnode.c, handle_locked()."""
    for mount in [mount for mount in to_umount if mount not in umount_set]:
        if mount not in to_umount or mount.parent is None or mount.parent in to_umount:
            continue
        pending = [mount]
        while pending:
            candidate = pending.pop()
            if candidate in to_umount and candidate not in umount_set and world.is_locked(candidate):
                del to_umount[candidate]
                pending.extend(candidate.children)


def reparent(to_umount: Mounts) -> Mounts:
    """Put what covered a stack that goes in the place of that stack; gives those that were: fs/pnode.c, reparent()."""
    reparented: Mounts = {}
    for mount in list(to_umount):
        overmount = mount.overmount
        if overmount is None or overmount in to_umount:
            continue
        bottom = mount
        while bottom.parent in to_umount and bottom.mountpoint == bottom.parent.root:
            bottom = bottom.parent
        parent, mountpoint = bottom.parent, bottom.mountpoint
        if parent is None:
            continue
        overmount.detach()
        bottom.detach()
        overmount.attach_to(parent, mountpoint)
        reparented[overmount] = None
    return reparented


def remove(world: World, mounts: Iterable[KernelMount]) -> None:
    """Take mounts out of every tree and group, without any event: the last part of umount_tree()."""
    dead = dict.fromkeys(mounts)
    for mount in dead:
        if mount.parent is None:
            if mount.namespace is not None:
                mount.namespace.roots.pop(mount, None)
        elif mount.parent not in dead:
            mount.detach()
    bulk_make_private(world, dead)
    for mount in dead:
        world.changes.removed.append((mount.namespace, mount))
        mount.namespace = None


def bulk_make_private(world: World, dead: Mounts) -> None:
    """Take mounts out of all groups; their slaves go to the nearest dominant group that is left.

    fs/pnode.c, bulk_make_private().
    """
    emptied: dict[KernelPeerGroup, None] = {}
    for mount in dead:
        group = mount.group
        mount.leave_group()
        if group is not None:
            world.changes.shrunk[group] = (group.slaves, group.unseen_slaves)
            if not group.members:
                emptied[group] = None
    for group, new_master in new_masters(emptied).items():
        orphans = dict.fromkeys(slave for slave in group.slaves if slave not in dead)
        if orphans:
            world.doubt_unseen_members(group)
        world.changes.altered.update(orphans)
        world.changes.shrunk[group] = (orphans, tuple(group.unseen_slaves))
        move_slaves(group, new_master)
    for mount in dead:
        mount.set_master(None)


def new_masters(emptied: dict[KernelPeerGroup, None]) -> dict[KernelPeerGroup, KernelPeerGroup | None]:
    """For each of these groups the nearest above it that is not among them.

    fs/pnode.c, trace_transfers() and set_destinations().
    """
    masters: dict[KernelPeerGroup, KernelPeerGroup | None] = {}
    for group in emptied:
        passed: list[KernelPeerGroup] = []
        above: KernelPeerGroup | None = group
        while above is not None and above in emptied and above not in masters:
            passed.append(above)
            above = above.master
        master = masters.get(above, above) if above is not None else None
        masters.update(dict.fromkeys(passed, master))
    return masters
