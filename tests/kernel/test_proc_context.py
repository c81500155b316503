"""A proc of another PID namespace: made from outside, or by somebody inside from whom there is nothing to take."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mntscope.errors import AccessError, KernelError, MntscopeError, RefusedError
from mntscope.kernel import empty_handed, proc_context, syscalls
from mntscope.kernel.proc_context import context_from_inside
from mntscope.live.foreign import pid_namespace_of
from tests.support.throwaway import NOBODY, Actor, Host, in_fork


@contextmanager
def pid_namespace(actor: Actor) -> Iterator[int]:
    """A descriptor of the PID namespace of a process."""
    fd = os.open(f"/proc/{actor.pid}/ns/pid", os.O_RDONLY)
    yield fd
    os.close(fd)


def shown_by_what_is_made_of(context: int) -> int | None:
    """The PID namespace that the proc shows which a context makes; nothing is mounted."""
    syscalls.fsconfig(context, syscalls.FSCONFIG_CMD_CREATE, None, None)
    mount = syscalls.fsmount(context, syscalls.FSMOUNT_CLOEXEC, 0)
    os.chdir("/proc")
    return pid_namespace_of(mount)


def test_what_it_needs_is_imported_while_there_are_files() -> None:
    loaded = f"{Path(str(empty_handed.__file__)).read_text().partition('if __name__')[0]}\nsys.meta_path.clear()\n"
    sends = "ours, theirs = socket.socketpair()\nprint(socket.send_fds(ours, [b'+'], [0]))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", loaded + sends], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


@pytest.mark.parametrize("make", [proc_context.proc_context, context_from_inside])
def test_it_makes_a_proc_of_that_pid_namespace(host: Host, make: Callable[[int], int]) -> None:
    target = host.unshare("private", new_pids=True)

    def body() -> int | None:
        with pid_namespace(target) as pids:
            return shown_by_what_is_made_of(make(pids))

    assert in_fork(body) == target.namespace("pid")


def test_nobody_stays_behind(host: Host) -> None:
    """Not even a zombie: the first process of a container need not reap what it did not start."""
    target = host.unshare("private", lambda: signal.signal(signal.SIGCHLD, signal.SIG_DFL), new_pids=True)
    with pid_namespace(target) as pids:
        os.close(context_from_inside(pids))
    assert Path(f"/proc/{target.pid}/task/{target.pid}/children").read_text() == ""


def test_a_pid_namespace_that_takes_nobody_any_more(host: Host) -> None:
    target = host.unshare("private", new_pids=True)
    with pid_namespace(target) as pids:
        host.kill(target)
        with pytest.raises(KernelError, match="fork: ENOMEM"):
            context_from_inside(pids)


# What whoever takes it over would get


WAITING = (
    Path(empty_handed.__file__).read_text().replace('context = call("syscall", FSOPEN, b"proc", 0)', "signal.pause()")
)


@pytest.fixture
def born(host: Host) -> Iterator[int]:
    """The process that is born in a container, where it would open the context: it waits there. Its pid."""
    target = host.unshare("private", new_pids=True)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, pid_namespace(target) as pids:
        words = ["-I", "-S", "-c", WAITING, str(theirs.fileno()), str(pids), str(os.getpid())]
        with subprocess.Popen([sys.executable, *words], pass_fds=(theirs.fileno(), pids), env={}) as program:
            children = Path(f"/proc/{program.pid}/task/{program.pid}/children")
            deadline = time.monotonic() + 20
            while not (found := children.read_text().split()) and time.monotonic() < deadline:
                time.sleep(0.01)
            try:
                yield int(found[0])
            finally:
                program.kill()


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_it_holds_one_descriptor_and_sees_no_file(born: int) -> None:
    assert [os.readlink(f"/proc/{born}/fd/{fd}")[:5] for fd in os.listdir(f"/proc/{born}/fd")] == ["socke"]
    assert os.listdir(f"/proc/{born}/root") == os.listdir(f"/proc/{born}/cwd") == []
    [only] = Path(f"/proc/{born}/mountinfo").read_text().splitlines()
    assert " / / ro,nosuid,nodev,noexec" in only
    assert " - tmpfs none " in only


def test_it_is_nobody_with_no_capability_outside(born: int, host: Host) -> None:
    status = status_of(born)
    assert status["Uid"].split() == status["Gid"].split() == [str(NOBODY)] * 4
    assert status["Groups"] == ""
    kinds = ("mnt", "user", "net", "ipc", "uts", "pid")
    own = {kind: os.stat(f"/proc/self/ns/{kind}").st_ino for kind in kinds}
    its = {kind: os.stat(f"/proc/{born}/ns/{kind}").st_ino for kind in kinds}
    container = {kind: os.stat(f"/proc/{host.pid}/ns/{kind}").st_ino for kind in kinds}
    assert all(own[kind] != its[kind] != container[kind] for kind in kinds)
    # Its capabilities count in its own user namespace; that one owns neither the container's nor the host's.
    fd = os.open(f"/proc/{host.pid}/ns/mnt", os.O_RDONLY)
    owner = syscalls.ns_get_userns(fd)
    assert os.fstat(owner).st_ino == own["user"]
    os.close(owner)
    os.close(fd)


def test_it_cannot_be_traced_by_the_root_of_a_user_namespace(born: int) -> None:
    """Of what is not dumpable, proc shows root the owner: nobody's process though it is."""
    assert os.stat(f"/proc/{born}/environ").st_uid == 0


