"""Files and directories that hold a snapshot, or tables to make one of."""

from __future__ import annotations

import gzip
import json
import os
import secrets
import stat
import zlib
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from mntscope.archive.document import from_document, to_document
from mntscope.errors import AccessError, MntscopeError, RefusedError, TargetError
from mntscope.model import Namespace, Problem, Process, View
from mntscope.parse import parse_mountinfo
from mntscope.snapshot import Snapshot

LARGEST = 1 << 28
"""No more bytes than these are read from a file, or unpacked from one."""

_GZIP = b"\x1f\x8b"


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
    """The snapshot in *path*: a snapshot file, one mount table, or a directory of tables.

    Of a directory, the tables are ``PID/mountinfo`` (below ``proc/`` if there is one, with ``PID/cgroup`` and
    ``PID/comm`` beside) and ``NAME.mountinfo``; process 1, else ``host``, else the first plays the host. Links are
    not followed. A bad line costs that line, and is named among the view's problems.

    :raises TargetError: there is nothing there, or nothing that can be read as a snapshot.
    :raises AccessError: it may not be read.
    :raises ParseError: a table without a good line.
    :raises MntscopeError: a snapshot file that is cut off, damaged or not one.
    """
    where = Path(path)
    if where.is_dir():
        return _directory(where)
    data = _read(where)
    if data.startswith(_GZIP):
        return from_document(_text(_unpack(data, str(where)), str(where)), str(where))
    if data.lstrip()[:1] == b"{":
        return from_document(_text(data, str(where)), str(where))
    view = _table(data, where.name.removesuffix(".mountinfo"), str(where))
    return Snapshot(views=(view,), host_label=view.label)


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise MntscopeError("it is not a snapshot: not UTF-8", where=where) from None


def _unpack(data: bytes, where: str) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        text = unpacker.decompress(data, LARGEST)
    except zlib.error:
        raise MntscopeError("it is damaged: not what gzip wrote", where=where) from None
    if unpacker.unconsumed_tail:
        raise MntscopeError(f"it is no snapshot: more than {LARGEST >> 20} MiB when unpacked", where=where)
    if not unpacker.eof:
        raise MntscopeError("it is cut off", where=where)
    return text


def _read(path: Path) -> bytes:
    """The bytes of a regular file."""
    try:
        with path.open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise TargetError("it is neither a file nor a directory", where=str(path))
            return _bounded(file, str(path))
    except FileNotFoundError:
        raise TargetError("there is no such file", where=str(path)) from None
    except PermissionError:
        raise AccessError("permission denied", where=str(path)) from None
    except OSError as error:
        raise TargetError(f"it cannot be read ({error.strerror})", where=str(path)) from None


def _bounded(file: BinaryIO, where: str) -> bytes:
    data = bytearray()
    while len(data) <= LARGEST and (chunk := file.read(1 << 20)):
        data += chunk
    if len(data) > LARGEST:
        raise TargetError(f"it is no snapshot or mount table: larger than {LARGEST >> 20} MiB", where=where)
    return bytes(data)


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
    return Snapshot(views=(_table(data, label, label),), host_label=label)


def _table(data: bytes, label: str, where: str) -> View:
    mounts = parse_mountinfo(data, strict=False, file=where)
    if not mounts:
        if mounts.problems:
            raise mounts.problems[0]
        hint = "a mount table has a line for each mount; make one with `cat /proc/PID/mountinfo`"
        raise TargetError("it is empty", where=where, hint=hint)
    problems = tuple(Problem(error.what, where=error.where) for error in mounts.problems)
    return View(label=label, mounts=tuple(mounts), problems=problems)


def _directory(path: Path) -> Snapshot:
    proc = path / "proc" if (path / "proc").is_dir() and not (path / "proc").is_symlink() else path
    views: list[View] = []
    not_seen: list[Problem] = []
    for entry in sorted(proc.iterdir(), key=lambda entry: (len(entry.name), entry.name)):
        table = entry / "mountinfo" if entry.name.isdecimal() else entry
        if entry.is_symlink() or table.is_symlink() or not table.is_file() or not table.name.endswith("mountinfo"):
            continue
        try:
            view = _table(_read(table), entry.name.removesuffix(".mountinfo"), str(table))
        except MntscopeError as error:
            not_seen.append(Problem(error.what, where=error.where))
            continue
        if entry.name.isdecimal():
            process = Process(int(entry.name), comm=_beside(entry, "comm").strip(), cgroup=_beside(entry, "cgroup"))
            view = View(view.label, view.mounts, Namespace(processes=(process,)), process, problems=view.problems)
        views.append(view)
    if not views:
        raise TargetError(
            "it holds no mount table", where=str(path), hint="PID/mountinfo and NAME.mountinfo are looked for"
        )
    labels = [view.label for view in views]
    host = next((label for label in ("1", "host") if label in labels), labels[0])
    return Snapshot(views=tuple(views), host_label=host, not_seen=tuple(not_seen))


def _beside(entry: Path, name: str) -> str:
    path = entry / name
    if path.is_symlink() or not path.is_file():
        return ""
    return _read(path).decode("utf-8", "surrogateescape")
