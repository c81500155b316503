"""The system calls mntscope makes, one function each, under the kernel's own names and argument order.

Every function raises :class:`mntscope.errors.KernelError`, which names the call, the errno and the path.
Paths are :class:`str` (``surrogateescape``) or :class:`bytes`. Descriptors that a call returns are open
close-on-exec where the call has a flag for it and the flag was given, as in C.

Calls that the C library wraps go through the wrapper. The newer ones go through ``syscall(2)``: since Linux
5.1 a new call bears one number on every architecture (arch/*/kernel/syscalls/syscall.tbl, scripts/syscall.tbl;
alpha excepted). The ioctl numbers are those of asm-generic/ioctl.h (x86, arm, riscv, s390; not mips, powerpc, sparc).
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterable, Iterator
from functools import cache

from mntscope.base.records import NamedTuple
from mntscope.errors import KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ctypes

AnyPath = str | bytes

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_NO_AUTOMOUNT = 0x800
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

# include/uapi/linux/openat2.h
RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_IN_ROOT = 0x10

# include/uapi/linux/magic.h
PROC_SUPER_MAGIC = 0x9FA0

# include/uapi/linux/mount.h: mount(2)
MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_MOVE = 0x2000
MS_REC = 0x4000
MS_UNBINDABLE = 0x20000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000

# include/linux/fs.h: umount2(2)
MNT_FORCE = 0x1
MNT_DETACH = 0x2
UMOUNT_NOFOLLOW = 0x8

# include/uapi/linux/sched.h: unshare(2), setns(2)
CLONE_NEWNS = 0x20000
CLONE_NEWCGROUP = 0x2000000
CLONE_NEWUTS = 0x4000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000

# include/uapi/linux/mount.h: the calls on file descriptors
OPEN_TREE_CLONE = 0x1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_SYMLINKS = 0x1
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_SYMLINKS = 0x10
MOVE_MOUNT_T_EMPTY_PATH = 0x40
MOVE_MOUNT_SET_GROUP = 0x100
MOVE_MOUNT_BENEATH = 0x200
FSOPEN_CLOEXEC = 0x1
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_SET_FD = 5
FSCONFIG_CMD_CREATE = 6
FSMOUNT_CLOEXEC = 0x1
MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR__ATIME = 0x70
MOUNT_ATTR_RELATIME = 0x0
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR_NODIRATIME = 0x80
MOUNT_ATTR_IDMAP = 0x10_0000
MOUNT_ATTR_NOSYMFOLLOW = 0x20_0000

# include/linux/fs.h: the flags of a superblock that statmount(2) tells
SB_RDONLY = 0x1
SB_SYNCHRONOUS = 0x10
SB_DIRSYNC = 0x80
SB_LAZYTIME = 0x200_0000

# include/uapi/linux/mount.h: statmount(2), listmount(2)
LSMT_ROOT = 0xFFFF_FFFF_FFFF_FFFF
STATMOUNT_SB_BASIC = 0x1
STATMOUNT_MNT_BASIC = 0x2
STATMOUNT_PROPAGATE_FROM = 0x4
STATMOUNT_MNT_ROOT = 0x8
STATMOUNT_MNT_POINT = 0x10
STATMOUNT_FS_TYPE = 0x20
STATMOUNT_MNT_NS_ID = 0x40
STATMOUNT_MNT_OPTS = 0x80
STATMOUNT_FS_SUBTYPE = 0x100
STATMOUNT_SB_SOURCE = 0x200
STATMOUNT_SUPPORTED_MASK = 0x1000

# include/uapi/linux/nsfs.h
NS_GET_USERNS = 0xB701
NS_GET_PARENT = 0xB702
NS_GET_NSTYPE = 0xB703
NS_GET_OWNER_UID = 0xB704
NS_GET_MNTNS_ID = 0x8008B705
NS_MNT_GET_NEXT = 0x8010B70B
NS_MNT_GET_PREV = 0x8010B70C

# include/uapi/linux/prctl.h
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15

_NUMBERS = {
    "pidfd_send_signal": 424,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "openat2": 437,
    "mount_setattr": 442,
    "statmount": 457,
    "listmount": 458,
}


class MountNamespaceInfo(NamedTuple):
    """``struct mnt_ns_info`` (include/uapi/linux/nsfs.h)."""

    nr_mounts: int
    mnt_ns_id: int


# Files


def openat2(dirfd: int, path: AnyPath, flags: int, resolve: int = 0) -> int:
    """openat2(2) (Linux 5.6): as openat(2), but *resolve* says what may be on the way (RESOLVE_*)."""
    import struct

    how = struct.pack("=3Q", flags, 0, resolve)
    return _syscall("openat2", dirfd, path, how, len(how), where=path)


def fstatfs(fd: int) -> int:
    """fstatfs(2): the magic number of the filesystem's type (``f_type``), such as PROC_SUPER_MAGIC."""
    import ctypes

    # struct statfs has 120 bytes on 64-bit machines; its first word is f_type, of 32 bits on s390 alone.
    buffer = (ctypes.c_long * 32)()
    call("fstatfs", fd, buffer)
    return buffer[0]


