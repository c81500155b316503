"""A million lines of 12,500 namespaces, in memory, to peer groups and leaks: what a fleet's captures need.

As a program, run by the interpreter that has mntscope: see :class:`tests.benchmarks.timing.Server`; what it answers are
nanoseconds and lines.
"""

from __future__ import annotations

import gc
import sys
import time
import tracemalloc
from collections.abc import Callable

EACH = 80
"""Lines a namespace, as on a machine of containers."""


def tables(lines: int) -> dict[str, bytes]:
    """The tables of that many lines: a host whose mounts are shared, and peers, slaves and private copies of it."""
    return {"host" if number == 0 else str(number): _table(number) for number in range(lines // EACH)}


def _table(number: int) -> bytes:
    first = 1 + number * EACH
    sharing = ("shared:{0}", "master:{0}", "shared:{1} master:{0}", "")[number % 4] if number else "shared:{0}"
    lines = [f"{first} 0 0:{number + 1000} / / rw,relatime - overlay overlay rw,lowerdir=/var/lib/layers/{number}\n"]
    for index in range(1, EACH):
        tags = sharing.format(index, 1_000_000 + first + index)
        lines.append(
            f"{first + index} {first} 0:{index} / /var/lib/kubelet/pods/{index:08x}/volumes/data"
            f" rw,nosuid,nodev,relatime {tags}{' ' if tags else ''}- tmpfs tmpfs rw,size=65536k,mode=755\n"
        )
    return "".join(lines).encode()


def ids(texts: dict[str, bytes]) -> object:
    """The numbers alone, and for each mount its namespace's."""
    from mntscope.parse.columns import parse_tables

    columns, table_of = parse_tables(texts)
    names = ("mount_id", "parent_id", "peer_group", "master", "propagate_from")
    return [table_of, columns.devices(), *(columns.ids(name) for name in names)]


def leaks(texts: dict[str, bytes]) -> object:
    """Peer groups, and what crosses between each namespace and the host."""
    from mntscope.graph.columns import crossings_of
    from mntscope.parse.columns import parse_tables

    return crossings_of(*parse_tables(texts))


HOW: dict[str, Callable[[dict[str, bytes]], object]] = {"ids": ids, "leaks": leaks}


def main() -> None:
    """``large.py HOW LINES``; with ``bytes`` behind it, prints how many bytes a mount the result keeps."""
    how, lines = HOW[sys.argv[1]], int(sys.argv[2])
    texts = tables(lines)
    if "bytes" in sys.argv[3:]:
        how(tables(EACH))  # what is imported is no part of it
        gc.collect()
        tracemalloc.start()
        kept = how(texts)
        gc.collect()
        sys.stdout.write(f"{tracemalloc.get_traced_memory()[0] / lines}\n")
        del kept
        return
    for _ in sys.stdin:
        begun = time.perf_counter_ns()
        how(texts)
        sys.stdout.write(f"{time.perf_counter_ns() - begun} {lines}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
