"""The shared memory of a container that is gone, and of one that has it at its /dev/shm."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mntscope.kernel import syscalls
from mntscope.model import Namespace, Owner, Process
from mntscope.rules import Finding
from mntscope.snapshot import Snapshot
from tests.support import scenes
from tests.support.rule_cases import Case, Scene, tables
from tests.support.tables import view

ID = "5c" * 32
UID = "8b64844f-fe0f-4b2e-9ccc-be229cdfcc98"


def shm(scene: Scene) -> Path:
    return scenes.volume(scene.machine, scene.path / "docker/containers" / ID / "mounts/shm")


def gone(scene: Scene) -> Snapshot:
    """What dockerd leaves when it is killed; a service of systemd received it, as it does everything."""
    shm(scene)
    return scene.seen(scene.machine.unshare("slave"))


def in_use(scene: Scene) -> Snapshot:
    """A namespace has it where containers have it."""
    mount = shm(scene)
    target = scene.path / "dev-shm"
    target.mkdir()

    def bind() -> None:
        syscalls.mount(str(mount), str(target), None, syscalls.MS_BIND)

    return scene.seen(scene.machine.unshare("slave", bind))


def is_unmounted(findings: list[Finding], _snapshot: Snapshot) -> None:
    (finding,) = findings
    assert (finding.severity, finding.confidence, finding.subject) == ("medium", "likely", "host")
    assert finding.commands == (("umount", finding.path),)
    assert ID[:36] in finding.message


HOST = f"""20 1 8:1 / / rw - ext4 /dev/sda1 rw
    21 20 0:50 / /var/lib/kubelet/pods/{UID}/volumes/kubernetes.io~secret/token rw
    22 20 0:51 / /var/lib/docker/overlay2/{ID}/merged rw - overlay overlay rw"""


def with_processes(snapshot: Snapshot) -> Snapshot:
    """A host whose processes are known."""
    host = snapshot.host
    known = replace(host.namespace, processes=(Process(1, cgroup="0::/init.scope\n"),))
    return snapshot.with_views([replace(host, namespace=known), *snapshot.views[1:]])


def a_pod_and_a_layer(_scene: Scene) -> Snapshot:
    """A pod's volume, and a layer that may be mounted on purpose."""
    return with_processes(tables(HOST))


def both_run(_scene: Scene) -> Snapshot:
    """The pod's uid is in a cgroup (with ``_``, as systemd has it); the layer is a container's root."""
    cgroup = f"0::/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/cri-containerd-{ID}.scope\n"
    namespace = Namespace(processes=(Process(40, cgroup=cgroup),), owner=Owner("containerd", "web", "1f" * 32))
    return with_processes(tables(HOST, web=view("40", "40 1 0:51 / / rw - overlay overlay rw", namespace=namespace)))


def one_surer_than_the_other(findings: list[Finding], _snapshot: Snapshot) -> None:
    assert [(finding.severity, finding.key[1]) for finding in findings] == [("medium", "pod"), ("low", "layer")]


def without_processes(_scene: Scene) -> Snapshot:
    """Tables alone: who lives is not known."""
    return tables(HOST)


CASES = (
    Case("a container", gone, in_use, live=True, check=is_unmounted),
    Case("a pod, a layer", a_pod_and_a_layer, both_run, check=one_surer_than_the_other),
    Case("tables alone", a_pod_and_a_layer, without_processes),
)
