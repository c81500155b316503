"""What an unprivileged user, a container or a file from elsewhere can do to root's mntscope, tried on it.

Each script in ``tests/data/attacks`` is one kind of attack, made in namespaces of its own; ``tests/data/cases`` holds
scenes in which a dead filesystem stands in the way. Each ends with 0 where mntscope withstands it, and says otherwise
what went wrong. ``LIMIT=60`` gives each command more seconds, on a slow machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DATA = Path(__file__).parent / "data"
SCRIPTS = sorted([*DATA.glob("attacks/[0-9]*.sh"), *DATA.glob("cases/[0-9]*.sh")])

NEEDED = ("cc", "setpriv", "strace")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: f"{script.parent.name}/{script.stem}")
def test_it_is_withstood(script: Path, namespaces: None, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("the attacks are on root's mntscope, in a host of its own: that takes root")
    if missing := [name for name in NEEDED if shutil.which(name) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if not os.path.exists("/dev/fuse"):
        pytest.skip("this kernel has no FUSE")
    # The mntscope that is tested, and the Python that it runs on.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", script],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
