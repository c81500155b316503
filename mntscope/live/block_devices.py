"""Block devices of this machine, as /sys has them: whether one is there, and the files that the kernel has open."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice

from mntscope.analysis.references import KernelFile
from mntscope.parse.escapes import unescape

MOST_LOOPS = 1 << 12
"""Loop devices that are looked at."""

_DELETED = " (deleted)"


def is_there(device: str) -> bool:
    """Whether the kernel has a block device of this number (``major:minor``)."""
    return os.path.lexists(f"/sys/dev/block/{device}")


def loops_of(path: str) -> Iterator[str]:
    """The loop devices (``major:minor``) whose backing file was opened as *path*, also if it is deleted by now."""
    for device, backing in _loops():
        if path in (backing, backing.removesuffix(_DELETED)):
            with suppress(OSError):
                yield _read(f"/sys/block/{device}/dev")


def kernel_files() -> Iterator[KernelFile]:
    """The files behind loop devices, and those that are swap space (proc_swaps(5))."""
    for device, backing in _loops():
        yield KernelFile(f"/dev/{device}", backing.removesuffix(_DELETED))
    with suppress(OSError), open("/proc/swaps", "rb") as swaps:
        yield from swap_files(islice(swaps, MOST_LOOPS))


def swap_files(table: Iterable[bytes]) -> Iterator[KernelFile]:
    """The files among the swap spaces in the lines of proc_swaps(5)."""
    for line in table:
        words = line.rsplit(maxsplit=4)
        if len(words) == 5 and words[1] == b"file":
            yield KernelFile("", unescape(os.fsdecode(words[0])).removesuffix(_DELETED))


def _loops() -> Iterator[tuple[str, str]]:
    """The loop devices that are in use, each with its backing file: one of the kernel's tells (loop(4))."""
    with suppress(OSError), os.scandir("/sys/block") as entries:
        for entry in islice((entry for entry in entries if entry.name.startswith("loop")), MOST_LOOPS):
            with suppress(OSError):
                yield entry.name, _read(f"{entry.path}/loop/backing_file")


def _read(path: str) -> str:
    with open(path, "rb") as file:
        return os.fsdecode(file.read(1 << 13).removesuffix(b"\n"))
