"""Namespaces that a mount or a descriptor keeps, alone and with a process in them."""

from __future__ import annotations

import os
from dataclasses import replace

from mntscope.kernel import syscalls
from mntscope.live import capture
from mntscope.model import Hold, Namespace
from mntscope.rules import Finding
from mntscope.snapshot import Snapshot
from tests.rules.mnt008_pinned_host_mount import disk
from tests.support import scenes
from tests.support.rule_cases import Case, Scene, quiet
from tests.support.tables import view


def everything(scene: Scene, inode: int) -> Snapshot:
    """A capture of the whole machine, of which the host and one namespace are kept: others are other tests'."""

    def look() -> Snapshot:
        snapshot = scene.machine.call(capture)
        mine = [view for view in snapshot.views if view is snapshot.host or view.namespace.inode == inode]
        return replace(snapshot.with_views(mine), not_seen=())

    scene.look_again = look
    return look()


def kept_by_mount(scene: Scene) -> Snapshot:
    """What `unshare --mount=FILE true` leaves."""
    return everything(scene, scenes.held_by_mount(scene.machine, scene.path / "pins" / "kept"))


def kept_by_fd(scene: Scene) -> Snapshot:
    return everything(scene, scenes.held_by_fd(scene.machine).inode)


def keeps_a_disk(scene: Scene) -> Snapshot:
    """It has private copies of what the host had mounted."""
    disk(scene.machine, scene.path)
    return everything(scene, scenes.held_by_mount(scene.machine, scene.path / "pins" / "kept"))


def lived_in(scene: Scene) -> Snapshot:
    """Its file is mounted, and a process lives there."""
    path = scene.path / "pins" / "kept"
    inode = scenes.held_by_mount(scene.machine, path)

    def enter() -> None:
        syscalls.setns(os.open(path, os.O_RDONLY), syscalls.CLONE_NEWNS)

    scene.machine.spawn(enter)
    return everything(scene, inode)


def harmless(findings: list[Finding], _snapshot: Snapshot) -> None:
    (finding,) = findings
    assert finding.severity == "low"


def by_its_file(findings: list[Finding], _snapshot: Snapshot) -> None:
    (finding,) = findings
    assert finding.severity == "low"
    assert "/pins/kept" in finding.message
    (command,) = finding.commands
    assert command[0] == "umount"
    assert command[1].endswith("/pins/kept")


def in_use_for_ever(findings: list[Finding], _snapshot: Snapshot) -> None:
    (finding,) = findings
    assert finding.severity == "medium"
    assert "/disk" in finding.message
    assert finding.evidence.mounts


def a_snap(scene: Scene) -> Snapshot:
    """What snapd keeps of a snap that does not run."""
    namespace = Namespace(inode=4026532999, holds=(Hold("mount", "/run/snapd/ns/hello.mnt", "host"),))
    machine = quiet(scene)
    return machine.with_views([*machine.views, view("mnt:[4026532999]", "60 1 7:1 / / ro", namespace=namespace)])


CASES = (
    Case("its file", kept_by_mount, lived_in, live=True, check=by_its_file),
    Case("a descriptor", kept_by_fd, lived_in, live=True, check=harmless),
    Case("a disk", keeps_a_disk, lived_in, live=True, check=in_use_for_ever),
    Case("snapd's", kept_by_mount, a_snap, live=True),
)
