r"""A snapshot as a document of plain JSON values, and back; the description of the file format.

::

    {"format": "mntscope.snapshot/1",
     "kernel": "6.18.0",                     the release (uname -r), or null
     "kernel_version": "#1 SMP ..",          what uname -v prints, or null
     "distribution": "Debian 12",            or null
     "host": "host",                         the label of the view that plays the host
     "mount_max": 100000,                    the sysctl fs.mount-max, or null
     "boot_id": "8d6c..",                    the sysctl kernel.random.boot_id, or null
     "origin": {"host_name": "web-1",        uname -n
                "machine_id": "5f3a..",      derived from machine-id(5) for mntscope alone
                "time": 1767225600,          when it was captured, in seconds since 1970 (UTC)
                "mntscope": "0.1.0"},        the version that captured it; each of these may be null
     "not_seen": [{"what": .., "where": ..}],
     "skeleton": {"dirs": [..], "files": [..]} or null,
     "handles": [["h1", 1403]],
     "views": [{"label": .., "detached": false,
                "namespace": {"inode", "id", "user_namespace",
                              "owner": {"kind", "name", "id", "pod"} or null,
                              "processes": [{"pid", "start_time", "comm", "root", "pid_namespace",
                                             "user_namespace", "cgroup"}],
                              "holds": [{"kind", "where", "label", "process"}],
                              "mount_program": "util-linux 2.41" or null},
                "process": {..},             the one through which it was read, or null
                "proc_pid_namespace": 4026531836,
                "problems": [{"what", "where"}],
                "mountinfo": ["22 27 0:21 / /proc rw,relatime - proc proc rw", ..]}]}

Names and tables are text whose bytes that are not UTF-8 are lone surrogates (``\udcff``). What could not be
read is null. Members may be added; unknown ones are ignored. The same snapshot always gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, Literal, NoReturn, TypeVar

from mntscope.archive.limits import (
    LONGEST_LINE,
    MOST_VALUES,
    MOST_WIDE,
    options_in,
    refuse_too_many,
    refuse_too_many_options,
)
from mntscope.base.machine_id import is_derived
from mntscope.base.redaction import redact
from mntscope.errors import MntscopeError
from mntscope.model import Hold, Mount, Namespace, Origin, Owner, Problem, Process, Skeleton, View
from mntscope.parse import RecordReader, UnusualSpelling, format_mountinfo, read_table
from mntscope.snapshot import Snapshot

FORMAT = "mntscope.snapshot/1"

LARGEST_NUMBER = 1 << 64
LAST_SECOND = 253_402_300_799
"""The end of the year 9999, the last that has a date."""
LONGEST_NAME = 253
"""Characters of a host's name, or of a version."""

T = TypeVar("T")

_HoldKind = Literal["thread", "mount", "fd"]
_HOLD_KINDS: tuple[_HoldKind, ...] = ("thread", "mount", "fd")


def to_document(snapshot: Snapshot) -> dict[str, Any]:
    """*snapshot* as the JSON object ``mntscope.snapshot/1``: :func:`from_document` makes an equal one of it."""
    skeleton = snapshot.skeleton
    return {
        "format": FORMAT,
        "kernel": snapshot.kernel,
        "kernel_version": snapshot.kernel_version,
        "distribution": snapshot.distribution,
        "host": snapshot.host_label,
        "mount_max": snapshot.mount_max,
        "boot_id": snapshot.boot_id,
        "origin": _record(snapshot.origin),
        "not_seen": [_problem(problem) for problem in snapshot.not_seen],
        "skeleton": skeleton and {"dirs": sorted(skeleton.dirs), "files": sorted(skeleton.files)},
        "handles": [list(handle) for handle in snapshot.handles],
        "views": [_view(view) for view in snapshot.views],
    }


def _view(view: View) -> dict[str, Any]:
    table = format_mountinfo(view.mounts).decode("utf-8", "surrogateescape")
    namespace = view.namespace
    return {
        "label": view.label,
        "detached": view.detached,
        "namespace": {
            "inode": namespace.inode,
            "id": namespace.id,
            "user_namespace": namespace.user_namespace,
            "owner": namespace.owner and _record(namespace.owner),
            "processes": [_record(process) for process in namespace.processes],
            "holds": [{**_record(hold), "process": hold.process and _record(hold.process)} for hold in namespace.holds],
            "mount_program": namespace.mount_program,
        },
        "process": _record(view.process) if view.process is not None else None,
        "proc_pid_namespace": view.proc_pid_namespace,
        "problems": [_problem(problem) for problem in view.problems],
        "mountinfo": table.split("\n")[:-1],
    }


