"""What is said of containers, on tables of a few lines."""

from __future__ import annotations

import json
from typing import Any

import pytest

import mntscope
from mntscope import Preview, Snapshot, UsageError
from mntscope.analysis.preview.files import Files
from mntscope.analysis.preview.preview import preview
from mntscope.parse.manifests.read import read_manifest
from tests.preview.configurations import CONFIGURATIONS, SHARED, bind, config

DAEMON_SET = """\
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: csi-node, namespace: kube-system}
spec:
  selector: {matchLabels: {app: csi}}
  template:
    metadata: {labels: {app: csi}}
    spec:
      automountServiceAccountToken: false
      containers:
      - name: driver
        image: example/csi
        securityContext: {privileged: true}
        volumeMounts:
        - {name: pods, mountPath: /var/lib/kubelet, mountPropagation: Bidirectional}
      - name: exporter
        image: example/exporter
        volumeMounts:
        - {name: data, mountPath: /data, mountPropagation: HostToContainer}
      volumes:
      - {name: pods, hostPath: {path: /var/lib/kubelet}}
      - {name: data, hostPath: {path: /srv/private}}
"""

HOST = b"""\
1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
2 1 0:20 / /proc rw shared:2 - proc proc rw
3 1 0:21 / /sys rw shared:3 - sysfs sysfs rw
4 1 0:5 / /dev rw shared:4 - devtmpfs udev rw
5 1 0:22 / /run rw shared:5 - tmpfs tmpfs rw
6 1 8:2 / /srv/private rw - ext4 /dev/sdb rw
7 1 8:3 / /srv/data rw shared:6 - ext4 /dev/sdc rw
8 7 8:4 / /srv/data/disk rw shared:7 - ext4 /dev/sdd rw
"""


@pytest.fixture
def host() -> Snapshot:
    return Snapshot.from_mountinfo({"host": HOST}, kernel="6.18.0")


def of_bundle(host: Snapshot, bundle: dict[str, Any], runtime: str = "runc") -> Preview:
    return preview(host, [read_manifest(json.dumps(bundle).encode(), "/srv/bundle/config.json")], runtime=runtime)


def test_a_daemon_set_has_two_findings_each_on_its_line(host: Snapshot) -> None:
    found = mntscope.preview(host, DAEMON_SET).findings
    assert [(each.kind, each.severity, each.where.line) for each in found] == [
        ("mounts-on-host", "high", 15),
        ("receives-nothing", "high", 19),
    ]
    lines = DAEMON_SET.splitlines()
    for each in found:
        assert lines[each.where.line - 1][each.where.column - 1 :].startswith(("Bidirectional", "HostToContainer"))
    assert found[0].at == ("/var/lib/kubelet",)
    assert found[1].said_by == "containerd"
    assert found[1].said == 'path "/srv/private" is mounted on "/srv/private" but it is not a shared or slave mount'


def test_without_the_two_fields_nothing_is_found(host: Snapshot) -> None:
    text = DAEMON_SET.replace(", mountPropagation: Bidirectional", "").replace(
        ", mountPropagation: HostToContainer", ""
    )
    assert mntscope.preview(host, text).findings == ()


def test_the_containers_are_in_the_world_after_it(host: Snapshot) -> None:
    result = mntscope.preview(host, DAEMON_SET)
    assert [view.label for view in result.snapshot.views] == ["host", "csi-node/driver"]
    kubelet = next(m for m in result.snapshot.view("csi-node/driver").mounts if m.mount_point == "/var/lib/kubelet")
    assert (kubelet.root, kubelet.peer_group) == ("/var/lib/kubelet", 1)
    # On the host there is what the container's image is mounted from.
    assert any(mount.fs_type == "overlay" for mount in result.snapshot.host.mounts)


def test_without_a_host_all_is_said_with_an_if() -> None:
    result = mntscope.preview(None, DAEMON_SET)
    (found,) = result.findings
    assert found.kind == "mounts-on-host"
    assert found.message.startswith("if all mounts of the host are shared, csi-node/driver can mount on the host at ")
    assert "no host is given" in result.uncertain[0]


def test_who_may_not_mount_is_said_to(host: Snapshot) -> None:
    text = DAEMON_SET.replace("securityContext: {privileged: true}", "stdin: true")
    found = mntscope.preview(host, text).leaks[0]
    assert (found.severity, found.message.endswith("it has no CAP_SYS_ADMIN, without which it cannot")) == ("low", True)


