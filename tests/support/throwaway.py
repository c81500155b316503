"""Throwaway namespaces of the real kernel; the fixtures of conftest.py hand them to the tests.

``scratch(function, *arguments)`` runs *function* in a forked worker that has its own, private mount namespace, and
returns what it returned. Anything may be mounted there; it goes away with the worker::

    def test_a_tmpfs_is_listed(scratch: Scratch, tmp_path: Path) -> None:
        def body() -> bytes:
            syscalls.mount("none", str(tmp_path), "tmpfs", 0)
            return Path("/proc/self/mountinfo").read_bytes()

        assert os.fsencode(tmp_path) in scratch(body)

``host`` is a :class:`Host`: a mount namespace that plays the host, a copy of the machine's, cut off from it, with
``/`` recursively shared. Its processes live in the tests' own PID namespace, so commands need ``--against``::

    target = host.unshare("unchanged")          # what `unshare --mount --propagation unchanged` makes
    done = host.mntscope("diff", target.pid, "--against", host.pid, "--format", "json")
    assert done.returncode == 1

``machine`` is a Host with a PID namespace of its own: the process that keeps it is pid 1 there, ``/proc`` shows that
namespace and ``/proc/1`` is readable. Inside it, processes are known by :attr:`Actor.inner`::

    target = machine.unshare("slave")
    assert machine.mntscope("diff", target.inner).returncode == 0

``open_machine`` is a ``machine`` in which every user can run the tests' interpreter:
``open_machine.mntscope("diff", target.inner, uid=NOBODY)``.

``set_up`` functions run in the sleeping process itself, after it has entered its namespaces and before it counts as
started. All processes die with their fixture, and with pytest, however it ends.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, Protocol, TypeVar

from mntscope.errors import MntscopeError
from mntscope.kernel import syscalls
from tests.support.repository import ROOT

T = TypeVar("T")
Step = Callable[[], object]

NOBODY = 65534

Mode = Literal["unchanged", "shared", "slave", "private", "unbindable"]
PROPAGATION: dict[Mode, int] = {
    "shared": syscalls.MS_SHARED,
    "slave": syscalls.MS_SLAVE,
    "private": syscalls.MS_PRIVATE,
    "unbindable": syscalls.MS_UNBINDABLE,
}


class Scratch(Protocol):
    """The type of the ``scratch`` fixture."""

    def __call__(self, function: Callable[..., T], *arguments: object) -> T:
        """Runs *function* in a private mount namespace."""
        ...


class WorkerFailed(Exception):
    """What went wrong in a forked worker: its traceback, as text."""


@dataclass(frozen=True, slots=True)
class Actor:
    """A sleeping process of a throwaway host."""

    pid: int
    """As the tests see it."""
    inner: int
    """As it sees itself: another number where it lives in another PID namespace than the tests."""

    @property
    def pids(self) -> list[int]:
        """Its pids, from the tests' PID namespace down to its own; ``[1]`` is what a ``machine`` calls it."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return [int(word) for line in status.splitlines() if line.startswith("NSpid:") for word in line.split()[1:]]

    def namespace(self, kind: str) -> int:
        """The inode of its namespace of that kind: ``mnt``, ``pid``, ``user``."""
        return os.stat(f"/proc/{self.pid}/ns/{kind}").st_ino


