"""One operation or several, from the snapshot before to the snapshot after.

:func:`simulate` is for one; :func:`simulate_all` for several that follow each other; a :class:`Simulation` for who
decides from what one operation did which is the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from mntscope.base.display import Records
from mntscope.base.paths import below, relative
from mntscope.base.records import replace
from mntscope.errors import MntscopeError
from mntscope.model import Mount, View
from mntscope.propagation import operations as ops
from mntscope.propagation.effects import effects
from mntscope.propagation.errno import Errno
from mntscope.propagation.lookup import lookup_target
from mntscope.propagation.mounts import FsRoot, KernelMount
from mntscope.propagation.operations import Operation, Umount
from mntscope.propagation.outcome import Effect, Outcome
from mntscope.propagation.reconstruct import reconstruct
from mntscope.propagation.syscalls import carry_out
from mntscope.propagation.tables import write_snapshot, write_view
from mntscope.propagation.umount_effects import UmountEffects
from mntscope.snapshot import Snapshot

T = TypeVar("T")

MOST_REBUILT = 300_000
"""Mounts of the worlds that :func:`simulate_all` builds anew for single operations. Each takes some 15 us, so all take
some 5 s. What umount(8) of a real tree comes to needs one or two: for the root directory, and for locks that nobody
knows of."""


class Simulation:
    """A machine on which operations are carried out one after the other, and which can be asked in between.

    The machine is built once, from *snapshot*, so an operation costs what it touches. Which mounts are locked
    (MNT_LOCKED) the kernel shows to nobody; where it does not follow, all are taken to be, or (not *assume_locked*)
    none, or (``None``) those of which it is likely. Locks only ever make an operation do less: what happens either way
    is certain.

    A mount of the snapshot is named by the label of a view that shows it there, and its mount ID.

    :raises MntscopeError: the tables claim more than can be followed.
    """

    def __init__(self, snapshot: Snapshot, *, assume_locked: bool | None = False) -> None:
        self._world = reconstruct(snapshot, assume_locked=assume_locked)
        self._written: Snapshot | None = snapshot
        self._first_doubts = dict(self._world.uncertain)
        self._doubts = dict(self._world.uncertain)
        self._lock_doubts: dict[str, None] = {}

    @property
    def snapshot(self) -> Snapshot:
        """The world as it is now; written down when it is first asked for."""
        if self._written is None:
            self._written = self._apart(lambda: write_snapshot(self._world))
        return self._written

    def view(self, label: str) -> View:
        """What mountinfo shows now to the process of this view: cheaper than :attr:`snapshot`."""
        root = self._root(label)
        return self._apart(lambda: write_view(self._world, root))

    @property
    def uncertain(self) -> tuple[str, ...]:
        """What the snapshot cannot tell and the results so far depend on, but for locks; each once."""
        return tuple(self._doubts)

    @property
    def lock_doubts(self) -> tuple[str, ...]:
        """The mounts whose lock had to be assumed for the results so far."""
        return tuple(self._lock_doubts)

    def run(self, operation: Operation | Mapping[str, Any]) -> Outcome:
        """Carry an operation out and tell all that it does; what locks would change is not in its ``uncertain``.

        :raises TargetError: there is no view or handle of that name.
        :raises UsageError: a dict that is no operation, or a path that is not absolute.
        :raises MntscopeError: it takes too long; the simulation is then of no more use.
        """
        wanted, before = ops.operation(operation), self.snapshot
        errno = self.carry_out(wanted)
        if errno is None:
            self._written = write_snapshot(self._world)
        # What has been told need not be followed further: the next may take as long.
        self._world.steps = 0
        found = Records(effects(before, self.snapshot, wanted.ns), Effect)
        return Outcome(wanted, errno, found, self.snapshot, tuple(self._world.uncertain))

    def carry_out(self, operation: Operation | Mapping[str, Any]) -> str | None:
        """Carry an operation out; its errno, or ``None`` for success. A failing operation changes nothing.

        :raises TargetError: there is no view or handle of that name.
        :raises UsageError: a dict that is no operation, or a path that is not absolute.
        :raises MntscopeError: it takes too long, with those carried out before. An umount has then changed nothing;
            after anything else the simulation is of no more use.
        """
        wanted, world = ops.operation(operation), self._world
        world.uncertain, world.lock_doubts = dict(self._first_doubts), {}
        try:
            carry_out(wanted, world, self._root(wanted.ns))
        except Errno as errno:
            return errno.name
        finally:
            self._doubts |= world.uncertain
            self._lock_doubts |= world.lock_doubts
        self._written = None
        return None

    def is_mounted(self, label: str, mount_id: int) -> bool:
        """Whether a mount of the snapshot is still there."""
        mount = self._mount(label, mount_id)
        return mount is not None and mount.namespace is not None

    def mount_ids(self, label: str) -> frozenset[int]:
        """Of the mounts to which a path leads now: much cheaper than :meth:`view`."""
        return frozenset(mount.record.mount_id for mount, _ in self._root(label).reachable())

    def is_locked(self, label: str, mount_id: int) -> bool | None:
        """Whether it is locked to its parent (MNT_LOCKED), so that its namespace cannot unmount it alone.

        ``None``: nobody can tell.
        """
        mount = self._mount(label, mount_id)
        return mount.lock.locked if mount is not None else False

    def mounted_at(self, label: str, path: str) -> int | None:
        """The ID of the mount that umount(2) of *path* is about now; ``None`` where nothing is mounted there.

        :raises UsageError: the path is not absolute.
        """
        self._world.uncertain = {}
        try:
            found = lookup_target(self._world, self._root(label), path)
        except Errno:
            return None
        finally:
            self._doubts |= self._world.uncertain
        return found.mount.record.mount_id if found.is_mount_root else None

    def mounted_in(self, label: str, mount: Mount) -> Iterator[str]:
        """The mount points of what is mounted in *mount* now, outer ones first, as paths below its own mount point."""
        top = self._mount(label, mount.mount_id)
        if top is not None:
            paths = {top: mount.mount_point}
            for inner in top.tree():
                if inner.parent is not None and inner is not top:
                    path = below(paths[inner.parent], relative(inner.mountpoint, inner.parent.root))
                    paths[inner] = path
                    yield path

    def _apart(self, write: Callable[[], T]) -> T:
        """Write something down, however often: what that takes does not count with what operations take."""
        spent, self._world.steps = self._world.steps, 0
        try:
            return write()
        finally:
            self._world.steps = spent

    def _root(self, label: str) -> FsRoot:
        roots = self._world.fs_roots
        return roots[label] if label in roots else roots[self.snapshot.view(label).label]

    def _mount(self, label: str, mount_id: int) -> KernelMount | None:
        return self._world.mounts.get(self._root(label).namespace, {}).get(mount_id)


def simulate(snapshot: Snapshot, operation: Operation | Mapping[str, Any]) -> Outcome:
    """What the kernel does, in every namespace of *snapshot*, when an operation is carried out.

    A failing operation gives its errno and changes nothing. Where the result hangs on something that no table shows,
    :attr:`Outcome.uncertain` says on what; the result given is then the likelier one.

    :raises TargetError: the snapshot has no view or handle of that name.
    :raises UsageError: a dict that is no operation, or a path that is not absolute.
    :raises MntscopeError: it would take too long.
    """
    simulation = Simulation(snapshot, assume_locked=None)
    outcome = simulation.run(operation)
    if simulation.lock_doubts:
        # Locks only ever make an operation do less, so if both extremes agree, so does all between them.
        extremes = [Simulation(snapshot, assume_locked=extreme).run(operation) for extreme in (False, True)]
        if any((other.errno, other.snapshot) != (outcome.errno, outcome.snapshot) for other in extremes):
            may_cross = any(effect.crosses for other in extremes for effect in other.effects)
            return replace(outcome, uncertain=(*outcome.uncertain, *simulation.lock_doubts), may_cross=may_cross)
    return outcome


def simulate_all(snapshot: Snapshot, operations: Sequence[Operation | Mapping[str, Any]]) -> tuple[Outcome, ...]:
    """What operations do one after the other, up to the first that fails.

    As :func:`simulate` of each tells, carried out on what the one before has left; but the snapshot of every outcome
    is the one after the last. That of each would be quadratic, for the thousands of umounts that ``umount -R /`` comes
    to: so what an umount removes, and whom it gives another master, is told from the world that the one before has
    left (:class:`~mntscope.propagation.umount_effects.UmountEffects`). What does more is left to :func:`simulate`.

    :raises TargetError: the snapshot has no view or handle of that name.
    :raises UsageError: a dict that is no operation, or a path that is not absolute.
    :raises MntscopeError: they would take too long.
    """
    outcomes: list[Outcome] = []
    umounts = UmountEffects(snapshot) if len(operations) > 1 else None
    rebuilt = 0
    for wanted in map(ops.operation, operations):
        outcome = umounts.outcome(wanted) if umounts and isinstance(wanted, Umount) else None
        if outcome is None:
            rebuilt += sum(len(view.mounts) for view in snapshot.views)
            if rebuilt > MOST_REBUILT and outcomes:
                hint = "ask for fewer at a time"
                raise MntscopeError("too many umounts that change peer groups for a prediction", hint=hint)
            outcome = simulate(umounts.snapshot() if umounts else snapshot, wanted)
            umounts, snapshot = None, outcome.snapshot
        outcomes.append(outcome)
        if outcome.errno:
            break
        if umounts is None and len(outcomes) < len(operations) - 1:
            umounts = UmountEffects(snapshot)
    after = umounts.snapshot() if umounts else snapshot
    return tuple(replace(outcome, snapshot=after) for outcome in outcomes)
