"""`mntscope run`: a command from which nothing leaks, and its status."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mntscope.kernel import syscalls
from tests.support.isolating import lines_at
from tests.support.throwaway import NOBODY, Host

PROGRAM = "import sys; from mntscope.cli import main; sys.exit(main())"


@pytest.mark.parametrize("options", [(), ("--pid",)])
@pytest.mark.parametrize(
    ("script", "status"), [("true", 0), ("exit 7", 7), ("kill -TERM $$", 128 + 15), ("kill -KILL $$", 128 + 9)]
)
def test_the_status_is_the_commands(host: Host, options: tuple[str, ...], script: str, status: int) -> None:
    done = host.mntscope("run", *options, "--against", host.pid, "--", "sh", "-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


@pytest.mark.parametrize("options", [(), ("--pid",)])
def test_a_command_that_cannot_be_run_gives_what_a_shell_gives(host: Host, options: tuple[str, ...]) -> None:
    missing = host.mntscope("run", *options, "--against", host.pid, "--", "no-such-command")
    assert (missing.returncode, missing.stderr.count("\n")) == (127, 1)
    closed = host.mntscope("run", *options, "--against", host.pid, "--", "/etc/passwd")
    assert (closed.returncode, closed.stderr.count("\n")) == (126, 1)


def test_its_proc_shows_its_own_processes_and_the_host_keeps_its_own(host: Host) -> None:
    before = host.mountinfo()
    script = "ls -d /proc/[0-9]*; readlink /proc/self/ns/pid"
    done = host.mntscope("run", "--pid", "--against", host.pid, "--", "sh", "-c", script)
    *processes, namespace = done.stdout.splitlines()
    assert set(processes) <= {f"/proc/{pid}" for pid in range(1, 5)}
    assert namespace != os.readlink("/proc/self/ns/pid")
    assert host.mountinfo() == before


def test_nothing_it_mounts_leaves_it_where_unshares_would(host: Host, tmp_path: Path) -> None:
    before = host.mountinfo()
    mounts = f"mount -t tmpfs t {tmp_path} && mount -t proc proc /proc && mount -t tmpfs t /mnt"
    assert host.mntscope("run", "--against", host.pid, "--", "sh", "-c", mounts).returncode == 0
    assert host.mountinfo() == before
    unshare = ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c", mounts]
    assert host.run(unshare).returncode == 0
    assert host.mountinfo() != before
    assert len(lines_at(host, "/proc")) == 2


@pytest.mark.parametrize(("propagation", "tag"), [("private", ""), ("slave", "master:")])
def test_the_mount_that_contains_proc_is_what_was_asked_for(host: Host, propagation: str, tag: str) -> None:
    words = ("run", "--propagation", propagation, "--against", host.pid, "--", "cat", "/proc/self/mountinfo")
    lines = host.mntscope(*words).stdout.splitlines()
    (proc,) = (line for line in lines if line.split(" ")[4] == "/proc")
    assert proc.split(" - ")[0].split(" ")[6:] == [] if not tag else f" {tag}" in proc
    others = [line for line in lines if line.split(" ")[4] != "/proc"]
    assert all(" master:" in line and " shared:" not in line for line in others), "the host's umounts arrive"


def test_a_report_of_what_was_verified(host: Host, tmp_path: Path) -> None:
    report = tmp_path / "report"
    words = ("run", "--pid", "--against", host.pid, "--format", "json", "-o", report, "--", "echo", "hello")
    assert host.mntscope(*words).stdout == "hello\n"
    document = json.loads(report.read_text())
    assert (document["schema"], document["verified"]) == ("mntscope.run/1", True)


@pytest.mark.parametrize("options", [(), ("--pid",)])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signals_are_passed_on(host: Host, options: tuple[str, ...], number: signal.Signals) -> None:
    script = f"trap 'echo got; exit 3' {number.name.removeprefix('SIG')}; echo ready; while :; do sleep 0.05; done"
    words = [sys.executable, "-c", PROGRAM, "run", *options, "--against", str(host.pid), "--", "sh", "-c", script]
    enter = ["nsenter", "--mount", "--target", str(host.pid), "--"]
    with subprocess.Popen([*enter, *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.read() == "got\n"
    assert process.returncode == 3


def test_what_a_command_leaves_behind_ends_with_its_pid_namespace(host: Host, tmp_path: Path) -> None:
    script = f"(sleep 1000; echo late > {tmp_path}/late) & sh -c 'sleep 0.01 &'; sleep 0.1; exit 4"
    begun = time.monotonic()
    done = host.mntscope("run", "--pid", "--against", host.pid, "--", "sh", "-c", script)
    assert done.returncode == 4
    assert time.monotonic() - begun < 60


def test_the_commands_own_options_are_its_own(host: Host) -> None:
    done = host.mntscope("run", "--against", host.pid, "sh", "-c", 'echo "$@"', "x", "--pid", "--format", "json")
    assert done.stdout == "--pid --format json\n"


def test_unprivileged_it_says_so_in_one_line(open_machine: Host) -> None:
    done = open_machine.mntscope("run", "--", "echo", "hello", uid=NOBODY)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "run mntscope as root" in done.stderr


def test_in_a_chroot_it_is_refused_in_one_line(host: Host, tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    program = (
        f"import os, mntscope.cli, mntscope.isolate.run, mntscope.cli.targets, mntscope.live, mntscope.cli.run; "
        f"os.chroot({str(tmp_path)!r}); os.chdir('/'); import sys; sys.exit(mntscope.cli.main(['run', '--', 'true']))"
    )
    done = host.run([sys.executable, "-c", program])
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_ctrl_c_on_a_terminal_reaches_the_command_once(host: Host) -> None:
    script = "trap 'echo got' INT; echo ready; sleep 0.5; sleep 0.5; echo end"
    words = [sys.executable, "-c", PROGRAM, "run", "--pid", "--against", str(host.pid), "--", "sh", "-c", script]
    ours, theirs = pty.openpty()
    enter = ["nsenter", "--mount", "--target", str(host.pid), "--", "setsid", "--ctty", "--wait"]
    process = subprocess.Popen([*enter, *words], stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while b"ready" not in shown:
        shown += os.read(ours, 100)
    os.write(ours, b"\x03")
    while b"end" not in shown:
        shown += os.read(ours, 100)
    assert process.wait() == 0
    os.close(ours)
    assert shown.count(b"got") == 1


def test_an_ordinary_user_runs_it_in_a_user_namespace_of_his_own(open_machine: Host) -> None:
    before = open_machine.mountinfo()
    script = "id -u; ls -d /proc/[0-9]*; readlink /proc/self/ns/user"
    done = open_machine.mntscope("run", "--pid", "--", "sh", "-c", script, uid=NOBODY)
    assert (done.returncode, done.stderr) == (0, "")
    user, *processes, namespace = done.stdout.splitlines()
    assert user == str(NOBODY)
    assert set(processes) <= {f"/proc/{pid}" for pid in range(1, 5)}
    assert namespace != os.readlink("/proc/self/ns/user")
    assert open_machine.mountinfo() == before


def test_an_ordinary_user_is_told_in_one_line_why_not(open_machine: Host) -> None:
    """Something covers a part of /proc, which a proc of his own would show."""

    def cover() -> None:
        syscalls.mount("none", "/proc/fs", "tmpfs", 0)

    open_machine.call(cover)
    done = open_machine.mntscope("run", "--pid", "--", "true", uid=NOBODY)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "refuses a new proc in a user namespace" in done.stderr
