"""Mount namespaces: what identifies each, how one is read, and how all are found."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import NoReturn

from mntscope import kernel
from mntscope.errors import AccessError, KernelError, TargetError
from mntscope.live.procfs import Proc, hold, namespace_link, read_process, read_table, shown_pid_namespace
from mntscope.model import Namespace, Process
from mntscope.parse import parse_mountinfo


@dataclass
class Reading:
    """A mount namespace as it was read once: the bytes of its table, and what was learnt beside them."""

    label: str
    table: bytes
    namespace: Namespace = field(default_factory=Namespace)
    """Without its processes."""
    reader: Process | None = None
    """The process through which it was read; ``None`` if it was entered."""
    processes: dict[int, Process] = field(default_factory=dict)
    proc_pid_namespace: int | None = None

    @property
    def hidden_above(self) -> str:
        """The root directory of its reader, where that hides mounts which lie outside it; else empty."""
        return self.reader.root if self.reader and self.reader.root != "/" else ""

    @cached_property
    def marks(self) -> set[tuple[bytes, ...]]:
        """Mount ID, parent ID, device and root of every mount: at any moment these are of one namespace only."""
        return {tuple(line.split(b" ", 4)[:4]) for line in self.table.split(b"\n") if line}

    def same_namespace(self, other: Reading) -> bool:
        """Whether both show one namespace; where the inode of either could not be read, the tables tell."""
        if self.namespace.inode is not None and other.namespace.inode is not None:
            return self.namespace.inode == other.namespace.inode
        return not self.marks.isdisjoint(other.marks)


def identify(fd: int) -> Namespace:
    """The namespace that *fd* refers to: its inode, and what else the kernel tells."""
    number = owner = None
    with suppress(KernelError):
        number = kernel.ns_get_mntns_id(fd)
    # EPERM where the owner is neither this process's own user namespace nor a descendant of it.
    with suppress(KernelError):
        user_namespace = kernel.ns_get_userns(fd)
        owner = os.fstat(user_namespace).st_ino
        os.close(user_namespace)
    return Namespace(inode=os.fstat(fd).st_ino, id=number, user_namespace=owner)


def read_through(proc: Proc, pid: int, label: str, *, by_table: bool = False) -> Reading:
    """The mount namespace in which process *pid* lives, as that process sees it.

    With *by_table*, a process whose table may be read but not its namespace links gives a reading without
    identity; otherwise that is an error.

    :raises TargetError: there is no such process, or it ended, or it moved to another namespace meanwhile.
    :raises AccessError: it may not be read.
    """
    with hold(proc, pid) as directory:
        namespace = Namespace()
        try:
            fd = os.open("ns/mnt", os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
        except PermissionError:
            if not by_table:
                raise
        else:
            namespace = identify(fd)
            os.close(fd)
        table = read_table(directory)
        process = read_process(proc, directory, pid)
        if namespace.inode is not None and namespace_link("mnt", dir_fd=directory) != namespace.inode:
            raise TargetError("it changed its mount namespace while it was read", where=f"process {pid}")
        return Reading(
            label=label,
            table=table,
            namespace=namespace,
            reader=process,
            processes={pid: process},
            proc_pid_namespace=shown_pid_namespace(directory, table),
        )


def open_namespace(path: str) -> int:
    """A descriptor of the mount namespace file *path*.

    :raises TargetError: it is no namespace file, or of another kind of namespace.
    :raises AccessError: it may not be opened.
    """
    hint = "give a file such as /proc/PID/ns/mnt"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError as error:
        raise AccessError("permission denied", where=path, hint="run mntscope as root") from error
    except OSError as error:
        raise TargetError(f"it cannot be opened ({error.strerror})", where=path, hint=hint) from error
    try:
        kind = kernel.ns_get_nstype(fd)
    except KernelError:
        kind = 0
    if kind != kernel.CLONE_NEWNS:
        os.close(fd)
        raise TargetError("it is not a mount namespace", where=path, hint=hint)
    return fd


def read_inside(proc: Proc, fd: int, label: str) -> Reading:
    """The mount namespace *fd*, whole, by a worker that enters it: no process need live there.

    A process of several threads may not change its mount namespace, and this one should not: the worker is a
    fork, and has one thread. It changes nothing there.

    :raises AccessError: the namespace may not be entered.
    """
    reader, writer = os.pipe()
    worker = os.fork()
    if worker == 0:
        _read_and_exit(proc, fd, writer)
    os.close(writer)
    with open(reader, "rb") as pipe:
        status, _, table = pipe.read().partition(b"\n")
    # Where SIGCHLD is ignored, the kernel has reaped it already.
    with suppress(ChildProcessError):
        os.waitpid(worker, 0)
    if status != b"ok":
        why = status.decode() or "the worker was killed"
        raise AccessError(f"the mount namespace may not be entered ({why})", where=label, hint="run mntscope as root")
    return Reading(label=label, table=table, namespace=identify(fd))


def _read_and_exit(proc: Proc, fd: int, writer: int) -> NoReturn:
    """The worker: writes ``ok`` and the table, or what is wrong."""
    try:
        with open(writer, "wb") as pipe:
            try:
                kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
                kernel.setns(fd, kernel.CLONE_NEWNS)
                table = read_table(os.open("self", os.O_RDONLY | os.O_DIRECTORY, dir_fd=proc.fd))
            except OSError as error:
                pipe.write(os.strerror(error.errno or 0).encode())
            else:
                pipe.write(b"ok\n" + table)
    finally:
        os._exit(0)


def every_namespace(proc: Proc) -> Iterator[int]:
    """Descriptors of all mount namespaces, with or without processes, except this process's own (Linux 6.12).

    Each is closed when the next is asked for. Older kernels give none, newer ones leave out those over which
    the caller has no CAP_SYS_ADMIN.
    """
    for neighbour in (kernel.ns_mnt_get_prev, kernel.ns_mnt_get_next):
        here = os.open("self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc.fd)
        try:
            while True:
                there, _ = neighbour(here)
                os.close(here)
                here = there
                yield here
        except KernelError:
            # ENOENT past the last one.
            continue
        finally:
            os.close(here)


def pinned_namespaces(table: bytes) -> Iterator[int]:
    """Descriptors of the mount namespaces that a mount table keeps by a bind mount of their file, as snapd does.

    Its mount points must be those of this process. Each is closed when the next is asked for.
    """
    pins = b"".join(line + b"\n" for line in table.split(b"\n") if b" - nsfs " in line)
    for mount in parse_mountinfo(pins, strict=False):
        if mount.root.startswith("mnt:["):
            with suppress(AccessError, TargetError):
                fd = open_namespace(mount.mount_point)
                try:
                    yield fd
                finally:
                    os.close(fd)
