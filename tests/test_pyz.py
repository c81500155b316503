"""``mntscope.pyz``: one file, and the system's Python, are all that the commands need."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import distribution, requires
from pathlib import Path

import pytest
import zstandard

from mntscope.cli.parser import COMMANDS
from tests.release.contents import COMPILED, pure_libraries
from tests.release.pyz import MAIN
from tests.support.repository import DATA, FIXTURES, ROOT
from tests.support.throwaway import Host

LARGEST = 3_000_000
"""It is to go over a serial console, or into a bug report."""

SANDBOX = f"snapshot:{FIXTURES}/sandbox.mntscope.json#4711"
RUNC = f"{FIXTURES}/runc.mntscope.json.gz"

ON_CAPTURES = {
    f"diff {SANDBOX}": (1, "LEAKS  4 of the 7 mounts"),
    f"ns --snapshot {RUNC}": (0, "web-shared (runc)"),
    f"tree {SANDBOX}": (0, "/srv/data"),
    f"graph --snapshot {RUNC} --format mermaid": (0, "flowchart"),
    f"holders --snapshot {FIXTURES}/forgotten.mntscope.json.gz /srv/volume": (1, "BUSY  /srv/volume"),
    f"audit {RUNC}": (1, "MNT006 bidirectional-volume"),
    f"audit {RUNC} --format html": (1, "<!DOCTYPE html>"),
    "explain MNT006": (0, "Why it matters"),
    f"predict {SANDBOX} -- mount -t proc proc /proc": (1, "CHANGES THE HOST"),
    f"preview {DATA}/manifests/csi-node.yaml": (1, "can mount on the host"),
    "completion bash": (0, "complete -o default -F _mntscope mntscope"),
    "--version": (0, "mntscope "),
}
"""Which exit code, and what is said."""

ON_MACHINES = {"capture", "isolate", "lab", "run", "selftest", "undo", "watch"}
"""What needs a kernel."""

WITH_LIBRARIES = {"fleet"}
"""What needs compiled libraries, and says so."""

PYTHON = [os.path.realpath(sys.executable), "-I", "-S"]
"""The interpreter itself, which knows nothing of a virtual environment; and no site-packages."""


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As ``make pyz`` leaves it."""
    return built(tmp_path_factory.mktemp("pyz") / "mntscope.pyz")


