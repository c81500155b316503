"""Isolating what real programs make: unshare, runc, bubblewrap, a chroot in a namespace, a child user namespace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mntscope import MntscopeError, kernel
from mntscope.isolate import Isolation
from tests.isolating import isolated, lines_at, undone
from tests.throwaway import Actor, Host


def need(*programs: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


@contextmanager
def running(host: Host | Actor, *argv: str, comm: str) -> Iterator[int]:
    """A program where a host or an actor lives, until it has a descendant of this name: its pid."""
    words = ["nsenter", "--mount", "--target", str(host.pid), "--", *argv]
    program = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    try:
        yield waited_for(lambda: descendant(program.pid, comm))
    finally:
        for pid in reversed([program.pid, *descendants(program.pid)]):
            os.kill(pid, 9)
        program.wait()


def descendants(pid: int) -> list[int]:
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(child), *descendants(int(child))]
    return found


def descendant(pid: int, comm: str) -> int | None:
    matching = (child for child in descendants(pid) if Path(f"/proc/{child}/comm").read_text().strip() == comm)
    return next(matching, None)


def waited_for(look: Callable[[], int | None]) -> int:
    for _ in range(500):
        found = look()
        if found is not None:
            return found
        time.sleep(0.01)
    raise AssertionError("it did not start")


def processes_seen_by(pid: int, path: str = "/proc") -> int:
    """How many processes the proc at a path of a process lists."""
    names = os.listdir(f"/proc/{pid}/root{path}")
    return sum(name.isdecimal() for name in names)


class Part:
    """A target, isolated and undone: what holds for each of them."""

    def __init__(self, host: Host, pid: int, journal: Path) -> None:
        self.host = host
        self.pid = pid
        self.journal = journal
        self.before = self.tables()

    def tables(self) -> tuple[bytes, bytes]:
        return self.host.mountinfo(), Path(f"/proc/{self.pid}/mountinfo").read_bytes()

    def isolate(self, *paths: str, mount_proc: bool = True) -> Isolation:
        done = isolated(self.host, self.pid, *paths, journal=self.journal, mount_proc=mount_proc)
        assert self.host.mountinfo() == self.before[0], "the host has changed"
        return done

    def leaks(self, path: str) -> bool:
        words = ("diff", self.pid, path, "--against", self.host.pid)
        return self.host.mntscope(*words).returncode == 1

    def undo(self) -> None:
        undone(self.host, self.journal)
        self.journal.unlink()
        assert self.tables() == self.before


def test_unshare(host: Host, tmp_path: Path) -> None:
    need("unshare", "nsenter")
    unshare = ("unshare", "--mount", "--pid", "--fork", "--propagation", "unchanged", "sleep", "1000")
    with running(host, *unshare, comm="sleep") as pid:
        part = Part(host, pid, tmp_path / "journal")
        assert part.leaks("/proc")
        assert [action.operation.op for action in part.isolate().plan.actions] == ["propagation", "mount"]
        assert not part.leaks("/proc")
        assert processes_seen_by(pid) == 1
        part.undo()
        assert part.leaks("/proc")


def test_runc_with_a_bidirectional_volume(host: Host, tmp_path: Path) -> None:
    """As Kubernetes' Bidirectional: what the container mounts in it reaches the host, until it is a slave."""
    need("runc", "busybox", "nsenter")
    bundle, runtime = tmp_path / "bundle", ("runc", "--root", str(tmp_path / "run"))
    for name in ("rootfs/bin", "rootfs/proc", "rootfs/volume", "volume"):
        (bundle / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "", bundle / "rootfs/bin/sleep")
    (bundle / "config.json").write_text(json.dumps(runc_config(str(bundle / "volume"))))
    # runc makes the mount that holds the root filesystem private: the volume is on another one.
    host.call(mount_tmpfs, bundle / "volume")
    name = f"mntscope-test-{os.getpid()}"
    pid_file = tmp_path / "pid"
    enter = ("nsenter", "--mount", "--target", str(host.pid), "--")
    start = [*enter, *runtime, "run", "--detach", "--bundle", str(bundle), "--pid-file", str(pid_file), name]
    with (tmp_path / "log").open("w") as log:
        started = subprocess.run(start, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
    if started.returncode:
        pytest.skip(f"runc cannot run containers here: {(tmp_path / 'log').read_text().strip()[-200:]}")
    try:
        pid = int(pid_file.read_text())
        part = Part(host, pid, tmp_path / "journal")
        assert part.leaks("/volume")
        done = part.isolate("/volume", mount_proc=False)
        assert [action.operation.to_dict()["type"] for action in done.plan.actions] == ["slave"]
        assert not part.leaks("/volume")
        part.undo()
        own = part.isolate("/proc")
        assert not own.plan.actions, "its proc is its own already"
    finally:
        subprocess.run([*enter, *runtime, "delete", "--force", name], check=True)


def mount_tmpfs(path: Path) -> None:
    kernel.mount("volume", str(path), "tmpfs", 0)


def runc_config(volume: str) -> dict[str, object]:
    capabilities = ["CAP_KILL"]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": ["/bin/sleep", "1000"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
        },
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/volume", "type": "bind", "source": volume, "options": ["rbind", "rshared"]},
        ],
        "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}], "resources": {}, "rootfsPropagation": "rshared"},
    }


