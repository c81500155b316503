"""Which mounts of a namespace in a new user namespace are locked: told from tables, and tried on the kernel."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from mntscope import Snapshot, parse_mountinfo
from mntscope.kernel import syscalls
from mntscope.propagation import simulate
from tests.support.throwaway import Host, Mode

HOST = b"""\
10 1 8:1 / / rw shared:1 - ext4 a rw
11 10 0:2 / /proc rw shared:2 - proc proc rw
12 10 0:3 / /mnt rw shared:3 - tmpfs t rw
"""
FRESH = b"""\
20 1 8:1 / / rw master:1 - ext4 a rw
21 20 0:2 / /proc rw master:2 - proc proc rw
22 20 0:3 / /mnt rw master:3 - tmpfs t rw
"""
LATER = b"30 10 0:4 / /new rw shared:4 - tmpfs n rw\n"


def umount(path: str, host: bytes, box: bytes) -> tuple[str | None, bool]:
    machine = Snapshot.from_mountinfo(
        {"host": host, "box": box}, user_namespaces={"host": 4026531837, "box": 4026532999}, kernel="6.18"
    )
    outcome = simulate(machine, {"op": "umount", "ns": "box", "target": path, "lazy": True})
    return outcome.errno, any("locked" in doubt for doubt in outcome.uncertain)


def test_what_was_copied_is_locked() -> None:
    assert umount("/mnt", HOST, FRESH) == ("EINVAL", True)


def test_what_was_mounted_since_is_not() -> None:
    assert umount("/mnt/own", HOST, FRESH + b"23 22 0:9 / /mnt/own rw - tmpfs o rw\n") == (None, True)
    assert umount("/mnt", HOST, FRESH + b"24 22 0:3 / /mnt rw - tmpfs t rw\n") == (None, True)


def test_what_was_received_since_is_not() -> None:
    assert umount("/new", HOST + LATER, FRESH + b"31 20 0:4 / /new rw master:4 - tmpfs n rw\n") == (None, True)


def test_a_free_id_does_not_mislead() -> None:
    # A hole below: the copies' IDs need not be above those of what they are copies of.
    assert umount("/new", HOST + LATER, FRESH + b"25 20 0:4 / /new rw master:4 - tmpfs n rw\n") == ("EINVAL", True)


def test_a_container_that_has_left_the_root_has_mounted_all_that_it_shows() -> None:
    container = (
        b"20 1 0:8 / / rw - overlay o rw\n21 20 0:2 / /proc rw - proc proc rw\n22 20 0:3 / /mnt rw - tmpfs t rw\n"
    )
    assert umount("/mnt", HOST, container) == (None, True)


def id_of(source: str, table: bytes) -> int:
    """The ID of the mount of this source in a table."""
    return next(mount.mount_id for mount in parse_mountinfo(table) if mount.source == source)


@pytest.mark.parametrize("mode", ["unchanged", "shared", "private"])
def test_every_umount_in_a_new_user_namespace_ends_as_predicted(host: Host, tmp_path: Path, mode: Mode) -> None:
    names = ("copied", "received", "bound", "own")
    for name in names:
        (tmp_path / name).mkdir()

    def tmpfs(name: str) -> None:
        syscalls.mount(name, str(tmp_path / name), "tmpfs", 0)

    host.call(tmpfs, "copied")
    command = ["unshare", "-U", "-r", "-m", "--propagation", mode, "sh", "-c", "echo; exec sleep 100"]
    with subprocess.Popen(
        ["nsenter", "-t", str(host.pid), "-m", *command], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as sleeper:
        try:
            assert sleeper.stdout is not None
            sleeper.stdout.readline()
            entered = ["nsenter", "-t", str(sleeper.pid), "-U", "-m", "--preserve-credentials"]
            box = Path(f"/proc/{sleeper.pid}/mountinfo")
            host.call(tmpfs, "received")
            # By the IDs of one event it is told, between which another program's mount may have come, or lie.
            for _ in range(50 if mode != "private" else 0):
                if id_of("received", box.read_bytes()) - id_of("received", host.mountinfo()) == 1:
                    break
                host.call(syscalls.umount2, str(tmp_path / "received"), 0)
                host.unshare("private")  # Its copies take the IDs that are free in between.
                host.call(tmpfs, "received")
            subprocess.run([*entered, "mount", "--bind", tmp_path / "copied", tmp_path / "bound"], check=True)
            subprocess.run([*entered, "mount", "-t", "tmpfs", "own", tmp_path / "own"], check=True)
            tables = {"host": host.mountinfo(), "box": box.read_bytes()}
            machine = Snapshot.from_mountinfo(
                tables, user_namespaces={"host": 4026531837, "box": 4026532999}, kernel=os.uname().release
            )
            paths = dict.fromkeys(mount.mount_point for mount in reversed(machine.view("box").mounts))
            predicted, done = {}, {}
            for path in paths:
                # Each in a copy: of the same owner, so it has the same locks.
                operation = {"op": "umount", "ns": "box", "target": path, "lazy": True}
                predicted[path] = simulate(machine, operation).errno is None
                done[path] = (
                    subprocess.run([*entered, "unshare", "-m", "umount", "-l", path], check=False).returncode == 0
                )
        finally:
            sleeper.kill()
    assert predicted == done
    assert {name: done.get(str(tmp_path / name)) for name in names} == {
        "copied": False,
        "received": True if mode != "private" else None,
        "bound": True,
        "own": True,
    }
