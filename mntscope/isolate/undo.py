"""What a journal says was changed, put back: the new proc unmounted, each mount in its old peer group again.

A mount joins a group through another member of it (MOVE_MOUNT_SET_GROUP, Linux 5.15), wherever that one lives. The
number of a group is the same as long as it has a member, so with the old number comes the old group.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from mntscope.errors import KernelError, MntscopeError, RefusedError
from mntscope.frozen import dataclass
from mntscope.interrupts import uninterrupted
from mntscope.isolate.hands import Entrance
from mntscope.isolate.journal import Changed, Entry, Journal, locked
from mntscope.isolate.target import namespace_of
from mntscope.isolate.witness import Witness
from mntscope.isolate.worker import Worker
from mntscope.kernel.mount_ids import unique_ids
from mntscope.live.namespaces import every_namespace, identify
from mntscope.live.procfs import Proc, open_proc, read
from mntscope.model import Mount, View
from mntscope.parse import parse_mountinfo
from mntscope.places import below, relative, under
from mntscope.snapshot import Snapshot


class Seen(Protocol):
    """The machine at one moment."""

    @property
    def snapshot(self) -> Snapshot:
        """Every namespace of it."""
        ...

    @property
    def target(self) -> str:
        """The label of the view that was asked for."""
        ...


Look = Callable[[str], Seen]
"""Captures every namespace of the machine: the argument is a TARGET."""

_OPEN = os.O_RDONLY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Undoing:
    """What became of it."""

    journal: str
    done: tuple[str, ...]
    """What was put back, one line each; empty where nothing was left to do."""
    notes: tuple[str, ...] = ()
    """What is not quite as before, and why."""


@uninterrupted()
def put_back(path: str, *, look: Look) -> Undoing:
    """Put back what the journal at *path* says was changed. A second time there is nothing to do.

    :raises RefusedError: it is of another boot, the namespace is gone, or something would be lost; nothing is changed.
    :raises MntscopeError: something could not be put back; the journal says what has been.
    """
    path = os.path.abspath(path)
    with locked(path, new=False) as directory, open_proc() as proc:
        journal = Journal.read(path)
        journal.directory = directory
        if journal.boot_id != boot_id(proc):
            raise RefusedError(
                "it is of another boot: what it speaks of went away with that", where=path, hint="delete it"
            )
        if journal.state in ("undone", "rolled-back"):
            return Undoing(path, ())
        with _namespace(proc, journal) as (mnt, name):
            seen = look(name)
            notes: list[str] = []
            done = _put_all_back(proc, mnt, seen.snapshot, seen.target, journal, notes)
        return Undoing(path, tuple(done), tuple(notes))


def put_back_entries(proc: Proc, mnt: int, snapshot: Snapshot, label: str, journal: Journal) -> list[str]:
    """The same for one that was begun and cannot go on: what could not be put back."""
    try:
        _put_all_back(proc, mnt, snapshot, label, journal, [])
    except MntscopeError as error:
        return [str(error)]
    return []


def boot_id(proc: Proc) -> str:
    """What tells this boot from all others."""
    return read("sys/kernel/random/boot_id", dir_fd=proc.fd).decode().strip()


def _put_all_back(
    proc: Proc, mnt: int, snapshot: Snapshot, label: str, journal: Journal, notes: list[str]
) -> list[str]:
    # Not in the user namespace that owns the mounts: a member of the old group may belong to another.
    worker = Worker(Entrance(proc.fd, mnt))
    witness = Witness(proc, snapshot, label, worker.pid)
    done: list[str] = []
    try:
        ids = unique_ids(journal.namespace_id)
        before = {mount.mount_id: mount for mount in snapshot.view(label).mounts}
        now = witness.table(label) or before
        for entry in journal.entries:
            _refuse_if_lost(entry, now, ids, journal.path)
        left: list[str] = []
        for entry in reversed(journal.entries):
            if entry.state in ("doing", "done"):
                putter = _Putter(proc, mnt, worker, snapshot, label, ids)
                done += putter.put_back(entry, now, notes)
                left += putter.left
                entry.state = entry.state if putter.left else "undone"
                journal.write()
                now = witness.table(label) or now
        elsewhere = [view for view in snapshot.views if view.label != label]
        notes += (f"changed meanwhile: {what}" for what in witness.differences(snapshot.with_views(elsewhere)))
        if left:
            raise MntscopeError("; ".join(left), where=label, hint="unmount what covers them, then try again")
        journal.state = "undone" if journal.state == "applied" else "rolled-back"
        journal.write()
    finally:
        worker.end()
        witness.close()
    return done


def _refuse_if_lost(entry: Entry, now: dict[int, Mount], ids: dict[int, int], where: str) -> None:
    """Look, before anything is put back, whether something is in the way."""
    mount = _ours(entry, now, ids)
    if mount is None:
        return
    upon = next((other for other in now.values() if other.parent_id == mount.mount_id), None)
    if upon is not None:
        raise RefusedError(
            f"a {upon.fs_type} is mounted at {upon.mount_point}, on the proc that would be unmounted",
            where=where,
            hint=f"unmount {upon.mount_point} first",
        )


def _ours(entry: Entry, now: dict[int, Mount], ids: dict[int, int]) -> Mount | None:
    """The mount that an action made, if it is still there."""
    mount = now.get(entry.mount_id or 0)
    if mount is None or mount.fs_type != "proc" or mount.mount_point != entry.path:
        return None
    known = ids.get(mount.mount_id)
    return None if entry.unique_id and known and entry.unique_id != known else mount


class _Putter:
    """Puts one action back."""

    def __init__(
        self, proc: Proc, mnt: int, worker: Worker, snapshot: Snapshot, label: str, ids: dict[int, int]
    ) -> None:
        self.proc = proc
        self.mnt = mnt
        self.worker = worker
        self.snapshot = snapshot
        self.label = label
        self.ids = ids
        self.left: list[str] = []
        """What could not be put back, one line each."""

    def put_back(self, entry: Entry, now: dict[int, Mount], notes: list[str]) -> Iterator[str]:
        """What is done, one line each."""
        if entry.action == "mount":
            mount = _ours(entry, now, self.ids)
            if mount is not None:
                self.worker.ask("unmount", path=mount.mount_point, mount_id=mount.mount_id)
                yield f"unmounted the proc at {mount.mount_point}"
            elif entry.mount_id is not None:
                notes.append(f"the proc at {entry.path} had been unmounted already")
            return
        for changed in entry.changed:
            yield from self._regroup(changed, now, notes)

    def _regroup(self, changed: Changed, now: dict[int, Mount], notes: list[str]) -> Iterator[str]:
        (was,) = parse_mountinfo(changed.line.encode("utf-8", "surrogateescape"), strict=False)
        mount = now.get(changed.mount_id)
        known = self.ids.get(changed.mount_id)
        if mount is None or (changed.unique_id and known and changed.unique_id != known):
            notes.append(f"the mount that was at {was.mount_point} had been unmounted already")
            return
        if (mount.peer_group, mount.master) == (was.peer_group, was.master):
            return
        group = was.peer_group if was.peer_group is not None else was.master
        if group is None:
            return
        members = self._members(group, was, changed)
        alive = _still_there(members, changed)
        source = self._source(members, was) if alive else None
        if source is None and alive:
            self.left.append(
                f"{mount.mount_point} cannot rejoin peer group {group}: other mounts cover all that are in it"
            )
            return
        if source is None and was.peer_group is None:
            notes.append(f"{mount.mount_point} has no master any more: its peer group {group} is gone")
            return
        try:
            self._join(mount, source)
        except RefusedError:
            self.left.append(f"{mount.mount_point} cannot rejoin peer group {group}: another mount covers it")
            return
        finally:
            if source is not None:
                os.close(source)
        if source is None:
            notes.append(
                f"the peer group {group} of {mount.mount_point} is gone (none of the members it had is left): "
                "it is shared again, in a group with a new number"
            )
            yield f"made {mount.mount_point} shared again"
        elif was.peer_group is None:
            yield f"made {mount.mount_point} a slave of peer group {group} again"
        else:
            yield f"returned {mount.mount_point} to peer group {group}"

    def _join(self, mount: Mount, source: int | None) -> None:
        # A worker forked now has the descriptor under the same number.
        worker = Worker(Entrance(self.proc.fd, self.mnt))
        try:
            worker.ask("join", path=mount.mount_point, mount_id=mount.mount_id, source=source)
        finally:
            worker.end()

    def _members(self, group: int, was: Mount, changed: Changed) -> list[tuple[View, Mount]]:
        """The mounts that are in the group now, the host's first."""
        views = sorted(
            (view for view in self.snapshot.views if not view.detached),
            key=lambda view: view.label != self.snapshot.host_label,
        )
        return [
            (view, mount)
            for view in views
            for mount in view.mounts
            if (mount.peer_group, mount.device) == (group, was.device)
            and (view.label, mount.mount_id) != (self.label, changed.mount_id)
        ]

    def _source(self, members: list[tuple[View, Mount]], was: Mount) -> int | None:
        """A descriptor of a mount whose group and master are those wanted, and whose root holds that of the mount."""
        for view, mount in members:
            if not under(was.root, mount.root):
                continue
            fd = namespace_of(self.proc, view)
            if fd is None:
                continue
            root = view.process.root if view.process else "/"
            place = below(root or "/", relative(mount.mount_point, "/"))
            try:
                worker = Worker(Entrance(self.proc.fd, fd))
                try:
                    slave = was.peer_group is None
                    return worker.ask("copy", path=place, mount_id=mount.mount_id, slave=slave).fds[0]
                finally:
                    worker.end()
            except (RefusedError, KernelError):
                # Covered, or in a namespace that may not be entered: another will do.
                continue
            finally:
                os.close(fd)
        return None