# mount(2) and its relatives


def mount(
    source: AnyPath | None, target: AnyPath, fs_type: AnyPath | None, flags: int, data: AnyPath | None = None
) -> None:
    """mount(2): a new mount, a bind, a move, a remount or a change of propagation, as *flags* say."""
    call("mount", source, target, fs_type, flags, data, where=target)


def umount2(target: AnyPath, flags: int = 0) -> None:
    """umount2(2)."""
    call("umount2", target, flags, where=target)


def pivot_root(new_root: AnyPath, put_old: AnyPath) -> None:
    """pivot_root(2)."""
    call("pivot_root", new_root, put_old, where=new_root)


def open_tree(dirfd: int, path: AnyPath, flags: int) -> int:
    """open_tree(2) (Linux 5.2): a descriptor of a mount, or with OPEN_TREE_CLONE of a detached copy."""
    return _syscall("open_tree", dirfd, path, flags, where=path)


def move_mount(from_dirfd: int, from_path: AnyPath, to_dirfd: int, to_path: AnyPath, flags: int) -> None:
    """move_mount(2) (Linux 5.2): attach, move, or with MOVE_MOUNT_SET_GROUP join a peer group."""
    _syscall("move_mount", from_dirfd, from_path, to_dirfd, to_path, flags, where=to_path or from_path)


def fsopen(fs_type: AnyPath, flags: int = 0) -> int:
    """fsopen(2) (Linux 5.2): a descriptor with which to configure a new filesystem."""
    return _syscall("fsopen", fs_type, flags, where=fs_type)


def fsconfig(fd: int, cmd: int, key: AnyPath | None, value: AnyPath | None, aux: int = 0) -> None:
    """fsconfig(2) (Linux 5.2)."""
    _syscall("fsconfig", fd, cmd, key, value, aux, where=key or "")


def fsmount(fd: int, flags: int, attr_flags: int) -> int:
    """fsmount(2) (Linux 5.2): a descriptor of a detached mount of the filesystem configured in *fd*."""
    return _syscall("fsmount", fd, flags, attr_flags)


def mount_setattr(
    dirfd: int, path: AnyPath, flags: int, *, attr_set: int = 0, attr_clr: int = 0, propagation: int = 0
) -> None:
    """mount_setattr(2) (Linux 5.12); the keywords are the fields of ``struct mount_attr``."""
    import struct

    attr = struct.pack("=4Q", attr_set, attr_clr, propagation, 0)
    _syscall("mount_setattr", dirfd, path, flags, attr, len(attr), where=path)


