"""The namespaces to act in, opened once: what happens to the process that led there does not matter any more."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from mntscope.errors import KernelError
from mntscope.frozen import dataclass
from mntscope.isolate.hands import Entrance
from mntscope.kernel import syscalls
from mntscope.live.namespaces import identify, open_namespace
from mntscope.live.procfs import Proc, hold, read_process
from mntscope.model import Namespace, View

_OPEN = os.O_RDONLY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Target:
    """A mount namespace, and the process that named it."""

    name: str
    entrance: Entrance
    namespace: Namespace
    pid: int | None = None
    start_time: int | None = None
    pidfd: int | None = None

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        if self.pidfd is None:
            return False
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(0))


@contextmanager
def opened(proc: Proc, target: int | str) -> Iterator[Target]:
    """The target, a process by its pid or a namespace by its file.

    :raises TargetError: there is no such thing.
    :raises AccessError: it may not be opened.
    """
    with ExitStack() as held:
        if isinstance(target, str):
            mnt = _kept(held, open_namespace(target))
            yield Target(f"ns:{target}", Entrance(proc.fd, mnt, user=_owner(held, proc, mnt)), identify(mnt))
            return
        pidfd = None
        with hold(proc, target) as directory:
            with suppress(KernelError):
                pidfd = _kept(held, syscalls.pidfd_open(target))
            mnt = _kept(held, os.open("ns/mnt", _OPEN, dir_fd=directory))
            pids: int | None = _kept(held, os.open("ns/pid", _OPEN, dir_fd=directory))
            root = _kept(held, os.open("root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory))
            process = read_process(proc, directory, target)
        if process.pid_namespace == proc.pid_namespace:
            pids = None
        entrance = Entrance(proc.fd, mnt, pids, _owner(held, proc, mnt), root)
        yield Target(str(target), entrance, identify(mnt), target, process.start_time, pidfd)


def namespace_of(proc: Proc, view: View) -> int | None:
    """A descriptor of the mount namespace of a view; ``None`` where none may be opened, or it has ended."""
    for name in ("self", *(str(process.pid) for process in view.namespace.processes)):
        with suppress(OSError):
            fd = os.open(f"{name}/ns/mnt", _OPEN, dir_fd=proc.fd)
            if os.fstat(fd).st_ino == view.namespace.inode:
                return fd
            os.close(fd)
    return None


def _owner(held: ExitStack, proc: Proc, mnt: int) -> int | None:
    """The user namespace that owns a mount namespace, unless it is this process's own."""
    with suppress(KernelError):
        owner = _kept(held, syscalls.ns_get_userns(mnt))
        if os.fstat(owner).st_ino != os.stat("self/ns/user", dir_fd=proc.fd).st_ino:
            return owner
    return None


def _kept(held: ExitStack, fd: int) -> int:
    held.callback(os.close, fd)
    return fd
