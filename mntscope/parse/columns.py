"""A table of mounts as columns: numbers in arrays, text left where it stands until it is asked for.

For tables of tens of thousands of lines, and for data frames. Nearly all lines that kernels write are recognised
together (:mod:`mntscope.parse.scan`); every other line is read as :func:`~mntscope.parse.parse_mountinfo` reads it,
and so has the same fields, or the same problem.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from operator import add
from typing import Any, TypeAlias, overload

from mntscope.errors import MissingLibraryError, ParseError

try:
    import numpy as np
    import numpy.typing as npt
except ModuleNotFoundError:
    raise MissingLibraryError("a table as columns", "numpy") from None

from mntscope.model import Mount
from mntscope.parse.escapes import unescape
from mntscope.parse.mountinfo import MOST_PROBLEMS
from mntscope.parse.pattern import FIELDS, FORM
from mntscope.parse.problems import Problems
from mntscope.parse.records import Fields, RecordReader, decode, encode
from mntscope.parse.scan import NONE, devices, most_frequent, scan

__all__ = ["NONE", "Columns", "parse_columns", "parse_tables"]

Ints: TypeAlias = npt.NDArray[Any]
Truths: TypeAlias = npt.NDArray[np.bool_]

_STRETCH = 3 << 19
"""How many bytes are looked at together: enough that numpy's calls do not count, and few enough for a cache."""

_PIECE = 1 << 17
"""The same, where single bytes are looked at."""

_ROWS = 1 << 14
"""How many mounts are: of what has been read already."""

_NAMES = tuple(FIELDS)
_GAPS = [len(between) for between in FORM.split("%s")[:-1]]
"""How many bytes stand between each field and the one before it."""
_ESCAPED = frozenset(("root", "mount_point", "fs_type", "source"))
_IDS = {
    "mount_id": "mount_id",
    "parent_id": "parent_id",
    "shared": "peer_group",
    "master": "master",
    "propagate_from": "propagate_from",
}
"""What the grammar's numbers are called in :class:`~mntscope.model.Mount`."""


