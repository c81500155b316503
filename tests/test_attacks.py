"""What an unprivileged user, a container or a file from elsewhere can do to root's mntscope, tried on it.

Each script in ``tests/data/attacks`` is one kind of attack, made in namespaces of its own. It ends with 0 where
mntscope withstands it, and says otherwise what went wrong. ``LIMIT=60`` gives each command more seconds, on a slow
machine.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mntscope.errors import MntscopeError
from mntscope.kernel.proc_context import context_from_inside
from tests.support.repository import DATA
from tests.support.throwaway import Host

SCRIPTS = sorted(DATA.glob("attacks/[0-9]*.sh"))

NEEDED = ("cc", "setpriv", "strace")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
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


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory in which everybody may look around."""
    with tempfile.TemporaryDirectory() as path:
        os.chmod(path, 0o755)
        yield Path(path)


@pytest.mark.parametrize("mode", ["userns", "ptracecap"])
def test_who_lies_in_wait_for_what_comes_inside_finds_nothing(host: Host, open_path: Path, mode: str) -> None:
    """On kernels before 6.18 somebody has to be born in there, to make a proc: the attacker of 07 waits for him.

    It is the root of a user namespace that root made, or has CAP_SYS_PTRACE; that one gets hold of him now and then.
    """
    if missing := [name for name in NEEDED if shutil.which(name) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    attacks = DATA / "attacks"
    subprocess.run(["cc", "-O1", "-static", "-o", open_path / "attack", attacks / "attack.c"], check=True)
    secret = open_path / "secret"
    secret.write_text("secret of the host\n")
    secret.chmod(0o600)
    words = [sys.executable, attacks / "container.py", mode, str(secret).lstrip("/"), "60", open_path / "attack"]
    with subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as lair:
        attacker = wait_for("attack", lair.pid)
        pids = os.open(f"/proc/{attacker}/ns/pid", os.O_RDONLY)
        try:
            for _ in range(8):
                # Taken over, he sends nothing; that he is waited for is no longer than a moment.
                with suppress(MntscopeError):
                    os.close(context_from_inside(pids))
        finally:
            os.close(pids)
            os.kill(attacker, signal.SIGTERM)
        found, _ = lair.communicate(timeout=60)
    assert "secret of the host" not in found
    # What he holds, where he was got hold of, is a socket.
    held = re.findall(r"fd \d+ -> (\S+)", found)
    assert {each.partition(":")[0] for each in held} <= {"socket", "anon_inode"}, found


def wait_for(comm: str, ancestor: int) -> int:
    """The process of that name below another one."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        pending = [ancestor]
        while pending:
            pid = pending.pop()
            with suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text() == f"{comm}\n":
                    return pid
                pending += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        time.sleep(0.02)
    pytest.fail(f"no {comm}")
