"""The namespaces to act in, opened once: what happens to the process that led there does not matter any more."""

from __future__ import annotations

import os
import re
import select
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Protocol

from mntscope.base.records import NamedTuple, dataclass
from mntscope.errors import KernelError, NoAnswerError, RefusedError, TargetError
from mntscope.kernel import syscalls
from mntscope.kernel.worker import enter
from mntscope.live.foreign import follow, pid_namespace_of, root_directory
from mntscope.live.namespaces import identify, open_namespace, proc_mount
from mntscope.live.procfs import Proc, device_of, hold, mount_id_of, read, read_process
from mntscope.model import Namespace
from mntscope.snapshot import Snapshot

_OPEN = os.O_RDONLY | os.O_CLOEXEC


class Captured(Protocol):
    """A snapshot of the machine, and which of its views was asked for."""

    @property
    def snapshot(self) -> Snapshot:
        """Of every mount namespace that could be read."""
        ...

    @property
    def target(self) -> str:
        """The label of the view that was asked for."""
        ...


Capture = Callable[[str], Captured]
"""Captures every namespace of the machine: the argument is a TARGET."""


@dataclass(frozen=True, slots=True)
class NamespaceFds:
    """Descriptors of what a worker enters, and of what it needs there."""

    proc: int
    """The root of a proc filesystem that shows mntscope's own PID namespace."""
    mnt: int
    """The mount namespace."""
    user: int | None = None
    """The user namespace that owns it; ``None`` where a worker is in there already."""
    proc_context: int | None = None
    """The context of the proc that is to be mounted (:mod:`mntscope.kernel.proc_context`)."""


@dataclass(frozen=True, slots=True)
class Target:
    """A mount namespace, and the process that named it."""

    name: str
    fds: NamespaceFds
    namespace: Namespace
    root: int | None = None
    """Its root directory."""
    pids: int | None = None
    """Its PID namespace; ``None`` where that is mntscope's own."""
    pid_namespace: int | None = None
    """The inode of that."""
    pid: int | None = None
    start_time: int | None = None
    pidfd: int | None = None

    @property
    def ended(self) -> bool:
        """Whether the process that named the namespace has ended; never, where a file named it."""
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
            yield Target(f"ns:{target}", NamespaceFds(proc.fd, mnt, user=_owner(held, proc, mnt)), identify(mnt))
            return
        pidfd = None
        with hold(proc, target) as directory:
            with suppress(KernelError):
                pidfd = _kept(held, syscalls.pidfd_open(target))
            mnt = _kept(held, os.open("ns/mnt", _OPEN, dir_fd=directory))
            pids: int | None = _kept(held, os.open("ns/pid", _OPEN, dir_fd=directory))
            root = _kept(held, root_directory(directory))
            process = read_process(proc, directory, target)
        if process.pid_namespace == proc.pid_namespace:
            pids = None
        yield Target(
            name=str(target),
            fds=NamespaceFds(proc.fd, mnt, _owner(held, proc, mnt)),
            namespace=identify(mnt),
            root=root,
            pids=pids,
            pid_namespace=process.pid_namespace,
            pid=target,
            start_time=process.start_time,
            pidfd=pidfd,
        )


class Place(NamedTuple):
    """Where a path leads that was given as the target sees it."""

    path: str
    """From the root of the mount namespace, links followed."""
    pid_namespace: int | None
    """The inode of the PID namespace that is shown there, if that is a proc."""


def resolve(at: Target, path: str) -> Place:
    """Where *path* of the target leads; by a child in its mount namespace, but not in its PID namespace.

    :raises TargetError: nowhere.
    :raises RefusedError: out of the mount namespace.
    :raises NoAnswerError: a filesystem on the way does not answer.
    """

    def look() -> tuple[bytes, list[int]]:
        proc = at.fds.proc
        namespace_root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        os.fchdir(proc)
        fd = follow(namespace_root if at.root is None else at.root, path)
        os.fchdir(namespace_root)
        os.chroot(".")
        os.fchdir(proc)
        table = read("self/mountinfo", dir_fd=proc)
        if not re.search(rb"^%d " % mount_id_of(fd, dir_fd=proc), table, re.MULTILINE):
            raise RefusedError("its place is not within the root of its mount namespace", where=path)
        leads_to, shown = os.readlink(f"self/fd/{fd}", dir_fd=proc), None
        if (top := proc_mount(table, leads_to)) and top[0] == device_of(fd):
            with suppress(OSError):
                shown = pid_namespace_of(fd)
        return f"{shown or 0} {leads_to}".encode("utf-8", "surrogateescape"), []

    try:
        answer, _ = enter(at.fds.mnt, look, owner=at.fds.user, where=f"{path} of {at.name}")
    except OSError as error:
        raise _nowhere(path, at, error) from error
    except NoAnswerError as error:
        hint = "what is mounted below a mount point is attached to the mount there: name that"
        raise NoAnswerError("a filesystem on the way does not answer", where=error.where, hint=hint) from error
    shown, _, leads_to = answer.decode("utf-8", "surrogateescape").partition(" ")
    return Place(leads_to, int(shown) or None)


def _nowhere(path: str, at: Target, error: OSError) -> TargetError:
    hint = "it must exist before something can be mounted there"
    return TargetError(f"{path} leads nowhere ({error.strerror})", where=at.name, hint=hint)


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
