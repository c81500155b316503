"""Operations carried out on the running kernel, in throwaway namespaces.

Every label of a trace is a process of its own: forked, single-threaded, alone in its mount namespace, with its
root and working directory at the namespace's root. The first namespace holds nothing but one tmpfs, so nothing
that happens there can reach a mount of the machine; all others are copies of it, or of copies of it. The
processes die with the one that made them, and their namespaces with them.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Container
from functools import cached_property, partial, singledispatchmethod
from types import TracebackType
from typing import Any, Self

from mntscope.base.records import dataclass
from mntscope.errors import AccessError, KernelError
from mntscope.kernel import syscalls
from mntscope.kernel.channel import Channel, Message, Worker
from mntscope.kernel.process import dies_with
from mntscope.propagation.operations import (
    Attach,
    Bind,
    CloneNamespace,
    CloseHandle,
    EndNamespace,
    MountNew,
    Move,
    MoveBeneath,
    NewDetached,
    OpenTree,
    Operation,
    PivotRoot,
    Remount,
    SetAttributes,
    SetGroup,
    SetHandlePropagation,
    SetPropagation,
    Umount,
    operation,
)
from mntscope.selftest.traces import SKELETON, Skeleton, State, Table

FIRST = "A"
"""The label of the namespace that a world begins with."""

PATIENCE = 30.0
"""Seconds a process may take for one operation, or to end."""

PROPAGATION = {
    "shared": syscalls.MS_SHARED,
    "slave": syscalls.MS_SLAVE,
    "private": syscalls.MS_PRIVATE,
    "unbindable": syscalls.MS_UNBINDABLE,
}

ATTRIBUTES = {
    "ro": syscalls.MOUNT_ATTR_RDONLY,
    "nosuid": syscalls.MOUNT_ATTR_NOSUID,
    "nodev": syscalls.MOUNT_ATTR_NODEV,
    "noexec": syscalls.MOUNT_ATTR_NOEXEC,
}
"""Of those that mount_setattr(2) knows, the ones that random operations set."""


def possible(op: Operation, labels: Container[str], handles: Container[str]) -> bool:
    """Whether *op* can be carried out where these namespaces exist and these handles are open."""
    if isinstance(op, Attach | SetHandlePropagation | CloseHandle) and op.handle not in handles:
        return False
    return op.ns in labels and not (isinstance(op, CloneNamespace) and op.new in labels)


@dataclass(frozen=True, slots=True)
class _Inhabitant:
    """The process of a namespace, as the process that made it sees it."""

    worker: Worker
    userns: int
    mntns: int | None

    @property
    def pid(self) -> int:
        return self.worker.pid

    def table(self, *, unique: bool) -> Table:
        with open(f"/proc/{self.pid}/mountinfo", "rb", buffering=0) as file:
            mountinfo = b"".join(iter(lambda: file.read(1 << 20), b""))
        ids = self.worker.ask("list").values["ids"] if unique else []
        if len(ids) != mountinfo.count(b"\n"):
            ids = []
        return Table(mountinfo, self.userns, self.mntns, tuple(ids))

    def end(self) -> None:
        """End it, and with it its namespace: whoever looks afterwards finds neither."""
        self.worker.end(patience=PATIENCE)


class World:
    """Throwaway namespaces on this kernel; a context manager, at whose end all of them are gone.

    :raises AccessError: namespaces may not be made here.
    """

    def __init__(self, skeleton: Skeleton = SKELETON) -> None:
        self.skeleton = skeleton
        self._inhabitants: dict[str, _Inhabitant] = {}

    def __enter__(self) -> Self:
        try:
            self._inhabitants[FIRST] = self._fork(self._first_namespace)
        except OSError as error:
            raise AccessError(
                f"cannot make a throwaway mount namespace: {error}", hint="run as root, or allow user namespaces"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        while self._inhabitants:
            self._inhabitants.popitem()[1].end()

    @property
    def labels(self) -> tuple[str, ...]:
        """The namespaces there are, oldest first."""
        return tuple(self._inhabitants)

    def state(self, *, unique: bool = False) -> State:
        """What every namespace shows; with the 64-bit mount ids if *unique* is set and the kernel has them."""
        return {label: actor.table(unique=unique) for label, actor in self._inhabitants.items()}

    def perform(self, op: Operation) -> str | None:
        """Carry out *op*, which must be :func:`possible`; the errno's name, or ``None`` for success."""
        if isinstance(op, EndNamespace):
            self._inhabitants.pop(op.ns).end()
            return None
        if isinstance(op, CloneNamespace):
            try:
                self._inhabitants[op.new] = self._fork(lambda: self._copied_namespace(op))
            except OSError as error:
                return _name(error)
            return None
        try:
            self._inhabitants[op.ns].worker.ask("perform", operation=op.to_dict())
        except OSError as error:
            return _name(error)
        return None

    def _fork(self, enter: Callable[[], None]) -> _Inhabitant:
        """A process that enters its namespace and then waits for requests.

        :raises OSError: it could not enter.
        """
        worker = Worker(
            partial(_live, os.getpid(), enter, self.skeleton),
            who="the process that acts in a throwaway namespace",
            patience=PATIENCE,
        )
        try:
            worker.channel.receive()
            userns = os.stat(f"/proc/{worker.pid}/ns/user").st_ino
            return _Inhabitant(worker, userns, _namespace_id(worker.pid))
        except BaseException:
            worker.end(patience=PATIENCE)
            raise

    def _first_namespace(self) -> None:
        proc = os.open("/proc/self", os.O_PATH)
        _unshare(proc, new_userns=os.geteuid() != 0)
        os.close(proc)
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        # Any directory will do; /proc is one that is always there.
        syscalls.mount("root0", "/proc", "tmpfs", 0)
        os.chdir("/proc")
        if _root_is_locked():
            # As for who has no privileges beyond a user namespace: pivot_root(2) would lock the new root in its place.
            os.chroot(".")
        else:
            # The old root ends up over the new one, where it can be removed without a directory for it.
            syscalls.pivot_root(".", ".")
            syscalls.umount2(".", syscalls.MNT_DETACH)
        os.chdir("/")
        _populate(os.open("/", os.O_PATH), self.skeleton)

    @cached_property
    def nests(self) -> bool:
        """Whether a copied namespace may have a user namespace of its own: not in a chroot, nor past a limit."""
        try:
            self._fork(lambda: self._copied_namespace(CloneNamespace(FIRST, "", new_userns=True))).end()
        except OSError:
            return False
        return True

    def _copied_namespace(self, op: CloneNamespace) -> None:
        source = self._inhabitants[op.ns]
        own_userns = os.stat("/proc/self/ns/user").st_ino
        proc = os.open("/proc/self", os.O_PATH)
        root = os.open(f"/proc/{source.pid}/root", os.O_PATH)
        pidfd = syscalls.pidfd_open(source.pid)
        syscalls.setns(pidfd, syscalls.CLONE_NEWNS | (syscalls.CLONE_NEWUSER if source.userns != own_userns else 0))
        # setns leads to the top of what is stacked on the namespace's root; the process there may be further down.
        os.fchdir(root)
        os.chroot(".")
        os.close(root)
        os.close(pidfd)
        _unshare(proc, new_userns=op.new_userns)
        os.close(proc)


