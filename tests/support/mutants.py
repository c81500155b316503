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
    ("slaves receive nothing", "receivers = list(slave_receivers(world, parent.group, place))", "receivers = []"),
    ("peers receive nothing", "if peer is not parent and _receives(peer, place))", "if False)"),
    (
        "the root of a receiver does not matter",
        "not node.space.detached and under(place, node.root)",
        "not node.space.detached",
    ),
    (
        "a detached tree receives",
        "node.space is not None and not node.space.detached and",
        "node.space is not None and",
    ),
    (
        "only the root of a tree becomes shared",
        "            if node.group is None:\n                node.enter_group",
        "            if node is tree and node.group is None:\n                node.enter_group",
    ),
    (
        "a copy for a slave's slave receives from the original",
        "source = _source(first.master, made) or tree",
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
        "while master is not None and master not in made:",
        "while master is not None and (not passed or master not in made):",
    ),
    ("the copies in between are forgotten", "made[receiver.group] = copy", "pass"),
    ("groups of slaves receive nothing", "for reached in group.reach():", "for reached in [group]:"),
    ("copies for another user namespace are not locked", "        lock_tree(tree)\n", "        pass\n"),
    (
        "copies are locked in the caller's own user namespace",
        "parent.space.user_namespace != caller.user_namespace",
        "parent.space is not caller",
    ),
]

CLONE = [
    (
        "a slave copy of a slave is private",
        "        new.obey(old.master)\n",
        "        new.obey(None if slave else old.master)\n",
    ),
    (
        "a plain copy of a slave is private",
        "        new.obey(old.master)\n",
        "        new.obey(old.master if slave else None)\n",
    ),
    ("a slave copy is a peer too", "if old.group is not None and not slave:", "if old.group is not None:"),
    (
        "a slave copy cannot share",
        "if share and new.group is None:",
        "if share and new.group is None and new.master is None:",
    ),
    (
        "a tree is cut to the directory at every level",
        "        stack.extend(reversed(old.children))\n",
        "        stack.extend(child for child in reversed(old.children) if under(child.place, root))\n",
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
        "under(child.place, place) and world",
        "child.place == place and world",
    ),
    (
        "the root of a locked tree is locked to its place",
        "locked=node.lock.locked if node is root else True",
        "locked=True",
    ),
    ("read-only is not locked", 'LOCKABLE = ("ro", "nosuid",', 'LOCKABLE = ("nosuid",'),
]

CHANGE_TYPE = [
    ("the last of a group leaves its slaves to nobody", "hand_over(group, group.master)", "hand_over(group, None)"),
    ("the last of a group keeps its slaves", "            hand_over(group, group.master)\n", ""),
    (
        "a slave that shares is handed over without its group",
        "            slave.group.master = heir\n",
        "            pass\n",
    ),
    ("the last of a group becomes a slave of it", "        if group.members:\n", "        if True:\n"),
    ("a mount that becomes private still receives", 'if kind != "slave":', 'if kind == "unbindable":'),
    (
        "a private mount stays unbindable",
        'node.unbindable = kind == "unbindable"',
        'node.unbindable |= kind == "unbindable"',
    ),
    (
        "a slave that becomes shared receives no more",
        "        if node.group is None:\n            node.enter_group(world.new_group())\n        return",
        "        if node.group is None:\n            node.enter_group(world.new_group())\n            node.obey(None)\n        return",
    ),
    (
        "a make-slave of a private mount clears unbindable",
        '    if kind != "slave":\n        node.obey(None)\n',
        '    if kind != "slave":\n        node.obey(None)\n    if True:\n',
    ),
]

UMOUNT = [
    ("umount does not propagate", "        doomed.update(dict.fromkeys(its))\n", "        pass\n"),
    (
        "the copies of what is unmounted stay locked",
        "        copy.lock = replace(copy.lock, locked=False)\n",
        "        pass\n",
    ),
    ("a parent goes though something stays on it", "    _spare_parents_of_survivors(doomed, asked)\n", ""),
    ("a locked mount goes without its parent", "    _spare_locked(world, doomed, asked)\n", ""),
    ("what covered a removed mount is lost", "slid = _let_survivors_slide(doomed)", "slid = False"),
    (
        "what covered a stack slides down one step only",
        "        while base.parent in doomed and base.place == base.parent.root:\n            base = base.parent\n",
        "",
    ),
    (
        "a survivor that slides away still keeps the mount it covers",
        "        while survivor is not None and survivor.parent in doomed and survivor.place == survivor.parent.root:\n            survivor = survivor.parent\n",
        "",
    ),
    (
        "slaves of a group that has gone are orphans",
        "heir = heirs.get(above, above) if above is not None else None",
        "heir = None",
    ),
    ("umount does not reach groups of slaves", "for reached in group.reach():", "for reached in [group]:"),
    (
        "umount does not reach lone slaves",
        "        yield from (slave for slave in reached.slaves if slave.group is None)\n",
        "",
    ),
]

