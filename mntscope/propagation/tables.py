"""A world written down as the tables the kernel would show: fs/proc_namespace.c, show_mountinfo() (Linux 6.18)."""

from __future__ import annotations

from collections.abc import Container

from mntscope.base.records import replace
from mntscope.model import Mount, View
from mntscope.propagation.mounts import FsRoot, KernelMount, KernelPeerGroup
from mntscope.propagation.world import STEPS_SHOWN, World
from mntscope.snapshot import Snapshot

Groups = Container[KernelPeerGroup | None]


def write_snapshot(world: World) -> Snapshot:
    """The snapshot of *world*; views in which nothing changed stay the same objects.

    :raises MntscopeError: its views show more than can be followed.
    """
    views = tuple(write_view(world, root) for root in world.fs_roots.values())
    handles = tuple(
        (name, mount.record.mount_id if mount is not None and mount.namespace is not None else 0)
        for name, mount in world.handles.items()
    )
    return replace(world.snapshot, views=views, handles=handles)


def write_view(world: World, root: FsRoot) -> View:
    """What mountinfo shows from *root*, in its order (that of creation)."""
    reachable = list(root.reachable())
    world.count_steps(STEPS_SHOWN * len(reachable))
    groups = {mount.group for mount, _ in reachable}
    passed: dict[KernelPeerGroup, KernelPeerGroup | None] = {}
    lines = [write_mount(world, mount, path, groups, passed) for mount, path in reachable]
    lines += root.unplaced
    before = root.view.mounts
    order = {mount.mount_id: index for index, mount in enumerate(before)}
    lines.sort(key=lambda mount: (order.get(mount.mount_id, len(order)), mount.mount_id))
    if len(lines) == len(before) and all(new is old for new, old in zip(lines, before, strict=True)):
        return root.view
    return replace(root.view, mounts=tuple(lines))


def write_mount(
    world: World,
    mount: KernelMount,
    path: str,
    shown: Groups,
    passed: dict[KernelPeerGroup, KernelPeerGroup | None],
) -> Mount:
    """The line of *mount*, if it is seen at *path*, from where members of the groups *shown* are seen.

    ``propagate_from`` is fs/pnode.c, get_dominating_id(): the nearest group up the chain of masters that has a member
    in this namespace, below this root. *passed* is for the next to ask there: how far up there is nothing that is
    shown. It holds as long as mounts only go.
    """
    walked: list[KernelPeerGroup] = []
    dominant = mount.master
    while dominant is not None and dominant not in shown:
        walked.append(dominant)
        dominant = passed.get(dominant, dominant.master)
    world.count_steps(len(walked))
    passed.update(dict.fromkeys(walked, dominant))
    record = replace(
        mount.record,
        parent_id=(mount.parent or mount).record.mount_id,
        root=mount.root,
        mount_point=path,
        options=mount.options,
        peer_group=mount.group.number if mount.group is not None else None,
        master=mount.master.number if mount.master is not None else None,
        propagate_from=dominant.number if dominant is not None and dominant is not mount.master else None,
        unbindable=mount.unbindable,
        lock=mount.lock,
    )
    if record == mount.record and record.lock == mount.record.lock:
        return mount.record
    return record
