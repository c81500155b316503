"""fanotify as a source: every mount that is attached, detached or moved, and who did it (Linux 6.14, as root)."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Collection
from contextlib import suppress

from mntscope.errors import KernelError
from mntscope.kernel import fanotify, syscalls
from mntscope.live.procfs import Proc, namespace_link, read
from mntscope.watch.events import Who
from mntscope.watch.source import News, Told
from mntscope.watch.state import WatchedNamespace

_MOST_READS = 64
"""Of one collecting: what comes faster than it can be read is collected the next time."""


class FanotifySource:
    """One group, with a mark for each namespace. A mark keeps nothing alive.

    The queue is bounded by the sysctl fs.fanotify.max_queued_events: who makes mounts faster than they are read makes
    the kernel say so, not take all memory.

    :raises KernelError: the kernel has no such events, or not for this process.
    """

    name = "fanotify"
    blind = (
        "it does not tell of changes of propagation (make-private ..) nor of remounts: they are found by the sweep",
        "the path of a mount that is gone within about a millisecond is not known",
    )

    def __init__(self, proc: Proc, name_of: Callable[[int], str]) -> None:
        """*name_of* gives the name of a namespace by its inode, or nothing."""
        self._proc = proc
        self._name_of = name_of
        flags = fanotify.FAN_REPORT_MNT | fanotify.FAN_REPORT_PIDFD | fanotify.FAN_CLOEXEC | fanotify.FAN_NONBLOCK
        self.descriptor = fanotify.fanotify_init(flags | fanotify.FAN_UNLIMITED_MARKS)

    def mark(self, namespace: int) -> None:
        """Watch the namespace of a descriptor.

        :raises KernelError: it may not be watched.
        """
        mask = fanotify.FAN_MNT_ATTACH | fanotify.FAN_MNT_DETACH
        fanotify.fanotify_mark(self.descriptor, fanotify.FAN_MARK_ADD | fanotify.FAN_MARK_MNTNS, mask, namespace)

    def register(self, epoll: select.epoll) -> None:
        """Its one descriptor."""
        epoll.register(self.descriptor, select.EPOLLIN)

    def watch(self, namespace: WatchedNamespace) -> None:
        """It was marked when its descriptor was there."""

    def collect(self, ready: Collection[int]) -> News:  # noqa: ARG002 - it is as cheap to read
        """Who did it is looked up at once: mount(8) lives for a millisecond."""
        mounts: list[Told] = []
        lost = False
        for _ in range(_MOST_READS):
            try:
                events = fanotify.read_events(self.descriptor)
            except KernelError:
                lost = True
                break
            if not events:
                break
            people: dict[int, tuple[Who, int]] = {}
            try:
                for event in events:
                    if event.mask & fanotify.FAN_Q_OVERFLOW:
                        lost = True
                        continue
                    if event.pid not in people:
                        people[event.pid] = self._who(event.pid, event.pidfd)
                    attached = bool(event.mask & fanotify.FAN_MNT_ATTACH)
                    detached = bool(event.mask & fanotify.FAN_MNT_DETACH)
                    who = people[event.pid]
                    if event.pid == os.getpid() and not attached:
                        # A namespace that ended while this process had a descriptor of it: whose it was nobody knows.
                        who = Who(0), 0
                    mounts.append(Told(event.mnt_id, attached, detached, *who))
            finally:
                fanotify.close_pidfds(events)
        return News(mounts=tuple(mounts), lost=lost)

    def _who(self, pid: int, pidfd: int) -> tuple[Who, int]:
        """The process, and the inode of its mount namespace."""
        comm, inode = "", 0
        if pid <= 0 or pidfd < 0:
            return Who(max(pid, 0)), 0
        with suppress(OSError):
            comm = os.fsdecode(read(f"{pid}/comm", dir_fd=self._proc.fd)).removesuffix("\n")
        with suppress(OSError, ValueError):
            inode = namespace_link("mnt", str(pid), dir_fd=self._proc.fd)
        try:
            # If it is there still, it was it that was read.
            syscalls.pidfd_send_signal(pidfd, 0)
        except KernelError:
            return Who(pid), 0
        return Who(pid, comm, self._name_of(inode)), inode

    def close(self) -> None:
        """All marks go with it."""
        os.close(self.descriptor)
