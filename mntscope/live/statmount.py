"""The mount table from listmount(2) and statmount(2): the lines that mountinfo would show.

For every slave mount, mountinfo goes through all peers of its master to find what it calls propagate_from; with
thousands of binds of one shared filesystem, that makes reading the table of a slave namespace quadratic. Here each
mount is asked for on its own, and propagate_from but once for each master whose group has no member here.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from mntscope import kernel
from mntscope.errors import KernelError
from mntscope.parse.escapes import NAME_SPECIAL, PATH_SPECIAL, escape

_MASK = (
    kernel.STATMOUNT_SB_BASIC
    | kernel.STATMOUNT_MNT_BASIC
    | kernel.STATMOUNT_MNT_ROOT
    | kernel.STATMOUNT_MNT_POINT
    | kernel.STATMOUNT_FS_TYPE
    | kernel.STATMOUNT_MNT_OPTS
    | kernel.STATMOUNT_FS_SUBTYPE
    | kernel.STATMOUNT_SB_SOURCE
)

_STATMOUNT = struct.Struct("=2IQ2IQ2I2Q2I5Q2IQ6IQ")
_STRINGS = 512
"""Where the strings begin, to which the fields that are texts point."""

_ATIME = {kernel.MOUNT_ATTR_RELATIME: ",relatime", kernel.MOUNT_ATTR_NOATIME: ",noatime"}
_BEFORE_ATIME = (
    (kernel.MOUNT_ATTR_NOSUID, ",nosuid"),
    (kernel.MOUNT_ATTR_NODEV, ",nodev"),
    (kernel.MOUNT_ATTR_NOEXEC, ",noexec"),
)
_SUPER = (
    (kernel.SB_SYNCHRONOUS, ",sync"),
    (kernel.SB_DIRSYNC, ",dirsync"),
    (kernel.SB_LAZYTIME, ",lazytime"),
)


class _Answer(NamedTuple):
    """``struct statmount`` (include/uapi/linux/mount.h)."""

    size: int
    mnt_opts: int
    mask: int
    sb_dev_major: int
    sb_dev_minor: int
    sb_magic: int
    sb_flags: int
    fs_type: int
    mnt_id: int
    mnt_parent_id: int
    mnt_id_old: int
    mnt_parent_id_old: int
    mnt_attr: int
    mnt_propagation: int
    mnt_peer_group: int
    mnt_master: int
    propagate_from: int
    mnt_root: int
    mnt_point: int
    mnt_ns_id: int
    fs_subtype: int
    sb_source: int
    opt_num: int
    opt_array: int
    opt_sec_num: int
    opt_sec_array: int
    supported_mask: int


def supported() -> bool:
    """Whether this kernel tells all that a line of mountinfo holds (Linux 6.15), and lets this process ask."""
    try:
        first = kernel.listmount(kernel.LSMT_ROOT, count=1)
        # A namespace may have nothing to show.
        if not first:
            return True
        answer = kernel.statmount(first[0], kernel.STATMOUNT_SUPPORTED_MASK, size=1 << 12)
    except KernelError:
        return False
    known = _Answer(*_STATMOUNT.unpack_from(answer)).supported_mask if len(answer) >= _STATMOUNT.size else 0
    return known & _MASK == _MASK


def table() -> bytes:
    """The mounts of this process's own mount namespace that lie below its root directory.

    Each line is what /proc/self/mountinfo shows; sources that nfs and btrfs print with a raw ``#`` are escaped like
    all others, and ``mand``, which means nothing since Linux 5.15, is left out.

    :raises KernelError: listmount(2) or statmount(2) refuse, or tell too little.
    """
    if not supported():
        raise KernelError("statmount", errno.EOPNOTSUPP)
    lines: list[tuple[str, str, int, int, int]] = []
    groups = set()
    for number in _numbers():
        answer = _statmount(number)
        line = answer and _line(answer)
        if line:
            lines.append((*line, number))
            groups.add(line[2])
    dominant = {0: ""}
    text = []
    for before, after, group, master, number in lines:
        if master not in dominant:
            dominant[master] = "" if master in groups else _propagate_from(number, master)
        tags = f" shared:{group}" if group else ""
        if master:
            tags += f" master:{master}{dominant[master]}"
        text.append(f"{before}{tags}{after}")
    return "".join(text).encode("utf-8", "surrogateescape")


def _numbers() -> Iterator[int]:
    """The unique ids of the mounts, in the order of mountinfo."""
    last = 0
    while numbers := kernel.listmount(kernel.LSMT_ROOT, last, count=4096):
        yield from numbers
        last = numbers[-1]


def _statmount(number: int) -> bytes | None:
    """The answer for a mount; ``None`` if it has gone since it was listed."""
    size = 2048
    while True:
        try:
            return kernel.statmount(number, _MASK, size=size)
        except KernelError as error:
            if error.errno == errno.ENOENT:
                return None
            if error.errno != errno.EOVERFLOW:
                raise
            size *= 4


def _line(answer: bytes) -> tuple[str, str, int, int] | None:
    """A line in two parts, with its peer group and master in between; ``None`` where mountinfo would show none."""
    it = _Answer(*_STATMOUNT.unpack_from(answer))
    if not it.mask & kernel.STATMOUNT_MNT_POINT:
        # It cannot be reached from the root directory (any more).
        return None

    def text(bit: int, offset: int) -> str:
        # What is empty is left out.
        if not it.mask & bit:
            return ""
        start = _STRINGS + offset
        return answer[start : answer.index(b"\0", start)].decode("utf-8", "surrogateescape")

    root = escape(text(kernel.STATMOUNT_MNT_ROOT, it.mnt_root), PATH_SPECIAL)
    mount_point = escape(text(kernel.STATMOUNT_MNT_POINT, it.mnt_point), PATH_SPECIAL)
    fs_type = escape(text(kernel.STATMOUNT_FS_TYPE, it.fs_type), NAME_SPECIAL)
    if subtype := text(kernel.STATMOUNT_FS_SUBTYPE, it.fs_subtype):
        fs_type += "." + escape(subtype, NAME_SPECIAL)
    source = escape(text(kernel.STATMOUNT_SB_SOURCE, it.sb_source), NAME_SPECIAL)
    super_options = _super_options(it.sb_flags)
    if options := text(kernel.STATMOUNT_MNT_OPTS, it.mnt_opts):
        super_options += "," + options
    device = f"{it.sb_dev_major}:{it.sb_dev_minor}"
    unbindable = " unbindable" if it.mnt_propagation & kernel.MS_UNBINDABLE else ""
    before = f"{it.mnt_id_old} {it.mnt_parent_id_old} {device} {root} {mount_point} {_options(it.mnt_attr)}"
    return before, f"{unbindable} - {fs_type} {source} {super_options}\n", it.mnt_peer_group, it.mnt_master


@cache
def _options(attributes: int) -> str:
    """The options of a mount, in the order of show_vfsmnt_opts() (fs/proc_namespace.c)."""
    text = "ro" if attributes & kernel.MOUNT_ATTR_RDONLY else "rw"
    text += "".join(option for flag, option in _BEFORE_ATIME if attributes & flag)
    atime = _ATIME.get(attributes & kernel.MOUNT_ATTR__ATIME, "")
    text += atime if atime == ",noatime" else ""
    text += ",nodiratime" if attributes & kernel.MOUNT_ATTR_NODIRATIME else ""
    text += atime if atime == ",relatime" else ""
    text += ",nosymfollow" if attributes & kernel.MOUNT_ATTR_NOSYMFOLLOW else ""
    return text + (",idmapped" if attributes & kernel.MOUNT_ATTR_IDMAP else "")


@cache
def _super_options(flags: int) -> str:
    text = "ro" if flags & kernel.SB_RDONLY else "rw"
    return text + "".join(option for flag, option in _SUPER if flags & flag)


def _propagate_from(number: int, master: int) -> str:
    """The tag for a slave of *master*, which has no peer here: the nearest group above it that has a member here."""
    try:
        answer = kernel.statmount(number, kernel.STATMOUNT_PROPAGATE_FROM, size=1 << 12)
    except KernelError as error:
        if error.errno == errno.ENOENT:
            return ""
        raise
    dominant = _Answer(*_STATMOUNT.unpack_from(answer)).propagate_from
    return f" propagate_from:{dominant}" if dominant not in (0, master) else ""
