"""Names that mean the same on every host."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mntscope.fleet.keys import application, place
from mntscope.model import Owner

UID = "0a1b2c3d-0a1b-4c2d-8e3f-0a1b2c3d4e5f"
ID = "3f" * 32

APPLICATIONS = {
    ("containerd", "web-7d9f8c6b5-x2x4z"): "web",
    ("containerd", "node-exporter-4kz7q"): "node-exporter",
    ("containerd", "postgres-0"): "postgres",
    ("docker", f"k8s_nginx_web-7d9f8c6b5-x2x4z_shop_{UID}_3"): "shop/web/nginx",
    ("docker", "shop-web-1"): "shop-web",
    ("docker", "shop_web.2"): "shop_web",
    ("docker", ID): "*",
    ("kubernetes", UID): "*",
    ("unit", "getty@tty1.service"): "getty@.service",
    ("unit", "user@1000.service"): "user@.service",
    ("unit", "session-12.scope"): "session-*.scope",
    ("unit", "run-r3f3f3f3f3f3f3f3f.service"): "run-*.service",
    ("unit", "systemd-udevd.service"): "systemd-udevd.service",
    ("cgroup", f"kubepods/pod{UID}/{ID}"): "kubepods/pod*/*",
    # What is no pod's suffix, though it has as many letters.
    ("docker", "redis-proxy"): "redis-proxy",
    ("docker", "app-sqldb"): "app-sqldb",
    ("process", "sleep"): "sleep",
}

PODS, TASKS = "/var/lib/kubelet/pods", "/run/containerd/io.containerd.runtime.v2.task/k8s.io"

PLACES = {
    "/": "/",
    "/var/lib/kubelet": "/var/lib/kubelet",
    f"{PODS}/{UID}/volumes/kubernetes.io~csi/pvc-{UID}/mount": f"{PODS}/*/volumes/kubernetes.io~csi/pvc-*/mount",
    f"{TASKS}/{ID}/rootfs": f"{TASKS}/*/rootfs",
    f"{PODS}/{UID}/projected/kube-api-access-x7k2p": f"{PODS}/*/projected/kube-api-access-*",
    "/run/user/1000/doc": "/run/user/*/doc",
    "/snap/core20/2318": "/snap/core20/*",
    f"/tmp/systemd-private-{'0a' * 16}-chrony.service-Xy1Zab/tmp": "/tmp/systemd-private-*-chrony.service-*/tmp",
    "/srv/data-2": "/srv/data-2",
    "/opt/caf\udce9": "/opt/caf\\xe9",
}


@pytest.mark.parametrize(("owner", "expected"), APPLICATIONS.items(), ids=lambda value: str(value)[:40])
def test_an_owner_is_reduced_to_its_application(owner: tuple[str, str], expected: str) -> None:
    assert application(Owner(*owner)) == expected


@pytest.mark.parametrize(("path", "expected"), PLACES.items(), ids=lambda value: value[-30:])
def test_a_path_is_reduced_to_its_place(path: str, expected: str) -> None:
    assert place(path) == expected


@given(st.text())
def test_whatever_a_path_is_its_place_is_text_for_arrow_and_a_place_itself(path: str) -> None:
    try:
        path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return
    found = place(path)
    found.encode("utf-8")
    assert place(found) == found
