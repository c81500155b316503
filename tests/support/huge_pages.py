"""Cheap forks: the tests' own memory in huge pages.

Most of what the tests do begins with a fork, of a process that has imported the libraries of all of them. A fork copies
the page tables, and whatever is written after it faults once a page: with pages of 2 MiB in place of 4 KiB it takes a
fifth of the time, and the whole run half of it. Where the kernel has no such pages all is as it was.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

_MADV_COLLAPSE = 25  # linux/mman.h, since Linux 6.1
_SIZE = 2 << 20


def collapse() -> None:
    """Has the kernel put what this process has allocated so far into huge pages; what it does not, it does not."""
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, permissions, _, _, inode, *name = line.split(maxsplit=5)
        first, _, last = span.partition("-")
        begin, end = -(-int(first, 16) // _SIZE) * _SIZE, int(last, 16) // _SIZE * _SIZE
        is_allocated = permissions == "rw-p" and inode == "0" and name in ([], ["[heap]"])
        if is_allocated and begin < end:
            madvise(begin, end - begin, _MADV_COLLAPSE)
