"""The system calls that change mounts, carried out on a model of the machine instead of the machine.

Each looks up its paths, makes the checks of fs/namespace.c (Linux 6.18) in the kernel's order, and then uses
:mod:`~mntscope.propagation.clone`, :mod:`~mntscope.propagation.attach`, :mod:`~mntscope.propagation.umount` and
:mod:`~mntscope.propagation.change_type`, where propagation itself is described. One that fails has changed nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import singledispatch

from mntscope.base.paths import under
from mntscope.base.records import replace
from mntscope.errors import TargetError
from mntscope.model import UNLOCKED, Mount, Namespace
from mntscope.propagation import operations as ops
from mntscope.propagation.attach import attach_recursive_mnt
from mntscope.propagation.change_type import change_mnt_propagation
from mntscope.propagation.clone import LOCKABLE, clone_mnt, copy_tree, has_locked_children, lock_mnt_tree
from mntscope.propagation.errno import Errno, require
from mntscope.propagation.lookup import is_deleted, is_file, lookup, lookup_target, may_be_mounted_on
from mntscope.propagation.mount_options import ATIME, remounted, with_access, with_attributes
from mntscope.propagation.mounts import FsRoot, KernelMount, MountNamespace, Path
from mntscope.propagation.namespace_file import mnt_ns_loop, nsfs_device
from mntscope.propagation.umount import propagate_mount_busy, remove, umount_tree
from mntscope.propagation.versions import (
    BENEATH,
    BENEATH_ROOT,
    BESIDE_PEERS,
    LOCK_TAKEN_OVER,
    MOUNT_SETATTR,
    SET_GROUP,
    UNBINDABLE_DROPPED,
)
from mntscope.propagation.world import World

_EBUSY = "an open file or a working directory, here or in a namespace that loses its copy, makes umount fail with EBUSY"
APART = "this kernel puts it apart from its peers, and may mount there twice what their master receives"
"""Of what joined a group of slaves: it holds from then on, and no table shows it."""
BUSY = ("whether ", f" is busy cannot be seen in mountinfo: {_EBUSY}")
"""What stands before and behind the mount point in the doubt of an umount that is not lazy."""


@singledispatch
def carry_out(operation: ops.Operation, world: World, actor: FsRoot) -> None:
    """Carry *operation* out in *world* for a process whose root directory is *actor*.

    :raises Errno: it fails; nothing has changed then.
    :raises TargetError: a handle that is not there, a label or handle that is there already.
    :raises UsageError: a path that is not absolute.
    :raises MntscopeError: it takes too long; unless it was an umount, *world* is then of no more use.
    """
    raise NotImplementedError(operation.op)


@carry_out.register
def _mount(operation: ops.MountNew, world: World, actor: FsRoot) -> None:
    """mount(2) of a filesystem: fs/namespace.c, do_new_mount() and do_add_mount()."""
    target = lookup_target(world, actor, operation.target)
    require(may_be_mounted_on(target), "ENOENT")
    require(check_mnt(target.mount, actor.namespace), "EINVAL")
    new = new_mount(world, operation.fstype, operation.source, operation.options, operation.device)
    require(operation.again or not (target.mount.device == new.device and target.is_mount_root), "EBUSY")
    require(not is_file(world, target.dentry), "ENOTDIR")
    attach_recursive_mnt(world, new, target.mount, target.dentry, actor.namespace)


@carry_out.register
def _bind(operation: ops.Bind, world: World, actor: FsRoot) -> None:
    """mount(2) with MS_BIND: fs/namespace.c, do_loopback()."""
    target = lookup_target(world, actor, operation.target)
    if operation.nsfs is not None:
        bind_namespace_file(world, actor, operation.nsfs, target)
        return
    source = lookup(world, actor, operation.source)
    require(not mnt_ns_loop(world, actor, source.mount.root), "EINVAL")
    require(may_be_mounted_on(target), "ENOENT")
    require(check_mnt(target.mount, actor.namespace), "EINVAL")
    tree = copy_for_bind(world, source, actor.namespace, recursive=operation.recursive)
    tree.options = with_attributes(tree.options, operation.attributes)
    with discarded_on_failure(world, [tree]):
        require(not is_deleted(source), "ENOENT")
        require(is_file(world, source.dentry) == is_file(world, target.dentry), "ENOTDIR")
        attach_recursive_mnt(world, tree, target.mount, target.dentry, actor.namespace)


def bind_namespace_file(world: World, actor: FsRoot, nsfs: str, target: Path) -> None:
    """A bind of what a link in /proc/PID/ns leads to: a file of nsfs, whose own mount is in no namespace."""
    require(not mnt_ns_loop(world, actor, nsfs), "EINVAL")
    require(may_be_mounted_on(target), "ENOENT")
    require(check_mnt(target.mount, actor.namespace), "EINVAL")
    require(world.snapshot.skeleton is None or is_file(world, target.dentry), "ENOTDIR")
    new = new_mount(world, "nsfs", "nsfs", ("rw",), nsfs_device(world), root=nsfs)
    attach_recursive_mnt(world, new, target.mount, target.dentry, actor.namespace)


@carry_out.register
def _move(operation: ops.Move, world: World, actor: FsRoot) -> None:
    """mount(2) with MS_MOVE: fs/namespace.c, do_move_mount_old()."""
    target = lookup_target(world, actor, operation.target)
    source = lookup(world, actor, operation.source)
    do_move_mount(world, actor, source, target)


@carry_out.register
def _umount(operation: ops.Umount, world: World, actor: FsRoot) -> None:
    umount(operation, world, actor, lookup_target(world, actor, operation.target))


def umount(operation: ops.Umount, world: World, actor: FsRoot, target: Path) -> None:
    """umount2(2), of the *target* that was looked up: fs/namespace.c, path_umount() and do_umount()."""
    mount = target.mount
    require(target.is_mount_root and check_mnt(mount, actor.namespace) and not world.is_locked(mount), "EINVAL")
    if mount is actor.mount and not operation.lazy:
        # do_umount_root(): the kernel makes the filesystem read-only instead.
        make_superblock_read_only(world, mount.device)
        return
    require(mount.parent is not None, "EINVAL")
    if not operation.lazy:
        require(not propagate_mount_busy(world, mount), "EBUSY")
        if world.snapshot.skeleton is None:
            world.uncertain[f"{BUSY[0]}{operation.target}{BUSY[1]}"] = None
    umount_tree(world, mount)


@carry_out.register
def _set_propagation(operation: ops.SetPropagation, world: World, actor: FsRoot) -> None:
    """mount(2) with MS_SHARED and its like: fs/namespace.c, do_change_type()."""
    target = lookup(world, actor, operation.target)
    require(target.is_mount_root and target.mount.namespace is not None, "EINVAL")
    change_types(world, target.mount, operation.type, recursive=operation.recursive)


@carry_out.register
def _remount(operation: ops.Remount, world: World, actor: FsRoot) -> None:
    """mount(2) with MS_REMOUNT|MS_BIND: fs/namespace.c, do_reconfigure_mnt()."""
    target = lookup(world, actor, operation.target)
    require(target.is_mount_root and check_mnt(target.mount, actor.namespace), "EINVAL")
    options = remounted(target.mount.options, operation)
    check_locked_flags(world, target.mount, options)
    target.mount.options = options


@carry_out.register
def _set_attributes(operation: ops.SetAttributes, world: World, actor: FsRoot) -> None:
    """mount_setattr(2): fs/namespace.c, do_mount_setattr(), which changes all of a tree or nothing."""
    require(world.kernel_has(MOUNT_SETATTR), "ENOSYS")
    target = lookup(world, actor, operation.target)
    require(target.is_mount_root and check_mnt(target.mount, actor.namespace), "EINVAL")
    changed = {
        mount: with_attributes(
            tuple(option for option in mount.options if option not in operation.clear), operation.set
        )
        for mount in (target.mount.tree() if operation.recursive else (target.mount,))
    }
    for mount, options in changed.items():
        check_locked_flags(world, mount, options)
    for mount, options in changed.items():
        mount.options = options


def check_locked_flags(world: World, mount: KernelMount, options: tuple[str, ...]) -> None:
    """Whether the mount's options may become these: fs/namespace.c, can_change_locked_flags()."""
    for flag in LOCKABLE:
        if flag in mount.options and flag not in options:
            require(not world.is_flag_locked(mount, flag), "EPERM")
    if ATIME & {*mount.options} != ATIME & {*options}:
        require(not world.is_flag_locked(mount, "atime"), "EPERM")


