r"""Recordings of a watch: a snapshot and what changed since, in one file that is readable to its last whole line.

Each line is a JSON object. The first is the machine as it was when the file was begun; each other one is a moment at
which something changed, with what was told of it::

    {"format": "mntscope.recording/1",
     "time": 1767182671.5, "monotonic": 1812.25,
     "snapshot": {..},                         a snapshot, as :mod:`mntscope.archive.document` describes it
     "keys": {"host": [4294967297, ..], ..}}   for each view the key of each of its mounts, in the order of the table

    {"time": .., "monotonic": ..,
     "ended": ["4711"],                        views that are no more
     "born": [{..}],                           views that are new, as in a snapshot, without mounts,
     "gone": [["host", 4294967301], ..],       mounts that are no more: the view's label, and the key
     "set": [["host", 4294967302, "53 22 0:51 / /x rw - tmpfs x rw"], ..],    mounts that are new, or have become others
     "order": {"host": [..]},                  the keys in the order of the table, where that is not ascending
     "events": [{"schema": "mntscope.watch/1", ..}]}

A key is the unique id of a mount, or the mount ID where that is not known. What a mount says of ``propagate_from`` is
not recorded but follows from all tables. A file that has grown to its bound is renamed to ``FILE.1``, in the place of
the one before it, and another is begun: so there is always one that begins with a whole machine. Members may be added;
unknown ones are ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, BinaryIO

from mntscope.archive.document import LAST_SECOND, from_document
from mntscope.archive.limits import LARGEST, MOST_MOUNTS
from mntscope.base.display import Framed
from mntscope.base.records import replace
from mntscope.base.redaction import redact
from mntscope.errors import AccessError, MntscopeError, ParseError, TargetError, UsageError
from mntscope.graph.dominant import with_dominants
from mntscope.model import Mount, View
from mntscope.parse import parse_mountinfo
from mntscope.snapshot import Snapshot

FORMAT = "mntscope.recording/1"
MARK = b'{"format":"mntscope.recording/1"'
"""How a file begins that is one."""

LONGEST = LARGEST
"""Bytes of a line."""
MOST_LINES = 1 << 22

_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}(?:\.[0-9]{1,6})?))?")

Opened = Callable[[str], AbstractContextManager[BinaryIO]]
"""Opens a file, and does not wait for its filesystem for ever."""

When = float | str | datetime
"""Seconds since 1970; a time of day (``12:04:31``), or a date and one (``2026-05-01T12:04:31``); or a datetime."""


class Recording(Framed):
    """A recording in a file, and what came before it in ``FILE.1`` if that is there.

    It is read anew for each question: what is in memory is one state of the machine.

    :raises MntscopeError: there is no such file, or it is no recording.
    """

    def __init__(self, path: str, opened: Opened) -> None:
        self._opened = opened
        self.path = path
        """The file."""
        self.began = self.ended = 0.0
        """The times of the first and the last moment that are recorded, in seconds since 1970."""
        parts = [f"{path}.1", path]
        self._files: list[str] = []
        for file in parts:
            try:
                times = [line["time"] for line in self._lines(file)]
            except MntscopeError:
                # What lies beside it is another file's own affair.
                if file == path:
                    raise
                continue
            self._files.append(file)
            self.began = min(self.began or times[0], times[0])
            self.ended = max(times)

    @property
    def events(self) -> Iterator[dict[str, Any]]:
        """All that was told, one after the other, as ``mntscope watch --format json`` has it."""
        for file in self._files:
            for line in self._lines(file):
                yield from (event for event in _items(line, "events", file) if isinstance(event, dict))

    def at(self, when: When | None = None) -> Snapshot:
        """The machine as it was then; without a time, as it was last.

        :raises UsageError: it is no time.
        :raises TargetError: it is before the recording.
        """
        moment = self.ended if when is None else self._moment(when)
        if moment < self.began:
            hint = f"it was recorded from {_told(self.began)} to {_told(self.ended)}"
            raise TargetError(f"there is nothing of {_told(moment)}", where=self.path, hint=hint)
        state: _State | None = None
        for file in self._files:
            for number, line in enumerate(self._lines(file)):
                if line["time"] > moment:
                    break
                if number == 0:
                    state = _State(line, file)
                elif state is not None:
                    state.apply(line)
        if state is None:
            raise MntscopeError("it is not a recording", where=self.path)
        return state.snapshot()

    def _lines(self, path: str) -> Iterator[dict[str, Any]]:
        """The lines of a file, up to one that is not whole."""
        try:
            with self._opened(path) as file:
                yield from _parsed(file, path)
        except FileNotFoundError:
            raise TargetError("there is no such file", where=path) from None
        except PermissionError:
            raise AccessError("permission denied", where=path) from None
        except OSError as error:
            if isinstance(error, MntscopeError):
                raise
            raise TargetError(f"it cannot be read ({error.strerror})", where=path) from None

    def _moment(self, when: When) -> float:
        if isinstance(when, datetime):
            return when.timestamp()
        if not isinstance(when, str):
            return float(when)
        if re.fullmatch(r"[0-9]{6,12}(?:\.[0-9]+)?", when):
            return float(when)
        try:
            found = _CLOCK.fullmatch(when)
            if not found:
                return datetime.fromisoformat(when).astimezone().timestamp()
            last = datetime.fromtimestamp(self.ended).astimezone()
            moment = last.replace(
                hour=int(found[1]), minute=int(found[2]), second=int(float(found[3] or 0)), microsecond=0
            )
        except (ValueError, OverflowError):
            hint = "give 12:04:31, 2026-05-01T12:04:31, or seconds since 1970"
            raise UsageError(f"{when[:40]!r} is no time", hint=hint) from None
        # The whole of that second, and the latest that there was.
        moment += timedelta(seconds=float(found[3] or 0) % 1 or 0.999999)
        before = moment - timedelta(days=1)
        if moment - timedelta(seconds=1) > last and before.timestamp() >= self.began:
            moment = before
        return moment.timestamp()


def split(path: str) -> tuple[str, str] | None:
    """The file and the time of ``FILE@12:04:31``; ``None`` where it is not of that form."""
    file, at, when = path.rpartition("@")
    return (file, when) if at and file and when and "/" not in when else None


class _State:
    """A machine on the way through a recording."""

    def __init__(self, first: dict[str, Any], file: str) -> None:
        self._file = file
        snapshot = from_document(json.dumps(first.get("snapshot")), file)
        keys: Any = first.get("keys")
        self._snapshot = snapshot
        self._views: dict[str, View] = {view.label: replace(view, mounts=()) for view in snapshot.views}
        self._mounts: dict[str, dict[int, Mount]] = {}
        self._ranks: dict[str, dict[int, int]] = {}
        """Where each key stands in the table, of those that are not in ascending order."""
        for view in snapshot.views:
            numbers = self._numbers(keys[view.label] if isinstance(keys, dict) and view.label in keys else None)
            if len(numbers) != len(view.mounts):
                raise self._wrong(f"keys.{view.label}")
            self._mounts[view.label] = dict(zip(numbers, view.mounts, strict=True))
            self._put_in_order(view.label, numbers)
        self._count = sum(map(len, self._mounts.values()))

    def apply(self, line: dict[str, Any]) -> None:
        """One more moment."""
        for label in _items(line, "ended", self._file):
            if isinstance(label, str) and label in self._views:
                self._count -= len(self._mounts.pop(label))
                del self._views[label]
        born = _items(line, "born", self._file)
        if born:
            document: dict[str, Any] = {"format": "mntscope.snapshot/1", "views": born, "not_seen": [], "handles": []}
            document["host"] = born[0].get("label") if isinstance(born[0], dict) else None
            for view in from_document(json.dumps(document), self._file).views:
                self._views[view.label] = view
                self._mounts[view.label] = {}
        for pair in _items(line, "gone", self._file):
            label, key = self._pair(pair)
            if self._mounts.get(label, {}).pop(key, None) is not None:
                self._count -= 1
        self._set(_items(line, "set", self._file))
        orders = line.get("order", {})
        for label, numbers in orders.items() if isinstance(orders, dict) else ():
            self._put_in_order(label, self._numbers(numbers))
        if self._count > MOST_MOUNTS:
            raise MntscopeError(f"it is no recording: more than {MOST_MOUNTS} mounts", where=self._file)

    def _set(self, given: list[Any]) -> None:
        texts: list[str] = []
        places: list[tuple[str, int]] = []
        for triple in given:
            label, key = self._pair(triple)
            if len(triple) < 3 or not isinstance(triple[2], str) or "\n" in triple[2] or label not in self._mounts:
                raise self._wrong("set")
            texts.append(triple[2])
            places.append((label, key))
        try:
            table = "".join(f"{text}\n" for text in texts).encode("utf-8", "surrogateescape")
            mounts = parse_mountinfo(redact(table), strict=False, file=self._file)
        except (ParseError, UnicodeEncodeError):
            raise self._wrong("set") from None
        if len(mounts) != len(places):
            raise self._wrong("set")
        for (label, key), mount in zip(places, mounts, strict=True):
            self._count += key not in self._mounts[label]
            self._mounts[label][key] = mount

    def _put_in_order(self, label: str, numbers: list[int]) -> None:
        self._ranks.pop(label, None)
        if numbers != sorted(numbers):
            self._ranks[label] = {number: rank for rank, number in enumerate(numbers)}

    def snapshot(self) -> Snapshot:
        """The machine as it is by now."""
        views = tuple(replace(view, mounts=self._table(label)) for label, view in self._views.items())
        host = self._snapshot.host_label
        return replace(self._snapshot, views=with_dominants(views), host_label=host if host in self._views else "")

    def _table(self, label: str) -> tuple[Mount, ...]:
        ranks = self._ranks.get(label, {})
        mounts = self._mounts[label]
        return tuple(mounts[key] for key in sorted(mounts, key=lambda key: (ranks.get(key, len(ranks)), key)))

    def _numbers(self, value: Any) -> list[int]:
        if isinstance(value, list) and all(map(_is_key, value)):
            return value
        raise self._wrong("a list of keys")

    def _pair(self, value: Any) -> tuple[str, int]:
        if isinstance(value, list) and len(value) >= 2 and isinstance(value[0], str) and _is_key(value[1]):
            return value[0], value[1]
        raise self._wrong("a mount")

    def _wrong(self, what: str) -> MntscopeError:
        return MntscopeError(f"it is not a recording: {what} is not as it should be", where=self._file)


def _parsed(file: BinaryIO, path: str) -> Iterator[dict[str, Any]]:
    for number in range(MOST_LINES):
        line = file.readline(LONGEST + 1)
        # What is not whole was being written when the watch was killed, or is being written.
        if not line.endswith(b"\n"):
            if number == 0:
                raise MntscopeError("it is not a recording, or its first line is not whole", where=path)
            return
        if number == 0 and not line.startswith(MARK):
            raise MntscopeError(f"it is not a recording of format {FORMAT}", where=path)
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            raise MntscopeError(f"it is damaged in line {number + 1}", where=path) from None
        time = value.get("time") if isinstance(value, dict) else None
        # One that has a date: of NaN nothing is true.
        if isinstance(time, bool) or not isinstance(time, int | float) or not 0 <= time <= LAST_SECOND:
            raise MntscopeError(f"it is damaged in line {number + 1}: no time", where=path)
        yield value


def _items(line: dict[str, Any], name: str, file: str) -> list[Any]:
    value = line.get(name, [])
    if not isinstance(value, list):
        raise MntscopeError(f"it is not a recording: {name} is not a list", where=file)
    return value


def _is_key(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 64


def _told(moment: float) -> str:
    try:
        return datetime.fromtimestamp(moment).astimezone().isoformat(" ", "seconds")
    except (OverflowError, ValueError, OSError):
        return str(moment)
