"""Which inputs a data set has, and in which part: a file a part in ``manifest/``, of plain JSON.

::

    {"format": "mntscope.fleet-part/1", "mntscope": "0.1.0", "days": ["2026-01-31"],
     "inputs": [{"number": "09f3..", "url": "s3://bucket/web-1.mntscope.json.gz", "day": "2026-01-31", "why": null}]}

*why* is what was wrong with an input, which then has no day. A part has its rows in ``TABLE/day=DAY/PART.parquet``, for
each of its days.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from mntscope.base.records import NamedTuple
from mntscope.errors import MntscopeError, TargetError, UsageError
from mntscope.fleet.places import Place, shown

MANIFEST = "manifest"
DATASET = "mntscope-fleet.json"
FORMAT = "mntscope.fleet/1"
_PART_FORMAT = "mntscope.fleet-part/1"
_MOST = 1 << 26
"""Bytes of a file of a manifest."""


class Entry(NamedTuple):
    """One input, and what became of it."""

    number: int
    url: str
    day: date | None
    why: str | None


class Listed(NamedTuple):
    """A part that counts."""

    name: str
    mntscope: str
    days: tuple[str, ...]
    entries: tuple[Entry, ...]


class Manifest:
    """What a data set says that it has."""

    def __init__(self, place: Place) -> None:
        """Reads it.

        :raises MntscopeError: it cannot be read, or somebody else has written it.
        """
        names = place.names(MANIFEST, ".json")
        read = place.read_all([f"{MANIFEST}/{name}" for name in names], _MOST)
        texts = zip(names, read.values(), strict=True)
        self.parts = [_part(name.removesuffix(".json"), text, f"{place.url}/{MANIFEST}/{name}") for name, text in texts]
        self.twice: dict[str, list[int]] = {}
        """The inputs of a part that do not count there, as another part, whose name comes first, has them."""
        self.inputs: dict[int, Entry] = {}
        for part in self.parts:
            for entry in part.entries:
                before = self.inputs.get(entry.number)
                if before is None or before.day is None:
                    # What one mntscope could not read another may.
                    self.inputs[entry.number] = entry
                elif entry.day is not None:
                    self.twice.setdefault(part.name, []).append(entry.number)

    def done(self, mntscope: str) -> set[int]:
        """The inputs that need not be read again: those that were good, and those that this *mntscope* found bad."""
        return {
            entry.number
            for part in self.parts
            for entry in part.entries
            if entry.why is None or part.mntscope == mntscope
        }

    def files(self, table: str, since: date | None = None) -> Iterator[str]:
        """The files of a *table*, of the days from *since* on."""
        for part in self.parts:
            for day in part.days:
                if since is None or day >= f"{since}":
                    yield f"{table}/day={day}/{part.name}.parquet"


def begin(place: Place) -> None:
    """Make a data set of an empty place; nothing where it is one.

    :raises UsageError: there is something else.
    """
    # In this order: what another began meanwhile is a data set.
    empty = place.empty()
    if place.exists(DATASET):
        check(place)
        return
    if not empty:
        raise UsageError("it is no fleet, and not empty", where=shown(place.url), hint="name a new directory with -o")
    with place.written(DATASET) as file:
        file.write(json.dumps({"format": FORMAT}).encode() + b"\n")


def check(place: Place) -> None:
    """Nothing, if there is a data set.

    :raises TargetError: there is none, or one of another format.
    """
    if not place.exists(DATASET):
        raise TargetError(
            "it is no fleet", where=shown(place.url), hint="`mntscope fleet add SRC -o DATASET` makes one"
        )
    try:
        known = json.loads(place.read(DATASET, 1 << 12)).get("format") == FORMAT
    except (ValueError, AttributeError, RecursionError):
        known = False
    if not known:
        raise TargetError(f"it is no fleet of format {FORMAT}", where=shown(place.url))


def entry_text(entries: Sequence[Entry], days: Sequence[str], mntscope: str) -> bytes:
    """The file of a part."""
    inputs = [
        {"number": f"{one.number:016x}", "url": one.url, "day": one.day and f"{one.day}", "why": one.why}
        for one in entries
    ]
    made = {"format": _PART_FORMAT, "mntscope": mntscope, "days": list(days), "inputs": inputs}
    return json.dumps(made, indent=1).encode() + b"\n"


def _part(name: str, text: bytes, where: str) -> Listed:
    try:
        found: Any = json.loads(text)
        if found["format"] != _PART_FORMAT or not re.fullmatch("[0-9a-f]{16}", name):
            raise ValueError
        entries = tuple(
            Entry(
                int(one["number"], 16) & ((1 << 64) - 1),
                str(one["url"]),
                date.fromisoformat(one["day"]) if one["day"] is not None else None,
                None if one["why"] is None else str(one["why"]),
            )
            for one in found["inputs"]
        )
        days = tuple(f"{date.fromisoformat(day)}" for day in found["days"])
        return Listed(name, str(found["mntscope"]), days, entries)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise MntscopeError("it is no part of a fleet's manifest", where=shown(where)) from None
