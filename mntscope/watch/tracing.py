"""tracefs as a source: the system calls of which fanotify and poll tell nothing, and who made them.

Tracing costs the whole machine a little, so it is done only where it was asked for, in an instance of our own (of which
nobody else's tracing sees anything) on a tracefs that is mounted nowhere. An instance goes on tracing when who made it
is killed. So its name says whose it is, and those of the dead are taken away at the beginning.
"""

from __future__ import annotations

import errno
import os
import re
import select
import time
from collections.abc import Collection
from contextlib import suppress

from mntscope.errors import AccessError, KernelError
from mntscope.kernel import syscalls
from mntscope.kernel.unmounted import unmounted
from mntscope.live.procfs import Proc, namespace_link, start_time_of
from mntscope.watch.events import Who
from mntscope.watch.source import Call, News
from mntscope.watch.state import WatchedNamespace

PREFIX = "mntscope-watch"

_BUFFER_KB = 256
"""For each processor."""

_PROPAGATION = syscalls.MS_UNBINDABLE | syscalls.MS_PRIVATE | syscalls.MS_SLAVE | syscalls.MS_SHARED
_RETYPING = _PROPAGATION | syscalls.MS_REMOUNT

_EVENTS = {
    "sys_enter_mount": "",
    "sys_enter_umount": "",
    "sys_enter_move_mount": "",
    "sys_enter_mount_setattr": "",
    "sys_enter_unshare": f"unshare_flags & {syscalls.CLONE_NEWNS:#x}",
    "sys_exit_unshare": "",
    "sys_enter_clone": f"clone_flags & {syscalls.CLONE_NEWNS:#x}",
}
"""What is traced, and of it only this. (Never setns(2), which the reading of a machine calls. Of clone3(2) the flags
are not in its arguments: a namespace made by that is met when something happens in it, or at the next look.)"""

_FLAGS = re.compile(rb"\bflags: (?:0x)?([0-9a-f]+)")

# The name of the process in the first 16 bytes, whatever is in it (kernel/trace/trace_output.c, trace_print_context).
_LINE = re.compile(rb"(?s)^(.{16})-([0-9]+) +\[[0-9]+\] +\S+ +[0-9.]+: sys_([a-z0-9_]+)(\(| -> )([^\n]*)$")
_MOST_NAMES = 4096
_MOST = 1 << 20
"""Bytes of one collecting."""


class TraceSource:
    """An instance of tracefs.

    :raises AccessError: there is no tracefs, or not for this process.
    """

    name = "tracefs"
    blind = ("it tells who changed the propagation of a mount, but not of which: the tables are read then",)

    def __init__(self, proc: Proc) -> None:
        self._proc = proc
        self._rest = b""
        self._pipe = -1
        self.comms: dict[int, str] = {}
        """The names of those who made calls, by the id of the thread."""
        try:
            self._root = unmounted("tracefs")
        except OSError as error:
            hint = "run mntscope as root, on a kernel with CONFIG_FTRACE_SYSCALLS"
            raise AccessError(f"there is no tracefs to trace with ({error.strerror})", hint=hint) from None
        self._name = f"{PREFIX}-{os.getpid()}-{_start_time(proc, os.getpid())}"
        try:
            self.removed = self._remove_dead()
            os.mkdir(f"instances/{self._name}", dir_fd=self._root)
            self._set_up()
        except OSError as error:
            self.close()
            raise AccessError(f"it may not be traced here ({error.strerror})", hint="run mntscope as root") from None

    def register(self, epoll: select.epoll) -> None:
        """Its trace_pipe."""
        epoll.register(self._pipe, select.EPOLLIN)

    def watch(self, namespace: WatchedNamespace) -> None:
        """It tells of all of them."""

    def collect(self, ready: Collection[int]) -> News:  # noqa: ARG002 - it is as cheap to read
        """The calls since; and whether one made a namespace."""
        data = self._rest
        while len(data) < _MOST:
            try:
                chunk = os.read(self._pipe, 1 << 16)
            except OSError:
                break
            if not chunk:
                break
            data += chunk
        *lines, self._rest = data.split(b"\n")
        self._rest = self._rest[-4096:]
        calls: dict[Who, Call] = {}
        self.comms = dict(list(self.comms.items())[-_MOST_NAMES:])
        namespaces = False
        for line in lines:
            who, call = self._read(line)
            if call in ("unshare", "clone"):
                namespaces = True
            elif call:
                calls.setdefault(who, Call(call, who, self._namespace_of(who.pid)))
        return News(calls=tuple(calls.values()), namespaces=namespaces)

    def _read(self, line: bytes) -> tuple[Who, str]:
        """Who made a call, and which; nothing where it is no line of a call that was tried and went well."""
        if b"LOST" in line:
            return Who(0), "mount"
        found = _LINE.match(line)
        if found is None:
            # The name of a process may hold a line feed.
            return Who(0), "mount" if b": sys_mount" in line else ""
        comm, number, call, how, rest = found.groups()
        who = Who(int(number), _text(comm))
        self.comms[who.pid] = who.comm
        if how == b" -> ":
            return who, "unshare" if rest.startswith(b"0x0") else ""
        if call == b"mount":
            flags = _FLAGS.search(rest)
            # How it ends is not waited for: the tables say.
            return who, "mount" if flags and int(flags[1], 16) & _RETYPING else ""
        return who, call.decode() if call in (b"mount_setattr", b"clone") else ""

    def _namespace_of(self, pid: int) -> int:
        with suppress(OSError, ValueError):
            return namespace_link("mnt", str(pid), dir_fd=self._proc.fd) if pid else 0
        return 0

    def close(self) -> None:
        """Take the instance away."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        if self._root >= 0:
            self._remove(self._name)
            os.close(self._root)
            self._root = -1

    def _set_up(self) -> None:
        self._write("buffer_size_kb", str(_BUFFER_KB))
        # Whoever waits is woken by the first line.
        with suppress(OSError):
            self._write("buffer_percent", "0")
        for event, only in _EVENTS.items():
            if only:
                self._write(f"events/syscalls/{event}/filter", only)
            self._write(f"events/syscalls/{event}/enable", "1")
        path = f"instances/{self._name}/trace_pipe"
        self._pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._root)

    def _write(self, name: str, text: str) -> None:
        fd = os.open(f"instances/{self._name}/{name}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=self._root)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    def _remove_dead(self) -> list[str]:
        """The instances of watchers that are no more, which are taken away."""
        removed = []
        instances = os.open("instances", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._root)
        try:
            names = os.listdir(instances)
        finally:
            os.close(instances)
        for name in names:
            found = re.fullmatch(rf"{PREFIX}-([0-9]+)-([0-9]+)", name)
            if found and _start_time(self._proc, int(found[1])) != int(found[2]) and self._remove(name):
                removed.append(name)
        return removed

    def _remove(self, name: str) -> bool:
        for _ in range(20):
            try:
                os.rmdir(f"instances/{name}", dir_fd=self._root)
                return True
            except FileNotFoundError:
                return False
            except OSError as error:
                if error.errno != errno.EBUSY:
                    return False
                # Somebody reads in it, or a reader is only just gone.
                time.sleep(0.02)
        return False


def _start_time(proc: Proc, pid: int) -> int:
    """0 where there is no such process."""
    try:
        fd = os.open(str(pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc.fd)
    except OSError:
        return 0
    try:
        return start_time_of(fd)
    except (OSError, KernelError):
        return 0
    finally:
        os.close(fd)


def _text(comm: bytes) -> str:
    return os.fsdecode(comm).strip()
