"""What kubelet, dockerd and podman add; tests/runtimes compares the tables with those of containers that run."""

from __future__ import annotations

import pytest

from mntscope import Mount, Preview, Snapshot
from mntscope.analysis.preview.files import NOTHING_KNOWN, Files
from mntscope.analysis.preview.preview import preview
from mntscope.parse.manifests.read import read_manifest
from tests.preview.test_findings import DAEMON_SET, HOST


def of_text(text: str, files: Files = NOTHING_KNOWN) -> Preview:
    host = Snapshot.from_mountinfo({"host": HOST}, kernel="6.18.0")
    return preview(host, [read_manifest(text.encode(), "text")], files=files)


def mounted_at(previewed: Preview, path: str) -> Mount:
    (container,) = previewed.containers
    assert container.view is not None, container.refused
    return next(mount for mount in container.view.mounts if mount.mount_point == path)


@pytest.mark.parametrize("source", ["/", "/var", "/var/lib/docker/volumes"])
def test_dockerd_gives_the_tree_around_its_own_directory_as_a_slave(source: str) -> None:
    assert mounted_at(of_text(f"docker run -v {source}:/host bb"), "/host").master == 1


def test_dockerd_refuses_to_keep_the_root_filesystems_of_others() -> None:
    (refused,) = of_text("docker run -v /:/host:rprivate bb").refused
    assert refused.said.startswith('invalid mount config: must use either propagation mode "rslave" or "rshared"')


def test_other_sources_are_private_unless_said_otherwise() -> None:
    assert mounted_at(of_text("docker run -v /srv/data:/data bb"), "/data").propagation == "private"
    assert mounted_at(of_text("podman run -v /:/host bb"), "/host").propagation == "private"


def test_a_read_only_container_of_dockerd_has_its_files_read_only() -> None:
    previewed = of_text("docker run --read-only bb")
    assert "ro" in mounted_at(previewed, "/etc/hosts").options
    assert "ro" not in mounted_at(previewed, "/dev").options


def test_a_read_only_container_of_podman_has_places_to_write_unless_it_is_to_have_none() -> None:
    assert mounted_at(of_text("podman run --read-only bb"), "/var/tmp").fs_type == "tmpfs"
    (container,) = of_text("podman run --read-only --read-only-tmpfs=false bb").containers
    assert container.view is not None
    assert not {"/run", "/tmp", "/var/tmp"} & {mount.mount_point for mount in container.view.mounts}


def test_a_volume_of_podmans_holds_no_devices() -> None:
    assert {"nosuid", "nodev"} <= {*mounted_at(of_text("podman run -v data:/data bb"), "/data").options}
    assert "nodev" not in mounted_at(of_text("podman run -v data:/data:dev bb"), "/data").options


def test_podman_keeps_its_storage_private_so_that_no_root_filesystem_is_shared() -> None:
    previewed = of_text("podman run bb")
    (home,) = (mount for mount in previewed.snapshot.host.mounts if mount.mount_point.endswith("/storage/overlay"))
    assert home.propagation == "private"
    assert mounted_at(previewed, "/").propagation == "private"


def test_without_a_network_podman_brings_no_resolv_conf() -> None:
    (container,) = of_text("podman run --network none bb").containers
    assert container.view is not None
    assert "/etc/resolv.conf" not in {mount.mount_point for mount in container.view.mounts}


def test_the_containers_of_a_pod_share_its_sandbox() -> None:
    previewed = of_text(DAEMON_SET.replace("/srv/private", "/srv/data"))
    points = [mount.mount_point for mount in previewed.snapshot.host.mounts]
    assert len(previewed.containers) == 2
    assert sum(point.endswith("/shm") and "/sandboxes/" in point for point in points) == 1
    assert sum(point.endswith("/DaemonSet-kube-system-csi-node/rootfs") for point in points) == 1


MISSING = Files({"/srv/none": "missing"})

LONG = """
services: {web: {image: bb, volumes: [{type: bind, source: /srv/none, target: /x, bind: {create_host_path: false}}]}}
"""


@pytest.mark.parametrize(
    "text",
    ["docker run -v /srv/none:/x bb", "services: {web: {image: bb, volumes: ['/srv/none:/x']}}"],
    ids=["docker run", "compose"],
)
def test_what_is_missing_is_made_by_dockerd(text: str) -> None:
    (container,) = of_text(text, MISSING).containers
    assert container.refused is None


@pytest.mark.parametrize(
    ("text", "who", "words"),
    [
        ("docker run --mount type=bind,src=/srv/none,dst=/x bb", "dockerd", "bind source path does not exist"),
        (LONG, "dockerd", "bind source path does not exist"),
        ("podman run -v /srv/none:/x bb", "podman", "statfs /srv/none: no such file or directory"),
    ],
    ids=["docker run --mount", "compose", "podman run"],
)
def test_or_refused_in_its_manager_s_words(text: str, who: str, words: str) -> None:
    (refused,) = of_text(text, MISSING).refused
    assert refused.said_by == who
    assert words in refused.said


def test_bidirectional_is_for_privileged_containers_as_the_api_server_says() -> None:
    said = "Bidirectional mount propagation is available only to privileged containers"
    driver, _ = of_text(DAEMON_SET.replace("privileged: true", "privileged: false")).containers
    assert any(said in doubt for doubt in driver.uncertain)
    driver, _ = of_text(DAEMON_SET).containers
    assert not any(said in doubt for doubt in driver.uncertain)
