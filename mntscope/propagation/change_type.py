"""Changing the propagation type of a mount: who stays with whom when a member leaves its group.

fs/namespace.c, do_change_type(), and fs/pnode.c, change_mnt_propagation() (Linux 6.18). The event itself does not
propagate: only this mount changes. But its slaves need a master, and who that is depends on who is left.
"""

from __future__ import annotations

from mntscope.propagation.mounts import KernelMount, KernelPeerGroup
from mntscope.propagation.operations import PropagationType
from mntscope.propagation.world import World


def change_mnt_propagation(world: World, mount: KernelMount, kind: PropagationType) -> None:
    """make-shared, make-slave, make-private or make-unbindable of one mount: fs/pnode.c, change_mnt_propagation()."""
    if kind == "shared":
        if mount.group is None:
            mount.join_group(world.new_group())
        return
    group = mount.group
    if group is not None:
        mount.leave_group()
        if group.members:
            # The others keep the slaves, and for a slave they are the master.
            if kind == "slave":
                mount.set_master(group)
        else:
            if kind == "slave" or group.slaves:
                world.doubt_unseen_members(group)
            move_slaves(group, group.master)
    if kind != "slave":
        mount.set_master(None)
        mount.unbindable = kind == "unbindable"


def move_slaves(group: KernelPeerGroup, new_master: KernelPeerGroup | None) -> None:
    """Give the slaves of a group that is no more to *new_master*, a group above it, or to nobody.

    fs/pnode.c, transfer_propagation().
    """
    for slave in list(group.slaves):
        slave.set_master(new_master)
        if slave.group is not None and slave.group.master is group:
            slave.group.master = new_master
    for unseen in group.unseen_slaves:
        unseen.master = new_master
        if new_master is not None:
            new_master.unseen_slaves[unseen] = None
    group.unseen_slaves.clear()
