"""Files and directories that hold a snapshot, or tables to make one of."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EISDIR
from itertools import islice
from typing import BinaryIO

from mntscope.archive.document import from_document
from mntscope.archive.limits import (
    LARGEST,
    LARGEST_ARCHIVE,
    MOST_FILES,
    MOST_WIDE,
    options_in,
    refuse_too_many,
    refuse_too_many_options,
)
from mntscope.archive.packed import Stream
from mntscope.archive.tables import snapshot_of, view_of, wanted_of
from mntscope.archive.tar import BLOCK, is_tar, read_tar
from mntscope.errors import AccessError, MntscopeError, TargetError
from mntscope.kernel.worker import streamed
from mntscope.model import Problem
from mntscope.snapshot import Snapshot

# Where to look in a directory.
_DIRECTORIES = re.compile(
    "proc|(?:proc/)?(?:[1-9][0-9]{0,9}|sys(?:/(?:fs|kernel(?:/random)?))?)|etc|usr(?:/lib)?|sos_commands(?:/[a-z]+)?"
)

_OURS = re.compile("/dev/stdin|/(?:dev|proc/self)/fd/([0-9]{1,9})")
"""Descriptors that whoever started mntscope gave it, as ``<(..)`` does."""

_FILE, _DIRECTORY, _NOT_SEEN = b"f", b"d", b"n"
"""What a child that reads a path says it is; in a directory, what each piece is."""

_RECORDING = b'{"format":"mntscope.recording/'

_HARMLESS = (os.makedev(1, 3), os.makedev(1, 5))
"""/dev/null and /dev/zero: of all devices those that neither wait nor do anything when they are opened."""


def load(path: str | os.PathLike[str]) -> Snapshot:
    """The snapshot in *path*: a snapshot file, one mount table, a sosreport, or a directory of tables.

    Of a recording it is the last state; of ``FILE@12:04:31`` that at this time (:mod:`recording`).

    A sosreport is a directory or a tar archive, packed by gzip, bzip2, xz or zstd or not at all, and so is any other
    collection of ``PID/mountinfo`` and ``NAME.mountinfo`` that :mod:`tables` describes. Links are not followed.

    :raises TargetError: there is nothing there, or nothing that can be read as a snapshot.
    :raises AccessError: it may not be read.
    :raises ParseError: a table without a good line.
    :raises MntscopeError: a file that is cut off, damaged or not a snapshot; a filesystem that does not answer.
    """
    where = os.fspath(path)
    try:
        with _opened(where) as (kind, file):
            return _directory(file, where) if kind == _DIRECTORY else _loaded(file, where)
    except FileNotFoundError:
        from mntscope.archive.recording import Recording, split

        if recorded := split(where):
            return Recording(recorded[0], opened_file).at(recorded[1])
        raise TargetError("there is no such file", where=where) from None
    except OSError as error:
        raise _unreadable(error, where) from None


def load_stream(file: BinaryIO, where: str) -> Snapshot:
    """As :func:`load`, from a *file* that somebody else has opened, and that is waited for; *where* names it in errors.

    :raises MntscopeError: as :func:`load`; or it is a recording, which is read in several goes.
    """
    return _loaded(file, where, once=True)


@contextmanager
def opened_file(path: str) -> Iterator[BinaryIO]:
    """What a file holds, as a child reads it.

    :raises OSError: it cannot be opened.
    :raises NoAnswerError: its filesystem does not answer.
    """
    with _opened(path) as (kind, file):
        if kind == _DIRECTORY:
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
        yield file


def _loaded(file: BinaryIO, where: str, *, once: bool = False) -> Snapshot:
    stream = Stream(file, where, largest=LARGEST_ARCHIVE)
    if is_tar(stream.peek(BLOCK)):
        return _archive(stream)
    if stream.peek(len(_RECORDING)) == _RECORDING:
        from mntscope.archive.recording import Recording

        if once:
            raise MntscopeError("it is a recording", where=where, hint="take a snapshot of a moment: FILE@12:04:31")
        return Recording(where, opened_file).at()
    data = _bounded(stream, where)
    if data.lstrip()[:1] == b"{":
        text = _text(data, where)
        del data
        return from_document(text, where)
    view = view_of(data, os.path.basename(where).removesuffix(".mountinfo"), where)
    return Snapshot(views=(view,), host_label=view.label)


def load_table(path: str, label: str) -> Snapshot:
    """The one mount table in *path*; ``-`` is standard input.

    That, and a descriptor that mntscope was given (``/dev/fd/63``), may be of any kind, and is waited for.

    :raises MntscopeError: as :func:`load`.
    """
    ours = _OURS.fullmatch(path)
    where = "standard input" if path == "-" else path
    try:
        if path == "-" or ours:
            with open(int(ours[1] or 0) if ours else 0, "rb", closefd=False) as file:
                data = _bounded(file, where)
        else:
            with _opened(path) as (kind, file):
                if kind == _DIRECTORY:
                    raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
                data = _bounded(file, where)
    except OSError as error:
        raise _unreadable(error, where) from None
    return Snapshot(views=(view_of(data, label, label),), host_label=label)


def content(path: str) -> bytes:
    """What the file at *path* holds.

    :raises TargetError: there is none, or it is a directory, or too large.
    :raises AccessError: it may not be read.
    :raises NoAnswerError: a filesystem that does not answer.
    """
    try:
        with _opened(path) as (kind, file):
            if kind != _FILE:
                raise TargetError("it is no file", where=path)
            return _bounded(file, path)
    except OSError as error:
        raise _unreadable(error, path) from None


def _unreadable(error: OSError, where: str) -> MntscopeError:
    if isinstance(error, MntscopeError):
        return error
    if isinstance(error, PermissionError):
        return AccessError("permission denied", where=where)
    return TargetError(f"it cannot be read ({error.strerror})", where=where)


@contextmanager
def _opened(path: str) -> Iterator[tuple[bytes, BinaryIO]]:
    """Whether it is a file or a directory, and the content, as a child reads it: here nobody waits for a filesystem.

    Of a file the content is what it holds, of a directory the files in it as :func:`_files_of` writes them down.
    """
    # A child has no standard input: what we were given for it is given to the child by another number.
    ours = os.dup(0) if path == "/dev/stdin" else None
    try:
        with streamed(lambda out: _write_down(path, out, ours), where=path) as file:
            yield file.read(1), file
    finally:
        if ours is not None:
            os.close(ours)


def _bounded(file: BinaryIO | Stream, where: str) -> bytes:
    """The content of a file that is a snapshot or a table."""
    parts: list[bytes] = []
    size = 0
    while size <= LARGEST and (chunk := file.read(1 << 20)):
        parts.append(chunk)
        size += len(chunk)
    if size > LARGEST:
        raise TargetError(f"it is no snapshot or mount table: larger than {LARGEST >> 20} MiB", where=where)
    return b"".join(parts)


def _text(data: bytes, where: str) -> str:
    if len(data) > MOST_WIDE and not data.isascii():
        # What mntscope writes is ASCII; and one character that is not can make each of a text take four bytes.
        raise TargetError(f"it is no snapshot: not ASCII, and larger than {MOST_WIDE >> 20} MiB", where=where)
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
        self._size = self._lines = self._options = 0

    def add(self, path: str, content: bytes) -> None:
        if content not in self._contents:
            self._size += len(content)
            self._lines += content.count(b"\n")
            self._options += options_in(content)
        self._size += len(path)
        self.files[path] = self._contents.setdefault(content, content)
        if self._size > LARGEST or len(self.files) > MOST_FILES:
            what = f"its mount tables are larger than {LARGEST >> 20} MiB, or more than {MOST_FILES} files"
            raise TargetError(what, where=self.where)
        refuse_too_many(self._lines, self.where)
        refuse_too_many_options(self._options, self.where)


def _archive(stream: Stream) -> Snapshot:
    collected = _Collected(stream.where)
    for name, size in read_tar(stream):
        if wanted := wanted_of(name):
            collected.add(name, stream.read(min(size, wanted)))
    return snapshot_of(collected.files, stream.where)


def _directory(file: BinaryIO, path: str) -> Snapshot:
    collected = _Collected(path)
    not_seen: list[Problem] = []
    while head := file.readline():
        kind, length, size = head.split()
        name = os.fsdecode(file.read(int(length)))
        content = file.read(int(size))
        if kind == _NOT_SEEN:
            not_seen.append(Problem(content.decode(), where=os.path.join(path, name)))
        else:
            collected.add(name, content)
    return snapshot_of(collected.files, path, not_seen)


# What happens in the child


def _write_down(path: str, out: int, ours: int | None) -> None:
    descriptor, kind = _regular(path) if ours is None else _regular(f"/proc/self/fd/{ours}")
    with open(out, "wb", buffering=1 << 16, closefd=False) as to:
        to.write(kind)
        if kind == _DIRECTORY:
            os.close(descriptor)
            _files_of(path, to)
        else:
            with open(descriptor, "rb", buffering=0) as file:
                while chunk := file.read(1 << 16):
                    to.write(chunk)


def _regular(path: str, flags: int = 0) -> tuple[int, bytes]:
    """A file or a directory to read. Nothing else is even opened: that may wait, or start something (a watchdog)."""
    looked_at = os.open(path, os.O_PATH | os.O_CLOEXEC | flags)
    try:
        there = os.fstat(looked_at)
        harmless = there.st_rdev in _HARMLESS and stat.S_ISCHR(there.st_mode)
        if not (stat.S_ISREG(there.st_mode) or stat.S_ISDIR(there.st_mode) or harmless):
            raise TargetError("it is neither a file nor a directory", where=path)
        kind = _DIRECTORY if stat.S_ISDIR(there.st_mode) else _FILE
        return os.open(f"/proc/self/fd/{looked_at}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), kind
    finally:
        os.close(looked_at)


def _files_of(path: str, out: BinaryIO) -> None:
    """The files of a directory that matter: of each its kind and two sizes, in a line, its name and its content."""
    for kind, name, content in _contents(path):
        encoded = os.fsencode(name)
        out.write(b"%s %d %d\n%s%s" % (kind, len(encoded), len(content), encoded, content))


def _contents(path: str) -> Iterator[tuple[bytes, str, bytes]]:
    pending = [""]
    while pending:
        directory = pending.pop()
        try:
            with os.scandir(os.path.join(path, directory)) as entries:
                found = sorted(islice(entries, MOST_FILES), key=lambda entry: entry.name)
        except OSError as error:
            if not directory:
                raise AccessError(f"it cannot be read ({error.strerror})", where=path) from None
            yield _NOT_SEEN, directory, _why(error)
            continue
        for entry in found:
            name = f"{directory}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if _DIRECTORIES.fullmatch(name):
                    pending.append(f"{name}/")
            elif entry.is_file(follow_symlinks=False) and (wanted := wanted_of(name)):
                try:
                    descriptor, kind = _regular(os.path.join(path, name), os.O_NOFOLLOW)
                    with open(descriptor, "rb") as file:
                        yield kind, name, file.read(wanted)
                except MntscopeError as error:
                    yield _NOT_SEEN, name, error.what.encode()
                except OSError as error:
                    yield _NOT_SEEN, name, _why(error)


def _why(error: OSError) -> bytes:
    return f"it cannot be read ({error.strerror})".encode()
