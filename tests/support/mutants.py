"""Deliberate mistakes in the model: one line of ``mntscope/propagation/`` each, changed to something plausible.

Each is a way to misread what the kernel does. A model with the mistake must not pass the recordings, or they
would not show that the model without it is right.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake: in *file*, *old* (which occurs once) becomes *new*."""

    mistake: str
    file: str
    old: str
    new: str


ATTACH = [
    (
        "slaves receive nothing",
        "slaves = list(next_group(world, dest.group, mountpoint))",
        "slaves: list[SlaveReceiver] = []",
    ),
    ("peers receive nothing", "if peer is not dest and need_secondary(peer, mountpoint)]", "if False]"),
    (
        "the root of a receiver does not matter",
        "not mount.namespace.anonymous and under(mountpoint, mount.root)",
        "not mount.namespace.anonymous",
    ),
    (
        "a detached tree receives",
        "mount.namespace is not None and not mount.namespace.anonymous and",
        "mount.namespace is not None and",
    ),
    (
        "only the root of a tree becomes shared",
        "        if mount.group is None:\n            mount.join_group",
        "        if mount is tree and mount.group is None:\n            mount.join_group",
    ),
    (
        "a copy for a slave's slave receives from the original",
        "source = find_master(first.master, copies) or tree",
        "source = tree",
    ),
    ("copies for a slave that shares are not shared", "slave=True, share=shared)", "slave=True)"),
    (
        "members of one slave group get slaves, not peers",
        "copy_tree(world, copy, copy.root)[copy]",
        "copy_tree(world, source, source.root, slave=True, share=shared)[source]",
    ),
    (
        "a copy receives from what its master's master got",
        "while master is not None and master not in copies:",
        "while master is not None and (not passed or master not in copies):",
    ),
    ("the copies in between are forgotten", "copies[receiver.group] = copy", "pass"),
    ("groups of slaves receive nothing", "for reached in group.reach():", "for reached in [group]:"),
    (
        "copies for another user namespace are not locked",
        "locked = parent.namespace.user_namespace != caller.user_namespace",
        "locked = False",
    ),
    (
        "copies are locked in the caller's own user namespace",
        "parent.namespace.user_namespace != caller.user_namespace",
        "parent.namespace is not caller",
    ),
]

CLONE = [
    (
        "a slave copy of a slave is private",
        "        new.set_master(old.master)\n",
        "        new.set_master(None if slave else old.master)\n",
    ),
    (
        "a plain copy of a slave is private",
        "        new.set_master(old.master)\n",
        "        new.set_master(old.master if slave else None)\n",
    ),
    ("a slave copy is a peer too", "if old.group is not None and not slave:", "if old.group is not None:"),
    (
        "a slave copy cannot share",
        "if share and new.group is None:",
        "if share and new.group is None and new.master is None:",
    ),
    (
        "a tree is cut to the directory at every level",
        "        pending.extend(reversed(old.children))\n",
        "        pending.extend(child for child in reversed(old.children) if under(child.mountpoint, root))\n",
    ),
    (
        "a tree is copied with what is unbindable",
        "if old.unbindable and not keep_unbindable:\n            if",
        "if False:\n            if",
    ),
    ("a copy of a locked mount is not locked", "        new.lock = old.lock\n", ""),
    ("the root of a copied tree stays locked", "new.lock = replace(old.lock, locked=False)", "new.lock = old.lock"),
    (
        "only what is locked on the directory itself counts",
        "under(child.mountpoint, dentry) and world",
        "child.mountpoint == dentry and world",
    ),
    (
        "the root of a locked tree is locked to its place",
        "locked=mount.lock.locked if mount is root else True",
        "locked=True",
    ),
    ("read-only is not locked", 'LOCKABLE = ("ro", "nosuid",', 'LOCKABLE = ("nosuid",'),
]

