"""What is about to be changed, and what has been: a file that is on the disk before the first change is made.

A journal is JSON (``mntscope.journal/1``). It is replaced as a whole (written beside, synced, renamed), so that a
reader finds one state or the next. Its directory is the lock by which several mntscopes wait for each other.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self, get_args

from mntscope.errors import AccessError, RefusedError, TargetError

State = Literal["planned", "applying", "applied", "rolled-back", "undone", "failed"]
"""``failed``: neither all was done nor all put back; the note says what stands."""

Progress = Literal["planned", "doing", "done", "undone"]

SCHEMA = "mntscope.journal/1"

LARGEST = 1 << 24
"""A journal of more bytes is none."""


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

    action: Literal["propagation", "mount"]
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
    """The record of one isolation."""

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

    def write(self) -> None:
        """Put it on the disk, whole.

        :raises AccessError: it cannot be written.
        """
        document = {"schema": SCHEMA, **asdict(self)}
        del document["path"], document["directory"]
        name = os.path.basename(self.path)
        temporary = f".{name}.{os.getpid()}"
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600, dir_fd=self.directory)
            with open(fd, "wb") as file:
                file.write(json.dumps(document, indent=1).encode())
                file.flush()
                os.fsync(fd)
            os.rename(temporary, name, src_dir_fd=self.directory, dst_dir_fd=self.directory)
            os.fsync(self.directory)
        except OSError as error:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=self.directory)
            raise AccessError(f"the journal cannot be written ({error.strerror})", where=self.path) from error

    @classmethod
    def read(cls, path: str) -> Self:
        """The journal at *path*; its directory must be :func:`locked` to write it.

        :raises TargetError: there is none, or it is no journal.
        :raises AccessError: it may not be read.
        """
        try:
            with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise TargetError("it is not a file", where=path, hint="name the journal that isolate wrote")
                data = file.read(LARGEST + 1)
        except PermissionError as error:
            raise AccessError("permission denied", where=path, hint="run mntscope as who wrote it") from error
        except OSError as error:
            hint = "isolate says where it wrote the journal"
            raise TargetError(f"it cannot be read ({error.strerror})", where=path, hint=hint) from error
        try:
            return cls._from_document(path, json.loads(data))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise TargetError("it is not a journal of mntscope", where=path, hint=f"{SCHEMA} is read") from error

    @classmethod
    def _from_document(cls, path: str, document: dict[str, Any]) -> Self:
        if document.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        entries = [
            Entry(
                **{
                    **entry,
                    "changed": [
                        Changed(**{**changed, "peers": [Member(**peer) for peer in changed["peers"]]})
                        for changed in entry["changed"]
                    ],
                }
            )
            for entry in document.pop("entries")
        ]
        journal = cls(path=path, **document, entries=entries)
        if journal.state not in get_args(State) or any(entry.state not in get_args(Progress) for entry in entries):
            raise ValueError("no such state")
        return journal


def default_path(pid: int | None) -> str:
    """Where a journal goes by default: below /run/mntscope, or $XDG_RUNTIME_DIR/mntscope of an ordinary user.

    :raises AccessError: there is no such place.
    """
    base = "/run" if os.geteuid() == 0 else os.environ.get("XDG_RUNTIME_DIR")
    if not base:
        raise AccessError("there is no place for a journal", where="$XDG_RUNTIME_DIR", hint="give --journal FILE")
    directory = f"{base}/mntscope"
    try:
        os.makedirs(directory, 0o700, exist_ok=True)
    except OSError as error:
        raise AccessError(f"cannot be made ({error.strerror})", where=directory, hint="give --journal FILE") from error
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return f"{directory}/isolate-{now}-{pid or 'ns'}-{os.getpid()}.json"


@contextmanager
def locked(path: str, *, new: bool) -> Iterator[int]:
    """A descriptor of the directory of *path*, once no other mntscope that changes anything holds it.

    :raises RefusedError: a *new* journal is to go where something is already.
    :raises AccessError: the directory may not be opened.
    """
    try:
        directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        hint = "journals are not written to a directory that is not there"
        raise AccessError(f"its directory cannot be opened ({error.strerror})", where=path, hint=hint) from error
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        if new and os.path.lexists(path):
            raise RefusedError("it exists already", where=path, hint="give the journal another name")
        yield directory
    finally:
        # Not unlocked but closed: a worker that still puts things back holds it too.
        os.close(directory)
