"""What the files of container runtimes tell of a container, on a throwaway machine."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from mntscope.kernel import syscalls
from mntscope.live.containers import Runtimes
from mntscope.model import Owner, Process
from tests.support.throwaway import Scratch

ID = "ba0c71d6" * 8
UID = "fd52ef25-a87d-11e9-9423-0800271a638e"
TASKS = "/run/containerd/io.containerd.runtime.v2.task"
STORAGE = "/var/lib/containers/storage"

CRI = {
    "annotations": {
        "io.kubernetes.cri.sandbox-namespace": "shop",
        "io.kubernetes.cri.sandbox-name": "web-0",
        "io.kubernetes.cri.sandbox-uid": UID,
        "io.kubernetes.cri.container-name": "nginx",
    }
}
KUBELET = {
    "io.container.manager": "cri-o",
    "io.kubernetes.pod.namespace": "shop",
    "io.kubernetes.pod.name": "web-0",
    "io.kubernetes.pod.uid": UID,
    "io.kubernetes.container.name": "nginx",
}


def owner(kind: str, name: str = ID, pod: str = "") -> Owner:
    return Owner(kind, name, id=ID, pod=pod)


def lay_down(files: Mapping[str, object]) -> None:
    """State files, on directories that nothing else is in."""
    for path in ("/run", "/var/lib", "/etc"):
        syscalls.mount("none", path, "tmpfs", 0)
    for path, content in files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.mark.parametrize(
    ("files", "before", "after"),
    [
        ({f"/var/lib/docker/containers/{ID}/config.v2.json": {"Name": "/web"}}, "docker", owner("docker", "web")),
        # Where the daemon was told to keep its data.
        (
            {
                "/etc/docker/daemon.json": {"data-root": "/var/lib/[d]"},
                f"/var/lib/[d]/containers/{ID}/config.v2.json": {"Name": "/web"},
            },
            "docker",
            owner("docker", "web"),
        ),
        (
            {f"/var/lib/docker/containers/{ID}/config.v2.json": {"Name": "/k8s_1", "Config": {"Labels": KUBELET}}},
            "kubernetes",
            owner("docker", "shop/web-0/nginx", UID),
        ),
        ({f"{TASKS}/k8s.io/{ID}/config.json": CRI}, "containerd", owner("containerd", "shop/web-0/nginx", UID)),
        ({f"{TASKS}/k8s.io/{ID}/config.json": CRI}, "kubernetes", owner("containerd", "shop/web-0/nginx", UID)),
        (
            {f"/run/k3s{TASKS[4:]}/k8s.io/{ID}/config.json": CRI},
            "containerd",
            owner("containerd", "shop/web-0/nginx", UID),
        ),
        (
            {f"{TASKS}/default/{ID}/config.json": {"annotations": {"nerdctl/name": "web"}}},
            "containerd",
            owner("containerd", "web"),
        ),
        (
            {f"/run/containers/storage/overlay-containers/{ID}/userdata/config.json": {"annotations": KUBELET}},
            "kubernetes",
            owner("cri-o", "shop/web-0/nginx", UID),
        ),
        (
            {f"{STORAGE}/overlay-containers/containers.json": [{"id": ID, "names": [f"k8s_POD_web-0_shop_{UID}_0"]}]},
            "cri-o",
            owner("cri-o", "shop/web-0", UID),
        ),
        ({f"{STORAGE}/vfs-containers/containers.json": [{"id": ID, "names": ["web"]}]}, "runc", owner("podman", "web")),
        (
            {
                f"{STORAGE}/overlay-containers/{ID}/userdata/config.json": {
                    "annotations": {"io.container.manager": "libpod"}
                },
                f"{STORAGE}/overlay-containers/containers.json": [{"id": ID, "names": ["web", "alias"]}],
            },
            "podman",
            owner("podman", "web"),
        ),
        (
            {f"{STORAGE}/vfs-containers/containers.json": [{"id": ID, "names": ["web"]}]},
            "conmon",
            owner("conmon", "web"),
        ),
        # What is not as it should be tells nothing.
        ({}, "docker", owner("docker")),
        ({f"/var/lib/docker/containers/{ID}/config.v2.json": "{"}, "docker", owner("docker")),
        ({f"/var/lib/docker/containers/{ID}/config.v2.json": {"Name": 3}}, "docker", owner("docker")),
        ({f"{TASKS}/k8s.io/{ID}/config.json": {"annotations": [1]}}, "containerd", owner("containerd")),
        ({f"{STORAGE}/overlay-containers/containers.json": [{"id": 3, "names": [4]}, 5]}, "podman", owner("podman")),
        ({f"/var/lib/docker/containers/{ID}/config.v2.json": '{"Name": "\\ud800"}'}, "docker", owner("docker", "?")),
    ],
)
def test_the_name_of_a_container(scratch: Scratch, files: Mapping[str, object], before: str, after: Owner) -> None:
    def named() -> Owner:
        lay_down(files)
        return Runtimes().named(owner(before))

    assert scratch(named) == after


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({f"/var/lib/docker/containers/{ID}/config.v2.json": {"Name": "/web"}}, "docker"),
        ({f"{STORAGE}/vfs-containers/containers.json": [{"id": ID, "names": ["web"]}]}, "podman"),
    ],
)
def test_a_container_that_does_not_run_is_known_by_name_and_id(
    scratch: Scratch, files: Mapping[str, object], kind: str
) -> None:
    def kept() -> list[Owner | None]:
        lay_down(files)
        return [Runtimes().kept(word) for word in ("web", ID, ID[:12], "we", ID[:3])]

    assert scratch(kept) == [Owner(kind, "web", id=ID)] * 3 + [None] * 2


def test_an_id_that_is_none_names_no_file(scratch: Scratch) -> None:
    def named() -> Owner:
        lay_down({"/var/lib/docker/config.v2.json": {"Name": "/web"}})
        return Runtimes().named(Owner("docker", "..", id=".."))

    assert scratch(named) == Owner("docker", "..", id="..")


def test_links_and_pipes_are_not_read(scratch: Scratch) -> None:
    def named() -> Owner:
        lay_down({f"/var/lib/docker/containers/{ID}/elsewhere": {"Name": "/web"}})
        os.symlink("elsewhere", f"/var/lib/docker/containers/{ID}/config.v2.json")
        Path(f"{TASKS}/x/{ID}").mkdir(parents=True)
        os.mkfifo(f"{TASKS}/x/{ID}/config.json")
        return Runtimes().named(owner("kubernetes"))

    assert scratch(named) == owner("kubernetes")


def test_a_container_is_known_by_its_first_process(scratch: Scratch) -> None:
    state = {"init_process_pid": 4711, "init_process_start": 100}

    def started() -> list[Owner | None]:
        lay_down({"/run/runc/web-1/state.json": state, "/run/user/1000/runc/false/state.json": state})
        runtimes = Runtimes()
        return [runtimes.started(Process(pid, start)) for pid, start in ((4711, 100), (4711, 101), (4712, 100))]

    # Who may write below /run/user claims nothing of root's.
    assert scratch(started) == [Owner("runc", "web-1", id="web-1"), None, None]
