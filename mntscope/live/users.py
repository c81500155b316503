"""What the runtimes of ordinary users say of their containers.

They say it in files below /run/user/UID, which that user may fill with anything, and which root reads. So these are
looked at by a child that can be killed, without following a link, no more than so many of so many bytes; and they are
believed only of that user's own processes (:meth:`Users.of`).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from itertools import islice, pairwise

from mntscope.base.records import NamedTuple
from mntscope.errors import KernelError, MntscopeError, NoAnswerError
from mntscope.kernel import syscalls
from mntscope.kernel.worker import in_child
from mntscope.live.procfs import Proc, hold, open_proc, read
from mntscope.model import Problem, Process

PLACE = "/run/user"
"""Where each user who is logged in has a directory of his own, named by his uid (pam_systemd(8))."""

LARGEST = 64 << 10
"""A state file of more bytes is not one: runc writes some 20 KB, crun one."""

MOST_FILES = 128
"""No more state files of a user and a runtime are read."""

MOST_STUCK = 3
"""After so many users whose directories do not answer, no other is looked at: each costs the deadline."""

NOBODY = 65534
"""How a user is shown who has no number in this user namespace (/proc/sys/kernel/overflowuid): that may be anyone."""

_NAME = r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}"
"""As podman has it."""

# The name of a runtime and of its directory, that of the state in a container's directory there, and its keys.
_RUNTIMES = (
    ("runc", "state.json", "init_process_pid", "init_process_start"),
    ("crun", "status", "pid", "process-start-time"),
)


class Claim(NamedTuple):
    """A container, as a user's runtime has it."""

    kind: str
    id: str


class Users:
    """The users of this machine who have a runtime directory; each is looked at once, when he is first asked about."""

    def __init__(self, not_seen: list[Problem], proc: Proc | None = None) -> None:
        self._not_seen = not_seen
        self._proc = proc
        self._claims: dict[int, dict[tuple[int, str], Claim]] = {}
        self._stuck = 0

    def all(self) -> list[int]:
        """The uids of the users that have a runtime directory (``/run/user/UID``), in ascending order."""
        return sorted(self._all)

    def of(self, process: Process) -> list[int]:
        """Those whose process this is: who alone it runs as, and who made a user namespace in which it lives.

        In a rootless container processes run as subordinate uids (subuid(5)); but who made its user namespace has
        every capability over all that live in it or in one below it (user_namespaces(7)). Of a program that is
        set-user-ID not all of the uids are the user's, so it is not his.
        """
        if not self._all:
            return []
        with suppress(MntscopeError, OSError), self._opened() as proc, hold(proc, process.pid) as found:
            # Another process may have got the pid.
            if int(read("stat", dir_fd=found).rpartition(b")")[2].split()[19]) == process.start_time:
                return sorted({*_runs_as(found), *_makers(proc, found)} & self._all)
        return []

    def name_of(self, process: Process, uid: int, number: str) -> str:
        """What a user's podman calls the container whose first process this is; empty where that cannot be told.

        The name is in files below his home, which nobody else looks into; but its parent is its monitor, conmon(8),
        which has the container's id and its name on its command line: ``-c ID -n NAME``.
        """
        if self._stuck >= MOST_STUCK:
            return ""
        with suppress(MntscopeError, OSError, ValueError), self._opened() as proc, hold(proc, process.pid) as found:
            _, fields = read("stat", dir_fd=found).decode("utf-8", "surrogateescape").rsplit(")", 1)
            if int(fields.split()[19]) != process.start_time:
                return ""
            with hold(proc, int(fields.split()[1])) as above:
                if uid in {*_runs_as(above), *_makers(proc, above)}:
                    return self._monitored(above, number)
        return ""

    def _monitored(self, above: int, number: str) -> str:
        try:
            # A process's arguments are in its memory, which may be a file of a server that never answers.
            text = in_child(partial(_command_line, above), where="cmdline")
        except NoAnswerError as error:
            self._stuck += 1
            self._not_seen.append(Problem(f"the name of a container: {error.what}", where=number))
            return ""
        words = text.decode("utf-8", "surrogateescape").split("\0")
        options = dict(pairwise(words))
        if os.path.basename(words[0]) == "conmon" and options.get("-c") == number:
            return name[0] if (name := re.fullmatch(_NAME, options.get("-n", ""))) else ""
        return ""

    @contextmanager
    def _opened(self) -> Iterator[Proc]:
        if self._proc:
            yield self._proc
        else:
            with open_proc() as proc:
                yield proc

    def claims(self, uid: int) -> dict[tuple[int, str], Claim]:
        """The containers of a user, by the pid and the start time of what he says is their first process."""
        if uid not in self._claims:
            self._claims[uid] = self._look(uid)
        return self._claims[uid]

    @cached_property
    def _all(self) -> frozenset[int]:
        # The directory itself is root's. What is in it is not even asked what it is.
        with suppress(OSError), os.scandir(PLACE) as entries:
            names = [entry.name for entry in entries]
            return frozenset(int(name) for name in names if name.isdecimal() and name.isascii()) - {NOBODY}
        return frozenset()

    def _look(self, uid: int) -> dict[tuple[int, str], Claim]:
        place = f"{PLACE}/{uid}"
        if self._stuck >= MOST_STUCK:
            self._not_seen.append(Problem("its containers: too many others did not answer", where=place))
            return {}
        try:
            words = in_child(partial(_stated, uid), where=place).decode("utf-8", "surrogateescape").split("\0")
        except NoAnswerError as error:
            self._stuck += 1
            self._not_seen.append(Problem(f"its containers: {error.what}", where=place))
            return {}
        except (MntscopeError, OSError):
            # It may not be read, or is not as it should be.
            return {}
        claims = zip(*(words[begin::4] for begin in range(4)), strict=False)
        return {(int(pid), start): Claim(kind, number) for pid, start, kind, number in claims}


