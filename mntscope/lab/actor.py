"""The processes of the throwaway host: what each can be asked to do, and what it sees in its /proc.

They are forked, single-threaded, and answer one request at a time (:mod:`mntscope.kernel.channel`). All of them live
in PID namespaces below the one whose pid 1 is the host's ``init``, so the end of that process is the end of all;
and ``init`` ends when the lab does, because its parent does (PR_SET_PDEATHSIG) and its channel closes.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from mntscope.errors import KernelError
from mntscope.kernel import syscalls
from mntscope.kernel.channel import Channel, Message
from mntscope.kernel.process import close_all_but, dies_with, fork, go_on_in_child

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


def stage(lab: int, host: Channel, target: Channel) -> None:
    """The first process of a scene, a child of the process *lab*: it makes the namespaces and waits for ``init``.

    What fails is told on *host*, where the lab expects the first look of ``init``.
    """
    with host.errors_told():
        close_all_but(host.fileno(), target.fileno())
        _rename("mntscope-lab")
        # A terminal's Ctrl-C is for the lab, which then ends its actors.
        os.setsid()
        _make_namespaces()
        dies_with(lab)
        init = fork(partial(_init, host, target))
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


def _init(host: Channel, target: Channel) -> None:
    """Pid 1 of the throwaway host: it mounts its proc, shares everything as systemd does, and starts the others."""
    with host.errors_told():
        # Its parent is in no PID namespace that it sees.
        dies_with(0)
        syscalls.mount("proc", "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_SHARED)
        # A child begins under its parent's name, so that no listing shows it under another.
        for name in DAEMONS:
            _rename(name)
            fork(partial(_sleep, host, target))
        _rename("sh")
        fork(partial(_shell, host, target))
        _rename("init")
        target.close()
        _serve(host)


def _sleep(*channels: Channel) -> None:
    for channel in channels:
        channel.close()
    while True:
        signal.pause()


def _shell(host: Channel, target: Channel) -> None:
    """The process that will be the target: until its first command, a shell on the host."""
    host.close()
    _serve(target)


def _serve(channel: Channel) -> None:
    """Say what is seen, then answer every request, until the lab is gone."""
    channel.send(_look())
    for request in channel.requests():
        channel.answer(partial(_carry_out, request["do"]))


def _carry_out(request: str) -> Message:
    if request == LOOK:
        return _look()
    COMMANDS[request]()
    return Message()


def _unshare(flags: int) -> None:
    """As unshare(1) with ``--fork``: the parent waits, and it is the child that goes on from here."""
    syscalls.unshare(flags)
    _rename("unshare")
    go_on_in_child()
    _rename("target")


def _look() -> Message:
    """The fields of a :class:`~mntscope.lab.scene.ProcView`."""
    try:
        named = int(os.readlink("/proc/self"))
    except FileNotFoundError:
        # proc(5): there is no such link for a process that is not in the PID namespace that this proc shows.
        named = None
    processes: list[tuple[int, str, int]] = []
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()):
        with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/stat", "rb") as file:
            head, _, rest = file.read().rpartition(b")")
            comm = head.partition(b"(")[2].decode("utf-8", "surrogateescape")
            processes.append((pid, comm, int(rest.split()[19])))
    return Message({"pid": os.getpid(), "proc_self": named, "processes": processes})


def _rename(name: str) -> None:
    syscalls.prctl(syscalls.PR_SET_NAME, name.encode())
