"""How much is read of files from elsewhere: more than a machine's namespaces need, less than would exhaust memory.

What a text takes in memory is not told by its size: a list of empty lists takes forty times as much, an emoji makes
every character of its string four bytes long. So what a text would come to is counted before it is taken apart, and
the bounds are such that reading takes no more than about 600 MB, whatever is read (``tests/benchmarks/hostile.py``).
"""

from __future__ import annotations

from mntscope.errors import TargetError

LARGEST = 48 << 20
"""A file of more bytes is no snapshot or mount table, packed or not; nor are the tables of one sosreport more."""

LARGEST_ARCHIVE = 1 << 33
"""No more bytes than these are unpacked in search of mount tables,"""

UNPACKED_UNASKED = 1 << 30
"""and no more than these"""

MOST_RATIO = 200
"""beyond so many for each packed byte: logs, which are most of a sosreport, pack to a tenth or less."""

MOST_STREAMS = 1 << 18
"""Packed streams one after the other: each may be empty, and takes its time. bgzip makes one for each 64 KiB."""

MOST_FILES = 1 << 18
"""No more files of one collection are kept."""

MOST_MOUNTS = 1 << 18

MOST_OPTIONS = 6 << 20
"""Commas and spaces in the tables of one file: each parts two texts, of which there may be few bytes."""

LONGEST_LINE = 1 << 20
"""Characters. A path has 4096 bytes at most, and mount options come in a page, but for what filesystems print."""

MOST_VALUES = 1 << 20
"""Of a JSON document."""

MOST_WIDE = 4 << 20
"""Characters in texts that are not ASCII, and may take four bytes for each."""


def refuse_too_many(mounts: int, where: str) -> None:
    """Nothing, if one file may hold so many mounts.

    :raises TargetError: it may not.
    """
    if mounts > MOST_MOUNTS:
        raise TargetError(f"it is no snapshot or mount table: more than {MOST_MOUNTS} mounts", where=where)


def options_in(table: bytes) -> int:
    """How many parts of lines a table has: fields, and options in them."""
    return table.count(b",") + table.count(b" ")


def refuse_too_many_options(options: int, where: str) -> None:
    """Nothing, if one file may hold so many mount options.

    :raises TargetError: it may not.
    """
    if options > MOST_OPTIONS:
        raise TargetError(f"it is no snapshot or mount table: more than {MOST_OPTIONS} mount options", where=where)


def refuse_long_lines(table: bytes, where: str) -> None:
    """Nothing, if no line of *table* is longer than a kernel's.

    :raises TargetError: one is.
    """
    begin = 0
    # From the last newline within reach to the next such: not every line is looked at.
    while len(table) - begin > LONGEST_LINE:
        begin, before = table.rfind(b"\n", begin, begin + LONGEST_LINE + 1) + 1, begin
        if begin <= before:
            raise TargetError(f"it is no mount table: a line of more than {LONGEST_LINE >> 20} MiB", where=where)
