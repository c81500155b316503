"""Isolating what real programs make: unshare, runc, bubblewrap, a chroot in a namespace, a child user namespace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mntscope import MntscopeError
from mntscope.isolate import Isolation
from mntscope.kernel import syscalls
from tests.support.isolating import isolated, lines_at, mount_of, undone
from tests.support.scenes import Bind, program, runc, volume
from tests.support.throwaway import Host


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
    unshare = ("unshare", "--mount", "--pid", "--fork", "--propagation", "unchanged", "sleep", "1000")
    with program(host, *unshare, comm="sleep") as target:
        part = Part(host, target.pid, tmp_path / "journal")
        assert part.leaks("/proc")
        assert [action.operation.op for action in part.isolate().plan.actions] == ["propagation", "mount"]
        assert not part.leaks("/proc")
        assert processes_seen_by(target.pid) == 1
        part.undo()
        assert part.leaks("/proc")


def test_runc_with_a_bidirectional_volume(host: Host, tmp_path: Path) -> None:
    """As Kubernetes' Bidirectional: what the container mounts in it reaches the host, until it is a slave."""
    # runc makes the mount that holds the root filesystem private: the volume is on another one.
    binds: list[Bind] = [(volume(host, tmp_path / "volume"), "/volume", "rshared")]
    with runc(host, tmp_path, "web", rootfs_propagation="shared", binds=binds) as container:
        part = Part(host, container.pid, tmp_path / "journal")
        assert part.leaks("/volume")
        done = part.isolate("/volume", mount_proc=False)
        assert [action.operation.to_dict()["type"] for action in done.plan.actions] == ["slave"]
        assert not part.leaks("/volume")
        part.undo()
        own = part.isolate("/proc")
        assert not own.plan.actions, "its proc is its own already"


def test_bubblewrap(host: Host, tmp_path: Path) -> None:
    """Its mounts are slaves, so nothing leaks; the proc it was not asked for can be given to it."""
    with program(host, "bwrap", "--bind", "/", "/", "--unshare-pid", "sleep", "1000", comm="sleep") as target:
        part = Part(host, target.pid, tmp_path / "journal")
        assert not part.leaks("/proc")
        assert [action.operation.op for action in part.isolate().plan.actions] == ["mount"]
        assert processes_seen_by(target.pid) == 2
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
        ("propagation", mount_of(host, tmp_path)),
        ("mount", str(jail / "proc")),
    ]
    assert processes_seen_by(target.pid) == 1
    assert not lines_at(host, str(jail / "proc"))
    part.undo()


def test_a_child_user_namespace(host: Host, tmp_path: Path) -> None:
    unshare = ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "sleep", "1000")
    with program(host, *unshare, comm="sleep") as target:
        part = Part(host, target.pid, tmp_path / "journal")
        done = part.isolate()
        assert [action.operation.op for action in done.plan.actions] == ["mount"]
        assert processes_seen_by(target.pid) == 1
        part.undo()


def test_a_child_user_namespace_whose_proc_is_partly_covered(host: Host, tmp_path: Path) -> None:
    """The kernel does not let it have a proc in which the covered part would show."""
    parent = host.unshare("private", lambda: syscalls.mount("none", "/proc/fs", "tmpfs", 0))
    unshare = ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "sleep", "1000")
    with program(parent, *unshare, comm="sleep") as target:
        before = Path(f"/proc/{target.pid}/mountinfo").read_bytes()
        with pytest.raises(MntscopeError, match="locked mounts cover a part of the one it has"):
            isolated(host, target.pid, journal=tmp_path / "journal", mount_proc=True)
        assert Path(f"/proc/{target.pid}/mountinfo").read_bytes() == before