CHANGE_TYPE = [
    ("the last of a group leaves its slaves to nobody", "move_slaves(group, group.master)", "move_slaves(group, None)"),
    ("the last of a group keeps its slaves", "            move_slaves(group, group.master)\n", ""),
    (
        "a slave that shares is handed over without its group",
        "            slave.group.master = new_master\n",
        "            pass\n",
    ),
    ("the last of a group becomes a slave of it", "        if group.members:\n", "        if True:\n"),
    ("a mount that becomes private still receives", 'if kind != "slave":', 'if kind == "unbindable":'),
    (
        "a private mount stays unbindable",
        'mount.unbindable = kind == "unbindable"',
        'mount.unbindable |= kind == "unbindable"',
    ),
    (
        "a slave that becomes shared receives no more",
        "        if mount.group is None:\n            mount.join_group(world.new_group())\n        return",
        "        if mount.group is None:\n            mount.join_group(world.new_group())\n            mount.set_master(None)\n        return",
    ),
    (
        "a make-slave of a private mount clears unbindable",
        '    if kind != "slave":\n        mount.set_master(None)\n',
        '    if kind != "slave":\n        mount.set_master(None)\n    if True:\n',
    ),
]

UMOUNT = [
    ("umount does not propagate", "        to_umount.update(dict.fromkeys(its))\n", "        pass\n"),
    (
        "the copies of what is unmounted stay locked",
        "        mount.lock = replace(mount.lock, locked=False)\n",
        "        pass\n",
    ),
    ("a parent goes though something stays on it", "        trim_ancestors(to_umount, umount_set)\n", ""),
    ("a locked mount goes without its parent", "        handle_locked(world, to_umount, umount_set)\n", ""),
    ("what covered a removed mount is lost", "reparented = reparent(to_umount)", "reparented: Mounts = {}"),
    (
        "what covered a stack slides down one step only",
        "        while bottom.parent in to_umount and bottom.mountpoint == bottom.parent.root:\n            bottom = bottom.parent\n",
        "",
    ),
    (
        "a survivor that slides away still keeps the mount it covers",
        "        while survivor is not None and survivor.parent in to_umount and survivor.mountpoint == survivor.parent.root:\n            survivor = survivor.parent\n",
        "",
    ),
    (
        "slaves of a group that has gone are orphans",
        "master = masters.get(above, above) if above is not None else None",
        "master = None",
    ),
    ("umount does not reach groups of slaves", "for reached in group.reach():", "for reached in [group]:"),
    (
        "umount does not reach lone slaves",
        "        yield from (slave for slave in reached.slaves if slave.group is None)\n",
        "",
    ),
    (
        "a mount with mounts on it is not busy",
        "if mount.children or world.is_pinned(mount):",
        "if world.is_pinned(mount):",
    ),
    (
        "a descriptor does not keep a mount busy",
        "        if not others and world.is_pinned(child):\n            return True\n",
        "        pass\n",
    ),
]

LOOKUP = [
    (
        "a lookup begins on top of what covers the root",
        "mount, dentry = root.path",
        "mount, dentry = traverse_mounts(root.path)",
    ),
    (
        "a mount on / goes below what is there",
        "return traverse_mounts(lookup(world, root, path))",
        "return lookup(world, root, path)",
    ),
    (
        "a lookup crosses one mount of a stack",
        "    top = child.topmost_overmount()\n    return Path(top, top.root)\n",
        "    return Path(child, child.root)\n",
    ),
    (
        "a file is searched like a directory",
        '        if is_file(world, dentry):\n            raise Errno("ENOTDIR")\n',
        "",
    ),
]

TABLES = [
    (
        "propagate_from repeats the master",
        "if dominant is not None and dominant is not mount.master else None",
        "if dominant is not None else None",
    ),
    (
        "propagate_from looks at the nearest group only",
        "while dominant is not None and dominant not in shown:",
        "while False:",
    ),
    (
        "propagate_from names groups that the namespace does not show",
        "    while dominant is not None and dominant not in shown:\n        walked",
        "    if dominant is not None and dominant not in shown:\n        walked",
    ),
]

