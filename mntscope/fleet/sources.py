"""What is given to be added to a fleet: which files there are, and how one of them is read.

A source is a file, a directory of them, a glob, or a URL of these. A directory that is laid out like ``/proc``, or is
an unpacked sosreport, is one input; in any other each file is one. Links in a directory are not followed, and what
begins with a dot is passed over.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from io import BufferedReader, RawIOBase
from typing import Any

from mntscope.archive import load, load_stream
from mntscope.base.records import NamedTuple
from mntscope.errors import AccessError, NoAnswerError, TargetError
from mntscope.fleet.places import is_local, opened, shown, told
from mntscope.snapshot import Snapshot

_GLOB = re.compile(r"[*?\[]")
_OF_ONE_MACHINE = re.compile(r"proc|sos_commands|[1-9][0-9]*|.*\.mountinfo")
"""What is in a directory that is one machine."""


class Input(NamedTuple):
    """One file from which a snapshot may be read, as it was when it was listed."""

    url: str
    """As it is opened."""
    size: int
    version: str
    """What is another when its content is: an etag, else the time of its last change."""
    changed: float
    """That time, in seconds since 1970; 0 where it is not known."""

    @property
    def number(self) -> int:
        """64 bits of all that tells it from others: the name of this very content at this place."""
        text = f"{self.url}\0{self.size}\0{self.version}".encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")

    @property
    def shown(self) -> str:
        """Its URL without secrets."""
        return shown(self.url)


class Bad(NamedTuple):
    """An input that could not be added."""

    source: str
    why: str


def inputs(sources: Iterable[str], left_out: list[Bad]) -> Iterator[Input]:
    """The inputs that the *sources* name; what is none is noted among those *left out*.

    :raises TargetError: a source names nothing at all.
    :raises MntscopeError: a filesystem that cannot be reached.
    """
    for source in sources:
        found = list(_inputs(source, left_out))
        if not found and not any(bad.source.startswith(shown(source)) for bad in left_out):
            raise TargetError("there is nothing to add", where=shown(source))
        yield from found


def _inputs(source: str, left_out: list[Bad]) -> Iterator[Input]:
    if os.path.lexists(source):
        yield from _local(os.path.abspath(source), left_out)
        return
    fs, path = opened(source)
    if is_local(fs):
        found = sorted(fs.glob(path)) if _GLOB.search(path) else [path]
        for one in found:
            yield from _local(one, left_out)
        return
    with told(source):
        try:
            yield from _remote(fs, path, source)
        except FileNotFoundError:
            raise TargetError("there is no such file", where=shown(source)) from None


def _local(path: str, left_out: list[Bad]) -> Iterator[Input]:
    try:
        there = os.stat(path)
    except OSError as error:
        raise TargetError(f"it cannot be read ({error.strerror})", where=path) from None
    if not stat.S_ISDIR(there.st_mode):
        yield Input(path, there.st_size, str(there.st_mtime_ns), there.st_mtime)
        return
    try:
        with os.scandir(path) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except OSError as error:
        left_out.append(Bad(path, f"it cannot be read ({error.strerror})"))
        return
    if any(map(_OF_ONE_MACHINE.fullmatch, (entry.name for entry in entries))):
        yield Input(path, 0, str(there.st_mtime_ns), there.st_mtime)
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_symlink():
            left_out.append(Bad(entry.path, "it is a link, which is not followed"))
        else:
            yield from _local(entry.path, left_out)


def _remote(fs: Any, path: str, source: str) -> Iterator[Input]:
    if _GLOB.search(path):
        found = fs.glob(path, detail=True)
    elif source.endswith("/") or fs.isdir(path):
        found = fs.find(path, detail=True)
    else:
        found = {path: fs.info(path)}
    for one, about in sorted(found.items()):
        if about.get("type", "file") == "file" and not one.rpartition("/")[2].startswith("."):
            changed = _time_of(about)
            version = about.get("ETag") or about.get("etag") or about.get("md5Hash") or changed
            yield Input(fs.unstrip_protocol(one), int(about.get("size") or 0), str(version).strip('"'), changed)


def _time_of(about: dict[str, Any]) -> float:
    """When an object was last changed, by the name that its filesystem has for that."""
    for name in ("LastModified", "last_modified", "mtime", "updated", "created"):
        value = about.get(name)
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                continue
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return 0.0


def read(one: Input) -> tuple[Snapshot, datetime]:
    """The snapshot in an input, and when that was last changed.

    :raises MntscopeError: it holds none, or cannot be read.
    """
    changed = datetime.fromtimestamp(one.changed, UTC)
    if "://" not in one.url:
        return load(one.url), changed
    fs, path = opened(one.url)
    with _Remote.open(fs, path, one.shown) as file:
        return load_stream(file, one.shown), changed


class _Remote(RawIOBase):
    """A file of another machine, all of whose troubles are the network's, and not those of what is in it."""

    def __init__(self, file: Any, where: str) -> None:
        self._file = file
        self._where = where

    @classmethod
    def open(cls, fs: Any, path: str, where: str) -> BufferedReader:
        with told(where):
            return BufferedReader(cls(fs.open(path, "rb"), where), 1 << 20)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with told(self._where):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def may_pass(error: Exception) -> bool:
    """Whether the same input may be good another time: it was not its content that was wrong."""
    return isinstance(error, AccessError | NoAnswerError)
