"""Whose proc goes into a mount namespace in which processes of several PID namespaces live."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mntscope import RefusedError
from mntscope.isolate.residents import Resident, rightful
from mntscope.kernel import syscalls
from tests.support.isolating import isolated, undone
from tests.support.scenes import program
from tests.support.throwaway import Host

HOST, INNER, DEEPER = 1, 2, 3


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


# Who is right


@pytest.mark.parametrize(
    ("residents", "pid_namespace", "depth", "right"),
    [
        # unshare --pid --fork --mount: the outer one, and its child.
        ([(10, HOST, (10,)), (11, INNER, (11, 1))], HOST, 1, 11),
        ([(10, HOST, (10,)), (11, INNER, (11, 1))], INNER, 2, None),
        # Nobody has a PID namespace of his own.
        ([(10, HOST, (10,)), (11, HOST, (11,))], HOST, 1, None),
        # A pod that shares its PID namespace, whose pid 1 lives elsewhere, and who looks in from the host.
        ([(20, INNER, (20, 7)), (21, INNER, (21, 8)), (30, HOST, (30,))], HOST, 1, 20),
        ([(20, INNER, (20, 7)), (21, INNER, (21, 8)), (30, HOST, (30,))], INNER, 2, None),
        # A container in which somebody has made a PID namespace for a command.
        ([(20, INNER, (20, 1)), (21, DEEPER, (21, 5, 1)), (30, HOST, (30,))], INNER, 2, None),
        ([(20, INNER, (20, 1)), (21, DEEPER, (21, 5, 1)), (30, HOST, (30,))], HOST, 1, 20),
    ],
)
def test_who_is_right(
    residents: list[tuple[int, int, tuple[int, ...]]], pid_namespace: int, depth: int, right: int | None
) -> None:
    found = rightful([Resident(*told) for told in residents], pid_namespace, depth)
    assert (found.pid if found else None) == right


# On the kernel


@pytest.mark.parametrize("more", [[], ["--mount-proc"]])
def test_unshare_itself_is_refused_and_its_child_named(host: Host, tmp_path: Path, more: list[str]) -> None:
    unshare = ["unshare", "--mount", "--pid", "--fork", "--propagation", "unchanged", *more]
    if more:
        # unshare makes only /proc itself private.
        unshare.remove("--propagation")
        unshare.remove("unchanged")
    with program(host, *unshare, "sleep", "1000", comm="sleep") as child:
        outer = parent_of(child.pid)
        before = host.mountinfo(), host.mountinfo(child)
        for dry_run in (True, False):
            with pytest.raises(RefusedError, match=f"than process {child.pid}, .*; name process {child.pid}"):
                isolated(host, outer, journal=tmp_path / "journal", mount_proc=True, dry_run=dry_run)
        assert (host.mountinfo(), host.mountinfo(child)) == before
        # Without a proc, whose PID namespace it is does not matter; and the one that is named is right.
        isolated(host, outer, journal=tmp_path / "1", dry_run=True)
        done = isolated(host, child, journal=tmp_path / "2", mount_proc=True)
        if more:
            assert "/proc shows the target's own processes already" in done.plan.notes
            return
        assert "1" in os.listdir(f"/proc/{child.pid}/root/proc")
        undone(host, tmp_path / "2")
        assert (host.mountinfo(), host.mountinfo(child)) == before


def test_who_entered_the_mount_namespace_alone_is_refused(host: Host, tmp_path: Path) -> None:
    """As ``nsenter --target PID --mount`` does."""
    child = host.unshare("private", lambda: syscalls.mount("proc", "/proc", "proc", 0), new_pids=True)

    def enter() -> None:
        syscalls.setns(syscalls.pidfd_open(child.pid), syscalls.CLONE_NEWNS)

    visitor = host.spawn(enter)
    with pytest.raises(RefusedError, match=f"name process {child.pid}"):
        isolated(host, visitor, journal=tmp_path / "journal", mount_proc=True)


def test_unshare_pid_without_fork_is_refused(host: Host, tmp_path: Path) -> None:
    """Its children will live in a PID namespace that nobody was born in yet."""
    target = host.unshare("unchanged", lambda: syscalls.unshare(syscalls.CLONE_NEWPID))
    # What it sees as proc is the host's: it is covered with another, so that one would have to be mounted.
    with pytest.raises(RefusedError, match=r"its children are born in another PID namespace.*once there is one"):
        isolated(host, target, str(tmp_path), journal=tmp_path / "journal", mount_proc=True)


def test_a_process_of_the_hosts_pid_namespace_in_a_mount_namespace_of_its_own(host: Host, tmp_path: Path) -> None:
    """`unshare --mount` alone: the host's processes are its own, and there is nobody else to name."""
    target = host.unshare("unchanged")
    done = isolated(host, target, str(tmp_path), journal=tmp_path / "journal", mount_proc=True, dry_run=True)
    assert [action.operation.op for action in done.plan.actions] == ["propagation", "mount"]
