"""Many operations one after the other, such as the umounts that ``umount -R /`` comes to.

:func:`~mntscope.propagation.simulate` of each would build the world anew each time, and write down all of it: for
thousands of umounts, each of all mounts, that is quadratic. So what an umount removes, and whom it gives another
master, is written down here from the world that the one before has left. What does more is left to :func:`simulate`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from mntscope.base.display import Records
from mntscope.base.records import replace
from mntscope.errors import MntscopeError
from mntscope.model import Mount, View
from mntscope.propagation.effects import facts, own_labels
from mntscope.propagation.errno import Failure
from mntscope.propagation.lookup import lookup_target
from mntscope.propagation.mounts import Group, Node, Space
from mntscope.propagation.operations import Operation, Umount
from mntscope.propagation.outcome import Effect, Outcome
from mntscope.propagation.syscalls import carry_out, simulate
from mntscope.propagation.world import Viewpoint, World
from mntscope.snapshot import Snapshot

MOST_REBUILT = 300_000
"""Mounts of the worlds that are built anew for single operations. Each takes some 15 us, so all take some 5 s. What
umount(8) of a real tree comes to needs one or two: for the root directory, and for locks that nobody knows of."""


def in_turn(snapshot: Snapshot, operations: Sequence[Operation]) -> tuple[Outcome, ...]:
    """What *operations* do one after the other, up to the first that fails.

    As :func:`~mntscope.propagation.simulate` of each tells, carried out on what the one before has left; but the
    snapshot of every outcome is the one after the last.

    :raises TargetError: the snapshot has no view or handle of that name.
    :raises UsageError: a path that is not absolute.
    :raises MntscopeError: they would take too long.
    """
    outcomes: list[Outcome] = []
    umounts = _Umounts(snapshot) if len(operations) > 1 else None
    rebuilt = 0
    for operation in operations:
        outcome = umounts.plain(operation) if umounts and isinstance(operation, Umount) else None
        if outcome is None:
            rebuilt += sum(len(view.mounts) for view in snapshot.views)
            if rebuilt > MOST_REBUILT and outcomes:
                hint = "ask for fewer at a time"
                raise MntscopeError("too many umounts that change peer groups for a prediction", hint=hint)
            outcome = simulate(umounts.snapshot() if umounts else snapshot, operation)
            umounts, snapshot = None, outcome.snapshot
        outcomes.append(outcome)
        if outcome.errno:
            break
        if umounts is None and len(outcomes) < len(operations) - 1:
            umounts = _Umounts(snapshot)
    after = umounts.snapshot() if umounts else snapshot
    return tuple(replace(outcome, snapshot=after) for outcome in outcomes)


class _Umounts:
    """A world in which umounts are carried out, and its tables."""

    def __init__(self, before: Snapshot) -> None:
        self.before = before
        self.world = World(before)
        self.tables = {view.label: {mount.mount_id: mount for mount in view.mounts} for view in before.views}
        self.positions = {
            label: dict(zip(table, range(len(table)), strict=True)) for label, table in self.tables.items()
        }
        self.views: dict[Space | None, list[View]] = {}
        """Those of each namespace, in the order of the snapshot."""
        for viewpoint in self.world.viewpoints.values():
            self.views.setdefault(viewpoint.space, []).append(viewpoint.view)
        self.seen: dict[str, Counter[int | None]] = {}
        """How many members of each group a view shows."""
        self.shown: dict[str, set[Group | None]] = {}
        """Those of which it shows any,"""
        self.passed: dict[str, dict[Group, Group | None]] = {label: {} for label in self.tables}
        """and how far up from others there is none of these."""
        for label, table in self.tables.items():
            self.seen[label] = Counter(mount.peer_group for mount in table.values())
            self.shown[label] = {self.world.groups.get(number or 0) for number in self.seen[label]}
        self.order = {view.label: number for number, view in enumerate(before.views)}
        self.roots = {viewpoint.root for viewpoint in self.world.viewpoints.values()}
        self.own: dict[str, set[str]] = {}
        self.changed: set[str] = set()
        """The views of which something has changed."""
        self.doubts = dict(self.world.uncertain)
        # What descriptors hold, and tables that cannot be, take more than removing lines.
        self.possible = not before.handles and all(map(_is_sound, self.world.viewpoints.values()))

    def plain(self, operation: Umount) -> Outcome | None:
        """What it does, if that is to fail, or to remove mounts and change masters.

        ``None`` if it is more: this is then of no more use.
        The snapshot of the outcome is not the one after it.
        """
        world = self.world
        if not self.possible:
            return None
        world.uncertain = dict(self.doubts)
        world.asked_lock.clear()
        world.removed.clear()
        world.altered.clear()
        world.left.clear()
        actor = world.viewpoints[self.before.view(operation.ns).label]
        try:
            may_be_locked = lookup_target(world, actor, operation.target).node.lock.locked is None
            carry_out(operation, world, actor)
        except Failure as failure:
            if world.asked_lock:
                return None
            return Outcome(operation, failure.errno, Records((), Effect), self.before, tuple(world.uncertain))
        # Who has lost the root directory sees nothing any more.
        if world.remade or any(node in self.roots for _, node in world.removed):
            return None
        # Were the mount itself locked, it would fail with EINVAL; what other locks would change, simulate() finds out.
        if world.asked_lock and not may_be_locked:
            return None
        effects = Records(self._effects(operation.ns), Effect)
        return Outcome(operation, None, effects, self.before, (*world.uncertain, *world.asked_lock))

    def snapshot(self) -> Snapshot:
        """The snapshot after those that were plain."""
        views = tuple(
            replace(view, mounts=tuple(self.tables[view.label].values())) if view.label in self.changed else view
            for view in self.before.views
        )
        return replace(self.before, views=views)

    def _effects(self, actor: str) -> list[Effect]:
        """What went and what changed, view by view; and writes it into the tables."""
        gone: dict[str, list[tuple[int, Mount]]] = {}
        unshown: dict[str, None] = {}
        for space, node in self.world.removed:
            for view in self.views.get(space, ()):
                number, label = node.mount.mount_id, view.label
                if (mount := self.tables[label].pop(number, None)) is not None:
                    gone.setdefault(label, []).append((self.positions[label][number], mount))
                    self.seen[label][mount.peer_group] -= 1
                    if not self.seen[label][mount.peer_group]:
                        # Views of one namespace may claim different groups of one mount: then it may be none of these.
                        self.shown[label].discard(self.world.groups.get(mount.peer_group or 0))
                        unshown[label] = None
        retyped: dict[str, list[tuple[int, Mount, Mount]]] = {}
        for node in dict.fromkeys((*self.world.altered, *self._below(unshown))):
            for view in self.views.get(node.space, ()):
                number, label = node.mount.mount_id, view.label
                if (mount := self.tables[label].get(number)) is not None:
                    after = self.world.record(node, mount.mount_point, self.shown[label], self.passed[label])
                    self.tables[label][number] = after
                    self.changed.add(label)
                    if facts(mount) != facts(after):
                        retyped.setdefault(label, []).append((self.positions[label][number], mount, after))
        self.changed.update(gone)
        if actor not in self.own:
            self.own[actor] = own_labels(self.before, actor)
        effects: list[Effect] = []
        for label in sorted({*gone, *retyped}, key=self.order.__getitem__):
            crosses = label not in self.own[actor] and not self.world.viewpoints[label].view.detached
            for _, mount in sorted(gone.get(label, ())):
                effects.append(Effect(label, "umount", mount.mount_point, mount, None, crosses))
            for _, mount, after in sorted(retyped.get(label, ())):
                effects.append(Effect(label, "propagation", after.mount_point, mount, after, crosses))
        return effects

    def _below(self, unshown: dict[str, None]) -> Iterator[Node]:
        """The mounts that may have shown one of the groups that have lost members as their ``propagate_from``.

        Each of the views that no longer shows one did so for what receives from it, up to the next that it shows.
        """
        for label in unshown:
            space, shown = self.world.viewpoints[label].space, self.shown[label]
            pending = list(self.world.left.values())
            done: set[Group] = set()
            while pending:
                slaves, unseen = pending.pop()
                below = {*unseen}
                for slave in slaves:
                    self.world.takes()
                    if slave.space is space:
                        yield slave
                    if slave.group is not None:
                        below.add(slave.group)
                for group in below - done:
                    if group not in shown:
                        pending.append((group.slaves, group.unseen_slaves))
                done |= below


def _is_sound(viewpoint: Viewpoint) -> bool:
    """Whether every mount is where the table says, and no two are at one place of one parent."""
    nodes = (node for top in viewpoint.space.tops for node in top.tree())
    return not viewpoint.unplaced and all(len(node.children) == len(node.mounted) for node in nodes)
