"""Which mount(8) a namespace has: read from the program itself, which is not run.

util-linux and busybox bear their name and version as text. What a container has for /bin/mount may be anything, a FIFO
and a file without end included: it is looked at by a child, without waiting, up to a bound, and what it says is no more
than a claim.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from mntscope.base.records import replace
from mntscope.errors import MntscopeError
from mntscope.kernel.worker import in_child
from mntscope.live.foreign import closing, follow
from mntscope.live.procfs import namespace_link, open_proc
from mntscope.model import View
from mntscope.snapshot import Snapshot

DIRECTORIES = ("usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin")
"""Where a shell of root's looks for programs, in its order."""

LARGEST = 8 << 20
"""Bytes of the largest program that is read: busybox has 1 to 2 MiB."""

MOST = 1000
"""Namespaces that are looked into."""
MOST_ASKED = 4
"""Processes of a namespace that are tried."""

_NAMES = re.compile(rb"\b(util-linux) (\d{1,3}\.\d{1,4}(?:\.\d{1,4})?)|\b(BusyBox) v(\d{1,3}\.\d{1,4}(?:\.\d{1,4})?)")


def with_mount_programs(snapshot: Snapshot, labels: Sequence[str] | None = None) -> Snapshot:
    """The snapshot of this machine, with the mount(8) of each namespace of *labels* (or of all) that has a process.

    What cannot be looked at in time stays unknown.
    """
    wanted = [view for view in snapshot.views if labels is None or view.label in labels][:MOST]
    try:
        found = _found(wanted)
    except (MntscopeError, OSError):
        # Somewhere a filesystem does not answer: whom the command is about is asked again, alone.
        found = {}
        for view in wanted[:2]:
            with suppress(MntscopeError, OSError):
                found |= _found([view])
    return snapshot.with_views(
        replace(view, namespace=replace(view.namespace, mount_program=found[view.label]))
        if view.label in found
        else view
        for view in snapshot.views
    )


def _some_of(view: View, own: int) -> Iterator[int]:
    """Processes of a namespace, of which some may not be looked into: first of all the one that shows it."""
    if view.process is not None:
        yield view.process.pid
    if view.namespace.inode == own:
        yield os.getpid()
    yield from (process.pid for process in view.namespace.processes[:MOST_ASKED])


def _found(views: Sequence[View]) -> dict[str, str]:
    with open_proc() as proc:
        own = namespace_link("mnt", "self", dir_fd=proc.fd)
        pids = {view.label: tuple(_some_of(view, own)) for view in views}
        told = in_child(lambda: json.dumps(dict(_programs(proc.fd, pids))).encode(), where="mount(8)")
    return dict(json.loads(told))


def _programs(proc: int, pids: Mapping[str, Sequence[int]]) -> Iterator[tuple[str, str]]:
    """The labels of those in whose root directory there is a mount(8) that is known, with its name and version."""
    known: dict[tuple[int, int], str | None] = {}
    for label, some in pids.items():
        for pid in some:
            # Of a process that may not be looked into, another of the same namespace tells.
            with suppress(MntscopeError, OSError):
                with closing(os.open(f"{pid}/root", os.O_PATH | os.O_DIRECTORY, dir_fd=proc)) as root:
                    program = _program(proc, root, known)
                if program is not None:
                    yield label, program
                break


def _program(proc: int, root: int, known: dict[tuple[int, int], str | None]) -> str | None:
    for directory in DIRECTORIES:
        try:
            place = follow(root, f"{directory}/mount")
        except OSError:
            continue
        with closing(place):
            status = os.fstat(place)
            if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
                return None
            identity = (status.st_dev, status.st_ino)
            if identity not in known:
                known[identity] = _named(proc, place)
            return known[identity]
    return None


def _named(proc: int, place: int) -> str | None:
    """``util-linux 2.38.1`` or ``BusyBox 1.35.0``; ``None`` if the program says neither."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(f"self/fd/{place}", flags, dir_fd=proc), "rb") as program:
        found = _NAMES.search(program.read(LARGEST))
    return " ".join(part.decode() for part in found.groups() if part) if found else None