@carry_out.register
def _clone_namespace(operation: ops.CloneNamespace, world: World, actor: FsRoot) -> None:
    """unshare(2) or clone(2) with CLONE_NEWNS: fs/namespace.c, copy_mnt_ns()."""
    if operation.new in world.fs_roots:
        raise TargetError(f"a view labelled {operation.new!r} exists already", hint="choose another label")
    if operation.new_userns:
        # kernel/user_namespace.c, create_user_ns(): not for a process in a chroot, or whose root is covered.
        require(actor.mount.overmount is None and actor.dentry == actor.mount.root, "EPERM")
    owner = actor.namespace.user_namespace
    if operation.new_userns:
        owner = 1 + max((root.namespace.user_namespace or 0 for root in world.fs_roots.values()), default=0)
    namespace = MountNamespace(owner)
    copies: dict[KernelMount, KernelMount] = {}
    with discarded_on_failure(world, namespace.roots):
        for root in actor.namespace.roots:
            copies |= copy_tree(world, root, root.root, slave=operation.new_userns, keep_unbindable=True)
            namespace.roots[copies[root]] = None
        # Only a made-up table has the file of a namespace for a root directory: that is not copied.
        require(actor.mount in copies, "EINVAL")
    for old, new in copies.items():
        new.namespace = namespace
        new.unbindable = old.unbindable and not world.kernel_has(UNBINDABLE_DROPPED)
    if operation.new_userns:
        for root in namespace.roots:
            lock_mnt_tree(root)
    known = [root.view.namespace.id for root in world.fs_roots.values() if root.view.namespace.id is not None]
    described = Namespace(id=1 + max(known) if known else None, user_namespace=owner)
    world.add_fs_root(operation.new, namespace, copies[actor.mount], actor.dentry, described)


