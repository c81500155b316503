"""Block devices of this machine, as /sys has them: whether one is there, and the loop devices of a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

MOST_LOOPS = 1 << 12
"""Loop devices that are looked at."""

_DELETED = " (deleted)"


def is_there(device: str) -> bool:
    """Whether the kernel has a block device of this number (``major:minor``)."""
    return os.path.lexists(f"/sys/dev/block/{device}")


def loops_of(path: str) -> Iterator[str]:
    """The loop devices (``major:minor``) whose backing file was opened as *path*, also if it is deleted by now."""
    with suppress(OSError), os.scandir("/sys/block") as entries:
        for entry in islice((entry for entry in entries if entry.name.startswith("loop")), MOST_LOOPS):
            # One that is in use has a file of the kernel's there (loop(4)).
            with suppress(OSError):
                backing = _read(f"{entry.path}/loop/backing_file")
                if path in (backing, backing.removesuffix(_DELETED)):
                    yield _read(f"{entry.path}/dev")


def _read(path: str) -> str:
    with open(path, "rb") as file:
        return os.fsdecode(file.read(1 << 13).removesuffix(b"\n"))