def _live(maker: int, enter: Callable[[], None], skeleton: Skeleton, channel: Channel) -> None:
    """The life of a process: enter the namespace, say so, do what is asked for until the maker is gone."""
    dies_with(maker)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with channel.errors_told():
        enter()
        # Another user namespace takes that back.
        dies_with(maker)
        channel.send()
        performer = _Performer(skeleton)
        for request in channel.requests():
            channel.answer(partial(performer.carry_out, request))


class _Performer:
    """What the process of a namespace can do there; keeps the descriptors that handles name."""

    def __init__(self, skeleton: Skeleton) -> None:
        self.skeleton = skeleton
        self.handles: dict[str, int] = {}

    def carry_out(self, request: dict[str, Any]) -> Message:
        """Perform an operation, or list the 64-bit ids of the mounts below the root, in the order of mountinfo."""
        if request["do"] == "list":
            return Message({"ids": _unique_ids()})
        self.perform(operation(request["operation"]))
        return Message()

    @singledispatchmethod
    def perform(self, op: Operation) -> None:
        """The system call that *op* is.

        :raises OSError: as the kernel says.
        """
        raise NotImplementedError(op.op)

    @perform.register
    def _(self, op: MountNew) -> None:
        syscalls.mount(op.source, op.target, op.fstype, 0)
        _populate(_way_to_new(op.target), self.skeleton)

    @perform.register
    def _(self, op: Bind) -> None:
        syscalls.mount(op.source, op.target, None, syscalls.MS_BIND | (syscalls.MS_REC if op.recursive else 0))

    @perform.register
    def _(self, op: Move) -> None:
        syscalls.mount(op.source, op.target, None, syscalls.MS_MOVE)

    @perform.register
    def _(self, op: Umount) -> None:
        # Whoever looks through /proc at this namespace keeps a mount busy for a moment: that is not its own doing.
        for moment in (0.001, 0.01, 0):
            try:
                syscalls.umount2(op.target, syscalls.MNT_DETACH if op.lazy else 0)
            except KernelError as error:
                if error.errno != errno.EBUSY or not moment:
                    raise
                time.sleep(moment)
            else:
                return

    @perform.register
    def _(self, op: SetPropagation) -> None:
        syscalls.mount(None, op.target, None, PROPAGATION[op.type] | (syscalls.MS_REC if op.recursive else 0))

    @perform.register
    def _(self, op: Remount) -> None:
        flags = syscalls.MS_REMOUNT | syscalls.MS_BIND | (syscalls.MS_RDONLY if op.ro else 0)
        syscalls.mount(None, op.target, None, flags)

    @perform.register
    def _(self, op: SetAttributes) -> None:
        set_, clear = (sum(ATTRIBUTES[name] for name in names) for names in (op.set, op.clear))
        flags = syscalls.AT_RECURSIVE if op.recursive else 0
        syscalls.mount_setattr(syscalls.AT_FDCWD, op.target, flags, attr_set=set_, attr_clr=clear)

    @perform.register
    def _(self, op: MoveBeneath) -> None:
        syscalls.move_mount(syscalls.AT_FDCWD, op.source, syscalls.AT_FDCWD, op.target, syscalls.MOVE_MOUNT_BENEATH)

    @perform.register
    def _(self, op: SetGroup) -> None:
        syscalls.move_mount(syscalls.AT_FDCWD, op.source, syscalls.AT_FDCWD, op.target, syscalls.MOVE_MOUNT_SET_GROUP)

    @perform.register
    def _(self, op: PivotRoot) -> None:
        syscalls.pivot_root(op.new_root, op.put_old)

    @perform.register
    def _(self, op: OpenTree) -> None:
        flags = syscalls.OPEN_TREE_CLONE | syscalls.OPEN_TREE_CLOEXEC | (syscalls.AT_RECURSIVE if op.recursive else 0)
        self.handles[op.handle] = syscalls.open_tree(syscalls.AT_FDCWD, op.source, flags)

    @perform.register
    def _(self, op: NewDetached) -> None:
        self.handles[op.handle] = _detached(op)
        _populate(os.dup(self.handles[op.handle]), self.skeleton)

    @perform.register
    def _(self, op: Attach) -> None:
        flags = syscalls.MOVE_MOUNT_F_EMPTY_PATH | (syscalls.MOVE_MOUNT_BENEATH if op.beneath else 0)
        syscalls.move_mount(self.handles[op.handle], "", syscalls.AT_FDCWD, op.target, flags)

    @perform.register
    def _(self, op: SetHandlePropagation) -> None:
        flags = syscalls.AT_EMPTY_PATH | (syscalls.AT_RECURSIVE if op.recursive else 0)
        syscalls.mount_setattr(self.handles[op.handle], "", flags, propagation=PROPAGATION[op.type])

    @perform.register
    def _(self, op: CloseHandle) -> None:
        os.close(self.handles.pop(op.handle))