@carry_out.register
def _end_namespace(_: ops.EndNamespace, world: World, actor: FsRoot) -> None:
    """The last reference to a namespace goes: fs/namespace.c, put_mnt_ns(). No event."""
    remove(world, [mount for root in actor.namespace.roots for mount in root.tree()])
    for label, other in list(world.fs_roots.items()):
        if other.namespace is actor.namespace:
            del world.fs_roots[label]


@carry_out.register
def _pivot_root(operation: ops.PivotRoot, world: World, actor: FsRoot) -> None:
    """pivot_root(2), of fs/namespace.c."""
    new = lookup(world, actor, operation.new_root)
    require(not is_file(world, new.dentry), "ENOTDIR")
    old = lookup(world, actor, operation.put_old)
    require(not is_file(world, old.dentry), "ENOTDIR")
    old = lookup_target(world, actor, operation.put_old)
    root = actor.mount
    for mount in (old.mount, new.mount.parent, root.parent):
        require(mount is None or mount.group is None, "EINVAL")
    require(check_mnt(root, actor.namespace) and check_mnt(new.mount, actor.namespace), "EINVAL")
    require(not world.is_locked(new.mount), "EINVAL")
    require(new.mount is not root and old.mount is not root, "EBUSY")
    require(actor.dentry == root.root and root.parent is not None, "EINVAL")
    require(new.is_mount_root and new.mount.parent is not None, "EINVAL")
    require(is_path_reachable(old, new) and is_path_reachable(new, actor.path), "EINVAL")
    parent, mountpoint = root.parent, root.mountpoint
    assert parent is not None
    new.mount.detach()
    root.detach()
    if root.lock.locked is None or root.lock.locked:
        new.mount.lock, root.lock = replace(new.mount.lock, locked=root.lock.locked), replace(root.lock, locked=False)
    new.mount.attach_to(parent, mountpoint)
    root.attach_to(old.mount, old.dentry)
    for other in world.fs_roots.values():
        # chroot_fs_refs(): whoever had the old root has the new one.
        if other.path == Path(root, root.root):
            other.mount, other.dentry = new.mount, new.mount.root


