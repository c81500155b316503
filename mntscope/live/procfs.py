"""What proc(5) tells of a process: its mount table, its namespaces, and who it is.

Everything is read through a descriptor of the proc filesystem's root (:class:`Proc`), and of one process
through a descriptor of its directory (:func:`hold`), which refers to that process even if its pid is reused.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from types import TracebackType
from typing import NoReturn, Self

from mntscope.errors import AccessError, KernelError, MntscopeError, TargetError
from mntscope.kernel import syscalls
from mntscope.model import Problem, Process

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Proc:
    """A proc filesystem that shows the PID namespace of this process; closes on leaving a ``with``."""

    def __init__(self, fd: int, *, problem: Problem | None = None) -> None:
        self.fd = fd
        """A descriptor of its root directory."""
        self.problem = problem
        """Why it is not the one at /proc, if it is not."""
        self.pid_namespace = namespace_link("pid", "self", dir_fd=fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        os.close(self.fd)

    def pids(self) -> list[int]:
        """The processes it shows, in ascending order."""
        return sorted(int(name) for name in os.listdir(self.fd) if name.isdecimal())


def open_proc(path: str = "/proc") -> Proc:
    """The proc filesystem at *path* if it shows this process's PID namespace, else a private one.

    A proc mount that propagated from another PID namespace covers /proc with strangers. A new instance
    that is mounted nowhere (fsopen(2), fsmount(2)) shows the right ones without touching anything.

    :raises AccessError: it is covered, and a private instance is not permitted.
    """
    try:
        fd = os.open(path, _DIRECTORY)
    except OSError as error:
        what, hint = f"it cannot be opened ({error.strerror})", f"mount proc at {path}"
    else:
        what, hint = _wrong(fd, path)
        if not what:
            return Proc(fd)
        os.close(fd)
    try:
        configured = syscalls.fsopen("proc", syscalls.FSOPEN_CLOEXEC)
        try:
            syscalls.fsconfig(configured, syscalls.FSCONFIG_CMD_CREATE, None, None)
            mounted = syscalls.fsmount(configured, syscalls.FSMOUNT_CLOEXEC, 0)
        finally:
            os.close(configured)
        # fsmount(2) gives an O_PATH descriptor, which cannot be listed.
        try:
            private = os.open(".", _DIRECTORY, dir_fd=mounted)
        finally:
            os.close(mounted)
    except OSError as error:
        what = f"{what}, and a private proc instance is refused ({error.strerror})"
        raise AccessError(what, where=path, hint=hint) from error
    return Proc(private, problem=Problem(f"{what}; a private proc instance was read instead", where=path))


def _wrong(proc_fd: int, path: str) -> tuple[str, str]:
    """What is wrong with a proc, and what to do; nothing if it shows this process's own PID namespace."""
    covered = f"as root, `umount {path}` uncovers what lies below; or run mntscope as root"
    try:
        pids = own_pids(proc_fd, "self")
    except OSError:
        # A proc of a PID namespace in which this process does not exist has a `self` that leads nowhere.
        if "self" in os.listdir(proc_fd):
            return "it shows the processes of another PID namespace", covered
        return "it is not a proc filesystem", covered
    if pids == [os.getpid()]:
        return "", ""
    return "it shows the processes of an outer PID namespace", "run mntscope outside of this PID namespace, or as root"


# Small files and links, below any directory descriptor


def read(path: str, *, dir_fd: int) -> bytes:
    """The whole content of a file of proc."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=dir_fd)
    with open(fd, "rb", buffering=0) as file:
        return file.readall()


def namespace_link(kind: str, process: str = ".", *, dir_fd: int) -> int:
    """The inode of a namespace of a process: 4026531832 for ``mnt:[4026531832]``."""
    return int(os.readlink(f"{process}/ns/{kind}", dir_fd=dir_fd).partition("[")[2].rstrip("]"))


def threads(pid: int, *, dir_fd: int) -> list[int]:
    """The ids of a process's threads, in ascending order, if there are more than one; else nothing."""
    task = f"{pid}/task"
    # A directory has a link from each directory in it: that spares listing those of one thread.
    if os.stat(task, dir_fd=dir_fd).st_nlink <= 3:
        return []
    fd = os.open(task, _DIRECTORY, dir_fd=dir_fd)
    try:
        return sorted(map(int, os.listdir(fd)))
    finally:
        os.close(fd)


def own_pids(dir_fd: int, process: str = ".") -> list[int]:
    """A process's pids, from the PID namespace that the proc shows down to its own (NSpid of proc_pid_status(5))."""
    for line in read(f"{process}/status", dir_fd=dir_fd).split(b"\n"):
        if line.startswith(b"NSpid:"):
            return [int(word) for word in line.split()[1:]]
    return []


# One process


