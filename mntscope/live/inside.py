"""A look from inside of a mount namespace: by a worker that enters it, as this process never does.

setns(2) refuses a process of several threads, and this one should stay where it is: the worker is a fork, has one
thread, changes nothing, and dies with its parent.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from mntscope import kernel
from mntscope.errors import AccessError

if TYPE_CHECKING:
    from socket import socket

Look = Callable[[], tuple[bytes, list[int]]]
"""What the worker does: returns bytes, and descriptors, of which there may be :data:`MOST_DESCRIPTORS`."""

MOST_DESCRIPTORS = 250
"""SCM_MAX_FD is 253 (include/net/scm.h)."""


def inside(namespace: int, look: Look, *, root: int | None = None, where: str = "") -> tuple[bytes, list[int]]:
    """What *look* returns in the mount *namespace*, at its root or with the directory *root* as root directory.

    Both are descriptors; those returned are the caller's to close. *where* names the namespace in errors.

    :raises AccessError: it may not be entered, or *look* met an :class:`OSError`.
    """
    from socket import CMSG_SPACE, MSG_CMSG_CLOEXEC, SCM_RIGHTS, SOL_SOCKET, socketpair

    ours, theirs = socketpair()
    with ours:
        with theirs:
            worker = os.fork()
            if worker == 0:
                _work(theirs, namespace, look, root)
        status, ancillary, _, _ = ours.recvmsg(1, CMSG_SPACE(4 * MOST_DESCRIPTORS), MSG_CMSG_CLOEXEC)
        from array import array

        descriptors = array("i")
        for level, kind, data in ancillary:
            if (level, kind) == (SOL_SOCKET, SCM_RIGHTS):
                descriptors.frombytes(data[: len(data) // 4 * 4])
        with ours.makefile("rb") as stream:
            answer = stream.read()
    # Where SIGCHLD is ignored, the kernel has reaped it already.
    with suppress(ChildProcessError):
        os.waitpid(worker, 0)
    if status != b"+":
        for fd in descriptors:
            os.close(fd)
        why = answer.decode() or "the worker was killed"
        raise AccessError(f"the mount namespace may not be entered ({why})", where=where, hint="run mntscope as root")
    return answer, list(descriptors)


def _work(channel: socket, namespace: int, look: Look, root: int | None) -> NoReturn:
    """The worker: sends ``+`` with the descriptors, and the bytes; or ``-`` and what is wrong."""
    from socket import send_fds

    try:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        try:
            kernel.setns(namespace, kernel.CLONE_NEWNS)
            if root is not None:
                os.fchdir(root)
                os.chroot(".")
            answer, descriptors = look()
        except OSError as error:
            channel.sendall(b"-" + os.strerror(error.errno or 0).encode())
        else:
            send_fds(channel, [b"+"], descriptors)
            channel.sendall(answer)
    finally:
        os._exit(0)