def built(path: Path, **environment: str) -> Path:
    command = [sys.executable, "-m", "tests.release.pyz", str(path)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return path


def ran(pyz: Path, *words: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, output and complaints, in a directory with nothing in it but the file."""
    done = subprocess.run(
        [*PYTHON, pyz, *words], cwd=pyz.parent, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_built_twice_it_is_the_same(pyz: Path, tmp_path: Path) -> None:
    again = built(tmp_path / "mntscope.pyz", TZ="Asia/Tokyo", PYTHONHASHSEED="7", SOURCE_DATE_EPOCH="1700000000")
    assert again.read_bytes() == pyz.read_bytes()


def test_it_is_small_and_pure_and_holds_the_licences(pyz: Path) -> None:
    names = zipfile.ZipFile(pyz).namelist()
    assert pyz.stat().st_size < LARGEST
    assert [name for name in names if name.endswith((".so", ".pyc"))] == []
    owners = {name.partition("-")[0].lower() for name in names if re.search(r"dist-info/.*(LICENSE|COPYING)", name)}
    assert owners == {"mntscope", *(name.replace("-", "_") for name in pure_libraries())}


def test_what_is_left_out_is_compiled() -> None:
    needed = {re.split(r"[>;\[ ]", line)[0] for line in requires("mntscope") or () if "extra ==" not in line}
    assert {name.lower() for name in needed} - set(pure_libraries()) == set(COMPILED)
    assert all(any(str(file).endswith(".so") for file in distribution(name).files or ()) for name in COMPILED)


def test_every_command_is_tried() -> None:
    assert {line.split()[0] for line in ON_CAPTURES} | ON_MACHINES | WITH_LIBRARIES == {*COMMANDS, "--version"}


@pytest.mark.parametrize("line", ON_CAPTURES)
def test_a_command_works_without_anything_installed(pyz: Path, line: str) -> None:
    code, output, complaints = ran(pyz, *line.split())
    assert (code, complaints) == (ON_CAPTURES[line][0], "")
    assert ON_CAPTURES[line][1] in output


def test_a_fleet_says_what_it_needs(pyz: Path) -> None:
    needed = "mntscope: a fleet takes numpy, which this Python does not have; pip install 'mntscope[fleet]'\n"
    assert ran(pyz, "fleet", "report", "fleet") == (2, "", needed)


@pytest.mark.parametrize("word", COMMANDS)
def test_every_command_has_help(pyz: Path, word: str) -> None:
    code, output, complaints = ran(pyz, word, "--help")
    assert (code, complaints) == (0, "")
    assert output.startswith(f"usage: mntscope {word}")


def test_it_works_on_a_machine(pyz: Path, machine: Host, tmp_path: Path) -> None:
    target = machine.unshare("unchanged")

    def told(*words: object) -> tuple[int, str]:
        done = machine.run([*PYTHON, pyz, *words], cwd=tmp_path)
        assert done.stderr == ""
        return done.returncode, done.stdout

    assert told("diff", target.inner)[0] == 1
    assert told("ns")[0] == 0
    assert told("tree")[0] == 0
    assert told("audit", "--no-settings")[0] == 1
    assert told("holders")[0] == 0
    assert told("predict", target.inner, "--", "mount", "-t", "proc", "proc", "/proc")[0] == 1
    assert told("run", "--pid", "--", "echo", "inside") == (0, "inside\n")
    before = machine.mountinfo(target)
    assert told("isolate", target.inner, "--mount-proc", "--journal", tmp_path / "journal", "--force")[0] == 0
    assert told("diff", target.inner, "/proc")[0] == 0
    assert told("undo", "--list")[0] == 0
    assert told("undo", tmp_path / "journal")[0] == 0
    assert sorted(machine.mountinfo(target).splitlines()) == sorted(before.splitlines())
    assert told("capture", "-o", tmp_path / "machine.mntscope.json.gz")[0] == 0
    assert told("ns", "--snapshot", tmp_path / "machine.mntscope.json.gz")[0] == 0
    assert told("lab", "--act", "1")[0] == 0
    assert told("selftest", "--operations", "20")[0] == 0


def test_a_file_of_zstd_says_what_is_missing(pyz: Path, tmp_path: Path) -> None:
    packed = tmp_path / "sandbox.mntscope.json.zst"
    packed.write_bytes(zstandard.compress((FIXTURES / "sandbox.mntscope.json").read_bytes()))
    what = f"mntscope: {packed}: reading what zstd has packed takes zstandard, which this Python does not have"
    hint = "pip install zstandard, or mntscope's wheel, which brings it"
    assert ran(pyz, "ns", "--snapshot", str(packed)) == (2, "", f"{what}; {hint}\n")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("mntscope.load(sys.argv[1]).frame()", "a data frame takes pandas"),
        ("import mntscope.parse.columns", "a table as columns takes numpy"),
        ("import mntscope.graph.columns", "peer groups as columns takes numpy"),
    ],
)
def test_what_takes_a_compiled_library_says_so(pyz: Path, statement: str, said: str) -> None:
    program = f"import sys; sys.path.insert(0, {str(pyz)!r}); import mntscope\n{statement}"
    done = subprocess.run(
        [*PYTHON, "-c", program, f"{FIXTURES}/sandbox.mntscope.json"], capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1].startswith(f"mntscope.errors.MissingLibraryError: {said}, which this Python")


def test_an_old_python_is_told_what_it_takes(tmp_path: Path) -> None:
    program = f"import sys; sys.version_info = (3, 9, 2, 'final', 0)\n{MAIN.decode()}"
    done = subprocess.run([*PYTHON, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "mntscope: it needs Python 3.11 or newer, and this is 3.9\n")