def listmount(mnt_id: int, last_mnt_id: int = 0, flags: int = 0, *, mnt_ns_id: int = 0, count: int = 1024) -> list[int]:
    """listmount(2) (Linux 6.8): the unique ids of the mounts below *mnt_id*, at most *count* after *last_mnt_id*.

    *mnt_ns_id* (Linux 6.11) names another mount namespace by its 64-bit id; 0 is the caller's own.
    """
    import ctypes

    ids = (ctypes.c_uint64 * count)()
    found = _syscall("listmount", _mnt_id_req(mnt_id, last_mnt_id, mnt_ns_id), ids, count, flags)
    return list(ids[:found])


def statmount(mnt_id: int, mask: int, *, mnt_ns_id: int = 0, size: int = 4096) -> bytes:
    """statmount(2) (Linux 6.8): ``struct statmount`` and its strings, as the kernel wrote them into *size* bytes.

    :raises KernelError: EOVERFLOW where *size* is too small.
    """
    answer = next(statmounts((mnt_id,), mask, mnt_ns_id=mnt_ns_id, size=size))
    if isinstance(answer, KernelError):
        raise answer
    return answer


def statmounts(
    mnt_ids: Iterable[int], mask: int, *, mnt_ns_id: int = 0, size: int = 4096
) -> Iterator[bytes | KernelError]:
    """statmount(2) of one mount after the other: what :func:`statmount` gives for each, or raises.

    No kernel takes several at once. But what else there is to a call from Python takes as long as the call, and most of
    it is done once here.
    """
    import ctypes
    from struct import Struct

    call, string_at, written = _libc().syscall, ctypes.string_at, Struct("=I").unpack_from
    buffer = ctypes.create_string_buffer(size)
    request = ctypes.create_string_buffer(_mnt_id_req(0, mask, mnt_ns_id))
    set_id = Struct("=Q").pack_into
    number, length, flags = ctypes.c_long(_NUMBERS["statmount"]), ctypes.c_size_t(size), ctypes.c_long(0)
    for mnt_id in mnt_ids:
        set_id(request, _REQUESTED_ID, mnt_id)
        if call(number, request, buffer, length, flags) < 0:
            yield KernelError("statmount", ctypes.get_errno())
        else:
            yield string_at(buffer, *written(buffer))


def statx(dirfd: int, path: AnyPath, flags: int, mask: int) -> bytes:
    """statx(2) (Linux 4.11): struct statx as the kernel filled it."""
    import ctypes

    buffer = ctypes.create_string_buffer(256)
    call("statx", dirfd, path, flags, mask, buffer, where=path)
    return buffer.raw


_REQUESTED_ID = 8
"""Where ``struct mnt_id_req`` has it."""


def _mnt_id_req(mnt_id: int, param: int, mnt_ns_id: int) -> bytes:
    """``struct mnt_id_req``; the first version ends before mnt_ns_id, and is all that Linux before 6.11 takes."""
    import struct

    if not mnt_ns_id:
        return struct.pack("=2I2Q", 24, 0, mnt_id, param)
    return struct.pack("=2I3Q", 32, 0, mnt_id, param, mnt_ns_id)


# Namespaces and processes


def unshare(flags: int) -> None:
    """unshare(2)."""
    call("unshare", flags)


def setns(fd: int, nstype: int = 0) -> None:
    """setns(2); EINVAL for a mount or user namespace in a process of several threads."""
    call("setns", fd, nstype)


def pidfd_open(pid: int, flags: int = 0) -> int:
    """pidfd_open(2) (Linux 5.3)."""
    try:
        return os.pidfd_open(pid, flags)
    except OSError as error:
        raise KernelError("pidfd_open", error.errno or 0, where=f"pid {pid}") from None


def pidfd_send_signal(pidfd: int, sig: int) -> None:
    """pidfd_send_signal(2) (Linux 5.1); signal 0 only asks whether the process still exists."""
    _syscall("pidfd_send_signal", pidfd, sig, None, 0)


def prctl(option: int, arg2: int | bytes = 0) -> int:
    """prctl(2)."""
    return call("prctl", option, arg2, 0, 0, 0)