def _record(record: Process | Owner | Hold | Origin) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _problem(problem: Problem) -> dict[str, str]:
    return {"what": problem.what, "where": problem.where}


def from_document(text: str, file: str) -> Snapshot:
    """The snapshot that *text*, read from *file*, describes.

    :raises MntscopeError: it is not such a document; says which member is not as it should be.
    """
    if _has_too_many_values(text):
        raise MntscopeError(f"it is no snapshot: more than {MOST_VALUES} values", where=file)
    try:
        document = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise MntscopeError(f"it is not JSON ({str(error)[:100]})", where=file) from None
    return _Reader(file).snapshot(document)


def _has_too_many_values(text: str) -> bool:
    """Whether it is a document of more than :data:`MOST_VALUES`, each of which takes many times its text in memory."""
    if text.count('"') > 4 * MOST_VALUES:
        return True
    # Without what is escaped, every other quote ends a text.
    outside = "".join(text.replace("\\\\", "").replace('\\"', "").split('"')[::2])
    return outside.count(",") + outside.count("[") + outside.count("{") > MOST_VALUES


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


class _Reader:
    """Reads JSON values that may be anything; an error names the member (``views[3].label``)."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.mounts = self.options = self.wide = 0
        self.records = RecordReader(remember=True)

    def wrong(self, at: str, expected: str) -> MntscopeError:
        return MntscopeError(f"it is not a snapshot: {at} is not {expected}", where=self.file)

    def member(self, value: Any, at: str, name: str, read: Callable[[Any, str], T]) -> T:
        if not isinstance(value, dict):
            raise self.wrong(at or "it", "an object")
        return read(value.get(name), f"{at}.{name}" if at else name)

    def text(self, value: Any, at: str) -> str:
        if not isinstance(value, str):
            raise self.wrong(at, "text")
        try:
            value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise self.wrong(at, "text made of bytes") from None
        if not value.isascii():
            self.wide += len(value)
        if len(value) > LONGEST_LINE or self.wide > MOST_WIDE:
            raise self.wrong(at, "text as short as a kernel's")
        return value

    def number(self, value: Any, at: str) -> int:
        if type(value) is not int or not 0 <= value < LARGEST_NUMBER:
            raise self.wrong(at, "a number")
        return value

    def truth(self, value: Any, at: str) -> bool:
        if value not in (True, False, None):
            raise self.wrong(at, "true or false")
        return bool(value)

    def maybe(self, read: Callable[[Any, str], T]) -> Callable[[Any, str], T | None]:
        return lambda value, at: None if value is None else read(value, at)

    def each(self, read: Callable[[Any, str], T]) -> Callable[[Any, str], tuple[T, ...]]:
        def read_all(value: Any, at: str) -> tuple[T, ...]:
            if not isinstance(value, list):
                raise self.wrong(at, "a list")
            return tuple(read(item, f"{at}[{index}]") for index, item in enumerate(value))

        return read_all

    def snapshot(self, value: Any) -> Snapshot:
        if self.member(value, "", "format", self.text) != FORMAT:
            raise MntscopeError(f"it is not a snapshot of format {FORMAT}", where=self.file)
        views = self.member(value, "", "views", self.each(self.view))
        host = self.member(value, "", "host", self.text)
        labels = [view.label for view in views]
        if host not in labels:
            raise self.wrong("host", "the label of a view")
        if len(set(labels)) < len(labels):
            raise self.wrong("views", "a list of views with different labels")
        return Snapshot(
            views=views,
            host_label=host,
            kernel=self.member(value, "", "kernel", self.maybe(self.text)),
            mount_max=self.member(value, "", "mount_max", self.maybe(self.number)),
            not_seen=self.member(value, "", "not_seen", self.each(self.problem)),
            skeleton=self.member(value, "", "skeleton", self.maybe(self.skeleton)),
            handles=self.member(value, "", "handles", self.each(self.handle)),
            boot_id=self.member(value, "", "boot_id", self.maybe(self.text)),
            kernel_version=self.member(value, "", "kernel_version", self.maybe(self.text)),
            distribution=self.member(value, "", "distribution", self.maybe(self.text)),
            origin=self.member(value, "", "origin", self.maybe(self.origin)) or Origin(),
        )

    def origin(self, value: Any, at: str) -> Origin:
        return Origin(
            host_name=self.member(value, at, "host_name", self.maybe(self.short)),
            machine_id=self.member(value, at, "machine_id", self.maybe(self.machine_id)),
            time=self.member(value, at, "time", self.maybe(self.time)),
            mntscope=self.member(value, at, "mntscope", self.maybe(self.short)),
        )

    def short(self, value: Any, at: str) -> str:
        if not 0 < len(text := self.text(value, at)) <= LONGEST_NAME:
            raise self.wrong(at, f"1 to {LONGEST_NAME} characters")
        return text

    def machine_id(self, value: Any, at: str) -> str:
        if not is_derived(text := self.text(value, at)):
            raise self.wrong(at, "32 hexadecimal digits")
        return text

    def time(self, value: Any, at: str) -> int:
        if (seconds := self.number(value, at)) > LAST_SECOND:
            raise self.wrong(at, "a time before the year 10000")
        return seconds

    def view(self, value: Any, at: str) -> View:
        lines = self.member(value, at, "mountinfo", self.each(self.text))
        self.mounts += len(lines)
        refuse_too_many(self.mounts, self.file)
        table = b"".join(line.encode("utf-8", "surrogateescape") + b"\n" for line in lines)
        self.options += options_in(table)
        refuse_too_many_options(self.options, self.file)
        return View(
            label=self.member(value, at, "label", self.text),
            mounts=tuple(_mounts(redact(table), self.records, f"{self.file}: {at}.mountinfo")),
            namespace=self.member(value, at, "namespace", self.namespace),
            process=self.member(value, at, "process", self.maybe(self.process)),
            proc_pid_namespace=self.member(value, at, "proc_pid_namespace", self.maybe(self.number)),
            detached=self.member(value, at, "detached", self.truth),
            problems=self.member(value, at, "problems", self.each(self.problem)),
        )

    def namespace(self, value: Any, at: str) -> Namespace:
        return Namespace(
            inode=self.member(value, at, "inode", self.maybe(self.number)),
            id=self.member(value, at, "id", self.maybe(self.number)),
            user_namespace=self.member(value, at, "user_namespace", self.maybe(self.number)),
            owner=self.member(value, at, "owner", self.owner),
            processes=self.member(value, at, "processes", self.each(self.process)),
            holds=self.member(value, at, "holds", self.holds),
            mount_program=self.member(value, at, "mount_program", self.maybe(self.text)),
        )

    def owner(self, value: Any, at: str) -> Owner | None:
        if value is None:
            return None
        # Before owners had parts they were a text, empty if unknown.
        if isinstance(value, str):
            return Owner("", value) if value else None
        return Owner(
            kind=self.member(value, at, "kind", self.text),
            name=self.member(value, at, "name", self.text),
            id=self.member(value, at, "id", self.text),
            pod=self.member(value, at, "pod", self.text),
        )

    def holds(self, value: Any, at: str) -> tuple[Hold, ...]:
        # Files from before they were looked for have none.
        return () if value is None else self.each(self.hold)(value, at)

    def hold(self, value: Any, at: str) -> Hold:
        return Hold(
            kind=self.member(value, at, "kind", self.hold_kind),
            where=self.member(value, at, "where", self.text),
            label=self.member(value, at, "label", self.text),
            process=self.member(value, at, "process", self.maybe(self.process)),
        )

    def hold_kind(self, value: Any, at: str) -> _HoldKind:
        for kind in _HOLD_KINDS:
            if value == kind:
                return kind
        raise self.wrong(at, "thread, mount or fd")

    def process(self, value: Any, at: str) -> Process:
        return Process(
            pid=self.member(value, at, "pid", self.number),
            start_time=self.member(value, at, "start_time", self.maybe(self.number)),
            comm=self.member(value, at, "comm", self.text),
            root=self.member(value, at, "root", self.text),
            pid_namespace=self.member(value, at, "pid_namespace", self.maybe(self.number)),
            user_namespace=self.member(value, at, "user_namespace", self.maybe(self.number)),
            cgroup=self.member(value, at, "cgroup", self.text),
        )

    def problem(self, value: Any, at: str) -> Problem:
        return Problem(self.member(value, at, "what", self.text), self.member(value, at, "where", self.text))

    def skeleton(self, value: Any, at: str) -> Skeleton:
        return Skeleton(
            dirs=frozenset(self.member(value, at, "dirs", self.each(self.text))),
            files=frozenset(self.member(value, at, "files", self.each(self.text))),
        )

    def handle(self, value: Any, at: str) -> tuple[str, int]:
        if not isinstance(value, list) or len(value) != 2:
            raise self.wrong(at, "a name and a mount ID")
        return self.text(value[0], at), self.number(value[1], at)


def _mounts(table: bytes, records: RecordReader, file: str) -> Sequence[Mount]:
    """The mounts of a table that was kept when it was captured; what was unusual about it has been noted then.

    :raises ParseError: a line that is no mountinfo.
    """
    mounts = read_table(table, records, strict=False, file=file)
    for problem in mounts.problems:
        if not isinstance(problem, UnusualSpelling):
            raise problem
    return mounts
