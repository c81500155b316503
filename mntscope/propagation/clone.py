"""Copies: of one mount, of a tree. Where every peer and every slave comes from.

fs/namespace.c, clone_mnt() and copy_tree() (Linux 6.18). A copy of a shared mount is its peer; a copy made as a *slave*
receives from it instead. Nothing else ever creates a peer or a slave, but for MOVE_MOUNT_SET_GROUP.
"""

from __future__ import annotations

from mntscope.base.paths import under
from mntscope.base.records import replace
from mntscope.model import Lock
from mntscope.propagation.errno import Errno
from mntscope.propagation.mounts import KernelMount
from mntscope.propagation.world import World

LOCKABLE = ("ro", "nosuid", "nodev", "noexec")
"""The options that, once locked, cannot be cleared; atime, once locked, cannot be changed."""

STEPS_COPY = 100
"""How many steps a copy counts for: it takes memory, too."""


def clone_mnt(world: World, old: KernelMount, root: str, *, slave: bool = False, share: bool = False) -> KernelMount:
    """A copy of *old* that shows its filesystem from *root*, mounted nowhere yet: fs/namespace.c, clone_mnt().

    Plain: a peer of *old*, with the same master. *slave* (CL_SLAVE): receives from *old*'s group, else from whom *old*
    receives. *share* (CL_MAKE_SHARED): gets a group of its own where it has none.
    """
    world.count_steps(STEPS_COPY)
    new = KernelMount(
        replace(old.record, mount_id=world.new_id(), spelling=None), root, namespace=None, hidden=old.hidden
    )
    new.options = old.options
    new.unbindable = False
    new.lock = replace(old.lock, locked=False)
    if slave and old.group is not None:
        new.set_master(old.group)
    else:
        new.set_master(old.master)
    if old.group is not None and not slave:
        new.join_group(old.group)
    if share and new.group is None:
        new.join_group(world.new_group())
    return new


def copy_tree(
    world: World,
    source: KernelMount,
    root: str,
    *,
    slave: bool = False,
    share: bool = False,
    keep_unbindable: bool = False,
    keep_mnt_ns_files: bool = False,
) -> dict[KernelMount, KernelMount]:
    """Copies of *source* from *root* on and of all that is mounted below, by what they are copies of.

    fs/namespace.c, copy_tree(). Unbindable mounts, with all below them, are left out, and so are the files of mount
    namespaces (which could otherwise hold each other alive in a circle): unless kept, as CL_COPY_UNBINDABLE and
    CL_COPY_MNT_NS_FILE say.

    :raises Errno: EINVAL if *source* is unbindable or such a file, EPERM if a mount below is unbindable and locked;
        nothing was copied then.
    """
    if source.unbindable and not keep_unbindable:
        raise Errno("EINVAL")
    if is_mnt_ns_file(source) and not keep_mnt_ns_files:
        raise Errno("EINVAL")
    chosen: list[KernelMount] = []
    # Only what is mounted on the source itself may lie outside of the directory.
    pending = [child for child in reversed(source.children) if under(child.mountpoint, root)]
    while pending:
        old = pending.pop()
        if old.unbindable and not keep_unbindable:
            if world.is_locked(old):
                raise Errno("EPERM")
            continue
        if is_mnt_ns_file(old) and not keep_mnt_ns_files:
            continue
        chosen.append(old)
        pending.extend(reversed(old.children))
    copies = {source: clone_mnt(world, source, root, slave=slave, share=share)}
    for old in chosen:
        assert old.parent is not None
        new = copies[old] = clone_mnt(world, old, old.root, slave=slave, share=share)
        new.attach_to(copies[old.parent], old.mountpoint)
        new.lock = old.lock
    return copies


def is_mnt_ns_file(mount: KernelMount) -> bool:
    """Whether it is a file of a mount namespace (``mnt:[4026532568]``): fs/namespace.c, is_mnt_ns_file()."""
    return mount.record.fs_type == "nsfs" and mount.root.startswith("mnt:[")


def has_locked_children(world: World, mount: KernelMount, dentry: str) -> bool:
    """Whether a locked mount sits at or below *dentry*: a copy without it would show what it hides.

    fs/namespace.c, __has_locked_children().
    """
    return any(under(child.mountpoint, dentry) and world.is_locked(child) for child in mount.children)


def lock_mnt_tree(root: KernelMount) -> None:
    """Lock a tree that enters a less privileged namespace: it comes and goes as a whole, no option loosens.

    fs/namespace.c, lock_mnt_tree(). The root of the tree itself is not locked to its place.
    """
    for mount in root.tree():
        flags = {flag for flag in LOCKABLE if flag in mount.options} | {"atime"}
        mount.lock = Lock(locked=mount.lock.locked if mount is root else True, flags=frozenset(flags))
