"""``mntscope watch``: what it prints, how it ends, and what it leaves behind."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from mntscope.archive import replay
from mntscope.cli import main
from mntscope.kernel import syscalls
from tests.support.throwaway import NOBODY, Host
from tests.support.watching import PATIENCE, inside

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may watch other namespaces")


@contextmanager
def watching(host: Host, *words: object) -> Iterator[subprocess.Popen[str]]:
    """``mntscope watch`` for which *host* plays the host; it has begun when this does."""
    program = "import sys; from mntscope.cli import main; sys.exit(main())"
    words = ("watch", "--against", host.pid, "--format", "json", *words)
    command = [sys.executable, "-c", program, *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            assert json.loads(running.stdout.readline())["kind"] == "source"
            yield running
        finally:
            running.kill()


def wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < until
        time.sleep(0.05)


@needs_root
def test_a_mount_that_reaches_the_host_ends_it_with_1(host: Host) -> None:
    host.call(syscalls.mount, "t", "/mnt", "tmpfs", 0)
    with watching(host, "--until-leak", "--for", "60s") as running:
        # As `unshare -m --propagation shared` makes a namespace, and a mount in it.
        target = host.unshare("shared")
        inside(target.pid, syscalls.mount, "t", "/mnt", "tmpfs", 0)
        assert running.wait(PATIENCE) == 1
        assert running.stdout is not None
        events = [json.loads(line) for line in running.stdout.read().splitlines()]
    assert {event["schema"] for event in events} == {"mntscope.watch/1"}
    assert any(event["kind"] in ("leak", "mount") for event in events)


@needs_root
def test_where_nothing_leaks_it_ends_with_0_when_the_time_is_over(host: Host) -> None:
    target = host.unshare("private")
    with watching(host, "--until-leak", "--for", "2", "--kind", "mount", target.pid) as running:
        inside(target.pid, syscalls.mount, "t", "/mnt", "tmpfs", 0)
        assert running.wait(PATIENCE) == 0
        assert running.stdout is not None
        events = [json.loads(line) for line in running.stdout.read().splitlines()]
    assert [(event["path"], event["also"]) for event in events if event["kind"] == "mount"] == [("/mnt", [])]


@needs_root
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_in_order(host: Host, tmp_path: Path, number: signal.Signals, code: int) -> None:
    file = tmp_path / "recording"
    with watching(host, "--record", file) as running:
        wait_for(file.exists)
        running.send_signal(number)
        assert running.wait(PATIENCE) == code
        assert running.stderr is not None
        assert running.stderr.read() == ""
    assert replay(str(file)).at().host.mounts


@needs_root
def test_what_a_killed_one_has_recorded_is_readable_and_the_next_goes_on(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "recording"
    with watching(host, "--record", file) as running:
        wait_for(file.exists)
        host.call(syscalls.mount, "t", "/mnt", "tmpfs", 0)
        wait_for(lambda: '"/mnt"' in file.read_text())
        running.kill()
        running.wait()
    before = replay(str(file)).ended
    with watching(host, "--record", file):
        wait_for(lambda: Path(f"{file}.1").exists())
    recording = replay(str(file))
    assert recording.began < before < recording.ended
    assert "/mnt" in [mount.mount_point for mount in recording.at(before).host.mounts]


@needs_root
def test_a_leak_runs_a_command_and_is_counted(host: Host, tmp_path: Path) -> None:
    told = tmp_path / "told"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ncat > {told}.new; mv {told}.new {told}\n")
    script.chmod(0o700)
    with watching(host, "--exec", script, "--listen", 0, "--sweep", 1) as running:
        host.unshare("shared")
        wait_for(told.exists)
        event = json.loads(told.read_text())
        assert (event["kind"], event["severity"]) == ("leak", "critical")
        assert running.poll() is None


@needs_root
def test_metrics_are_answered_on_loopback(host: Host) -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with watching(host, "--listen", port):
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE).read().decode()
    assert 'mntscope_watch_events_total{kind="leak"} 0\n' in text
    assert "mntscope_watch_overflows_total 0\n" in text


@needs_root
def test_what_is_there_already_is_not_overwritten(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "letter").write_text("dear")
    assert main(["watch", "--for", "0", "--record", str(tmp_path / "letter")]) == 2
    assert "something else than a recording" in capsys.readouterr().err
    assert (tmp_path / "letter").read_text() == "dear"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--for", "soon"], "it is no time"),
        (["--kind", "mount,unmount"], "no kind 'unmount'"),
        (["--sweep", "0"], "it takes a number of seconds"),
        (["--path", "mnt"], "it is not absolute"),
        (["--exec", "'"], "--exec"),
        (["file:/proc/self/mountinfo"], "it is no part of this machine"),
    ],
)
def test_what_makes_no_sense_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@needs_root
def test_who_is_not_root_is_told_what_is_not_watched() -> None:
    host = Host(for_everyone=True)
    try:
        # In another namespace than pid 1.
        done = host.mntscope("watch", "--for", "1.5s", "--against", "self", uid=NOBODY)
    finally:
        host.close()
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.partition("  ")[2] for line in done.stdout.splitlines()]
    said = re.compile(r"watching: of \d+ namespaces? nothing that changes is seen; run mntscope as root")
    assert any(map(said.fullmatch, lines))
    # Nor is it told that it is gone.
    assert not any(line.startswith("namespace host is gone") for line in lines)


@needs_root
def test_a_terminal_shows_a_picture_that_stays_when_it_ends(machine: Host) -> None:
    machine.call(syscalls.mount, "t", "/mnt", "tmpfs", 0)
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))
    program = "import sys; from mntscope.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "watch", "--for", "3s", "--sweep", "0.5"]
    options: dict[str, Any] = {"capture_output": False, "stdout": follower, "env": {**os.environ, "TERM": "xterm"}}
    written: list[bytes] = []

    def read() -> None:
        # EIO: nobody has the other side open any more.
        with suppress(OSError):
            while piece := os.read(leader, 1 << 16):
                written.append(piece)
                if len(written) == 1:
                    # It has begun.
                    machine.call(syscalls.mount, None, "/mnt", None, syscalls.MS_PRIVATE)

    reader = threading.Thread(target=read)
    reader.start()
    done = machine.run(command, **options)
    os.close(follower)
    reader.join()
    os.close(leader)
    assert done.returncode == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(written).decode())
    last = text[text.rindex("mntscope watch by poll") :]
    above, _, below = last.partition("\r\n\r\n")
    assert [line.split()[0] for line in above.splitlines()][:3] == ["mntscope", "Namespace", "host"]
    assert "changed the propagation of host:/mnt: it was shared:" in below