@contextmanager
def hold(proc: Proc, pid: int) -> Iterator[int]:
    """A descriptor of /proc/PID, for reading one process that cannot be mistaken for another.

    :raises TargetError: there is no such process, or it ends before the ``with`` does.
    :raises AccessError: something of it may not be read.
    """
    pidfd = _open_pidfd(pid)
    directory = None
    try:
        directory = os.open(str(pid), _DIRECTORY, dir_fd=proc.fd)
        yield directory
        if _ended(pidfd, directory):
            raise TargetError("it ended while it was read", where=f"process {pid}", hint="nothing of it is left to see")
    except MntscopeError:
        raise
    except OSError as error:
        _explain(error, pid, ended=_ended(pidfd, directory))
    finally:
        for fd in (pidfd, directory):
            if fd is not None:
                os.close(fd)


def read_process(proc: Proc, directory: int, pid: int) -> Process:
    """Who the process of a /proc/PID *directory* is.

    What may not be read is left at its default, as is what has ended with the main thread.
    """
    stat = os.fsdecode(read("stat", dir_fd=directory))
    # The name may hold anything, parentheses and line feeds too (proc_pid_stat(5)).
    head, _, tail = stat.rpartition(")")
    cgroup, root, user_namespace = "", "", None
    with suppress(OSError):
        cgroup = os.fsdecode(read("cgroup", dir_fd=directory))
    with suppress(OSError):
        root = os.readlink("root", dir_fd=directory)
    with suppress(OSError):
        user_namespace = namespace_link("user", dir_fd=directory)
    return Process(
        pid=pid,
        start_time=int(tail.split()[19]),
        comm=head.partition("(")[2],
        root=root,
        pid_namespace=_pid_namespace(proc, directory),
        user_namespace=user_namespace,
        cgroup=cgroup,
    )


def shown_pid_namespace(directory: int, table: bytes) -> int | None:
    """The inode of the PID namespace whose processes the topmost mount at /proc of a process shows, if any does."""
    # Opening what is something else may wait for a server.
    if not re.search(rb" / /proc [^\n]* - proc ", table):
        return None
    with suppress(OSError):
        # O_NOFOLLOW: a symbolic link would be followed from this process's own root directory.
        fd = os.open("root/proc", _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
        try:
            device = os.fstat(fd).st_dev
            if f" {os.major(device)}:{os.minor(device)} / /proc ".encode() in table:
                return _pid_namespace_shown(fd)
        finally:
            os.close(fd)
    return None


def _pid_namespace_shown(proc_fd: int) -> int | None:
    # A process that has but one pid in this proc lives in the very PID namespace it shows; not all may be inspected,
    # and where the first may be, all others need not be listed.
    for name in chain(("self", "1"), (name for _ in "1" for name in os.listdir(proc_fd))):
        with suppress(OSError):
            if len(own_pids(proc_fd, name)) == 1:
                return namespace_link("pid", name, dir_fd=proc_fd)
    return None


def _pid_namespace(proc: Proc, directory: int) -> int | None:
    with suppress(OSError):
        return namespace_link("pid", dir_fd=directory)
    with suppress(OSError):
        if len(own_pids(directory)) == 1:
            return proc.pid_namespace
    return None


def _open_pidfd(pid: int) -> int | None:
    """``None`` where the kernel, or a seccomp filter, has no pidfds: the directory then has to do."""
    try:
        # The kernel would look at the lower 32 bits only.
        if not 0 < pid < 1 << 31:
            raise KernelError("pidfd_open", errno.ESRCH)
        return syscalls.pidfd_open(pid)
    except KernelError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM):
            return None
        if error.errno == errno.ESRCH:
            raise _nobody(pid) from None
        # Linux says EINVAL, since 6.15 ENOENT.
        hint = "name the process by its own pid (Tgid in /proc/TID/status)"
        raise TargetError("it is a thread, not a process", where=f"process {pid}", hint=hint) from None


def _nobody(pid: int) -> TargetError:
    return TargetError("there is no such process", where=f"process {pid}", hint="see `ps -e`")


def _ended(pidfd: int | None, directory: int | None) -> bool:
    if pidfd is not None:
        import select

        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return bool(poll.poll(0))
    try:
        return directory is None or not read("stat", dir_fd=directory)
    except OSError:
        return True


def _explain(error: OSError, pid: int, *, ended: bool) -> NoReturn:
    process, file = f"process {pid}", f"/proc/{pid}"
    if ended and error.filename == str(pid):
        raise _nobody(pid) from error
    if ended:
        raise TargetError("it has ended", where=process) from error
    if error.filename not in (None, str(pid)):
        file = f"{file}/{os.fsdecode(error.filename)}"
    if isinstance(error, PermissionError):
        hint = "run mntscope as root (it takes CAP_SYS_PTRACE over that process)"
        raise AccessError("permission denied", where=file, hint=hint) from error
    if isinstance(error, FileNotFoundError) and error.filename == str(pid):
        hint = "run mntscope as root, or mount proc without hidepid"
        raise AccessError("it exists, but /proc hides it", where=process, hint=hint) from error
    if isinstance(error, FileNotFoundError) or error.errno == errno.EINVAL:
        raise TargetError("it has no mounts to show: its main thread has ended", where=process) from error
    raise TargetError(f"it cannot be read ({error.strerror})", where=file) from error
