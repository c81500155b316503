"""mntscope as users have it: installed with its byte code, in an environment that does nothing else at its start.

In a working tree that is installed as editable, ``python3 -c pass`` already takes half as long again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from tests.support.repository import ROOT

START = "#!{python}\nimport sys\nfrom mntscope.__main__ import main\nsys.exit(main())\n"
"""What pip makes of the entry point."""


@dataclass(frozen=True, slots=True)
class Installed:
    """Where it is."""

    python: str
    mntscope: str


def install(directory: Path) -> Installed:
    """A copy of this working tree in a new environment at *directory*, which shares the packages of this one."""
    if directory.exists():
        shutil.rmtree(directory)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True)
    packages = next(directory.glob("lib/python3*/site-packages"))
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if entry.suffix != ".pth" and "mntscope" not in entry.name and entry.name != "__pycache__":
            (packages / entry.name).symlink_to(entry)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "mntscope", packages / "mntscope", ignore=ignored)
    shutil.copytree(ROOT / "grammar", packages / "mntscope/grammar", ignore=ignored)
    python, mntscope = directory / "bin/python", directory / "bin/mntscope"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([python, "-m", "compileall", "-q", packages / "mntscope"], check=True, env=environment)
    mntscope.write_text(START.format(python=python))
    mntscope.chmod(0o755)
    return Installed(str(python), str(mntscope))
