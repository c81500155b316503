"""A command loads what it needs and no more: most of its time goes by before it has begun."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from mntscope.cli.parser import COMMANDS
from tests.support.repository import ROOT

# What takes long to load, and the parts of the standard library that do.
HEAVY = {"dask", "jinja2", "lark", "markdown_it", "numpy", "pandas", "rich", "yaml", "zstandard"}
DEAR = {
    "ast", "asyncio", "concurrent", "csv", "ctypes", "dataclasses", "difflib", "email", "hashlib", "html", "http",
    "inspect", "json", "logging", "multiprocessing", "pathlib", "random", "secrets", "shutil", "socket", "ssl",
    "subprocess", "tempfile", "textwrap", "threading", "tokenize", "unittest", "urllib", "xml", "zipfile", "zlib",
}  # fmt: skip

# Which it loads beyond what Python's own start did (an editable installation loads some of them for itself).
PROGRAM = """
import os, sys
before = set(sys.modules)
from mntscope.cli import main
try:
    main(sys.argv[2:])
finally:
    with open(sys.argv[1], "w") as told:
        told.write(" ".join(name for name in sys.modules if name not in before))
"""

TABLE = """\
1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
2 1 0:5 / /proc rw,nosuid shared:2 - proc proc rw
"""
LEAKING = """\
11 10 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
12 11 0:5 / /proc rw,nosuid shared:2 - proc proc rw
13 11 0:9 / /mnt rw,nosuid - tmpfs tmpfs rw
"""


@pytest.fixture
def tables(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "host").write_text(TABLE)
    (tmp_path / "target").write_text(LEAKING)
    return f"file:{tmp_path}/target", f"file:{tmp_path}/host"


def loaded(tmp_path: Path, *words: str, terminal: bool = False, options: tuple[str, ...] = ()) -> set[str]:
    """The packages that the command loads; on a terminal, or in a pipe; with *options* of Python."""
    told = tmp_path / "loaded"
    command = [sys.executable, *options, "-c", PROGRAM, str(told), *words]
    if terminal:
        ours, theirs = pty.openpty()
        environment = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": ""}
        with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as running:
            os.close(theirs)
            shown = b""
            while chunk := _read(ours):
                shown += chunk
        os.close(ours)
        assert running.returncode == 0
        assert b"\x1b[" in shown
    else:
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    return {name.partition(".")[0] for name in told.read_text().split()}


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:
        # A terminal that nobody has open any more.
        return b""


def test_a_diff_of_the_running_machine_loads_nothing_dear(tmp_path: Path) -> None:
    assert not loaded(tmp_path, "diff", "self") & (HEAVY | DEAR)


@pytest.mark.parametrize("words", ["diff self", "tree self", "ns", "ns --format json"])
def test_typing_is_loaded_by_who_checks_types_only(tmp_path: Path, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # It takes as long as argparse does. -S: whoever installed mntscope as editable has it loaded before.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert not loaded(tmp_path, *words.split(), options=("-S",)) & {"typing", "locale"}


def test_a_diff_of_tables_loads_nothing_heavy(tmp_path: Path, tables: tuple[str, str]) -> None:
    assert not loaded(tmp_path, "diff", tables[0], "--against", tables[1]) & HEAVY


def test_nor_does_a_diff_with_colours(tmp_path: Path, tables: tuple[str, str]) -> None:
    assert not loaded(tmp_path, "diff", tables[0], "--against", tables[1], terminal=True) & HEAVY


@pytest.mark.parametrize("words", [["--help"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_help_loads_nothing_dear(tmp_path: Path, words: list[str]) -> None:
    # The lab and the selftest take seconds, and their help lists what they do.
    dear = DEAR - {"textwrap"} if words[0] not in ("lab", "selftest") else set()
    assert not loaded(tmp_path, *words) & (HEAVY | dear)


@pytest.mark.parametrize("typed", ["di", "diff --for", "diff --format ", "diff 1", "tree self /pr", "ns --snapshot /"])
def test_completion_loads_nothing_dear(tmp_path: Path, typed: str) -> None:
    """A person waits for it at every touch of the key."""
    assert not loaded(tmp_path, "completion", "bash", "--", f"mntscope {typed}") & (HEAVY | DEAR)


@pytest.mark.parametrize("form", ["table", "json"])
@pytest.mark.parametrize("command", ["ns", "tree", "graph"])
def test_what_is_seen_of_the_machine_is_shown_without_data_frames(tmp_path: Path, command: str, form: str) -> None:
    assert not loaded(tmp_path, command, "--format", form) & (HEAVY - {"rich"})
