"""The magic ``%mntscope``: what it gives, what it says where it fails, and how it completes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mntscope
from mntscope.archive import save
from tests.jupyter.test_display import leaking

pytest.importorskip("IPython", reason="IPython, whose magic it is, is not installed")


@pytest.fixture(scope="module")
def ipython(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    settings = Config()
    settings.HistoryManager.enabled = False
    settings.InteractiveShell.colors = "nocolor"
    # The one of this process, which is where display() goes.
    shell: Any = InteractiveShell.instance(config=settings, ipython_dir=str(tmp_path_factory.mktemp("ipython")))
    shell.run_line_magic("load_ext", "mntscope")
    # Loading it again changes nothing.
    shell.run_line_magic("reload_ext", "mntscope")
    yield shell
    shell.reset()
    InteractiveShell.clear_instance()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("captures") / "a host.mntscope.json.gz"
    save(leaking(), str(path))
    return path


def value(ipython: Any, cell: str) -> Any:
    """What the cell gives."""
    done = ipython.run_cell(cell)
    done.raise_error()
    return done.result


COMMANDS = {
    "ns --snapshot {}": "NamespaceList",
    "audit {}": "Audit",
    "diff snapshot:{}#tool": "Diff",
    "tree --snapshot {} tool /proc": "Listing",
    "graph --snapshot {}": "Sharing",
    "graph --snapshot {} tool --path /var": "Sharing",
    "holders --snapshot {} /var": "Holders",
    "predict snapshot:{}#tool -- mount -t proc proc /proc": "Prediction",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_gives_what_it_would_write(ipython: Any, file: Path, command: str) -> None:
    result = value(ipython, "%mntscope " + command.format(str(file).replace(" ", "\\ ")))
    assert type(result).__name__ == COMMANDS[command]
    assert "text/html" in result._repr_mimebundle_()


def test_the_result_can_be_kept(ipython: Any, file: Path) -> None:
    ipython.user_ns["file"] = str(file)
    value(ipython, "found = %mntscope diff 'snapshot:{file}#unit'")
    assert isinstance(ipython.user_ns["found"], mntscope.Diff)
    assert ipython.user_ns["found"].verdict == "receives"


def test_the_text_of_a_cell_is_the_last_argument(ipython: Any, file: Path) -> None:
    cell = f"%%mntscope predict 'snapshot:{file}#tool'\nmount --make-private /proc\nmount -t proc proc /proc\n"
    result = value(ipython, cell)
    assert len(result.steps) == 2
    assert result.outside == ()


def test_without_a_command_each_line_of_a_cell_is_one(
    ipython: Any, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ipython.run_cell(f"%%mntscope\nns --snapshot '{file}'\n\ndiff 'snapshot:{file}#unit'\n")
    said = capsys.readouterr().out
    assert "3 mount namespaces" in said
    assert "RECEIVES" in said


def test_a_format_that_is_asked_for_is_written(ipython: Any, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert value(ipython, f"%mntscope ns --format json --snapshot '{file}'") is None
    assert '"schema": "mntscope.ns/1"' in capsys.readouterr().out


def test_help_is_shown(ipython: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ipython.run_cell("%mntscope diff --help")
    assert "usage: mntscope diff" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("diff 99999999", "process 99999999: there is no such process"),
        ("dif", "no command 'dif'; did you mean diff?"),
        ("diff --wrong", "diff: "),
        ("diff 'unended", "cannot be read"),
        ("explain MNT999", "MNT999"),
    ],
)
def test_what_fails_is_one_line_and_fails_the_cell(
    ipython: Any, line: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    done = ipython.run_cell(f"%mntscope {line}")
    assert type(done.error_in_exec).__name__ == "UsageError"
    said = capsys.readouterr()
    assert complaint.removeprefix("diff: ") in said.err + said.out
    assert "Traceback" not in said.err + said.out


# Completion


def offered(ipython: Any, typed: str) -> list[str]:
    """What the shell offers behind what is typed."""
    from IPython.core.completer import provisionalcompleter

    with provisionalcompleter():
        return [each.text for each in ipython.Completer.completions(typed, len(typed))]


def test_the_shell_completes_as_the_command_line_does(ipython: Any, file: Path) -> None:
    assert offered(ipython, "%mntscope pred") == ["predict"]
    assert offered(ipython, "found = %mntscope di") == ["diff"]
    assert offered(ipython, "%%mntscope diff --for") == ["--format"]
    assert offered(ipython, "%mntscope tree --only sl") == ["slave"]
    # Elsewhere it offers nothing.
    assert "predict" not in offered(ipython, "mntscope_pre")
