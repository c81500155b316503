"""The house rules, as far as a program can check them: each tool's own words are the failure message."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import ROOT

TOOLS = Path(sys.executable).parent

ROOMS = ("mntscope", "grammar", "tests", "fixtures", "notebooks")
DATA = ROOT / "tests" / "data"
PYTHON = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py") if DATA not in path.parents)
TEXTS = [
    path
    for pattern in ("*.md", "docs/**/*.md", "[fn]*s/*.md", "*.toml", "*.py", "Makefile", ".ci/run", "grammar/*.lark")
    for path in sorted(ROOT.glob(pattern))
] + [path for path in PYTHON if path != Path(__file__).resolve()]


@pytest.mark.parametrize("command", ["ruff check", "ruff format --check", "mypy", "pyright", "lint-imports --no-logo"])
def test_the_tool_has_nothing_to_say(command: str) -> None:
    tool, *arguments = command.split()
    result = subprocess.run([TOOLS / tool, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"


def test_every_file_fits_in_a_head() -> None:
    lengths = {_name(path): len(path.read_text("utf-8").splitlines()) for path in PYTHON}
    assert {name: lines for name, lines in lengths.items() if lines > 500} == {}


def test_every_module_says_what_it_is_for() -> None:
    assert [_name(path) for path in PYTHON if not ast.get_docstring(ast.parse(path.read_bytes()))] == []


def test_nothing_is_left_to_do() -> None:
    assert _found(r"\b(TODO|FIXME|XXX)\b") == []


def test_the_text_means_the_same_to_everyone() -> None:
    # The directory it was written in, and the numbers of a tracker, mean nothing to a reader elsewhere.
    assert _found(rf"{re.escape(str(ROOT))}|\bissue \d+\b") == []


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _found(pattern: str) -> list[str]:
    return [
        f"{_name(path)}:{number}: {line.strip()}"
        for path in TEXTS
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(pattern, line)
    ]
