"""A part: some inputs, and the files in which their rows are. It counts from when its line in the manifest is written.

A part is named by a hash of its inputs. To make it twice gives the same files twice, so it does no harm that two do so
at once, or that one is killed and another begins anew. Where two parts hold one input (two commands that began when
different files were there), that of the part whose name comes first is the one that counts: see
:class:`~mntscope.fleet.manifest.Manifest`.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import ExitStack
from datetime import date, datetime
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from mntscope.base.own_version import VERSION
from mntscope.base.records import NamedTuple
from mntscope.errors import MntscopeError
from mntscope.fleet.manifest import MANIFEST, Entry, entry_text
from mntscope.fleet.origin import origin_of
from mntscope.fleet.places import Place
from mntscope.fleet.sources import Bad, Input, may_pass, read
from mntscope.fleet.tables import SCHEMAS, tables_of
from mntscope.snapshot import Snapshot

ROWS = 1 << 19
"""Rows of one table and day are written when there are so many, be they of few hosts or of many: it bounds memory."""

TRIES = 4
"""How often an input is tried once more that does not answer, or cannot be reached."""


class Part(NamedTuple):
    """What one worker does at a time."""

    dataset: str
    inputs: tuple[Input, ...]

    @property
    def name(self) -> str:
        """16 hexadecimal digits, which depend on its inputs only."""
        text = "".join(sorted(f"{one.number:016x}" for one in self.inputs))
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def halves(self) -> tuple[Part, ...]:
        """Its inputs in two parts; itself where there is but one."""
        middle = len(self.inputs) // 2
        parted = (self.inputs[:middle], self.inputs[middle:])
        return tuple(Part(self.dataset, some) for some in parted if some)


class Made(NamedTuple):
    """What came of a part."""

    added: int
    """Inputs, beside those that were"""
    bad: tuple[Bad, ...]
    known: bool = False
    """Whether somebody else had made it already."""


def make(part: Part) -> Made:
    """Read the inputs of a *part*, write its files, and put it into the manifest.

    :raises MntscopeError: the data set cannot be written.
    """
    place = Place(part.dataset)
    if place.exists(f"{MANIFEST}/{part.name}.json"):
        return Made(0, (), known=True)
    entries: list[Entry] = []
    passing: list[Bad] = []
    with ExitStack() as stack:
        files = _Files(part.name, place, stack)
        for one in part.inputs:
            try:
                day, tables = _understood(one)
            except Exception as error:  # noqa: BLE001 - one input, from anywhere, must not cost the others
                if may_pass(error):
                    passing.append(Bad(one.shown, _why(error, one)))
                else:
                    entries.append(Entry(one.number, one.shown, None, _why(error, one)))
            else:
                files.add(day, tables)
                entries.append(Entry(one.number, one.shown, day, None))
        files.finish()
    if entries:
        with place.written(f"{MANIFEST}/{part.name}.json") as file:
            file.write(entry_text(entries, sorted(files.days), VERSION))
    bad = [Bad(entry.url, entry.why) for entry in entries if entry.why is not None]
    return Made(len(entries) - len(bad), (*bad, *passing))


def _understood(one: Input) -> tuple[date, dict[str, pa.Table]]:
    snapshot, changed = _patiently_read(one)
    origin = origin_of(snapshot, one.shown, changed)
    return origin.when.date(), tables_of(snapshot, origin, one.number, one.shown)


def _patiently_read(one: Input) -> tuple[Snapshot, datetime]:
    """A disk, or a network, that is busy now has time a moment later: nobody waits at a terminal for this one file."""
    for tried in range(TRIES):
        try:
            return read(one)
        except MntscopeError as error:
            if not may_pass(error):
                raise
        time.sleep(tried)
    return read(one)


def _why(error: Exception, one: Input) -> str:
    if isinstance(error, MntscopeError):
        # The report names the input itself.
        return str(error).removeprefix(f"{one.shown}: ")
    return f"it cannot be understood ({type(error).__name__}: {str(error)[:100]})"


class _Files:
    """The Parquet files of one part, by table and day; they get their names when the *stack* is left."""

    def __init__(self, part: str, place: Place, stack: ExitStack) -> None:
        self.part = part
        self.place = place
        self.days: set[str] = set()
        self._stack = stack
        self._held: dict[tuple[str, str], list[pa.Table]] = {}
        self._writers: dict[tuple[str, str], pq.ParquetWriter] = {}

    def add(self, day: date, tables: dict[str, pa.Table]) -> None:
        self.days.add(f"{day}")
        for name, table in tables.items():
            held = self._held.setdefault((name, f"{day}"), [])
            held.append(table)
            if sum(map(len, held)) > ROWS:
                self._write(name, f"{day}")

    def finish(self) -> None:
        for name, day in self._held:
            self._write(name, day)
        for writer in self._writers.values():
            writer.close()

    def _write(self, name: str, day: str) -> None:
        held = self._held[name, day]
        if (name, day) not in self._writers:
            path = f"{name}/day={day}/{self.part}.parquet"
            file: IO[bytes] = self._stack.enter_context(self.place.written(path))
            self._writers[name, day] = pq.ParquetWriter(file, SCHEMAS[name], compression="zstd")
        if held:
            self._writers[name, day].write_table(pa.concat_tables(held).unify_dictionaries())
            held.clear()
