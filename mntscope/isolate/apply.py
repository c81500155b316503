"""A plan carried out, all of it or nothing: journal first, one action, every table read again, the next.

mntscope itself stays where it is and changes nothing: it asks a worker in the target's namespace, compares what
every namespace then shows with what was predicted, and has the worker put all back where they differ.
"""

from __future__ import annotations

import errno
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import ClassVar

from mntscope.analysis.plan import Action, Kind, Plan, make_plan
from mntscope.base import signals
from mntscope.base.paths import under
from mntscope.base.records import dataclass, replace
from mntscope.errors import AccessError, KernelError, MntscopeError, RefusedError, TargetError, UsageError
from mntscope.graph import MountTree
from mntscope.isolate.actions import Change, Entrance, Held, Hook, Placed
from mntscope.isolate.journal import Entry, Journal, default_path, locked
from mntscope.isolate.record import new_journal
from mntscope.isolate.target import Target, opened, resolve
from mntscope.isolate.undo import Look, put_back_entries
from mntscope.isolate.verify import Witness
from mntscope.isolate.worker import Worker
from mntscope.kernel.mount_ids import unique_id_of
from mntscope.kernel.proc_context import proc_context
from mntscope.kernel.worker import WorkerLostError, in_child
from mntscope.live.foreign import pid_namespace_of
from mntscope.live.paths import absolute
from mntscope.live.procfs import Proc, open_proc
from mntscope.model import Mount
from mntscope.propagation import simulate
from mntscope.propagation.operations import MountNew, OpenTree, SetPropagation
from mntscope.snapshot import Snapshot

ATTEMPTS = 50
"""How often it is planned and tried again when somebody else changes mounts meanwhile."""


@dataclass(frozen=True, slots=True)
class Isolation:
    """What became of it."""

    plan: Plan
    applied: bool = False
    verified: bool = False
    """Every namespace shows what was predicted."""
    journal: str | None = None
    unread: tuple[str, ...] = ()
    """Namespaces that could not be read again: they ended meanwhile."""
    attempts: int = 0


class RolledBackError(MntscopeError):
    """It was begun, could not be finished, and all is as it was; or not, and the text says so."""

    def __init__(self, what: str, journal: str, *, where: str = "", plan: Plan | None = None, clean: bool) -> None:
        outcome = "all was put back" if clean else "NOT all could be put back: try `mntscope undo` with the journal"
        super().__init__(f"{what}; {outcome}", where=where, hint=f"the journal is {journal}")
        self.journal = journal
        self.plan = plan
        self.clean = clean


class InterruptedIsolationError(RolledBackError):
    """Ctrl-C."""

    exit_code: ClassVar[int] = 130


class TerminatedIsolationError(InterruptedIsolationError):
    """A request to end."""

    exit_code: ClassVar[int] = 143


class _DisturbedError(MntscopeError):
    """A namespace does not show what was predicted."""


class _SignalledError(MntscopeError):
    """A signal asked for the end."""


def isolate(
    target: int | str,
    paths: Sequence[str] = ("/proc",),
    *,
    look: Look,
    mount_proc: bool = False,
    kind: Kind | None = None,
    recursive: bool = False,
    force: bool = False,
    in_host_namespace: bool = False,
    dry_run: bool = False,
    journal: str | None = None,
    hook: Hook | None = None,
) -> Isolation:
    """Stop what is mounted at *paths* of *target* from reaching other namespaces; see :func:`make_plan`.

    *target* is a pid or the path of a namespace file, *journal* the file to write. With *dry_run* it is only planned.

    :raises RefusedError: it would harm.
    :raises RolledBackError: it was begun and not finished.
    :raises AccessError: no permission.
    :raises TargetError: no such process, namespace or path; or it ended meanwhile, and nothing is changed.
    """
    with _signals() as pending, open_proc() as proc, opened(proc, target) as at:
        if mount_proc and at.pid is None:
            raise RefusedError(
                "it names no process, so no PID namespace whose proc could be mounted",
                where=at.name,
                hint="name a process that lives there",
            )

        with signals.at_once():
            places = _resolved(at, paths)

        def plan() -> Plan:
            with signals.at_once():
                snapshot, label = _seen(look, proc, at, target)
            return make_plan(
                snapshot,
                label,
                tuple(places),
                mount_proc=mount_proc,
                kind=kind,
                recursive=recursive,
                force=force,
                in_host_namespace=in_host_namespace,
                own_proc={path for path, own in places.items() if own},
            )

        if dry_run:
            planned = Isolation(plan())
            if pending:
                raise signals.as_error(pending[0])
            return planned
        path = absolute(journal or default_path(at.pid))
        # Planned only when no other mntscope changes anything any more.
        with locked(path, new=True, pending=pending) as directory:

            def journal_of(plan: Plan) -> Journal:
                return new_journal(proc, at, plan, path, directory, in_host_namespace=in_host_namespace)

            return _until_undisturbed(proc, at, plan, journal_of, path, pending, hook)


