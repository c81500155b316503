"""The files that are released: those of mntscope, as its wheel has them, and those of the libraries that are pure."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import TypeAlias

from tests.support.repository import ROOT

Files: TypeAlias = dict[str, bytes]
"""What is in each file, by its path below where Python looks for modules."""

COMPILED = ("numpy", "pandas", "zstandard")
"""What mntscope needs and is not made of Python alone. No command needs the first two; the third reads what zstd
packed."""

MADE = (".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "*.egg-info", "build", "dist")
"""What lies in a tree that is worked in, and is not of it."""


def distributions(folder: Path) -> None:
    """Write into a folder the source distribution of this tree, and the wheel that is built from it.

    They are built of a copy: setuptools works in the tree itself, and two at once would take each other's files.
    """
    with tempfile.TemporaryDirectory() as room:
        tree = Path(room, "mntscope")
        shutil.copytree(ROOT, tree, symlinks=True, ignore=shutil.ignore_patterns(*MADE))
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(tree)]
        done = subprocess.run(command, cwd=room, env=without_other_trees(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the wheel cannot be built:\n{done.stdout}{done.stderr}")


def wheel() -> Files:
    """What is in the wheel that is built from this tree, by way of its source distribution."""
    with tempfile.TemporaryDirectory() as folder:
        distributions(Path(folder))
        (path,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(path) as packed:
            return {name: packed.read(name) for name in packed.namelist()}


def modules(built: Files) -> Files:
    """Those files of a wheel that go where Python looks for modules: what pip notes for itself is left out."""
    return {name: data for name, data in built.items() if ".data/" not in name and _wanted(name)}


def version_of(built: Files) -> str:
    """Which version of mntscope a wheel holds."""
    (name,) = (name for name in built if name.endswith(".dist-info/METADATA"))
    found = re.search(rb"^Version: (.*)$", built[name], re.MULTILINE)
    assert found is not None
    return found[1].decode()


def pure_libraries() -> list[str]:
    """The libraries that mntscope needs, and those that they need, but for the compiled ones; sorted."""
    found: set[str] = set()
    left = ["mntscope"]
    while left:
        for requirement in distribution(left.pop()).requires or ():
            # What is only for an extra or for another system has a marker; we need nothing of the kind.
            name = _normal(re.split(r"[\s;<>=!~(\[]", requirement, maxsplit=1)[0])
            if ";" not in requirement and name not in {*found, *COMPILED}:
                found.add(name)
                left.append(name)
    return sorted(found)


def library(name: str) -> Files:
    """The files of an installed library: its Python, its data and its licence.

    A part of it that is compiled must be one that it does without; markupsafe has such a part.
    """
    installed: Distribution = distribution(name)
    return {str(file): file.read_binary() for file in installed.files or () if _wanted(str(file))}


def _wanted(name: str) -> bool:
    """Whether a file is for those who run it: no program, nothing compiled, no note of an installer."""
    if ".dist-info/" in name:
        return bool(re.search(r"/(METADATA|entry_points\.txt|licenses/.*|(LICENSE|COPYING|AUTHORS)[^/]*)$", name))
    return not (name.startswith("..") or name.endswith((".so", ".pyc", ".pyi", ".c")))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def without_other_trees() -> dict[str, str]:
    """This one, where nothing leads Python to another tree's modules."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
