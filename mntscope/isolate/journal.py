"""What is about to be changed, and what has been: a file that is on the disk before the first change is made.

A journal is lines of JSON, and only ever grows, so that it can be read whenever its writer was killed: there is no
moment without it, and no other file beside it. A line with a ``schema`` (``mntscope.journal/1``) says all; it comes
first, and again where all was put back and is tried anew. Each line after it says how far things have come: the last
whole line counts. (One document over several lines, as written before, is such a beginning too.) The file appears with
its first line; only where its filesystem knows no nameless files (O_TMPFILE) may a kill leave an empty one, or half a
line: nothing had been changed by then.

It is an instruction to whoever undoes it: see :mod:`mntscope.isolate.trust` for what is not obeyed. Its directory is
the lock by which several mntscopes wait for each other.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self, get_args

from mntscope.base.signals import uninterrupted
from mntscope.errors import AccessError, RefusedError, TargetError
from mntscope.isolate.trust import open_directory, open_own, private, read_own
from mntscope.live.paths import absolute

State = Literal["planned", "applying", "applied", "rolled-back", "undone", "failed"]
"""``failed``: neither all was done nor all put back; the note says what stands."""

Progress = Literal["planned", "doing", "done", "undone"]

Act = Literal["propagation", "mount"]

SCHEMA = "mntscope.journal/1"

_BEGINNING = b'{"schema":"'

LARGEST = 1 << 24
"""A journal of more bytes is none."""

_SAID = 3
"""Actions that are told of in a few words."""

PATIENCE = 10.0
"""Seconds for which the same process is waited for."""

_PAUSE = 0.05


@dataclass(slots=True)
class Member:
    """A mount of a peer group, as it could be found again."""

    mount_id: int
    unique_id: int | None = None
    """The 64-bit id of Linux 6.8 and later: never used twice in one boot."""


@dataclass(slots=True)
class Changed:
    """A mount whose propagation an action changes, as it was."""

    mount_id: int
    unique_id: int | None
    line: str
    """Its line of mountinfo, before."""
    peers: list[Member] = field(default_factory=list)
    """The other members of its peer group (of its master's, if it has none), anywhere."""


@dataclass(slots=True)
class Entry:
    """One action, and how far it has come."""

    action: Act
    path: str
    """In the target's mount namespace, from its root."""
    type: str = ""
    """``private`` or ``slave``, of a change of propagation."""
    recursive: bool = False
    state: Progress = "planned"
    changed: list[Changed] = field(default_factory=list)
    """Of a change of propagation."""
    mount_id: int | None = None
    """Of a new mount, once it is made."""
    unique_id: int | None = None


@dataclass(slots=True)
class Journal:
    """One isolation: whose namespace it was, what was to be changed there, and how far that has come."""

    path: str
    boot_id: str
    time: str
    """UTC, as in ISO 8601."""
    pid: int | None
    start_time: int | None
    """In clock ticks since boot."""
    namespace: int
    """Inode of the target's mount namespace."""
    namespace_id: int | None
    """The 64-bit id of Linux 6.11 and later."""
    state: State = "planned"
    note: str = ""
    entries: list[Entry] = field(default_factory=list)
    directory: int = -1
    """A descriptor of its directory, through which it is written: from inside of other namespaces, too."""
    in_host_namespace: bool = False
    """Whether it was asked for even if that namespace is the host's."""
    target: str = ""
    """What that namespace was called."""
    begun: bool = False
    """Whether its file says all of it already, but for how far it has come."""

    @property
    def to_undo(self) -> bool:
        """Whether it speaks of something that may have to be put back."""
        return self.state not in ("undone", "rolled-back") and any(
            entry.state in ("doing", "done") for entry in self.entries
        )

    @property
    def what(self) -> str:
        """What was to be done, in a few words."""
        said = [
            f"{entry.path} {entry.type}{' with all below' if entry.recursive else ''}"
            if entry.action == "propagation"
            else f"a proc at {entry.path}"
            for entry in self.entries[:_SAID]
        ]
        more = [f"{len(self.entries) - _SAID} more"] if len(self.entries) > _SAID else []
        return ", ".join(said + more)

    def write(self) -> None:
        """Put it on the disk.

        :raises RefusedError: it would be too long to be read again.
        :raises AccessError: it cannot be written.
        """
        line = json.dumps(self._progress() if self.begun else self._document(), separators=(",", ":")).encode() + b"\n"
        if len(line) > LARGEST // 2:
            raise RefusedError(
                "more mounts would change than a journal holds", where=self.path, hint="name fewer paths"
            )
        try:
            if self.begun or not _created(self.directory, os.path.basename(self.path), line):
                _append(self.directory, self.path, line)
            self.begun = True
        except OSError as error:
            raise AccessError(f"the journal cannot be written ({error.strerror})", where=self.path) from error

    def _document(self) -> dict[str, Any]:
        document = {"schema": SCHEMA, **asdict(self)}
        for name in _NOT_WRITTEN:
            del document[name]
        return document

    def _progress(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "note": self.note,
            "entries": [{name: getattr(entry, name) for name in _PROGRESS} for entry in self.entries],
        }

    @classmethod
    def read(cls, path: str, directory: int | None = None) -> Self:
        """The journal at *path*, in the *directory* that is :func:`locked` where it is to be written, too.

        :raises RefusedError: somebody else can have written it.
        :raises TargetError: there is none, or it is no journal.
        :raises AccessError: it may not be read.
        """
        path = absolute(path)
        if directory is None:
            there = open_directory(os.path.dirname(path))
            try:
                data = read_own(there, path, LARGEST)
            finally:
                os.close(there)
        else:
            data = read_own(directory, path, LARGEST)
        try:
            journal = cls._of(path, _documents(data.decode()))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            cut_off = b"\n" not in data and data.startswith(_BEGINNING[: len(data)])
            hint = (
                "it was cut off before its first line was whole, when nothing had been changed: delete it"
                if cut_off
                else f"{SCHEMA} is read"
            )
            raise TargetError("it is not a journal of mntscope", where=path, hint=hint) from error
        if directory is not None:
            journal.directory = directory
        return journal

    @classmethod
    def _of(cls, path: str, documents: list[dict[str, Any]]) -> Self:
        begun = max((number for number, document in enumerate(documents) if "schema" in document), default=0)
        whole, *progress = documents[begun:]
        if whole.pop("schema") != SCHEMA or not whole.keys().isdisjoint(_NOT_WRITTEN):
            raise ValueError("another schema")
        whole["entries"] = [_entry(entry) for entry in _listed(whole["entries"])]
        journal = cls(path=path, begun=True, **_checked(cls, whole))
        for last in progress[-1:]:
            told = zip(journal.entries, _listed(last.pop("entries")), strict=True)
            for record, now in ((journal, last), *told):
                if now.keys() - {*_PROGRESS, "note"}:
                    raise ValueError("more than how far it has come")
                for name, value in _checked(type(record), now).items():
                    setattr(record, name, value)
        return journal


_NOT_WRITTEN = ("path", "directory", "begun")
_PROGRESS = ("state", "mount_id", "unique_id")


# Its lines


def _documents(text: str) -> list[dict[str, Any]]:
    """What it says, one thing after the other; a line that was cut off says nothing."""
    decoder = json.JSONDecoder()
    found: list[dict[str, Any]] = []
    at = 0
    while True:
        # Not str.isspace, which knows more blanks than JSON.
        while at < len(text) and text[at] in " \t\r\n":
            at += 1
        if at == len(text):
            return found
        try:
            document, at = decoder.raw_decode(text, at)
        except ValueError:
            at = text.find("\n", at)
            if at < 0:
                return found
            continue
        if not isinstance(document, dict):
            raise TypeError("no object")
        found.append(document)


def _created(directory: int, name: str, line: bytes) -> bool:
    """Make the file, with its first line; whether there was none."""
    try:
        fd = os.open(".", os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o600, dir_fd=directory)
    except OSError:
        # EOPNOTSUPP, or EISDIR of a kernel before 3.11: the filesystem has none.
        return _created_empty(directory, name, line)
    try:
        _write(fd, line)
        try:
            os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=directory, follow_symlinks=True)
        except FileExistsError:
            return False
        except OSError:
            # /proc is covered, or shows another PID namespace.
            return _created_empty(directory, name, line)
        os.fsync(directory)
    finally:
        os.close(fd)
    return True


