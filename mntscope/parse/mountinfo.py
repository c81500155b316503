"""Tables of mounts, as /proc/PID/mountinfo prints them: bytes to :class:`~mntscope.model.Mount` and back.

A line is read in two steps: text to ten fields, by the expression derived from grammar/mountinfo.lark (and by
Lark itself where that does not match), and fields to a record. Writing goes the same way back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mntscope.errors import ParseError
from mntscope.model import Mount
from mntscope.parse.mountinfo_regex import LINE
from mntscope.parse.records import LINE_PATTERN, Fields, RecordReader, decode, encode, line_of
from mntscope.parse.reference import read_line

MOST_PROBLEMS = 1000
"""How many problems of one table are described; the others are counted."""

_TABLE_PATTERN = re.compile(rf"(?m)^{LINE}(?:\n|\Z)")


class UnusualSpelling(ParseError):
    """A line that was understood and kept, though something between the kernel and here has altered it."""


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

    *strict* raises at the first line that is no mountinfo. Otherwise every good line is kept, and what is wrong
    with the others is in :attr:`MountTable.problems`.

    :raises ParseError: *strict*, and *data* is not a table: names file, line and column, and what was expected.
    """
    text = decode(data)
    lines = text.count("\n") + (text != "" and not text.endswith("\n"))
    reader = RecordReader(plain=not ("\\" in text or "\t" in text or "#" in text))
    table = MountTable(reader.mount(match.groups()) for match in _TABLE_PATTERN.finditer(text))
    table.unterminated = lines > text.count("\n")
    if len(table) != lines or (not strict and "  - " in text):
        table = _line_by_line(text, reader, strict=strict, file=file)
    if 2 <= text.count("\r\n") == text.count("\n"):
        crlf = _crlf(text, file)
        if strict:
            raise crlf
        table.problems = (crlf, *table.problems)
    return table


def format_mountinfo(mounts: Iterable[Mount]) -> bytes:
    """The table of *mounts*, as the kernel prints it: the exact inverse of :func:`parse_mountinfo`.

    A mount that was read from another spelling than the kernel's is written as it was, unless it was changed
    since. Every line ends in a newline, except the last one of a :class:`MountTable` that was read without.

    :raises UsageError: a mount that no line can say, such as one with a space in its options.
    """
    table = b"".join(line_of(mount) + b"\n" for mount in mounts)
    return table[:-1] if isinstance(mounts, MountTable) and mounts.unterminated else table


def _line_by_line(text: str, reader: RecordReader, *, strict: bool, file: str) -> MountTable:
    """A table with lines that are, or may be, no mountinfo."""
    table = MountTable()
    problems: list[ParseError] = []
    lines = text.split("\n")
    unterminated = lines[-1] != ""
    if not unterminated:
        lines.pop()
    for number, line in enumerate(lines, 1):
        cut_off = unterminated and number == len(lines)
        match = LINE_PATTERN.fullmatch(line)
        if match is None and len(problems) >= MOST_PROBLEMS:
            table.unlisted += 1
            continue
        try:
            fields = match.groups() if match else read_line(encode(line), file=file, number=number, cut_off=cut_off)
        except ParseError as error:
            if strict:
                raise
            problems.append(error)
            continue
        table.append(reader.mount(fields))
        table.unterminated = cut_off
        if fields[6] != " ":
            continue
        if len(problems) < MOST_PROBLEMS:
            problems.append(_lone_space(line, fields, file, number))
        else:
            table.unlisted += 1
    table.problems = tuple(problems)
    return table


def _lone_space(line: str, fields: Fields, file: str, number: int) -> UnusualSpelling:
    return UnusualSpelling(
        "found two spaces",
        file=file,
        line=number,
        column=len(encode(" ".join(fields[:6]))) + 2,
        text=encode(line),
        expected="one, as there are no optional fields",
        hint="no kernel writes this; the line is kept",
    )


def _crlf(text: str, file: str) -> UnusualSpelling:
    line = encode(text.partition("\n")[0])
    return UnusualSpelling(
        "found a carriage return at the end of every line",
        file=file,
        line=1,
        column=len(line),
        text=line,
        hint="the file has Windows line ends: remove the carriage returns",
    )
