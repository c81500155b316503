"""The house rules, as far as a program can check them and no linter does; those run in ``make lint``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

from tests.support.repository import DATA, ROOT

ROOMS = ("mntscope", "grammar", "tests", "fixtures", "notebooks")
PYTHON = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py") if DATA not in path.parents)
TEXTS = [
    path
    for pattern in ("*.md", "docs/**/*.md", "[fn]*s/*.md", "*.toml", "*.py", "Makefile", ".ci/run", "grammar/*.lark")
    for path in sorted(ROOT.glob(pattern))
] + [path for path in PYTHON if path != Path(__file__).resolve()]


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


def test_every_room_is_tested_in_a_folder_of_its_name() -> None:
    rooms = {path.parent.name for path in (ROOT / "mntscope").glob("*/__init__.py")}
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/__init__.py")}
    assert folders - {"benchmarks", "kernels", "preview", "release", "runtimes", "support"} == rooms


def test_only_one_file_knows_where_it_is_in_the_repository() -> None:
    tests = [path for path in PYTHON if ROOT / "tests" in path.parents and path != Path(__file__).resolve()]
    assert _files_with(tests, r"\bparents\[") == {"tests/support/repository.py"}


def test_only_one_file_reads_what_is_beside_the_repository() -> None:
    assert _files_with(PYTHON, r"^from .*\bPUBLIC_TABLES\b") == {"tests/test_public_tables.py"}
    assert _files_with(PYTHON, r"\bROOT\.parent\b") == {"tests/support/repository.py"}


def _files_with(paths: Iterable[Path], pattern: str) -> set[str]:
    return {_name(path) for path in paths if re.search(pattern, path.read_text("utf-8"), re.MULTILINE)}


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _found(pattern: str) -> list[str]:
    return [
        f"{_name(path)}:{number}: {line.strip()}"
        for path in TEXTS
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(pattern, line)
    ]
