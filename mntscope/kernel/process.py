"""How a process of mntscope's own begins, is protected, and ends. This is the only file that forks.

A fork has one thread, which setns(2) and unshare(2) ask of whoever enters another mount or user namespace, and the
memory and descriptors of its parent. It does one thing and ends: it never returns to what its parent was about.
(:mod:`mntscope.kernel.empty_handed`, which forks too, is a program by itself and shares nothing with this one.)
"""

from __future__ import annotations

# The half of signal that is built into the interpreter: the other takes a millisecond to load.
import _signal as signal  # type: ignore[import-not-found]
import os
import time
from collections.abc import Callable
from contextlib import suppress

from mntscope.errors import KernelError
from mntscope.kernel import syscalls

_REAPING = 0.2
"""Seconds in which a killed process ends, unless it waits for what nobody can interrupt."""

_unreaped: list[int] = []
"""Children that have said all, or were killed, and have not been waited for."""


# How it begins


def fork(body: Callable[[], int | None]) -> int:
    """The pid of a child that runs *body* and exits with the status that this returns: 0 for ``None``, 1 if it raises.

    What *body* raises is told to nobody: see :mod:`mntscope.kernel.worker` and :mod:`mntscope.kernel.channel`.

    :raises KernelError: there may be no more processes.
    """
    try:
        pid = os.fork()
    except OSError as error:
        raise KernelError("fork", error.errno or 0) from None
    if pid == 0:
        status = 1
        try:
            status = body() or 0
        finally:
            os._exit(status)
    return pid


def go_on_in_child() -> None:
    """As ``unshare --fork``: it is a child that returns from here; this process waits for it, and exits."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        os._exit(0)


# What protects it, and others from it


def dies_with(parent: int) -> None:
    """The kernel kills this process when *parent*, which forked it, ends; at once if it has ended already.

    To be called again after a change of user namespace, which may take it back (kernel/cred.c, commit_creds).
    """
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def untraceable() -> None:
    """Before another namespace is entered: nobody there takes this process over.

    A process that may be traced can be made to do anything, with all that it holds. Of one that is not dumpable only
    who has CAP_SYS_PTRACE over the user namespace of its program, the host's, may do so (ptrace(2), access mode
    checks; kernel/ptrace.c, __ptrace_may_access): not the root of a user namespace that this process joins, whose
    capabilities count there. It keeps off nobody who has CAP_SYS_PTRACE in the host's user namespace: such a container
    can trace what it sees, so what enters its PID namespace has nothing in its hands
    (:mod:`mntscope.kernel.empty_handed`).
    """
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)


def close_all_but(*kept: int) -> None:
    """Close every other descriptor, so that nobody's pipe is held open by this process; 0, 1 and 2 become /dev/null."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        if standard not in kept:
            os.dup2(null, standard)
    first = 3
    for fd in (*sorted(fd for fd in kept if fd >= 3), os.sysconf("SC_OPEN_MAX")):
        os.closerange(first, fd)
        first = fd + 1


# How it ends


def end(pid: int, *, seconds: float = 0.0, patience: float = _REAPING) -> None:
    """End a child that has not ended of itself within so many *seconds*, and reap it.

    One that has not ended after as many seconds of *patience* more, since it waits for what nobody can interrupt, is
    reaped some other time.
    """
    said_all(pid)
    if not reap(seconds, only=pid):
        # It has not been waited for, so the pid is its own.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        reap(patience, only=pid)


def said_all(pid: int) -> None:
    """Note that a child is of no more use: it will have ended when somebody reaps."""
    if pid not in _unreaped:
        _unreaped.append(pid)


def reap(seconds: float = _REAPING, *, only: int | None = None) -> bool:
    """Wait for the children that have said all or were killed, so many *seconds* at most; whether none is left.

    With *only*, for that one, and whether it has ended; others are reaped by the way. Until then they are processes of
    this machine, as others are.
    """
    given_up = time.monotonic() + seconds
    pause = 0.0
    while True:
        for pid in tuple(_unreaped):
            try:
                ended = os.waitpid(pid, os.WNOHANG)[0]
            except ChildProcessError:
                # Where SIGCHLD is ignored, the kernel has reaped it.
                ended = pid
            if ended:
                _unreaped.remove(pid)
        if not _unreaped or (only is not None and only not in _unreaped):
            return True
        if time.monotonic() > given_up:
            return False
        time.sleep(pause)
        pause = min(pause + 0.0001, 0.01)
