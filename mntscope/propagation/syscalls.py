"""One operation, carried out on a model of the machine instead of the machine.

Each function below is a system call of mount_namespaces(7)'s world: it looks up its paths, makes the checks
of fs/namespace.c in the kernel's order, and then uses :mod:`clone`, :mod:`attach`, :mod:`umount` and
:mod:`change_type`, where propagation itself is described.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from typing import Any

from mntscope.base.display import Records
from mntscope.base.paths import under
from mntscope.base.records import replace
from mntscope.errors import TargetError
from mntscope.model import UNLOCKED, Mount, Namespace
from mntscope.propagation import operations as ops
from mntscope.propagation.attach import attach
from mntscope.propagation.change_type import change_type
from mntscope.propagation.clone import LOCKABLE, clone, copy_tree, has_locked_child, lock_tree
from mntscope.propagation.effects import effects
from mntscope.propagation.errno import Failure
from mntscope.propagation.lookup import Found, is_file, lookup, lookup_target
from mntscope.propagation.mounts import Node, Space
from mntscope.propagation.outcome import Effect, Outcome
from mntscope.propagation.umount import copies_of, remove, umount_tree
from mntscope.propagation.world import Viewpoint, World
from mntscope.snapshot import Snapshot

ATIME = {"noatime", "nodiratime", "relatime"}


def simulate(snapshot: Snapshot, operation: ops.Operation | Mapping[str, Any]) -> Outcome:
    """What the kernel does, in every namespace of *snapshot*, when *operation* is carried out.

    A failing operation gives its errno and changes nothing. Where the result hangs on something that no
    table shows, :attr:`Outcome.uncertain` says on what; the result given is then the likelier one.

    :raises TargetError: the snapshot has no view or handle of that name.
    :raises UsageError: a dict that is no operation, or a path that is not absolute.
    """
    wanted = ops.operation(operation)
    outcome, world = _attempt(snapshot, wanted, assume_locked=False)
    if world.asked_lock:
        # Locks only ever make an operation do less, so if both extremes agree, so does all between them.
        other, _ = _attempt(snapshot, wanted, assume_locked=True)
        if (other.errno, other.snapshot) != (outcome.errno, outcome.snapshot):
            return replace(outcome, uncertain=(*outcome.uncertain, *world.asked_lock))
    return outcome


def _attempt(snapshot: Snapshot, operation: ops.Operation, *, assume_locked: bool) -> tuple[Outcome, World]:
    world = World(snapshot, assume_locked=assume_locked)
    actor = world.viewpoints[snapshot.view(operation.ns).label]
    try:
        carry_out(operation, world, actor)
    except Failure as failure:
        return Outcome(operation, failure.errno, Records((), Effect), snapshot, tuple(world.uncertain)), world
    after = world.as_snapshot()
    found = Records(effects(snapshot, after, operation.ns), Effect)
    return Outcome(operation, None, found, after, tuple(world.uncertain)), world


def need(condition: object, errno: str) -> None:
    """Fail with *errno* unless *condition* holds."""
    if not condition:
        raise Failure(errno)


@singledispatch
def carry_out(operation: ops.Operation, world: World, actor: Viewpoint) -> None:
    """Carry *operation* out in *world* for a process that looks from *actor*; raises Failure as errno."""
    raise NotImplementedError(operation.op)


@carry_out.register
def _mount(operation: ops.MountNew, world: World, actor: Viewpoint) -> None:
    target = lookup_target(world, actor, operation.target)
    need(in_space(target.node, actor.space), "EINVAL")
    new = new_mount(world, operation.fstype, operation.source, operation.options, operation.device)
    need(not (target.node.device == new.device and target.is_mount_root), "EBUSY")
    need(not is_file(world, target.place), "ENOTDIR")
    attach(world, new, target.node, target.place, actor.space)


@carry_out.register
def _bind(operation: ops.Bind, world: World, actor: Viewpoint) -> None:
    target = lookup_target(world, actor, operation.target)
    source = lookup(world, actor, operation.source)
    need(in_space(target.node, actor.space), "EINVAL")
    tree = copied_for_bind(world, source, actor.space, recursive=operation.recursive)
    need(is_file(world, source.place) == is_file(world, target.place), "ENOTDIR")
    attach(world, tree, target.node, target.place, actor.space)


@carry_out.register
def _move(operation: ops.Move, world: World, actor: Viewpoint) -> None:
    target = lookup_target(world, actor, operation.target)
    source = lookup(world, actor, operation.source)
    move(world, actor, source, target)


@carry_out.register
def _umount(operation: ops.Umount, world: World, actor: Viewpoint) -> None:
    target = lookup_target(world, actor, operation.target)
    node = target.node
    need(target.is_mount_root and in_space(node, actor.space) and not world.is_locked(node), "EINVAL")
    if node is actor.root and not operation.lazy:
        # fs/namespace.c, do_umount_root(): the kernel makes the filesystem read-only instead.
        make_superblock_read_only(world, node.device)
        world.remade = True
        return
    need(node.parent is not None, "EINVAL")
    if not operation.lazy:
        need(not is_busy(world, node), "EBUSY")
        if world.snapshot.skeleton is None:
            world.uncertain[
                f"whether {operation.target} is busy cannot be seen in mountinfo: an open file or a working "
                "directory, here or in a namespace that loses its copy, makes umount fail with EBUSY"
            ] = None
    umount_tree(world, node)


@carry_out.register
def _set_propagation(operation: ops.SetPropagation, world: World, actor: Viewpoint) -> None:
    target = lookup(world, actor, operation.target)
    need(target.is_mount_root, "EINVAL")
    change_types(world, target.node, operation.type, recursive=operation.recursive)


@carry_out.register
def _remount(operation: ops.Remount, world: World, actor: Viewpoint) -> None:
    target = lookup(world, actor, operation.target)
    need(target.is_mount_root and in_space(target.node, actor.space), "EINVAL")
    node = target.node
    options = remounted(node.options, operation)
    # What can_change_locked_flags() of fs/namespace.c does not allow.
    for flag in LOCKABLE:
        if flag in node.options and flag not in options:
            need(not world.is_flag_locked(node, flag), "EPERM")
    if ATIME & {*node.options} != ATIME & {*options}:
        need(not world.is_flag_locked(node, "atime"), "EPERM")
    node.options = options


@carry_out.register
def _clone_namespace(operation: ops.CloneNamespace, world: World, actor: Viewpoint) -> None:
    if operation.new in world.viewpoints:
        raise TargetError(f"a view labelled {operation.new!r} exists already", hint="choose another label")
    if operation.new_userns:
        # kernel/user_namespace.c, create_user_ns(): not for a process in a chroot, or whose root is covered.
        need(actor.root.over is None and actor.directory == actor.root.root, "EPERM")
    owner = actor.space.user_namespace
    if operation.new_userns:
        owner = 1 + max((v.space.user_namespace or 0 for v in world.viewpoints.values()), default=0)
    space = Space(owner)
    copies: dict[Node, Node] = {}
    for top in actor.space.tops:
        copies |= copy_tree(world, top, top.root, slave=operation.new_userns, keep_unbindable=True)
        space.tops[copies[top]] = None
    for old, new in copies.items():
        new.space = space
        new.unbindable = old.unbindable and not world.kernel_since(6, 17)
    if operation.new_userns:
        for top in space.tops:
            lock_tree(top)
    # Only a made-up table has the file of a namespace for a root directory: that is not copied.
    need(actor.root in copies, "EINVAL")
    namespace = Namespace(user_namespace=owner)
    world.add_viewpoint(operation.new, space, copies[actor.root], actor.directory, namespace)


@carry_out.register
def _end_namespace(_: ops.EndNamespace, world: World, actor: Viewpoint) -> None:
    remove(world, [node for top in actor.space.tops for node in top.tree()])
    for label, other in list(world.viewpoints.items()):
        if other.space is actor.space:
            del world.viewpoints[label]


@carry_out.register
def _pivot_root(operation: ops.PivotRoot, world: World, actor: Viewpoint) -> None:
    new = lookup(world, actor, operation.new_root)
    need(not is_file(world, new.place), "ENOTDIR")
    old = lookup(world, actor, operation.put_old)
    need(not is_file(world, old.place), "ENOTDIR")
    old = lookup_target(world, actor, operation.put_old)
    root = actor.root
    for node in (old.node, new.node.parent, root.parent):
        need(node is None or node.group is None, "EINVAL")
    need(in_space(root, actor.space) and in_space(new.node, actor.space), "EINVAL")
    need(not world.is_locked(new.node), "EINVAL")
    need(new.node is not root and old.node is not root, "EBUSY")
    need(actor.directory == root.root and root.parent is not None, "EINVAL")
    need(new.is_mount_root and new.node.parent is not None, "EINVAL")
    need(reaches(old, new) and reaches(new, Found(root, actor.directory)), "EINVAL")
    parent, place = root.parent, root.place
    assert parent is not None
    new.node.unhang()
    root.unhang()
    if root.lock.locked is None or root.lock.locked:
        new.node.lock, root.lock = replace(new.node.lock, locked=root.lock.locked), replace(root.lock, locked=False)
    new.node.hang(parent, place)
    root.hang(old.node, old.place)
    for other in world.viewpoints.values():
        if other.root is root and other.directory == root.root:
            other.root, other.directory = new.node, new.node.root


@carry_out.register
def _move_beneath(operation: ops.MoveBeneath, world: World, actor: Viewpoint) -> None:
    need(world.kernel_since(6, 5), "EINVAL")
    target = lookup(world, actor, operation.target)
    source = lookup(world, actor, operation.source)
    move(world, actor, source, target, beneath=True)


@carry_out.register
def _set_group(operation: ops.SetGroup, world: World, actor: Viewpoint) -> None:
    need(world.kernel_since(5, 15), "EINVAL")
    target = lookup(world, actor, operation.target)
    source = lookup(world, actor, operation.source)
    giver, taker = source.node, target.node
    need(source.is_mount_root and target.is_mount_root, "EINVAL")
    need(giver.device == taker.device and under(taker.root, giver.root), "EINVAL")
    need(not has_locked_child(world, giver, taker.root), "EINVAL")
    need(taker.group is None and taker.master is None, "EINVAL")
    need(giver.group is not None or giver.master is not None, "EINVAL")
    taker.obey(giver.master)
    if giver.group is not None:
        taker.enter_group(giver.group)


@carry_out.register
def _open_tree(operation: ops.OpenTree, world: World, actor: Viewpoint) -> None:
    source = lookup(world, actor, operation.source)
    tree = copied_for_bind(world, source, actor.space, recursive=operation.recursive)
    hold(world, operation.handle, tree, actor.space)


@carry_out.register
def _new_detached(operation: ops.NewDetached, world: World, actor: Viewpoint) -> None:
    hold(world, operation.handle, new_mount(world, operation.fstype, operation.source, (), None), actor.space)


@carry_out.register
def _attach(operation: ops.Attach, world: World, actor: Viewpoint) -> None:
    find = lookup if operation.beneath else lookup_target
    target = find(world, actor, operation.target)
    node = held(world, operation.handle)
    doubt_detached(world)
    move(world, actor, Found(node, node.root), target, beneath=operation.beneath)
    world.viewpoints.pop(operation.handle, None)


@carry_out.register
def _set_handle_propagation(operation: ops.SetHandlePropagation, world: World, actor: Viewpoint) -> None:
    node = held(world, operation.handle)
    assert node.space is not None
    doubt_detached(world)
    root_of_detached = node.space.detached and node.parent is None
    need(in_space(node, actor.space) or root_of_detached, "EINVAL")
    change_types(world, node, operation.type, recursive=operation.recursive)


@carry_out.register
def _close_handle(operation: ops.CloseHandle, world: World, _: Viewpoint) -> None:
    if operation.handle not in world.handles:
        raise no_handle(operation.handle)
    node = world.handles.pop(operation.handle)
    if node is not None and node.space is not None and node.space.detached:
        remove(world, node.tree())
        world.viewpoints.pop(operation.handle, None)


def in_space(node: Node, space: Space) -> bool:
    """fs/namespace.c, check_mnt()."""
    return node.space is space


def new_mount(world: World, fstype: str, source: str, options: tuple[str, ...], device: str | None) -> Node:
    """A private mount of a new filesystem (or of the one on *device*), mounted nowhere yet."""
    number = world.new_id()
    mount = Mount(
        mount_id=number,
        parent_id=number,
        device=device or world.new_device(),
        root="/",
        mount_point="/",
        options=options or ("rw", "relatime"),
        fs_type=fstype,
        source=source,
        super_options=("rw",),
        lock=UNLOCKED,
    )
    return Node(mount, "/", None)


def copied_for_bind(world: World, source: Found, space: Space, *, recursive: bool) -> Node:
    """The copy that a bind or an open_tree(2) makes: fs/namespace.c, __do_loopback()."""
    node, place = source
    need(not node.unbindable and in_space(node, space), "EINVAL")
    if recursive:
        return copy_tree(world, node, place, keep_namespace_files=True)[node]
    need(not has_locked_child(world, node, place), "EINVAL")
    return clone(world, node, place)


def move(world: World, actor: Viewpoint, source: Found, target: Found, *, beneath: bool = False) -> None:
    """fs/namespace.c, do_move_mount()."""
    tree, (parent, place) = source.node, target
    assert tree.space is not None
    upper = target.node.top()
    if beneath:
        need(target.is_mount_root and upper.parent is not None, "EINVAL")
        assert upper.parent is not None
        parent, place = upper.parent, upper.place
    need(source.is_mount_root and in_space(target.node, actor.space), "EINVAL")
    if tree.space is actor.space:
        need(tree.parent is not None and not world.is_locked(tree), "EINVAL")
        assert tree.parent is not None
        need(tree.parent.group is None, "EINVAL")
    else:
        need(tree.space.detached and tree.parent is None, "EINVAL")
    need(is_file(world, source.place) == is_file(world, target.place), "EINVAL")
    if beneath:
        check_beneath(world, actor, tree, upper)
    if parent.group is not None:
        need(not any(node.unbindable for node in tree.tree()), "EINVAL")
    need(not is_ancestor(tree, parent), "ELOOP")
    tree.unhang()
    attach(world, tree, parent, place, actor.space)


def check_beneath(world: World, actor: Viewpoint, tree: Node, upper: Node) -> None:
    """fs/namespace.c, can_move_mount_beneath(): nothing may end up covering what it was put below."""
    parent = upper.parent
    assert parent is not None
    need(not world.is_locked(upper), "EINVAL")
    need(tree.over is None, "EINVAL")
    need(upper is not actor.root and parent.parent is not None, "EINVAL")
    need(not is_ancestor(upper, tree), "EINVAL")
    need(not would_overmount(parent, upper, upper.place), "EINVAL")
    if in_space(tree, actor.space):
        need(not would_overmount(parent, tree, upper.place), "EINVAL")


def would_overmount(parent: Node, node: Node, place: str) -> bool:
    """Whether an event at *place* of *parent* would land on the root of *node*."""
    if parent.group is None or node.device != parent.device or node.root != place:
        return False
    own = node.group or node.master
    return own is not None and parent.group in own.dominant()


def is_ancestor(node: Node, other: Node) -> bool:
    """Whether *other* is *node* or mounted somewhere below it."""
    step: Node | None = other
    while step is not None:
        if step is node:
            return True
        step = step.parent
    return False


def reaches(below: Found, above: Found) -> bool:
    """fs/namespace.c, is_path_reachable(): whether *below* lies under *above*."""
    node, place = below
    while node is not above.node and node.parent is not None:
        node, place = node.parent, node.place
    return node is above.node and under(place, above.place)


def change_types(world: World, node: Node, kind: ops.PropagationType, *, recursive: bool) -> None:
    """Change one mount, or the whole tree, parents first."""
    for changed in list(node.tree()) if recursive else [node]:
        change_type(world, changed, kind)


def is_busy(world: World, node: Node) -> bool:
    """fs/pnode.c, propagate_mount_busy(), as far as it is known what keeps a mount busy."""
    if node.children or world.pinned(node):
        return True
    for copy in copies_of(world, node):
        others = [child for child in copy.children if child is not copy.over]
        if not others and world.pinned(copy):
            return True
    return False


def make_superblock_read_only(world: World, device: str) -> None:
    """The superblock is one: every mount of it shows the change."""
    spaces = {viewpoint.space: None for viewpoint in world.viewpoints.values()}
    for node in (node for space in spaces for top in space.tops for node in top.tree()):
        if node.device == device:
            node.mount = replace(node.mount, super_options=with_access(node.mount.super_options, ro=True))


def remounted(options: tuple[str, ...], operation: ops.Remount) -> tuple[str, ...]:
    """Field 6 after a remount: fs/namespace.c, path_mount(); what is kept is atime, and what it cannot set."""
    flags = set(operation.flags)
    if flags.isdisjoint(ATIME | {"strictatime"}):
        flags |= ATIME & {*options}
    elif "strictatime" in flags:
        flags -= {"noatime", "relatime"}
    else:
        flags = flags - {"relatime"} if "noatime" in flags else flags | {"relatime"}
    kept = (option for option in options if option not in (*ops.FLAGS, "ro", "rw"))
    return ("ro" if operation.ro else "rw", *(flag for flag in ops.FLAGS if flag in flags), *kept)


def with_access(options: tuple[str, ...], *, ro: bool) -> tuple[str, ...]:
    """*options* with ``ro`` or ``rw`` in the place of either."""
    return tuple(("ro" if ro else "rw") if option in ("ro", "rw") else option for option in options)


def doubt_detached(world: World) -> None:
    """What may be done with a detached tree changed while Linux 6.15 was made."""
    if not world.kernel_since(6, 15):
        world.uncertain["before Linux 6.15 a detached tree could not be changed, or attached, in all these ways"] = None


def hold(world: World, handle: str, tree: Node, owner: Space) -> None:
    """Keep a detached tree by a descriptor."""
    if handle in world.handles or handle in world.viewpoints:
        raise TargetError(f"a handle named {handle!r} exists already", hint="choose another name")
    space = Space(owner.user_namespace, detached=True)
    space.tops[tree] = None
    for node in tree.tree():
        node.space = space
    world.handles[handle] = tree
    world.add_viewpoint(handle, space, tree, tree.root, Namespace(user_namespace=owner.user_namespace))


def held(world: World, handle: str) -> Node:
    """The mount that a handle names.

    :raises TargetError: there is no such handle.
    :raises Failure: EINVAL, it was unmounted.
    """
    if handle not in world.handles:
        raise no_handle(handle)
    node = world.handles[handle]
    if node is None:
        raise Failure("EINVAL")
    return node


def no_handle(handle: str) -> TargetError:
    """The error of an operation on a handle that was never opened, or is closed."""
    return TargetError(f"no open handle {handle!r}", hint="open_tree or fsmount makes one")
