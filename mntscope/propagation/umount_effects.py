"""The effects of very many umounts, told from what each has changed, not by comparing all tables with those before.

For ``umount -R /`` of thousands of mounts; the answers are those of :func:`~mntscope.propagation.simulate`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mntscope.base.display import Records
from mntscope.base.records import replace
from mntscope.model import Mount, View
from mntscope.propagation.effects import facts, own_labels
from mntscope.propagation.errno import Errno
from mntscope.propagation.lookup import lookup_target
from mntscope.propagation.mounts import FsRoot, KernelMount, KernelPeerGroup, MountNamespace
from mntscope.propagation.operations import Umount
from mntscope.propagation.outcome import Effect, Outcome
from mntscope.propagation.reconstruct import reconstruct
from mntscope.propagation.syscalls import umount
from mntscope.propagation.tables import write_mount
from mntscope.propagation.world import Changes
from mntscope.snapshot import Snapshot


class UmountEffects:
    """A world in which umounts are carried out, and its tables, which follow."""

    def __init__(self, before: Snapshot) -> None:
        self._before = before
        self._world = reconstruct(before)
        self._tables = {view.label: {mount.mount_id: mount for mount in view.mounts} for view in before.views}
        self._positions = {
            label: dict(zip(table, range(len(table)), strict=True)) for label, table in self._tables.items()
        }
        self._views: dict[MountNamespace | None, list[View]] = {}
        """Those of each namespace, in the order of the snapshot."""
        for root in self._world.fs_roots.values():
            self._views.setdefault(root.namespace, []).append(root.view)
        self._members: dict[str, Counter[int | None]] = {}
        """How many members of each group a view shows."""
        self._shown: dict[str, set[KernelPeerGroup | None]] = {}
        """The groups of which a view shows any members,"""
        self._passed: dict[str, dict[KernelPeerGroup, KernelPeerGroup | None]] = {label: {} for label in self._tables}
        """and how far up from others there is none of these."""
        for label, table in self._tables.items():
            self._members[label] = Counter(mount.peer_group for mount in table.values())
            self._shown[label] = {self._world.groups.get(number or 0) for number in self._members[label]}
        self._order = {view.label: number for number, view in enumerate(before.views)}
        self._root_mounts = {root.mount for root in self._world.fs_roots.values()}
        self._own: dict[str, set[str]] = {}
        """By the label of who acts, the views of the same namespace."""
        self._changed: set[str] = set()
        """The views of which something has changed."""
        self._doubts = dict(self._world.uncertain)
        # What descriptors hold, and tables that cannot be, take more than removing lines.
        self._possible = not before.handles and all(map(_is_sound, self._world.fs_roots.values()))

    def outcome(self, operation: Umount) -> Outcome | None:
        """What it does, if that is to fail, or to remove mounts and change masters; its snapshot is not the one after.

        ``None`` if it is more: what it comes to is then for :func:`~mntscope.propagation.simulate` to say, and this
        world of no more use.
        """
        world = self._world
        if not self._possible:
            return None
        world.uncertain, world.lock_doubts, world.changes = dict(self._doubts), {}, Changes()
        actor = world.fs_roots[self._before.view(operation.ns).label]
        try:
            target = lookup_target(world, actor, operation.target)
            lock = target.mount.lock
            may_be_locked = lock.locked is None
            if may_be_locked and lock.likely:
                return None
            umount(operation, world, actor, target)
        except Errno as errno:
            if world.lock_doubts:
                return None
            return Outcome(operation, errno.name, Records((), Effect), self._before, tuple(world.uncertain))
        # Who has lost the root directory sees nothing any more.
        if world.changes.superblocks or any(mount in self._root_mounts for _, mount in world.changes.removed):
            return None
        # Were the mount itself locked, it would fail with EINVAL; what other locks would change, simulate() finds out.
        if world.lock_doubts and not may_be_locked:
            return None
        effects = Records(self._effects(operation.ns), Effect)
        may_cross = bool(world.lock_doubts) and any(effect.crosses for effect in effects)
        return Outcome(operation, None, effects, self._before, (*world.uncertain, *world.lock_doubts), may_cross)

    def snapshot(self) -> Snapshot:
        """The snapshot after those that had an outcome."""
        views = tuple(
            replace(view, mounts=tuple(self._tables[view.label].values())) if view.label in self._changed else view
            for view in self._before.views
        )
        return replace(self._before, views=views)

    def _effects(self, actor: str) -> list[Effect]:
        """What went and what changed, view by view; and writes it into the tables."""
        gone: dict[str, list[tuple[int, Mount]]] = {}
        unshown: dict[str, None] = {}
        for namespace, mount in self._world.changes.removed:
            for view in self._views.get(namespace, ()):
                number, label = mount.record.mount_id, view.label
                if (line := self._tables[label].pop(number, None)) is not None:
                    gone.setdefault(label, []).append((self._positions[label][number], line))
                    self._members[label][line.peer_group] -= 1
                    if not self._members[label][line.peer_group]:
                        # Views of one namespace may claim different groups of one mount: then it may be none of these.
                        self._shown[label].discard(self._world.groups.get(line.peer_group or 0))
                        unshown[label] = None
        retyped: dict[str, list[tuple[int, Mount, Mount]]] = {}
        for mount in dict.fromkeys((*self._world.changes.altered, *self._receivers_of_unshown(unshown))):
            for view in self._views.get(mount.namespace, ()):
                number, label = mount.record.mount_id, view.label
                if (line := self._tables[label].get(number)) is not None:
                    after = write_mount(self._world, mount, line.mount_point, self._shown[label], self._passed[label])
                    self._tables[label][number] = after
                    self._changed.add(label)
                    if facts(line) != facts(after):
                        retyped.setdefault(label, []).append((self._positions[label][number], line, after))
        self._changed.update(gone)
        if actor not in self._own:
            self._own[actor] = own_labels(self._before, actor)
        effects: list[Effect] = []
        for label in sorted({*gone, *retyped}, key=self._order.__getitem__):
            crosses = label not in self._own[actor] and not self._world.fs_roots[label].view.detached
            for _, line in sorted(gone.get(label, ())):
                effects.append(Effect(label, "umount", line.mount_point, line, None, crosses))
            for _, line, after in sorted(retyped.get(label, ())):
                effects.append(Effect(label, "propagation", after.mount_point, line, after, crosses))
        return effects

    def _receivers_of_unshown(self, unshown: dict[str, None]) -> Iterator[KernelMount]:
        """The mounts that may have shown one of the groups that have lost members as their ``propagate_from``.

        Each of the views that no longer shows one did so for what receives from it, up to the next that it shows.
        """
        for label in unshown:
            namespace, shown = self._world.fs_roots[label].namespace, self._shown[label]
            pending = list(self._world.changes.shrunk.values())
            done: set[KernelPeerGroup] = set()
            while pending:
                slaves, unseen = pending.pop()
                below = {*unseen}
                for slave in slaves:
                    self._world.count_steps()
                    if slave.namespace is namespace:
                        yield slave
                    if slave.group is not None:
                        below.add(slave.group)
                for group in below - done:
                    if group not in shown:
                        pending.append((group.slaves, group.unseen_slaves))
                done |= below


def _is_sound(root: FsRoot) -> bool:
    """Whether every mount is where the table says, and no two are at one place of one parent."""
    mounts = (mount for top in root.namespace.roots for mount in top.tree())
    return not root.unplaced and all(len(mount.children) == len(mount.mounted) for mount in mounts)
