"""Whom a cgroup names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mntscope.live.owners import owner_of

CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus" / "cgroup-formats.json"
ID = "ba0c71d6dd7f" + "0" * 52
OTHER = "f" * 64


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        (f"/docker/{ID}", "docker ba0c71d6dd7f"),
        (f"/system.slice/docker-{ID}.scope", "docker ba0c71d6dd7f"),
        (f"/docker/{OTHER}/docker/{ID}", "docker ba0c71d6dd7f"),
        (f"/actions_job/{ID}", "docker ba0c71d6dd7f"),
        (
            f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container",
            "podman ba0c71d6dd7f",
        ),
        (f"/machine.slice/libpod-conmon-{ID}.scope", f"libpod-conmon-{ID}.scope"),
        (f"/kubepods.slice/kubepods-burstable-pod1_2.slice/cri-containerd-{ID}.scope", "containerd ba0c71d6dd7f"),
        (f"/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:{ID}", "containerd ba0c71d6dd7f"),
        (f"/kubepods.slice/kubepods-pod1.slice/crio-{ID}.scope/container", "cri-o ba0c71d6dd7f"),
        (f"/kubepods/besteffort/pod1-2/{ID}/kube-proxy", "kubernetes ba0c71d6dd7f"),
        (f"/ecs/a-cluster/{ID}", "ecs ba0c71d6dd7f"),
        ("/ecs/34dc0b5e626f2c5c4c5170e34b10e765-1234567890", "ecs 34dc0b5e626f2c5c4c5170e34b10e765-1234567890"),
        ("/system.slice/runc-web-1.scope", "runc web-1"),
        ("/lxc.payload.web-1/system.slice", "lxc web-1"),
        ("/lxc/web-1", "lxc web-1"),
        ("/lxc.monitor.web-1", ""),
        (r"/machine.slice/machine-my\x2dtree.scope/payload", "machine my-tree"),
        ("/machine.slice/systemd-nspawn@tree.service/payload", "machine tree"),
        ("/system.slice/snap.lxd.daemon.service", "snap lxd.daemon"),
        ("/user.slice/app.slice/snap.code.code-9f86d081-884c-4d63.scope", "snap code.code"),
        ("/app.slice/app-flatpak-org.gnome.Maps-4711.scope", "flatpak org.gnome.Maps"),
        ("/system.slice/garden.service/garden/6f265890-5165-7fab-6b52-18d1", "garden 6f265890-5165-7fab-6b52-18d1"),
        ("/system.slice/systemd-udevd.service/udev", "systemd-udevd.service"),
        ("/user.slice/user-0.slice/session-1.scope", "session-1.scope"),
        ("/user.slice/a:b.slice/session-3.scope", "session-3.scope"),
        ("/", ""),
        ("/docker/not-an-id", ""),
        (f"/docker/{ID[:-1]}", ""),
        (f"/docker/{ID}.suffix", ""),
    ],
)
def test_who_runs_in_a_cgroup(path: str, owner: str) -> None:
    assert str(owner_of(f"0::{path}\n") or "") == owner


def test_a_container_in_any_hierarchy_comes_before_a_unit() -> None:
    text = f"9:name=systemd:/system.slice/docker.service\n4:memory:/docker/{ID}\n0::/\n"
    assert str(owner_of(text)) == "docker ba0c71d6dd7f"


def test_the_recorded_cgroups() -> None:
    if not CORPUS.exists():
        pytest.skip(f"needs {CORPUS}")
    recorded = json.loads(CORPUS.read_text())["captured_here"]
    runtimes = {"docker": "docker ", "docker-v1": "docker ", "podman-cg-crun-v1nu": "podman ", "misc/lxc": "lxc "}
    for name, text in recorded.items():
        for start, runtime in runtimes.items():
            if name.startswith((f"{start}/", f"{start}-")):
                assert str(owner_of(text)).startswith(runtime), name


@given(st.text())
def test_any_text_is_taken(text: str) -> None:
    owner_of(text)
