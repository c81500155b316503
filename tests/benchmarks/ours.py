"""mntscope reads DIRECTORY/mountinfo once for each line of standard input, and prints nanoseconds and mounts.

``ours.py HOW DIRECTORY [live]``, run by the interpreter that has mntscope; see :class:`tests.benchmarks.timing.Server`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable


def records(data: bytes) -> int:
    """The records that all commands work with."""
    from mntscope.parse import parse_mountinfo

    return len(parse_mountinfo(data))


def ids(data: bytes) -> int:
    """The numbers that the peer graph is made of; all other text stays where it is."""
    from mntscope.parse.columns import parse_columns

    columns = parse_columns(data)
    for name in ("mount_id", "parent_id", "peer_group", "master", "propagate_from"):
        columns.ids(name)
    return len(columns)


def frame(data: bytes) -> int:
    """A data frame with all that the table tells."""
    from mntscope.frames import table
    from mntscope.parse.columns import parse_columns

    return len(table(parse_columns(data)))


HOW: dict[str, Callable[[bytes], int]] = {"records": records, "ids": ids, "frame": frame}


def whole(path: str) -> bytes:
    """A table, as the kernel prints it now."""
    pages = []
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    while page := os.read(file, 1 << 16):
        pages.append(page)
    os.close(file)
    return b"".join(pages)


def main() -> None:
    """Serves until there is no next line."""
    how, path, live = HOW[sys.argv[1]], f"{sys.argv[2]}/mountinfo", "live" in sys.argv[3:]
    data = whole(path)
    for _ in sys.stdin:
        begun = time.perf_counter_ns()
        count = how(whole(path) if live else data)
        sys.stdout.write(f"{time.perf_counter_ns() - begun} {count}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
