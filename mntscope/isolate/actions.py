"""The hands: a forked process with one thread that enters the target's mount namespace and acts there.

It stays in mntscope's own PID namespace, where no container sees it, and is not dumpable, so that nobody who sees it
all the same (through a proc of the host's that was given to him) can trace it.

It answers one request at a time on a socket. What it has changed and not been told to keep, it puts back: when
asked to, and when the other end of the socket closes, because the process that forked it is gone. Descriptors
with which a change can be put back are handed to the parent *before* the change is made, so that another worker
can do it if this one is killed. After the fork it imports nothing.

A detached copy of a mount (open_tree(2) with OPEN_TREE_CLONE) is a member of its peer group and has its master.
Taken before a change, it is the exact way back: it keeps the group alive, and MOVE_MOUNT_SET_GROUP (Linux 5.15)
lets the mount join it again.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn, TypeVar

from mntscope.errors import KernelError, RefusedError
from mntscope.isolate.journal import Journal
from mntscope.kernel import syscalls
from mntscope.kernel.worker import DEADLINE, untraceable
from mntscope.live.foreign import IN_ROOT, open_at
from mntscope.live.procfs import mount_id_of, read

T = TypeVar("T")

MESSAGE = 1 << 16
"""Bytes of the longest message: a path of 4096 bytes, escaped, is well below."""

Hook = Callable[[str], None]
"""Called in the worker before each system call that can fail, with the name of the step."""

PROPAGATION = {"private": syscalls.MS_PRIVATE, "slave": syscalls.MS_SLAVE, "shared": syscalls.MS_SHARED}
_PROC_ATTRIBUTES = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV | syscalls.MOUNT_ATTR_NOEXEC
_BY_DESCRIPTORS = syscalls.MOVE_MOUNT_F_EMPTY_PATH | syscalls.MOVE_MOUNT_T_EMPTY_PATH


@dataclass(frozen=True, slots=True)
class Entrance:
    """Descriptors of what a worker enters; ``None`` where it is in there already."""

    proc: int
    """The root of a proc filesystem that shows mntscope's own PID namespace."""
    mnt: int
    user: int | None = None
    """The user namespace that owns *mnt*."""
    proc_context: int | None = None
    """The context of the proc that is to be mounted (:mod:`mntscope.kernel.proc_context`)."""


@dataclass(slots=True)
class Held:
    """A mount that is kept hold of while its propagation is changed."""

    mount_id: int
    group: int | None
    master: int | None
    mount: int
    """A descriptor of it."""
    copy: int | None = None
    """A descriptor of a detached copy, taken before the change; ``None`` where the kernel refused one."""


@dataclass(slots=True)
class Placed:
    """A new mount; its descriptor is of the detached mount first, and of the attached one later."""

    mount: int


Change = Held | Placed


@dataclass(slots=True)
class Answer:
    """What a worker says to a request."""

    values: dict[str, Any] = field(default_factory=dict)
    fds: list[int] = field(default_factory=list)


def no_hook(step: str) -> None:
    """What is called where nobody wants to know the steps."""


def live(hands: Hands, line: socket.socket, journal: Journal | None) -> NoReturn:
    """The life of a worker."""
    with suppress(BaseException):
        # Ctrl-C and the end of a session are for the parent, which then says what to do, or is gone.
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        if _say(line, hands.enter):
            while message := _request(line):
                _say(line, partial(hands.carry_out, json.loads(message)))
            if not hands.settled:
                left = hands.roll_back()
                if journal is not None:
                    _close(journal, left)
    os._exit(0)


def _request(line: socket.socket) -> bytes:
    """The next request; none where the other end is gone."""
    try:
        return line.recv(MESSAGE)
    except ConnectionResetError:
        # It had not read the last answer.
        return b""


def _close(journal: Journal, left: list[str]) -> None:
    """What the parent can no longer write."""
    journal.state = "failed" if left else "rolled-back"
    journal.note = "mntscope was killed" + (f"; {'; '.join(left)}" if left else "")
    journal.write()


