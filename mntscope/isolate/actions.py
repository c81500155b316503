"""What is done in the target's mount namespace, and put back: by a forked process with one thread that enters it.

It stays in mntscope's own PID namespace, where no container sees it, and is not dumpable, so that nobody who sees it
all the same (through a proc of the host's that was given to him) can trace it.

It answers one request at a time (:mod:`mntscope.kernel.channel`). What it has changed and not been told to keep, it
puts back: when asked to, and when the other end of the channel closes, because the process that forked it is gone; so
it does not die with its parent, as other workers do. Descriptors with which a change can be put back are handed to the
parent *before* the change is made, so that another worker can do it if this one is killed. After the fork it imports
nothing.

A detached copy of a mount (open_tree(2) with OPEN_TREE_CLONE) is a member of its peer group and has its master.
Taken before a change, it is the exact way back: it keeps the group alive, and MOVE_MOUNT_SET_GROUP (Linux 5.15)
lets the mount join it again.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from mntscope.errors import KernelError, RefusedError
from mntscope.isolate.journal import Journal
from mntscope.isolate.target import NamespaceFds
from mntscope.kernel import syscalls
from mntscope.kernel.channel import Channel, Message, Worker
from mntscope.kernel.process import untraceable
from mntscope.kernel.worker import DEADLINE
from mntscope.live.foreign import IN_ROOT, open_at
from mntscope.live.procfs import mount_id_of, read

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds after which a worker that does not answer is taken to be stuck, and killed."""

_LAST = 5.0
"""Seconds in which one puts back what it was not told to keep."""

Hook = Callable[[str], None]
"""Called in the worker before each system call that can fail, with the name of the step."""

PROPAGATION = {"private": syscalls.MS_PRIVATE, "slave": syscalls.MS_SLAVE, "shared": syscalls.MS_SHARED}
_PROC_ATTRIBUTES = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV | syscalls.MOUNT_ATTR_NOEXEC
_BY_DESCRIPTORS = syscalls.MOVE_MOUNT_F_EMPTY_PATH | syscalls.MOVE_MOUNT_T_EMPTY_PATH


@dataclass(slots=True)
class ChangedMount:
    """A mount whose propagation is changed, and the way back."""

    mount_id: int
    group: int | None
    master: int | None
    mount: int
    """A descriptor of it."""
    copy: int | None = None
    """A descriptor of a detached copy, taken before the change; ``None`` where the kernel refused one."""


@dataclass(slots=True)
class NewMount:
    """A mount that was made; its descriptor is of the detached mount first, and of the attached one later."""

    mount: int


Change = ChangedMount | NewMount


def start_worker(
    namespace: NamespaceFds,
    *,
    changes: Sequence[Change] = (),
    journal: Journal | None = None,
    hook: Hook | None = None,
) -> Worker:
    """A worker that has entered *namespace*, and does what :class:`WorkerActions` offers.

    *changes* are those of a worker before it, which this one may have to put back. *journal* is what it writes when
    it puts things back on its own.

    :raises KernelError: it could not enter.
    """
    actions = WorkerActions(namespace, list(changes), hook or (lambda _: None))
    worker = Worker(partial(_live, actions, journal), who="the worker in the target's namespace", patience=PATIENCE)
    try:
        worker.channel.receive()
    except BaseException:
        let_go(worker)
        raise
    return worker


def let_go(worker: Worker) -> None:
    """End it: it puts back what it was not told to keep."""
    worker.end(seconds=_LAST)


def _live(actions: WorkerActions, journal: Journal | None, channel: Channel) -> None:
    # Ctrl-C and the end of a session are for the parent, which then says what to do, or is gone.
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    if channel.answer(partial(actions.carry_out, {"do": "enter"})):
        for request in channel.requests():
            channel.answer(partial(actions.carry_out, request))
        if not actions.settled:
            left = actions.roll_back()
            if journal is not None:
                # What the parent can no longer write.
                journal.state = "failed" if left else "rolled-back"
                journal.note = "; ".join(["mntscope was killed", *left])
                journal.write()


