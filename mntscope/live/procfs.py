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
from functools import partial
from types import TracebackType

from mntscope.errors import AccessError, KernelError, MntscopeError, NoAnswerError, TargetError
from mntscope.kernel import syscalls
from mntscope.kernel.unmounted import unmounted
from mntscope.kernel.worker import in_child
from mntscope.model import Problem, Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, Self

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_BLOCK = 1 << 14
"""Bytes: more than most files of a process have, and than the kernel gives of the others at once."""


class Proc:
    """A proc filesystem that shows the PID namespace of this process; closes on leaving a ``with``."""

    def __init__(self, fd: int, *, problem: Problem | None = None) -> None:
        self.fd = fd
        """A descriptor of its root directory."""
        self.problem = problem
        """Why it is not the one at /proc, if it is not."""
        self.pid_namespace = namespace_link("pid", "self", dir_fd=fd)
        self.device = device_of(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        os.close(self.fd)

    def pids(self) -> list[int]:
        """The pids of the processes it shows, in ascending order; any of them may end at any time."""
        return sorted(int(name) for name in os.listdir(self.fd) if name.isdecimal())


def open_proc(path: str = "/proc") -> Proc:
    """The proc filesystem at *path* if it shows this process's PID namespace as it is, else a private one.

    A proc mount that propagated from another PID namespace covers /proc with strangers; a filesystem may lie there that
    never answers; and something may be mounted on what it has of a process. A new instance that is mounted nowhere
    (fsopen(2), fsmount(2)) shows the right ones without touching anything, and nothing can be mounted on it.

    :raises AccessError: it is covered, and a private instance is not permitted.
    """
    try:
        # A mere place: what is there is not asked for anything yet, and cannot be exchanged any more.
        place = os.open(path, _DIRECTORY | os.O_PATH)
    except OSError as error:
        what, hint = f"it cannot be opened ({error.strerror})", f"mount proc at {path}"
    else:
        try:
            what, _, hint = in_child(partial(_wrong, place, path), alarmed=True).decode().partition("\0")
            if not what:
                return Proc(os.open(".", _DIRECTORY, dir_fd=place))
        except NoAnswerError:
            what, hint = (
                "what is mounted there does not answer",
                f"as root, `umount -l {path}` uncovers what lies below",
            )
        finally:
            os.close(place)
    try:
        private = unmounted("proc")
    except OSError as error:
        what = f"{what}, and a private proc instance is refused ({error.strerror})"
        raise AccessError(what, where=path, hint=hint) from error
    return Proc(private, problem=Problem(f"{what}; a private proc instance was read instead", where=path))


_ON_A_PROCESS = re.compile(rb"/(?:[0-9]+|self|thread-self)(?:/|$)")


def _wrong(place: int, path: str) -> bytes:
    """What is wrong with a proc, and what to do; nothing if it shows this process's own PID namespace, and all of it.

    To be called in a child.
    """
    covered = f"as root, `umount {path}` uncovers what lies below; or run mntscope as root"
    root = os.open(".", _DIRECTORY, dir_fd=place)
    try:
        pids = own_pids(root, "self")
        table = read("self/mountinfo", dir_fd=root)
    except OSError:
        # A proc of a PID namespace in which this process does not exist has a `self` that leads nowhere.
        if "self" in os.listdir(root):
            return f"it shows the processes of another PID namespace\0{covered}".encode()
        return f"it is not a proc filesystem\0{covered}".encode()
    if pids != [os.getpid()]:
        what, hint = "it shows the processes of an outer PID namespace", "run mntscope outside of this PID namespace"
        return f"{what}\0{hint}, or as root".encode()
    prefix = os.fsencode(path)
    # Few lines have anything of the kind, and there may be many lines.
    points = (line.split(b" ")[4] for line in table.split(b"\n") if b" %s/" % prefix in line)
    on = [point for point in points if point.startswith(prefix) and _ON_A_PROCESS.match(point, len(prefix))]
    if on:
        name = os.fsdecode(on[0])
        return f"something is mounted at {name}, over a process\0umount it".encode("utf-8", "surrogateescape")
    return b""


# Small files and links, below any directory descriptor


def read(path: str, *, dir_fd: int | None) -> bytes:
    """The whole content of a file of proc."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        # A file object would ask the kernel for twice as much.
        parts = []
        while part := os.read(fd, _BLOCK):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)


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


def device_of(fd: int) -> str:
    """The device of what a descriptor refers to, as a table has it."""
    device = os.fstat(fd).st_dev
    return f"{os.major(device)}:{os.minor(device)}"


def mount_id_of(fd: int, *, dir_fd: int | None = None) -> int:
    """The mount ID of what a descriptor of this process refers to (proc_pid_fdinfo(5)).

    *dir_fd* is the root of our proc; it is the current directory where there is none.

    :raises KernelError: the kernel does not tell (before Linux 3.15).
    """
    for line in read(f"self/fdinfo/{fd}", dir_fd=dir_fd).split(b"\n"):
        if line.startswith(b"mnt_id:"):
            return int(line.split()[1])
    raise KernelError("open", errno.ENOSYS, where="fdinfo")


def boot_id(proc: Proc) -> str:
    """The random id of this boot: mount IDs and numbers of peer groups mean nothing in another one.

    :raises OSError: the kernel does not tell.
    """
    return os.fsdecode(read("sys/kernel/random/boot_id", dir_fd=proc.fd)).strip()


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
    name, words = _stat(directory)
    cgroup, root, user_namespace = "", "", None
    with suppress(OSError):
        cgroup = os.fsdecode(read("cgroup", dir_fd=directory))
    with suppress(OSError):
        root = os.readlink("root", dir_fd=directory)
    with suppress(OSError):
        user_namespace = namespace_link("user", dir_fd=directory)
    return Process(
        pid=pid,
        start_time=int(words[19]),
        comm=name,
        root=root,
        pid_namespace=_pid_namespace(proc, directory),
        user_namespace=user_namespace,
        cgroup=cgroup,
    )


def start_time_of(directory: int) -> int:
    """When the process of a /proc/PID *directory* started, in clock ticks since boot: what tells it from another."""
    return int(_stat(directory)[1][19])


def _stat(directory: int) -> tuple[str, list[str]]:
    """The name of a process, and the fields from the third on (proc_pid_stat(5))."""
    # The name may hold anything, parentheses and line feeds too.
    head, _, tail = os.fsdecode(read("stat", dir_fd=directory)).rpartition(")")
    return head.partition("(")[2], tail.split()


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
        hint = f"name the process by its own pid (Tgid in /proc/{pid}/status), or ns:/proc/{pid}/ns/mnt"
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