class Host:
    """A throwaway host and its processes; see the top of this file."""

    def __init__(self, *, own_pids: bool = False, for_everyone: bool = False) -> None:
        self.own_pids = own_pids
        self._direct: dict[int, int] = {}
        """For each actor's pid the child of the tests whose death ends it: itself, or an ancestor of it."""

        def set_up() -> None:
            own_mounts()
            if own_pids:
                syscalls.umount2("/proc", syscalls.MNT_DETACH)
                syscalls.mount("proc", "/proc", "proc", 0)
            if for_everyone:
                reachable_by_everyone(sys.base_prefix, sys.prefix, str(ROOT))
            syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_SHARED)

        new_pids: list[Step] = [lambda: syscalls.unshare(syscalls.CLONE_NEWPID)] if own_pids else []
        self.pid = self._start(*new_pids, set_up).pid
        """The process that keeps the host, as the tests see it; pid 1 to the processes of a ``machine``."""
        self._mnt = os.open(f"/proc/{self.pid}/ns/mnt", os.O_RDONLY)
        self._pids = os.open(f"/proc/{self.pid}/ns/pid", os.O_RDONLY)

    def close(self) -> None:
        """Ends every process of the host, and with them its namespaces."""
        for child in reversed(self._direct.values()):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        self._direct.clear()
        os.close(self._mnt)
        os.close(self._pids)

    def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Runs *function* in a forked process of the host, and returns what it returned."""

        def body() -> T:
            self._enter()
            return in_fork(function, *arguments)

        return in_fork(body)

    def run(
        self, argv: Sequence[object], *, uid: int | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command in the host, as user *uid*; output is captured as text. *options* are subprocess.run's."""

        def enter() -> None:
            self._enter()
            if self.own_pids:
                _continue_in_child()
            if uid is not None:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
            # Last: a change of user clears it.
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)

        words = [str(word) for word in argv]
        settings: dict[str, Any] = {"capture_output": True, "text": True, "errors": "surrogateescape", "timeout": 120}
        return subprocess.run(words, preexec_fn=enter, check=False, **(settings | options))

    def mntscope(self, *words: object, **options: Any) -> subprocess.CompletedProcess[str]:
        """Runs ``mntscope WORDS..`` in the host."""
        program = "import sys; from mntscope.cli import main; sys.exit(main())"
        return self.run([sys.executable, "-c", program, *words], **options)

    def spawn(self, set_up: Step = lambda: None) -> Actor:
        """A sleeping process in the host's own namespaces."""
        return self._start(self._enter, set_up)

    def unshare(self, propagation: Mode = "unchanged", set_up: Step = lambda: None, *, new_pids: bool = False) -> Actor:
        """A sleeping process in a new mount namespace, as ``unshare --mount --propagation PROPAGATION`` makes one.

        With *new_pids* also in a new PID namespace, as with ``--pid --fork``; mounting its proc is left to *set_up*.
        """

        def unshare() -> None:
            syscalls.unshare(syscalls.CLONE_NEWNS | (syscalls.CLONE_NEWPID if new_pids else 0))
            if propagation != "unchanged":
                syscalls.mount(None, "/", None, syscalls.MS_REC | PROPAGATION[propagation])

        def unshare_and_set_up() -> None:
            unshare()
            set_up()

        return self._start(self._enter, *([unshare, set_up] if new_pids else [unshare_and_set_up]))

    def mountinfo(self, actor: Actor | None = None) -> bytes:
        """The table of an actor, or of the host itself."""
        return Path(f"/proc/{actor.pid if actor else self.pid}/mountinfo").read_bytes()

    def kill(self, actor: Actor) -> None:
        """Ends a process of the host, if it has not ended, and waits until it is gone."""
        with suppress(ProcessLookupError):
            os.kill(actor.pid, signal.SIGKILL)
        os.waitpid(self._direct.pop(actor.pid), 0)

    def _enter(self) -> None:
        # setns(2) leaves the process at the root directory of the namespace.
        here = os.getcwd()
        syscalls.setns(self._mnt, syscalls.CLONE_NEWNS)
        os.chdir(here)
        syscalls.setns(self._pids, syscalls.CLONE_NEWPID)

    def _start(self, *steps: Step) -> Actor:
        """A process that takes the steps, each in a child of the process of the step before, and then sleeps."""
        receiver, sender = socket.socketpair()
        # The kernel translates the sender's pid into the receiver's PID namespace (unix(7), SCM_CREDENTIALS).
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        child = os.fork()
        if child == 0:
            _act(steps, sender)
        sender.close()
        with receiver:
            message, ancillary, _, _ = receiver.recvmsg(1 << 16, socket.CMSG_SPACE(12))
        if not message.isdigit():
            os.waitpid(child, 0)
            raise WorkerFailed(message.decode() or "the process died without a word")
        (pid, _, _) = struct.unpack("=3i", ancillary[0][2])
        self._direct[pid] = child
        return Actor(pid=pid, inner=int(message))