def _detached(op: NewDetached) -> int:
    context = syscalls.fsopen(op.fstype, syscalls.FSOPEN_CLOEXEC)
    try:
        syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, "source", op.source)
        syscalls.fsconfig(context, syscalls.FSCONFIG_CMD_CREATE, None, None)
        return syscalls.fsmount(context, syscalls.FSMOUNT_CLOEXEC, 0)
    finally:
        os.close(context)


def _way_to_new(target: str) -> int:
    """A descriptor of the root of the filesystem that has just been mounted at *target*, and is empty."""
    # No path leads from / to what is mounted over it, except that through its parent, which is / again.
    path = target if target != "/" else "/.."
    while True:
        try:
            return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            # The mount has propagated to a place on the way to it, so the way ends there: in the same filesystem.
            path = os.path.dirname(path)


def _populate(root: int, skeleton: Skeleton) -> None:
    """Make the directories and files of *skeleton* in the empty directory *root*, a descriptor that is closed."""
    try:
        for name in skeleton.dirs:
            os.mkdir(name, 0o755, dir_fd=root)
        for name in skeleton.files:
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=root))
    finally:
        os.close(root)


def _unshare(proc: int, *, new_userns: bool) -> None:
    """A new mount namespace; with *new_userns* in a new user namespace, where this user is root.

    *proc* is /proc/self, opened where there still was a /proc.
    """
    if not new_userns:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        return
    uid, gid = os.geteuid(), os.getegid()
    syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        file = os.open(name, os.O_WRONLY, dir_fd=proc)
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)


def _root_is_locked() -> bool:
    """Whether the mount at / is locked (mount_namespaces(7)): only then it cannot be moved for another reason.

    The reason to be met after that is that it lies inside of itself. It must not be mounted in a shared mount.
    """
    try:
        syscalls.mount("/", "/", None, syscalls.MS_MOVE)
    except KernelError as error:
        return error.errno != errno.ELOOP
    return False


def _name(error: OSError) -> str:
    """The errno as the kernel names it: ``EINVAL``."""
    return errno.errorcode.get(error.errno or 0, str(error.errno))


def _unique_ids() -> list[int]:
    """The 64-bit ids of the mounts below the root directory; none where the kernel has no listmount(2) (6.8)."""
    try:
        return syscalls.listmount(syscalls.LSMT_ROOT, count=4096)
    except KernelError as error:
        if error.errno != errno.ENOSYS:
            raise
        return []


def _namespace_id(pid: int) -> int | None:
    """The 64-bit id of a process's mount namespace; ``None`` before Linux 6.11."""
    fd = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return syscalls.ns_get_mntns_id(fd)
    except KernelError:
        return None
    finally:
        os.close(fd)
