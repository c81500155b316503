"""The 64-bit mount ids: as a mount is known for as long as the machine runs."""

from __future__ import annotations

import struct

from mntscope.errors import KernelError
from mntscope.kernel import syscalls

BATCH = 1024

# include/uapi/linux/mount.h, struct statmount: mnt_id, mnt_parent_id, mnt_id_old
_MNT_IDS = struct.Struct("=QQI")
_MNT_IDS_AT = 40


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
                answer = syscalls.statmount(unique_id, syscalls.STATMOUNT_MNT_BASIC, mnt_ns_id=namespace_id)
                _, _, mount_id = _MNT_IDS.unpack_from(answer, _MNT_IDS_AT)
                found[mount_id] = unique_id
            last = ids[-1]
    except KernelError:
        # Too old, not permitted, or a mount went away between the two calls: none is better than a part.
        return {}
    return found
