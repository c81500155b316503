"""Whatever fails, at whichever step: afterwards all is done, or all is as it was."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mntscope import KernelError, MntscopeError, RefusedError
from mntscope.isolate import InterruptedIsolationError, RolledBackError
from mntscope.isolate.journal import Journal
from mntscope.kernel import syscalls
from tests.support.isolating import Counter, descriptors, isolated, leaking, lines_at, undone
from tests.support.throwaway import Host

Fault = Callable[[], None]


def failing(step: str, number: int) -> Fault:
    def fault() -> None:
        raise KernelError(step, number)

    return fault


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def both_killed() -> None:
    os.kill(mntscope_pid(), signal.SIGKILL)
    killed()


class Scene:
    """A leaking target, what its tables and the host's showed at first, and somebody else who can do things."""

    def __init__(self, host: Host, directory: Path) -> None:
        self.host = host
        self.target = leaking(host)
        self.directory = directory
        self.before = self.tables()
        self.runs = 0
        self.line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.somebody = host.spawn(lambda: self._serve(theirs) if os.fork() == 0 else None)
        theirs.close()

    def _serve(self, line: socket.socket) -> None:
        """Somebody else: on the host, a process of its own, which does what it is told."""
        self.line.close()
        while order := line.recv(100):
            if order == b"mount":
                syscalls.mount("foreign", "/mnt", "tmpfs", 0)
            elif order == b"unmount":
                syscalls.umount2("/mnt", 0)
            else:
                victim = os.pidfd_open(int(order))
                signal.pidfd_send_signal(victim, signal.SIGKILL)
                # On a busy machine it takes its time to die.
                select.select([victim], [], [], 60)
                os.close(victim)
            line.send(b"done")
        os._exit(0)

    def somebody_else(self, order: str) -> Fault:
        """A fault: somebody else does something at that moment."""

        def fault() -> None:
            self.line.send(order.encode())
            assert self.line.recv(10) == b"done"

        return fault

    def tables(self) -> tuple[bytes, bytes]:
        return self.host.mountinfo(), self.host.mountinfo(self.target)

    def run(self, faults: dict[int, Fault]) -> tuple[str, str, str]:
        """Isolates with *faults* before the system calls of these numbers: what it said, the tables, the journal."""
        self.runs += 1
        journal = self.directory / f"{self.runs}.json"
        calls = Counter()

        def hook(_: str) -> None:
            fault = faults.get(calls.next())
            if fault is not None:
                fault()

        open_before = descriptors()
        try:
            done = isolated(self.host, self.target, journal=journal, mount_proc=True, hook=hook)
            said = "applied" + (f", attempt {done.attempts}" if done.attempts > 1 else "")
        except MntscopeError as error:
            said = type(error).__name__
        assert descriptors() == open_before, "a descriptor was left open"
        if lines_at(self.host, "/mnt"):
            self.somebody_else("unmount")()
        state = Journal.read(str(journal)).state
        return said, self.outcome(), state

    def outcome(self) -> str:
        """Whether the tables are as before, or show that all is done; then it is undone for the next run."""
        if self.tables() == self.before:
            return "as before"
        host, _ = self.tables()
        lines = [line.split(" ") for line in lines_at(self.host, "/proc", self.target)]
        private = all(words[6] == "-" for words in lines[-2:])
        if host == self.before[0] and len(lines) == 1 + len(lines_at(self.host, "/proc")) and private:
            undone(self.host, self.directory / f"{self.runs}.json")
            assert self.tables() == self.before, "undo did not put back what was"
            return "all done"
        return "NEITHER"

    def steps(self) -> list[str]:
        """The system calls of a run without faults, in order."""
        log = self.directory / "steps"

        def hook(step: str) -> None:
            with log.open("a") as file:
                file.write(f"{step}\n")

        isolated(self.host, self.target, journal=self.directory / "0.json", mount_proc=True, hook=hook)
        assert self.outcome() == "all done"
        return log.read_text().splitlines()


