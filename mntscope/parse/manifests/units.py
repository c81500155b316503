"""The lines of a unit file: systemd.syntax(7)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mntscope.base.records import NamedTuple
from mntscope.parse.manifests.containers import Where
from mntscope.parse.manifests.reading import Reading, shown
from mntscope.parse.manifests.volumes import Given

_SECTION = re.compile(r"\[([A-Za-z0-9 _-]{1,64})\]\s*\Z")
MOST_ASSIGNMENTS = 1 << 16
"""Of one file."""


class Assignment(NamedTuple):
    """``Name=value`` in a section; a value that goes on in further lines has a blank where each begins."""

    section: str
    name: str
    given: Given
    """The value."""

    @property
    def value(self) -> str:
        """The value alone."""
        return self.given.text

    @property
    def where(self) -> Where:
        """Where the value begins."""
        return self.given.where


def is_unit(text: str) -> bool:
    """Whether *text* is a unit file: its first line that says something is the header of a section."""
    for line in text[: 1 << 16].splitlines():
        stripped = line.strip()
        if stripped and not stripped.startswith(("#", ";")):
            return _SECTION.match(stripped) is not None
    return False


def assignments(text: str, reading: Reading) -> Iterator[Assignment]:
    """The assignments of *text*, in order."""
    section, count = "", 0
    for line, places in _logical_lines(text):
        stripped = line.strip()
        header = _SECTION.match(stripped)
        where = Where(reading.name, *places[len(line) - len(line.lstrip())])
        if header is not None:
            section = header[1]
            continue
        name, equals, value = line.partition("=")
        if not equals or not re.fullmatch(r"\s*[\w-]{1,80}\s*", name):
            reading.error(f"{shown(stripped)}: a line of a unit is [Section] or Name=value", where)
            continue
        count += 1
        if count > MOST_ASSIGNMENTS:
            reading.error(f"more than {MOST_ASSIGNMENTS} assignments: those from here on are left out", where)
            return
        begin = len(name) + 1 + len(value) - len(value.lstrip())
        yield Assignment(section, name.strip(), _given(value.strip(), places[begin:], reading))


def kept(entries: Sequence[Assignment]) -> list[Assignment]:
    """Those that count: an empty assignment takes back those of its name before it."""
    taken_back = {entry.name: at for at, entry in enumerate(entries) if not entry.value}
    return [entry for at, entry in enumerate(entries) if at > taken_back.get(entry.name, -1)]


def _given(text: str, places: Sequence[tuple[int, int]], reading: Reading) -> Given:
    def at(offset: int) -> Where:
        return Where(reading.name, *places[min(offset, len(places) - 1)])

    return Given(text, at(0), at)


def _logical_lines(text: str) -> Iterator[tuple[str, Sequence[tuple[int, int]]]]:
    """Lines that are not empty or a comment, those that a backslash joins as one, with the place of each character."""
    parts: list[tuple[int, str]] = []
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.rstrip("\r")
        if line.lstrip().startswith(("#", ";")) or not (line.strip() or parts):
            # Within a value that goes on, comments are left out as well.
            continue
        if line.endswith("\\"):
            parts.append((number, line[:-1] + " "))
            continue
        yield _joined([*parts, (number, line)])
        parts = []
    if parts:
        yield _joined(parts)


def _joined(parts: Sequence[tuple[int, str]]) -> tuple[str, Sequence[tuple[int, int]]]:
    joined = "".join(line for _, line in parts)
    places = [(number, column) for number, line in parts for column in range(1, len(line) + 1)]
    number, last = parts[-1]
    return joined, [*places, (number, len(last) + 1)]


def words(given: Given, reading: Reading) -> list[Given]:
    """The words of a value, quotes and backslashes undone (systemd.syntax(7), "Quoting")."""
    found: list[Given] = []
    for match in _WORD.finditer(given.text):
        text, offsets = _unquoted(match[0], match.start())
        if match[0][0] in "\"'" and (len(match[0]) < 2 or match[0][-1] != match[0][0]):
            reading.error(f"{shown(match[0])}: a quote that is not closed", given.behind(match.start()).where)
            continue
        found.append(_part(given, text, offsets))
    return found


# A quoted word, or one that holds blanks only behind a backslash.
_WORD = re.compile(r"\"(?:[^\"\\]|\\.)*+\"?|'(?:[^'\\]|\\.)*+'?|(?:[^\s\\]|\\.|\\\Z)++", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|([0-7]{3})|(.)|\Z)", re.DOTALL)
_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "s": " "}


def _unquoted(word: str, begin: int) -> tuple[str, list[int]]:
    inner = 1 if word[0] in "\"'" else 0
    end = len(word) - 1 if inner and len(word) > 1 else len(word)
    chars: list[str] = []
    offsets: list[int] = []
    at = inner
    while at < end:
        escape = _ESCAPE.match(word, at, end) if word[at] == "\\" else None
        if escape is None:
            char, width = word[at], 1
        else:
            code = int(escape[1], 16) if escape[1] else int(escape[2], 8) if escape[2] else None
            char = chr(code) if code is not None else _LETTERS.get(escape[3] or "", escape[3] or "")
            width = len(escape[0])
        chars.append(char)
        offsets.append(begin + at)
        at += width
    # Every escape is one character, but for the backslash at the very end, which is none.
    return "".join(chars), [*offsets[: len("".join(chars))], begin + end]


def _part(given: Given, text: str, offsets: Sequence[int]) -> Given:
    at = given.at
    if at is None:
        return Given(text, given.where)
    return Given(text, at(offsets[0]), lambda offset: at(offsets[min(offset, len(offsets) - 1)]))
