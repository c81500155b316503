"""Watching a throwaway machine: what a test does in its namespaces, and what is told of it.

::

    def body(target: int) -> list[Event]:
        with Watcher() as watcher:
            inside(target, syscalls.mount, "t", "/mnt", "tmpfs", 0)
            return told(watcher, "mount")

    events = machine.call(body, target.inner)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable

from mntscope.kernel import syscalls
from mntscope.snapshot import Snapshot
from mntscope.watch.events import Event
from mntscope.watch.watcher import Watcher
from tests.support.throwaway import in_fork

PATIENCE = 30.0
"""Seconds for which something is waited for that is told within one: the machine is busy with other tests."""


def inside(pid: int, function: Callable[..., object], *arguments: object) -> None:
    """Calls *function* in a child that has entered the mount namespace of a process."""

    def enter() -> None:
        fd = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        syscalls.setns(fd, syscalls.CLONE_NEWNS)
        function(*arguments)

    in_fork(enter)


def told(watcher: Watcher, *kinds: str, of: Iterable[int] = (), patience: float = PATIENCE) -> list[Event]:
    """What is told of the host, and *of* the namespaces of these processes, up to and with an event of each kind.

    Not of others: other tests mount and unmount as well.
    """
    missing = set(kinds)
    found: list[Event] = []
    until = time.monotonic() + patience
    while missing and time.monotonic() < until:
        for event in watcher.step(0.2).events:
            if concerns(watcher, event, of):
                found.append(event)
                missing.discard(event.kind)
    assert not missing, f"not told: {missing}; told: {found}"
    return found


def concerns(watcher: Watcher, event: Event, of: Iterable[int] = ()) -> bool:
    """Whether it is of the host, or of the namespace of one of these processes."""
    machine = watcher.machine
    inodes = [os.stat(f"/proc/{pid}/ns/mnt").st_ino for pid in of]
    ours = {machine.name(machine.host), *(machine.name(machine.key_of(inode) or 0) for inode in inodes)}
    return bool(ours & {event.namespace, *(place.namespace for place in event.also)})


def tables(snapshot: Snapshot, inodes: set[int]) -> dict[int | None, bytes]:
    """The mount tables of these namespaces."""
    views = [view for view in snapshot.views if view.namespace.inode in inodes]
    return {view.namespace.inode: snapshot.mountinfo(view.label) for view in views}
