"""The mount table from listmount(2) and statmount(2): the lines that mountinfo would show.

For every slave mount, mountinfo goes through all peers of its master to find what it calls propagate_from; with
thousands of binds of one shared filesystem, that makes reading the table of a slave namespace quadratic. Here each
mount is asked for on its own, and propagate_from but once for each master whose group has no member here. Where there
are many mounts, two processes share the work.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache

from mntscope.errors import KernelError
from mntscope.kernel import syscalls
from mntscope.kernel.worker import beside
from mntscope.parse.escapes import NAME_SPECIAL, PATH_SPECIAL, escape

_MASK = (
    syscalls.STATMOUNT_SB_BASIC
    | syscalls.STATMOUNT_MNT_BASIC
    | syscalls.STATMOUNT_MNT_ROOT
    | syscalls.STATMOUNT_MNT_POINT
    | syscalls.STATMOUNT_FS_TYPE
    | syscalls.STATMOUNT_MNT_OPTS
    | syscalls.STATMOUNT_FS_SUBTYPE
    | syscalls.STATMOUNT_SB_SOURCE
)

# struct statmount (include/uapi/linux/mount.h): mnt_opts, mask, sb_dev_major and _minor, sb_flags, fs_type, mnt_id_old,
# mnt_parent_id_old, mnt_attr, mnt_propagation, mnt_peer_group, mnt_master, mnt_root, mnt_point, fs_subtype, sb_source.
_ANSWER = struct.Struct("=4xIQ2I8x2I16x2I4Q8x2I8x2I")
_SHARING = struct.Struct("=8xQ64x2Q")
"""Of these mask, mnt_peer_group and mnt_master alone."""
_NUMBER = struct.Struct("=Q")
_PROPAGATE_FROM, _SUPPORTED_MASK = 96, 144
"""Where these are."""
_STRINGS = 512
"""Where the strings begin, to which the fields that are texts point."""

_MOST = 1024
"""Bytes of most answers; who needs more is asked again."""

_IN_PATHS = PATH_SPECIAL.encode()

MANY = 1000
"""From so many mounts on, two processes ask."""
_HASH = 8
FINGERPRINT = 2 * _HASH
"""Bytes of a fingerprint: a hash of what was answered for each half of the mounts. The children of one process agree
on it."""

_ATIME = {syscalls.MOUNT_ATTR_RELATIME: ",relatime", syscalls.MOUNT_ATTR_NOATIME: ",noatime"}
_BEFORE_ATIME = (
    (syscalls.MOUNT_ATTR_NOSUID, ",nosuid"),
    (syscalls.MOUNT_ATTR_NODEV, ",nodev"),
    (syscalls.MOUNT_ATTR_NOEXEC, ",noexec"),
)
_SUPER = (
    (syscalls.SB_SYNCHRONOUS, ",sync"),
    (syscalls.SB_DIRSYNC, ",dirsync"),
    (syscalls.SB_LAZYTIME, ",lazytime"),
)


def supported() -> bool:
    """Whether this kernel tells all that a line of mountinfo holds (Linux 6.15), and lets this process ask."""
    try:
        first = syscalls.listmount(syscalls.LSMT_ROOT, count=1)
        # A namespace may have nothing to show.
        if not first:
            return True
        answer = syscalls.statmount(first[0], syscalls.STATMOUNT_SUPPORTED_MASK, size=1 << 12)
    except KernelError:
        return False
    # Kernels that do not know this field end before it.
    return len(answer) >= _STRINGS and _number(answer, _SUPPORTED_MASK) & _MASK == _MASK


def table() -> bytes:
    """The mounts of this process's own mount namespace that lie below its root directory.

    Each line is what /proc/self/mountinfo shows; sources that nfs and btrfs print with a raw ``#`` are escaped like
    all others, and ``mand``, which means nothing since Linux 5.15, is left out.

    :raises KernelError: listmount(2) or statmount(2) refuse, or tell too little.
    """
    return read()[FINGERPRINT:]


def read(known: bytes = b"") -> bytes:
    """A fingerprint of the mounts, and :func:`table`; the fingerprint alone where it is the one that is *known*.

    :raises KernelError: as there.
    """
    if not supported():
        raise KernelError("statmount", errno.EOPNOTSUPP)
    numbers = list(_numbers())
    middle = len(numbers) // 2 if len(numbers) >= MANY else len(numbers)
    first, second = _side_by_side((numbers[:middle], known[:_HASH]), (numbers[middle:], known[_HASH:]))
    fingerprint = first[:_HASH] + second[:_HASH]
    if known and fingerprint != known:
        # One half may be known nevertheless, and has no lines.
        return read()
    return fingerprint + first[_HASH:] + second[_HASH:]


def line_of(number: int, mnt_ns_id: int) -> bytes | None:
    """The line of one mount of another mount namespace, by its unique id, as a process at that namespace's root has it.

    Without ``propagate_from``, which the kernel tells of the caller's own namespace alone. ``None`` where the mount is
    not there (any more), or out of reach of the root.

    :raises KernelError: it may not be asked for.
    """
    answer = _statmount(number, mnt_ns_id=mnt_ns_id)
    if answer is None:
        return None
    mask, group, master = _SHARING.unpack_from(answer)
    return _line(answer, _sharing(group, master, 0)) if mask & syscalls.STATMOUNT_MNT_POINT else None


_Part = tuple[Sequence[int], bytes]
"""Mounts, and the hash for which their lines are known."""


def _side_by_side(first: _Part, second: _Part) -> tuple[bytes, bytes]:
    """What :func:`_part` says of both; of the second, if there is anything in it, in a process of its own."""
    if not second[0]:
        return _part(*first), _part(*second)
    ours, theirs = beside(lambda: _part(*second), lambda: _part(*first))
    # What it was refused, this process is too.
    return ours, _part(*second) if theirs is None else theirs


def _part(numbers: Sequence[int], known: bytes) -> bytes:
    """A hash of what is answered for these mounts, and their lines unless it is *known*."""
    answers: list[tuple[bytes, int, int]] = []
    groups, masters = set(), {}
    for number, answer in _answers(numbers):
        mask, group, master = _SHARING.unpack_from(answer)
        # Else it cannot be reached from the root directory (any more), and mountinfo would not show it.
        if mask & syscalls.STATMOUNT_MNT_POINT:
            answers.append((answer, group, master))
            groups.add(group)
            masters[master] = number
    dominant = {master: _propagate_from(masters[master], master) for master in masters.keys() - groups - {0}}
    hashed = (hash((tuple(answers), tuple(sorted(dominant.items())))) & (1 << 8 * _HASH) - 1).to_bytes(_HASH, "little")
    if hashed == known:
        return hashed
    sharing = cache(lambda group, master: _sharing(group, master, dominant.get(master, 0)))
    return hashed + b"".join([_line(answer, sharing(group, master)) for answer, group, master in answers])


def _numbers() -> Iterator[int]:
    """The unique ids of the mounts, in the order of mountinfo."""
    last = 0
    while numbers := syscalls.listmount(syscalls.LSMT_ROOT, last, count=4096):
        yield from numbers
        last = numbers[-1]


def _answers(numbers: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """Each of these mounts that is still there, and the answer for it."""
    for number, first in zip(numbers, syscalls.statmounts(numbers, _MASK, size=_MOST), strict=True):
        answer = _statmount(number) if isinstance(first, KernelError) else first
        if answer is not None:
            yield number, answer


def _statmount(number: int, mask: int = _MASK, *, mnt_ns_id: int = 0) -> bytes | None:
    """The answer for a mount; ``None`` if it has gone since it was listed."""
    size = _MOST
    while True:
        try:
            return syscalls.statmount(number, mask, mnt_ns_id=mnt_ns_id, size=size)
        except KernelError as error:
            if error.errno == errno.ENOENT:
                return None
            if error.errno != errno.EOVERFLOW:
                raise
            size *= 4


def _number(answer: bytes, offset: int) -> int:
    (number,) = _NUMBER.unpack_from(answer, offset)
    return int(number)


def _propagate_from(number: int, master: int) -> int:
    """The nearest group above *master* that has a member here, as the slave *number* of it shows; 0 if none does."""
    answer = _statmount(number, syscalls.STATMOUNT_PROPAGATE_FROM)
    dominant = 0 if answer is None else _number(answer, _PROPAGATE_FROM)
    return 0 if dominant == master else dominant


def _line(answer: bytes, sharing: bytes) -> bytes:
    """A line of mountinfo, with what it says of *sharing* given."""
    mnt_opts, mask, major, minor, sb_flags, fs_type, *numbers, mnt_root, mnt_point, fs_subtype, sb_source = (
        _ANSWER.unpack_from(answer)
    )
    mount_id, parent_id, attributes, propagation, _, _ = numbers

    def text(offset: int) -> bytes:
        start = _STRINGS + offset
        return answer[start : answer.index(b"\0", start)]

    # What is empty is left out.
    subtype = b"." + _name(text(fs_subtype)) if mask & syscalls.STATMOUNT_FS_SUBTYPE else b""
    source = _name(text(sb_source)) if mask & syscalls.STATMOUNT_SB_SOURCE else b""
    more = b"," + text(mnt_opts) if mask & syscalls.STATMOUNT_MNT_OPTS else b""
    return b"%d %d %d:%d %b %b %b%b%b - %b%b %b %b%b\n" % (
        *(mount_id, parent_id, major, minor, _path(text(mnt_root)), _path(text(mnt_point)), _options(attributes)),
        *(sharing, b" unbindable" if propagation & syscalls.MS_UNBINDABLE else b""),
        *(_name(text(fs_type)), subtype, source, _super_options(sb_flags), more),
    )


def _sharing(group: int, master: int, dominant: int) -> bytes:
    """The tags of a peer group and of a master."""
    tags = b" shared:%d" % group if group else b""
    tags += b" master:%d" % master if master else b""
    return tags + (b" propagate_from:%d" % dominant if dominant else b"")


def _path(raw: bytes) -> bytes:
    # Few need it, and few come twice.
    return raw if len(raw.translate(None, _IN_PATHS)) == len(raw) else _escaped(raw, PATH_SPECIAL)


@lru_cache
def _name(raw: bytes) -> bytes:
    return _escaped(raw, NAME_SPECIAL)


def _escaped(raw: bytes, special: str) -> bytes:
    return os.fsencode(escape(os.fsdecode(raw), special))


@cache
def _options(attributes: int) -> bytes:
    """The options of a mount, in the order of show_vfsmnt_opts() (fs/proc_namespace.c)."""
    text = "ro" if attributes & syscalls.MOUNT_ATTR_RDONLY else "rw"
    text += "".join(option for flag, option in _BEFORE_ATIME if attributes & flag)
    atime = _ATIME.get(attributes & syscalls.MOUNT_ATTR__ATIME, "")
    text += atime if atime == ",noatime" else ""
    text += ",nodiratime" if attributes & syscalls.MOUNT_ATTR_NODIRATIME else ""
    text += atime if atime == ",relatime" else ""
    text += ",nosymfollow" if attributes & syscalls.MOUNT_ATTR_NOSYMFOLLOW else ""
    text += ",idmapped" if attributes & syscalls.MOUNT_ATTR_IDMAP else ""
    return text.encode()


@cache
def _super_options(flags: int) -> bytes:
    text = "ro" if flags & syscalls.SB_RDONLY else "rw"
    return (text + "".join(option for flag, option in _SUPER if flags & flag)).encode()
