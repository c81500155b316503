"""No code is loaded from the current directory: neither by ``python -m mntscope`` nor by ``%mntscope``.

It is filled with booby traps: a module for each that a command loads. What lies there is somebody else's.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import mntscope
from mntscope.base.search_path import without_current_directory

TRAP = "import os\nwith open(os.environ['TEST_SPRUNG'], 'a') as file:\n    file.write(__name__ + ' ')\n"

MODULES = """
import json, sys
{first}
print("MODULES", json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""

COMMANDS = {
    "ns": "ns",
    "ns as a file": "ns --format csv",
    "diff": "diff self --format html",
    "tree": "tree self",
    "graph": "graph --format svg",
    "holders": "holders /proc",
    "audit": "audit",
    "audit as a page": "audit --format html",
    "explain": "explain MNT001",
    "predict": "predict self -- mount -t proc proc /proc",
    "completion": "completion bash -- 'mntscope di'",
    "selftest": "selftest --operations 5",
}

SHELL = """
import os, sys
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
settings = Config()
settings.HistoryManager.enabled = False
shell = InteractiveShell.instance(config=settings)
# What IPython loads for itself is its own affair.
for cell in ("1", "%precision", "%%timeit -n1 -r1\\npass", "get_ipython().Completer.complete('%precision x')"):
    shell.run_cell(cell).raise_error()
# As IPython begins: the current directory is where it looks first.
sys.path.insert(0, "")
os.chdir({directory!r})
before = sys.path[:]
for cell in {cells!r}:
    shell.run_cell(cell).raise_error()
assert sys.path == before, sys.path
"""

CELLS = [
    "%load_ext mntscope",
    "%mntscope ns",
    "found = %mntscope audit",
    "found",
    "%mntscope graph",
    "%mntscope tree self",
    "%mntscope diff self --format html",
    "%mntscope selftest --operations 5",
    "get_ipython().Completer.complete('%mntscope holders /')",
]


def modules(first: str, *options: str) -> set[str]:
    """The top-level modules that a program has loaded in the end."""
    done = subprocess.run(
        [sys.executable, *options, "-c", MODULES.format(first=first)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = next(line for line in done.stdout.splitlines() if line.startswith("MODULES "))
    return set(json.loads(found.removeprefix("MODULES ")))


@pytest.fixture(scope="module")
def everything() -> set[str]:
    """What the commands load, and what could be loaded in its place: of all of them."""
    words = [["ns"], ["audit", "--no-settings"], ["graph", "--format", "svg"], ["explain", "MNT001"], ["tree", "self"]]
    run = "from mntscope.cli import main\n" + "".join(f"main({each!r})\n" for each in words)
    others = {"json", "rich", "lark", "pandas", "numpy", "zstandard", "tomllib", "select", "typing", "ctypes", "jinja2"}
    return modules(run) | others


@pytest.fixture
def trapped(everything: set[str], tmp_path: Path) -> Path:
    """A directory full of them; a half of them packages, and settings that do not parse."""
    directory = tmp_path / "theirs"
    directory.mkdir()
    for number, name in enumerate(sorted(everything - {"mntscope", "__main__", *loaded_before(tmp_path)})):
        if number % 2:
            (directory / f"{name}.py").write_text(TRAP)
        else:
            (directory / name).mkdir()
            (directory / name / "__init__.py").write_text(TRAP)
    return directory


def loaded_before(tmp_path: Path) -> set[str]:
    """What ``python -m`` itself loads before it has found what it is to run: nobody can prevent that but ``-P``."""
    package = tmp_path / "beforehand"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").write_text("import sys\nprint(*sys.modules)\nsys.exit()\n")
    done = subprocess.run(
        [sys.executable, "-m", "beforehand"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


def sprung(directory: Path, command: list[str]) -> tuple[str, subprocess.CompletedProcess[str]]:
    """Which traps a program has sprung that was started there."""
    told = directory.parent / "sprung"
    environment = {
        **os.environ,
        "TEST_SPRUNG": str(told),
        "PYTHONPATH": "",
        "IPYTHONDIR": str(directory.parent / "ipython"),
    }
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, env=environment, check=False)
    return told.read_text() if told.exists() else "", done


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_the_program_loads_nothing_from_the_current_directory(trapped: Path, words: str) -> None:
    found, done = sprung(trapped, [sys.executable, "-m", "mntscope", *shlex.split(words)])
    assert found == "", done.stderr
    assert done.returncode in (0, 1), done.stderr
    assert done.stdout


def test_the_traps_would_spring(trapped: Path) -> None:
    assert sprung(trapped, [sys.executable, "-c", "import mntscope.cli.main"])[0] != ""


def test_a_library_leaves_the_search_path_alone(tmp_path: Path) -> None:
    """``python -m`` with another program that uses mntscope looks where it always does."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "__init__.py").write_text("import mntscope\n")
    (tmp_path / "theirs" / "__main__.py").write_text("import os, sys\nprint(sys.path[0] == os.getcwd())\n")
    done = subprocess.run(
        [sys.executable, "-m", "theirs", "mntscope"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "True\n", done.stderr


def test_nor_does_the_magic(trapped: Path, tmp_path: Path) -> None:
    pytest.importorskip("IPython", reason="IPython, whose magic it is, is not installed")
    (tmp_path / "elsewhere").mkdir()
    program = SHELL.format(directory=str(trapped), cells=CELLS)
    found, done = sprung(tmp_path / "elsewhere", [sys.executable, "-c", program])
    assert done.returncode == 0, done.stdout + done.stderr
    assert found == ""


def test_the_search_path_is_as_before_but_for_what_was_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = ["", str(tmp_path), ".", "/usr/lib/somewhere"]
    monkeypatch.setattr(sys, "path", list(before))
    path = sys.path
    with without_current_directory():
        assert path == ["/usr/lib/somewhere"]
        path.append("/added")
    assert path == [*before, "/added"]
    assert sys.path is path


def test_a_deleted_directory_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    done = subprocess.run([sys.executable, "-m", "mntscope", "--version"], capture_output=True, text=True, check=False)
    assert done.stdout == f"mntscope {mntscope.__version__}\n"
    with without_current_directory():
        pass
