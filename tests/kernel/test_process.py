"""Forks: where they are made, and that each ends, is reaped, and dies with its parent where it should."""

from __future__ import annotations

import _thread
import ast
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import mntscope
from mntscope.errors import NoAnswerError
from mntscope.kernel.process import close_all_but, dies_with, end, fork
from mntscope.kernel.worker import PATIENT, Child, in_child

PACKAGE = Path(mntscope.__file__).parent

FORKS = {"fork", "forkpty", "vfork", "posix_spawn", "posix_spawnp", "popen", "system"}
EXECS = {"execv", "execve", "execvp", "execvpe", "execl", "execle", "execlp", "execlpe"}


def calls(names: set[str], module: str = "os") -> set[str]:
    """The files of the package that call one of these functions of a module."""
    return {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Attribute) and node.attr in names
        if isinstance(node.value, ast.Name) and node.value.id == module
    }


def test_one_file_forks_and_one_program_that_shares_nothing_with_it() -> None:
    assert calls(FORKS) == {"kernel/process.py", "kernel/empty_handed.py"}


def test_programs_are_started_where_a_command_is_asked_for() -> None:
    # The interpreter, with nothing in its memory; the command of `run`.
    assert calls(EXECS) == {"kernel/proc_context.py", "isolate/run.py"}
    # The commands of `lab --` and `watch --exec`; mntscope itself, from a notebook.
    assert calls({"run", "Popen", "call", "check_call", "check_output"}, "subprocess") == {
        "cli/lab.py",
        "jupyter/magic.py",
        "watch/service.py",
    }
    # The pool that reads the snapshots of a fleet, each process started anew.
    assert calls({"Pool", "Process", "get_context"}, "multiprocessing") == {"fleet/workers.py"}


def status(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def fails() -> None:
    raise ValueError


@pytest.mark.parametrize(("body", "code"), [(lambda: None, 0), (lambda: 3, 3), (fails, 1)])
def test_a_fork_ends_with_what_it_returns_and_never_comes_back(body: Callable[[], int | None], code: int) -> None:
    assert status(fork(body)) == code


def waits() -> None:
    while True:
        signal.pause()


def gone(pid: int) -> bool:
    """Whether a process is gone, or will be soon."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def test_one_that_does_not_end_is_ended_and_reaped() -> None:
    pid = fork(waits)
    end(pid, patience=20)
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)


def test_one_that_dies_with_its_parent() -> None:
    reader, writer = os.pipe()

    def parent() -> None:
        me = os.getpid()

        def child() -> None:
            dies_with(me)
            os.write(writer, b"%d" % os.getpid())
            waits()

        fork(child)
        waits()

    pid = fork(parent)
    child = int(os.read(reader, 16))
    os.close(reader)
    os.close(writer)
    end(pid, patience=20)
    assert gone(child)


def test_nothing_stays_open_but_what_is_kept() -> None:
    reader, writer = os.pipe()

    def child() -> None:
        close_all_but(writer)
        others = sorted(fd for fd in map(int, os.listdir("/proc/self/fd")) if fd != writer)
        # 0, 1 and 2; and one that listed them, which is closed again.
        os.write(
            writer, f"{others[:3]} {len(others)} {[os.readlink(f'/proc/self/fd/{fd}') for fd in range(3)]}".encode()
        )

    pid = fork(child)
    os.close(writer)
    said = os.read(reader, 1 << 12).decode()
    os.close(reader)
    assert status(pid) == 0
    assert said == "[0, 1, 2] 4 ['/dev/null', '/dev/null', '/dev/null']"


def work(seconds: float) -> None:
    """For so many seconds of a processor."""
    while time.process_time() < seconds:
        pass


@pytest.fixture
def crowded() -> Iterator[None]:
    """The processor on which this process is now has much to do that comes first."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    others = [fork(lambda: work(60)) for _ in range(3)]
    yield
    os.sched_setaffinity(0, before)
    for other in others:
        end(other)


def test_a_child_that_others_keep_from_the_processor_is_waited_for(crowded: None) -> None:
    def busy() -> bytes:
        work(0.25)
        return b"done"

    began = time.monotonic()
    # It has a quarter of a processor, so that takes a second.
    assert in_child(busy, seconds=0.4) == b"done"
    assert time.monotonic() - began > 0.4, "it was not kept waiting"


def test_a_signal_that_comes_just_before_a_wait_is_heard_while_it_lasts() -> None:
    """As one does that the kernel delivers on the way into poll(2), which then is not ended by it."""

    class HeardError(Exception):
        pass

    def hear(*_: object) -> None:
        raise HeardError

    def note() -> None:
        # That a signal has come, for the main thread to deal with; it sends none.
        time.sleep(0.3)
        _thread.interrupt_main(signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, hear)
    child = Child(lambda _: time.sleep(5))
    try:
        _thread.start_new_thread(note, ())
        began = time.monotonic()
        with pytest.raises(HeardError):
            child.answer(4)
        assert time.monotonic() - began < 2
    finally:
        child.end()
        signal.signal(signal.SIGUSR1, before)


def test_a_child_that_never_ends_is_given_up_when_it_has_had_its_time() -> None:
    def endless() -> bytes:
        work(2 * PATIENT)
        return b""

    with pytest.raises(NoAnswerError, match=r"within 0\.2 s"):
        in_child(endless, seconds=0.2)


def test_a_child_that_waits_is_given_up_at_once(crowded: None) -> None:
    def waits() -> bytes:
        time.sleep(2 * PATIENT)
        return b""

    began = time.monotonic()
    with pytest.raises(NoAnswerError, match=r"within 0\.2 s"):
        in_child(waits, seconds=0.2)
    assert time.monotonic() - began < PATIENT / 3