def _until_undisturbed(
    proc: Proc,
    at: Target,
    plan: Callable[[], Plan],
    journal_of: Callable[[Plan], Journal],
    path: str,
    pending: list[int],
    hook: Hook | None,
) -> Isolation:
    """Plan and try; again where somebody else came in between, and nothing of the attempt is left."""
    attempt = 0
    while True:
        attempt += 1
        if pending:
            raise signals.as_error(pending[0])
        current = plan()
        if not current.actions:
            return Isolation(current, verified=True, journal=path if attempt > 1 else None, attempts=attempt)
        trial = _Trial(proc, at, current, journal_of(current), pending, hook)
        try:
            trial.run()
        except _DisturbedError as error:
            if attempt == ATTEMPTS:
                what = f"mounts kept changing meanwhile ({error})"
                raise RolledBackError(what, path, where=at.name, plan=current, clean=True) from error
            time.sleep(random.uniform(0, 0.1 * min(attempt, 5)))  # noqa: S311 - spreads attempts, guards nothing
        else:
            return Isolation(current, True, True, path, tuple(sorted(trial.witness.unread)), attempt)


class _Trial:
    """One attempt to carry out a plan."""

    def __init__(
        self, proc: Proc, at: Target, plan: Plan, journal: Journal, pending: list[int], hook: Hook | None
    ) -> None:
        self.proc = proc
        self.at = at
        self.plan = plan
        self.label = plan.target.label
        self.journal = journal
        self.pending = pending
        self.hook = hook
        self.without_copy: set[int] = set()
        """The mounts that change and of which no copy could be kept."""
        self.changes: list[Change] = []
        self.context: int | None = None
        """Of the proc that is to be mounted."""
        self.worker: Worker
        self.witness: Witness

    def run(self) -> None:
        """All, or nothing.

        :raises _DisturbedError: somebody else changed something, and all is put back.
        :raises RolledBackError: anything else.
        """
        # Predicted before anything is touched, so that little time passes between one reading and the next.
        expected = self._predicted()
        self.journal.state = "applying"
        self.journal.write()
        try:
            self.worker = Worker(self._entrance(), journal=self.journal, hook=self.hook)
        except MntscopeError as error:
            self._close_context()
            self._finish("rolled-back", str(error))
            raise _explained(error, self.at.name) from error
        self.witness = Witness(self.proc, self.plan.snapshot, self.label, self.worker.pid)
        try:
            self._settle()
            for number, (entry, action) in enumerate(zip(self.journal.entries, self.plan.actions, strict=True)):
                entry.state = "doing"
                self.journal.write()
                if not self._act(entry, action, expected[number - 1] if number else self.plan.snapshot):
                    expected = self._predicted()
                self._verify(expected[number])
                entry.state = "done"
                self.journal.write()
            self._finish("applied")
            self.worker.ask("keep")
        except BaseException as error:  # noqa: BLE001 - whatever it is, nothing may stay half done
            self._undo_after(error)
        finally:
            self.worker.end()
            self.witness.close()
            for change in self.changes:
                _release(change)
            self._close_context()

    def _entrance(self) -> Entrance:
        """Where the worker enters, with what it needs to make a proc if one is to be mounted."""
        if not any(isinstance(action.operation, MountNew) for action in self.plan.actions):
            return self.at.entrance
        self.context = proc_context(self.at.pids)
        return replace(self.at.entrance, proc_context=self.context)

    def _close_context(self) -> None:
        if self.context is not None:
            os.close(self.context)
            self.context = None

    def _predicted(self) -> list[Snapshot]:
        """The world after each action, while the copies that are the ways back are held."""
        world = self.plan.snapshot
        expected = []
        for entry, action in zip(self.journal.entries, self.plan.actions, strict=True):
            for changed in entry.changed:
                mount = self._mount(world, changed.mount_id)
                if changed.mount_id not in self.without_copy:
                    handle = f"way back of {mount.mount_id}"
                    world = simulate(world, OpenTree(self.label, mount.mount_point, handle)).snapshot
            world = simulate(world, action.operation).snapshot
            expected.append(world)
        return expected

    def _act(self, entry: Entry, action: Action, world: Snapshot) -> bool:
        """Carry out one action; whether a copy could be kept of every mount that it changes, as predicted."""
        operation = action.operation
        if isinstance(operation, SetPropagation):
            without = len(self.without_copy)
            for changed in entry.changed:
                self._hold(self._mount(world, changed.mount_id), operation.target)
            first = entry.changed[0].mount_id
            self.worker.ask("set", mount_id=first, type=operation.type, recursive=operation.recursive)
            return len(self.without_copy) == without
        if isinstance(operation, MountNew):
            self._mount_proc(entry, operation.target, _containing(world, self.label, operation.target))
        return True

    def _mount(self, world: Snapshot, mount_id: int) -> Mount:
        return next(mount for mount in world.view(self.label).mounts if mount.mount_id == mount_id)

    def _hold(self, before: Mount, named: str) -> None:
        try:
            answer = self.worker.ask(
                "hold",
                path=before.mount_point,
                mount_id=before.mount_id,
                group=before.peer_group,
                master=before.master,
            )
        except RefusedError:
            if before.mount_point == named:
                raise
            # Covered by another, below the mount that is changed with all that is in it: no path leads there.
            self.without_copy.add(before.mount_id)
            return
        copy = answer.fds[1] if len(answer.fds) > 1 else None
        self.changes.append(Held(before.mount_id, before.peer_group, before.master, answer.fds[0], copy))
        if copy is None:
            self.without_copy.add(before.mount_id)

    def _mount_proc(self, entry: Entry, path: str, parent: Mount) -> None:
        made = self.worker.ask("make proc")
        self.changes += [Placed(fd) for fd in made.fds]
        shown = in_child(lambda: b"%d" % (_shown_by(self.proc, made.fds[0]) or 0), where="the new proc")
        if int(shown) != self.at.pid_namespace:
            what = "the proc that was made does not show the processes of its PID namespace"
            raise RefusedError(what, where=self.at.name, hint="somebody there meddles with it")
        # Before it is attached, so that it can be found again whatever happens then.
        entry.mount_id, entry.unique_id = made.values["mount_id"], unique_id_of(made.fds[0])
        self.journal.write()
        self.worker.ask("attach", path=path, mount_id=parent.mount_id)

    def _settle(self) -> None:
        """Begin from the tables as they are now, unless what has changed since the plan concerns the plan."""
        self._stop_if_asked()
        groups = _related_groups(self.plan)
        for label, mount in self.witness.settle():
            on_the_way = label == self.label and any(
                under(action.path, mount.mount_point) for action in self.plan.actions
            )
            if on_the_way or not groups.isdisjoint((mount.peer_group, mount.master)):
                raise _DisturbedError(f"{label}: the mount at {mount.mount_point} changed since it was planned")

    def _verify(self, expected: Snapshot) -> None:
        self._stop_if_asked()
        differences = self.witness.differences(expected)
        if differences:
            raise _DisturbedError("; ".join(differences[:3]))

    def _stop_if_asked(self) -> None:
        if self.pending:
            raise _SignalledError(f"{signal.Signals(self.pending[0]).name} was received")
        if self.at.ended:
            raise TargetError("it ended meanwhile", where=f"process {self.at.pid}")

    def _finish(self, state: str, note: str = "") -> None:
        self.journal.state, self.journal.note = state, note  # type: ignore[assignment]
        self.journal.write()

    def _undo_after(self, error: BaseException) -> None:
        left = self._roll_back()
        for entry in self.journal.entries:
            if entry.state != "planned" and not left:
                entry.state = "undone"
        note = "; ".join([str(error) or type(error).__name__, *left])
        with suppress(MntscopeError):
            self._finish("failed" if left else "rolled-back", note)
        if isinstance(error, _DisturbedError) and not left:
            raise error
        if isinstance(error, _SignalledError | KeyboardInterrupt):
            kind = TerminatedIsolationError if signal.SIGTERM in self.pending[:1] else InterruptedIsolationError
            raise kind(note, self.journal.path, plan=self.plan, clean=not left) from error
        if not isinstance(error, MntscopeError):
            raise error
        what = str(_explained(error, self.at.name))
        raise RolledBackError(what, self.journal.path, plan=self.plan, clean=not left) from error

    def _roll_back(self) -> list[str]:
        """Put all back: by the worker, else by another one, else through a mount that is still in the old group."""
        try:
            left = list(self.worker.ask("roll back").values["left"])
            if not left:
                return []
        except WorkerLostError:
            self.worker.kill()
        except MntscopeError:
            self.worker.end()
        with suppress(MntscopeError):
            again = Worker(self.at.entrance, changes=self.changes, hook=self.hook)
            try:
                left = list(again.ask("roll back").values["left"])
            finally:
                again.end()
            if not left:
                return []
        return put_back_entries(self.proc, self.at.entrance.mnt, self.plan.snapshot, self.label, self.journal)


