"""The processes of the throwaway host: what each can be asked to do, and what it sees in its /proc.

They are forked, single-threaded, and answer one request at a time on a socket. All of them live in PID
namespaces below the one whose pid 1 is the host's ``init``, so the end of that process is the end of all;
and ``init`` ends when the lab does, because its parent does (PR_SET_PDEATHSIG) and its socket closes.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

from mntscope.errors import KernelError
from mntscope.kernel import syscalls

LOOK = "look"
"""The request that is not a command: say what you see in your /proc."""

COMMANDS: dict[str, Callable[[], None]] = {
    "unshare --pid --fork": lambda: _unshare(syscalls.CLONE_NEWPID),
    "unshare --pid --fork --mount --propagation unchanged": lambda: _unshare(
        syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNS
    ),
    "mount -t proc proc /proc": lambda: syscalls.mount("proc", "/proc", "proc", 0),
    "mount --make-private /proc": lambda: syscalls.mount(None, "/proc", None, syscalls.MS_PRIVATE),
    "mount --make-shared /proc": lambda: syscalls.mount(None, "/proc", None, syscalls.MS_SHARED),
    "umount /proc": lambda: syscalls.umount2("/proc"),
}
"""What the target can be asked to run: the command as one would type it, and the system calls it comes down to."""

DAEMONS = ("cron", "sshd")
"""The names of the host's other processes, which do nothing."""


def fork(body: Callable[[], None]) -> int:
    """fork(2) a process that runs *body* and then ends, never returning here; its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        body()
    finally:
        os._exit(0)


def stage(lab: int, host: socket.socket, target: socket.socket) -> None:
    """The first process of a scene, a child of the process *lab*: it makes the namespaces and waits for ``init``.

    What fails is said on *host*, where the lab expects the first look of ``init``.
    """
    try:
        _let_go_of_all_but(host, target)
        _rename("mntscope-lab")
        # A terminal's Ctrl-C is for the lab, which then ends its actors.
        os.setsid()
        _make_namespaces()
        _end_with_parent()
        if os.getppid() != lab:
            return
        init = fork(partial(_init, host, target))
    except KernelError as error:
        _say(host, _failure(error))
        return
    host.close()
    target.close()
    os.waitpid(init, 0)


def _make_namespaces() -> None:
    """New mount and PID namespaces, in a new user namespace where these need it; nothing in them reaches out."""
    try:
        syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID)
    except KernelError as error:
        if error.errno != errno.EPERM:
            raise
        uid, gid = os.geteuid(), os.getegid()
        syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID)
        # user_namespaces(7): an unprivileged process may map its own ids, the group only without setgroups(2).
        for name, line in (("setgroups", b"deny"), ("uid_map", b"0 %d 1" % uid), ("gid_map", b"0 %d 1" % gid)):
            _write(f"/proc/self/{name}", line)
    # Before anything else: the copied mounts are still peers, or slaves, of the machine's.
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)


def _write(path: str, line: bytes) -> None:
    try:
        with open(path, "wb", buffering=0) as file:
            file.write(line)
    except OSError as error:
        raise KernelError("write", error.errno or 0, where=path) from None


def _init(host: socket.socket, target: socket.socket) -> None:
    """Pid 1 of the throwaway host."""
    try:
        _end_with_parent()
        syscalls.mount("proc", "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_SHARED)
    except KernelError as error:
        _say(host, _failure(error))
        return
    # A child begins under its parent's name, so that no listing shows it under another.
    for name in DAEMONS:
        _rename(name)
        fork(partial(_sleep, host, target))
    _rename("sh")
    fork(partial(_shell, host, target))
    _rename("init")
    target.close()
    _serve(host)


def _sleep(*sockets: socket.socket) -> None:
    for held in sockets:
        held.close()
    while True:
        signal.pause()


def _shell(host: socket.socket, target: socket.socket) -> None:
    """The process that will be the target: until its first command, a shell on the host."""
    host.close()
    _serve(target)


def _serve(line: socket.socket) -> NoReturn:
    """Say what is seen, then answer every request, until the lab is gone."""
    answer = _look()
    while True:
        _say(line, answer)
        request = line.recv(4096).decode()
        if not request:
            os._exit(0)
        answer = _look() if request == LOOK else _carry_out(COMMANDS[request])


def _carry_out(command: Callable[[], None]) -> dict[str, Any]:
    try:
        command()
    except KernelError as error:
        return _failure(error)
    return {}


def _unshare(flags: int) -> None:
    """As unshare(1) with ``--fork``: the parent waits, and it is the child that goes on from here."""
    syscalls.unshare(flags)
    _rename("unshare")
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        os._exit(0)
    _rename("target")


def _look() -> dict[str, Any]:
    """The fields of a :class:`~mntscope.lab.scene.Sight`."""
    try:
        named = int(os.readlink("/proc/self"))
    except FileNotFoundError:
        # proc(5): there is no such link for a process that is not in the PID namespace that this proc shows.
        named = None
    processes = []
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()):
        with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/stat", "rb") as file:
            head, _, rest = file.read().rpartition(b")")
            comm = head.partition(b"(")[2].decode("utf-8", "surrogateescape")
            processes.append((pid, comm, int(rest.split()[19])))
    return {"pid": os.getpid(), "proc_self": named, "processes": processes}


def _end_with_parent() -> None:
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)


def _rename(name: str) -> None:
    syscalls.prctl(syscalls.PR_SET_NAME, name.encode())


def _failure(error: KernelError) -> dict[str, Any]:
    return {"call": error.call, "errno": error.errno, "where": error.where}


def _say(line: socket.socket, message: dict[str, Any]) -> None:
    line.send(json.dumps(message).encode())


def _let_go_of_all_but(*sockets: socket.socket) -> None:
    """Close every other descriptor, so that nobody's pipe or terminal is held open from in here."""
    null = os.open(os.devnull, os.O_RDWR)
    kept = sorted(held.fileno() for held in sockets)
    for standard in range(3):
        if standard not in kept:
            os.dup2(null, standard)
    first = 3
    for fd in (*(fd for fd in kept if fd >= 3), os.sysconf("SC_OPEN_MAX")):
        os.closerange(first, fd)
        first = fd + 1
