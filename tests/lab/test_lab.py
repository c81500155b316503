"""The lab: what it says is measured on this kernel, and nothing of it stays."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mntscope.errors import AccessError, KernelError, MntscopeError
from mntscope.kernel import syscalls
from mntscope.lab import ACTS, LEAKING, Facts, Scene, Story, perform, tell
from mntscope.lab.actor import COMMANDS
from mntscope.output.lab import FORMATS
from mntscope.output.writers.page import Page
from mntscope.parse import parse_mountinfo
from tests.support.repository import ROOT
from tests.support.throwaway import NOBODY, Host, Scratch, WorkerFailed, in_fork

pytestmark = pytest.mark.usefixtures("namespaces")

LAB = [sys.executable, "-m", "mntscope", "lab"]


def lab(*words: str, code: int = 0) -> str:
    """Run it as a user does; what it wrote."""
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [*LAB, *words], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (code, "")
    return done.stdout


def acts(written: str) -> dict[int, dict[str, Any]]:
    document = json.loads(written)
    assert document["schema"] == "mntscope.lab/1"
    assert document["kernel"] == os.uname().release
    return {act["act"]: act for act in document["acts"]}


@pytest.fixture(scope="module")
def story(namespaces: None) -> Story:
    return tell()


# ---------------------------------------------------------------------------------------------------- the story


def test_every_act_is_measured_on_this_kernel() -> None:
    measured = acts(lab("--format", "json"))
    facts = ("sees_host_processes", "host_broken", "host_changed", "verdict")
    assert {number: tuple(act[fact] for fact in facts) for number, act in measured.items()} == {
        1: (True, False, False, "same-namespace"),
        2: (True, False, False, "leaks"),
        3: (False, True, True, "leaks"),
        4: (False, False, False, "isolated"),
        5: (False, True, True, "same-namespace"),
    }
    assert [act["surprises"] for act in measured.values()] == [[]] * 5


def test_the_broken_host_finds_the_targets_processes_where_its_own_should_be(story: Story) -> None:
    broken = story.runs[2].outcome
    assert broken.host.pid == 1
    assert broken.host.proc_self is None
    assert broken.host.processes == broken.target.processes
    assert [listed.comm for listed in broken.target.processes] == ["target"]
    assert broken.target.proc_self == broken.target.pid == 1


def test_the_host_lists_its_own_processes_and_none_of_the_machine(story: Story) -> None:
    for performance in story.runs:
        assert [listed.comm for listed in performance.beginning.host.processes] == ["init", "cron", "sshd", "sh"]


def test_a_pid_namespace_alone_leaves_the_target_with_the_hosts_proc(story: Story) -> None:
    outcome = story.runs[0].outcome
    assert outcome.target.pid == 1, "in its own PID namespace"
    assert outcome.target.proc_self == 5, "as the host's /proc knows it"
    assert outcome.target.processes == outcome.host.processes


def test_the_copied_proc_is_a_peer_of_the_hosts(story: Story) -> None:
    outcome = story.runs[1].outcome
    assert outcome.host_mount.peer_group is not None
    assert outcome.host_mount.peer_group == outcome.target_mount.peer_group
    assert outcome.host_mount.mount_id != outcome.target_mount.mount_id


def test_umount_brings_the_hosts_proc_back(story: Story) -> None:
    (undone,) = story.runs[2].undone
    assert undone.command == "umount /proc"
    assert undone.facts == Facts(host_broken=False, host_changed=False, sees_host_processes=True, verdict="leaks")
    assert undone.host.proc_self == 1


def test_without_a_mount_namespace_make_private_already_changes_the_host(story: Story) -> None:
    unshared, made_private, mounted = story.runs[4].steps
    assert [step.facts.host_changed for step in (unshared, made_private, mounted)] == [False, True, True]
    assert [step.facts.host_broken for step in (unshared, made_private, mounted)] == [False, False, True]
    assert made_private.host_mount.propagation == "private"
    unmounted, made_shared = story.runs[4].undone
    assert unmounted.host_mount.propagation == "private"
    assert made_shared.host_mount.propagation == "shared"
    assert not made_shared.facts.host_broken


def test_mountinfo_is_the_kernels_line_for_the_mount_at_proc() -> None:
    act = acts(lab("--format", "json", "--act", "2"))[2]
    group = [field for field in act["mountinfo"]["host"].split() if field.startswith("shared:")]
    assert len(group) == 1
    assert group[0] in act["mountinfo"]["target"].split()
    assert " /proc " in act["mountinfo"]["target"]


def test_act_chooses_what_is_told_in_the_order_asked_for() -> None:
    assert list(acts(lab("--format", "json", "--act", "4", "--act", "1"))) == [4, 1]


def test_what_is_shown_is_what_is_executed() -> None:
    for act in ACTS:
        assert set(act.commands) | set(act.undo) <= set(COMMANDS)


def test_a_kernel_that_does_otherwise_is_told_as_such() -> None:
    private_first = ACTS[3]
    act = replace(private_first, documented=replace(private_first.documented, host_broken=True, verdict="leaks"))
    with Scene() as scene:
        performance = perform(act, scene)
    assert performance.surprises == ("host_broken is False, not True", "verdict is isolated, not leaks")
    shown = FORMATS["table"](Story("6.99", (performance,)), Page(width=200))
    assert "does otherwise than mount_namespaces(7) says: host_broken is False, not True" in shown
    assert act.why not in shown


def test_a_command_that_fails_names_the_call() -> None:
    def unmount_all(scene: Scene) -> None:
        while True:
            scene.run("umount /proc")

    with Scene() as scene, pytest.raises(KernelError, match=r"^/proc: umount2: EINVAL"):
        unmount_all(scene)


# --------------------------------------------------------------------------------------------------- how it is shown


def test_the_table_tells_the_story(story: Story) -> None:
    shown = FORMATS["table"](story, Page(width=100))
    for performance in story.runs:
        assert f"Act {performance.act.number}. {performance.act.title}" in shown
        for step in (*performance.steps, *performance.undone):
            assert f"$  {step.command}\n" in shown
    assert "the host's /proc is BROKEN" in shown
    assert "the host's /proc is back" in shown
    assert "the host's own /proc was shared and is private" in shown
    assert "\x1b" not in shown


def test_the_table_fits_a_narrow_page_and_takes_colour(story: Story) -> None:
    narrow = FORMATS["table"](story, Page(width=60))
    assert max(map(len, narrow.splitlines())) <= 60
    assert "\x1b[" in FORMATS["table"](story, Page(width=80, terminal=True, colour=True))


def test_no_such_act_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run([*LAB, "--act", "6"], check=False)
    assert done.returncode == 2
    assert capfd.readouterr().err.count("\n") == 1


# -------------------------------------------------------------------------------------------- what is kept, and ends


@contextmanager
def kept(*words: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A lab that keeps its actors, and what it says of them."""
    command = [*LAB, "--keep", "--format", "json", *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        written = ""
        while line := process.stdout.readline():
            written += line
            if line == "}\n":
                break
        yield process, json.loads(written)["kept"]
        process.kill()


def mntscope(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mntscope", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def assert_ended(pidfds: Sequence[int]) -> None:
    """The processes end, within seconds."""
    for pidfd in pidfds:
        assert select.select([pidfd], [], [], 10)[0], "an actor outlives its lab"
        os.close(pidfd)


def test_the_kept_target_leaks_for_the_real_diff() -> None:
    with kept() as (_, actors):
        assert actors["act"] == LEAKING.number
        done = mntscope("diff", actors["pid"], "--against", actors["host"], "--format", "json")
        assert done.returncode == 1
        difference = json.loads(done.stdout)
        assert difference["verdict"] == "leaks"
        # The worst comes first; below is the machine's own /proc, copied too.
        proc = next(leak for leak in difference["leaks"] if leak["path"] == "/proc")
        assert "/proc" in proc["lands_at"]
        assert (proc["direction"], proc["via"], proc["severity"]) == ("both", "peer", "critical")


def test_the_kept_target_of_act_4_is_isolated_at_proc() -> None:
    with kept("--act", "4") as (_, actors):
        done = mntscope("diff", actors["pid"], "/proc", "--against", actors["host"], "--format", "json")
        assert (done.returncode, json.loads(done.stdout)["verdict"]) == (0, "isolated")


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_lab_and_every_actor(signal_number: signal.Signals) -> None:
    with kept() as (process, actors):
        pidfds = [os.pidfd_open(actors[who]) for who in ("pid", "host")]
        process.send_signal(signal_number)
        assert process.wait(10) == (-signal_number if signal_number == signal.SIGKILL else 128 + signal_number)
        assert_ended(pidfds)


@pytest.mark.parametrize("last_words", ["\n", ""])
def test_enter_or_the_end_of_input_ends_it(last_words: str) -> None:
    with kept() as (process, actors):
        pidfds = [os.pidfd_open(actors[who]) for who in ("pid", "host")]
        assert process.stdin
        process.stdin.write(last_words)
        process.stdin.close()
        assert process.wait(10) == 0
        assert_ended(pidfds)


def test_on_a_terminal_it_says_what_ends_it() -> None:
    keyboard, stdin = pty.openpty()
    with subprocess.Popen([*LAB, "--keep", "--act", "1"], stdin=stdin, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        assert process.stderr.read(17) == "\nEnter ends them."
        os.write(keyboard, b"\n")
        assert process.wait(10) == 0
    os.close(keyboard)
    os.close(stdin)


def test_a_command_runs_on_the_kept_actors_and_its_exit_code_counts(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mntscope", "diff", "{pid}", "--against", "{host}", "--format", "json"]
    written = lab("--act", "2", "-o", str(tmp_path / "story"), "--", *command, code=1)
    assert json.loads(written)["verdict"] == "leaks"
    assert "Act 2." in (tmp_path / "story").read_text()


def test_a_command_that_cannot_be_run_is_one_line() -> None:
    done = subprocess.run([*LAB, "--act", "1", "--", "/no/such"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "mntscope: cannot run '/no/such': No such file or directory\n"


# ------------------------------------------------------------------------------------------------- what must not stay


def test_the_machine_is_as_before() -> None:
    def machine() -> tuple[bytes, set[str], list[str]]:
        own = Path("/proc/self")
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        return (own / "mountinfo").read_bytes(), set(os.listdir(own / "fd")), children

    before = machine()
    tell()
    assert machine() == before


def test_actors_hold_nothing_of_their_caller(tmp_path: Path) -> None:
    with (tmp_path / "held").open("w"), Scene() as scene:
        for pid in (scene.host.pid, scene.target.pid):
            held = {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
            assert {name.partition(":")[0] for name in held} == {"/dev/null", "socket"}


def test_the_scene_is_cut_off_from_the_machine() -> None:
    with Scene() as scene:
        table = parse_mountinfo(Path(f"/proc/{scene.host.pid}/mountinfo").read_bytes())
        assert all(mount.peer_group and mount.master is None for mount in table)
        groups = {mount.peer_group for mount in table}
        machine = parse_mountinfo(Path("/proc/self/mountinfo").read_bytes())
        assert groups.isdisjoint({mount.peer_group for mount in machine} | {mount.master for mount in machine})


def test_a_scene_ends_with_its_block_even_when_that_fails() -> None:
    pidfds: list[int] = []

    def fail() -> None:
        with Scene() as scene:
            pidfds.extend(os.pidfd_open(actor.pid) for actor in (scene.host, scene.target))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert_ended(pidfds)


def test_an_actor_that_dies_is_reported() -> None:
    with Scene() as scene:
        os.kill(scene.target.pid, signal.SIGKILL)
        with pytest.raises(MntscopeError, match="the target of the lab ended unexpectedly"):
            scene.run("mount -t proc proc /proc")


# ----------------------------------------------------------------------------------------------- without privileges


@pytest.fixture
def user_namespaces() -> None:
    def as_nobody() -> None:
        os.setresuid(NOBODY, NOBODY, NOBODY)
        syscalls.unshare(syscalls.CLONE_NEWUSER)

    try:
        in_fork(as_nobody)
    except WorkerFailed as failure:
        pytest.skip(f"an ordinary user may not make user namespaces here: {str(failure).splitlines()[-1]}")


@pytest.mark.usefixtures("user_namespaces")
def test_an_ordinary_user_gets_the_same_story(open_machine: Host) -> None:
    done = open_machine.mntscope("lab", "--format", "json", uid=NOBODY)
    assert (done.returncode, done.stderr) == (0, "")
    assert [act["host_broken"] for act in acts(done.stdout).values()] == [False, False, True, False, True]
    assert [act["surprises"] for act in acts(done.stdout).values()] == [[]] * 5


@pytest.mark.usefixtures("user_namespaces")
def test_an_ordinary_user_can_try_diff_on_what_is_kept(open_machine: Host) -> None:
    diff = [sys.executable, "-m", "mntscope", "diff", "{pid}", "/proc", "--against", "{host}", "--format", "json"]
    done = open_machine.mntscope("lab", "--act", "3", "-o", "/dev/null", "--", *diff, uid=NOBODY, cwd=ROOT)
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout)["verdict"] == "leaks"


@pytest.mark.usefixtures("user_namespaces")
def test_where_no_namespace_may_be_made_one_line_says_why(scratch: Scratch) -> None:
    def refused() -> str:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text("0 0 1")
        # The limit of this new user namespace only.
        Path("/proc/sys/user/max_mnt_namespaces").write_text("0")
        with pytest.raises(AccessError) as caught, Scene():
            pass
        return str(caught.value)

    reason = scratch(refused)
    assert reason.startswith("a throwaway host cannot be made here: unshare: ENOSPC")
    assert "/proc/sys/user" in reason


@pytest.mark.usefixtures("user_namespaces")
def test_where_parts_of_proc_are_covered_one_line_says_why(scratch: Scratch) -> None:
    def refused() -> str:
        syscalls.mount("none", "/proc/sys", "tmpfs", 0)
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
        with pytest.raises(AccessError) as caught, Scene():
            pass
        return str(caught.value)

    reason = scratch(refused)
    assert reason.startswith("a throwaway host cannot be made here: /proc: mount: EPERM")
    assert "covers parts of the old one" in reason