class WorkerActions:
    """What a worker can do, and the changes that it would put back."""

    def __init__(self, namespace: NamespaceFds, changes: list[Change], hook: Hook) -> None:
        self.namespace = namespace
        self.changes = changes
        self.hook = hook
        self.settled = False
        """Whether the parent has said what becomes of the changes."""
        self._namespace_root = -1
        self._requests: dict[str, Callable[..., Message]] = {
            "enter": self.enter,
            "hold": self.hold,
            "set": self.set_propagation,
            "make proc": self.make_proc,
            "attach": self.attach,
            "join": self.join,
            "source": self.source,
            "unmount": self.unmount,
            "roll back": self.roll_back_as_asked,
            "keep": self.keep,
        }

    def carry_out(self, request: dict[str, Any]) -> Message:
        """What is asked for, by the name of the action in ``do``; its arguments are the other values.

        :raises KernelError: a call failed.
        :raises RefusedError: what is there is not what was meant.
        """
        try:
            return self._requests[request.pop("do")](**request)
        except KernelError:
            raise
        except OSError as error:
            raise KernelError("open", error.errno or 0, where=os.fsdecode(error.filename or "")) from error

    def call(self, step: str, function: Callable[..., T], *arguments: Any, **keywords: Any) -> T:
        """The one way by which the worker calls the kernel for something that can fail."""
        self.hook(step)
        return function(*arguments, **keywords)

    # Where it acts

    def enter(self) -> Message:
        """Enter the namespaces: the user namespace that owns the mounts, and these."""
        at = self.namespace
        untraceable()
        if at.user is not None:
            self.call("setns user", syscalls.setns, at.user, syscalls.CLONE_NEWUSER)
        self.call("setns mnt", syscalls.setns, at.mnt, syscalls.CLONE_NEWNS)
        self._namespace_root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        # Relative paths lead to proc: the target's own may be anything.
        os.fchdir(at.proc)
        return Message()

    # What it does

    def hold(self, path: str, mount_id: int, group: int | None, master: int | None) -> Message:
        """Keep hold of the mount at *path*, and of a detached copy of it, before it is changed."""
        held = ChangedMount(mount_id, group, master, self._open(path, mount_id))
        with suppress(KernelError):
            held.copy = self._copy(held.mount)
        self.changes.append(held)
        return Message({"copy": held.copy is not None}, [held.mount] + ([] if held.copy is None else [held.copy]))

    def set_propagation(self, path: str, mount_id: int, type: str, recursive: bool) -> Message:  # noqa: A002, FBT001
        """Change the propagation type of the mount at *path*: one that is held, or in which only others change."""
        changed = [change for change in self.changes if isinstance(change, ChangedMount)]
        held = next((change.mount for change in changed if change.mount_id == mount_id), None)
        mount = self._open(path, mount_id) if held is None else held
        try:
            self._set(mount, type, recursive=recursive)
        finally:
            if held is None:
                os.close(mount)
        return Message()

    def make_proc(self) -> Message:
        """A detached proc, made of the context that was given. It is looked at by the parent before it is attached."""
        context = self.namespace.proc_context
        assert context is not None
        # Here, and not outside: the kernel refuses what would uncover more than the user namespace may see.
        self.call("fsconfig", syscalls.fsconfig, context, syscalls.FSCONFIG_SET_STRING, "source", "proc")
        self.call("fsconfig create", syscalls.fsconfig, context, syscalls.FSCONFIG_CMD_CREATE, None, None)
        mount = self.call("fsmount", syscalls.fsmount, context, syscalls.FSMOUNT_CLOEXEC, _PROC_ATTRIBUTES)
        self.changes.append(NewMount(mount))
        return Message({"mount_id": self._mount_id(mount)}, [mount])

    def attach(self, path: str, mount_id: int) -> Message:
        """Mount the proc at *path*, which must lie in the mount *mount_id*."""
        target = self._open(path, mount_id)
        try:
            self.call("move_mount", syscalls.move_mount, self.changes[-1].mount, "", target, "", _BY_DESCRIPTORS)
            return Message()
        finally:
            os.close(target)

    def join(self, path: str, mount_id: int, source: int | None, way_back: int | None) -> Message:
        """Have a mount join the peer group and take the master of *source*, a descriptor; a new group if ``None``.

        *way_back* is a detached slave of its master: if the mount, which is a slave, could not join, it is one again.
        """
        mount = self._open(path, mount_id)
        copy = None
        try:
            if source is None:
                self._set(mount, "shared")
                return Message()
            is_slave = _membership(self._table()[mount_id])[1] is not None
            if is_slave and way_back is None:
                way_back = copy = self._copy(mount)
            try:
                self._join(mount, source)
            except KernelError:
                if is_slave and way_back is not None:
                    self._join(mount, way_back)
                raise
        finally:
            for fd in (mount, copy):
                if fd is not None:
                    os.close(fd)
        return Message()

    def source(self, path: str, mount_id: int, slave: bool, way_back: bool) -> Message:  # noqa: FBT001
        """A descriptor of a detached peer of a mount here, or *slave* of it; for *way_back* also of a slave.

        That a mount can join it is tried with another one, which nobody sees.
        """
        place = self._open(path, mount_id)
        try:
            copies = [self._copy(place, slave=slave)]
            if way_back:
                copies.append(self._copy(place, slave=True))
            trial = self._copy(place)
            self._join(trial, copies[0])
            os.close(trial)
        finally:
            os.close(place)
        return Message(fds=copies)

    def unmount(self, path: str, mount_id: int) -> Message:
        """Unmount the mount at *path*, whoever uses it."""
        mount = self._open(path, mount_id)
        try:
            self._unmount(mount)
        finally:
            os.close(mount)
        return Message()

    def keep(self) -> Message:
        """All is as it should be: let go of the ways back."""
        self.settled = True
        for change in self.changes:
            os.close(change.mount)
            if isinstance(change, ChangedMount) and change.copy is not None:
                os.close(change.copy)
        self.changes.clear()
        return Message()

    def roll_back_as_asked(self) -> Message:
        """Put all back; what is left after that is the parent's to care for."""
        left = self.roll_back()
        self.settled = True
        return Message({"left": left})

    def roll_back(self) -> list[str]:
        """Put back all that was changed, the last first, looking each time at what is; what could not be put back."""
        left = []
        for change in reversed(self.changes):
            try:
                wrong = self._put_back(change)
            except OSError as error:
                wrong = str(error)
            if wrong:
                left.append(wrong)
        if not left:
            self.keep()
        return left

    def _put_back(self, change: Change) -> str:
        lines = self._table()
        if isinstance(change, NewMount):
            mount_id = self._mount_id(change.mount)
            if mount_id not in lines:
                return ""
            if any(_number(line[1]) == mount_id for line in lines.values()):
                return "something is mounted on the new proc, which therefore stays"
            self._unmount(change.mount)
            return ""
        line = lines.get(change.mount_id)
        if line is None or _membership(line) == (change.group, change.master):
            return ""
        if change.copy is None:
            return f"the mount {change.mount_id} has left its peer group, and no copy of it could be kept"
        self._join(change.mount, change.copy)
        return ""

    def _copy(self, mount: int, *, slave: bool = False) -> int:
        """A descriptor of a detached copy: EINVAL where something locked is mounted in it, which it would uncover."""
        flags = syscalls.OPEN_TREE_CLONE | syscalls.OPEN_TREE_CLOEXEC | syscalls.AT_EMPTY_PATH
        copy = self.call("open_tree", syscalls.open_tree, mount, "", flags)
        if slave:
            self._set(copy, "slave")
        return copy

    def _join(self, mount: int, source: int) -> None:
        # EINVAL for a mount that is in a group or has a master still.
        self._set(mount, "private")
        flags = _BY_DESCRIPTORS | syscalls.MOVE_MOUNT_SET_GROUP
        self.call("move_mount SET_GROUP", syscalls.move_mount, source, "", mount, "", flags)

    def _unmount(self, mount: int) -> None:
        # Through its descriptor, so that it is this mount and no other; which keeps it busy, hence MNT_DETACH.
        self.call("umount2", syscalls.umount2, f"self/fd/{mount}", syscalls.MNT_DETACH)

    def _set(self, mount: int, type: str, *, recursive: bool = False) -> None:  # noqa: A002
        flags = syscalls.AT_EMPTY_PATH | (syscalls.AT_RECURSIVE if recursive else 0)
        try:
            self.call("mount_setattr", syscalls.mount_setattr, mount, "", flags, propagation=PROPAGATION[type])
        except KernelError as error:
            if error.errno != errno.ENOSYS:
                raise
            flags = PROPAGATION[type] | (syscalls.MS_REC if recursive else 0)
            self.call("mount", syscalls.mount, None, f"self/fd/{mount}", None, flags)

    def _open(self, path: str, mount_id: int) -> int:
        """A descriptor of *path*, if it still lies in that mount."""
        # The kernel ends this process where a filesystem on the way does not answer, whether it has a parent or not.
        signal.setitimer(signal.ITIMER_REAL, DEADLINE)
        try:
            fd = self.call("open", open_at, self._namespace_root, path, os.O_PATH | os.O_CLOEXEC, IN_ROOT)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if self._mount_id(fd) != mount_id:
            os.close(fd)
            raise RefusedError("another mount lies there than when it was looked at", where=path)
        return fd

    def _mount_id(self, fd: int) -> int:
        return mount_id_of(fd, dir_fd=self.namespace.proc)

    def _table(self) -> dict[int, list[bytes]]:
        lines = (line.split(b" ") for line in read("self/mountinfo", dir_fd=self.namespace.proc).split(b"\n") if line)
        return {int(words[0]): words for words in lines}


def _membership(words: list[bytes]) -> tuple[int | None, int | None]:
    """The peer group and the master that a line of mountinfo shows."""
    tags = {name: value for name, _, value in (word.partition(b":") for word in words[6 : words.index(b"-", 6)])}
    return _number(tags.get(b"shared")), _number(tags.get(b"master"))


def _number(word: bytes | None) -> int | None:
    return None if word is None else int(word)
