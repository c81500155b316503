"""A throwaway host with one process on it that can be told to run commands; nothing of it touches the machine.

::

    with Scene() as scene:
        scene.run("unshare --pid --fork --mount --propagation unchanged")
        scene.host.pid, scene.target.pid          # as the machine sees them: mntscope diff PID --against PID

The host is a process that is pid 1 of its own PID namespace, in its own mount namespace: a copy of the machine's
mounts, cut off from them (``rprivate``), then made ``rshared`` as systemd does, with its own /proc. The target
starts as a shell on that host.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import struct
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Self

from mntscope.base.records import dataclass
from mntscope.base.signals import uninterrupted
from mntscope.errors import AccessError, KernelError, MntscopeError
from mntscope.kernel import syscalls
from mntscope.lab import actor

PATIENCE = 30.0
"""Seconds after which a process that does not answer is taken to be stuck."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One process as ps(1) would list it."""

    pid: int
    """In the PID namespace that the /proc shows."""
    comm: str
    start_time: int
    """In clock ticks since boot: the same from every PID namespace."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What one process sees in its /proc."""

    pid: int
    """Its own pid, as getpid(2) tells."""
    proc_self: int | None
    """The pid that /proc/self names; ``None`` where the link dangles: this proc does not know the process."""
    processes: tuple[Listed, ...]


class Actor:
    """A process of the scene, at the other end of a socket."""

    def __init__(self, name: str, line: socket.socket) -> None:
        self.pid = 0
        """As the machine sees it."""
        self._name = name
        self._line = line
        line.settimeout(PATIENCE)
        # unix(7): each answer then bears the pid of the process that gave it, translated to this PID namespace.
        line.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)

    def meet(self) -> Sight:
        """Its first words: what it sees."""
        return _sight(self._answer())

    def look(self) -> Sight:
        """What it sees now."""
        return _sight(self._ask(actor.LOOK))

    def run(self, command: str) -> None:
        """Let it run one of :data:`~mntscope.lab.actor.COMMANDS`.

        :raises KernelError: the call that failed.
        """
        self._ask(command)

    def _ask(self, request: str) -> dict[str, Any]:
        # A process that has ended is noticed when its answer fails to come.
        with suppress(BrokenPipeError, ConnectionResetError):
            self._line.send(request.encode())
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        try:
            data, ancillary, _, _ = self._line.recvmsg(1 << 16, socket.CMSG_SPACE(struct.calcsize("3i")))
        except TimeoutError:
            raise self._trouble("does not answer") from None
        except ConnectionResetError:
            raise self._trouble("ended unexpectedly") from None
        if not data:
            raise self._trouble("ended unexpectedly")
        for level, kind, credentials in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                self.pid = struct.unpack("3i", credentials)[0]
        answer: dict[str, Any] = json.loads(data)
        if "errno" in answer:
            raise KernelError(answer["call"], answer["errno"], where=answer["where"])
        return answer

    def _trouble(self, what: str) -> MntscopeError:
        return MntscopeError(f"the {self._name} of the lab {what}", where=f"pid {self.pid}")


class Scene:
    """The throwaway host and its target, from entering the ``with`` block to leaving it.

    Everything ends with the block, with the thread that entered it, and with the process, however that ends.

    :raises AccessError: the kernel does not let this user make the namespaces.
    """

    host: Actor
    target: Actor
    host_processes: frozenset[Listed]
    """The host's processes before the target does anything."""

    def __enter__(self) -> Self:
        self._held = ExitStack()
        self._host_fd: int | None = None
        try:
            with uninterrupted():
                self._begin()
            return self
        except BaseException:
            with uninterrupted():
                self._held.close()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with uninterrupted():
            self._held.close()

    def run(self, command: str) -> None:
        """Let the target run one of :data:`~mntscope.lab.actor.COMMANDS`."""
        self.target.run(command)

    def _begin(self) -> None:
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
        (host, host_end), (target, target_end) = pairs
        for end in (host, target):
            self._held.enter_context(end)
        with host_end, target_end:
            self.host = Actor("host", host)
            self.target = Actor("target", target)
            lab = os.getpid()
            stage = actor.fork(lambda: actor.stage(lab, host_end, target_end))
        self._held.callback(self._end, stage)
        try:
            self.host.meet()
        except KernelError as error:
            raise AccessError(f"a throwaway host cannot be made here: {error}", hint=_remedy(error)) from error
        self._host_fd = syscalls.pidfd_open(self.host.pid)
        self.target.meet()
        self.host_processes = frozenset(self.host.look().processes)

    def _end(self, stage: int) -> None:
        if self._host_fd is None:
            os.kill(stage, signal.SIGKILL)
        else:
            # Pid 1 takes the others with it (pid_namespaces(7)), and the stage, which waits for it, ends then.
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._host_fd, signal.SIGKILL)
            os.close(self._host_fd)
        with suppress(ChildProcessError):
            os.waitpid(stage, 0)


def _sight(answer: dict[str, Any]) -> Sight:
    processes = tuple(Listed(pid, comm, start_time) for pid, comm, start_time in answer["processes"])
    return Sight(pid=answer["pid"], proc_self=answer["proc_self"], processes=processes)


def _remedy(error: KernelError) -> str:
    if error.errno == errno.ENOSPC:
        return "a limit in /proc/sys/user (max_user_namespaces, max_pid_namespaces, max_mnt_namespaces) is reached"
    if error.call == "mount" and error.where == "/proc":
        # fs/namespace.c, mount_too_revealing
        return "a user namespace gets a new proc only where nothing covers parts of the old one; run it as root"
    return "run it as root, or where unprivileged user namespaces are allowed"
