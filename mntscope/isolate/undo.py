"""What a journal says was changed, put back: the new proc unmounted, each mount in its old peer group again.

A mount joins a group through another member of it (MOVE_MOUNT_SET_GROUP, Linux 5.15), wherever that one lives
(:mod:`mntscope.isolate.sources`). The number of a group is the same as long as it has a member, so with the old number
comes the old group.

Who wrote the journal is looked at before it is read (:mod:`mntscope.isolate.trust`), what it says before anything is
done (:mod:`mntscope.isolate.steps`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from mntscope.base.counting import counted
from mntscope.base.records import dataclass
from mntscope.base.signals import to_the_end, uninterrupted
from mntscope.errors import AccessError, KernelError, MntscopeError, RefusedError
from mntscope.graph import same_namespace
from mntscope.isolate.actions import Hook, let_go, start_worker
from mntscope.isolate.journal import Entry, Journal, State, default_directory, locked
from mntscope.isolate.outcome import Undoing
from mntscope.isolate.sources import Prepared, Sources
from mntscope.isolate.steps import Problem, Steps
from mntscope.isolate.target import Capture, Captured, NamespaceFds
from mntscope.isolate.trust import open_directory
from mntscope.isolate.verify import Verifier
from mntscope.kernel.mount_ids import unique_ids
from mntscope.live.namespaces import every_namespace, identify, lists_all
from mntscope.live.paths import absolute
from mntscope.live.procfs import Proc, boot_id, open_proc
from mntscope.snapshot import Snapshot

_OPEN = os.O_RDONLY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of ``undo --list``: a journal of the default directory, and what it is good for."""

    journal: str
    time: str = ""
    pid: int | None = None
    """The process that was named, if one was."""
    namespace: int | None = None
    """Inode of its mount namespace."""
    state: State | None = None
    to_undo: bool = False
    """Whether there is something to undo."""
    why: str = ""
    """Why not, or why it cannot be told."""
    target: str = ""
    """What its namespace was called."""
    what: str = ""
    """What was changed there, in a few words."""


def put_back(path: str, *, capture: Capture, in_host_namespace: bool = False, hook: Hook | None = None) -> Undoing:
    """Put back what the journal at *path* says was changed. A second time there is nothing to do.

    *in_host_namespace*: even if that is the host's own namespace, and the journal says that isolate was told so too.
    *hook* is for tests: it is called before each system call.

    :raises RefusedError: somebody else can have written it, it is of another boot, the namespace is gone, it does not
        fit what is there, or something would be lost; nothing is changed.
    :raises AccessError: it may not be read, or what it speaks of may not be looked at; nothing is changed.
    :raises MntscopeError: something could not be put back; the journal says what has been.
    """
    path = absolute(path)
    # What is not to be obeyed is not waited for either.
    with uninterrupted():
        Journal.read(path)
    with locked(path, new=False) as directory, uninterrupted(), open_proc() as proc:
        journal = Journal.read(path, directory)
        _refuse_of_another_boot(journal, proc)
        if not journal.to_undo:
            return Undoing(path, ())
        with _namespace(proc, journal) as (mnt, name):
            seen = capture(name)
            _refuse_unless_meant(journal, seen, in_host_namespace=in_host_namespace)
            notes: list[str] = []
            done, problems = _put_all_back(
                proc, mnt, seen.snapshot, seen.target, journal, notes, hook, all_or_nothing=True
            )
            if problems:
                what = "; ".join(problem.what for problem in problems)
                if done:
                    # Something failed on the way, though all had been looked at before.
                    what += f"; put back all the same: {', '.join(done)}"
                else:
                    what += "; nothing is changed"
                raise (MntscopeError if done else RefusedError)(what, where=path, hint=problems[0].hint)
        return Undoing(path, tuple(done), tuple(notes))


def put_back_entries(proc: Proc, mnt: int, snapshot: Snapshot, label: str, journal: Journal) -> list[str]:
    """The same for one that was begun and cannot go on, as far as it can be done: what could not be put back."""
    try:
        _, problems = _put_all_back(proc, mnt, snapshot, label, journal, [], None, all_or_nothing=False)
    except MntscopeError as error:
        return [str(error)]
    return [problem.what for problem in problems]


def journals() -> tuple[Listed, ...]:
    """Every journal of the default directory, the oldest first.

    :raises MntscopeError: the directory may not be read, or others can write there.
    """
    where = default_directory()
    fd = open_directory(where)
    try:
        names = sorted(name for name in os.listdir(fd) if name.endswith(".json"))
        with open_proc() as proc:
            return tuple(_listed(proc, fd, os.path.join(where, name)) for name in names)
    finally:
        os.close(fd)


def _listed(proc: Proc, directory: int, path: str) -> Listed:
    try:
        journal = Journal.read(path, directory)
    except MntscopeError as error:
        return Listed(path, why=error.what)
    why = ""
    if journal.to_undo:
        try:
            _refuse_of_another_boot(journal, proc)
            with _namespace(proc, journal):
                pass
        except MntscopeError as error:
            why = error.what
    to_undo = journal.to_undo and not why
    told = (journal.time, journal.pid, journal.namespace, journal.state, to_undo, why, journal.target, journal.what)
    return Listed(path, *told)


def _refuse_of_another_boot(journal: Journal, proc: Proc) -> None:
    if journal.boot_id != boot_id(proc):
        what = "it is of another boot: what it speaks of went away with that"
        raise RefusedError(what, where=journal.path, hint="delete it")


