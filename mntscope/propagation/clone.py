"""Copies: of one mount, of a tree. Where every peer and every slave comes from.

fs/namespace.c, clone_mnt() and copy_tree(). A copy of a shared mount is its peer; a copy made as a *slave*
receives from it instead. Nothing else ever creates a peer or a slave, but for MOVE_MOUNT_SET_GROUP.
"""

from __future__ import annotations

from mntscope.base.paths import under
from mntscope.base.records import replace
from mntscope.model import Lock
from mntscope.propagation.errno import Failure
from mntscope.propagation.mounts import Node
from mntscope.propagation.world import World

LOCKABLE = ("ro", "nosuid", "nodev", "noexec")
"""The options that, once locked, cannot be cleared; atime, once locked, cannot be changed."""

_COPY = 100
"""How many steps a copy counts for: it takes memory, too."""


def clone(world: World, old: Node, root: str, *, slave: bool = False, share: bool = False) -> Node:
    """A copy of *old* that shows its filesystem from *root*, mounted nowhere yet.

    Plain: a peer of *old*, with the same master. *slave*: receives from *old*'s group, else from whom *old*
    receives. *share*: gets a group of its own where it has none.
    """
    world.takes(_COPY)
    new = Node(replace(old.mount, mount_id=world.new_id(), spelling=None), root, None, hidden=old.hidden)
    new.options = old.options
    new.unbindable = False
    new.lock = replace(old.lock, locked=False)
    if slave and old.group is not None:
        new.obey(old.group)
    else:
        new.obey(old.master)
    if old.group is not None and not slave:
        new.enter_group(old.group)
    if share and new.group is None:
        new.enter_group(world.new_group())
    return new


def copy_tree(
    world: World,
    source: Node,
    root: str,
    *,
    slave: bool = False,
    share: bool = False,
    keep_unbindable: bool = False,
    keep_namespace_files: bool = False,
) -> dict[Node, Node]:
    """Copies of *source* from *root* on and of all that is mounted below, by what they are copies of.

    Unbindable mounts, with all below them, are left out, and so are the files of mount namespaces (which
    could otherwise hold each other alive in a circle).

    :raises Failure: EINVAL if *source* is unbindable or such a file, EPERM if a mount below is unbindable and locked.
    """
    if source.unbindable and not keep_unbindable:
        raise Failure("EINVAL")
    if is_namespace_file(source) and not keep_namespace_files:
        raise Failure("EINVAL")
    copies = {source: clone(world, source, root, slave=slave, share=share)}
    stack = [child for child in reversed(source.children) if under(child.place, root)]
    while stack:
        old = stack.pop()
        if old.unbindable and not keep_unbindable:
            if world.is_locked(old):
                raise Failure("EPERM")
            continue
        if is_namespace_file(old) and not keep_namespace_files:
            continue
        assert old.parent is not None
        new = copies[old] = clone(world, old, old.root, slave=slave, share=share)
        new.hang(copies[old.parent], old.place)
        new.lock = old.lock
        stack.extend(reversed(old.children))
    return copies


def is_namespace_file(node: Node) -> bool:
    """Whether the mount is a file of a mount namespace (``mnt:[4026532568]``)."""
    return node.mount.fs_type == "nsfs" and node.root.startswith("mnt:[")


def has_locked_child(world: World, node: Node, place: str) -> bool:
    """Whether a locked mount sits at or below *place*: a copy without it would show what it hides."""
    return any(under(child.place, place) and world.is_locked(child) for child in node.children)


def lock_tree(root: Node) -> None:
    """Lock a tree that enters a less privileged namespace: it comes and goes as a whole, no option loosens.

    fs/namespace.c, lock_mnt_tree(). The root of the tree itself is not locked to its place.
    """
    for node in root.tree():
        flags = {flag for flag in LOCKABLE if flag in node.options} | {"atime"}
        node.lock = Lock(locked=node.lock.locked if node is root else True, flags=frozenset(flags))
