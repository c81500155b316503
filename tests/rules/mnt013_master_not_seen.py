"""A slave whose master was unmounted while a descriptor keeps its group, and one whose master is still there."""

from __future__ import annotations

import os

from mntscope.kernel import syscalls
from mntscope.rules import Finding
from mntscope.snapshot import Snapshot
from tests.support.rule_cases import Case, Scene, quiet, tables


def slave(scene: Scene, *, unmounted: bool) -> Snapshot:
    """A namespace in which a mount is the slave of another, of which a descriptor has a copy."""
    master, copy = scene.path / "master", scene.path / "copy"
    for directory in (master, copy):
        directory.mkdir()

    def set_up() -> None:
        syscalls.mount("volume", str(master), "tmpfs", 0)
        syscalls.mount(None, str(master), None, syscalls.MS_SHARED)
        syscalls.mount(str(master), str(copy), None, syscalls.MS_BIND)
        syscalls.mount(None, str(copy), None, syscalls.MS_SLAVE)
        # As long as the process lives: a tree in no namespace, and a member of the group.
        os.set_inheritable(syscalls.open_tree(syscalls.AT_FDCWD, str(master), syscalls.OPEN_TREE_CLONE), True)
        if unmounted:
            syscalls.umount2(str(master), 0)

    return scene.seen(scene.machine.unshare("private", set_up))


def out_of_sight(scene: Scene) -> Snapshot:
    return slave(scene, unmounted=True)


def in_sight(scene: Scene) -> Snapshot:
    return slave(scene, unmounted=False)


def names_the_slave(findings: list[Finding], _snapshot: Snapshot) -> None:
    (finding,) = findings
    assert (finding.severity, finding.confidence) == ("low", "possible")
    (member,) = finding.evidence.mounts
    assert member.mount.mount_point == finding.path
    assert finding.path is not None
    assert finding.path.endswith("/copy")


def a_container_alone(_scene: Scene) -> Snapshot:
    """A container's table without that of whoever it receives from."""
    return tables("20 1 8:1 / / rw - ext4 /dev/sda1 rw", web="40 1 0:9 / / rw master:7\n41 40 0:8 / /data rw master:8")


CASES = (
    Case("unmounted", out_of_sight, in_sight, live=True, check=names_the_slave),
    Case("alone", a_container_alone, quiet),
)