def ns_get_userns(fd: int) -> int:
    """ioctl_ns(2) NS_GET_USERNS: a descriptor of the user namespace that owns the namespace *fd*."""
    return _ioctl("NS_GET_USERNS", fd, NS_GET_USERNS)


def ns_get_parent(fd: int) -> int:
    """ioctl_ns(2) NS_GET_PARENT: a descriptor of the parent of a user or PID namespace; EPERM beyond one's own."""
    return _ioctl("NS_GET_PARENT", fd, NS_GET_PARENT)


def ns_get_owner_uid(fd: int) -> int:
    """ioctl_ns(2) NS_GET_OWNER_UID: the user who made the user namespace *fd*, as he is numbered in one's own."""
    argument = bytearray(4)
    _ioctl("NS_GET_OWNER_UID", fd, NS_GET_OWNER_UID, argument)
    return int.from_bytes(argument, sys.byteorder)


def ns_get_nstype(fd: int) -> int:
    """ioctl_ns(2) NS_GET_NSTYPE: the CLONE_NEW* constant of the namespace *fd*; ENOTTY where it is none."""
    return _ioctl("NS_GET_NSTYPE", fd, NS_GET_NSTYPE)


def ns_get_mntns_id(fd: int) -> int:
    """The ioctl NS_GET_MNTNS_ID (Linux 6.11): the 64-bit id of the mount namespace *fd*."""
    argument = bytearray(8)
    _ioctl("NS_GET_MNTNS_ID", fd, NS_GET_MNTNS_ID, argument)
    return int.from_bytes(argument, sys.byteorder)


def ns_mnt_get_next(fd: int) -> tuple[int, MountNamespaceInfo]:
    """The ioctl NS_MNT_GET_NEXT (Linux 6.12): a descriptor of the next mount namespace by id, ENOENT after the last."""
    return _neighbour("NS_MNT_GET_NEXT", fd, NS_MNT_GET_NEXT)


def ns_mnt_get_prev(fd: int) -> tuple[int, MountNamespaceInfo]:
    """The ioctl NS_MNT_GET_PREV (Linux 6.12): the namespace before *fd*; ENOENT before the first."""
    return _neighbour("NS_MNT_GET_PREV", fd, NS_MNT_GET_PREV)


def _neighbour(name: str, fd: int, request: int) -> tuple[int, MountNamespaceInfo]:
    import struct

    argument = bytearray(struct.pack("=2IQ", 16, 0, 0))
    neighbour = _ioctl(name, fd, request, argument)
    _, nr_mounts, mnt_ns_id = struct.unpack("=2IQ", argument)
    return neighbour, MountNamespaceInfo(nr_mounts, mnt_ns_id)


# The one error path


@cache
def _libc() -> ctypes.CDLL:
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def _syscall(name: str, *arguments: object, where: AnyPath = "") -> int:
    return _called(name, "syscall", (_NUMBERS[name], *arguments), where)


def call(name: str, *arguments: object, where: AnyPath = "") -> int:
    """The C library's wrapper of that *name*; the other files of this package have theirs called here.

    :raises KernelError: it returned less than 0.
    """
    return _called(name, name, arguments, where)


def _called(name: str, function: str, arguments: Iterable[object], where: AnyPath) -> int:
    # Looked up only here: most commands only read files.
    import ctypes

    def word(argument: object) -> object:
        if isinstance(argument, int):
            # Where a function is variadic, or takes a long, an int would be 32 bits with the upper half undefined.
            return ctypes.c_long(argument)
        return os.fsencode(argument) if isinstance(argument, str) else argument

    result: int = getattr(_libc(), function)(*map(word, arguments))
    if result < 0:
        raise KernelError(name, ctypes.get_errno(), where=os.fsdecode(where))
    return result


def _ioctl(name: str, fd: int, request: int, argument: bytearray | int = 0) -> int:
    try:
        return fcntl.ioctl(fd, request, argument)
    except OSError as error:
        raise KernelError(f"ioctl {name}", error.errno or 0, where=f"fd {fd}") from None