class Columns(Sequence[Mount]):
    """The mounts of one table, in its order, as columns. A mount of it is made when it is asked for.

    For each mount 65 bytes are kept, beside the table itself.
    """

    problems: tuple[ParseError, ...] = ()
    """This and what follows is as in a :class:`~mntscope.parse.MountTable`."""
    unlisted: int = 0
    unterminated: bool = False

    def __init__(
        self, data: bytes, marks: list[Ints], ids: dict[str, Ints], unbindable: Truths, *, controls: bool
    ) -> None:
        self.data = data
        """The table."""
        self.unbindable = unbindable
        self._parts = marks
        self._ids = ids
        self._controls = controls

    @property
    def _marks(self) -> Ints:
        """Where the fields are; put together when it is first asked for."""
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts, axis=1)]
        return self._parts[0]

    def __len__(self) -> int:
        return len(self.unbindable)

    @overload
    def __getitem__(self, index: int) -> Mount: ...
    @overload
    def __getitem__(self, index: slice) -> list[Mount]: ...
    def __getitem__(self, index: int | slice) -> Mount | list[Mount]:
        if isinstance(index, slice):
            return self.mounts(range(*index.indices(len(self))))
        return self.mounts([range(len(self))[index]])[0]

    def mounts(self, rows: Iterable[int]) -> list[Mount]:
        """The mounts of these rows, counted from 0."""
        return RecordReader().mounts(map(self._fields, rows))

    def ids(self, name: str) -> Ints:
        """The numbers ``mount_id``, ``parent_id``, ``peer_group``, ``master`` or ``propagate_from``.

        :data:`NONE` where there is none. They are int32, as in the kernel; int64 where one does not fit, and integers
        of any size (dtype object) where one does not fit there either.
        """
        return self._ids[name]

    def devices(self) -> npt.NDArray[np.int64]:
        """The devices as numbers: ``major << 32 | minor``.

        :data:`NONE` where a device is not written as kernels do (``00:1``); then only its text tells it from others.
        """
        starts, ends = self.spans("device")
        found = np.empty(len(self), np.int64)
        for row in range(0, len(self), _ROWS):
            rows = slice(row, row + _ROWS)
            found[rows] = devices(self.data, starts[rows], ends[rows])
        return found

    def spans(self, name: str) -> tuple[Ints, Ints]:
        """Where the field *name* of each mount begins in :attr:`data`, and where it ends.

        Beside those of :class:`~mntscope.model.Mount` there is ``optional_fields``: all of them, each with the space
        before it.
        """
        number = _NAMES.index(name)
        return self._marks[number] + _GAPS[number], self._marks[number + 1]

    def text(self, name: str, rows: Ints | None = None) -> list[str]:
        """The field *name* of each mount, or of those in these *rows*.

        Roots, mount points, types and sources are unescaped, others as printed.
        """
        starts, ends = self.spans(name)
        if rows is not None:
            starts, ends = starts[rows], ends[rows]
        places = zip(starts.tolist(), ends.tolist(), strict=True)
        if 2 * len(starts) > len(self) and self.data.isascii():
            text = self.data.decode("ascii")
            cut = [text[start:end] for start, end in places]
        else:
            cut = [decode(self.data[start:end]) for start, end in places]
        return [unescape(text) for text in cut] if name in _ESCAPED and b"\\" in self.data else cut

    def coded(self, name: str) -> tuple[npt.NDArray[np.int32], list[str]]:
        """The field *name*, where few texts occur often: for each mount the number of its text; and the texts.

        These are numbered from 0, in the order in which they are first met.
        """
        codes, firsts, others = most_frequent(self.data, *self.spans(name))
        numbers = _Numbers(zip(self.text(name, firsts), range(len(firsts)), strict=True))
        if len(others):
            codes[others] = np.fromiter(map(numbers.__getitem__, self.text(name, others)), np.int32, len(others))
        return codes, list(numbers)

    def unprintable(self) -> Ints:
        """The rows of lines in which there are backslashes, or bytes that are not printable ASCII.

        In all others, names are what is written.
        """
        special = self._controls or not self.data.isascii() or b"\\" in self.data or b"\x7f" in self.data
        text = np.frombuffer(self.data if special else b"", np.uint8)
        odd = [np.empty(0, np.int64)]
        for begin in range(0, len(text), _PIECE):
            part = text[begin : begin + _PIECE]
            # In unsigned arithmetic, whatever is below the space comes to lie above the tilde.
            where = (part - ord(" ") > ord("~") - ord(" ")) & (part != ord("\n")) | (part == ord("\\"))
            odd.append(np.unique(np.searchsorted(self._marks[-1], np.flatnonzero(where) + begin)))
        rows = np.unique(np.concatenate(odd))
        return rows[rows < len(self)]

    def unknown_tags(self) -> dict[int, tuple[str, ...]]:
        """The optional fields that :class:`~mntscope.model.Mount` has no other name for, by row; few have any."""
        starts, ends = self.spans("optional_fields")
        known = np.where(self.unbindable, len(" unbindable"), 0)
        for tag, name in _IDS.items():
            if name not in ("mount_id", "parent_id"):
                known += _width(self._ids[name], len(f" {tag}:"))
        rows = np.flatnonzero(ends - starts != known).tolist()
        found = zip(rows, self.mounts(rows), strict=True)
        return {row: mount.unknown_tags for row, mount in found if mount.unknown_tags}

    def _fields(self, row: int) -> Fields:
        marks = self._marks[:, row].tolist()
        return tuple(decode(self.data[marks[at] + gap : marks[at + 1]]) for at, gap in enumerate(_GAPS))


def _width(numbers: Ints, before: int) -> Ints:
    """How many characters each of the numbers takes, and those *before* it; none where there is no number."""
    width: Ints = (numbers != NONE) * (before + 1)
    for power in range(1, len(str(numbers.max(initial=0)))):
        width += numbers >= 10**power
    return width


class _Numbers(dict[str, int]):
    """A number for each text, in the order in which they are first met."""

    def __missing__(self, text: str) -> int:
        number = self[text] = len(self)
        return number


def parse_columns(data: bytes, *, strict: bool = True, file: str = "<mountinfo>") -> Columns:
    """The mounts of the table *data* as columns: those that :func:`~mntscope.parse.parse_mountinfo` gives.

    :raises ParseError: *strict*, and *data* is not a table: the same error, too.
    """
    problems = Problems(strict=strict, file=file, most=MOST_PROBLEMS)
    reading = _Reading(data, problems)
    problems.windows(data)
    return reading.columns()