def _still_there(members: list[tuple[View, Mount]], changed: Changed) -> bool:
    """Whether one of them was in the group then: the number alone may have been given to another group since."""
    unique = {peer.unique_id for peer in changed.peers} - {None}
    if not unique:
        return bool({mount.mount_id for _, mount in members} & {peer.mount_id for peer in changed.peers})
    return any(unique_ids(view.namespace.id).get(mount.mount_id) in unique for view, mount in members)


@contextmanager
def _namespace(proc: Proc, journal: Journal) -> Iterator[tuple[int, str]]:
    """The mount namespace of a journal, and a TARGET that names it."""

    def is_it(fd: int) -> bool:
        found = identify(fd)
        return found.inode == journal.namespace and journal.namespace_id in (None, found.id)

    # The process that was named is likely to live there still.
    for pid in sorted(proc.pids(), key=lambda pid: pid != journal.pid):
        with suppress(OSError):
            fd = os.open(f"{pid}/ns/mnt", _OPEN, dir_fd=proc.fd)
            try:
                if is_it(fd):
                    yield fd, str(pid) if proc.problem else f"ns:/proc/{pid}/ns/mnt"
                    return
            finally:
                os.close(fd)
    for fd in every_namespace(proc):
        if is_it(fd):
            yield fd, f"ns:/proc/self/fd/{fd}"
            return
    raise RefusedError(
        "the mount namespace it speaks of is gone, and all that was changed with it",
        where=journal.path,
        hint="there is nothing to undo: delete it",
    )