@carry_out.register
def _move_beneath(operation: ops.MoveBeneath, world: World, actor: FsRoot) -> None:
    """move_mount(2) with MOVE_MOUNT_BENEATH (since 6.5): fs/namespace.c, do_move_mount()."""
    require(world.kernel_has(BENEATH), "EINVAL")
    target = lookup(world, actor, operation.target)
    source = lookup(world, actor, operation.source)
    do_move_mount(world, actor, source, target, beneath=True)


@carry_out.register
def _set_group(operation: ops.SetGroup, world: World, actor: FsRoot) -> None:
    """move_mount(2) with MOVE_MOUNT_SET_GROUP (since 5.15): fs/namespace.c, do_set_group()."""
    require(world.kernel_has(SET_GROUP), "EINVAL")
    target = lookup(world, actor, operation.target)
    source = lookup(world, actor, operation.source)
    giver, taker = source.mount, target.mount
    require(source.is_mount_root and target.is_mount_root, "EINVAL")
    require(giver.device == taker.device and under(taker.root, giver.root), "EINVAL")
    require(not has_locked_children(world, giver, taker.root), "EINVAL")
    require(taker.group is None and taker.master is None, "EINVAL")
    require(giver.group is not None or giver.master is not None, "EINVAL")
    if giver.group is not None and giver.master is not None and not world.kernel_has(BESIDE_PEERS):
        world.uncertain[f"{operation.target}: {APART} (before commit {BESIDE_PEERS.source})"] = None
    taker.set_master(giver.master)
    if giver.group is not None:
        taker.join_group(giver.group)


@carry_out.register
def _open_tree(operation: ops.OpenTree, world: World, actor: FsRoot) -> None:
    """open_tree(2) with OPEN_TREE_CLONE: fs/namespace.c, open_detached_copy()."""
    source = lookup(world, actor, operation.source)
    check_new_handle(world, operation.handle)
    tree = copy_for_bind(world, source, actor.namespace, recursive=operation.recursive)
    tree.options = with_attributes(tree.options, operation.attributes)
    hold(world, operation.handle, tree, actor.namespace)


@carry_out.register
def _new_detached(operation: ops.NewDetached, world: World, actor: FsRoot) -> None:
    """fsmount(2), of fs/namespace.c."""
    check_new_handle(world, operation.handle)
    hold(world, operation.handle, new_mount(world, operation.fstype, operation.source, (), None), actor.namespace)


@carry_out.register
def _attach(operation: ops.Attach, world: World, actor: FsRoot) -> None:
    """move_mount(2) of a detached tree: fs/namespace.c, do_move_mount()."""
    find = lookup if operation.beneath else lookup_target
    target = find(world, actor, operation.target)
    mount = held(world, operation.handle)
    require(not operation.beneath or world.kernel_has(BENEATH), "EINVAL")
    do_move_mount(world, actor, Path(mount, mount.root), target, beneath=operation.beneath)
    world.fs_roots.pop(operation.handle, None)


@carry_out.register
def _set_handle_propagation(operation: ops.SetHandlePropagation, world: World, actor: FsRoot) -> None:
    """mount_setattr(2) with AT_EMPTY_PATH: fs/namespace.c, do_mount_setattr()."""
    require(world.kernel_has(MOUNT_SETATTR), "ENOSYS")
    mount = held(world, operation.handle)
    assert mount.namespace is not None
    root_of_detached = mount.namespace.anonymous and mount.parent is None
    require(check_mnt(mount, actor.namespace) or root_of_detached, "EINVAL")
    change_types(world, mount, operation.type, recursive=operation.recursive)


