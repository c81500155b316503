"""A volume that the host mounts nosuid and nodev, in a container with these flags and without."""

from __future__ import annotations

import os

from mntscope.kernel import syscalls
from mntscope.model import Namespace, Owner, Process
from mntscope.rules import Finding
from mntscope.snapshot import Snapshot
from tests.support import scenes
from tests.support.rule_cases import Case, Scene, tables
from tests.support.tables import view
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


def sandbox(source: str) -> Snapshot:
    """A pause container, whose /dev/shm is read-only and has no flags."""
    host = f"""20 1 8:1 / / rw - ext4 /dev/sda1 rw
        21 20 0:30 / {source} rw,nosuid,nodev,noexec - tmpfs shm rw"""
    namespace = Namespace(processes=(Process(40),), owner=Owner("containerd", "shop/web", "1f" * 32))
    table = """40 1 0:51 / / rw - overlay overlay rw
        41 40 0:30 / /dev/shm ro - tmpfs shm rw"""
    return tables(host, web=view("40", table, namespace=namespace))


def shm_of_somebody(_scene: Scene) -> Snapshot:
    return sandbox("/srv/shm")


def shm_of_the_sandbox(_scene: Scene) -> Snapshot:
    return sandbox(f"/run/containerd/io.containerd.grpc.v1.cri/sandboxes/{'1f' * 32}/shm")


CASES = (
    Case("a volume", without, bound, live=True, check=names_the_flags),
    Case("/dev/shm", shm_of_somebody, shm_of_the_sandbox),
)