def test_a_private_copy_of_a_tree_pins_what_is_mounted_in_it(host: Snapshot) -> None:
    bundle = config(bind("/srv/data", "/vol", "rbind,rprivate"))
    (found,) = of_bundle(host, bundle).pins
    assert (found.severity, found.path, found.at) == ("medium", "/vol", ("/srv/data/disk",))
    assert of_bundle(host, config(bind("/srv/data", "/vol", "rbind,rslave"), root="rslave")).findings == ()


def test_a_mount_in_a_shared_volume_changes_the_host(host: Snapshot) -> None:
    result = of_bundle(host, config(SHARED, bind("/srv/private", "/vol/sub", "rbind"), root="rshared"))
    (found,) = result.changes_host
    assert (found.path, found.at) == ("/vol/sub", ("/srv/data/sub",))
    assert "stays there when the container is gone" in found.message


def test_an_idmapped_volume_of_crun_is_shared_with_the_host(host: Snapshot) -> None:
    bundle = CONFIGURATIONS["mapped, and one in it"]
    text = json.dumps(bundle).replace("/srv/private", "/run")
    results = {name: of_bundle(host, json.loads(text), name) for name in ("runc", "crun=1.28")}
    assert [found.at for found in results["crun=1.28"].changes_host] == [("/srv/data/sub",)]
    assert results["runc"].changes_host == ()


def test_what_runtimes_do_differently_is_told(host: Snapshot) -> None:
    bundle = CONFIGURATIONS["one mount, whose word is for all"]
    manifest = read_manifest(json.dumps(bundle).encode(), "config.json")
    (container,) = preview(host, [manifest], compare=True).containers
    # For crun one flag says both: of the bind and of its type.
    assert any(line.startswith("only crun 1.28 mounts /host/dev, /host/proc, ") for line in container.differences)


def test_a_host_path_that_has_to_be_there(host: Snapshot) -> None:
    text = DAEMON_SET.replace("{path: /var/lib/kubelet}", "{path: /var/lib/kubelet, type: Directory}")
    manifest = read_manifest(text.encode(), "pod.yaml")
    found = preview(host, [manifest], files=Files({"/var/lib/kubelet": "missing"})).findings
    assert "hostPath type check failed: /var/lib/kubelet is not a directory" in {each.said for each in found}


def test_dockerd_refuses_in_its_own_words(host: Snapshot) -> None:
    (found,) = mntscope.preview(host, "docker run -v /srv/private:/data:rslave debian\n").findings
    assert found.said == "path /srv/private is mounted on /srv/private but it is not a shared or slave mount"


def test_podman_starts_it_all_the_same(host: Snapshot) -> None:
    result = mntscope.preview(host, "podman run -v /srv/private:/data:rslave debian\n")
    assert [(each.kind, each.said) for each in result.findings] == [("receives-nothing", "")]
    assert result.containers[0].runtime == "crun 1.28"
    assert result.containers[0].view is not None


def test_findings_are_a_table(host: Snapshot) -> None:
    frame = mntscope.preview(host, DAEMON_SET).frame()
    assert list(frame["kind"]) == ["mounts-on-host", "receives-nothing"]
    assert list(frame["line"]) == [15, 19]


def test_a_runtime_that_nobody_knows(host: Snapshot) -> None:
    with pytest.raises(UsageError, match="no runtime 'kata' is known; there are runc, crun"):
        mntscope.preview(host, DAEMON_SET, runtime="kata")
    with pytest.raises(UsageError, match=r"runc 0\.1 is older than any that is known"):
        mntscope.preview(host, DAEMON_SET, runtime="runc=0.1")


def test_a_newer_runtime_is_said_to_be(host: Snapshot) -> None:
    uncertain = of_bundle(host, config(), "runc=9.9").uncertain
    assert "runc 9.9 is newer than any that was compared with its profile (1.3.6)" in uncertain


def test_two_containers_of_one_name_are_told_apart(host: Snapshot) -> None:
    text = f"{DAEMON_SET}---\n{DAEMON_SET}"
    labels = [container.label for container in mntscope.preview(host, text).containers]
    assert labels == ["csi-node/driver", "csi-node/exporter", "csi-node/driver#2", "csi-node/exporter#2"]
