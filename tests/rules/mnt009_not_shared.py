"""Hosts whose mounts are private, and shared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mntscope.kernel import syscalls
from mntscope.model import Process
from mntscope.rules import Finding
from mntscope.snapshot import Snapshot
from tests.support.rule_cases import Case, Scene, quiet, tables
from tests.support.tables import view


def node(scene: Scene, propagation: int) -> Snapshot:
    """A host on which something called kubelet runs."""

    def set_up() -> None:
        syscalls.mount("lib", "/var/lib", "tmpfs", 0)
        Path("/var/lib/kubelet").mkdir()
        syscalls.mount(None, "/", None, syscalls.MS_REC | propagation)

    scene.machine.call(set_up)
    return scene.seen(scene.machine.spawn(lambda: Path("/proc/self/comm").write_text("kubelet")))


def private_node(scene: Scene) -> Snapshot:
    return node(scene, syscalls.MS_PRIVATE)


def shared_node(scene: Scene) -> Snapshot:
    return node(scene, syscalls.MS_SHARED)


def binds_kubelet_first(findings: list[Finding], _snapshot: Snapshot) -> None:
    finding, root = findings
    assert (finding.path, finding.severity) == ("/var/lib/kubelet", "high")
    assert (root.path, root.severity) == ("/", "low")
    kubelet = "/var/lib/kubelet"
    assert finding.commands == (("mount", "--rbind", kubelet, kubelet), ("mount", "--make-rshared", kubelet))


def private_root(_scene: Scene) -> Snapshot:
    return tables("20 1 8:1 / / rw - ext4 /dev/sda1 rw")


def other_init(_scene: Scene) -> Snapshot:
    """Where systemd did not start the machine, `/` is private as the kernel leaves it."""
    machine = private_root(_scene)
    host = replace(machine.host, process=Process(1, comm="init", pid_namespace=machine.host.proc_pid_namespace))
    return machine.with_views([host])


def systemd_in_a_container(_scene: Scene) -> Snapshot:
    """There it leaves the mounts as they are."""
    machine = private_root(_scene)
    return machine.with_views([replace(machine.host, process=Process(1, comm="systemd", pid_namespace=4026532001))])


def with_dockerd(root: str) -> Snapshot:
    """Init is called as it likes, and dockerd is a second process of the same namespace."""
    machine = tables(root)
    host = replace(machine.host, process=Process(1, comm="init", pid_namespace=machine.host.proc_pid_namespace))
    daemon = replace(machine.host, label="90", process=Process(90, comm="dockerd"), proc_pid_namespace=None)
    return machine.with_views([host, daemon])


def private_under_dockerd(_scene: Scene) -> Snapshot:
    return with_dockerd("20 1 8:1 / / rw - ext4 /dev/sda1 rw")


def shared_under_dockerd(_scene: Scene) -> Snapshot:
    return with_dockerd("20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw")


def names_the_runtime(findings: list[Finding], _snapshot: Snapshot) -> None:
    (finding,) = findings
    assert (finding.path, finding.severity) == ("/", "low")
    assert "dockerd runs there" in finding.message


def table_alone(*below: str) -> Snapshot:
    """A mountinfo file and no more."""
    table = "\n".join(("20 1 8:1 / / rw - ext4 /dev/sda1 rw", *below))
    return Snapshot((view("host", table),), "host")


def with_containers(_scene: Scene) -> Snapshot:
    task = "/run/containerd/io.containerd.runtime.v2.task/k8s.io/1"
    return table_alone(f"21 20 0:50 / {task}/rootfs rw - overlay overlay rw")


def without_containers(_scene: Scene) -> Snapshot:
    """A live system has its root from an overlay, and of Podman is there what it leaves behind."""
    return table_alone(
        "21 20 0:50 / /media/root rw - overlay overlay rw",
        "22 20 8:1 /var/lib/containers/storage/overlay /var/lib/containers/storage/overlay rw - ext4 /dev/sda1 rw",
    )


def private_kubelet(_scene: Scene) -> Snapshot:
    """A disk of its own for kubelet, mounted by a script."""
    return tables("""20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
        21 20 8:2 / /var/lib/kubelet rw - ext4 /dev/sda2 rw
        22 21 0:30 / /var/lib/kubelet/pods/1/volumes/x rw - tmpfs tmpfs rw""")


def private_store(_scene: Scene) -> Snapshot:
    """What runtimes keep private on purpose."""
    return tables("""20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
        21 20 8:1 /var/lib/docker /var/lib/docker rw - ext4 /dev/sda1 rw
        22 20 8:1 /var/lib/containers/storage/overlay /var/lib/containers/storage/overlay rw - ext4 /dev/sda1 rw""")


CASES = (
    Case("a node", private_node, shared_node, live=True, check=binds_kubelet_first),
    Case("systemd", private_root, quiet),
    Case("another init", private_root, other_init),
    Case("systemd in a container", private_root, systemd_in_a_container),
    Case("a runtime under any init", private_under_dockerd, shared_under_dockerd, check=names_the_runtime),
    Case("a table with containers", with_containers, without_containers),
    Case("kubelet's disk", private_kubelet, private_store),
)
