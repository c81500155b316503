"""Scenes that people have met and reported, on the real kernel: each is answered rightly."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import DATA

NEEDED = ("losetup", "mkfs.ext4", "nsenter", "unshare")


SCENES = [pytest.param(script, id=script.stem) for script in sorted(DATA.glob("cases/[0-9]*.sh"))]


@pytest.mark.parametrize("script", SCENES)
def test_it_is_answered_rightly(script: Path, namespaces: None, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("the scenes are of root's mntscope, in a host of its own: that takes root")
    if missing := [name for name in NEEDED if shutil.which(name) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    for device, what in (("/dev/fuse", "FUSE"), ("/dev/loop-control", "loop devices")):
        if not os.path.exists(device):
            pytest.skip(f"this kernel has no {what}")
    done = subprocess.run(
        # Whatever happens, its processes are told to end, and it takes its devices away.
        ["timeout", "--kill-after=10", "180", "bash", script],
        cwd=tmp_path,
        # The mntscope that is tested, and the Python that it runs on.
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    said = f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
    assert done.returncode == 0, said
