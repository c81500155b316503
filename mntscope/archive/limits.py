"""How much is read of files from elsewhere: more than a machine's namespaces need, less than would exhaust memory."""

from __future__ import annotations

from mntscope.errors import TargetError

LARGEST = 1 << 28
"""A file of more bytes is no snapshot or mount table, packed or not; nor are the tables of one sosreport more."""

LARGEST_ARCHIVE = 1 << 33
"""No more bytes than these are unpacked in search of mount tables."""

MOST_FILES = 1 << 20
"""No more files of one collection are kept."""

MOST_MOUNTS = 1 << 21

MOST_VALUES = 1 << 24
"""Of a JSON document: in memory a value takes many times what it takes in a file."""


def refuse_too_many(mounts: int, where: str) -> None:
    """Nothing, if one file may hold so many mounts.

    :raises TargetError: it may not.
    """
    if mounts > MOST_MOUNTS:
        raise TargetError(f"it is no snapshot or mount table: more than {MOST_MOUNTS} mounts", where=where)