# For the body of a test


def error_of(function: Callable[..., object], *arguments: object) -> tuple[type[MntscopeError], str]:
    """The kind and the text of the error that a call ends in; unlike the error, they can leave a worker."""
    try:
        function(*arguments)
    except MntscopeError as error:
        return type(error), str(error)
    raise AssertionError("no error")


def become_nobody() -> None:
    """Gives up all privileges of this process, for good."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def as_nobody(function: Callable[..., T], *arguments: object) -> T:
    """Calls *function* after :func:`become_nobody`: ``open_machine.call(as_nobody, capture)``."""
    become_nobody()
    return function(*arguments)


# What the fixtures are made of


def in_fork(function: Callable[..., T], *arguments: object) -> T:
    """Runs *function* in a forked worker; what it returns must survive :mod:`pickle`.

    :raises WorkerFailed: it raised, or died.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            with open(writer, "wb") as pipe:
                outcome = _outcome(function, *arguments)
                pipe.write(struct.pack("=Q", len(outcome)) + outcome)
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        # Not to the end of the pipe: a process that the worker leaves behind would keep it open.
        header = pipe.read(8)
        data = pipe.read(*struct.unpack("=Q", header)) if header else b""
    _, status = os.waitpid(child, 0)
    if not data:
        raise WorkerFailed(f"the worker died: exit code {os.waitstatus_to_exitcode(status)}")
    value, failure = pickle.loads(data)
    if failure is not None:
        raise WorkerFailed(failure)
    return value  # type: ignore[no-any-return]


def _outcome(function: Callable[..., object], *arguments: object) -> bytes:
    try:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        return pickle.dumps((function(*arguments), None))
    except BaseException:  # noqa: BLE001 - nothing may escape into the copy of the test runner
        return pickle.dumps((None, traceback.format_exc()))


def own_mounts() -> None:
    """A new mount namespace for this process, cut off from the one before."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)


def reachable_by_everyone(*paths: str) -> None:
    """Covers the directories on the way to *paths* that others may not search by ones that they may."""
    flags = syscalls.OPEN_TREE_CLONE | syscalls.AT_RECURSIVE
    # The shortest first: what lies in one that is put back is put back with it.
    closed_off = sorted((path for path in paths if _closed_above(path)), key=len)
    trees = {path: syscalls.open_tree(syscalls.AT_FDCWD, path, flags) for path in closed_off}
    for path, tree in trees.items():
        if closed := _closed_above(path):
            syscalls.mount("none", str(closed), "tmpfs", 0, "mode=755")
        if not os.path.exists(path):
            os.makedirs(path)
            syscalls.move_mount(tree, "", syscalls.AT_FDCWD, path, syscalls.MOVE_MOUNT_F_EMPTY_PATH)
        os.close(tree)


def _closed_above(path: str) -> Path | None:
    above = [directory for directory in reversed(Path(path).resolve().parents) if directory.exists()]
    return next((directory for directory in above if not directory.stat().st_mode & 0o001), None)


def _act(steps: Sequence[Step], sender: socket.socket) -> NoReturn:
    try:
        for number, step in enumerate(steps):
            if number:
                _continue_in_child()
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
            step()
        # Pid 1 of a namespace inherits its orphans; ignoring SIGCHLD reaps them.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        sender.send(str(os.getpid()).encode())
        sender.close()
        while True:
            signal.pause()
    except BaseException:  # noqa: BLE001 - nothing may escape into the copy of the test runner
        sender.send(traceback.format_exc().encode()[:60_000])
    finally:
        os._exit(1)


def _continue_in_child() -> None:
    """Forks: the child goes on, the parent waits for it and ends as it ended (CLONE_NEWPID moves children only)."""
    child = os.fork()
    if child:
        # Whoever waits for the end of a pipe or socket waits for the child only.
        os.closerange(0, os.sysconf("SC_OPEN_MAX"))
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        os._exit(code if code >= 0 else 128 - code)
