"""Recognises lines of mountinfo by the thousand, with numpy: where each field ends, and what its numbers are.

What is recognised is a part of the language, and never more than it. Which part is chosen by the expressions derived
from the grammar, one a field: a field whose expression is not among those that are known here cannot be looked at, and
importing this module fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mntscope.base.records import NamedTuple
from mntscope.parse.pattern import FIELDS, FORM, OPTIONAL_FIELDS

Ints: TypeAlias = npt.NDArray[np.int64]
Words: TypeAlias = npt.NDArray[np.uint64]
Truths: TypeAlias = npt.NDArray[np.bool_]
Places: TypeAlias = npt.NDArray[np.int8]

NONE = -1
"""No number: the optional field is absent."""

_NUMBER = r"(?!0[0-9])[0-9]{1,19}+"
_GROUP = r"[1-9][0-9]{0,18}"
_MORE = r"(?>\\[0-3][0-7]{2}[^ \n\0\\]*+)*+"
_NAME = rf"(?:(?>[^ \n\0\\]++|\\[0-3][0-7]{{2}}[^ \n\0\\]*+){_MORE})"
_NUMBERED = tuple(name for name, expression in OPTIONAL_FIELDS.items() if expression == f"{name}:{_GROUP}")
_FLAGS = tuple(name for name, expression in OPTIONAL_FIELDS.items() if expression == rf"{name}(?![^ \n])")
_EXCLUDED = "|".join(
    [r"-(?![^ \n])", *(rf"{name}(?![^ \n])" for name in _FLAGS), *(f"{name}:" for name in _NUMBERED), ":"]
)
_NAMES = tuple(FIELDS)
_BEFORE = _NAMES[: _NAMES.index("optional_fields")]
_BEHIND = _NAMES[_NAMES.index("optional_fields") + 1 :]

# The arrangement of fields that scan() goes along; and what else an optional field may be: any other word. Those that
# are known come in their order, each once, and the third only behind the second.
assert (_NUMBERED, _FLAGS) == (("shared", "master", "propagate_from"), ("unbindable",))
_OTHERS = rf"(?> (?:(?!{_EXCLUDED})[^ \n\0]+))*+"
_SHARED, _MASTER, _FROM, _UNBINDABLE = (f" {OPTIONAL_FIELDS[name]}{_OTHERS}" for name in (*_NUMBERED, *_FLAGS))
_IN_ORDER = f"{_OTHERS}(?>{_SHARED})?+(?>{_MASTER}(?>{_FROM})?+)?+(?>{_UNBINDABLE})?+"
assert FIELDS["optional_fields"] == _IN_ORDER
assert FORM == "%s %s %s %s %s %s%s - %s %s %s"
_FEWEST_SPACES = FORM.count(" ")
_SEPARATOR = b" - "

_PIECE = 1 << 17
_PAD = 32
_MOST_DIGITS = 18
_MOST_OF_DEVICE = 16
_MOST_OPTIONAL_FIELDS = 8

# A word is rare if fewer than one in so many are the same; after so many of them, it does not pay to go on.
_RARE = 16
_MOST_RARE = 4


class Scan(NamedTuple):
    """What was recognised of the lines of a text. Of a line that is not recognised, only where it begins and ends."""

    known: Truths
    """Which lines are recognised."""
    marks: npt.NDArray[Any]
    """Where lines begin, and behind that a row for each field: where it ends; the last one ends where the line does."""
    ids: dict[str, Ints]
    """The numbers: ``mount_id``, ``parent_id``, and those of the optional fields, by their names; or :data:`NONE`."""
    flags: dict[str, Truths]
    """Which lines have the optional fields without a number."""
    controls: bool
    """Whether there are control characters in the text, beside the newlines."""


def scan(text: bytes, begin: int = 0, end: int | None = None, place: type[np.integer[Any]] = np.int64) -> Scan:
    """Looks at the lines of *text* from *begin* to *end*, of which there is at least one.

    A line may be of any length, and the last one of the text unterminated. *place* is a type for the marks.
    """
    end = len(text) if end is None else end
    page = _Page(text, begin, end)
    blanks, ends, controls = page.blanks()
    rows = np.flatnonzero(np.diff(ends) > _FEWEST_SPACES)
    size = len(ends) - 1
    whole = len(rows) == size
    first, last = (ends[:-1] + 1, ends[1:]) if whole else (ends[:-1][rows] + 1, ends[1:][rows])
    lines = _Lines(page, blanks, first, last)

    def of_all(values: npt.NDArray[Any], default: Any) -> npt.NDArray[Any]:
        if whole:
            return values
        spread = np.full(size, default, values.dtype)
        spread[rows] = values
        return spread

    marks = np.empty((1 + len(_NAMES), size), place)
    each = [blanks[ends[:-1]] + 1, *(of_all(mark, 0) for mark in lines.marks[:-1]), blanks[ends[1:]]]
    for row, mark in enumerate(each):
        np.add(mark, begin - _PAD, out=marks[row], casting="unsafe")
    known = of_all(lines.good, False)
    known[np.searchsorted(blanks[ends], page.odd()) - 1] = False
    return Scan(
        known,
        marks,
        {name: of_all(numbers, NONE) for name, numbers in lines.ids.items()},
        {name: of_all(answers, False) for name, answers in lines.flags.items()},
        controls,
    )


def devices(text: bytes, starts: Ints, ends: Ints) -> Ints:
    """The devices that stand in *text* from *starts* to *ends*, in ascending order: ``major << 32 | minor``.

    :data:`NONE` for one that no kernel writes so: a number with a leading zero, or of more than 31 bits.
    """
    begin, end = int(starts[0]), int(ends[-1])
    page = _Page(text, begin, end)
    starts, ends = starts.astype(np.int64) - begin, ends.astype(np.int64) - begin
    good, colon = page.device(starts + _PAD, ends + _PAD)
    colon[~good] = starts[~good] + _PAD + 1
    good_major, major = page.number(starts + _PAD, colon)
    good_minor, minor = page.number(colon + 1, ends + _PAD)
    good &= good_major & good_minor & (major < 1 << 31) & (minor < 1 << 31)
    return np.where(good, major << 32 | minor, NONE)


def most_frequent(text: bytes, starts: Ints, ends: Ints) -> tuple[npt.NDArray[np.int32], Ints, Ints]:
    """Numbers the words from *starts* to *ends* in the order in which they first stand there, as far as it pays.

    Gives the number of each word, or :data:`NONE`; where each numbered word is first; and where the others are.
    """
    widths = ends - starts
    codes = np.full(len(starts), NONE, np.int32)
    # What lies within eight bytes of the end is left to others.
    others = np.flatnonzero(ends <= len(text) - 8)
    near_end = np.flatnonzero(ends > len(text) - 8)
    words = np.ndarray(max(0, len(text) - 7), "<u8", text, strides=(1,))
    firsts: list[int] = []
    rare = 0
    while len(others) and rare < _MOST_RARE:
        first, end = int(starts[others[0]]), int(ends[others[0]])
        equal = np.flatnonzero(widths[others] == end - first)
        for begin in range(first, end, 8):
            if len(equal) == 1:
                break
            found = words[starts[others[equal]] + (begin - first)]
            equal = equal[_equal(found, text[begin : min(begin + 8, end)])]
        rare += len(equal) * _RARE < len(others)
        codes[others[equal]] = len(firsts)
        firsts.append(int(others[0]))
        others = np.delete(others, equal)
    return codes, np.array(firsts, np.int64), np.concatenate((others, near_end))


class _Lines:
    """Lines that have spaces enough.

    *blanks* are the positions of all spaces and newlines; *first* and *last* say which of them are the first space of
    each line, and its end.
    """

    def __init__(self, page: _Page, blanks: Ints, first: Ints, last: Ints) -> None:
        self.page = page
        self.blanks = blanks
        self.last = last
        self.good = np.ones(len(first), np.bool_)
        self.ids: dict[str, Ints] = {}
        self.flags: dict[str, Truths] = {}
        # Each row of such an array is of all lines: here the blank before the line, and that after each field.
        blank = blanks[first + np.arange(-1, len(_BEFORE))[:, np.newaxis]]
        self.fields(_BEFORE, blank[:-1] + 1, blank[1:])
        after = self.optional_fields(first + len(_BEFORE))
        self.good &= after + len(_BEHIND) <= last
        # Of a line that is not good, any blank will do.
        behind = blanks[np.minimum(after + np.arange(len(_BEHIND))[:, np.newaxis], last)]
        ends = np.concatenate((behind[1:], blanks[last][np.newaxis]))
        self.fields(_BEHIND, behind + 1, ends)
        self.marks = [*blank[1:], behind[0] - (len(_SEPARATOR) - 1), *ends]

    def fields(self, names: Sequence[str], starts: Ints, ends: Ints) -> None:
        """Looks at the fields of these names; at those of one expression together."""
        for expression, check in _CHECKS.items():
            rows = [row for row, name in enumerate(names) if FIELDS[name] == expression]
            if not rows:
                continue
            good, numbers = check(self.page, starts[rows], ends[rows])
            for row, answers in zip(rows, good, strict=True):
                self.good &= answers
                if numbers is not None:
                    self.ids[names[row]] = numbers[rows.index(row)]

    def optional_fields(self, at: Ints) -> Ints:
        """Looks at the first one of all lines, then at the second one, until the separators have been found.

        *at* are the blanks behind where the first would be. Gives those behind the separators; of a bad line, one that
        is behind all lines.
        """
        self.ids |= {name: np.full(len(at), NONE) for name in _NUMBERED}
        self.flags |= {name: np.zeros(len(at), np.bool_) for name in _FLAGS}
        # Which of the known ones came last, counted from 1.
        came = np.zeros(len(at), np.int8)
        after = np.full(len(at), len(self.blanks))
        rows = np.arange(len(at))
        for _ in range(_MOST_OPTIONAL_FIELDS + 1):
            starts = self.blanks[at - 1]
            words = self.page.words[starts]
            separated = _equal(words, _SEPARATOR)
            after[rows[separated]] = at[separated]
            others = np.flatnonzero(~separated & (at < self.last[rows]))
            if not len(others):
                break
            rows, at, starts, words = rows[others], at[others], starts[others], words[others]
            good = self.one_optional_field(rows, starts, self.blanks[at], words, came)
            rows, at = rows[good], at[good] + 1
        return after

    def one_optional_field(self, rows: Ints, starts: Ints, ends: Ints, words: Words, came: Places) -> Truths:
        """Which of the lines *rows* have an optional field from *starts*, the space before it, to *ends*.

        *words* are the first bytes from *starts*; *came* is which of the known fields each of all lines had last.
        """
        good: Truths = (ends - starts > 1) & (words & np.uint64(0xFF00) != ord(":") << 8)
        for place, name in enumerate(_NUMBERED, 1):
            prefix = f" {name}:".encode()
            has = self.page.beginning(starts, words, prefix)
            if len(has):
                good[has], numbers = self.page.number(starts[has] + len(prefix), ends[has])
                lines = rows[has]
                good[has] &= (numbers != 0) & (came[lines] < place)
                if name == "propagate_from":
                    good[has] &= came[lines] == place - 1
                self.ids[name][lines] = numbers
                came[lines] = place
        for place, name in enumerate(_FLAGS, len(_NUMBERED) + 1):
            prefix = f" {name}".encode()
            has = self.page.beginning(starts, words, prefix)
            has = has[ends[has] - starts[has] == len(prefix)]
            lines = rows[has]
            good[has] &= came[lines] < place
            self.flags[name][lines] = True
            came[lines] = place
        return good


class _Page:
    """Part of a text between two pads, to be read eight bytes at a time from anywhere; positions count the pad.

    The first byte of a word is its lowest. A digit is looked at as its value, what stands beside it as 0.
    """

    def __init__(self, text: bytes, begin: int, end: int) -> None:
        self.size = end - begin
        if _PAD <= begin and end <= len(text) - _PAD:
            # What stands around it does as well as a pad.
            padded = memoryview(text)[begin - _PAD : end + _PAD]
        else:
            padded = memoryview(b"".join((b"\n" * _PAD, memoryview(text)[begin:end], b"\n" * _PAD)))
        self.bytes = np.frombuffer(padded, np.uint8)
        self.words: Words = np.ndarray(len(padded) - 7, "<u8", padded, strides=(1,))
        self.text, self.begin = text, begin

    def blanks(self) -> tuple[Ints, Ints, bool]:
        """The positions of all spaces and newlines, from the one before to the one behind, and which are newlines.

        And whether there are other control characters.
        """
        end = _PAD + self.size
        end += self.bytes[end - 1] != ord("\n")
        # Other characters up to the space are rare: to compare once, and to sort them out, is quicker.
        places = np.concatenate(
            [
                np.flatnonzero(self.bytes[begin : min(begin + _PIECE, end)] <= ord(" ")) + begin
                for begin in range(_PAD - 1, end, _PIECE)
            ]
        )
        found = self.bytes[places]
        newlines = found == ord("\n")
        blank = newlines | (found == ord(" "))
        controls = not blank.all()
        if controls:
            places, newlines = places[blank], newlines[blank]
        return places, np.flatnonzero(newlines), controls

    def odd(self) -> Ints:
        """The positions of NULs, and of backslashes that do not begin an escape."""
        nuls, slashes = self.positions(b"\0"), self.positions(b"\\")
        first, second, third = (self.bytes[slashes + place] - np.uint8(ord("0")) for place in (1, 2, 3))
        return np.concatenate((nuls, slashes[(first > 3) | (second > 7) | (third > 7)]))

    def positions(self, byte: bytes) -> Ints:
        """The positions of a byte that is rare."""
        found = self.text.find(byte, self.begin, self.begin + self.size)
        if found < 0:
            return np.empty(0, np.int64)
        begins = range(_PAD + found - self.begin, _PAD + self.size, _PIECE)
        ends = (min(begin + _PIECE, _PAD + self.size) for begin in begins)
        pieces = zip(begins, ends, strict=True)
        return np.concatenate([np.flatnonzero(self.bytes[begin:end] == ord(byte)) + begin for begin, end in pieces])

    def beginning(self, starts: Ints, words: Words, literal: bytes) -> Ints:
        """Which *starts* the text begins at with *literal*; *words* are the first bytes from there."""
        found = np.flatnonzero(_equal(words, literal[:8]))
        for begin in range(8, len(literal), 8):
            if len(found):
                found = found[_equal(self.words[starts[found] + begin], literal[begin : begin + 8])]
        return found

    def word(self, starts: Ints, ends: Ints) -> tuple[Truths, None]:
        """Which of the stretches from *starts* to *ends* hold at least one character."""
        return starts < ends, None

    def path(self, starts: Ints, ends: Ints) -> tuple[Truths, None]:
        """Which of them begin with a slash, as the absolute path of a mount point does."""
        return (starts < ends) & (self.bytes[starts] == ord("/")), None

    def anything(self, starts: Ints, ends: Ints) -> tuple[Truths, None]:
        """Which of them are stretches at all: a source may be empty."""
        return starts <= ends, None

    def options(self, starts: Ints, ends: Ints) -> tuple[Truths, None]:  # noqa: ARG002 - as every check
        """Which of them begin with ``rw`` or ``ro``, and end there or go on with a comma."""
        return self._one_of(starts, b"rw,", b"rw ", b"ro,", b"ro "), None

    def super_options(self, starts: Ints, ends: Ints) -> tuple[Truths, None]:  # noqa: ARG002 - the same
        """The same, or they go on with a carriage return; behind them, the line ends."""
        return self._one_of(starts, b"rw,", b"rw\n", b"ro,", b"ro\n", b"rw\r", b"ro\r"), None

    def _one_of(self, starts: Ints, likely: bytes, *others: bytes) -> Truths:
        """Which of the stretches begin with one of these, of which the first is likely."""
        words = self.words[starts]
        good = _equal(words, likely)
        rest = ~good
        if rest.any():
            words = words[rest]
            good[rest] = np.logical_or.reduce([_equal(words, other) for other in others])
        return good

    def number(self, starts: Ints, ends: Ints) -> tuple[Truths, Ints]:
        """Which are decimal numbers without a leading zero, of so many digits as int64 can hold; and their values."""
        widths = ends - starts
        good = (widths > 0) & (widths <= _MOST_DIGITS) & ((self.bytes[starts] != ord("0")) | (widths == 1))
        values = np.zeros(starts.shape, np.uint64)
        power = 1
        for word in self._digits(ends, widths, _MOST_DIGITS):
            good &= _not_digits(word) == 0
            # Digits to pairs of them, these to fours, these to eight.
            pairs = (word * np.uint64(10) + (word >> np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
            fours = (pairs * np.uint64(100) + (pairs >> np.uint64(16))) & np.uint64(0x0000FFFF0000FFFF)
            eights = (fours * np.uint64(10_000) + (fours >> np.uint64(32))) & np.uint64(0x00000000FFFFFFFF)
            values += eights * np.uint64(power)
            power *= 10**8
        return good, values.view(np.int64)

    def device(self, starts: Ints, ends: Ints) -> tuple[Truths, Ints]:
        """Which are two numbers, not too long, with a colon between them; and where that is."""
        widths = ends - starts
        good = (widths > 0) & (widths <= _MOST_OF_DEVICE)
        good &= (self.bytes[starts] != ord(":")) & (self.bytes[ends - 1] != ord(":"))
        colons = np.zeros(starts.shape, np.int64)
        places = np.zeros(starts.shape, np.int64)
        for number, word in enumerate(self._digits(ends, widths, _MOST_OF_DEVICE), 1):
            others = _not_digits(word)
            # One byte at most, and that the colon: its highest bit is set in others.
            good &= others & (others - np.uint64(1)) == 0
            one = others >> np.uint64(7)
            good &= word & (one * np.uint64(0xFF)) == one * np.uint64(ord(":") ^ ord("0"))
            has = others != 0
            colons += has
            # The index of the byte that is 1.
            index = (one * np.uint64(0x0001020304050607) >> np.uint64(56)).view(np.int64)
            places += np.where(has, ends - 8 * number + index, 0)
        return good & (colons == 1), places

    def _digits(self, ends: Ints, widths: Ints, most: int) -> list[Words]:
        """The texts before *ends*, of no more than *most* bytes of them, in words from the right."""
        words = []
        longest = widths.max(initial=0)
        for begin in range(0, min(longest, most), 8):
            here = widths if longest <= 8 else np.clip(widths - begin, 0, 8)
            others = np.uint64(64) - here.view(np.uint64) * np.uint64(8)
            word = self.words[ends - begin - 8] ^ np.uint64(0x3030303030303030)
            words.append(word >> others << others)
        return words


def _not_digits(words: Words) -> Words:
    """The highest bit of every byte that is more than 9; all other bits are 0."""
    low = (words & np.uint64(0x7F7F7F7F7F7F7F7F)) + np.uint64(0x7676767676767676)
    return (low | words) & np.uint64(0x8080808080808080)


def _equal(words: Words, literal: bytes) -> Truths:
    """Which *words* begin with the bytes of *literal*, of which there are up to eight."""
    wanted = np.uint64(int.from_bytes(literal, "little"))
    equal: Truths = (words & np.uint64((1 << 8 * len(literal)) - 1)) == wanted
    return equal


_CHECKS: dict[str, Callable[[_Page, Ints, Ints], tuple[Truths, Ints | None]]] = {
    _NUMBER: _Page.number,
    r"[0-9]{1,19}+:[0-9]{1,19}+": lambda page, starts, ends: (page.device(starts, ends)[0], None),
    _NAME: _Page.word,
    rf"[^ \n\0\\/]*/[^ \n\0\\]*+{_MORE}": _Page.path,
    rf"(?>{_NAME})?+": _Page.anything,
    r"r[ow](?![^ ,\n])[^ \n\0]*+": _Page.options,
    r"r[ow](?![^,\r\n])[^\n\0]*+": _Page.super_options,
}
"""By the expression of a field, how it is looked at between blanks. For NULs and escapes see :meth:`_Page.odd`."""

assert all(FIELDS[name] in _CHECKS for name in (*_BEFORE, *_BEHIND))
