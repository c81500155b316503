"""The 64-bit mount ids: as a mount is known for as long as the machine runs."""

from __future__ import annotations

import errno
import struct

from mntscope.errors import KernelError
from mntscope.kernel import syscalls

BATCH = 1024

# include/uapi/linux/mount.h, struct statmount: mnt_id, mnt_parent_id, mnt_id_old
_MNT_IDS = struct.Struct("=QQI")
_MNT_IDS_AT = 40


# include/uapi/linux/stat.h
_STATX_MNT_ID_UNIQUE = 0x4000
_STX_MASK = struct.Struct("=I")
_STX_MNT_ID = struct.Struct("=Q")
_STX_MNT_ID_AT = 144


def unique_id_of(fd: int) -> int | None:
    """The unique id of the mount that a descriptor refers to, attached or not; ``None`` before Linux 6.8."""
    try:
        answer = syscalls.statx(fd, "", syscalls.AT_EMPTY_PATH, _STATX_MNT_ID_UNIQUE)
    except KernelError:
        return None
    (told,) = _STX_MASK.unpack_from(answer)
    (unique_id,) = _STX_MNT_ID.unpack_from(answer, _STX_MNT_ID_AT)
    return unique_id if told & _STATX_MNT_ID_UNIQUE else None


def unique_ids(namespace_id: int | None) -> dict[int, int]:
    """The unique id of each mount of a namespace (given by its 64-bit id), by the mount ID that mountinfo shows.

    Empty before Linux 6.11, and where this process may not ask.
    """
    found: dict[int, int] = {}
    if namespace_id is None:
        return found
    last = 0
    try:
        while ids := syscalls.listmount(syscalls.LSMT_ROOT, last, mnt_ns_id=namespace_id, count=BATCH):
            for unique_id in ids:
                try:
                    answer = syscalls.statmount(unique_id, syscalls.STATMOUNT_MNT_BASIC, mnt_ns_id=namespace_id)
                except KernelError as error:
                    if error.errno == errno.ENOENT:
                        # It went away between the two calls.
                        continue
                    raise
                _, _, mount_id = _MNT_IDS.unpack_from(answer, _MNT_IDS_AT)
                found[mount_id] = unique_id
            last = ids[-1]
    except KernelError:
        # Too old, or not permitted: none is better than a part.
        return {}
    return found
