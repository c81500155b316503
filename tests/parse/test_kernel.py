"""What this machine's kernel prints for names that trip parsers, read and written back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mntscope.kernel import syscalls
from mntscope.parse import MountTable, format_mountinfo, parse_mountinfo
from tests.support.throwaway import Scratch

MOUNTINFO = Path("/proc/self/mountinfo")


def read_back(printed: bytes) -> MountTable:
    """The table that the kernel printed, which must be written as it was."""
    table = parse_mountinfo(printed)
    assert format_mountinfo(table) == printed
    return table


def test_this_machines_own_table_is_read_back() -> None:
    assert read_back(MOUNTINFO.read_bytes())


@pytest.mark.parametrize(
    "name",
    [b" \t\n\\", b"\\040", b"#", b"\r\v\f\x1c", b"\xc2\xa0\xc2\x85\xe2\x80\xa8", b"\xff\xc3", b" - ", b"shared:1"],
)
def test_any_mount_point_and_source(scratch: Scratch, tmp_path: Path, name: bytes) -> None:
    target = os.fsencode(tmp_path) + b"/" + name
    os.mkdir(target)

    def body() -> bytes:
        syscalls.mount(name, target, "tmpfs", 0)
        return MOUNTINFO.read_bytes()

    mount = read_back(scratch(body))[-1]
    assert os.fsencode(mount.mount_point) == target
    assert os.fsencode(mount.source) == name
    assert mount.spelling is None


def test_an_empty_source(scratch: Scratch, tmp_path: Path) -> None:
    def body() -> bytes:
        syscalls.mount("", str(tmp_path), "tmpfs", 0)
        return MOUNTINFO.read_bytes()

    assert read_back(scratch(body))[-1].source == ""


def test_roots_that_are_deleted_files_or_no_paths(scratch: Scratch, tmp_path: Path) -> None:
    for name in ("namespace", "file", "target"):
        (tmp_path / name).touch()

    def body() -> bytes:
        syscalls.mount("/proc/self/ns/net", f"{tmp_path}/namespace", None, syscalls.MS_BIND)
        syscalls.mount(f"{tmp_path}/file", f"{tmp_path}/target", None, syscalls.MS_BIND)
        os.unlink(tmp_path / "file")
        return MOUNTINFO.read_bytes()

    net, deleted = read_back(scratch(body))[-2:]
    assert net.root == os.readlink("/proc/self/ns/net")
    assert deleted.root.endswith("/file//deleted")


def test_every_propagation_type(scratch: Scratch, tmp_path: Path) -> None:
    places = {name: f"{tmp_path}/{name}" for name in ("shared", "unbindable", "private", "slave", "shared,slave")}
    for place in places.values():
        os.mkdir(place)

    def body() -> bytes:
        for name in ("shared", "unbindable", "private"):
            syscalls.mount(name, places[name], "tmpfs", 0)
        syscalls.mount(None, places["shared"], None, syscalls.MS_SHARED)
        syscalls.mount(None, places["unbindable"], None, syscalls.MS_UNBINDABLE)
        for name in ("slave", "shared,slave"):
            syscalls.mount(places["shared"], places[name], None, syscalls.MS_BIND)
            syscalls.mount(None, places[name], None, syscalls.MS_SLAVE)
        syscalls.mount(None, places["shared,slave"], None, syscalls.MS_SHARED)
        return MOUNTINFO.read_bytes()

    mounts = {mount.mount_point: mount for mount in read_back(scratch(body))}
    for name, place in places.items():
        assert mounts[place].propagation == name
    group = mounts[places["shared"]].peer_group
    assert mounts[places["slave"]].master == mounts[places["shared,slave"]].master == group