def _created_empty(directory: int, name: str, line: bytes) -> bool:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(name, flags, 0o600, dir_fd=directory)
    except FileExistsError:
        return False
    try:
        _write(fd, line)
        os.fsync(directory)
    finally:
        os.close(fd)
    return True


def _append(directory: int, path: str, line: bytes) -> None:
    fd = open_own(directory, path, os.O_RDWR | os.O_APPEND)
    try:
        size = os.fstat(fd).st_size
        # What was cut off, or a document of old, ends without a newline.
        torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        _write(fd, b"\n" + line if torn else line)
    finally:
        os.close(fd)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    os.fsync(fd)


# What may stand in it: a journal is believed no further than it is well-formed


def _entry(told: dict[str, Any]) -> Entry:
    told["changed"] = [_changed(it) for it in _listed(told["changed"])]
    return Entry(**_checked(Entry, told))


def _changed(told: dict[str, Any]) -> Changed:
    told["peers"] = [Member(**_checked(Member, peer)) for peer in _listed(told["peers"])]
    return Changed(**_checked(Changed, told))


def _checked(kind: type[Any], told: dict[str, Any]) -> dict[str, Any]:
    """What is told of a record, each of it of the type that its field has."""
    types: dict[str, Any] = {it.name: it.type for it in fields(kind)}
    for name, value in told.items():
        if not _FITS[types[name]](value):
            raise ValueError(name)
    return told