@pytest.fixture
def scene(host: Host, tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(host, tmp_path)
    yield scene
    scene.line.close()


def test_whatever_fails_all_is_done_or_nothing(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    steps = scene.steps()
    rows = []
    for number, step in enumerate(steps):
        faults: dict[str, Fault] = {
            name: failing(step, getattr(errno, name)) for name in ("EPERM", "EINVAL", "EBUSY", "ENOSPC")
        }
        faults |= {"killed": killed, "foreign mount": scene.somebody_else("mount")}
        rows += [(f"{number + 1:2} {step}", name, *scene.run({number: fault})) for name, fault in faults.items()]
    # What goes wrong while all is put back, which the last step's failure makes necessary; and without a copy of the
    # mount, so that it has to find its old group elsewhere.
    last, clone = len(steps) - 1, steps.index("open_tree")
    attach = failing(steps[last], errno.EINVAL)
    for number, step in enumerate(("mount_setattr", "move_mount SET_GROUP"), len(steps)):
        for name, fault in {"EPERM": failing(step, errno.EPERM), "killed": killed}.items():
            rows.append((f"{last + 1} EINVAL, then {step}", name, *scene.run({last: attach, number: fault})))
    without = failing("open_tree", errno.EINVAL)
    rows.append((f"{clone + 1} no copy", f"{last + 1} EINVAL", *scene.run({clone: without, last: attach})))
    rows.append((f"{clone + 1} no copy", f"{last + 1} killed", *scene.run({clone: without, last: killed})))
    with capsys.disabled():
        table = [("step", "fault", "mntscope said", "tables", "journal"), *rows]
        lines = ("{:36} {:14} {:22} {:10} {}\n".format(*row) for row in table)
        sys.stdout.write("\n" + "".join(lines))
    wanted = {"all done": "applied", "as before": "rolled-back"}
    assert [row for row in rows if row[4] != wanted.get(row[3])] == []
    assert {row[3] for row in rows} == set(wanted), "some go on, some are put back"
    # Before anything is done, a foreign mount that does not concern the plan is no reason to begin anew.
    assert next(row[2] for row in rows if row[1] == "foreign mount") == "applied"


@pytest.mark.parametrize("step", ["open", "mount_setattr", "fsmount", "move_mount"])
def test_the_worker_puts_back_and_says_so_when_mntscope_is_killed(scene: Scene, step: str) -> None:
    number = scene.steps().index(step)
    mntscope = os.fork()
    if mntscope == 0:
        scene.run({number: lambda: os.kill(mntscope_pid(), signal.SIGKILL)})
        os._exit(0)
    os.waitpid(mntscope, 0)
    wait_for_lock(scene.directory)
    assert scene.tables() == scene.before
    journal = Journal.read(str(scene.directory / "1.json"))
    assert journal.state == "rolled-back"
    assert "mntscope was killed" in journal.note


def test_undo_repairs_what_mntscope_and_its_worker_leave_when_both_are_killed(scene: Scene) -> None:
    number = scene.steps().index("move_mount")
    mntscope = os.fork()
    if mntscope == 0:
        scene.run({number: both_killed})
        os._exit(0)
    os.waitpid(mntscope, 0)
    wait_for_lock(scene.directory)
    journal = scene.directory / "1.json"
    assert Journal.read(str(journal)).state == "applying"
    assert scene.tables() != scene.before
    undone(scene.host, journal)
    assert scene.tables() == scene.before
    assert Journal.read(str(journal)).state == "rolled-back"


@pytest.mark.parametrize("step", ["open", "mount_setattr", "fsmount"])
def test_a_target_that_ends_half_way_leaves_the_host_as_it_was(scene: Scene, step: str, tmp_path: Path) -> None:
    number = scene.steps().index(step)
    calls = Counter()
    kill = scene.somebody_else(str(scene.target.pid))

    def hook(_: str) -> None:
        if calls.next() == number:
            kill()

    with pytest.raises(RolledBackError, match="all was put back"):
        isolated(scene.host, scene.target, journal=tmp_path / "ended.json", mount_proc=True, hook=hook)
    assert scene.host.mountinfo() == scene.before[0]
    assert Journal.read(str(tmp_path / "ended.json")).state == "rolled-back"


@pytest.mark.parametrize("step", ["setns mnt", "mount_setattr", "move_mount"])
def test_ctrl_c_is_heard_between_two_steps_and_puts_all_back(scene: Scene, step: str, tmp_path: Path) -> None:
    number = scene.steps().index(step)
    calls, mntscope = Counter(), os.getpid()

    def hook(_: str) -> None:
        if calls.next() == number:
            os.kill(mntscope, signal.SIGINT)

    with pytest.raises(InterruptedIsolationError) as error:
        isolated(scene.host, scene.target, journal=tmp_path / "c.json", mount_proc=True, hook=hook)
    assert error.value.exit_code == 130
    assert scene.tables() == scene.before
    assert Journal.read(str(tmp_path / "c.json")).state == "rolled-back"


def test_a_mount_on_the_new_proc_is_not_taken_away_with_it(scene: Scene, tmp_path: Path) -> None:
    """It cannot be put back without unmounting what is somebody else's: the journal says what stands."""
    journal = tmp_path / "on.json"
    isolated(scene.host, scene.target, journal=journal, mount_proc=True)

    def mount() -> None:
        syscalls.setns(syscalls.pidfd_open(scene.target.pid), syscalls.CLONE_NEWNS)
        syscalls.mount("theirs", "/proc/fs", "tmpfs", 0)

    scene.host.call(mount)
    with pytest.raises(MntscopeError, match="a tmpfs is mounted at /proc/fs, on the proc that would be unmounted"):
        undone(scene.host, journal)
    assert [line.split(" ")[-2] for line in lines_at(scene.host, "/proc/fs", scene.target)] == ["theirs"]


def test_an_old_kernel_has_mount_2_for_what_it_lacks(scene: Scene, tmp_path: Path) -> None:
    steps = tmp_path / "steps"

    def hook(step: str) -> None:
        with steps.open("a") as file:
            file.write(f"{step}\n")
        if step == "mount_setattr":
            raise KernelError(step, errno.ENOSYS)

    isolated(scene.host, scene.target, journal=tmp_path / "old.json", mount_proc=True, hook=hook)
    assert steps.read_text().split().count("mount") == 1
    (below, proc) = lines_at(scene.host, "/proc", scene.target)[-2:]
    assert [line.split(" - ")[0].split(" ")[6:] for line in (below, proc)] == [[], []]
    assert "rw,nosuid,nodev,noexec,relatime" in proc
    assert scene.host.mountinfo() == scene.before[0]
    undone(scene.host, tmp_path / "old.json")
    assert scene.tables() == scene.before


def test_before_fsopen_no_proc_can_be_made_that_nobody_could_take_over(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsopen(*_: object) -> int:
        raise KernelError("fsopen", errno.ENOSYS)

    monkeypatch.setattr(syscalls, "fsopen", fsopen)
    with pytest.raises(RefusedError, match=r"takes Linux 5\.2, .*isolate it without --mount-proc"):
        isolated(scene.host, scene.target, journal=tmp_path / "old.json", mount_proc=True)
    assert scene.tables() == scene.before


def test_the_worker_imports_nothing_after_the_fork(scene: Scene, tmp_path: Path) -> None:
    seen = tmp_path / "modules"

    def hook(_: str) -> None:
        with seen.open("a") as file:
            file.write(f"{len(sys.modules)}\n")

    isolated(scene.host, scene.target, journal=tmp_path / "m.json", mount_proc=True, hook=hook)
    assert len(set(seen.read_text().split())) == 1


def mntscope_pid() -> int:
    """From a worker: its parent; from a child of it in another PID namespace it would not be known."""
    return os.getppid()


def wait_for_lock(directory: Path) -> None:
    """Until nobody holds the journals any more."""
    fd = os.open(directory, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.close(fd)