# What comes before


def _resolved(at: Target, paths: Sequence[str]) -> dict[str, bool]:
    """Each path from the root of the namespace, links followed, and whether the target's own proc is there."""
    found: dict[str, bool] = {}
    for path in paths:
        if not path.startswith("/") or "\0" in path:
            raise UsageError(f"{path!r} is no absolute path", hint="give it as the target sees it")
        place = resolve(at, path)
        found[place.path] = place.pid_namespace is not None and place.pid_namespace == at.pid_namespace
    return found


def _seen(look: Look, proc: Proc, at: Target, target: int | str) -> tuple[Snapshot, str]:
    """Every namespace, the target's from its very root: a process there may see less, from a chroot."""
    whole = f"ns:/proc/{target}/ns/mnt" if isinstance(target, int) else f"ns:{target}"
    # Where /proc shows strangers, only a capture by pid finds its way.
    seen = look(str(target) if proc.problem and isinstance(target, int) else whole)
    snapshot, label = seen.snapshot, seen.target
    if label == snapshot.host_label or label == at.name:
        return snapshot, label
    views = (replace(view, label=at.name) if view.label == label else view for view in snapshot.views)
    return snapshot.with_views(views), at.name


def _related_groups(plan: Plan) -> set[int]:
    """Every peer group from or to which events of the mounts that change can come, by any number of masters."""
    mounts = [mount for view in plan.snapshot.views for mount in view.mounts]
    related = {
        group
        for action in plan.actions
        for mount in [action.before]
        if mount is not None
        for group in (mount.peer_group, mount.master)
        if group is not None
    }
    links = {(mount.peer_group, mount.master) for mount in mounts if mount.peer_group and mount.master}
    grown = True
    while grown:
        met = {group for link in links if not related.isdisjoint(link) for group in link if group is not None}
        grown = not met <= related
        related |= met
    return related


