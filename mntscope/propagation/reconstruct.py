"""A world from the tables that were read of it.

mountinfo tells less than the kernel knows, and a table from elsewhere may tell what no kernel would. What is missing
(parents and groups outside of every view, locks) is put in as far as it follows; what cannot be (loops) is cut, so that
every walk ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from mntscope.base.paths import below, relative, under
from mntscope.base.records import replace
from mntscope.graph import by_namespace
from mntscope.graph.forest import NONE, Forest
from mntscope.model import UNLOCKED, Mount, View
from mntscope.propagation.copied import likely_copies
from mntscope.propagation.mounts import FsRoot, KernelMount, KernelPeerGroup, MountNamespace
from mntscope.propagation.world import INITIAL_USER_NAMESPACE, STEPS_SHOWN, World
from mntscope.snapshot import Snapshot

FURTHEST_MASTER = 256
"""How many masters up ``propagate_from`` is compared with others; the kernel prints it for what is near."""


def reconstruct(snapshot: Snapshot, *, assume_locked: bool | None = False) -> World:
    """The world that *snapshot* shows; *assume_locked*: what a mount is taken to be whose lock is not known.

    ``None``: what is likely, mount by mount.

    :raises MntscopeError: the tables claim more than can be followed.
    """
    world = World(snapshot, assume_locked=assume_locked)
    namespaces: list[tuple[MountNamespace, list[View]]] = []
    for together in by_namespace(snapshot.views):
        # The widest first: what the others show is part of it.
        views = sorted(together, key=lambda view: -len(view.mounts))
        namespace = MountNamespace(views[0].namespace.user_namespace, anonymous=views[0].detached)
        namespaces.append((namespace, views))
    owners = {namespace.user_namespace for namespace, _ in namespaces}
    by_id: dict[int, KernelMount] = {}
    for namespace, views in namespaces:
        mounts = world.mounts[namespace] = _add_namespace(world, namespace, views)
        if len(owners) == 1 or namespace.user_namespace == INITIAL_USER_NAMESPACE:
            # Locks come with a copy into a namespace of another, less privileged owner.
            for mount in mounts.values():
                if mount.lock.locked is None:
                    mount.lock = UNLOCKED
        elif views[0].mounts:
            # Told once, from what was seen: what an operation has changed since tells nothing about the past.
            for number in likely_copies(views[0], snapshot):
                mounts[number].lock = replace(mounts[number].lock, likely=True)
        for number, mount in mounts.items():
            by_id.setdefault(number, mount)
    for name, number in snapshot.handles:
        world.handles[name] = by_id.get(number)
    _link_unseen_masters(world)
    for group in world.groups.values():
        if group.master is not None and not group.members:
            group.master.unseen_slaves[group] = None
    return world


def _add_namespace(world: World, namespace: MountNamespace, views: list[View]) -> dict[int, KernelMount]:
    """The mounts of one namespace, by mount ID; and the root directories it was seen from."""
    mounts: dict[int, KernelMount] = {}
    tables = [_add_table(world, view, namespace, mounts) for view in views]
    _cut_loops(mounts.values(), namespace)
    for view, shown in zip(views, tables, strict=True):
        _add_fs_root(world, view, shown, namespace, mounts)
    return mounts


def _add_table(world: World, view: View, namespace: MountNamespace, mounts: dict[int, KernelMount]) -> dict[int, Mount]:
    """Add what *view* shows to the *mounts* that earlier views of its namespace showed; gives its lines by ID."""
    shown: dict[int, Mount] = {}
    for record in view.mounts:
        shown.setdefault(record.mount_id, record)
    new = [record for number, record in shown.items() if number not in mounts]
    for record in new:
        mount = mounts[record.mount_id] = KernelMount(record, record.root, namespace)
        _join_groups(world, mount, record)
    for record in _in_order(new):
        mount = mounts[record.mount_id]
        parent = mounts.get(record.parent_id)
        above = shown.get(record.parent_id)
        if above is not None and parent is not None and parent is not mount and _contains(above, record):
            mount.attach_to(parent, below(parent.root, relative(record.mount_point, above.mount_point)))
        elif parent is mount:
            namespace.roots[mount] = None
        else:
            mount.attach_to(_hidden(record.parent_id, namespace, mounts), record.mount_point)
    return shown


def _in_order(records: Sequence[Mount]) -> list[Mount]:
    """The lines in the order in which the mounts came to where they are, as far as it can be told.

    A mount that is listed before its parent is older, and was on something else: the parent was tucked beneath it, or
    it was moved. So it came later than what its parent had already.
    """
    at = {record.mount_id: index for index, record in enumerate(records)}
    return sorted(records, key=lambda record: at.get(record.parent_id, -1) > at[record.mount_id])


def _add_fs_root(
    world: World, view: View, shown: dict[int, Mount], namespace: MountNamespace, mounts: dict[int, KernelMount]
) -> None:
    mount, dentry = _root_directory(shown, namespace, mounts)
    root = world.fs_roots[view.label] = FsRoot(view, namespace, mount, dentry)
    placed = {mount.record.mount_id for mount, _ in root.reachable()}
    world.count_steps(STEPS_SHOWN * len(placed))
    if len(placed) < len(view.mounts):
        # Each ID counts once: discarding it makes a second line of the same ID unplaced.
        root.unplaced = tuple(record for record in view.mounts if not _take(placed, record.mount_id))
        world.uncertain[
            f"{view.label}: {len(root.unplaced)} of its mounts cannot be where the table says, and are left as they are"
        ] = None


def _root_directory(
    shown: dict[int, Mount], namespace: MountNamespace, mounts: dict[int, KernelMount]
) -> tuple[KernelMount, str]:
    """The root of the process that was read: its ``/`` entry, else the directory all entries lie under."""
    outer = [
        record for record in shown.values() if record.parent_id not in shown or record.parent_id == record.mount_id
    ]
    for record in outer:
        if record.mount_point == "/":
            mount = mounts[record.mount_id]
            return mount, mount.root
    if not outer:
        nothing = _hidden(0, namespace, mounts)
        return nothing, nothing.root
    child = mounts[outer[0].mount_id]
    parent = child.parent or _hidden(outer[0].parent_id, namespace, mounts)
    return parent, child.mountpoint.removesuffix(outer[0].mount_point) or "/"


def _hidden(number: int, namespace: MountNamespace, mounts: dict[int, KernelMount]) -> KernelMount:
    """The mount of this ID, which no view shows; its dentries are named by the paths of the view."""
    if number not in mounts:
        unseen = Mount(number, number, f"0:{number}", "/", "/", (), "", "", ())
        mounts[number] = KernelMount(unseen, "/", namespace, hidden=True)
        namespace.roots[mounts[number]] = None
    return mounts[number]


def _join_groups(world: World, mount: KernelMount, record: Mount) -> None:
    if record.peer_group is not None:
        unbindable = mount.unbindable
        mount.join_group(world.group(record.peer_group))
        mount.unbindable = unbindable
    if record.master is not None:
        mount.set_master(world.group(record.master))
        if mount.group is not None and mount.group.master is None:
            mount.group.master = mount.master


def _link_unseen_masters(world: World) -> None:
    """A group that no view shows is still known to be below another where ``propagate_from`` says so."""
    records = (record for view in world.snapshot.views for record in view.mounts)
    claims = {(m.master, m.propagate_from) for m in records if m.master and m.propagate_from}
    further: list[tuple[KernelPeerGroup, KernelPeerGroup]] = []
    for slave, above in sorted(claims):
        group, dominant = world.group(slave), world.group(above)
        if not group.members:
            if group.master is None:
                group.master = dominant
            else:
                further.append((group, dominant))
    _break_master_cycles(world)
    for group, dominant in further:
        chain = list(islice(dominant.dominant(), FURTHEST_MASTER))
        # Of several dominant groups, each the nearest that one namespace shows, the lowest is the nearest.
        if group.master in chain and group not in chain and chain[-1].master is None:
            group.master = dominant


def _break_master_cycles(world: World) -> None:
    """A table may claim that groups are each other's masters; no kernel says so, and walks must end."""
    groups = list(world.groups.values())
    number = {group: index for index, group in enumerate(groups)}
    masters = [NONE if group.master is None else number[group.master] for group in groups]
    for group, above in zip(groups, Forest(masters).above, strict=True):
        if above == NONE:
            group.master = None


def _take(numbers: set[int], number: int) -> bool:
    """Whether *number* was among them; it no longer is."""
    if number not in numbers:
        return False
    numbers.remove(number)
    return True


def _contains(above: Mount, record: Mount) -> bool:
    return under(record.mount_point, above.mount_point)


def _cut_loops(mounts: Iterable[KernelMount], namespace: MountNamespace) -> None:
    """A table may claim that mounts are each other's parents; no kernel says so, and walks must end."""
    reached = {mount for root in namespace.roots for mount in root.tree()}
    for mount in mounts:
        if mount not in reached:
            mount.detach()
            namespace.roots[mount] = None
            reached.update(mount.tree())