@carry_out.register
def _close_handle(operation: ops.CloseHandle, world: World, _: FsRoot) -> None:
    """close(2) of what may be a detached tree: fs/namespace.c, dissolve_on_fput()."""
    if operation.handle not in world.handles:
        raise no_handle(operation.handle)
    mount = world.handles.pop(operation.handle)
    if mount is not None and mount.namespace is not None and mount.namespace.anonymous:
        remove(world, mount.tree())
        world.fs_roots.pop(operation.handle, None)


@contextmanager
def discarded_on_failure(world: World, copies: Iterable[KernelMount]) -> Iterator[None]:
    """Take the trees of *copies* out of all groups again if what is done with them fails."""
    try:
        yield
    except Errno:
        remove(world, [mount for copy in copies for mount in copy.tree()])
        raise


def check_mnt(mount: KernelMount, namespace: MountNamespace) -> bool:
    """Whether it is mounted in the caller's namespace: fs/namespace.c, check_mnt()."""
    return mount.namespace is namespace


def new_mount(
    world: World, fstype: str, source: str, options: tuple[str, ...], device: str | None, *, root: str = "/"
) -> KernelMount:
    """A private mount of a new filesystem (or of the one on *device*), mounted nowhere yet."""
    number = world.new_id()
    record = Mount(
        mount_id=number,
        parent_id=number,
        device=device or world.new_device(),
        root=root,
        mount_point="/",
        options=options or ("rw", "relatime"),
        fs_type=fstype,
        source=source,
        super_options=("rw",),
        lock=UNLOCKED,
    )
    return KernelMount(record, root, namespace=None)


def copy_for_bind(world: World, source: Path, namespace: MountNamespace, *, recursive: bool) -> KernelMount:
    """The copy that a bind or an open_tree(2) makes: fs/namespace.c, __do_loopback()."""
    mount, dentry = source
    require(not mount.unbindable and check_mnt(mount, namespace), "EINVAL")
    if recursive:
        return copy_tree(world, mount, dentry, keep_mnt_ns_files=True)[mount]
    require(not has_locked_children(world, mount, dentry), "EINVAL")
    return clone_mnt(world, mount, dentry)


def do_move_mount(world: World, actor: FsRoot, source: Path, target: Path, *, beneath: bool = False) -> None:
    """Move what is mounted at *source*, or a detached tree, to *target*: fs/namespace.c, do_move_mount()."""
    tree, (parent, mountpoint) = source.mount, target
    require(target.mount.namespace is not None, "ENOENT")
    top = target.mount.topmost_overmount()
    if beneath:
        require(target.is_mount_root and top.parent is not None, "EINVAL")
        assert top.parent is not None
        parent, mountpoint = top.parent, top.mountpoint
    require(source.is_mount_root and check_mnt(target.mount, actor.namespace), "EINVAL")
    if tree.namespace is actor.namespace:
        require(tree.parent is not None and not world.is_locked(tree), "EINVAL")
        assert tree.parent is not None
        require(tree.parent.group is None, "EINVAL")
    else:
        require(tree.namespace is not None and tree.namespace.anonymous and tree.parent is None, "EINVAL")
    require(not is_deleted(source) and not is_deleted(target), "ENOENT")
    require(is_file(world, source.dentry) == is_file(world, target.dentry), "EINVAL")
    if beneath:
        check_move_beneath(world, actor, tree, top)
    if parent.group is not None:
        # What tree_contains_unbindable() asks.
        require(not any(mount.unbindable for mount in tree.tree()), "EINVAL")
    require(not mount_is_ancestor(tree, parent), "ELOOP")
    attach_recursive_mnt(world, tree, parent, mountpoint, actor.namespace)