def _say(line: socket.socket, act: Callable[[], Answer]) -> bool:
    """Act, and answer with the result; whether it went well."""
    answer = Answer()
    try:
        answer = act()
    except RefusedError as error:
        answer.values = {"refused": error.what, "where": error.where}
    except KernelError as error:
        answer.values = {"call": error.call, "errno": error.errno, "where": error.where}
    except OSError as error:
        answer.values = {"call": "open", "errno": error.errno, "where": os.fsdecode(error.filename or "")}
    with suppress(BrokenPipeError, ConnectionResetError):
        _send(line, json.dumps(answer.values).encode(), answer.fds)
    return "errno" not in answer.values and "refused" not in answer.values


class Hands:
    """What a worker can do, and the changes that it would put back."""

    def __init__(self, entrance: Entrance, changes: list[Change], hook: Hook) -> None:
        self.entrance = entrance
        self.changes = changes
        self.hook = hook
        self.settled = False
        """Whether the parent has said what becomes of the changes."""
        self._namespace_root = -1
        self._requests: dict[str, Callable[..., Answer]] = {
            "hold": self.hold,
            "set": self.set_propagation,
            "make proc": self.make_proc,
            "attach": self.attach,
            "join": self.join,
            "copy": self.copy,
            "unmount": self.unmount,
            "roll back": self.roll_back_as_asked,
            "keep": self.keep,
        }

    def carry_out(self, request: dict[str, Any]) -> Answer:
        """One request."""
        return self._requests[request.pop("do")](**request)

    def call(self, step: str, function: Callable[..., T], *arguments: Any, **keywords: Any) -> T:
        """The one way by which the worker calls the kernel for something that can fail."""
        self.hook(step)
        return function(*arguments, **keywords)

    # Where it acts

    def enter(self) -> Answer:
        """Enter the namespaces: the user namespace that owns the mounts, and these."""
        at = self.entrance
        untraceable()
        if at.user is not None:
            self.call("setns user", syscalls.setns, at.user, syscalls.CLONE_NEWUSER)
        self.call("setns mnt", syscalls.setns, at.mnt, syscalls.CLONE_NEWNS)
        self._namespace_root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        # Relative paths lead to proc: the target's own may be anything.
        os.fchdir(at.proc)
        return Answer()

    # What it does

    def hold(self, path: str, mount_id: int, group: int | None, master: int | None) -> Answer:
        """Keep hold of the mount at *path*, and of a detached copy of it, before it is changed."""
        held = Held(mount_id, group, master, self._open(path, mount_id))
        flags = syscalls.OPEN_TREE_CLONE | syscalls.OPEN_TREE_CLOEXEC | syscalls.AT_EMPTY_PATH
        with suppress(KernelError):
            # EINVAL: something locked is mounted in it, that a copy without it would uncover.
            held.copy = self.call("open_tree", syscalls.open_tree, held.mount, "", flags)
        self.changes.append(held)
        return Answer({"copy": held.copy is not None}, [held.mount] + ([] if held.copy is None else [held.copy]))

    def set_propagation(self, mount_id: int, type: str, recursive: bool) -> Answer:  # noqa: A002, FBT001
        """Change the propagation type of a mount that is held."""
        held = next(change for change in self.changes if isinstance(change, Held) and change.mount_id == mount_id)
        self._set(held.mount, type, recursive=recursive)
        return Answer()

    def make_proc(self) -> Answer:
        """A detached proc, made of the context that was given. It is looked at by the parent before it is attached."""
        context = self.entrance.proc_context
        assert context is not None
        # Here, and not outside: the kernel refuses what would uncover more than the user namespace may see.
        self.call("fsconfig", syscalls.fsconfig, context, syscalls.FSCONFIG_SET_STRING, "source", "proc")
        self.call("fsconfig create", syscalls.fsconfig, context, syscalls.FSCONFIG_CMD_CREATE, None, None)
        mount = self.call("fsmount", syscalls.fsmount, context, syscalls.FSMOUNT_CLOEXEC, _PROC_ATTRIBUTES)
        self.changes.append(Placed(mount))
        return Answer({"mount_id": self._mount_id(mount)}, [mount])

    def attach(self, path: str, mount_id: int) -> Answer:
        """Mount the proc at *path*, which must lie in the mount *mount_id*."""
        target = self._open(path, mount_id)
        try:
            self.call("move_mount", syscalls.move_mount, self.changes[-1].mount, "", target, "", _BY_DESCRIPTORS)
            return Answer()
        finally:
            os.close(target)

    def join(self, path: str, mount_id: int, source: int | None) -> Answer:
        """Have a mount join the peer group and take the master of *source*, a descriptor; a new group if ``None``."""
        mount = self._open(path, mount_id)
        try:
            self._join(mount, source)
        finally:
            os.close(mount)
        return Answer()

    def copy(self, path: str, mount_id: int, slave: bool) -> Answer:  # noqa: FBT001
        """A descriptor of a mount here, or of a detached *slave* of its peer group."""
        mount = self._open(path, mount_id)
        if not slave:
            return Answer(fds=[mount])
        flags = syscalls.OPEN_TREE_CLONE | syscalls.OPEN_TREE_CLOEXEC | syscalls.AT_EMPTY_PATH
        detached = self.call("open_tree", syscalls.open_tree, mount, "", flags)
        self._set(detached, "slave")
        os.close(mount)
        return Answer(fds=[detached])

    def unmount(self, path: str, mount_id: int) -> Answer:
        """Unmount the mount at *path*, whoever uses it."""
        mount = self._open(path, mount_id)
        try:
            self._unmount(mount)
        finally:
            os.close(mount)
        return Answer()

    def keep(self) -> Answer:
        """All is as it should be: let go of the ways back."""
        self.settled = True
        for change in self.changes:
            os.close(change.mount)
            if isinstance(change, Held) and change.copy is not None:
                os.close(change.copy)
        self.changes.clear()
        return Answer()

    def roll_back_as_asked(self) -> Answer:
        """Put all back; what is left after that is the parent's to care for."""
        left = self.roll_back()
        self.settled = True
        return Answer({"left": left})

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
        if isinstance(change, Placed):
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

    def _join(self, mount: int, source: int | None) -> None:
        # EINVAL for a mount that is in a group or has a master still.
        self._set(mount, "private")
        if source is None:
            self._set(mount, "shared")
            return
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
        return mount_id_of(fd, dir_fd=self.entrance.proc)

    def _table(self) -> dict[int, list[bytes]]:
        lines = (line.split(b" ") for line in read("self/mountinfo", dir_fd=self.entrance.proc).split(b"\n") if line)
        return {int(words[0]): words for words in lines}


def _membership(words: list[bytes]) -> tuple[int | None, int | None]:
    """The peer group and the master that a line of mountinfo shows."""
    tags = {name: value for name, _, value in (word.partition(b":") for word in words[6 : words.index(b"-", 6)])}
    return _number(tags.get(b"shared")), _number(tags.get(b"master"))


def _number(word: bytes | None) -> int | None:
    return None if word is None else int(word)


def _send(line: socket.socket, message: bytes, fds: list[int]) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"{len(fds)}i", *fds))] if fds else []
    line.sendmsg([message], rights)


def receive(line: socket.socket) -> tuple[bytes, list[int]]:
    """A message and the descriptors that came with it."""
    message, ancillary, _, _ = line.recvmsg(MESSAGE, socket.CMSG_SPACE(16 * 4), socket.MSG_CMSG_CLOEXEC)
    fds: list[int] = []
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds += struct.unpack(f"{len(data) // 4}i", data)
    return message, fds
