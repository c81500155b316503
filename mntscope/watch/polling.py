"""poll(2) on mountinfo as a source: that something has changed in a namespace, on every kernel.

An open mountinfo keeps its namespace alive. So beside each a pidfd of the process is watched through which it was
opened: when that ends, both are closed, and another process is looked for.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Collection

from mntscope.base.records import NamedTuple
from mntscope.errors import KernelError
from mntscope.kernel import syscalls
from mntscope.live.procfs import Proc, namespace_link
from mntscope.watch.source import News
from mntscope.watch.state import WatchedNamespace


class _Open(NamedTuple):
    key: int
    pid: int
    mountinfo: int
    pidfd: int


class PollSource:
    """For each namespace the mountinfo and a pidfd of one of its processes."""

    name = "poll"
    blind = (
        "it tells neither who did something nor, of several peers, in which namespace",
        "it does not tell of changes of propagation (make-private ..): they are found by the sweep",
        "a mount that is gone before its table is read again is not seen at all",
    )

    def __init__(self, proc: Proc, processes_of: Callable[[WatchedNamespace], None]) -> None:
        """*processes_of* looks for the processes of a namespace anew, and notes them there."""
        self._proc = proc
        self._processes_of = processes_of
        self._epoll: select.epoll | None = None
        self._open: dict[int, _Open] = {}
        """By the descriptors of both."""
        self._watched: dict[int, WatchedNamespace] = {}
        self._opened: set[int] = set()
        """The keys of namespaces opened since it was asked last: what changed before nobody tells."""
        self._lost: set[int] = set()
        """The keys of namespaces whose process has ended, or gone elsewhere: another is to be looked for."""

    def register(self, epoll: select.epoll) -> None:
        """Those of all namespaces, also of those to come.

        In no epoll instance of its own: to ask whether that is ready would take note of a change that is then never
        told (fs/eventpoll.c, ep_item_poll; fs/proc_namespace.c, mounts_poll).
        """
        self._epoll = epoll
        for its in set(self._open.values()):
            self._register(its)

    def watch(self, namespace: WatchedNamespace) -> None:
        """Open its mountinfo, unless it is open; where no process of it can be read, the sweep has to do."""
        if any(each.key == namespace.key for each in self._open.values()):
            return
        self._watched[namespace.key] = namespace
        for pid in namespace.readers:
            if self._watch_through(namespace, pid):
                return

    def _watch_through(self, namespace: WatchedNamespace, pid: int) -> bool:
        opened: list[int] = []
        try:
            opened.append(syscalls.pidfd_open(pid))
            opened.append(os.open(f"{pid}/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc.fd))
            # Two links: it has neither ended nor gone elsewhere while it was opened.
            if namespace_link("mnt", str(pid), dir_fd=self._proc.fd) != namespace.inode:
                raise ProcessLookupError
            syscalls.pidfd_send_signal(opened[0], 0)
        except (OSError, KernelError, ValueError):
            for fd in opened:
                os.close(fd)
            return False
        its = _Open(namespace.key, pid, opened[1], opened[0])
        self._open[its.mountinfo] = self._open[its.pidfd] = its
        self._opened.add(its.key)
        self._register(its)
        return True

    def _register(self, its: _Open) -> None:
        if self._epoll is not None:
            # A table that has changed is an exceptional condition, told once.
            self._epoll.register(its.mountinfo, select.EPOLLPRI | select.EPOLLERR)
            self._epoll.register(its.pidfd, select.EPOLLIN)

    def collect(self, ready: Collection[int]) -> News:
        """The namespaces whose tables have changed, or may have before they were opened.

        Of those whose process has ended the descriptors are let go.
        """
        changed, self._opened = self._opened, set()
        ended = False
        for fd in ready:
            its = self._open.get(fd)
            if its is not None and fd == its.mountinfo:
                changed.add(its.key)
            elif its is not None:
                ended = True
                self._let_go(its)
        return News(tables=frozenset(changed), namespaces=ended)

    def again(self) -> None:
        """Let go of what has entered another namespace, and open anew where another process lives in the namespace."""
        for its in set(self._open.values()):
            if not self._lives_there(its):
                self._let_go(its)
        open_now = {each.key for each in self._open.values()}
        for key in self._watched.keys() - open_now:
            namespace = self._watched[key]
            if key in self._lost:
                self._processes_of(namespace)
            self.watch(namespace)
        self._lost.clear()

    def forget(self, key: int) -> None:
        """A namespace that is gone."""
        self._watched.pop(key, None)
        for its in {each for each in self._open.values() if each.key == key}:
            self._let_go(its)

    def _lives_there(self, its: _Open) -> bool:
        watched = self._watched.get(its.key)
        try:
            return watched is not None and namespace_link("mnt", str(its.pid), dir_fd=self._proc.fd) == watched.inode
        except (OSError, ValueError):
            return False

    def _let_go(self, its: _Open) -> None:
        self._lost.add(its.key)
        for fd in (its.mountinfo, its.pidfd):
            if self._open.pop(fd, None):
                # What is closed is no longer in the epoll instance.
                os.close(fd)

    def close(self) -> None:
        """Let go of all namespaces."""
        for its in set(self._open.values()):
            self._let_go(its)