MOUNTS = [
    (
        "an event ends at the slaves of slaves",
        "pending += slave_groups",
        "pending += slave_groups if group is self else []",
    ),
    (
        "what is tucked goes between the copies",
        "            covering.attach_to(top, top.root)\n",
        "            covering.attach_to(self, self.root)\n",
    ),
    (
        "nothing is tucked",
        "if covering.stack_bottom is None:\n            covering.detach()\n",
        "if covering.stack_bottom is None:\n            pass\n",
    ),
    (
        "what is tucked into a stack goes between the copies",
        "            top = self.topmost_overmount()\n            top.children",
        "            top = self\n            top.children",
    ),
    (
        "what is tucked into a stack comes on top of it",
        "        if covering.stack_bottom is None:\n            covering.detach()\n",
        "        if covering.stack_bottom is not None:\n            top = covering.topmost_overmount()\n            self.attach_to(top, top.root)\n        elif covering.stack_bottom is None:\n            covering.detach()\n",
    ),
    (
        "a shared mount can be unbindable",
        "        group.members[self] = None\n        self.unbindable = False\n",
        "        group.members[self] = None\n",
    ),
    ("a new slave group has no master", "            group.master = self.master\n", "            pass\n"),
]

SYSCALLS = [
    ("a mount may be moved from a shared parent", 'require(tree.parent.group is None, "EINVAL")', "pass"),
    (
        "an unbindable mount may be moved to a shared one",
        'require(not any(mount.unbindable for mount in tree.tree()), "EINVAL")',
        "pass",
    ),
    ("a mount may be moved into itself", '    require(not mount_is_ancestor(tree, parent), "ELOOP")\n', ""),
    (
        "a locked mount may be moved",
        'require(tree.parent is not None and not world.is_locked(tree), "EINVAL")',
        'require(tree.parent is not None, "EINVAL")',
    ),
    (
        "an unbindable mount may be bound",
        'require(not mount.unbindable and check_mnt(mount, namespace), "EINVAL")',
        'require(check_mnt(mount, namespace), "EINVAL")',
    ),
    (
        "a bind may show what a locked mount hides",
        '    require(not has_locked_children(world, mount, dentry), "EINVAL")\n    return',
        "    return",
    ),
    (
        "a new user namespace gets peers",
        "copy_tree(world, root, root.root, slave=operation.new_userns,",
        "copy_tree(world, root, root.root,",
    ),
    ("a new user namespace gets unlocked mounts", "            lock_mnt_tree(root)\n", "            pass\n"),
    (
        "a new user namespace may be made under a covered root",
        '        require(actor.mount.overmount is None and actor.dentry == actor.mount.root, "EPERM")\n',
        "        pass\n",
    ),
    (
        "a mount may go below what it would cover again",
        '    require(not propagation_would_overmount(parent, top, top.mountpoint), "EINVAL")\n',
        "",
    ),
    (
        "a group may be given beyond its root",
        'require(giver.device == taker.device and under(taker.root, giver.root), "EINVAL")',
        'require(giver.device == taker.device, "EINVAL")',
    ),
    ("a group is given without its master", "    taker.set_master(giver.master)\n", ""),
    (
        "pivot_root does not mind shared mounts",
        '        require(mount is None or mount.group is None, "EINVAL")\n',
        "        pass\n",
    ),
    (
        "a locked read-only mount may be made writable",
        '            require(not world.is_flag_locked(mount, flag), "EPERM")\n',
        "            pass\n",
    ),
    (
        "a locked mount may be unmounted",
        'and check_mnt(mount, actor.namespace) and not world.is_locked(mount), "EINVAL")',
        'and check_mnt(mount, actor.namespace), "EINVAL")',
    ),
    (
        "an unbindable mount stays unbindable in a new namespace",
        "new.unbindable = old.unbindable and not world.kernel_has(UNBINDABLE_DROPPED)",
        "new.unbindable = old.unbindable",
    ),
]

MUTANTS = [
    Mutant(mistake, file, old, new)
    for file, mistakes in (
        ("attach.py", ATTACH),
        ("clone.py", CLONE),
        ("change_type.py", CHANGE_TYPE),
        ("umount.py", UMOUNT),
        ("lookup.py", LOOKUP),
        ("mounts.py", MOUNTS),
        ("tables.py", TABLES),
        ("syscalls.py", SYSCALLS),
    )
    for mistake, old, new in mistakes
]
