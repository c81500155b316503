"""Killed with -9 at any moment of isolate: the host is as it was, the journal says what there is to undo."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from mntscope.isolate.journal import locked
from tests.support.features import SET_GROUP, needs
from tests.support.isolating import leaking, undone
from tests.support.throwaway import Actor, Host

KILLS = int(os.environ.get("MNTSCOPE_KILLS", "12"))
"""How often: the suite has no time for the 200 that it also does."""

SEED = int(os.environ.get("MNTSCOPE_KILLS_SEED", "0"))


def mntscope(*words: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mntscope", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def started(host: Host, target: Actor, journal: Path) -> subprocess.Popen[bytes]:
    return mntscope("isolate", target.pid, "--mount-proc", "--against", host.pid, "--journal", journal)


def children(pid: int) -> list[int]:
    """The processes that a process has forked, and those that these have."""
    try:
        forked = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [*forked, *(below for child in forked for below in children(child))]


def named(journal: Path) -> list[str]:
    """The processes that have to do with a journal: mntscope, and what it forked."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(journal) in (process / "cmdline").read_bytes():
                found.append(process.name)
        except OSError:
            continue
    return found


def open_below(directory: Path) -> list[str]:
    """Who has a file of a directory open, or the directory itself."""
    found = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link).startswith(str(directory)):
                found.append(str(link))
        except OSError:
            continue
    return found


@needs(SET_GROUP)
def test_killed_at_any_moment(host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = leaking(host)
    chance = random.Random(SEED)
    before = host.mountinfo(), host.mountinfo(target)

    def tables() -> tuple[bytes, bytes]:
        return host.mountinfo(), host.mountinfo(target)

    def ended(journal: Path) -> None:
        """Waits until what the killed one left behind, which still puts things back, has ended."""
        with locked(str(journal), new=False):
            given_up = time.monotonic() + 10
            while named(journal) and time.monotonic() < given_up:
                time.sleep(0.01)
        assert named(journal) == []

    def undo(journal: Path) -> bool:
        """Undoes what the journal says: whether there was anything."""
        return bool(undone(host, journal).done)

    begun = time.monotonic()
    whole = started(host, target, tmp_path / "whole.json")
    assert whole.wait() == 0
    takes = time.monotonic() - begun
    undone(host, tmp_path / "whole.json")
    assert tables() == before

    outcomes: Counter[str] = Counter()
    for number in range(KILLS):
        journal = tmp_path / f"{number}.json"
        process = started(host, target, journal)
        if number % 3:
            time.sleep(chance.uniform(0, takes * 1.1))
        else:
            # While it acts, which takes a small part of the time.
            while not journal.exists() and process.poll() is None:
                time.sleep(0.0005)
            time.sleep(chance.uniform(0, takes * 0.15))
        # Every other time also what it forked, which otherwise puts back what was begun.
        victims = [process.pid, *(children(process.pid) if number % 2 else ())]
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        ended(journal)
        assert host.mountinfo() == before[0], f"kill {number} of seed {SEED}: the host was changed"
        how = "with all it forked" if number % 2 else "alone"
        if not journal.exists():
            outcomes[f"{how}: before anything"] += 1
        else:
            done = undo(journal)
            outcomes[f"{how}: {'undone' if done else 'nothing to undo'}"] += 1
        assert tables() == before, f"kill {number} of seed {SEED}: undo did not put back what was"
        assert set(os.listdir(tmp_path)) <= {"whole.json", *(f"{n}.json" for n in range(number + 1))}
    assert open_below(tmp_path) == []
    with capsys.disabled():
        said = ", ".join(f"{outcome} {count}" for outcome, count in sorted(outcomes.items()))
        sys.stdout.write(f"\n{KILLS} kills of an isolate of {takes:.2f} s: {said}\n")


@needs(SET_GROUP)
def test_an_undo_that_was_killed_is_gone_on_with(host: Host, tmp_path: Path) -> None:
    target = leaking(host)
    chance = random.Random(SEED)
    before = host.mountinfo(), host.mountinfo(target)
    takes = 0.0
    for number in range(max(3, KILLS // 4)):
        journal = tmp_path / f"{number}.json"
        assert started(host, target, journal).wait() == 0
        begun = time.monotonic()
        undoing = mntscope("undo", journal)
        if number == 0:
            assert undoing.wait() == 0
            takes = time.monotonic() - begun
        else:
            time.sleep(chance.uniform(takes / 2, takes))
            for pid in (undoing.pid, *children(undoing.pid)):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            undoing.wait()
        undone(host, journal)
        assert (host.mountinfo(), host.mountinfo(target)) == before
        assert sorted(os.listdir(tmp_path)) == sorted(f"{n}.json" for n in range(number + 1))
