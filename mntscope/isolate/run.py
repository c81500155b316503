"""A command in a mount namespace of its own: the safe ``unshare --mount-proc``.

mntscope stays outside. Its child makes the namespaces and waits twice: before the proc is mounted, until every
namespace has been read and nothing mounted at /proc would cross, and after it, until that proc has been found in no
other namespace. Only then the command runs.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import ClassVar, NoReturn

from mntscope.analysis.plan import Kind, Plan, make_plan
from mntscope.base.records import dataclass
from mntscope.errors import AccessError, KernelError, MntscopeError, RefusedError
from mntscope.graph import MountTree
from mntscope.isolate.undo import Look
from mntscope.kernel import syscalls
from mntscope.live.procfs import Proc, open_proc, read
from mntscope.model import View
from mntscope.parse import parse_mountinfo

PROC = "/proc"

_Mask = set[signal.Signals | int]
_TYPES = {"private": syscalls.MS_PRIVATE, "slave": syscalls.MS_SLAVE}
_FORWARDED = frozenset(signal.valid_signals()) - {
    signal.SIGKILL, signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCONT, signal.SIGSEGV,
    signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS, signal.SIGPIPE,
    signal.SIGWINCH,
}  # fmt: skip
_SI_KERNEL = 0x80  # include/uapi/asm-generic/siginfo.h: from the terminal, which tells the command itself


class CommandNotFoundError(MntscopeError):
    """The command does not exist; the status is the one a shell gives."""

    exit_code: ClassVar[int] = 127


class CommandNotExecutableError(MntscopeError):
    """The command cannot be executed; the status is the one a shell gives."""

    exit_code: ClassVar[int] = 126


@dataclass(frozen=True, slots=True)
class Running:
    """What is about to run."""

    pid: int
    """Of the process that is in the new mount namespace, or made it."""
    plan: Plan
    """With no action in it: nothing mounted at /proc reaches another namespace."""
    new_pids: bool


@dataclass(frozen=True, slots=True)
class _Wish:
    command: tuple[str, ...]
    new_pids: bool
    kind: Kind
    containing: str
    """The mount point of the mount that contains /proc."""


def run_isolated(
    command: Sequence[str],
    *,
    look: Look,
    new_pids: bool = False,
    kind: Kind = "private",
    report: Callable[[Running], None] = lambda _: None,
) -> int:
    """Run *command* in a new mount namespace, with *new_pids* in a new PID namespace with its own proc; its status.

    Every mount there is a slave of the one it copies, so nothing that is mounted leaves and umounts of the host
    arrive; the one that contains /proc is of *kind*. A command that a signal ended gives 128 and its number. What is
    about to run is given to *report* once it is verified.

    :raises AccessError: no permission to make namespaces.
    :raises RefusedError: something mounted there would reach another namespace; the command is not run.
    :raises CommandNotFoundError: there is no such command.
    :raises CommandNotExecutableError: it cannot be executed.
    """
    with open_proc() as proc:
        wish = _Wish(tuple(command), new_pids, kind, _containing(proc))
        # Blocked from before the fork, so that none is lost: _attend() waits for them.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
        try:
            return _run(proc, wish, look, report, before)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(proc: Proc, wish: _Wish, look: Look, report: Callable[[Running], None], mask: _Mask) -> int:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        child = os.fork()
        if child == 0:
            ours.close()
            _set_up(theirs, wish, mask)
        theirs.close()
        try:
            with _heard(mask):
                _hear(ours)
                plan = _verify_nothing_crosses(proc, child, look)
                if wish.new_pids:
                    ours.send(b"mount")
                    _hear(ours)
                    _verify_stays_inside(proc, child, look, plan.target)
                report(Running(child, plan, wish.new_pids))
            ours.send(b"go")
            # Closed by exec: no answer is a good one.
            _hear(ours, last=True)
        except BaseException:
            ours.close()
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise
    return _attend(child)


@contextmanager
def _heard(mask: _Mask) -> Iterator[None]:
    """While the command does not run yet, what asks for the end is for mntscope."""
    asking = {signal.SIGINT, signal.SIGTERM} - mask
    signal.pthread_sigmask(signal.SIG_UNBLOCK, asking)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, asking)


def _containing(proc: Proc) -> str:
    mounts = tuple(parse_mountinfo(read("self/mountinfo", dir_fd=proc.fd), strict=False))
    mount = MountTree.of(View("self", mounts)).containing(PROC)
    if mount is None:
        raise RefusedError(
            "no mount that it shows contains /proc", where="/", hint="run it where / is a mount, not from a chroot"
        )
    return mount.mount_point


def _verify_nothing_crosses(proc: Proc, child: int, look: Look) -> Plan:
    seen = look(_name(proc, child))
    plan = make_plan(seen.snapshot, seen.target, (PROC,))
    if plan.actions:
        raise RefusedError(f"{plan.actions[0].why}; the command was not run", where=PROC)
    return plan


def _verify_stays_inside(proc: Proc, child: int, look: Look, before: View) -> None:
    seen = look(_name(proc, child))
    snapshot, label = seen.snapshot, seen.target
    known = {mount.mount_id for mount in before.mounts}
    devices = {mount.device for mount in snapshot.view(label).mounts if mount.mount_id not in known}
    elsewhere = [
        view.label
        for view in snapshot.views
        if view.label != label and any(mount.fs_type == "proc" and mount.device in devices for mount in view.mounts)
    ]
    if elsewhere or not devices:
        what = f"the new proc is in {', '.join(elsewhere[:3])} too" if elsewhere else "the new proc is not there"
        raise RefusedError(f"{what}; the command was not run", where=PROC)


def _name(proc: Proc, pid: int) -> str:
    return str(pid) if proc.problem else f"ns:/proc/{pid}/ns/mnt"


def _hear(line: socket.socket, *, last: bool = False) -> None:
    """What the child says: that all is well, or what failed."""
    message = line.recv(1 << 16)
    if not message:
        if last:
            return
        raise MntscopeError("the process that was to run the command was killed")
    failure = json.loads(message)
    if not failure:
        return
    call, number, where = failure["call"], failure["errno"], failure["where"]
    if call == "execve":
        kind = CommandNotFoundError if number == errno.ENOENT else CommandNotExecutableError
        raise kind(f"it cannot be run ({os.strerror(number)})", where=where)
    error = KernelError(call, number, where=where)
    if number == errno.EPERM:
        hint = "run mntscope as root (it takes CAP_SYS_ADMIN)"
        raise AccessError(f"namespaces may not be made ({error})", hint=hint)
    if call == "mount" and number == errno.EINVAL:
        hint = "run it where / is a mount, not from a chroot"
        raise RefusedError(f"its propagation cannot be changed ({error})", where=where, hint=hint)
    raise error


# The other end


def _set_up(line: socket.socket, wish: _Wish, mask: _Mask) -> NoReturn:
    """The child: it makes the namespaces, and is the command in the end, or waits for it."""
    status = 1
    with suppress(BaseException):
        try:
            syscalls.unshare(syscalls.CLONE_NEWNS | (syscalls.CLONE_NEWPID if wish.new_pids else 0))
            syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_SLAVE)
            syscalls.mount(None, wish.containing, None, _TYPES[wish.kind])
            if wish.new_pids:
                first = os.fork()
                if first:
                    line.close()
                    os._exit(_attend(first))
                status = _first_process(line, wish, mask)
            else:
                line.send(b"{}")
                if line.recv(16) == b"go":
                    _execute(line, wish, mask)
        except KernelError as error:
            _fail(line, error.call, error.errno, error.where)
    os._exit(status)


def _first_process(line: socket.socket, wish: _Wish, mask: _Mask) -> int:
    """Pid 1 of the new namespace: the command runs as a child of it, which need not reap what others leave."""
    line.send(b"{}")
    if line.recv(16) != b"mount":
        return 1
    syscalls.mount("proc", PROC, "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
    line.send(b"{}")
    if line.recv(16) != b"go":
        return 1
    command = os.fork()
    if command == 0:
        _execute(line, wish, mask)
    line.close()
    return _attend(command)


def _execute(line: socket.socket, wish: _Wish, mask: _Mask) -> NoReturn:
    # As mntscope found them: Python ignores these two.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        os.execvp(wish.command[0], wish.command)  # noqa: S606 - what was asked for, and no shell
    except OSError as error:
        _fail(line, "execve", error.errno, wish.command[0])
    os._exit(1)


def _fail(line: socket.socket, call: str, number: int | None, where: str) -> None:
    line.send(json.dumps({"call": call, "errno": number or 0, "where": where}).encode())


def _attend(child: int) -> int:
    """Wait for a child, pass signals on to it, and reap all others; its status as a shell gives it.

    The forwarded signals are blocked: a blocked signal reaches pid 1 of a namespace too.
    """
    while True:
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == child:
                    code = os.waitstatus_to_exitcode(ended[1])
                    return code if code >= 0 else 128 - code
        received = signal.sigwaitinfo(_FORWARDED)
        if received.si_signo != signal.SIGCHLD and received.si_code != _SI_KERNEL:
            with suppress(ProcessLookupError):
                os.kill(child, received.si_signo)