def _refuse_unless_meant(journal: Journal, seen: Captured, *, in_host_namespace: bool) -> None:
    """Look whether what was captured is what the journal speaks of, and whether that is the host's own."""
    found = seen.snapshot.view(seen.target).namespace
    if found.inode != journal.namespace or found.id not in (None, journal.namespace_id):
        what = "the process through which its namespace was found has ended"
        raise RefusedError(what, where=journal.path, hint="try again")
    if not same_namespace(seen.snapshot.host, seen.snapshot.view(seen.target)):
        return
    if not journal.in_host_namespace:
        raise RefusedError(
            "it speaks of the host's own mount namespace, and not of `isolate --in-host-namespace`, without which "
            "nothing is changed there",
            where=journal.path,
            hint="delete it",
        )
    if not in_host_namespace:
        raise RefusedError(
            "it speaks of the host's own mount namespace", where=journal.path, hint="undo it with --in-host-namespace"
        )


@to_the_end()
def _put_all_back(
    proc: Proc,
    mnt: int,
    snapshot: Snapshot,
    label: str,
    journal: Journal,
    notes: list[str],
    hook: Hook | None,
    *,
    all_or_nothing: bool,
) -> tuple[list[str], list[Problem]]:
    """What has been put back, one line each, and what could not be; the *notes* are added to."""
    # Not in the user namespace that owns the mounts: a member of the old group may belong to another.
    worker = start_worker(NamespaceFds(proc.fd, mnt), hook=hook)
    verifier = Verifier(proc, snapshot, label, worker.pid)
    done: list[str] = []
    found: list[tuple[Entry, list[Prepared | Problem]]] = []
    try:
        now = verifier.table(label) or {mount.mount_id: mount for mount in snapshot.view(label).mounts}
        steps = Steps(journal, snapshot, label, cache(unique_ids))
        sources = Sources(proc, {view.label: view for view in snapshot.views}, mnt, hook)
        # All of them are looked at, and what they take is in hand, before the first is taken.
        for entry, needed in steps.find(now):
            found.append((entry, []))
            found[-1][1].extend(map(sources.prepare, needed))
        problems = [step for _, needed in found for step in needed if isinstance(step, Problem)]
        if problems and all_or_nothing:
            return [], problems
        problems = []
        notes += steps.notes
        for entry, prepared in found:
            left = []
            for ready in prepared:
                outcome = ready if isinstance(ready, Problem) else sources.take(ready, worker)
                if isinstance(outcome, Problem):
                    left.append(outcome)
                else:
                    done.append(outcome)
            if not left:
                entry.state = "undone"
                journal.write()
            problems += left
        elsewhere = [view for view in snapshot.views if view.label != label]
        notes += (f"changed meanwhile: {what}" for what in verifier.differences(snapshot.with_views(elsewhere)))
        if not problems:
            journal.state = "undone" if journal.state == "applied" else "rolled-back"
            journal.write()
    finally:
        for _, prepared in found:
            for ready in prepared:
                if isinstance(ready, Prepared):
                    ready.close()
        let_go(worker)
        verifier.close()
    return done, problems


@contextmanager
def _namespace(proc: Proc, journal: Journal) -> Iterator[tuple[int, str]]:
    """The mount namespace of a journal, and a TARGET that names it.

    :raises RefusedError: it is gone, or it is another.
    :raises AccessError: whether it is gone cannot be told.
    """
    fd, name = _found(proc, journal)
    try:
        yield fd, name
    finally:
        os.close(fd)


def _found(proc: Proc, journal: Journal) -> tuple[int, str]:
    unseen = 0
    # The process that was named is likely to live there still.
    for pid in sorted(proc.pids(), key=lambda pid: pid != journal.pid):
        try:
            fd = os.open(f"{pid}/ns/mnt", _OPEN, dir_fd=proc.fd)
        except (FileNotFoundError, ProcessLookupError):
            # It has ended, or is about to.
            continue
        except PermissionError:
            unseen += 1
            continue
        except OSError as error:
            raise KernelError("open", error.errno or 0, where=f"/proc/{pid}/ns/mnt") from error
        if _is_it(fd, journal):
            return fd, str(pid) if proc.problem else f"ns:/proc/{pid}/ns/mnt"
        os.close(fd)
    for there in every_namespace(proc):
        if _is_it(there, journal):
            fd = os.dup(there)
            return fd, f"ns:/proc/self/fd/{fd}"
    if lists_all(proc):
        what = "the mount namespace it speaks of is gone, and all that was changed with it"
        raise RefusedError(what, where=journal.path, hint="there is nothing to undo: delete it")
    if unseen:
        what = f"its namespace was not found, but {counted(unseen, 'process')} may not be looked at, and may live there"
        raise AccessError(what, where=journal.path, hint="run mntscope as root")
    what = "no process lives in the mount namespace it speaks of any more"
    raise RefusedError(what, where=journal.path, hint="unless a mount or a descriptor keeps that, delete it")


def _is_it(fd: int, journal: Journal) -> bool:
    found = identify(fd)
    if found.inode != journal.namespace:
        return False
    if found.id is not None and journal.namespace_id is None:
        # The inode is given to another namespace as soon as that one is gone.
        what = "it does not tell the 64-bit id of its namespace, as isolate does on this kernel"
        raise RefusedError(what, where=journal.path, hint="put it back by hand, and delete the journal")
    return found.id in (None, journal.namespace_id)
