"""Many at once, while somebody mounts and unmounts on the host: nothing leaks, nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from mntscope.isolate.journal import Journal
from mntscope.kernel import syscalls
from tests.support.features import SET_GROUP, needs
from tests.support.isolating import leaking, lines_at, undone
from tests.support.throwaway import Host

MANY = int(os.environ.get("MNTSCOPE_MANY", "12"))
"""How many at once: the suite has no time for the 200 that it also does."""

EMULATED = 1.0
"""Seconds to start, from which on a machine is taken to be an emulated one."""


def at_once() -> tuple[int, float]:
    """How many, and the seconds between two changes of the host's mounts: fewer of both where all takes long."""
    begun = time.monotonic()
    subprocess.run([sys.executable, "-m", "mntscope", "--version"], stdout=subprocess.DEVNULL, check=True)
    if time.monotonic() - begun > EMULATED:
        return MANY // 4, 10.0
    return MANY, 1.0 if MANY < 50 else 2.5


def busy(pause: float) -> None:
    """Mounts and unmounts on the host, for ever; what it mounts reaches every namespace that is a peer."""
    if os.fork() == 0:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        while True:
            syscalls.mount("busy", "/mnt", "tmpfs", 0)
            time.sleep(pause)
            syscalls.umount2("/mnt", syscalls.MNT_DETACH)
            time.sleep(pause)


@needs(SET_GROUP)
def test_many_at_once_on_a_busy_host(host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many, pause = at_once()
    targets = [leaking(host) for _ in range(many)]
    before = host.mountinfo()
    first = {target.pid: host.mountinfo(target) for target in targets}
    busybody = host.spawn(lambda: busy(pause))
    begun = time.monotonic()
    started = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "mntscope", "isolate", str(target.pid), "--mount-proc"),
                *("--against", str(host.pid), "--journal", str(tmp_path / str(target.pid))),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for target in targets
    ]
    ended = [(*process.communicate(), process.returncode) for process in started]
    took = time.monotonic() - begun
    host.kill(busybody)
    if lines_at(host, "/mnt"):
        host.call(syscalls.umount2, "/mnt", syscalls.MNT_DETACH)
    assert [code for _, _, code in ended] == [0] * many, ended
    attempts = Counter("attempt" in out for out, _, _ in ended)
    with capsys.disabled():
        sys.stdout.write(f"\n{many} at once: {took:.1f} s, {attempts[True]} of them in more than one attempt\n")
    assert host.mountinfo() == before, "something has leaked to the host"
    for target in targets:
        shown = [line.split(" - ")[0].split(" ")[6:] for line in lines_at(host, "/proc", target)]
        assert shown[-2:] == [[], []]
        journal = Journal.read(str(tmp_path / str(target.pid)))
        assert (journal.state, [entry.state for entry in journal.entries]) == ("applied", ["done", "done"])
    assert sorted(os.listdir(tmp_path)) == sorted(str(target.pid) for target in targets)
    for target in targets:
        undone(host, tmp_path / str(target.pid))
    assert {target.pid: host.mountinfo(target) for target in targets} == first
