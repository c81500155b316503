"""A volume that the host mounts nosuid and nodev, in a container with these flags and without."""

from __future__ import annotations

import os

from mntscope.kernel import syscalls
from mntscope.rules import Finding
from mntscope.snapshot import Snapshot
from tests.support import scenes
from tests.support.rule_cases import Case, Scene
from tests.support.throwaway import in_fork


def container(scene: Scene, *, remounted: bool) -> Snapshot:
    """A container with the volume: as it is bound, or remounted as runtimes do to change one flag."""
    volume = scene.path / "volume"
    volume.mkdir()
    scene.machine.call(syscalls.mount, "volume", str(volume), "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV)
    binds: list[scenes.Bind] = [(volume, "/volume", "rprivate")]
    web = scene.stack.enter_context(scenes.runc(scene.machine, scene.path, "web", binds=binds))

    def remount() -> None:
        syscalls.setns(os.open(f"/proc/{web.pid}/ns/mnt", os.O_RDONLY), syscalls.CLONE_NEWNS)
        syscalls.mount(None, "/volume", None, syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_NOEXEC)

    if remounted:
        in_fork(remount)
    return scene.seen(web)


def without(scene: Scene) -> Snapshot:
    return container(scene, remounted=True)


def bound(scene: Scene) -> Snapshot:
    return container(scene, remounted=False)


def names_the_flags(findings: list[Finding], _snapshot: Snapshot) -> None:
    (finding,) = findings
    assert (finding.severity, finding.path) == ("medium", "/volume")
    assert "without nosuid, nodev," in finding.message
    (command,) = finding.commands
    assert command[-2].startswith("remount,bind,rw,noexec,")
    assert command[-2].endswith(",nosuid,nodev")


CASES = (Case("a volume", without, bound, live=True, check=names_the_flags),)
