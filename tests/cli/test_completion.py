"""What may be typed next: worked out by the command line itself, and asked for by real shells."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mntscope.archive import save
from mntscope.cli import main
from mntscope.cli.completer import completions
from mntscope.cli.parser import COMMANDS
from tests.jupyter.test_display import leaking

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("captures") / "a host.mntscope.json.gz"
    save(leaking(), str(path))
    return path


def test_commands_options_and_values() -> None:
    assert completions([], "un") == ["undo"]
    assert set(completions(["diff"], "--")) == {
        *("--help", "--against", "--all", "--color", "--csv-exact", "--format", "--json", "--output", "--snapshot")
    }
    assert completions(["diff", "--format"], "js") == ["json"]
    assert completions(["diff"], "--format=js") == ["--format=json"]
    assert completions(["isolate", "1", "--type"], "") == ["private", "slave"]
    assert completions(["explain"], "MNT001") == ["MNT001"]
    assert "leak-to-host" in completions(["audit", "--rule"], "leak")
    assert completions(["nonsense"], "x") == []
    # Behind -- stands another program's command line.
    assert completions(["run", "--"], "--p") == []


def test_pids_are_offered_where_a_target_is_asked_for() -> None:
    assert "1" in completions(["diff"], "1")
    assert "1" in completions(["diff", "--against"], "")
    assert completions(["diff"], "s") == ["self", "snapshot:"]
    assert completions(["tree", "--all"], "h") == ["host"]
    # The second word of diff is a path.
    assert "/proc" in completions(["diff", "--all", "1"], "/pr")
    assert "/proc" in completions(["isolate", "1", "/sys"], "/pr")


def test_files_and_the_labels_of_their_views(file: Path) -> None:
    directory = str(file.parent)
    assert completions(["ns", "--snapshot"], f"{directory}/a") == [str(file)]
    assert completions(["ns", "--snapshot"], directory) == [f"{directory}/"]
    assert completions(["diff"], f"snapshot:{directory}/") == [f"snapshot:{file}#"]
    assert completions(["diff"], f"snapshot:{file}#") == [
        f"snapshot:{file}#{each}" for each in ("host", "tool", "unit")
    ]
    assert completions(["diff"], f"snapshot:{file}#t") == [f"snapshot:{file}#tool"]
    assert completions(["diff"], f"snapshot:{directory}/missing#") == []


def test_names_that_would_move_a_terminal_are_not_offered(tmp_path: Path) -> None:
    (tmp_path / "a\x1b[2J").touch()
    (tmp_path / "a\nb").touch()
    assert completions(["ns", "--snapshot"], f"{tmp_path}/a") == []


# Shells


def in_shell(shell: str, *words: str) -> str:
    if shutil.which(shell) is None:
        pytest.skip(f"not installed: {shell}")
    # fish writes into a home that it can make.
    environment = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": os.devnull}
    done = subprocess.run([shell, *words], env=environment, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def in_bash(typed: str) -> list[str]:
    """What bash would put in place of the word before the cursor, as it takes words."""
    script = """
        eval "$(mntscope completion bash)"
        COMP_LINE=$1 COMP_POINT=${#1}
        _mntscope mntscope
        (( ${#COMPREPLY[@]} == 0 )) || printf '%s\\n' "${COMPREPLY[@]}"
    """
    return in_shell("bash", "-c", script, "bash", typed).splitlines()


def in_fish(typed: str) -> list[str]:
    return in_shell("fish", "-c", 'mntscope completion fish | source; complete -C "$argv"', typed).splitlines()


@pytest.mark.parametrize("ask", [in_bash, in_fish])
def test_a_shell_offers_the_same(ask: Callable[[str], list[str]]) -> None:
    assert ask("mntscope pred") == ["predict"]
    assert sorted(ask("mntscope ")) == sorted(COMMANDS)
    assert ask("mntscope tree --only sl") == ["slave"]
    assert ask("mntscope isolate 1 --type pr") == ["private"]
    assert ask("mntscope nonsense x") == []


def test_bash_replaces_what_is_behind_a_colon_only(file: Path) -> None:
    quoted = str(file).replace(" ", "\\ ")
    assert in_bash("mntscope diff sna") == ["snapshot:"]
    assert in_bash(f"mntscope diff snapshot:{file.parent}/") == [f"{quoted}#"]
    assert in_bash(f"mntscope diff snapshot:{quoted}#to") == [f"{quoted}#tool"]
    assert in_bash(f"mntscope diff 'snapshot:{file}#to") == [f"{file}#tool"]
    assert in_bash("mntscope tree --only=sl") == ["slave"]


def test_a_name_never_becomes_a_command(tmp_path: Path) -> None:
    for name in ("$(id)", "`id`", "a;id", "a b", "it's"):
        (tmp_path / name).touch()
    start = f"mntscope ns --snapshot {tmp_path}/"
    words = shlex.split(" ".join(in_bash(start)))
    assert words == sorted(str(path) for path in tmp_path.iterdir())
    assert in_bash(start.replace("/", '"/', 1)) == [f"{tmp_path}/a b", f"{tmp_path}/a;id", f"{tmp_path}/it's"]
    assert in_bash(start.replace("/", "'/", 1)) == [f"{tmp_path}/{name}" for name in ("$(id)", "`id`", "a b", "a;id")]


@pytest.mark.parametrize(
    ("start", "shell"),
    [
        ('eval "$(mntscope completion bash)"', ["bash", "--norc", "--noprofile", "-i"]),
        ('autoload -U compinit; compinit -u -D; eval "$(mntscope completion zsh)"', ["zsh", "-f", "-i"]),
    ],
    ids=["bash", "zsh"],
)
def test_the_tab_key(start: str, shell: list[str], tmp_path: Path) -> None:
    """What is typed half and completed by the key is what runs."""
    if shutil.which(shell[0]) is None:
        pytest.skip(f"not installed: {shell[0]}")
    told = tmp_path / "told"
    ours, theirs = pty.openpty()
    environment = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(tmp_path), "TERM": "dumb"}
    with subprocess.Popen(
        shell, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    ) as running:
        os.close(theirs)
        try:
            os.write(ours, f"{start}\n".encode())
            os.write(ours, f"cd {tmp_path}; touch ready\n".encode())
            wait_for(ours, tmp_path / "ready")
            os.write(ours, b"mntscope tre\tself --for\tcsv --outp\ttold\n")
            wait_for(ours, told)
        finally:
            running.kill()
            os.close(ours)
    assert told.read_text().startswith("TARGET,SOURCE,")


def wait_for(terminal: int, path: Path) -> None:
    """Reads what the shell draws until there is such a file, with something in it or named ``ready``."""
    drawn = b""
    until = time.monotonic() + 60
    while not (path.exists() and (path.name == "ready" or path.stat().st_size)):
        assert time.monotonic() < until, drawn.decode(errors="replace")
        if select.select([terminal], [], [], 0.05)[0]:
            drawn += os.read(terminal, 1 << 12)


def test_a_shell_that_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "csh"]) == 2
    assert "csh" in capsys.readouterr().err
