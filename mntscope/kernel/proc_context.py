"""A filesystem context with which a proc of another PID namespace can be made (fsopen(2)).

A proc shows the PID namespace of the process that opened its context; since Linux 6.18 also one that is named by a
descriptor (the option ``pidns``, fs/proc/root.c), and nobody has to go there.

On older kernels somebody has to: a process born in that PID namespace. A container can see it, and may be able to take
it over for as long as it lives (ptrace(2)): as the root of a user namespace that the process joins, or with
CAP_SYS_PTRACE. So it is one that has nothing to take, and does nothing but open a context and send it away. What is
sent is believed to be what it should be only because the kernel says so, see :func:`_is_untouched_proc`.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import NoReturn

from mntscope.errors import AccessError, KernelError, NoAnswerError, RefusedError
from mntscope.kernel import syscalls
from mntscope.kernel.process import end, fork
from mntscope.kernel.worker import DEADLINE, with_descriptors

SECONDS = 5.0
"""A new interpreter has to start for it, on old kernels."""


def proc_context(pid_namespace: int | None) -> int:
    """A descriptor of a context of a proc that will show a PID namespace; ``None`` means this process's own.

    Nothing is made with it yet. It is the caller's to close.

    :raises KernelError: fsopen(2) or another call refuses; ENOSYS before Linux 5.2.
    :raises RefusedError: what came back is not what was asked for.
    """
    context = syscalls.fsopen("proc", syscalls.FSOPEN_CLOEXEC)
    if pid_namespace is None:
        return context
    try:
        syscalls.fsconfig(context, syscalls.FSCONFIG_SET_FD, "pidns", None, pid_namespace)
    except KernelError as error:
        os.close(context)
        if error.errno != errno.EINVAL:
            raise
        return context_from_inside(pid_namespace)
    return context


def context_from_inside(pid_namespace: int) -> int:
    """The same by a process that is born there (before Linux 6.18); raises as :func:`proc_context`."""
    try:
        (context,) = with_descriptors(lambda: (b"", [_sent_by(pid_namespace)]), seconds=SECONDS)[1]
    except NoAnswerError as error:
        hint = "somebody there stops it: look for what traces other processes"
        raise AccessError("its PID namespace was entered, and nothing came of it", hint=hint) from error
    return context


def _sent_by(pid_namespace: int) -> int:
    """To be called in a child: what comes from a stranger is received, and closed, where nobody waits for it."""
    import socket

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            sender = _born_there(theirs.fileno(), pid_namespace)
        try:
            ours.settimeout(SECONDS)
            try:
                message, fds, _, _ = socket.recv_fds(ours, 16, 1)
            except TimeoutError:
                raise NoAnswerError("nothing came of it in time") from None
            ours.settimeout(DEADLINE)
            # Its parent reaps it, and closes the other end then: a container need not have anybody who would.
            with suppress(TimeoutError):
                ours.recv(1)
        finally:
            end(sender)
    if not fds:
        # The number of what failed, before anybody was born there.
        raise KernelError("fork", int(message) if message.isdigit() and len(message) < 4 else errno.ECHILD)
    if not _is_untouched_proc(fds[0]):
        hint = "somebody there meddles: look for what traces other processes"
        raise RefusedError("what came out of its PID namespace is not the context of a proc", hint=hint)
    return fds[0]


def _born_there(line: int, pid_namespace: int) -> int:
    """A new program, of which nothing is left but *line* when it forks into the PID namespace; its pid."""
    source = _source()

    def become_it() -> NoReturn:
        # In a new program nothing is left of what this one has read; nor of its environment.
        for fd in (line, pid_namespace):
            os.set_inheritable(fd, True)
        arguments = [sys.executable, "-I", "-S", "-c", source, str(line), str(pid_namespace), str(os.getppid())]
        os.execve(sys.executable, arguments, {})  # noqa: S606 - this very interpreter

    return fork(become_it)


def _source() -> str:
    import inspect

    from mntscope.kernel import empty_handed

    return inspect.getsource(empty_handed)


def _is_untouched_proc(fd: int) -> bool:
    """Whether a descriptor is a context of a proc, in which nothing has been made yet, as the kernel says.

    Whoever took over the process may have sent anything, and what is made of it is made with root's rights: a disk
    mounted, say. A parameter that no filesystem knows is refused by all of them; what the kernel then writes into the
    context's log begins with the type of the filesystem (fs/fs_context.c, vfs_parse_fs_param).
    """
    if os.readlink(f"/proc/self/fd/{fd}") != "anon_inode:[fscontext]":
        return False
    _log(fd)
    try:
        syscalls.fsconfig(fd, syscalls.FSCONFIG_SET_FLAG, "mntscope", None)
    except KernelError as error:
        # EBUSY: something has been made with it already.
        return error.errno == errno.EINVAL and _log(fd) == [b"e proc: Unknown parameter 'mntscope'\n"]
    return False


def _log(fd: int) -> list[bytes]:
    """The messages that wait to be read in a context; no more than the eight that it holds."""
    messages = []
    for _ in range(16):
        try:
            messages.append(os.read(fd, 1 << 12))
        except OSError:
            # ENODATA: no more.
            break
    return messages
