"""A container with a volume that is shared both ways, and with one that only receives."""

from __future__ import annotations

from typing import Literal

from mntscope.model import Namespace, Owner
from mntscope.rules import Finding
from mntscope.snapshot import Snapshot
from tests.support import scenes
from tests.support.rule_cases import Case, Scene, quiet, tables
from tests.support.tables import view

HOST = """20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
21 20 0:9 / /srv/data rw shared:7 - tmpfs data rw"""
CONTAINER = "40 1 0:40 / / rw - overlay overlay rw\n41 40 {volume}"


def container(volume: str) -> Snapshot:
    """A container of a runtime with one volume."""
    web = view("web", CONTAINER.format(volume=volume), namespace=Namespace(owner=Owner("docker", "web", "0" * 64)))
    return tables(HOST, web=web)


def rshared(scene: Scene) -> Snapshot:
    return running(scene, "rshared")


def rslave(scene: Scene) -> Snapshot:
    return running(scene, "rslave")


def running(scene: Scene, propagation: Literal["rshared", "rslave"]) -> Snapshot:
    """A container of runc with a volume."""
    volume = scene.path / "volume"
    scenes.volume(scene.machine, volume)
    container = scenes.runc(
        scene.machine, scene.path, "web", rootfs_propagation="shared", binds=[(volume, "/data", propagation)]
    )
    return scene.seen(scene.stack.enter_context(container))


def names_the_volume(findings: list[Finding], _snapshot: Snapshot) -> None:
    (finding,) = findings
    assert finding.path == "/data"
    assert [path.endswith("/volume") for _, path in finding.evidence.lands_at] == [True]
    assert [command[-2:] for command in finding.commands] == [("--make-slave", "/data")]


def both_ways(_scene: Scene) -> Snapshot:
    return container("0:9 / /data rw shared:7 - tmpfs data rw")


def one_way(_scene: Scene) -> Snapshot:
    return container("0:9 / /data rw master:7 - tmpfs data rw")


def own_cgroups(_scene: Scene) -> Snapshot:
    """As Docker leaves them where cgroups are of version 1: peers, but nothing beyond is reached."""
    cpu = "/sys/fs/cgroup/cpu ro shared:8 - cgroup cgroup rw,cpu"
    return tables(
        f"{HOST}\n22 20 0:29 / {cpu}",
        web=f"40 1 0:40 / / rw - overlay overlay rw\n41 40 0:29 /docker/web {cpu}",
    )


def whole_root(_scene: Scene) -> Snapshot:
    """The worst: all of the host."""
    return container("8:1 / /host rw shared:1 - ext4 /dev/sda1 rw")


def critical(findings: list[Finding], _snapshot: Snapshot) -> None:
    assert [finding.severity for finding in findings] == ["critical"]


CASES = (
    Case("runc", rshared, rslave, live=True, check=names_the_volume),
    Case("docker", both_ways, one_way),
    Case("cgroups", both_ways, own_cgroups),
    Case("the host's root", whole_root, quiet, check=critical),
)
