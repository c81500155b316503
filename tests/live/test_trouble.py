"""Processes that vanish, hide, or are not what they seem, on the real kernel."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import signal
import struct
import threading
import time
from pathlib import Path

import pytest

from mntscope.errors import AccessError, MntscopeError, TargetError
from mntscope.kernel import syscalls
from mntscope.kernel.worker import MOST_DESCRIPTORS, inside
from mntscope.live import capture
from mntscope.live.namespaces import read_inside
from mntscope.live.procfs import hold, open_proc, read_process
from mntscope.snapshot import Snapshot
from tests.support.throwaway import Host, as_nobody, become_nobody, error_of, in_fork

# A pid is not an identity


def test_no_such_process(machine: Host) -> None:
    gone = machine.spawn()
    machine.kill(gone)
    for pid in (gone.inner, 999_999, 0, -1, (1 << 32) + 1):
        assert machine.call(error_of, capture, [pid]) == (
            TargetError,
            f"process {pid}: there is no such process; see `ps -e`",
        )


def test_a_process_that_has_ended_but_is_still_listed() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    try:
        with pytest.raises(TargetError, match=f"process {child}: it has ended"):
            capture([child])
        capture()
    finally:
        os.waitpid(child, 0)


def test_a_thread_is_not_a_process() -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        with pytest.raises(TargetError, match=f"process {thread.native_id}: it is a thread, not a process"):
            capture([thread.native_id or 0])
    finally:
        done.set()
        thread.join()


def test_a_process_whose_main_thread_has_ended(machine: Host) -> None:
    def outlive_the_main_thread() -> None:
        if os.fork() == 0:
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
            threading.Thread(target=time.sleep, args=(100,)).start()
            ctypes.CDLL(None).pthread_exit(None)

    actor = machine.spawn(outlive_the_main_thread)
    [child] = Path(f"/proc/{actor.pid}/task/{actor.pid}/children").read_text().split()
    deadline = time.monotonic() + 10
    while "(zombie)" not in (status := Path(f"/proc/{child}/status").read_text()) and time.monotonic() < deadline:
        time.sleep(0.01)
    inner = int(re.findall(r"NSpid:.*\t(\d+)", status)[0])
    assert machine.call(error_of, capture, [inner]) == (
        TargetError,
        f"process {inner}: it has no mounts to show: its main thread has ended",
    )
    [hold] = machine.call(capture).host.namespace.holds
    assert hold.kind == "thread"
    assert hold.process is not None
    assert hold.process.pid == inner


def test_a_process_that_ends_while_it_is_read(host: Host) -> None:
    actor = host.spawn()
    with open_proc() as proc:
        with pytest.raises(TargetError, match="it ended while it was read"), hold(proc, actor.pid):
            host.kill(actor)
        other = host.spawn()

        def read_too_late() -> None:
            with hold(proc, other.pid) as directory:
                host.kill(other)
                read_process(proc, directory, other.pid)

        assert error_of(read_too_late) == (TargetError, f"process {other.pid}: it has ended")


def test_a_reused_pid_is_noticed(machine: Host) -> None:
    last = "/proc/sys/kernel/ns_last_pid"
    if not os.path.exists(last):
        pytest.skip(f"needs {last} (CONFIG_CHECKPOINT_RESTORE) to have a pid reused at will")

    def a_process(pid: int) -> int:
        Path(last).write_text(str(pid - 1))
        child = os.fork()
        if child == 0:
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
            signal.pause()
        return child

    def body() -> None:
        assert a_process(5000) == 5000
        with open_proc() as proc, hold(proc, 5000) as directory:
            os.kill(5000, signal.SIGKILL)
            os.waitpid(5000, 0)
            assert a_process(5000) == 5000
            read_process(proc, directory, 5000)

    assert machine.call(error_of, body) == (TargetError, "process 5000: it has ended")


def refuse(number: int) -> None:
    """What the seccomp filter of a container engine does: the system call of that number is EPERM, for good."""
    instructions = [
        (0x20, 0, 0, 0),  # load the number of the system call
        (0x15, 0, 1, number),  # is it that one?
        (0x06, 0, 0, 0x0005_0000 | errno.EPERM),
        (0x06, 0, 0, 0x7FFF_0000),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions))
    program = struct.pack("@HP", len(instructions), ctypes.addressof(code))
    assert ctypes.CDLL(None).prctl(22, 2, program, 0, 0) == 0


def test_without_pidfds_a_process_is_still_known_by_its_directory(machine: Host) -> None:
    target, mortal = machine.unshare("slave"), machine.spawn()

    def body() -> tuple[Snapshot, tuple[type[MntscopeError], str], tuple[type[MntscopeError], str]]:
        # As that of an older engine refuses pidfd_open(2).
        refuse(434)

        def read_too_late() -> None:
            with open_proc() as proc, hold(proc, mortal.inner):
                os.kill(mortal.inner, signal.SIGKILL)
                while os.path.exists(f"/proc/{mortal.inner}"):
                    time.sleep(0.01)

        return capture([target.inner]), error_of(capture, [999_999]), error_of(read_too_late)

    snapshot, missing, ended = machine.call(body)
    assert snapshot.mountinfo(target.inner) == machine.mountinfo(target)
    assert missing == (TargetError, "process 999999: there is no such process; see `ps -e`")
    assert ended[0] is TargetError
    assert ended[1].startswith(f"process {mortal.inner}: it ended while it was read")


# What may not be seen


def test_another_users_process(open_machine: Host) -> None:
    target = open_machine.unshare("unchanged")
    snapshot = open_machine.call(as_nobody, capture, [target.inner])
    # Its table may be read, and what it is called in the kernel may not.
    assert snapshot.mountinfo(target.inner) == open_machine.mountinfo(target)
    assert snapshot.view(target.inner).namespace.inode is None


def test_who_may_not_ask_is_told_apart_by_the_tables(open_machine: Host) -> None:
    target = open_machine.unshare("slave")
    neighbour = open_machine.spawn()
    snapshot = open_machine.call(as_nobody, capture)
    # The asking process lives in the host's namespace, and so knows what that is.
    assert snapshot.host.namespace.inode == neighbour.namespace("mnt")
    assert {1, neighbour.inner} <= {process.pid for process in snapshot.host.namespace.processes}
    view = snapshot.view(str(target.inner))
    assert view.namespace.inode is None
    assert snapshot.mountinfo(view.label) == open_machine.mountinfo(target)
    [problem] = snapshot.not_seen
    assert str(problem) == (
        f"the mount namespace of process {target.inner}: its inode and owner may not be read, its table tells which "
        "it is; run mntscope as root"
    )


def test_pid_1_may_be_closed_even_to_root() -> None:
    try:
        os.readlink("/proc/1/ns/mnt")
    except PermissionError:
        snapshot = capture([])
        assert snapshot.host.process is not None
        assert snapshot.host.process.pid == 1
        assert snapshot.host.process.pid_namespace == os.stat("/proc/self/ns/pid").st_ino
        assert snapshot.host.namespace.inode == os.stat("/proc/self/ns/mnt").st_ino
        assert snapshot.not_seen == ()
    else:
        pytest.skip("/proc/1/ns/mnt may be read here")


def test_hidden_processes(open_machine: Host) -> None:
    target = open_machine.spawn()

    def body() -> tuple[Snapshot, type[MntscopeError], str]:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("proc", "/proc", "proc", 0, "hidepid=invisible")
        become_nobody()
        return capture(), *error_of(capture, [target.inner])

    snapshot, kind, text = open_machine.call(body)
    assert snapshot.host.process is not None
    assert snapshot.host.process.pid != 1
    assert str(snapshot.not_seen[0]) == (
        "pid 1 cannot be read (process 1: it exists, but /proc hides it; run mntscope as root, or mount proc without "
        "hidepid): the host is mntscope's own namespace"
    )
    assert kind is AccessError
    assert text.startswith(f"process {target.inner}: it exists, but /proc hides it")


def test_unreadable_processes(open_machine: Host) -> None:
    open_machine.spawn()

    def body() -> Snapshot:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("proc", "/proc", "proc", 0, "hidepid=noaccess")
        become_nobody()
        return capture()

    problems = [str(problem) for problem in open_machine.call(body).not_seen]
    assert any(re.search(r"the mounts of \d+ processes may not be read \(1, ", text) for text in problems)


def test_a_namespace_that_may_not_be_entered(host: Host) -> None:
    def body() -> tuple[type[MntscopeError], str]:
        with open_proc() as proc, open(f"/proc/{host.pid}/ns/mnt") as namespace:
            become_nobody()
            return error_of(read_inside, proc, namespace.fileno(), "ns:x")

    kind, text = in_fork(body)
    assert kind is AccessError
    hint = "run mntscope as root (it takes CAP_SYS_ADMIN)"
    assert text == f"ns:x: the mount namespace may not be entered (Operation not permitted); {hint}"


def test_a_worker_that_dies_in_a_namespace(host: Host) -> None:
    def look() -> tuple[bytes, list[int]]:
        os.kill(os.getpid(), signal.SIGKILL)
        return b"", []

    with open(f"/proc/{host.pid}/ns/mnt") as namespace:
        kind, text = error_of(lambda: inside(namespace.fileno(), look, where="ns:x"))
    assert kind is AccessError
    assert text == "ns:x: the mount namespace may not be entered (the worker was killed); run mntscope as root"


def test_descriptors_from_inside_a_namespace(host: Host) -> None:
    def look() -> tuple[bytes, list[int]]:
        return b"x" * 1_000_000, [os.open("/", os.O_PATH) for _ in range(MOST_DESCRIPTORS)]

    with open(f"/proc/{host.pid}/ns/mnt") as namespace:
        answer, descriptors = inside(namespace.fileno(), look)
    assert (len(answer), len(set(descriptors))) == (1_000_000, MOST_DESCRIPTORS)
    assert not any(os.get_inheritable(fd) for fd in descriptors)
    for fd in descriptors:
        os.close(fd)