def test_it_has_no_environment_and_sees_only_that_pid_namespace(born: int) -> None:
    assert Path(f"/proc/{born}/environ").read_bytes() == b""
    pids = status_of(born)["NSpid"].split()
    assert (len(pids), pids[-1] != "1") == (2, True)


# What is sent instead


def a_device() -> int:
    return os.open("/dev/null", os.O_RDONLY)


def a_pipe() -> int:
    return os.pipe()[0]


def empty_context() -> int:
    return syscalls.fsopen("tmpfs", syscalls.FSOPEN_CLOEXEC)


def used_context() -> int:
    context = syscalls.fsopen("proc", syscalls.FSOPEN_CLOEXEC)
    syscalls.fsconfig(context, syscalls.FSCONFIG_CMD_CREATE, None, None)
    return context


def context_with_messages() -> int:
    """Its log is full before it is looked at."""
    context = empty_context()
    for number in range(12):
        with pytest.raises(KernelError):
            syscalls.fsconfig(context, syscalls.FSCONFIG_SET_FLAG, f"e proc: Unknown parameter {number}", None)
    return context


@pytest.mark.parametrize(
    "send",
    [
        empty_context,
        used_context,
        context_with_messages,
        lambda: os.open("/dev/null", os.O_RDONLY),
        lambda: os.pipe()[0],
    ],
    ids=["of another filesystem", "made already", "with messages", "a device", "a pipe"],
)
def test_what_is_no_untouched_context_of_a_proc_is_not_used(send: Callable[[], int]) -> None:
    assert in_fork(lambda: proc_context._is_untouched_proc(send())) is False


def test_an_untouched_context_of_a_proc_stays_of_use() -> None:
    def body() -> tuple[bool, int | None]:
        context = syscalls.fsopen("proc", syscalls.FSOPEN_CLOEXEC)
        return proc_context._is_untouched_proc(context), shown_by_what_is_made_of(context)

    assert in_fork(body) == (True, os.stat("/proc/self/ns/pid").st_ino)


def test_a_stranger_that_says_nothing_is_not_waited_for(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc_context, "SECONDS", 1.0)
    monkeypatch.setattr(proc_context, "DEADLINE", 5.0)
    monkeypatch.setattr(proc_context, "_source", lambda: WAITING)
    target = host.unshare("private", new_pids=True)
    with pid_namespace(target) as pids, pytest.raises(AccessError, match="its PID namespace was entered, and nothing"):
        context_from_inside(pids)


def test_a_stranger_that_sends_something_else(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Path(empty_handed.__file__).read_text().replace('FSOPEN, b"proc"', 'FSOPEN, b"tmpfs"')
    monkeypatch.setattr(proc_context, "_source", lambda: source)
    target = host.unshare("private", new_pids=True)
    with pid_namespace(target) as pids, pytest.raises(RefusedError, match="is not the context of a proc"):
        context_from_inside(pids)


def test_an_interpreter_that_cannot_be_run(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere")
    target = host.unshare("private", new_pids=True)
    with pid_namespace(target) as pids, pytest.raises(MntscopeError):
        context_from_inside(pids)