def check_move_beneath(world: World, actor: FsRoot, tree: KernelMount, top: KernelMount) -> None:
    """Nothing may end up covering what it was put below: fs/namespace.c, can_move_mount_beneath()."""
    parent = top.parent
    assert parent is not None
    if not world.kernel_has(LOCK_TAKEN_OVER):
        require(not world.is_locked(top), "EINVAL")
    require(tree.overmount is None, "EINVAL")
    if not world.kernel_has(BENEATH_ROOT):
        require(top is not actor.mount and parent.parent is not None, "EINVAL")
    require(not mount_is_ancestor(top, tree), "EINVAL")
    require(not propagation_would_overmount(parent, top, top.mountpoint), "EINVAL")
    if check_mnt(tree, actor.namespace):
        require(not propagation_would_overmount(parent, tree, top.mountpoint), "EINVAL")


def propagation_would_overmount(origin: KernelMount, mount: KernelMount, mountpoint: str) -> bool:
    """Whether an event at *mountpoint* of *origin* lands on the root of *mount*.

    fs/pnode.c, propagation_would_overmount().
    """
    if origin.group is None or mount.device != origin.device or mount.root != mountpoint:
        return False
    own = mount.group or mount.master
    return own is not None and origin.group in own.dominant()


def mount_is_ancestor(ancestor: KernelMount, mount: KernelMount) -> bool:
    """Whether *mount* is *ancestor* or mounted somewhere below it: fs/namespace.c, mount_is_ancestor()."""
    step: KernelMount | None = mount
    while step is not None:
        if step is ancestor:
            return True
        step = step.parent
    return False


def is_path_reachable(path: Path, root: Path) -> bool:
    """Whether *path* lies under *root*: fs/namespace.c, is_path_reachable()."""
    mount, dentry = path
    while mount is not root.mount and mount.parent is not None:
        mount, dentry = mount.parent, mount.mountpoint
    return mount is root.mount and under(dentry, root.dentry)


def change_types(world: World, mount: KernelMount, kind: ops.PropagationType, *, recursive: bool) -> None:
    """Change one mount, or the whole tree, parents first."""
    for changed in list(mount.tree()) if recursive else [mount]:
        change_mnt_propagation(world, changed, kind)


def make_superblock_read_only(world: World, device: str) -> None:
    """As do_umount_root() of fs/namespace.c: the superblock is one, so every mount of it shows the change."""
    namespaces = {root.namespace: None for root in world.fs_roots.values()}
    for mount in (mount for namespace in namespaces for root in namespace.roots for mount in root.tree()):
        if mount.device == device:
            options = with_access(mount.record.super_options, ro=True)
            mount.record = replace(mount.record, super_options=options)
    world.changes.superblocks = True


def check_new_handle(world: World, handle: str) -> None:
    """Whether a handle can be named so.

    :raises TargetError: something is.
    """
    if handle in world.handles or handle in world.fs_roots:
        raise TargetError(f"a handle named {handle!r} exists already", hint="choose another name")


def hold(world: World, handle: str, tree: KernelMount, owner: MountNamespace) -> None:
    """Keep a detached tree by a descriptor."""
    namespace = MountNamespace(owner.user_namespace, anonymous=True)
    namespace.roots[tree] = None
    for mount in tree.tree():
        mount.namespace = namespace
    world.handles[handle] = tree
    world.add_fs_root(handle, namespace, tree, tree.root, Namespace(user_namespace=owner.user_namespace))


def held(world: World, handle: str) -> KernelMount:
    """The mount that a handle names.

    :raises TargetError: there is no such handle.
    :raises Errno: EINVAL, it was unmounted.
    """
    if handle not in world.handles:
        raise no_handle(handle)
    mount = world.handles[handle]
    if mount is None or mount.namespace is None:
        raise Errno("EINVAL")
    return mount


def no_handle(handle: str) -> TargetError:
    """The error of an operation on a handle that was never opened, or is closed."""
    return TargetError(f"no open handle {handle!r}", hint="open_tree or fsmount makes one")
