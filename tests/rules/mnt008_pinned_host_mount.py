"""A disk of the host in copies of its tree: private ones, and slaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mntscope.kernel import syscalls
from mntscope.rules import Finding
from mntscope.snapshot import Snapshot
from tests.support import scenes
from tests.support.rule_cases import Case, Scene, quiet, tables
from tests.support.throwaway import Host, Mode


def disk(machine: Host, path: Path) -> Path:
    """An ext4 filesystem of the host's, mounted below *path*."""
    scenes.need("mkfs.ext4", "mount")
    image, target = path / "image", path / "disk"
    target.mkdir()
    with image.open("wb") as file:
        file.truncate(1 << 20)
    machine.run(["mkfs.ext4", "-q", image]).check_returncode()
    done = machine.run(["mount", "-o", "loop", image, target])
    if done.returncode:
        pytest.skip(f"no loop device to be had: {done.stderr.strip()}")
    return target


def copied(scene: Scene, propagation: Mode) -> Snapshot:
    disk(scene.machine, scene.path)
    return scene.seen(scene.machine.unshare(propagation))


def private(scene: Scene) -> Snapshot:
    """What `unshare --mount` makes."""
    return copied(scene, "private")


def slave(scene: Scene) -> Snapshot:
    """What `unshare --mount --propagation slave` makes."""
    return copied(scene, "slave")


def agent(scene: Scene) -> Snapshot:
    """A monitoring agent: `docker run -v DIRECTORY:/host`, in which a disk is mounted."""
    target = disk(scene.machine, scene.path)
    binds: list[scenes.Bind] = [(target.parent, "/host", "rprivate")]
    return scene.seen(scene.stack.enter_context(scenes.runc(scene.machine, scene.path, "agent", binds=binds)))


def database(scene: Scene) -> Snapshot:
    """A container that is given the disk itself."""
    target = disk(scene.machine, scene.path)
    binds: list[scenes.Bind] = [(target, "/data", "rprivate")]
    return scene.seen(scene.stack.enter_context(scenes.runc(scene.machine, scene.path, "database", binds=binds)))


def given_back(scene: Scene, propagation: Mode = "private") -> Snapshot:
    """The host has unmounted the disk."""
    target = disk(scene.machine, scene.path)
    actor = scene.machine.unshare(propagation)
    scene.machine.run(["umount", target]).check_returncode()
    return scene.seen(actor)


def went_along(scene: Scene) -> Snapshot:
    """And so has a slave, with it."""
    return given_back(scene, "slave")


def occupied(scene: Scene) -> Snapshot:
    """A slave that has mounted something in the disk, which its copy cannot go from under."""
    target = disk(scene.machine, scene.path)
    scene.machine.call(os.mkdir, target / "inner")
    inner = str(target / "inner")
    return scene.seen(scene.machine.unshare("slave", lambda: syscalls.mount("inner", inner, "tmpfs", 0)))


def kept_after_the_umount(findings: list[Finding], _snapshot: Snapshot) -> None:
    (finding,) = findings
    assert (finding.severity, finding.confidence) == ("medium", "possible")
    assert "which the host does not have mounted at" in finding.message
    assert len(finding.commands) == len(finding.evidence.mounts) == 1


def keeps_the_disk(findings: list[Finding], _snapshot: Snapshot) -> None:
    (finding,) = findings
    assert (finding.severity, finding.confidence) == ("medium", "likely")
    assert finding.path is not None
    assert finding.path.endswith("/disk")
    (command,) = finding.commands
    assert (command[0], command[-1]) == ("umount", finding.path)
    mount, hosts = finding.evidence.mounts
    assert mount.mount.device == hosts.mount.device
    # The umount is predicted to reach nobody.
    assert not finding.evidence.effects


def a_server(_scene: Scene) -> Snapshot:
    """An NFS mount in the copy of a host whose mounts are private, as before systemd."""
    return tables(
        "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n21 20 0:30 / /srv rw - nfs4 server:/srv rw",
        web="40 1 8:1 / / rw - ext4 /dev/sda1 rw\n41 40 0:30 / /srv rw - nfs4 server:/srv rw",
    )


CASES = (
    Case("a copy", private, slave, live=True, check=keeps_the_disk),
    Case("an agent", agent, database, live=True, check=keeps_the_disk),
    Case("given back", given_back, went_along, live=True, check=kept_after_the_umount),
    Case("an occupied slave", occupied, slave, live=True),
    Case("a server", a_server, quiet),
)
