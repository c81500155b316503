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
import os
import signal
from contextlib import ExitStack, suppress
from functools import partial
from types import TracebackType
from typing import Self

from mntscope.base.records import dataclass
from mntscope.base.signals import uninterrupted
from mntscope.errors import AccessError, KernelError
from mntscope.kernel import syscalls
from mntscope.kernel.channel import Channel, Message, channel
from mntscope.kernel.process import end, fork
from mntscope.lab import actor

PATIENCE = 30.0
"""Seconds after which a process that does not answer, or does not end, is taken to be stuck."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One process of a /proc, as ps(1) would list it."""

    pid: int
    """In the PID namespace that the /proc shows."""
    comm: str
    start_time: int
    """In clock ticks since boot: the same from every PID namespace."""


@dataclass(frozen=True, slots=True)
class ProcView:
    """What one process finds in its /proc: itself, or not, and which others."""

    pid: int
    """Its own pid, as getpid(2) tells."""
    proc_self: int | None
    """The pid that /proc/self names; ``None`` where the link dangles: this proc does not know the process."""
    processes: tuple[Listed, ...]


class Actor:
    """A process of the scene, at the other end of a channel."""

    def __init__(self, channel: Channel) -> None:
        self.pid = 0
        """As the machine sees it."""
        self._channel = channel

    def meet(self) -> ProcView:
        """What it sees as it begins, which it says without being asked."""
        return self._heard()

    def look(self) -> ProcView:
        """Have it list its /proc anew."""
        self._channel.send(Message({"do": actor.LOOK}))
        return self._heard()

    def run(self, command: str) -> None:
        """Let it run one of :data:`~mntscope.lab.actor.COMMANDS`.

        :raises KernelError: the call that failed.
        """
        self._channel.send(Message({"do": command}))
        # After unshare --fork it is another process that answers.
        self.pid = self._channel.receive().sender

    def _heard(self) -> ProcView:
        message = self._channel.receive()
        self.pid = message.sender
        told = message.values
        processes = tuple(Listed(pid, comm, start_time) for pid, comm, start_time in told["processes"])
        return ProcView(pid=told["pid"], proc_self=told["proc_self"], processes=processes)


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
        (host, host_end), (target, target_end) = (
            channel(f"the {name} of the lab", patience=PATIENCE, senders=True) for name in ("host", "target")
        )
        for ours in (host, target):
            self._held.callback(ours.close)
        self.host, self.target = Actor(host), Actor(target)
        try:
            stage = fork(partial(actor.stage, os.getpid(), host_end, target_end))
        finally:
            host_end.close()
            target_end.close()
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
            end(stage, patience=PATIENCE)
            return
        # Pid 1 takes the others with it (pid_namespaces(7)), and the stage, which waits for it, ends then.
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._host_fd, signal.SIGKILL)
        os.close(self._host_fd)
        end(stage, seconds=PATIENCE)


def _remedy(error: KernelError) -> str:
    if error.errno == errno.ENOSPC:
        return "a limit in /proc/sys/user (max_user_namespaces, max_pid_namespaces, max_mnt_namespaces) is reached"
    if error.call == "mount" and error.where == "/proc":
        # fs/namespace.c, mount_too_revealing
        return "a user namespace gets a new proc only where nothing covers parts of the old one; run it as root"
    return "run it as root, or where unprivileged user namespaces are allowed"