def _runs_as(directory: int) -> set[int]:
    """The uid of a process, if its real, effective, saved and filesystem uid are one (proc_pid_status(5))."""
    for line in read("status", dir_fd=directory).split(b"\n"):
        if line.startswith(b"Uid:"):
            uids = set(map(int, line.split()[1:]))
            return uids if len(uids) == 1 else set()
    return set()


def _makers(proc: Proc, directory: int) -> set[int]:
    """Who made the user namespaces in which a process lives, from its own up to, and without, that of mntscope."""
    makers = set()
    with suppress(OSError):
        own = os.stat("self/ns/user", dir_fd=proc.fd)
        fd = os.open("ns/user", os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
        while True:
            try:
                if os.path.samestat(os.fstat(fd), own):
                    break
                makers.add(syscalls.ns_get_owner_uid(fd))
                above = syscalls.ns_get_parent(fd)
            except KernelError:
                # It is not one below mntscope's own.
                break
            finally:
                os.close(fd)
            fd = above
    return makers


# In the child


def _command_line(directory: int) -> bytes:
    """The beginning of a process's command line: conmon has some 2 KB of it."""
    fd = os.open("cmdline", os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    with open(fd, "rb", buffering=0) as file:
        return file.read(LARGEST) or b""


def _stated(uid: int) -> bytes:
    """Pid, start time, runtime and id of each container that is stated, each ended by a NUL."""
    words = [word for state in _states(uid) for word in state]
    return "".join(f"{word}\0" for word in words).encode("utf-8", "surrogateescape")


def _states(uid: int) -> Iterator[tuple[str, str, str, str]]:
    import json

    with _directory(f"{PLACE}/{uid}", uid) as user:
        for kind, file, pid_key, start_key in _RUNTIMES:
            with suppress(OSError), _directory(kind, uid, user) as runtime:
                with os.scandir(runtime) as entries:
                    names = [entry.name for entry in islice(entries, MOST_FILES)]
                for name in names:
                    with suppress(OSError, ValueError, RecursionError), _directory(name, uid, runtime) as place:
                        state = json.loads(_content(file, uid, place))
                        if isinstance(state, dict):
                            pid, start = state.get(pid_key), str(state.get(start_key))
                            if isinstance(pid, int) and 0 < pid < 1 << 31 and start.isdecimal():
                                yield str(int(pid)), start, kind, name


@contextmanager
def _directory(name: str, uid: int, above: int | None = None) -> Iterator[int]:
    """A descriptor of a directory of that user's.

    :raises OSError: it is a link, or something else, or somebody else's.
    """
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    try:
        _check(os.fstat(fd), uid)
        yield fd
    finally:
        os.close(fd)


def _content(name: str, uid: int, directory: int) -> bytes:
    """What a regular file of that user's holds.

    :raises OSError: it is something else, or too long, or somebody else's.
    """
    # Before it is opened, too: to open a pipe or a device can do anything.
    if not stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        raise PermissionError
    fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        _check(status, uid)
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
            raise PermissionError
        return file.read(LARGEST)


def _check(status: os.stat_result, uid: int) -> None:
    # A hard link, or a directory that was moved there, may be another user's.
    if status.st_uid != uid:
        raise PermissionError
