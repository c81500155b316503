"""Traces: operations, and every namespace's mountinfo before and after each; the file format ``mnttrace/1``.

One JSON object a line, gzip or plain::

    {"format": "mnttrace/1", "id", "profile", "kernel", "seed", "fs_skeleton": {"dirs": [..], "files": [..]},
     "states": [{LABEL: {"mntns", "userns", "mountinfo": [line..], "unique": [64-bit mount id, a line]}}],
     "steps": [{"op": {..}, "errno": null | "EINVAL", "before": i, "after": j}]}      i and j index the states

A file may come from anywhere: what it makes mntscope hold is bounded, and an error names the file and the line.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from mntscope.errors import AccessError, ParseError, UsageError
from mntscope.propagation.operations import Operation, operation
from mntscope.snapshot import Snapshot

FORMAT = "mnttrace/1"

MAX_LINE = 64 << 20
"""Bytes of one trace, decompressed; the largest recorded ones have 80 kB."""
MAX_LABELS = 1000
"""Namespaces in one state."""
MAX_STEPS = 100_000
"""Steps, and states, of one trace."""


@dataclass(frozen=True, slots=True)
class Table:
    """The mounts of one namespace, as its process sees them."""

    mountinfo: bytes
    """The text of /proc/PID/mountinfo."""
    userns: int | None = None
    """Inode of the user namespace that owns the namespace."""
    mntns: int | None = None
    """The namespace's 64-bit id."""
    unique: tuple[int, ...] = ()
    """The 64-bit mount id of each line, where known."""


State = Mapping[str, Table]
"""What every namespace shows at one moment, by label; the first label is the namespace all others come from."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation, how it ended, and the states (by index) around it."""

    operation: Operation
    errno: str | None
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Skeleton:
    """What every filesystem of a trace holds, in the order in which it is made."""

    dirs: tuple[str, ...]
    files: tuple[str, ...]

    def to_dict(self) -> dict[str, tuple[str, ...]]:
        """The ``fs_skeleton`` of the file, and of :meth:`Snapshot.from_mountinfo`."""
        return {"dirs": self.dirs, "files": self.files}


