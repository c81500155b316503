"""What the tests of isolate share: a target that leaks, isolating it, and what its tables show."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mntscope.cli.targets import resolve
from mntscope.isolate import Capture, IrreversibleError, Isolation, Undoing, isolate, put_back
from mntscope.kernel import syscalls
from tests.support.features import SET_GROUP
from tests.support.throwaway import Actor, Host, in_fork

_CAN_REJOIN = SET_GROUP.here()
"""Of this kernel, whatever a test makes of its calls."""

Table = dict[str, str]
"""The line of each mount, by mount ID."""


def capture_from(host: Host, *, everything: bool = False) -> Capture:
    """Captures with this host as the host; what the machine's other namespaces do meanwhile is not looked at."""
    return partial(resolve, against=str(host.pid), everything=everything)


def leaking(host: Host) -> Actor:
    """A process in new mount and PID namespaces, all of whose mounts are peers of the host's."""
    return host.unshare("unchanged", new_pids=True)


def isolated(
    host: Host, target: Actor | int | str, *paths: str, journal: Path, everything: bool = False, **options: Any
) -> Isolation:
    """Isolates a target of the host; with *everything*, from all other namespaces of the machine.

    Where no mount can rejoin a group, isolate refuses, as it should: then the test ends here, skipped.
    """
    named = target.pid if isinstance(target, Actor) else target
    capture = capture_from(host, everything=everything)
    try:
        return isolate(named, paths or ("/proc",), capture=capture, journal=str(journal), **options)
    except IrreversibleError:
        if _CAN_REJOIN:
            raise
        pytest.skip(SET_GROUP.missing)


def undone(
    host: Host, journal: Path, *, everything: bool = False, hook: Callable[[str], None] | None = None
) -> Undoing:
    """Undoes what a journal says; *hook* is called before each system call."""
    return put_back(str(journal), capture=capture_from(host, everything=everything), hook=hook)


def mount_of(host: Host, path: Path) -> str:
    """The mount point of the mount that *path* is in: ``/``, or ``/tmp`` where that is one of its own."""
    points = {line.split(" ")[4] for line in host.mountinfo().decode().splitlines()}
    return next(str(parent) for parent in (path, *path.parents) if str(parent) in points)


def lines_at(host: Host, path: str, actor: Actor | None = None) -> list[str]:
    """The lines of the mounts at a path, of an actor or of the host."""
    lines = host.mountinfo(actor).decode().splitlines()
    return [line for line in lines if line.split(" ")[4] == path]


def in_namespace_of(pid: int, function: Callable[[], object]) -> None:
    """Runs a function in a fork that has entered the mount namespace of a process."""

    def body() -> None:
        syscalls.setns(syscalls.pidfd_open(pid), syscalls.CLONE_NEWNS)
        function()

    in_fork(body)


class Counter:
    """A number that forked processes count together."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)

    def next(self) -> int:
        """The number before, which is one more from now on."""
        (number,) = struct.unpack("=q", self._memory[:8])
        self._memory[:8] = struct.pack("=q", number + 1)
        return int(number)

    @property
    def value(self) -> int:
        """How often it has been counted."""
        return int(struct.unpack("=q", self._memory[:8])[0])


def descriptors() -> set[str]:
    """The open descriptors of this process."""
    return set(os.listdir("/proc/self/fd"))
