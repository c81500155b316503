"""One attempt to carry out a plan, all of it or nothing: journal first, one action, every table read again, the next.

mntscope itself stays where it is and changes nothing: it asks a worker in the target's namespace
(:mod:`mntscope.isolate.actions`), compares what every namespace then shows with what was predicted
(:mod:`mntscope.isolate.verify`), and has the worker put all back where they differ.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from contextlib import suppress
from itertools import islice

from mntscope.analysis.plan import Action, Plan
from mntscope.base.paths import under
from mntscope.base.records import replace
from mntscope.errors import AccessError, KernelError, MntscopeError, RefusedError, TargetError
from mntscope.graph import MountTree
from mntscope.graph.names import namespace_name
from mntscope.isolate.actions import Change, ChangedMount, Hook, NewMount, let_go, start_worker
from mntscope.isolate.journal import Changed, Entry, Journal, Member, State
from mntscope.isolate.outcome import InterruptedIsolationError, RolledBackError, TerminatedIsolationError
from mntscope.isolate.target import NamespaceFds, Target
from mntscope.isolate.undo import put_back_entries
from mntscope.isolate.verify import Verifier
from mntscope.kernel.channel import Worker
from mntscope.kernel.mount_ids import unique_id_of, unique_ids
from mntscope.kernel.proc_context import proc_context
from mntscope.kernel.worker import WorkerLostError, in_child
from mntscope.live.foreign import pid_namespace_of
from mntscope.live.procfs import Proc, boot_id
from mntscope.model import Mount
from mntscope.parse import format_mountinfo
from mntscope.propagation import simulate
from mntscope.propagation.operations import MountNew, OpenTree, SetPropagation
from mntscope.snapshot import Snapshot

MOST_PEERS = 64
"""Peers of a mount that a journal remembers; one that still exists is enough."""


class DisturbedError(MntscopeError):
    """A namespace does not show what was predicted."""


class _SignalledError(MntscopeError):
    """SIGINT, SIGTERM or SIGHUP came while the plan was carried out: it is put back."""


class Attempt:
    """One attempt; *pending* are the signals that have come, and may grow meanwhile."""

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
        self.verifier: Verifier

    def run(self) -> None:
        """All, or nothing.

        :raises DisturbedError: somebody else changed something, and all is put back.
        :raises RolledBackError: anything else.
        """
        # Predicted before anything is touched, so that little time passes between one reading and the next.
        expected = self._predicted()
        self.journal.state = "applying"
        self.journal.write()
        try:
            self.worker = start_worker(self._namespace(), journal=self.journal, hook=self.hook)
        except MntscopeError as error:
            self._close_context()
            self._finish("rolled-back", str(error))
            raise _explained(error, self.at.name) from error
        self.verifier = Verifier(self.proc, self.plan.snapshot, self.label, self.worker.pid)
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
            let_go(self.worker)
            self.verifier.close()
            for change in self.changes:
                _release(change)
            self._close_context()

    def _namespace(self) -> NamespaceFds:
        """What the worker enters, with what it needs to make a proc if one is to be mounted."""
        if not any(isinstance(action.operation, MountNew) for action in self.plan.actions):
            return self.at.fds
        self.context = proc_context(self.at.pids)
        return replace(self.at.fds, proc_context=self.context)

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
            # It may be as it should be itself, and only what is mounted below it is not.
            named = _containing(world, self.label, operation.target).mount_id
            words = {"type": operation.type, "recursive": operation.recursive}
            self.worker.ask("set", path=operation.target, mount_id=named, **words)
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
        except (RefusedError, KernelError) as error:
            nowhere = isinstance(error, RefusedError) or error.errno in (errno.ENOENT, errno.ENOTDIR)
            if before.mount_point == named or not nowhere:
                raise
            # Covered by another, below the mount that is changed with all that is in it: no path leads there.
            self.without_copy.add(before.mount_id)
            return
        copy = answer.fds[1] if len(answer.fds) > 1 else None
        self.changes.append(ChangedMount(before.mount_id, before.peer_group, before.master, answer.fds[0], copy))
        if copy is None:
            self.without_copy.add(before.mount_id)

    def _mount_proc(self, entry: Entry, path: str, parent: Mount) -> None:
        made = self.worker.ask("make proc")
        self.changes += [NewMount(fd) for fd in made.fds]
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
        for label, mount in self.verifier.settle():
            on_the_way = label == self.label and any(
                under(action.path, mount.mount_point) for action in self.plan.actions
            )
            if on_the_way or not groups.isdisjoint((mount.peer_group, mount.master)):
                raise DisturbedError(f"{label}: the mount at {mount.mount_point} changed since it was planned")

    def _verify(self, expected: Snapshot) -> None:
        self._stop_if_asked()
        differences = self.verifier.differences(expected)
        if differences:
            raise DisturbedError("; ".join(differences[:3]))

    def _stop_if_asked(self) -> None:
        if self.pending:
            raise _SignalledError(f"{signal.Signals(self.pending[0]).name} was received")
        if self.at.ended:
            raise TargetError("it ended meanwhile", where=f"process {self.at.pid}")

    def _finish(self, state: State, note: str = "") -> None:
        self.journal.state, self.journal.note = state, note
        self.journal.write()

    def _undo_after(self, error: BaseException) -> None:
        left = self._roll_back()
        for entry in self.journal.entries:
            if entry.state != "planned" and not left:
                entry.state = "undone"
        note = "; ".join([str(error) or type(error).__name__, *left])
        with suppress(MntscopeError):
            self._finish("failed" if left else "rolled-back", note)
        if isinstance(error, DisturbedError) and not left:
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
            self.worker.end()
        except MntscopeError:
            let_go(self.worker)
        with suppress(MntscopeError):
            again = start_worker(self.at.fds, changes=self.changes, hook=self.hook)
            try:
                left = list(again.ask("roll back").values["left"])
            finally:
                let_go(again)
            if not left:
                return []
        return put_back_entries(self.proc, self.at.fds.mnt, self.plan.snapshot, self.label, self.journal)


# What the journal says beforehand: enough to find it all again, and to know it from something else


def new_journal(
    proc: Proc, at: Target, plan: Plan, path: str, directory: int, *, in_host_namespace: bool = False
) -> Journal:
    """The journal of a plan that is about to be carried out, not yet written; *directory* is where it goes.

    *in_host_namespace*: it was asked for even if that namespace is the host's.

    :raises RefusedError: what would change could not be told from other mounts later.
    """
    return Journal(
        path=path,
        boot_id=boot_id(proc),
        time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        pid=at.pid,
        start_time=at.start_time,
        namespace=at.namespace.inode or 0,
        namespace_id=at.namespace.id,
        entries=_entries(plan),
        directory=directory,
        in_host_namespace=in_host_namespace,
        target=namespace_name(plan.target),
    )


def _entries(plan: Plan) -> list[Entry]:
    ids = {view.label: unique_ids(view.namespace.id) for view in plan.snapshot.views}
    label = plan.target.label
    if not ids[label] and any(ids.values()):
        # Undo would not believe it: see there.
        raise RefusedError(
            "the kernel does not give the unique ids of its mounts, by which undo would find them",
            where=label,
            hint="run mntscope as root",
        )
    entries = []
    for action in plan.actions:
        operation = action.operation
        if isinstance(operation, SetPropagation):
            mounts = [
                effect.before
                for effect in action.effects
                if effect.namespace == label and effect.change == "propagation" and effect.before is not None
            ]
            # The one that is named comes first, the others are below it.
            mounts.sort(key=lambda mount: mount != action.before)
            changed = [
                Changed(mount.mount_id, ids[label].get(mount.mount_id), _line(mount), _peers(plan, mount, ids))
                for mount in mounts
            ]
            entries.append(Entry("propagation", action.path, operation.type, operation.recursive, changed=changed))
        else:
            entries.append(Entry("mount", action.path))
    return entries


def _peers(plan: Plan, mount: Mount, ids: dict[str, dict[int, int]]) -> list[Member]:
    group = mount.peer_group if mount.peer_group is not None else mount.master
    views = sorted(plan.snapshot.views, key=lambda view: view.label != plan.snapshot.host_label)
    found = (
        Member(peer.mount_id, ids[view.label].get(peer.mount_id))
        for view in views
        for peer in view.mounts
        if group is not None and (peer.peer_group, peer.device) == (group, mount.device) and peer != mount
    )
    return list(islice(found, MOST_PEERS))


def _line(mount: Mount) -> str:
    return format_mountinfo([mount]).decode("utf-8", "surrogateescape").removesuffix("\n")


# What is looked up


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
    if isinstance(change, ChangedMount) and change.copy is not None:
        os.close(change.copy)


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
