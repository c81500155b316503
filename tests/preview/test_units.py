"""Units of systemd, previewed; tests/runtimes compares the tables with those of units that run."""

from __future__ import annotations

import pytest

from mntscope import Preview, Snapshot
from mntscope.analysis.preview.files import FileKind, Files
from mntscope.analysis.preview.preview import preview
from mntscope.parse.manifests.read import read_manifest
from tests.preview.test_findings import HOST

HOMES = Files({"/home": "directory", "/root": "directory", "/run/user": "missing", "/run/credentials": "missing"})


def of_unit(*settings: str, files: Files = HOMES) -> Preview:
    host = Snapshot.from_mountinfo({"host": HOST}, kernel="6.18.0")
    text = "\n".join(["[Service]", "ExecStart=/bin/sleep 1d", *settings, ""])
    return preview(host, [read_manifest(text.encode(), "/srv/a.service")], files=files)


def types(previewed: Preview) -> dict[str, str]:
    (unit,) = previewed.containers
    assert unit.view is not None
    return {mount.mount_point: mount.propagation for mount in unit.view.mounts}


def test_a_unit_receives_what_the_host_mounts_and_its_own_mounts_stay_inside() -> None:
    previewed = of_unit("PrivateMounts=yes")
    assert types(previewed)["/srv/data/disk"] == "shared,slave"
    assert types(previewed)["/run/systemd/incoming"] == "slave"
    assert list(previewed.findings) == []


def test_private_mounts_of_a_unit_keep_what_the_host_unmounts_and_the_line_is_named() -> None:
    previewed = of_unit("PrivateTmp=yes", "MountFlags=private")
    (pins,) = previewed.pins
    assert (pins.where.line, pins.at, pins.remedy) == (
        4,
        ("/srv/private", "/srv/data", "/srv/data/disk"),
        "write MountFlags=slave, or leave MountFlags away",
    )
    assert set(types(previewed).values()) == {"private"}


@pytest.mark.parametrize("settings", [(), ("MountFlags=shared",), ("PrivateTmp=no",), ("ProtectHostname=yes",)])
def test_these_give_a_unit_no_namespace_of_its_own(settings: tuple[str, ...]) -> None:
    (unit,) = of_unit(*settings).containers
    assert unit.view is None
    assert "a.service has no mount namespace of its own: all that it mounts is the host's" in unit.uncertain


def test_what_is_not_there_is_not_mounted_and_what_is_inaccessible_hides_all_below() -> None:
    previewed = of_unit("ProtectHome=yes", "ReadOnlyPaths=/home/kim")
    mounted = types(previewed)
    assert {path for path in mounted if path.startswith(("/home", "/root", "/run/user"))} == {"/home", "/root"}


def test_a_tree_is_read_only_but_for_what_is_excepted() -> None:
    previewed = of_unit("ProtectSystem=strict", "ReadWritePaths=/srv/data")
    (unit,) = previewed.containers
    assert unit.view is not None
    read_only = {mount.mount_point for mount in unit.view.mounts if "ro" in mount.options}
    assert {"/", "/run", "/srv/private"} <= read_only
    assert not {"/proc", "/sys", "/dev", "/srv/data", "/srv/data/disk"} & read_only


def test_a_source_that_is_missing_is_refused_unless_it_may_be() -> None:
    missing = Files({"/srv/none": "missing", **HOMES.kinds})
    (refused,) = of_unit("BindPaths=/srv/none", files=missing).refused
    assert (refused.where.line, refused.said_by, refused.said) == (3, "systemd", "Failed to set up mount namespacing")
    assert list(of_unit("BindPaths=-/srv/none", files=missing).findings) == []


def test_what_is_not_played_is_said() -> None:
    (unit,) = of_unit("ProtectKernelTunables=yes", "ProtectProc=invisible").containers
    assert (
        "what ProtectKernelTunables, ProtectProc of a.service mount is not played: it is for the unit alone, and"
        " reaches no other namespace" in unit.uncertain
    )


def test_lists_are_read_as_systemd_reads_them() -> None:
    kinds: dict[str, FileKind] = {"/srv/with blank": "directory", "/run/web": "directory", **HOMES.kinds}
    lines = ('ReadOnlyPaths="/srv/with blank"', "InaccessiblePaths=-%t/web", "RuntimeDirectory=a", "RuntimeDirectory=b")
    (unit,) = of_unit(*lines, files=Files(kinds)).containers
    assert unit.view is not None
    mounts = {mount.mount_point: mount for mount in unit.view.mounts}
    assert "ro" in mounts["/srv/with blank"].options
    assert mounts["/run/web"].root == "/systemd/inaccessible/dir"
    assert {"/run/a", "/run/b"} <= mounts.keys()


def test_of_lists_in_pieces_the_first_paths_are_played_and_that_is_said() -> None:
    lines = [
        f"ReadWritePaths={' '.join(f'-/srv/{number}' for number in range(first, first + 200))}" for first in (0, 200)
    ]
    (unit,) = of_unit("ProtectSystem=strict", *lines).containers
    assert "of a list that a.service has, the first 250 paths are played" in unit.uncertain


def test_of_a_list_without_end_the_first_paths_are_played() -> None:
    (unit,) = of_unit(f"InaccessiblePaths={' '.join(f'-/srv/{number}' for number in range(50_000))}").containers
    assert unit.view is not None
    assert sum(mount.root == "/systemd/inaccessible/dir" for mount in unit.view.mounts) == 250
    assert "of a list that a.service has, the first 250 paths are played" in unit.uncertain
