"""A way into the mount namespace of a view, after it was captured: by who lives there, or by what else keeps it.

And whether there is none because it ended, or because it could not be found: the kernel says which
(pidfd_open(2), and since Linux 6.12 a list of all mount namespaces), or it is not claimed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress

from mntscope.errors import KernelError
from mntscope.kernel import syscalls
from mntscope.live.foreign import NamespaceFile, open_namespaces
from mntscope.live.namespaces import every_namespace, identify, lists_all
from mntscope.live.procfs import Proc, start_time_of
from mntscope.model import Process, View

_OPEN = os.O_RDONLY | os.O_CLOEXEC

Views = Mapping[str, View]
"""Of one snapshot, by label."""


def namespace_of(proc: Proc, view: View, views: Views) -> int | None:
    """A descriptor of the mount namespace of a view; ``None`` where none may be opened, or it has ended."""
    for name in ("self", *(str(process.pid) for process in _processes(view)), *_threads(view)):
        with suppress(OSError):
            fd = os.open(f"{name}/ns/mnt", _OPEN, dir_fd=proc.fd)
            if _is_of(fd, view):
                return fd
            os.close(fd)
    for there in every_namespace(proc):
        if _is_of(there, view):
            return os.dup(there)
    for fds in _kept(proc, view, views):
        found = [fd for fd in fds if _is_of(fd, view)]
        for fd in fds:
            if fd not in found[:1]:
                os.close(fd)
        if found:
            return found[0]
    return None


def has_ended(proc: Proc, view: View) -> bool:
    """Whether it is known that the mount namespace of a view is gone, for which no way was found."""
    if lists_all(proc):
        return True
    processes = _processes(view)
    return bool(processes) and not view.namespace.holds and all(_process_ended(proc, process) for process in processes)


def _processes(view: View) -> tuple[Process, ...]:
    found = (view.process, *view.namespace.processes)
    return tuple({process.pid: process for process in found if process is not None}.values())


def _process_ended(proc: Proc, process: Process) -> bool:
    try:
        # Another process may have its pid by now; then it has ended, too.
        os.close(syscalls.pidfd_open(process.pid))
    except KernelError as error:
        return error.errno == errno.ESRCH
    with suppress(OSError, ValueError, IndexError):
        directory = os.open(str(process.pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc.fd)
        try:
            return process.start_time not in (None, start_time_of(directory))
        finally:
            os.close(directory)
    return False


def _threads(view: View) -> Iterator[str]:
    for hold in view.namespace.holds:
        if hold.kind == "thread" and hold.process is not None:
            yield f"{hold.process.pid}/task/{hold.where}"


def _kept(proc: Proc, view: View, views: Views) -> Iterator[list[int]]:
    """Descriptors of namespaces that are at the places which keep this one: open files, and bind mounts."""
    inode = view.namespace.inode or 0
    for hold in view.namespace.holds:
        if hold.kind == "fd":
            yield open_namespaces(proc, [NamespaceFile(inode, hold.where.removeprefix("/proc/"))])
        elif hold.kind == "mount" and (shown_by := views.get(hold.label)) is not None:
            reader = shown_by.process
            if reader is not None:
                # Its paths count from the root directory of the process that showed them.
                yield open_namespaces(proc, [NamespaceFile(inode, hold.where, f"{reader.pid}/root")])


def _is_of(fd: int, view: View) -> bool:
    found = identify(fd)
    return found.inode == view.namespace.inode and (found.id is None or view.namespace.id in (None, found.id))
