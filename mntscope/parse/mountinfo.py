"""Tables of mounts, as /proc/PID/mountinfo prints them: bytes to :class:`~mntscope.model.Mount` and back.

A line is read in two steps: text to ten fields, by the expression derived from grammar/mountinfo.lark (and by
Lark itself where that does not match), and fields to a record. Writing goes the same way back.
"""

from __future__ import annotations

from collections.abc import Iterable

from mntscope.errors import ParseError
from mntscope.model import Mount
from mntscope.parse.problems import Problems, UnusualSpelling
from mntscope.parse.records import Fields, RecordReader, decode, line_of

__all__ = ["MOST_PROBLEMS", "MountTable", "UnusualSpelling", "format_mountinfo", "parse_mountinfo"]

MOST_PROBLEMS = 1000
"""How many problems of one table are described; the others are counted."""


class MountTable(list[Mount]):
    """The mounts of one table, in its order."""

    problems: tuple[ParseError, ...] = ()
    """What lenient reading met: lines that are no mountinfo, which are left out, and kept ones that are
    :class:`UnusualSpelling`."""
    unlisted: int = 0
    """How many more problems there are, beyond the first :data:`MOST_PROBLEMS`."""
    unterminated: bool = False
    """Whether the last line had no newline; it is then written without one, too."""


def parse_mountinfo(data: bytes, *, strict: bool = True, file: str = "<mountinfo>") -> MountTable:
    """The mounts of the table *data*; of no data, none. *file* names it in errors.

    Only a newline ends a line and only a single space a field; everything else is text, whatever its bytes. Roots,
    mount points, filesystem types and sources are unescaped, once; options are kept as printed. Where a known
    optional field is repeated the first one counts, and the others are kept with the unknown ones. A line may be
    of any length.

    *strict* raises at the first line that no kernel prints. Otherwise every line is kept that can be understood, and
    what is wrong with these (:class:`UnusualSpelling`) and the others is in :attr:`MountTable.problems`.

    :raises ParseError: *strict*, and *data* is not a table that a kernel printed: names file, line and column, and what
        was expected.
    """
    return read_table(data, RecordReader(), strict=strict, file=file)


def read_table(data: bytes, reader: RecordReader, *, strict: bool, file: str) -> MountTable:
    """As :func:`parse_mountinfo`, with the *reader* that others of the same machine have been read with.

    :raises ParseError: as there.
    """
    text = decode(data)
    newlines = text.count("\n")
    lines = newlines + (text != "" and not text.endswith("\n"))
    problems = Problems(strict=strict, file=file, most=MOST_PROBLEMS)
    table = MountTable(reader.table(text))
    table.unterminated = lines > newlines
    if len(table) != lines:
        good, last_is_good = _line_by_line(text, problems)
        table[:] = reader.mounts(good)
        table.unterminated &= last_is_good
    problems.windows(data)
    table.problems, table.unlisted = tuple(problems.listed), problems.unlisted
    return table


def format_mountinfo(mounts: Iterable[Mount]) -> bytes:
    """The table of *mounts*, as the kernel prints it: the exact inverse of :func:`parse_mountinfo`.

    A mount that was read from another spelling than the kernel's is written as it was, unless it was changed
    since. Every line ends in a newline, except the last one of a :class:`MountTable` that was read without.

    :raises UsageError: a mount that no line can say, such as one with a space in its options.
    """
    table = b"".join(line_of(mount) + b"\n" for mount in mounts)
    return table[:-1] if isinstance(mounts, MountTable) and mounts.unterminated else table


def _line_by_line(text: str, problems: Problems) -> tuple[list[Fields], bool]:
    """The fields of the good lines of a table with others, or with remarkable ones; and whether the last is good."""
    good: list[Fields] = []
    fields = None
    lines = text.removesuffix("\n").split("\n")
    cut_off = 0 if text.endswith("\n") else len(lines)
    for number, line in enumerate(lines, 1):
        fields = problems.fields(line, number, cut_off=number == cut_off)
        if fields is not None:
            good.append(fields)
    return good, fields is not None
