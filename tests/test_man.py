"""The manual pages are what the command lines' parsers make, and man(1) has nothing to say against them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mntscope.cli.parser import COMMANDS, command_parser
from tests.release.man import pages
from tests.release.man_text import DATA, ENVIRONMENT, STATE
from tests.support.repository import ROOT

MAN = ROOT / "docs/man"
NAMES = ["mntscope", *(f"mntscope-{name}" for name in COMMANDS)]
SECTIONS = ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "ENVIRONMENT", "SEE ALSO")

FOUND_BY_OTHERS = {"HOME", "PATH"}
"""What Python and the shell look for themselves."""


def shown(name: str) -> tuple[str, str]:
    """A page as man(1) shows it on a terminal of 80 columns, and what it complains of."""
    if shutil.which("man") is None or shutil.which("groff") is None:
        pytest.skip("man or groff is not installed")
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "MANWIDTH": "80"}
    command = ["man", "--warnings", "--local-file", str(MAN / f"{name}.1")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_the_pages_are_what_the_parsers_make() -> None:
    """If not: make man."""
    assert {path.name: path.read_text("ascii") for path in MAN.iterdir()} == pages()


def test_how_wide_the_terminal_is_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert (MAN / "mntscope-audit.1").read_text("ascii") == pages()["mntscope-audit.1"]


@pytest.mark.parametrize("name", NAMES)
def test_man_shows_a_page_on_80_columns(name: str) -> None:
    text, complaints = shown(name)
    assert complaints == ""
    assert [line for line in text.splitlines() if len(line) > 80] == []
    headings = re.findall(r"^[A-Z][A-Z ]+$", text, re.MULTILINE)
    assert [heading for heading in SECTIONS if heading not in headings] == (
        # It has none but --help; of a fleet each action has its own.
        ["OPTIONS"] if name in ("mntscope-completion", "mntscope-fleet") else []
    )
    assert " ".join(text.split()).startswith(f"{name.upper()}(1) mntscope manual {name.upper()}(1) NAME {name} - ")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_names_every_option_and_example(name: str) -> None:
    text = " ".join(shown(f"mntscope-{name}")[0].split())
    options = {option for action in command_parser(name)._actions for option in action.option_strings}
    assert [option for option in options - {"-h", "--help"} if option not in text] == []
    assert text.index("EXAMPLES") < text.index("FILES" if " FILES " in text else "ENVIRONMENT") < text.index("SEE ALSO")
    examples = (command_parser(name).epilog or "").partition("Examples:\n")[2]
    lines = re.findall(r"^  (\S.*)$", examples, re.MULTILINE)
    assert len(lines) == 2
    assert [line for line in lines if line not in text] == []


def test_every_variable_that_is_read_is_named() -> None:
    read = {
        name
        for path in (ROOT / "mntscope").rglob("*.py")
        for name in re.findall(r'environ(?:\.get\(|\[)"(\w+)"', path.read_text("utf-8"))
    }
    assert read - FOUND_BY_OTHERS == {name for name, _ in (*ENVIRONMENT, *STATE, *DATA)}


def test_every_file_that_is_named_is_one_that_is_opened() -> None:
    """SECURITY.md lists what is, and is compared with what strace sees."""
    security = (ROOT / "SECURITY.md").read_text("utf-8")
    for text in pages().values():
        for path in re.findall(r"^\.B \"((?:/(?:run|etc|var)/[^ \"]+(?:, )?)+)\"$", text, re.MULTILINE):
            assert [each for each in path.split(", ") if f"`{each.rstrip('/')}" not in security] == []


def test_the_directory_holds_pages_only() -> None:
    assert [path.name for path in sorted(Path(MAN).iterdir())] == sorted(f"{name}.1" for name in NAMES)
