"""A proc that was mounted in another PID namespace, and propagated or not."""

from __future__ import annotations

from dataclasses import replace

from mntscope.kernel import syscalls
from mntscope.rules import Finding
from mntscope.snapshot import Snapshot
from tests.support.rule_cases import Case, Scene, quiet, tables


def mount_proc() -> None:
    syscalls.mount("proc", "/proc", "proc", 0)


def propagated(scene: Scene) -> Snapshot:
    """`unshare --pid --fork --mount --propagation unchanged`, then `mount -t proc proc /proc`."""
    return scene.seen_from_outside(scene.machine.unshare("unchanged", mount_proc, new_pids=True))


def kept(scene: Scene) -> Snapshot:
    return scene.seen_from_outside(scene.machine.unshare("private", mount_proc, new_pids=True))


def proc_twice(scene: Scene) -> Snapshot:
    """The host's own, mounted once more (as with hidepid=)."""
    scene.machine.call(mount_proc)
    return scene.seen_from_outside()


def uncovered_by_umount(findings: list[Finding], snapshot: Snapshot) -> None:
    (finding,) = findings
    assert (finding.subject, finding.confidence) == (snapshot.host_label, "certain")
    assert finding.commands == (("umount", "--namespace", snapshot.host_label, "/proc"),)


def tables_alone(_scene: Scene) -> Snapshot:
    """Without PID namespaces: the same proc is mounted in a copy of the host's mounts."""
    covered = "21 20 0:5 / /proc rw shared:2 - proc proc rw\n22 21 0:50 / /proc rw shared:9 - proc proc rw"
    machine = tables(
        f"20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n{covered}",
        web="40 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n41 40 0:50 / /proc rw shared:9 - proc proc rw",
    )
    return machine.with_views(replace(view, process=None, proc_pid_namespace=None) for view in machine.views)


CASES = (
    Case("propagated", propagated, kept, live=True, check=uncovered_by_umount),
    Case("twice", propagated, proc_twice, live=True),
    Case("tables alone", tables_alone, quiet),
)