def _listed(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(it, dict) for it in value):
        raise TypeError("no list of objects")
    return value


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 64


def _is_text(value: Any) -> bool:
    """Text that a file name, or a line of a table, can be (UnicodeEncodeError is a ValueError)."""
    return isinstance(value, str) and b"\0" not in value.encode("utf-8", "surrogateescape")


_FITS: dict[str, Any] = {
    "int": _is_number,
    "int | None": lambda value: value is None or _is_number(value),
    "str": _is_text,
    "bool": lambda value: isinstance(value, bool),
    "State": lambda value: value in get_args(State),
    "Progress": lambda value: value in get_args(Progress),
    "Act": lambda value: value in get_args(Act),
    # Of records that have been checked.
    "list[Member]": lambda _: True,
    "list[Changed]": lambda _: True,
    "list[Entry]": lambda _: True,
}


# Where it lies


def default_directory() -> str:
    """Where journals go by default: /run/mntscope, or an ordinary user's $XDG_STATE_HOME/mntscope. It is made, 0700.

    :raises AccessError: it cannot be made.
    :raises RefusedError: somebody else can write there.
    """
    if os.geteuid() == 0:
        base = "/run"
    else:
        # XDG Base Directory Specification: a relative path counts as none.
        state = os.environ.get("XDG_STATE_HOME", "")
        base = state if state.startswith("/") else os.path.expanduser("~/.local/state")
    path = f"{base}/mntscope"
    try:
        _make(path)
    except OSError as error:
        raise AccessError(f"cannot be made ({error.strerror})", where=path, hint="give --journal FILE") from error
    fd = open_directory(path)
    try:
        # Names of targets are nobody's business, and who cannot open it cannot lock it.
        if os.fstat(fd).st_uid == os.geteuid() and not private(fd):
            os.fchmod(fd, 0o700)
    finally:
        os.close(fd)
    return path


def _make(path: str) -> None:
    """A directory, and those above it that are missing: 0700, which os.makedirs has for the last one only."""
    if not os.path.isdir(path):
        _make(os.path.dirname(path))
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)


def default_path(pid: int | None) -> str:
    """Where a journal goes by default.

    :raises MntscopeError: as :func:`default_directory`.
    """
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return f"{default_directory()}/isolate-{now}-{pid or 'ns'}-{os.getpid()}.json"


@contextmanager
def locked(path: str, *, new: bool, pending: Sequence[int] = ()) -> Iterator[int]:
    """A descriptor of the directory of *path*, once no other mntscope that changes anything is at work there.

    *pending* are the signals that have come: of these, and of an interrupt, waiting hears.

    :raises RefusedError: a *new* journal is to go where something is already; somebody else can write there; or
        another mntscope is at work for too long.
    :raises AccessError: the directory may not be opened.
    """
    path = absolute(path)
    held: list[int] = []
    try:
        with uninterrupted():
            held.append(open_directory(os.path.dirname(path)))
            # Whoever can open a directory can lock it, for ever: of /tmp that is everybody.
            if not private(held[0]):
                held.append(open_directory(default_directory()))
        _lock(held[-1], path, pending)
        if new:
            with suppress(FileNotFoundError):
                os.stat(os.path.basename(path), dir_fd=held[0], follow_symlinks=False)
                raise RefusedError("it exists already", where=path, hint="give the journal another name")
        yield held[0]
    finally:
        # Not unlocked but closed: a worker that still puts things back holds it too.
        for fd in held:
            os.close(fd)


def _lock(fd: int, path: str, pending: Sequence[int]) -> None:
    """Lock a directory. Others are waited for as long as they take turns, but not for one that does not end."""
    last, given_up = None, 0.0
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(fd)
            if given_up == 0.0 or holder != last:
                last, given_up = holder, time.monotonic() + PATIENCE
            if time.monotonic() > given_up:
                who = f"process {holder}" if holder else "another process"
                raise RefusedError(
                    f"{who}, or what it left, has been at work there for more than {PATIENCE:g} s",
                    where=path,
                    hint="wait until it has ended (`lslocks` shows it), then try again",
                ) from None
            if pending:
                raise KeyboardInterrupt from None
            time.sleep(_PAUSE)
        else:
            return


def _holder(fd: int) -> int | None:
    """The process that locked a directory, as proc_locks(5) tells; ``None`` where it does not."""
    there = os.fstat(fd)
    with suppress(OSError, ValueError), open("/proc/locks", "rb") as locks:
        for line in locks:
            words = line.split()
            if words[1:2] == [b"FLOCK"]:
                major, minor, inode = words[5].split(b":")
                if (os.makedev(int(major, 16), int(minor, 16)), int(inode)) == (there.st_dev, there.st_ino):
                    return int(words[4])
    return None
