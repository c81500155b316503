"""A directory is covered: over a mount that is the host's peer, and over one that was made private before."""

from __future__ import annotations

import os

from mntscope.kernel import syscalls
from mntscope.rules import Finding
from mntscope.snapshot import Snapshot
from tests.support import scenes
from tests.support.rule_cases import Case, Scene


def covered(scene: Scene, *, private_before: bool) -> Snapshot:
    """A namespace that has a volume of the host, and hides the directory it is in."""
    base = scenes.volume(scene.machine, scene.path / "base")
    volume = base / "directory" / "volume"
    scene.machine.call(os.makedirs, str(volume))
    scene.machine.call(syscalls.mount, "volume", str(volume), "tmpfs", 0)

    def cover() -> None:
        syscalls.mount(None, str(base), None, syscalls.MS_PRIVATE)
        if private_before:
            syscalls.mount(None, str(volume), None, syscalls.MS_PRIVATE)
        syscalls.mount("cover", str(volume.parent), "tmpfs", 0)

    return scene.seen(scene.machine.unshare("unchanged", cover))


def still_shared(scene: Scene) -> Snapshot:
    return covered(scene, private_before=False)


def made_private(scene: Scene) -> Snapshot:
    return covered(scene, private_before=True)


def reached_from_above(findings: list[Finding], _snapshot: Snapshot) -> None:
    (finding,) = findings
    assert finding.path is not None
    assert finding.path.endswith("/directory/volume")
    assert "private mount" in finding.message
    hidden, seen, *hosts = finding.evidence.mounts
    assert (hidden.mount.source, seen.mount.source) == ("volume", "cover")
    assert [member.label for member in hosts] == ["host"]
    # Uncovered, a mount there would be on the host.
    assert [(effect.namespace, effect.path) for effect in finding.evidence.effects] == [("host", finding.path)]
    (command,) = finding.commands
    assert (command[0], command[-2]) == ("mount", "--make-rslave")
    assert finding.path.startswith(command[-1] + "/")


CASES = (Case("a volume", still_shared, made_private, live=True, check=reached_from_above),)
