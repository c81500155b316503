"""Whom a cgroup names, and whom a mount namespace belongs to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mntscope.analysis.owners import owner_of, owner_of_namespace
from mntscope.model import Hold, Mount, Owner, Process
from mntscope.parse import parse_mountinfo
from tests.support.corpus import CORPUS, OWN
from tests.support.tables import hostile_mounts

ID = "ba0c71d6dd7f" + "0" * 52
OTHER = "f" * 64
UID = "fd52ef25-a87d-11e9-9423-0800271a638e"
SLICE = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + UID.replace("-", "_") + ".slice"
USER = "/user.slice/user-1000.slice/user@1000.service"


def oci(kind: str, pod: str = "", number: str = ID) -> Owner:
    return Owner(kind, number, id=number, pod=pod)


CGROUPS: dict[str, Owner | None] = {
    # Docker
    f"/docker/{ID}": oci("docker"),
    f"/docker/{ID}.scope": oci("docker"),
    f"/system.slice/docker-{ID}.scope": oci("docker"),
    f"/docker-ce/docker/{ID}": oci("docker"),
    f"/actions_job/{ID}": oci("docker"),
    f"/docker/{OTHER}/docker/{ID}": oci("docker"),
    f"{USER}/user.slice/docker-{ID}.scope": oci("docker"),
    f"/docker/{ID} (deleted)": oci("docker"),
    "/docker/not-an-id": None,
    f"/docker/{ID[:-1]}": None,
    f"/docker/{ID}.suffix": None,
    "/docker/": None,
    # Kubernetes
    f"/kubepods/besteffort/pod{UID}/{ID}": oci("kubernetes", UID),
    f"/kubepods/pod{UID}/{ID}/kube-proxy": oci("kubernetes", UID),
    f"/kubepods/kubepods/besteffort/pod{UID}/15aa6e53-b09a-40c7-8558-c6c31e36c88a": oci(
        "kubernetes", UID, "15aa6e53-b09a-40c7-8558-c6c31e36c88a"
    ),
    f"/kubepods/burstable/pod{UID}/": Owner("kubernetes", UID, pod=UID),
    f"{SLICE}/docker-{ID}.scope": oci("docker", UID),
    f"{SLICE}/cri-containerd-{ID}.scope": oci("containerd", UID),
    f"{SLICE}/crio-{ID}.scope": oci("cri-o", UID),
    f"{SLICE}/crio-{ID}.scope/container": oci("cri-o", UID),
    f"{SLICE}/crio-conmon-{ID}.scope": Owner("kubernetes", UID, pod=UID),
    f"/system.slice/containerd.service/kubepods-besteffort-pod{UID}.slice:cri-containerd:{ID}": oci("containerd", UID),
    f"/kubepods.slice/kubepods-burstable-pod{'1f' * 16}.slice/cri-containerd-{ID}.scope": oci("containerd", "1f" * 16),
    "/kubepods.slice/kubepods-burstable.slice/": None,
    # ECS
    f"/ecs/{UID}/{ID}": oci("ecs"),
    f"/ecs/a-cluster/{'5a' * 16}/{ID}": oci("ecs"),
    f"/ecs/{'03' * 16}/{'03' * 16}-4015103728": oci("ecs", number="03" * 16 + "-4015103728"),
    "/ecs/34dc0b5e626f2c5c4c5170e34b10e765-1234567890": oci(
        "ecs", number="34dc0b5e626f2c5c4c5170e34b10e765-1234567890"
    ),
    # Podman
    f"/machine.slice/libpod-{ID}.scope/container": oci("podman"),
    f"/libpod_parent/libpod-{ID}": oci("podman"),
    f"/machine.slice/machine-libpod_pod_{OTHER}.slice/libpod-{ID}.scope": oci("podman"),
    f"{USER}/user.slice/libpod-{ID}.scope/container": oci("podman"),
    f"/system.slice/web.service/libpod-payload-{ID}": oci("podman"),
    f"/machine.slice/libpod-conmon-{ID}.scope": Owner("unit", f"libpod-conmon-{ID}.scope"),
    # runc, crun, LXC, nspawn, garden
    "/system.slice/runc-web-1.scope": oci("runc", number="web-1"),
    "/system.slice/crun-web-1.scope": oci("crun", number="web-1"),
    "/lxc.payload.web-1/system.slice/cron.service": Owner("lxc", "web-1"),
    "/lxc.payload/web-1": Owner("lxc", "web-1"),
    "/lxc/web-1": Owner("lxc", "web-1"),
    "/lxc.monitor.web-1": None,
    r"/machine.slice/machine-my\x2dtree.scope/payload": Owner("nspawn", "my-tree"),
    r"/machine.slice/machine-\xc5\xbc.scope/payload": Owner("nspawn", "ż"),
    "/machine.slice/systemd-nspawn@tree.service/payload": Owner("nspawn", "tree"),
    r"/machine.slice/machine-qemu\x2d1.scope/libvirt/emulator": Owner("machine", "qemu-1"),
    "/system.slice/garden.service/garden/6f265890-5165-7fab": oci("garden", number="6f265890-5165-7fab"),
    # Snaps, flatpaks
    "/system.slice/snap.lxd.daemon.service": Owner("snap", "lxd"),
    "/app.slice/snap.code.code-9f86d081-884c-4d63.scope": Owner("snap", "code"),
    "/app.slice/snap.code_beta.code.9f86d081-884c-4d63.scope": Owner("snap", "code_beta"),
    "/snap.hello-world": Owner("snap", "hello-world"),
    "/snap./": None,
    "/system.slice/snapd.service": Owner("unit", "snapd.service"),
    "/app.slice/app-flatpak-org.gnome.Maps-4711.scope": Owner("flatpak", "org.gnome.Maps"),
    "/app.slice/flatpak-org.gnome.Maps-4711.scope": Owner("flatpak", "org.gnome.Maps"),
    # Units
    "/system.slice/systemd-udevd.service/udev": Owner("unit", "systemd-udevd.service"),
    "/user.slice/a:b.slice/session-3.scope": Owner("unit", "session-3.scope"),
    "/../../user.slice/user-1000.slice/session-520.scope": Owner("unit", "session-520.scope"),
    "/": None,
    "/../../..": None,
}


@pytest.mark.parametrize("path", CGROUPS)
def test_who_runs_in_a_cgroup(path: str) -> None:
    assert owner_of(f"0::{path}\n") == CGROUPS[path]


def test_a_container_in_any_hierarchy_comes_before_a_pod() -> None:
    assert owner_of(f"9:memory:/kubepods/pod{UID}\n0::{SLICE}/crio-{ID}.scope\n") == oci("cri-o", UID)


def test_a_container_in_any_hierarchy_comes_before_a_unit() -> None:
    text = f"9:name=systemd:/system.slice/docker.service\n4:memory:/docker/{ID}\n0::/\n"
    assert owner_of(text) == oci("docker")


@given(st.text())
def test_any_text_is_taken(text: str) -> None:
    owner_of(text)


# Namespaces


def process(pid: int = 4711, comm: str = "sleep", cgroup: str = "/", start_time: int | None = 100) -> Process:
    return Process(pid, start_time, comm, cgroup=f"0::{cgroup}\n")


def bind(root: str, mount_point: str, fs_type: str = "ext4", super_options: str = "rw") -> Mount:
    [mount] = parse_mountinfo(f"9 1 8:1 {root} {mount_point} rw - {fs_type} none {super_options}\n".encode())
    return mount


def test_the_oldest_process_tells() -> None:
    visitor = process(12, cgroup="/user.slice/session-1.scope", start_time=900)
    init = process(4711, cgroup=f"/docker/{ID}", start_time=100)
    unknown = process(3, start_time=None)
    for order in ([visitor, init, unknown], [unknown, init, visitor]):
        assert owner_of_namespace(order, [], []) == oci("docker")


@pytest.mark.parametrize(
    ("cgroup", "comm", "owner"),
    [
        ("/system.slice/cups.service", "cupsd", Owner("unit", "cups.service")),
        (f"/machine.slice/libpod-conmon-{ID}.scope", "conmon", Owner("conmon", ID, id=ID)),
        (f"/system.slice/crio-conmon-{ID}.scope", "conmon", Owner("conmon", ID, id=ID)),
        # There anybody makes units of any name.
        (
            f"/user.slice/user-1.slice/user@1.service/user.slice/libpod-conmon-{ID}.scope",
            "conmon",
            Owner("unit", f"libpod-conmon-{ID}.scope"),
        ),
        # What a login session's cgroup says of a namespace is where it was made, not whose it is.
        ("/user.slice/user-0.slice/session-1.scope", "sleep", Owner("process", "sleep")),
        ("/user.slice/user-0.slice/session-1.scope", "", Owner("unit", "session-1.scope")),
        ("/init.scope", "systemd", Owner("process", "systemd")),
        ("/", "sleep", Owner("process", "sleep")),
        ("/", "", None),
        ("/demo", "sleep", Owner("cgroup", "demo")),
        ("/k8s.io/pod1", "sleep", Owner("cgroup", "k8s.io/pod1")),
        ("/user.slice", "sleep", Owner("process", "sleep")),
        ("/../../demo", "sleep", Owner("process", "sleep")),
    ],
)
def test_a_namespace_by_its_cgroup(cgroup: str, comm: str, owner: Owner | None) -> None:
    assert owner_of_namespace([process(comm=comm, cgroup=cgroup)], [], []) == owner


def test_only_the_hierarchies_that_systemd_or_a_runtime_manages_name_a_group() -> None:
    text = "9:name=systemd:/\n4:memory:/limits/e5d0\n0::/\n"
    assert owner_of_namespace([Process(7, 1, "sleep", cgroup=text)], [], []) == Owner("process", "sleep")


def test_a_sandbox_is_named_by_what_runs_in_it() -> None:
    supervisor = process(10, "bwrap", "/user.slice/session-1.scope", 5)
    assert owner_of_namespace([process(11), supervisor], [], []) == Owner("bwrap", "sleep")
    assert owner_of_namespace([supervisor], [], []) == Owner("bwrap", "10")
    assert owner_of_namespace([process(10, "firejail"), process(11, start_time=200)], [], []) == Owner(
        "firejail", "sleep"
    )
    flatpak = replace(supervisor, cgroup="0::/app.slice/app-flatpak-org.gnome.Maps-9.scope\n")
    assert owner_of_namespace([flatpak, process(11)], [], []) == Owner("flatpak", "org.gnome.Maps")


@pytest.mark.parametrize(
    ("mounts", "owner"),
    [
        ([(f"/srv/docker/containers/{ID}/hostname", "/etc/hostname")], oci("docker")),
        ([(f"/var/lib/docker/containers/{ID}/hosts", "/etc/hosts")], oci("docker")),
        ([(f"/containers/storage/overlay-containers/{ID}/userdata/hostname", "/etc/hostname")], oci("cri-o")),
        (
            [
                (f"/containers/storage/overlay-containers/{ID}/userdata/hostname", "/etc/hostname"),
                (f"/containers/storage/overlay-containers/{ID}/userdata/.containerenv", "/run/.containerenv"),
            ],
            oci("podman"),
        ),
        ([(f"/csr/vfs-containers/{ID}/userdata/.containerenv", "/run/.containerenv")], oci("podman")),
        ([("/systemd/nspawn/propagate/tree", "/run/host/incoming")], Owner("nspawn", "tree")),
        ([("/var/lib/flatpak/app/org.gnome.Maps/x86_64/stable/0a/files", "/app")], Owner("flatpak", "org.gnome.Maps")),
        ([("/tmp/snap-private-tmp/snap.code/tmp", "/tmp")], Owner("snap", "code")),
        ([(f"/tmp/systemd-private-{'0a' * 16}-a-b@c.service-X1y2Z3/tmp", "/tmp")], Owner("unit", "a-b@c.service")),
        ([(f"/docker/{ID}", "/sys/fs/cgroup/cpu", "cgroup")], oci("docker")),
        # In a pod /etc/hostname is that of the sandbox, which is another container than this.
        (
            [
                (f"/var/lib/kubelet/pods/{UID}/containers/compute/93d6570e", "/dev/termination-log"),
                (f"/var/lib/docker/containers/{ID}/hostname", "/etc/hostname"),
            ],
            Owner("docker", "compute", pod=UID),
        ),
        (
            [
                (f"/containers/storage/overlay-containers/{ID}/userdata/hostname", "/etc/hostname"),
                (f"/ostree/var/lib/kubelet/pods/{UID}/containers/web/354653d0", "/dev/termination-log"),
            ],
            Owner("cri-o", "web", pod=UID),
        ),
        # The host, which lists the mounts of containers.
        ([(f"/containers/{ID}/hostname", "/var/lib/docker/rootfs/etc/hostname"), ("/", "/tmp")], None),
    ],
)
def test_a_namespace_by_its_mounts(mounts: Sequence[tuple[str, ...]], owner: Owner | None) -> None:
    table = [bind(*fields) for fields in mounts]
    assert owner_of_namespace([], [], table) == owner
    assert owner_of_namespace([process(cgroup="/../..")], [], table) == (owner or Owner("process", "sleep"))


@pytest.mark.parametrize(
    ("upper", "kind"),
    [
        ("/var/lib/docker/overlay2/0a0b/diff", "docker"),
        ("/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/2/fs", "containerd"),
        ("/var/lib/containers/storage/overlay/0a0b/diff", "podman"),
    ],
)
def test_layers_tell_the_runtime_and_the_cgroup_or_the_process_the_name(upper: str, kind: str) -> None:
    root = bind("/", "/", "overlay", f"rw,lowerdir=/l,upperdir={upper}")
    assert owner_of_namespace([process(cgroup="/default/web")], [], [root]) == Owner(kind, "web")
    assert owner_of_namespace([process()], [], [root]) == Owner(kind, "sleep")


def test_a_namespace_by_what_holds_it() -> None:
    snap = Hold("mount", "/run/snapd/ns/code_beta.mnt", "host")
    assert owner_of_namespace([], [snap], []) == Owner("snap", "code_beta")
    assert owner_of_namespace([], [replace(snap, where="/run/snapd/ns/code.1000.mnt")], []) == Owner("snap", "code")
    assert owner_of_namespace([], [Hold("mount", "/run/kept", "host")], []) is None
    thread = Hold("thread", "4712", process=process(cgroup=f"/docker/{ID}"))
    assert owner_of_namespace([], [thread], []) == oci("docker")
    # Whose descriptor keeps a namespace need not be whose namespace it is.
    assert owner_of_namespace([], [replace(thread, kind="fd")], []) is None


class KnownRuntimes:
    def started(self, process: Process) -> Owner | None:
        return Owner("runc", "demo", id="demo") if process.pid == 4711 else None

    def named(self, owner: Owner) -> Owner:
        return replace(owner, name="web-1") if owner.id == ID else owner


def test_what_runtimes_know_comes_before_guesses() -> None:
    known = KnownRuntimes()
    assert owner_of_namespace([process(cgroup="/demo")], [], [], known) == Owner("runc", "demo", id="demo")
    assert owner_of_namespace([process(7, cgroup="/demo")], [], [], known) == Owner("cgroup", "demo")
    assert owner_of_namespace([process(cgroup=f"/docker/{ID}")], [], [], known) == Owner("docker", "web-1", id=ID)


@given(st.lists(hostile_mounts), st.text(), st.text())
def test_anything_is_taken(mounts: list[Mount], comm: str, cgroup: str) -> None:
    owner_of_namespace([Process(1, None, comm, cgroup=cgroup)], [], mounts)


# Recorded ones


def test_the_recorded_cgroups() -> None:
    recorded = json.loads((CORPUS / "cgroup-formats.json").read_text())["captured_here"]
    kinds = {
        "docker": "docker",
        "docker-v1": "docker",
        "podman-cg-crun-v1nu": "podman",
        "podman-cg-runc-v1nu": "podman",
    }
    kinds |= {"runc-v1": "cgroup", "runc-v2": "cgroup", "misc/lxc": "lxc", "misc/ctr": "cgroup"}
    for name, text in recorded.items():
        for start, kind in kinds.items():
            if name.startswith((f"{start}/", f"{start}-")):
                owner = owner_of_namespace([Process(7, 1, "sleep", cgroup=text)], [], [])
                assert owner is not None
                assert owner.kind == kind, name


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("rt-docker-default-container", "docker ba0c71d6dd7f"),
        ("rt-podman-crun-v2-mountrshared-container", "podman ed986c9330f4"),
        ("rt-ctr-overlay-container", "containerd sleep"),
        ("rt-nspawn-container", "nspawn eco1"),
        ("rt-nspawn-bind-container", "nspawn eco2"),
        ("rt-docker-default-host", "process sleep"),
        ("rt-unshare-slave-container", "process sleep"),
    ],
)
def test_the_recorded_tables(table: str, words: str) -> None:
    mounts = parse_mountinfo(OWN[table].read())
    owner = owner_of_namespace([process()], [], mounts)
    assert str(owner).startswith(words)
