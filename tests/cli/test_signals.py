"""SIGINT and SIGTERM end every command: at any moment, within a second, without a word, and nothing is left of it.

``MNTSCOPE_INTERRUPTS=300`` sends so many of each, instead of a few. A signal may come before Python has got to
mntscope, while it starts or loads what a script of pip's loads first; what it does then is Python's affair. So each is
sent at a random time after mntscope's first act, which is to say what the two mean to it: that shows in
``/proc/PID/status``.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

import pytest

from tests.support.throwaway import Actor, Host

TIMES = int(os.environ.get("MNTSCOPE_INTERRUPTS", "30"))

COMMANDS = [
    "--help",
    "diff {target} --against {host}",
    "diff {target} --against {host} --format html -o {report}",
    "ns --against {host}",
    "ns --against {host} --format json -o {report}",
    "tree {target} --against {host}",
    "graph --against {host} --format svg",
    "holders /proc --against {host}",
    "audit --no-settings --against {host}",
    "audit --no-settings --against {host} --format html -o {report}",
    "explain MNT001",
    "predict {target} --against {host} -- mount -t proc proc /proc",
    "capture -o {report} --force",
    "isolate {target} --against {host} --dry-run",
    "isolate {target} --against {host} --mount-proc --journal {journal}",
    "undo {journal}",
    "run --against {host} -- sleep 100",
    "run --pid --against {host} -- sleep 100",
    "lab -o {report}",
    "lab --keep",
    "lab --act 2 -- sleep 100",
    "selftest --operations 500",
    "selftest --operations 500 --record {report}",
    "completion bash -- 'mntscope diff '",
]

# How long a command is given to be interrupted in, if it takes longer than that, or never ends.
LONGEST = 1.5

# Seconds after which it will never end.
HANGS = 10

# A busy kernel may take a second to take namespaces apart, now and then; mntscope is late whenever it is tried.
TRIES = 3

BEFORE = "what was there before"


def is_whole(report: bytes) -> bool:
    """Whether a report is what was there before, or all of a new one."""
    if report == BEFORE.encode():
        return True
    if report.startswith(b"\x1f\x8b"):
        report = gzip.decompress(report)
    if report.startswith(b"{"):
        return bool(json.loads(report))
    return report.endswith((b"</html>\n", b"</html>") if report.startswith(b"<") else b"\n")


class Place:
    """Where a command runs: a host, a target of its own, a directory for what it writes."""

    def __init__(self, host: Host, directory: Path) -> None:
        self.host = host
        self.target: Actor = host.unshare("unchanged", new_pids=True)
        self.directory = directory
        self.report = directory / "report"
        self.report.write_text(BEFORE)
        self.journal = directory / "journal.json"
        self.mark = uuid.uuid4().hex
        (directory / "tmp").mkdir(exist_ok=True)

    def start(self, command: str, complaints: int) -> subprocess.Popen[bytes]:
        words = [
            word.format(target=self.target.pid, host=self.host.pid, report=self.report, journal=self.journal)
            for word in shlex.split(command)
        ]
        if words[0] == "undo":
            isolate = f"isolate {self.target.pid} --against {self.host.pid} --journal {self.journal}"
            self.host.mntscope(*isolate.split()).check_returncode()
        return subprocess.Popen(
            [Path(sys.executable).with_name("mntscope"), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            env={**os.environ, "TMPDIR": str(self.directory / "tmp"), "TEST_MARK": self.mark},
            # A group of its own, to which a terminal would send Ctrl-C.
            start_new_session=True,
            preexec_fn=self.host._enter,  # noqa: PLW1509 - pytest has no other thread
        )

    def processes(self) -> list[str]:
        """What runs of the command: it, and its children whatever has become of them."""
        mark = f"TEST_MARK={self.mark}".encode()
        found = []
        for pid in filter(str.isdecimal, os.listdir("/proc")):
            try:
                if mark in Path(f"/proc/{pid}/environ").read_bytes():
                    found.append(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        return found


def reached(process: subprocess.Popen[bytes]) -> bool:
    """Wait until mntscope has done its first act; whether it is still there."""
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)
        if caught >> (signal.SIGTERM - 1) & 1:
            return True
        time.sleep(0.0005)
    return False


def how_long(host: Host, directory: Path, command: str) -> float:
    """From its first act to its end."""
    directory.mkdir()
    place = Place(host, directory)
    with open(os.devnull, "w") as nowhere:
        process = place.start(command, nowhere.fileno())
    with process:
        reached(process)
        begun = time.monotonic()
        try:
            process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            # With the program that it runs.
            os.killpg(process.pid, signal.SIGKILL)
        host.kill(place.target)
        return time.monotonic() - begun


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_every_command_ends_at_any_moment_and_leaves_nothing(
    host: Host, number: signal.Signals, seed: int, tmp_path: Path
) -> None:
    chance = random.Random(f"{seed} {number}")
    durations: dict[str, float] = {}
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    late: list[tuple[str, float]] = []
    enough = TIMES * 2 // 3
    # More often, where many have ended before it came: they were measured while the machine had more to do.
    for turn in range(3 * TIMES):
        if turn >= TIMES and outcomes["ended by it"] > enough and not late:
            break
        # Each of them as often as the others; one that was late at once again.
        command, delay = late[-1] if late else (COMMANDS[(turn + seed) % len(COMMANDS)], None)
        directory = tmp_path / f"{turn}"
        if command not in durations:
            # Twice: the first that runs on a machine takes longer, as does one beside which other things run.
            runs = [tmp_path / f"{turn}-uninterrupted-{run}" for run in (1, 2)]
            durations[command] = min(how_long(host, run, command) for run in runs)
        directory.mkdir()
        place = Place(host, directory)
        before = host.mountinfo(), host.mountinfo(place.target)
        with open(directory / "tmp.err", "w+b") as complaints:
            process = place.start(command, complaints.fileno())
            delay = chance.uniform(0, durations[command]) if delay is None else delay
            # It may have done all of it before this process saw it begin.
            if reached(process):
                time.sleep(delay)
                (os.killpg if chance.random() < 0.3 else os.kill)(process.pid, number)
            sent = time.monotonic()
            try:
                code = process.wait(HANGS)
            except subprocess.TimeoutExpired:
                process.kill()
                code = -9
            took = time.monotonic() - sent
            complaints.seek(0)
            said = complaints.read().decode()
        assert process.stdin
        process.stdin.close()
        told = f"{command!r}, {number.name} after {delay:.4f} s: exit code {code} after {took:.3f} s\n{said}"
        (directory / "tmp.err").unlink()
        slowest = max(slowest, took)
        # It may have been quicker than the signal, as when it was measured the machine had more to do.
        outcomes["ended by it" if code == 128 + number else "had ended"] += 1
        if code != 128 + number:
            durations[command] = delay
        assert code in (128 + number, 0, 1), told
        assert "Traceback" not in said, told
        assert "Exception ignored" not in said, told
        assert len(said.splitlines()) <= 1, told
        ended = time.monotonic()
        while (left := place.processes()) and time.monotonic() < ended + HANGS:
            time.sleep(0.01)
        assert not left, f"{told}\nleft: {left}"
        late = [*late, (command, delay)] if took > 1 or time.monotonic() > ended + 1 else []
        assert len(late) < TRIES, told
        files = {path.name for path in directory.rglob("*")} - {"tmp", "report", "journal.json"}
        assert not files, f"{told}\nleft: {files}"
        if code == 128 + number and "--record" not in command:
            # Or it came when all was written already.
            assert is_whole(place.report.read_bytes()), told
            place.report.write_text(BEFORE)
        assert host.mountinfo() == before[0], told
        if code == 128 + number and command.startswith("isolate") and "applied, but interrupted" not in said:
            assert host.mountinfo(place.target) == before[1], told
        if command.startswith("undo"):
            host.mntscope("undo", place.journal).check_returncode()
            assert host.mountinfo(place.target) == before[1], told
        host.kill(place.target)
    sys.stdout.write(f"{number.name}: {dict(outcomes)}, the slowest {slowest:.3f} s after it\n")
    assert outcomes["ended by it"] > enough
