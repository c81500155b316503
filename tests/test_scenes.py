"""The scenes of tests/support/scenes.py are what they say."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support import scenes
from tests.support.isolating import lines_at
from tests.support.throwaway import Host


def test_a_container_of_runc(machine: Host, tmp_path: Path) -> None:
    volume = scenes.volume(machine, tmp_path / "volume")
    binds: list[scenes.Bind] = [(volume, "/volume", "rshared")]
    with scenes.runc(machine, tmp_path, "web", rootfs_propagation="shared", binds=binds) as web:
        assert machine.mntscope("diff", web.inner, "/volume").returncode == 1
        assert web.pids == [web.pid, web.inner, 1]
        (line,) = lines_at(machine, "/volume", web)
        assert " shared:" in line
        state = machine.run(["cat", "/run/runc/web/state.json"])
        assert f'"init_process_pid":{web.inner}' in state.stdout
    assert machine.run(["ls", "/run/runc"]).stdout == ""


def test_a_container_on_a_host_without_pids_of_its_own(host: Host, tmp_path: Path) -> None:
    with scenes.runc(host, tmp_path, "web", rootfs_propagation="slave") as web:
        assert web.pid == web.inner
        assert web.namespace("mnt") != os.stat(f"/proc/{host.pid}/ns/mnt").st_ino


def test_a_run_that_was_interrupted_leaves_no_cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "CGROUPS", tmp_path)
    ended = subprocess.Popen(["true"])
    ended.wait()
    for name in (f"mntscope-{ended.pid}-web", f"mntscope-{os.getpid()}-web", "mntscope-runtimes-1-docker", "other"):
        (tmp_path / "pids" / name).mkdir(parents=True)
    (tmp_path / f"mntscope-{ended.pid}-web").mkdir()
    scenes.remove_cgroups_left_behind()
    left = {path.name for path in (tmp_path / "pids").iterdir()}
    assert left == {f"mntscope-{os.getpid()}-web", "mntscope-runtimes-1-docker", "other"}
    assert not (tmp_path / f"mntscope-{ended.pid}-web").exists()


def test_a_sandbox(machine: Host) -> None:
    with scenes.bwrap(machine) as sandbox:
        assert machine.mntscope("diff", sandbox.inner).returncode == 0


def test_a_namespace_held_by_a_mount(machine: Host, tmp_path: Path) -> None:
    inode = scenes.held_by_mount(machine, tmp_path / "pins/kept")
    assert inode not in inodes_of_processes()
    (line,) = lines_at(machine, str(tmp_path / "pins/kept"))
    assert f" mnt:[{inode}] " in line
    assert machine.run(["nsenter", f"--mount={tmp_path}/pins/kept", "true"]).returncode == 0


def test_a_namespace_held_by_a_descriptor(machine: Host) -> None:
    kept = scenes.held_by_fd(machine)
    assert kept.inode not in inodes_of_processes()
    assert os.stat(f"/proc/{kept.holder.pid}/fd/{kept.fd}").st_ino == kept.inode


def test_many_namespaces(machine: Host, tmp_path: Path) -> None:
    nursery = scenes.many(machine, tmp_path, namespaces=5, mounts=3, processes=12, propagation=("slave", "private"))
    sleepers = scenes.descendants(nursery.pid)
    namespaces = {pid: os.stat(f"/proc/{pid}/ns/mnt").st_ino for pid in sleepers}
    assert (len(sleepers), len(set(namespaces.values()))) == (12, 5)
    table = Path(f"/proc/{sleepers[0]}/mountinfo").read_text()
    assert sum(f" {tmp_path}/mount-" in line and " master:" in line for line in table.splitlines()) == 3
    machine.kill(nursery)
    scenes.waited_for(lambda: None if any(Path(f"/proc/{pid}/root").exists() for pid in sleepers) else 0)


def test_the_whole_scene(machine: Host, tmp_path: Path) -> None:
    with scenes.container_host(machine, tmp_path) as scene:
        assert len(scene.owners) == 7
        tables = {name: machine.mountinfo(getattr(scene, name)) for name in ("private", "slave", "shared", "sandbox")}
        assert {name for name, table in tables.items() if b" shared:" in table} == {"shared"}
        assert {name for name, table in tables.items() if b" master:" in table} == {"slave", "sandbox"}


def inodes_of_processes() -> set[int]:
    """The mount namespaces that processes live in."""
    found = set()
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            found.add(os.stat(f"/proc/{pid}/ns/mnt").st_ino)
        except OSError:
            continue
    return found
