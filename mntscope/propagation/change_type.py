"""Changing the propagation type of a mount: who stays with whom when a member leaves its group.

fs/namespace.c, do_change_type(), and fs/pnode.c, change_mnt_propagation(). The event itself does not
propagate: only this mount changes. But its slaves need a master, and who that is depends on who is left.
"""

from __future__ import annotations

from mntscope.propagation.mounts import Group, Node
from mntscope.propagation.operations import PropagationType
from mntscope.propagation.world import World


def change_type(world: World, node: Node, kind: PropagationType) -> None:
    """make-shared, make-slave, make-private or make-unbindable of one mount."""
    if kind == "shared":
        if node.group is None:
            node.enter_group(world.new_group())
        return
    group = node.group
    if group is not None:
        node.leave_group()
        if group.members:
            # The others keep the slaves, and for a slave they are the master.
            if kind == "slave":
                node.obey(group)
        else:
            if kind == "slave" or group.slaves:
                world.doubt_unseen_members(group)
            hand_over(group, group.master)
    if kind != "slave":
        node.obey(None)
        node.unbindable = kind == "unbindable"


def hand_over(group: Group, heir: Group | None) -> None:
    """Give the slaves of a group that is no more to *heir*, a group above it, or to nobody."""
    for slave in list(group.slaves):
        slave.obey(heir)
        if slave.group is not None and slave.group.master is group:
            slave.group.master = heir
    for unseen in group.unseen_slaves:
        unseen.master = heir
        if heir is not None:
            heir.unseen_slaves[unseen] = None
    group.unseen_slaves.clear()
