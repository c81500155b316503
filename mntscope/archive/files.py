"""Files and directories that hold a snapshot, or tables to make one of."""

from __future__ import annotations

import gzip
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from mntscope.archive.document import from_document, to_document
from mntscope.archive.limits import LARGEST, LARGEST_ARCHIVE, MOST_FILES, refuse_too_many
from mntscope.archive.packed import Stream
from mntscope.archive.tables import is_wanted, snapshot_of, view_of
from mntscope.archive.tar import BLOCK, is_tar, read_tar
from mntscope.errors import AccessError, MntscopeError, RefusedError, TargetError
from mntscope.model import Problem
from mntscope.snapshot import Snapshot

# Where to look in a directory.
_DIRECTORIES = re.compile("proc|(?:proc/)?(?:[1-9][0-9]{0,9}|sys(?:/fs)?)|sos_commands(?:/[a-z]+)?")


def save(snapshot: Snapshot, path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Write *snapshot* to *path*, all of it or nothing: gzip of the JSON that :mod:`document` describes.

    The same snapshot always gives the same bytes.

    :raises RefusedError: the file exists, and *force* is not given.
    :raises AccessError: it cannot be written.
    """
    target = os.fspath(path)
    text = json.dumps(to_document(snapshot), separators=(",", ":"))
    packed = gzip.compress(text.encode(), compresslevel=6, mtime=0)
    temporary = f"{target}.{secrets.token_hex(6)}.tmp"
    try:
        with open(temporary, "xb") as file:
            file.write(packed)
            file.flush()
            os.fsync(file.fileno())
        # Unlike a rename, a link fails if the name is taken, also by someone else just now.
        (os.replace if force else os.link)(temporary, target)
    except FileExistsError:
        raise RefusedError("it exists already", where=target, hint="choose another name, or give --force") from None
    except OSError as error:
        raise AccessError(f"it cannot be written ({error.strerror})", where=target) from None
    finally:
        with suppress(OSError):
            os.unlink(temporary)


def load(path: str | os.PathLike[str]) -> Snapshot:
    """The snapshot in *path*: a snapshot file, one mount table, a sosreport, or a directory of tables.

    A sosreport is a directory or a tar archive, packed by gzip, bzip2, xz or zstd or not at all, and so is any other
    collection of ``PID/mountinfo`` and ``NAME.mountinfo`` that :mod:`tables` describes. Links are not followed.

    :raises TargetError: there is nothing there, or nothing that can be read as a snapshot.
    :raises AccessError: it may not be read.
    :raises ParseError: a table without a good line.
    :raises MntscopeError: a file that is cut off, damaged or not a snapshot.
    """
    where = os.fspath(path)
    if os.path.isdir(where):
        return _directory(where)
    with _opened(where) as file:
        stream = Stream(file, where, largest=LARGEST_ARCHIVE)
        if is_tar(stream.peek(BLOCK)):
            return _archive(stream)
        data = _bounded(stream, where)
    if data.lstrip()[:1] == b"{":
        return from_document(_text(data, where), where)
    view = view_of(data, os.path.basename(where).removesuffix(".mountinfo"), where)
    return Snapshot(views=(view,), host_label=view.label)


def load_table(path: str, label: str) -> Snapshot:
    """The one mount table in *path*, whatever kind of file it is; ``-`` is standard input.

    :raises MntscopeError: as :func:`load`.
    """
    where = "standard input" if path == "-" else path
    try:
        with open(0 if path == "-" else path, "rb", closefd=path != "-") as file:
            data = _bounded(file, where)
    except PermissionError:
        raise AccessError("permission denied", where=where) from None
    except OSError as error:
        raise TargetError(f"it cannot be read ({error.strerror})", where=where) from None
    return Snapshot(views=(view_of(data, label, label),), host_label=label)


@contextmanager
def _opened(path: str, flags: int = 0) -> Iterator[BinaryIO]:
    """A regular file."""
    try:
        # Opening a pipe would wait for somebody to write to it.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise TargetError("it is neither a file nor a directory", where=path)
            yield file
    except FileNotFoundError:
        raise TargetError("there is no such file", where=path) from None
    except PermissionError:
        raise AccessError("permission denied", where=path) from None
    except OSError as error:
        if isinstance(error, MntscopeError):
            raise
        raise TargetError(f"it cannot be read ({error.strerror})", where=path) from None


def _bounded(file: BinaryIO | Stream, where: str) -> bytes:
    """The content of a file that is a snapshot or a table."""
    data = bytearray()
    while len(data) <= LARGEST and (chunk := file.read(1 << 20)):
        data += chunk
    if len(data) > LARGEST:
        raise TargetError(f"it is no snapshot or mount table: larger than {LARGEST >> 20} MiB", where=where)
    return bytes(data)


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise MntscopeError("it is not a snapshot: not UTF-8", where=where) from None


class _Collected:
    """The files of a collection that matter, by their paths in it; equal contents are kept once."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.files: dict[str, bytes] = {}
        self._contents: dict[bytes, bytes] = {}
        self._size = self._lines = 0

    def add(self, path: str, content: bytes) -> None:
        if content not in self._contents:
            self._size += len(content)
            self._lines += content.count(b"\n")
        self.files[path] = self._contents.setdefault(content, content)
        if self._size > LARGEST or len(self.files) > MOST_FILES:
            what = f"its mount tables are larger than {LARGEST >> 20} MiB, or more than {MOST_FILES} files"
            raise TargetError(what, where=self.where)
        refuse_too_many(self._lines, self.where)


def _archive(stream: Stream) -> Snapshot:
    collected = _Collected(stream.where)
    for name, size in read_tar(stream):
        if is_wanted(name):
            collected.add(name, stream.read(min(size, LARGEST + 1)))
    return snapshot_of(collected.files, stream.where)


def _directory(path: str) -> Snapshot:
    collected = _Collected(path)
    not_seen: list[Problem] = []
    for name in _below(path, "", not_seen):
        if is_wanted(name):
            try:
                with _opened(os.path.join(path, name), os.O_NOFOLLOW) as file:
                    content = _bounded(file, os.path.join(path, name))
            except MntscopeError as error:
                not_seen.append(Problem(error.what, where=error.where))
            else:
                collected.add(name, content)
    return snapshot_of(collected.files, path, not_seen)


def _below(path: str, directory: str, not_seen: list[Problem]) -> Iterator[str]:
    """The files of a sosreport, of ``proc/``, or of a directory like these, in order; no links."""
    where = os.path.join(path, directory)
    try:
        with os.scandir(where) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        if not directory:
            raise AccessError(f"it cannot be read ({error.strerror})", where=path) from None
        not_seen.append(Problem(f"it cannot be read ({error.strerror})", where=where))
        return
    for entry in found:
        name = f"{directory}{entry.name}"
        if entry.is_file(follow_symlinks=False):
            yield name
        elif entry.is_dir(follow_symlinks=False) and _DIRECTORIES.fullmatch(name):
            yield from _below(path, f"{name}/", not_seen)