def parse_tables(tables: Mapping[str, bytes]) -> tuple[Columns, npt.NDArray[np.int32]]:
    """The mounts of several tables as the columns of one, and for each of them the number of its table.

    It takes no longer for many small tables than for one large one.

    :raises ParseError: one of them is not a table; its key is what the error calls the file.
    """
    data = b"".join(table if table[-1:] in (b"", b"\n") else table + b"\n" for table in tables.values())
    try:
        columns = _Reading(data, Problems(strict=True, file="", most=1)).columns()
    except ParseError:
        for label, table in tables.items():
            parse_columns(table, file=label)
        raise
    if b"\r" in data:
        for label, table in tables.items():
            Problems(strict=True, file=label, most=1).windows(table)
    sizes = [len(table) + (table[-1:] not in (b"", b"\n")) for table in tables.values()]
    begins = np.searchsorted(columns.spans("mount_id")[0], np.cumsum([0, *sizes]))
    return columns, np.repeat(np.arange(len(sizes), dtype=np.int32), np.diff(begins))


class _Reading:
    """Reads the table *data*, a stretch of lines after the other."""

    def __init__(self, data: bytes, problems: Problems) -> None:
        self.data = data
        self.unterminated = data[-1:] not in (b"", b"\n")
        self.problems = problems
        self.records = RecordReader()
        self.place: type[np.integer[Any]] = np.int32 if len(data) < 1 << 31 else np.int64
        # Of each stretch, as bad lines may be any number and are not to be kept.
        self.marks: list[Ints] = [np.empty((1 + len(_NAMES), 0), self.place)]
        self.ids: dict[str, list[Ints]] = {name: [np.empty(0, np.int32)] for name in _IDS.values()}
        self.unbindable: list[Truths] = [np.empty(0, np.bool_)]
        self.controls = False
        self.done = begin = 0
        while begin < len(data):
            end = data.find(b"\n", begin + _STRETCH) + 1 or len(data)
            self._read(begin, end)
            begin = end

    def columns(self) -> Columns:
        """The columns of all lines that are mountinfo, and the problems of the others."""
        ids = {name: np.concatenate(numbers) for name, numbers in self.ids.items()}
        columns = Columns(self.data, self.marks, ids, np.concatenate(self.unbindable), controls=self.controls)
        columns.problems, columns.unlisted = tuple(self.problems.listed), self.problems.unlisted
        columns.unterminated = self.unterminated and self.marks[-1][-1, -1:].tolist() == [len(self.data)]
        return columns

    def _read(self, begin: int, end: int) -> None:
        """Read the lines from byte *begin* to byte *end*, between which they are whole, and add them to the columns."""
        found = scan(self.data, begin, end, self.place)
        marks = found.marks
        self.controls |= found.controls
        ids = {_IDS[name]: numbers for name, numbers in found.ids.items()}
        unbindable = found.flags["unbindable"]
        if not found.known.all():
            good = self._read_one_by_one(np.flatnonzero(~found.known), marks, ids, unbindable)
            good |= found.known
            marks, unbindable = marks[:, good], unbindable[good]
            ids = {name: numbers[good] for name, numbers in ids.items()}
        self.marks.append(marks)
        for name, numbers in ids.items():
            self.ids[name].append(numbers.astype(np.int32) if numbers.max(initial=NONE) < 1 << 31 else numbers)
        self.unbindable.append(unbindable)
        self.done += len(found.known)

    def _read_one_by_one(self, rows: Ints, marks: Ints, ids: dict[str, Ints], unbindable: Truths) -> Truths:
        """Read the lines in these *rows* as :func:`parse_mountinfo` would, and put them into the columns given.

        Gives which of all rows were read so.
        """
        good = np.zeros(len(unbindable), np.bool_)
        kept, lines, places = [], [], []
        for row, start, end in zip(rows.tolist(), marks[0, rows].tolist(), marks[-1, rows].tolist(), strict=True):
            cut_off = self.unterminated and end == len(self.data)
            fields = self.problems.fields(decode(self.data[start:end]), self.done + row + 1, cut_off=cut_off)
            if fields is not None:
                kept.append(row)
                lines.append(fields)
                places.append(list(accumulate(map(add, _GAPS, map(len, map(encode, fields))), initial=start)))
        if not kept:
            return good
        good[kept] = True
        marks[:, kept] = np.transpose(places)
        mounts = self.records.mounts(lines)
        for name, column in ids.items():
            numbers = [NONE if number is None else number for mount in mounts for number in [getattr(mount, name)]]
            # A number that int64 cannot hold makes the column one of objects.
            ids[name] = column.astype(object) if max(numbers) >= 1 << 63 else column
            ids[name][kept] = numbers
        unbindable[kept] = [mount.unbindable for mount in mounts]
        return good