def _containing(snapshot: Snapshot, label: str, path: str) -> Mount:
    mount = MountTree.of(snapshot.view(label)).containing(path)
    if mount is None:
        raise TargetError(f"no mount contains {path}", where=label)
    return mount


def _shown_by(proc: Proc, mount: int) -> int | None:
    os.fchdir(proc.fd)
    return pid_namespace_of(mount)


def _release(change: Change) -> None:
    os.close(change.mount)
    if isinstance(change, Held) and change.copy is not None:
        os.close(change.copy)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collects what asks for the end, so that it is heard between two steps and not within one."""
    pending: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield pending
        return

    def note(number: int, _: FrameType | None) -> None:
        pending.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield pending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _explained(error: MntscopeError, where: str) -> MntscopeError:
    """What a failing call means here, and what to do."""
    if not isinstance(error, KernelError):
        return error
    if error.errno == errno.EPERM and error.call == "setns":
        hint = "run mntscope as root (it takes CAP_SYS_ADMIN)"
        return AccessError(f"its namespaces may not be entered ({error})", where=where, hint=hint)
    if error.errno == errno.EPERM and error.call == "fsmount":
        # fs/namespace.c, mount_too_revealing
        what = f"the kernel refuses a new proc ({error}): locked mounts cover a part of the one it has"
        hint = "mount_namespaces(7): what a user namespace may not see uncovered; do it from its parent"
        return AccessError(what, where=where, hint=hint)
    if error.errno == errno.EPERM:
        return AccessError(str(error), where=where, hint="run mntscope as root (it takes CAP_SYS_ADMIN)")
    if error.call == "fsopen" and error.errno == errno.ENOSYS:
        hint = "isolate it without --mount-proc, then mount proc from inside"
        return RefusedError("to make a proc for it takes Linux 5.2, and a seccomp filter that knows that", hint=hint)
    if error.call == "fork":
        return TargetError(f"its PID namespace takes no process any more ({error})", where=where)
    return error