PATHS = [
    (
        "a lookup begins on top of what covers the root",
        "here = Found(viewpoint.root, viewpoint.directory)",
        "here = _topmost(Found(viewpoint.root, viewpoint.directory))",
    ),
    (
        "a mount on / goes below what is there",
        "return _topmost(lookup(world, viewpoint, path))",
        "return lookup(world, viewpoint, path)",
    ),
    (
        "a lookup crosses one mount of a stack",
        "    top = child.top()\n    return Found(top, top.root)\n",
        "    return Found(child, child.root)\n",
    ),
    (
        "a file is searched like a directory",
        '        if is_file(world, here.place):\n            raise Failure("ENOTDIR")\n',
        "",
    ),
]

WORLD = [
    (
        "propagate_from repeats the master",
        "if dominant is not None and dominant is not node.master else None",
        "if dominant is not None else None",
    ),
    (
        "propagate_from looks at the nearest group only",
        "while dominant is not None and dominant not in shown:",
        "while False:",
    ),
    (
        "propagate_from names groups that the namespace does not show",
        "        while dominant is not None and dominant not in shown:\n            walked",
        "        if dominant is not None and dominant not in shown:\n            walked",
    ),
]

NODES = [
    ("an event ends at the slaves of slaves", "pending += below_it", "pending += below_it if group is self else []"),
    (
        "what is tucked goes between the copies",
        "            upper.hang(top, top.root)\n",
        "            upper.hang(self, self.root)\n",
    ),
    (
        "nothing is tucked",
        "elif upper.bottom is None:\n            upper.unhang()\n",
        "elif upper.bottom is None:\n            pass\n",
    ),
    (
        "what is tucked into a stack goes between the copies",
        "            top = self.top()\n            top.children",
        "            top = self\n            top.children",
    ),
    (
        "what is tucked into a stack comes on top of it",
        "        if upper is None:\n            self.hang(parent, place)",
        "        if upper is None or upper.bottom is not None:\n            self.hang(upper.top() if upper else parent, upper.top().root if upper else place)",
    ),
    (
        "a shared mount can be unbindable",
        "        group.members[self] = None\n        self.unbindable = False\n",
        "        group.members[self] = None\n",
    ),
]

SIMULATE = [
    ("a mount may be moved from a shared parent", 'need(tree.parent.group is None, "EINVAL")', "pass"),
    (
        "an unbindable mount may be moved to a shared one",
        'need(not any(node.unbindable for node in tree.tree()), "EINVAL")',
        "pass",
    ),
    ("a mount may be moved into itself", '    need(not is_ancestor(tree, parent), "ELOOP")\n', ""),
    (
        "a locked mount may be moved",
        'need(tree.parent is not None and not world.is_locked(tree), "EINVAL")',
        'need(tree.parent is not None, "EINVAL")',
    ),
    (
        "an unbindable mount may be bound",
        'need(not node.unbindable and in_space(node, space), "EINVAL")',
        'need(in_space(node, space), "EINVAL")',
    ),
    (
        "a bind may show what a locked mount hides",
        '    need(not has_locked_child(world, node, place), "EINVAL")\n    return',
        "    return",
    ),
    (
        "a new user namespace gets peers",
        "copy_tree(world, top, top.root, slave=operation.new_userns,",
        "copy_tree(world, top, top.root,",
    ),
    ("a new user namespace gets unlocked mounts", "            lock_tree(top)\n", "            pass\n"),
    (
        "a new user namespace may be made under a covered root",
        '        need(actor.root.over is None and actor.directory == actor.root.root, "EPERM")\n',
        "        pass\n",
    ),
    ("a mount with mounts on it is not busy", "if node.children or world.pinned(node):", "if world.pinned(node):"),
    (
        "a mount may go below what it would cover again",
        '    need(not would_overmount(parent, upper, upper.place), "EINVAL")\n',
        "",
    ),
    (
        "a group may be given beyond its root",
        'need(giver.device == taker.device and under(taker.root, giver.root), "EINVAL")',
        'need(giver.device == taker.device, "EINVAL")',
    ),
    ("a group is given without its master", "    taker.obey(giver.master)\n", ""),
    (
        "pivot_root does not mind shared mounts",
        '        need(node is None or node.group is None, "EINVAL")\n',
        "        pass\n",
    ),
    (
        "a locked read-only mount may be made writable",
        '            need(not world.is_flag_locked(node, flag), "EPERM")\n',
        "            pass\n",
    ),
    (
        "a locked mount may be unmounted",
        'and in_space(node, actor.space) and not world.is_locked(node), "EINVAL")',
        'and in_space(node, actor.space), "EINVAL")',
    ),
    (
        "an unbindable mount stays unbindable in a new namespace",
        "new.unbindable = old.unbindable and not world.kernel_since(6, 17)",
        "new.unbindable = old.unbindable",
    ),
    (
        "a descriptor does not keep a mount busy",
        "        if not others and world.pinned(copy):\n            return True\n",
        "        pass\n",
    ),
]

MUTANTS = [
    Mutant(mistake, file, old, new)
    for file, mistakes in (
        ("attach.py", ATTACH),
        ("clone.py", CLONE),
        ("change_type.py", CHANGE_TYPE),
        ("umount.py", UMOUNT),
        ("lookup.py", PATHS),
        ("mounts.py", NODES),
        ("world.py", WORLD),
        ("syscalls.py", SIMULATE),
    )
    for mistake, old, new in mistakes
]
