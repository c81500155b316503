"""Attaching a tree of mounts, and what every receiver of the event gets.

fs/namespace.c, attach_recursive_mnt(), and fs/pnode.c, propagate_mnt() (Linux 6.18). If the mount at which a tree is
attached is private, nothing else happens. If it is shared, the tree becomes shared, and every mount that receives its
events gets a copy of the tree at the same place: peers get peers of it, slaves get slaves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mntscope.base.paths import under
from mntscope.base.records import dataclass, replace
from mntscope.propagation.clone import copy_tree, is_mnt_ns_file, lock_mnt_tree
from mntscope.propagation.errno import require
from mntscope.propagation.mounts import KernelMount, KernelPeerGroup, MountNamespace
from mntscope.propagation.versions import COVERING_STAYS_UNLOCKED, LOCK_TAKEN_OVER, TUCKED_BENEATH_STACK
from mntscope.propagation.world import World


@dataclass(frozen=True, slots=True)
class SlaveReceiver:
    """Mounts that get copies which are peers of each other: a slave group, or one slave alone."""

    group: KernelPeerGroup | None
    members: tuple[KernelMount, ...]


def attach_recursive_mnt(
    world: World, tree: KernelMount, dest: KernelMount, mountpoint: str, caller: MountNamespace
) -> None:
    """Mount *tree*, taken from where it was, at *mountpoint* of *dest*, for a process of *caller*; and propagate it.

    fs/namespace.c, attach_recursive_mnt().

    :raises Errno: EINVAL if *tree* is the file of a mount namespace and would have to be copied.
    """
    attached = [(tree, dest)]
    if dest.group is not None:
        # Found before anything is shared: what is in the making receives nothing.
        peers = [peer for peer in dest.group.members if peer is not dest and need_secondary(peer, mountpoint)]
        slaves = list(next_group(world, dest.group, mountpoint))
        require(not ((peers or slaves) and is_mnt_ns_file(tree)), "EINVAL")
        invent_group_ids(world, tree)
        attached += propagate_mnt(world, tree, dest.group, peers, slaves)
    tree.detach()
    for root, parent in attached:
        commit_tree(world, root, parent, mountpoint, caller)


def invent_group_ids(world: World, tree: KernelMount) -> None:
    """Make every mount of a tree shared: fs/namespace.c, invent_group_ids() and set_mnt_shared()."""
    for mount in tree.tree():
        if mount.group is None:
            mount.join_group(world.new_group())


def propagate_mnt(
    world: World,
    tree: KernelMount,
    group: KernelPeerGroup,
    peers: Sequence[KernelMount],
    slaves: Sequence[SlaveReceiver],
) -> Iterator[tuple[KernelMount, KernelMount]]:
    """The copies of *tree*, attached to a member of *group*; each with the mount that receives it.

    fs/pnode.c, propagate_mnt().
    """
    for peer in peers:
        yield copy_tree(world, tree, tree.root)[tree], peer
    copies: dict[KernelPeerGroup, KernelMount] = {group: tree}
    for receiver in slaves:
        first, *others = receiver.members
        source = find_master(first.master, copies) or tree
        shared = receiver.group is not None
        copy = copy_tree(world, source, source.root, slave=True, share=shared)[source]
        yield copy, first
        for other in others:
            yield copy_tree(world, copy, copy.root)[copy], other
        if receiver.group is not None:
            copies[receiver.group] = copy


def find_master(master: KernelPeerGroup | None, copies: dict[KernelPeerGroup, KernelMount]) -> KernelMount | None:
    """What a slave's copy receives from: the copy in the nearest dominant group that got one.

    fs/pnode.c, find_master().
    """
    passed: list[KernelPeerGroup] = []
    while master is not None and master not in copies:
        passed.append(master)
        master = master.master
    if master is None:
        return None
    # Those passed over get none: masters come before their slaves. The next to ask need not walk so far.
    copies.update(dict.fromkeys(passed, copies[master]))
    return copies[master]


def next_group(world: World, group: KernelPeerGroup, mountpoint: str) -> Iterator[SlaveReceiver]:
    """The slaves that receive an event at *mountpoint*, transitively, masters before their slaves.

    fs/pnode.c, next_group(). A mount whose root does not contain the mount point gets nothing, but its own slaves
    still may.
    """
    for reached in group.reach():
        world.doubt_slaves(reached)
        if not reached.members:
            world.uncertain[
                f"peer group {reached.number} lies between the event and mounts that receive it, and no view shows "
                "its members: whether they receive it, and so which group its slaves get, is not known"
            ] = None
        elif reached is not group:
            members = tuple(member for member in reached.members if need_secondary(member, mountpoint))
            if members:
                yield SlaveReceiver(reached, members)
        for slave in reached.slaves:
            if slave.group is None and need_secondary(slave, mountpoint):
                yield SlaveReceiver(None, (slave,))


def need_secondary(mount: KernelMount, mountpoint: str) -> bool:
    """Whether *mount* gets a copy: not if it is itself in the making, detached, or does not show the mount point.

    fs/pnode.c, need_secondary().
    """
    return mount.namespace is not None and not mount.namespace.anonymous and under(mountpoint, mount.root)


def commit_tree(world: World, tree: KernelMount, parent: KernelMount, mountpoint: str, caller: MountNamespace) -> None:
    """Put *tree* where it belongs, beneath what is mounted there.

    fs/namespace.c, the last part of attach_recursive_mnt(), and commit_tree().
    """
    assert parent.namespace is not None
    for mount in tree.tree():
        mount.namespace = parent.namespace
    locked = parent.namespace.user_namespace != caller.user_namespace
    covering = parent.mounted.get(mountpoint)
    covering_too = locked and covering is not None and not world.kernel_has(COVERING_STAYS_UNLOCKED)
    if locked and not covering_too:
        lock_mnt_tree(tree)
    if covering is None:
        tree.attach_to(parent, mountpoint)
    elif world.kernel_has(TUCKED_BENEATH_STACK):
        tree.attach_beneath(parent, mountpoint)
    else:
        tree.attach_beneath_inside(parent, mountpoint)
    if covering_too:
        lock_mnt_tree(tree)
    if covering is not None and covering.lock.locked is not False and world.kernel_has(LOCK_TAKEN_OVER):
        tree.lock = replace(tree.lock, locked=covering.lock.locked)
        covering.lock = replace(covering.lock, locked=False)
