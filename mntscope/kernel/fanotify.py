"""fanotify(7), as far as it tells of mounts: what is attached and detached in which mount namespaces (Linux 6.14).

A group has a queue of events, and a mark for each mount namespace that it watches. A mark holds no reference: the
namespace ends as if nobody watched it (fs/namespace.c, free_mnt_ns; fs/notify/mark.c, fsnotify_mntns_delete). Events
of one system call follow each other, that of the mount which was asked for first (fs/namespace.c, notify_mnt_list).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import suppress

from mntscope.base.records import NamedTuple
from mntscope.errors import KernelError
from mntscope.kernel.syscalls import AnyPath, call

# include/uapi/linux/fanotify.h: of a group
FAN_CLOEXEC = 0x1
FAN_NONBLOCK = 0x2
FAN_UNLIMITED_QUEUE = 0x10
FAN_UNLIMITED_MARKS = 0x20
FAN_REPORT_PIDFD = 0x80
FAN_REPORT_MNT = 0x4000

# Of a mark
FAN_MARK_ADD = 0x1
FAN_MARK_MNTNS = 0x110

# The mask of an event
FAN_Q_OVERFLOW = 0x4000
FAN_MNT_ATTACH = 0x1000000
FAN_MNT_DETACH = 0x2000000

# struct fanotify_event_metadata, and the records of information that follow it
_METADATA = struct.Struct("=IBBHQii")
_HEADER = struct.Struct("=BBH")
_PIDFD = struct.Struct("=i")
_MNT_ID = struct.Struct("=Q")
_TYPE_PIDFD = 4
_TYPE_MNT = 7

_AT_ONCE = 1 << 14
"""Bytes that one read(2) takes: each event in them may come with a descriptor, and is 48 bytes long."""


class MountEvent(NamedTuple):
    """One event of a group that reports mounts."""

    mask: int
    """FAN_MNT_ATTACH, FAN_MNT_DETACH, both for a mount that was moved, or FAN_Q_OVERFLOW."""
    pid: int
    """Of the process that did it, in this process's PID namespace; 0 where it is not in there."""
    mnt_id: int
    """The unique id of the mount, as statmount(2) takes it; 0 for an overflow."""
    pidfd: int
    """The caller's to close; negative where the process has ended, or none was asked for."""


def fanotify_init(flags: int, event_f_flags: int = 0) -> int:
    """fanotify_init(2): a descriptor of a new group; EINVAL where the kernel does not know a flag."""
    return call("fanotify_init", flags, event_f_flags)


def fanotify_mark(fanotify_fd: int, flags: int, mask: int, dirfd: int, path: AnyPath | None = None) -> None:
    """fanotify_mark(2); with FAN_MARK_MNTNS *dirfd* is a descriptor of a mount namespace, needed no longer."""
    call("fanotify_mark", fanotify_fd, flags, mask, dirfd, path)


def read_events(fanotify_fd: int) -> list[MountEvent]:
    """What waits in the queue of a group that is FAN_NONBLOCK, up to some hundreds; nothing where none waits.

    :raises KernelError: it cannot be read.
    """
    try:
        return list(_events(os.read(fanotify_fd, _AT_ONCE)))
    except BlockingIOError:
        return []
    except OSError as error:
        raise KernelError("read", error.errno or 0, where="fanotify") from None


def close_pidfds(events: list[MountEvent]) -> None:
    """Close what came with *events*."""
    for event in events:
        if event.pidfd >= 0:
            with suppress(OSError):
                os.close(event.pidfd)


def _events(data: bytes) -> Iterator[MountEvent]:
    start = 0
    while start + _METADATA.size <= len(data):
        length, _, _, metadata, mask, _, pid = _METADATA.unpack_from(data, start)
        mnt_id, pidfd = 0, -1
        at, end = start + metadata, start + length
        while at + _HEADER.size <= end:
            kind, _, size = _HEADER.unpack_from(data, at)
            if kind == _TYPE_MNT:
                # Aligned as in C.
                (mnt_id,) = _MNT_ID.unpack_from(data, at + 8)
            elif kind == _TYPE_PIDFD:
                (pidfd,) = _PIDFD.unpack_from(data, at + _HEADER.size)
            at += max(size, _HEADER.size)
        yield MountEvent(mask, pid, mnt_id, pidfd)
        start += max(length, _METADATA.size)
