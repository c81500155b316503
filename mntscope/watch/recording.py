"""A recording of what is watched, as it is written; :mod:`mntscope.archive.recording` says what is in it, and reads it.

A line is written by one write(2), so a watch that is killed leaves whole lines, and at most a last one that is not.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from contextlib import suppress
from typing import Any

from mntscope.archive.document import to_document
from mntscope.archive.recording import FORMAT, MARK
from mntscope.base.records import replace
from mntscope.errors import AccessError, RefusedError
from mntscope.kernel.trust import ourselves
from mntscope.parse import format_mountinfo
from mntscope.snapshot import Snapshot
from mntscope.watch.state import Known, Machine
from mntscope.watch.watcher import Round

LARGEST = 64 << 20
"""Bytes of a file, from which on another is begun, unless somebody says otherwise: two are kept."""

_SYNC = 1.0
"""Seconds after which what was written is on the disk."""


class Recorder:
    """Writes to *path*, which is for its owner's eyes. A recording that is there already becomes ``PATH.1``.

    :raises RefusedError: what is there is no recording of this user's.
    :raises AccessError: it cannot be written.
    """

    def __init__(self, path: str, machine: Machine, *, largest: int = LARGEST) -> None:
        self.path = path
        self._machine = machine
        self._largest = largest
        self._labels: dict[int, str] = {}
        self._fd = -1
        self._size = 0
        self._synced = time.monotonic()
        self._refuse(path)
        self._refuse(f"{path}.1")
        self._begin()

    def write(self, done: Round) -> None:
        """What one round came to, unless that is nothing.

        :raises AccessError: it cannot be written.
        """
        if not (done.events or done.changes or done.born or done.gone):
            return
        line = self._line(done)
        if self._size + len(line) > self._largest:
            self._begin(events=[event.to_dict() for event in done.events])
            return
        self._write(line)

    def close(self) -> None:
        """All is on the disk."""
        if self._fd >= 0:
            with suppress(OSError):
                os.fsync(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _line(self, done: Round) -> bytes:
        machine = self._machine
        here = machine.namespaces
        ended = [self._labels.pop(key) for key in dict.fromkeys(done.gone) if key in self._labels]
        born = [key for key in dict.fromkeys(done.born) if key in here and key not in self._labels]
        for key in born:
            self._labels[key] = here[key].label
        changed = dict.fromkeys(Known(change.namespace, change.key) for change in done.changes)
        changed |= dict.fromkeys(Known(key, number) for key in born for number in here[key].mounts)
        gone: list[list[Any]] = []
        put: list[list[Any]] = []
        for known in changed:
            label = self._labels.get(known.namespace)
            if label is None or known.namespace not in here:
                continue
            mount = machine.mount(known)
            if mount is None:
                gone.append([label, known.key])
            else:
                text = format_mountinfo((mount,)).decode("utf-8", "surrogateescape")
                put.append([label, known.key, text.removesuffix("\n")])
        ordered = {known.namespace for known in changed if known.namespace in self._labels and known.namespace in here}
        ordered = {key for key in ordered if here[key].order}
        value = {
            **_now(),
            "ended": ended,
            "born": [_view_of(machine, key) for key in born],
            "gone": gone,
            "set": put,
            "order": {self._labels[key]: machine.keys(key) for key in ordered},
            "events": [event.to_dict() for event in done.events],
        }
        return _text({name: each for name, each in value.items() if each or name in ("time", "monotonic")})

    def _begin(self, events: list[dict[str, Any]] | None = None) -> None:
        """A file of its own, complete before it has its name."""
        machine = self._machine
        snapshot = machine.snapshot()
        self._labels = {key: namespace.label for key, namespace in machine.namespaces.items()}
        keys = {namespace.label: machine.keys(namespace.key) for namespace in machine.namespaces.values()}
        first = {"format": FORMAT, **_now(), "snapshot": to_document(snapshot), "keys": keys, "events": events or []}
        new = f"{self.path}.new"
        self.close()
        try:
            with suppress(FileNotFoundError):
                os.unlink(new)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._fd = os.open(new, flags, 0o600)
            self._size = 0
            self._write(_text(first))
            os.fsync(self._fd)
            with suppress(FileNotFoundError):
                os.rename(self.path, f"{self.path}.1")
            os.rename(new, self.path)
        except OSError as error:
            if isinstance(error, AccessError):
                raise
            raise AccessError(f"it cannot be recorded ({error.strerror})", where=self.path) from None

    def _write(self, line: bytes) -> None:
        try:
            written = os.write(self._fd, line)
            if written != len(line):
                # A full disk: what is half there is not read.
                os.ftruncate(self._fd, self._size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._size += written
            if time.monotonic() - self._synced > _SYNC:
                os.fdatasync(self._fd)
                self._synced = time.monotonic()
        except OSError as error:
            raise AccessError(f"it cannot be recorded ({error.strerror})", where=self.path) from None

    @staticmethod
    def _refuse(path: str) -> None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        except OSError as error:
            raise RefusedError(f"it cannot be replaced ({error.strerror})", where=path) from None
        try:
            there = os.fstat(fd)
            ours = stat.S_ISREG(there.st_mode) and there.st_uid in ourselves()
            if not ours or os.read(fd, len(MARK)) != MARK:
                hint = "choose another name, or take it away"
                raise RefusedError("there is something else than a recording of yours", where=path, hint=hint)
        finally:
            os.close(fd)


def _view_of(machine: Machine, key: int) -> dict[str, Any]:
    """A view without its mounts, as a snapshot has it."""
    view = replace(machine.view(key), mounts=())
    described: dict[str, Any] = to_document(Snapshot(views=(view,), host_label=view.label))["views"][0]
    return described


def _now() -> dict[str, float]:
    return {"time": round(time.time(), 6), "monotonic": round(time.monotonic(), 6)}


def _text(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