SKELETON = Skeleton(dirs=("a", "b", "c", "d", "e", "a/x", "a/y", "b/x", "b/x/z"), files=("f", "a/f"))
"""The skeleton of the shared recordings, and of new ones."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A sequence of operations and what came of them."""

    id: str
    profile: str
    kernel: str
    skeleton: Skeleton
    states: tuple[State, ...]
    steps: tuple[Step, ...]
    seed: int | None = None
    kernel_version: str = ""
    """``uname -v`` beside *kernel*, which is ``uname -r``; empty in recordings from before it was noted."""

    def snapshot(self, index: int) -> Snapshot:
        """The state *index* as a snapshot.

        :raises ParseError: a table that is not mountinfo.
        """
        return snapshot_of(self.states[index], self.skeleton, self.kernel, self.kernel_version)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of the file."""
        return {
            "format": FORMAT,
            "id": self.id,
            "profile": self.profile,
            "seed": self.seed,
            "kernel": self.kernel,
            "kernel_version": self.kernel_version,
            "fs_skeleton": self.skeleton.to_dict(),
            "states": [{label: _table_dict(table) for label, table in state.items()} for state in self.states],
            "steps": [
                {"op": step.operation.to_dict(), "errno": step.errno, "before": step.before, "after": step.after}
                for step in self.steps
            ],
        }


def snapshot_of(state: State, skeleton: Skeleton, kernel: str, kernel_version: str = "") -> Snapshot:
    """A state as the snapshot a user would have at that moment."""
    return Snapshot.from_mountinfo(
        {label: table.mountinfo for label, table in state.items()},
        user_namespaces={label: table.userns for label, table in state.items() if table.userns is not None},
        fs_skeleton=skeleton.to_dict(),
        kernel=kernel,
        kernel_version=kernel_version,
    )


class TraceWriter:
    """Writes traces to a file as they come, compressed if its name ends in ``.gz``; a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open = ExitStack()
        try:
            file: BinaryIO = self._open.enter_context(path.open("wb"))
        except OSError as error:
            raise AccessError(f"cannot write: {error.strerror}", where=str(path)) from error
        self._lines: BinaryIO | gzip.GzipFile = file
        if path.suffix == ".gz":
            # mtime=0: the same traces make the same file.
            self._lines = self._open.enter_context(gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0))

    def write(self, trace: Trace) -> None:
        """Append *trace*."""
        try:
            self._lines.write(json.dumps(trace.to_dict(), separators=(",", ":")).encode() + b"\n")
        except OSError as error:
            raise AccessError(f"cannot write: {error.strerror}", where=str(self.path)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.close()


def read_traces(path: Path) -> Iterator[Trace]:
    """The traces of a file, one at a time.

    :raises AccessError: it cannot be read.
    :raises ParseError: it is not in the format; names the line.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            lines: BinaryIO | gzip.GzipFile = gzip.GzipFile(fileobj=raw) if packed else raw
            number = 0
            while line := lines.readline(MAX_LINE + 1):
                number += 1
                if len(line) > MAX_LINE or line.strip():
                    yield _Reader(str(path), number, line).trace()
            if number == 0:
                raise ParseError("no trace", file=str(path), line=1, column=1, text=b"", expected=FORMAT)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise AccessError(f"damaged gzip data: {error}", where=str(path)) from error
    except OSError as error:
        raise AccessError(f"cannot read: {error.strerror}", where=str(path)) from error


def _table_dict(table: Table) -> dict[str, Any]:
    return {
        "mntns": table.mntns,
        "userns": table.userns,
        "mountinfo": table.mountinfo.decode("utf-8", "surrogateescape").split("\n")[:-1],
        "unique": table.unique,
    }


class _Reader:
    """One line of a file, from JSON to :class:`Trace`; every complaint names the line and the place in it."""

    def __init__(self, file: str, number: int, line: bytes) -> None:
        self.file = file
        self.number = number
        self.line = line

    def trace(self) -> Trace:
        if len(self.line) > MAX_LINE:
            raise self.wrong(f"a trace of more than {MAX_LINE >> 20} MiB")
        try:
            data = json.loads(self.line)
        except json.JSONDecodeError as error:
            raise self.wrong(f"not JSON: {error.msg}", column=error.pos + 1) from None
        except (ValueError, RecursionError) as error:
            raise self.wrong(f"not JSON: {error}") from None
        given = data.get("format") if isinstance(data, dict) else None
        if given != FORMAT:
            raise self.wrong(f"format {given!r}", expected=repr(FORMAT))
        states = self.items(data, "states")
        steps = self.items(data, "steps")
        if not states or max(len(states), len(steps)) > MAX_STEPS:
            raise self.wrong(f"{len(states)} states and {len(steps)} steps", expected=f"1 to {MAX_STEPS} states")
        skeleton = self.get(data, "fs_skeleton", dict)
        return Trace(
            id=self.get(data, "id", str),
            profile=self.get(data, "profile", str, ""),
            kernel=self.get(data, "kernel", str, ""),
            kernel_version=self.get(data, "kernel_version", str, ""),
            seed=self.get(data, "seed", int, None),
            skeleton=Skeleton(
                dirs=tuple(self.strings(skeleton, "dirs")),
                files=tuple(self.strings(skeleton, "files")),
            ),
            states=tuple(self.state(state, index) for index, state in enumerate(states)),
            steps=tuple(self.step(step, index, len(states)) for index, step in enumerate(steps)),
        )

    def state(self, data: Any, index: int) -> State:
        where = f"state {index}"
        if not isinstance(data, dict) or not 0 < len(data) <= MAX_LABELS:
            raise self.wrong(where, expected=f"an object of 1 to {MAX_LABELS} namespaces")
        tables = {}
        for label, shown in data.items():
            place = f"{where}, {label}"
            if not isinstance(shown, dict):
                raise self.wrong(place, expected="an object")
            lines = self.strings(shown, "mountinfo", place)
            unique = self.items(shown, "unique", place, missing=[])
            if not all(isinstance(mount_id, int) for mount_id in unique):
                raise self.wrong(f"{place}: unique", expected="a list of numbers")
            tables[label] = Table(
                mountinfo="".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"),
                userns=self.get(shown, "userns", int, None, place),
                mntns=self.get(shown, "mntns", int, None, place),
                unique=tuple(unique),
            )
        return tables

    def step(self, data: Any, index: int, states: int) -> Step:
        where = f"step {index}"
        if not isinstance(data, dict):
            raise self.wrong(where, expected="an object")
        described = self.get(data, "op", dict, where=where)
        try:
            op = operation(described)
        except UsageError as error:
            raise self.wrong(f"{where}: {error}") from None
        for field in fields(op):
            value = getattr(op, field.name)
            # The record's annotations are all one of these; a Literal and a tuple hold strings.
            fits = isinstance(value, bool) if field.type == "bool" else value is None or isinstance(value, str | tuple)
            if not fits or (value is None and field.default is not None):
                raise self.wrong(f"{where}: {field.name} {value!r}", expected=str(field.type))
        before, after = (self.get(data, key, int, where=where) for key in ("before", "after"))
        if not (0 <= before < states and 0 <= after < states):
            raise self.wrong(f"{where}: state {before} or {after} does not exist", expected=f"less than {states}")
        return Step(op, self.get(data, "errno", str, None, where), before, after)

    def get(self, data: dict[str, Any], key: str, kind: type, missing: Any = ..., where: str = "") -> Any:
        """The value of *key*, which must be of this *kind*; *missing* (none: the key is required) if absent or null."""
        value = data.get(key)
        if value is None and missing is not ...:
            return missing
        if not isinstance(value, kind) or isinstance(value, bool):
            place = f"{where}: {key}" if where else key
            raise self.wrong(f"{place} {value!r:.60}", expected={str: "text", int: "a number", dict: "an object"}[kind])
        return value

    def items(self, data: dict[str, Any], key: str, where: str = "", missing: Any = ...) -> list[Any]:
        value = data.get(key, missing)
        if not isinstance(value, list):
            raise self.wrong(f"{where}: {key}" if where else key, expected="a list")
        return value

    def strings(self, data: dict[str, Any], key: str, where: str = "") -> list[str]:
        value = self.items(data, key, where)
        if not all(isinstance(item, str) for item in value):
            raise self.wrong(f"{where}: {key}" if where else key, expected="a list of text")
        return value

    def wrong(self, what: str, *, column: int = 1, expected: str = "") -> ParseError:
        return ParseError(what, file=self.file, line=self.number, column=column, text=self.line, expected=expected)
