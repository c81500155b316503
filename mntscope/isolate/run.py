"""A command in a mount namespace of its own: the safe ``unshare --mount-proc``.

mntscope stays outside. Its worker makes the namespaces and waits twice: before the proc is mounted, until every
namespace has been read and nothing mounted at /proc would cross, and after it, until that proc has been found in no
other namespace. Only then the command runs.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import ClassVar, NoReturn

from mntscope.analysis.plan import Kind, Plan, make_plan
from mntscope.base.records import dataclass
from mntscope.errors import AccessError, KernelError, MntscopeError, RefusedError
from mntscope.graph import MountTree
from mntscope.isolate.outcome import Running
from mntscope.isolate.target import Capture
from mntscope.kernel import syscalls
from mntscope.kernel.channel import Channel, Worker
from mntscope.kernel.process import fork
from mntscope.kernel.worker import WorkerLostError
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
class _Command:
    """What the worker needs to know; it is asked for nothing but when to go on."""

    words: tuple[str, ...]
    new_pids: bool
    kind: Kind
    containing: str
    """The mount point of the mount that contains /proc."""


def run_isolated(
    command: Sequence[str],
    *,
    capture: Capture,
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
        asked = _Command(tuple(command), new_pids, kind, _containing(proc))
        # Blocked from before the fork, so that none is lost: _attend() waits for them.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
        try:
            return _run(proc, asked, capture, report, before)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(proc: Proc, command: _Command, capture: Capture, report: Callable[[Running], None], mask: _Mask) -> int:
    worker = Worker(partial(_set_up, command, mask), who="the process that was to run the command")
    try:
        with _heard(mask):
            _hear(worker)
            plan = _verify_nothing_crosses(proc, worker.pid, capture)
            if command.new_pids:
                _hear(worker, "mount proc")
                _verify_stays_inside(proc, worker.pid, capture, plan.target)
            report(Running(worker.pid, plan, command.new_pids))
        # Its end is closed by execve(2): no answer is a good one.
        with suppress(WorkerLostError):
            _hear(worker, "run")
    except BaseException:
        worker.end()
        raise
    worker.channel.close()
    return _attend(worker.pid)


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


def _verify_nothing_crosses(proc: Proc, pid: int, capture: Capture) -> Plan:
    captured = capture(_name(proc, pid))
    plan = make_plan(captured.snapshot, captured.target, (PROC,))
    if plan.actions:
        raise RefusedError(f"{plan.actions[0].why}; the command was not run", where=PROC)
    return plan


def _verify_stays_inside(proc: Proc, pid: int, capture: Capture, before: View) -> None:
    captured = capture(_name(proc, pid))
    snapshot, label = captured.snapshot, captured.target
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
    # What an ordinary user makes is owned by another user namespace, and is read from outside.
    return str(pid) if proc.problem or os.geteuid() else f"ns:/proc/{pid}/ns/mnt"


def _hear(worker: Worker, request: str = "") -> None:
    """Hear from the worker that all is well, after *request* if there is one."""
    try:
        if request:
            worker.ask(request)
        else:
            worker.channel.receive()
    except KernelError as error:
        raise _explained(error) from error


def _explained(error: KernelError) -> MntscopeError:
    """What it means that a call of the worker failed, and what to do."""
    if error.call == "execve":
        kind = CommandNotFoundError if error.errno == errno.ENOENT else CommandNotExecutableError
        return kind(f"it cannot be run ({error.strerror})", where=error.where)
    if error.errno == errno.EPERM and error.call == "mount" and os.geteuid():
        # fs/namespace.c, mount_too_revealing
        what = f"the kernel refuses a new proc in a user namespace ({error}): something covers a part of the one here"
        return AccessError(what, hint="run mntscope as root, or without --pid")
    if error.errno in (errno.ENOSPC, errno.EUSERS) and error.call == "unshare":
        what = f"no more namespaces may be made ({error})"
        return AccessError(what, hint="raise user.max_user_namespaces (sysctl), or run mntscope as root")
    if error.errno == errno.EPERM:
        hint = "run mntscope as root (it takes CAP_SYS_ADMIN)"
        if os.geteuid():
            hint += ", or allow user namespaces (sysctl kernel.unprivileged_userns_clone, AppArmor)"
        return AccessError(f"namespaces may not be made ({error})", hint=hint)
    if error.call == "mount" and error.errno == errno.EINVAL:
        hint = "run it where / is a mount, not from a chroot"
        return RefusedError(f"its propagation cannot be changed ({error})", where=error.where, hint=hint)
    return error


# The other end


def _set_up(command: _Command, mask: _Mask, channel: Channel) -> int:
    """The worker: it makes the namespaces, and is the command in the end, or waits for it. Its exit status."""
    with channel.errors_told():
        if command.new_pids:
            _unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID)
        else:
            syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_SLAVE)
        syscalls.mount(None, command.containing, None, _TYPES[command.kind])
        if command.new_pids:
            first = fork(partial(_first_process, command, mask, channel))
            channel.close()
            return _attend(first)
        channel.send()
        for _ in channel.requests():
            _execute(command, mask)
    return 1


def _unshare(flags: int) -> None:
    """New namespaces; who may not make them makes them in a user namespace of his own, where he stays who he is."""
    try:
        syscalls.unshare(flags)
    except KernelError as error:
        if error.errno != errno.EPERM or os.geteuid() == 0:
            raise
    else:
        return
    user, group = os.geteuid(), os.getegid()
    syscalls.unshare(syscalls.CLONE_NEWUSER | flags)
    # user_namespaces(7): without privileges one maps oneself, and gives up setgroups(2) first.
    for name, line in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(line)


def _first_process(command: _Command, mask: _Mask, channel: Channel) -> int:
    """Pid 1 of the new namespace: the command runs as a child of it, which need not reap what others leave."""
    with channel.errors_told():
        channel.send()
        for request in channel.requests():
            if request["do"] == "mount proc":
                syscalls.mount("proc", PROC, "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
                channel.send()
            else:
                child = fork(partial(_told, channel, partial(_execute, command, mask)))
                channel.close()
                return _attend(child)
    return 1


def _told(channel: Channel, execute: Callable[[], NoReturn]) -> int:
    with channel.errors_told():
        execute()
    return 1


def _execute(command: _Command, mask: _Mask) -> NoReturn:
    # As mntscope found them: Python ignores these two.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        os.execvp(command.words[0], command.words)  # noqa: S606 - what was asked for, and no shell
    except OSError as error:
        raise KernelError("execve", error.errno or 0, where=command.words[0]) from None


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
