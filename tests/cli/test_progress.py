"""A terminal shows how far long work is, and a pipe nothing: on a throwaway machine, through a pty."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mntscope.base.progress import note, noted
from mntscope.cli import progress
from tests.support.repository import FIXTURES
from tests.support.throwaway import Host

AT_ONCE = """\
import sys
from mntscope.cli import main, progress
progress.AFTER = progress.EVERY = 0.001
sys.exit(main())
"""
"""mntscope, for which a thousandth of a second is long already."""

EXPLOSION = f"{FIXTURES}/explosion.mntscope.json.gz"


def on_a_terminal(machine: Host, *words: object, term: str = "xterm") -> str:
    """What the command writes to standard error, which is a terminal; its answer goes elsewhere."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": term}
    options: dict[str, Any] = {
        "capture_output": False,
        "stdout": subprocess.DEVNULL,
        "stderr": follower,
        "env": environment,
    }
    machine.run([sys.executable, "-c", AT_ONCE, *words], **options)
    os.close(follower)
    written = b""
    # EIO: nobody has the other side open any more.
    with suppress(OSError):
        while piece := os.read(leader, 1 << 16):
            written += piece
    os.close(leader)
    return written.decode()


@pytest.mark.parametrize(
    ("command", "steps"),
    [
        (("ns",), ("reading mount namespaces, ", "writing the report")),
        (("audit",), ("reading mount namespaces, ", "asking the rules, ")),
        (("holders", "/proc"), ("reading mount namespaces, ", "looking at what processes have open")),
        (("capture", "-o", "{tmp}/file"), ("reading mount namespaces, ", "looking for mount(8)")),
        (("selftest", "--operations", "30", "--seed", "1"), ("operations, 2",)),
        (("graph", "--snapshot", EXPLOSION, "--format", "html"), (f"reading {EXPLOSION}"[:40], "writing the report")),
    ],
    ids=lambda value: value[0],
)
def test_each_step_is_shown_and_all_of_it_goes(
    machine: Host, tmp_path: Path, command: tuple[str, ...], steps: tuple[str, ...]
) -> None:
    words = [word.format(tmp=tmp_path) for word in command]
    shown = on_a_terminal(machine, *words)
    lines = shown.split("\r")
    assert [step for step in steps if not any(f"mntscope {command[0]}: {step}" in line for line in lines)] == []
    assert lines[-1] == "\x1b[K"
    assert "\n" not in shown
    assert max(map(len, lines)) <= 80 + len("\x1b[K")


def test_what_changes_mounts_shows_it_too(machine: Host, tmp_path: Path) -> None:
    target = machine.unshare("unchanged")
    journal = tmp_path / "journal"
    assert "isolate: reading mount namespaces" in on_a_terminal(
        machine, "isolate", target.inner, "/", "--journal", journal
    )
    assert "undo: reading mount namespaces" in on_a_terminal(machine, "undo", journal)


def test_a_pipe_and_a_dumb_terminal_get_none(machine: Host) -> None:
    assert machine.run([sys.executable, "-c", AT_ONCE, "audit", "--no-settings"]).stderr == ""
    assert on_a_terminal(machine, "audit", "--no-settings", term="dumb") == ""


def test_trouble_stands_on_a_line_of_its_own(machine: Host) -> None:
    shown = on_a_terminal(machine, "tree", "nothing-like-it")
    assert re.search(r"(\A|\x1b\[K)mntscope: 'nothing-like-it' is no TARGET", shown)


def test_what_is_interrupted_keeps_the_timer_that_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted command is ended by it, where it does not end by itself (base/signals.py)."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    before = signal.getsignal(signal.SIGALRM)
    try:
        with progress.shown("mntscope ns"):
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            signal.setitimer(signal.ITIMER_REAL, 100)
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 90
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_what_is_noted_is_counted_where_it_can_be() -> None:
    note("asking the rules", 3, 7)
    assert noted() == "asking the rules, 3 of 7"
    note("replaying operations", 3)
    assert noted() == "replaying operations, 3"
    note("writing the report")
    assert noted() == "writing the report"
    note("")
    assert noted() == ""
