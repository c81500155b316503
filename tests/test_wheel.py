"""What is installed: the wheel that is built from this tree holds all of it, and works on its own."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from mntscope.base.own_version import VERSION
from tests.release.contents import distributions, without_other_trees
from tests.support.repository import ROOT

MAN = f"mntscope-{VERSION}.data/data/share/man/man1"

READS_THE_GRAMMAR = """
import importlib.resources, mntscope, mntscope.parse
assert "site-packages" in mntscope.__file__, mntscope.__file__
print((importlib.resources.files("mntscope.grammar") / "mountinfo.lark").read_text("utf-8"), end="")
mntscope.parse_mountinfo(b"21 1 0:5 / / rw - proc proc rw\\n")
"""


def run(*command: str | Path, cwd: Path) -> str:
    result = subprocess.run(command, cwd=cwd, env=without_other_trees(), capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sdist, and the wheel built from that sdist: what is released, and nothing else."""
    folder = tmp_path_factory.mktemp("dist")
    distributions(folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of an environment that holds the wheel; its dependencies are those of this one."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    run(
        *(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel),
        cwd=folder,
    )
    (site,) = folder.glob("lib/python*/site-packages")
    # On the path after the wheel, and as a plain directory: the .pth files there, which make the editable
    # installation, are not read.
    (site / "zz-dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n", "utf-8")
    return folder / "bin"


def test_the_wheel_holds_every_module_and_grammar(wheel: Path) -> None:
    expected = {
        str(path.relative_to(ROOT))
        for kind in ("py", "css", "html", "js")
        for path in (ROOT / "mntscope").rglob(f"*.{kind}")
    }
    expected |= {f"mntscope/{path.relative_to(ROOT)}" for path in (ROOT / "grammar").iterdir() if path.is_file()}
    expected |= {"mntscope/py.typed"}
    expected |= {f"{MAN}/{path.name}" for path in (ROOT / "docs/man").iterdir()}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert (expected - held, held - expected) == (set(), set())


def test_the_source_distribution_can_be_tested(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    needed = {
        path.relative_to(ROOT) for room in ("docs", "fixtures", "grammar", "tests") for path in (ROOT / room).rglob("*")
    }
    wanted = {str(path) for path in needed if "__pycache__" not in path.parts} | {"conftest.py", "LICENSE", "Makefile"}
    assert wanted - held == set()


def test_the_installed_command_tells_its_version(installed: Path, tmp_path: Path) -> None:
    expected = f"mntscope {VERSION}\n"
    assert run(installed / "mntscope", "--version", cwd=tmp_path) == expected
    assert run(installed / "python", "-m", "mntscope", "--version", cwd=tmp_path) == expected


def test_the_manual_pages_are_where_man_looks(installed: Path) -> None:
    kept = {path.name for path in (ROOT / "docs/man").iterdir()}
    assert {path.name for path in (installed.parent / "share/man/man1").iterdir()} == kept


def test_the_installed_package_reads_its_grammar(installed: Path, tmp_path: Path) -> None:
    grammar = (ROOT / "grammar" / "mountinfo.lark").read_text("utf-8")
    assert run(installed / "python", "-c", READS_THE_GRAMMAR, cwd=tmp_path) == grammar


def test_the_editable_installation_reads_the_grammar_of_the_tree(tmp_path: Path) -> None:
    where = "import importlib.resources; print(importlib.resources.files('mntscope.grammar'))"
    assert run(sys.executable, "-c", where, cwd=tmp_path) == f"{ROOT / 'grammar'}\n"


def test_a_command_starts_without_the_heavy_libraries(installed: Path, tmp_path: Path) -> None:
    program = "import sys, mntscope.cli; print(sorted({'dask', 'lark', 'numpy', 'pandas', 'rich'} & set(sys.modules)))"
    assert run(installed / "python", "-c", program, cwd=tmp_path) == "[]\n"
