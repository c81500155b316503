"""The kernel as the judge: mounts for real at a path of a namespace, and reads what appeared in every namespace."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn

from mntscope.kernel import syscalls

Place = tuple[str, str]
"""A view's label, and a mount point in it."""

_PROC = os.open("/proc", os.O_PATH | os.O_DIRECTORY)  # What is mounted for real may cover it.
_FAILED = 255


@dataclass(slots=True)
class Seen:
    """What one real mount came to."""

    errno: int = 0
    file: bool = False
    source: str = ""
    """Of a bind mount upon a file."""
    there: bool = True
    """Whether the path was there at all: something may be mounted over it."""
    mounts: Counter[Place] = field(default_factory=Counter)
    types: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """How often each propagation type appeared at each place."""
    left: list[str] = field(default_factory=list)
    """The views whose table was another once it had been unmounted again."""


class Judge:
    """Tables are read through one process of each namespace: *pids* by label."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        # What makes system calls is loaded when it first does: in a child's new root directory it would not be found.
        with suppress(OSError):
            syscalls.umount2("", 0)
        self._before = self.tables()

    def tables(self) -> dict[str, frozenset[bytes]]:
        """The lines of every table, by label; without those whose process has gone."""
        found = {}
        for label, pid in self._pids.items():
            try:
                fd = os.open(f"{pid}/mountinfo", os.O_RDONLY, dir_fd=_PROC)
            except OSError:
                continue
            with open(fd, "rb", buffering=0) as file:
                found[label] = frozenset((file.readall() or b"").splitlines())
        return found

    def tables_changed(self) -> None:
        """Take what is there now for what was there before."""
        self._before = self.tables()

    def mount(self, pid: int, path: str) -> Seen:
        """Mount something at *path* as process *pid* sees it, a tmpfs or upon a file a file, and unmount it again."""
        seen = Seen()
        before = self._before
        # One process does both: afterwards it may not be reachable by its name.
        answer, told = os.pipe()
        wait, go = os.pipe()
        if not (child := os.fork()):
            _child(pid, path, told, wait)
        os.close(told)
        os.close(wait)
        said = os.read(answer, 4096)
        code, kind, source = said[0], said[1:2], said[2:]
        if code == 0 and kind != b"-":
            self._compare(before, seen)
        os.write(go, b".")
        os.waitpid(child, 0)
        os.close(answer)
        os.close(go)
        seen.errno, seen.file, seen.source = code, kind == b"f", os.fsdecode(source)
        seen.there = kind != b"-"
        self._before = self.tables()
        seen.left = [label for label, table in self._before.items() if table != before.get(label)]
        return seen

    def _compare(self, before: Mapping[str, frozenset[bytes]], seen: Seen) -> None:
        for label, table in self.tables().items():
            known = {line.split(b" ", 1)[0] for line in before.get(label, ())}
            for line in table - before.get(label, frozenset()):
                fields = line.split(b" ")
                if fields[0] in known:
                    # A mount that was there before, and now lies upon one that no path of this process leads to.
                    continue
                place = (label, _path(fields[4]))
                seen.mounts[place] += 1
                tags = sorted(tag.partition(b":")[0].decode() for tag in fields[6 : fields.index(b"-")])
                seen.types[(*place, _type({tag for tag in tags if tag != "propagate_from"}))] += 1


def _type(tags: set[str]) -> str:
    return ",".join(word for tag, word in (("shared", "shared"), ("master", "slave")) if tag in tags) or "private"


def _path(field: bytes) -> str:
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda octal: bytes([int(octal[1], 8)]), field))


def _child(pid: int, path: str, told: int, wait: int) -> NoReturn:
    """In a fork: enter, say what came of it, unmount when told, and end."""
    try:
        enter(pid)
        kind, source = _kind(path), ""
        errno = 0
        if kind != "-":
            try:
                if kind == "f":
                    source = "/dev/null" if os.path.exists("/dev/null") else path
                    syscalls.mount(source, path, None, syscalls.MS_BIND)
                else:
                    syscalls.mount("probe", path, "tmpfs", 0)
            except OSError as error:
                errno = error.errno or _FAILED
        os.write(told, bytes([errno]) + kind.encode() + os.fsencode(source))
        os.read(wait, 1)
        if kind != "-" and not errno:
            syscalls.umount2(path, 2)
    except OSError as error:
        os.write(told, bytes([error.errno or _FAILED]) + b"-")
    except BaseException:
        os.write(told, bytes([_FAILED]) + b"-")
        raise
    finally:
        os._exit(0)


def enter(pid: int) -> None:
    """The mount namespace of a process, and its root directory."""
    root = os.open(f"{pid}/root", os.O_PATH, dir_fd=_PROC)
    namespace = os.open(f"{pid}/ns/mnt", os.O_RDONLY, dir_fd=_PROC)
    if os.fstat(namespace).st_ino != os.stat("self/ns/mnt", dir_fd=_PROC).st_ino:
        syscalls.setns(namespace, syscalls.CLONE_NEWNS)
    os.fchdir(root)
    os.chroot(".")
    os.chdir("/")


def _kind(path: str) -> str:
    try:
        os.lstat(path)
    except OSError:
        return "-"
    return "d" if os.path.isdir(path) else "f"