def test_bubblewrap(host: Host, tmp_path: Path) -> None:
    """Its mounts are slaves, so nothing leaks; the proc it was not asked for can be given to it."""
    need("bwrap", "nsenter")
    with running(host, "bwrap", "--bind", "/", "/", "--unshare-pid", "sleep", "1000", comm="sleep") as pid:
        part = Part(host, pid, tmp_path / "journal")
        assert not part.leaks("/proc")
        assert [action.operation.op for action in part.isolate().plan.actions] == ["mount"]
        assert processes_seen_by(pid) == 2
        part.undo()


def test_a_chroot_inside_a_namespace(host: Host, tmp_path: Path) -> None:
    """The proc goes to the target's root; the mount that leaks is one that it does not even see."""
    jail = tmp_path / "jail"
    (jail / "proc").mkdir(parents=True)
    target = host.unshare("unchanged", lambda: os.chroot(jail), new_pids=True)
    part = Part(host, target.pid, tmp_path / "journal")
    assert b" /proc " not in part.before[1]
    done = part.isolate()
    assert done.plan.paths == (str(jail / "proc"),)
    assert [(action.operation.op, action.path) for action in done.plan.actions] == [
        ("propagation", "/"),
        ("mount", str(jail / "proc")),
    ]
    assert processes_seen_by(target.pid) == 1
    assert not lines_at(host, str(jail / "proc"))
    part.undo()


def test_a_child_user_namespace(host: Host, tmp_path: Path) -> None:
    need("unshare", "nsenter")
    unshare = ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "sleep", "1000")
    with running(host, *unshare, comm="sleep") as pid:
        part = Part(host, pid, tmp_path / "journal")
        done = part.isolate()
        assert [action.operation.op for action in done.plan.actions] == ["mount"]
        assert processes_seen_by(pid) == 1
        part.undo()


def test_a_child_user_namespace_whose_proc_is_partly_covered(host: Host, tmp_path: Path) -> None:
    """The kernel does not let it have a proc in which the covered part would show."""
    need("unshare", "nsenter")
    parent = host.unshare("private", lambda: kernel.mount("none", "/proc/fs", "tmpfs", 0))
    unshare = ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "sleep", "1000")
    with running(parent, *unshare, comm="sleep") as pid:
        before = Path(f"/proc/{pid}/mountinfo").read_bytes()
        with pytest.raises(MntscopeError, match="locked mounts cover a part of the one it has"):
            isolated(host, pid, journal=tmp_path / "journal", mount_proc=True)
        assert Path(f"/proc/{pid}/mountinfo").read_bytes() == before
