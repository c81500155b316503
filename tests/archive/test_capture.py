"""``mntscope capture``: a machine is written to a file, and the file says what the machine did."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest

from mntscope import capture, load
from mntscope.archive import save
from mntscope.model import Namespace, Owner, Process
from mntscope.output.capture import FORMATS, Captured
from mntscope.output.writers.page import Page
from mntscope.snapshot import Snapshot
from tests.support import scenes
from tests.support.tables import view
from tests.support.throwaway import Host


def test_what_is_written_is_what_is_seen(machine: Host, tmp_path: Path) -> None:
    target = machine.unshare("slave")
    done = machine.mntscope("capture", target.inner, "-o", tmp_path / "a.gz")
    assert (done.returncode, done.stderr) == (0, "")
    assert " ".join(done.stdout.split()).startswith(f"{tmp_path}/a.gz: 2 mount namespaces, ")
    snapshot = load(tmp_path / "a.gz")
    assert [view.label for view in snapshot.views] == ["host", str(target.inner)]
    assert snapshot.mountinfo("host") == machine.mountinfo()
    assert snapshot.mountinfo(target.inner) == machine.mountinfo(target)


def test_a_file_is_overwritten_with_force_only(machine: Host, tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_text("precious")
    done = machine.mntscope("capture", 1, "-o", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"mntscope: {path}: it exists already; choose another name, or give --force\n"
    assert path.read_text() == "precious"
    done = machine.mntscope("capture", 1, "-o", path, "--force", "--format", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["namespaces"] == len(load(path).views) == 1


def test_two_captures_of_one_state_are_the_same_bytes(machine: Host, tmp_path: Path) -> None:
    target, other = machine.unshare("slave"), machine.unshare("private")

    def twice() -> None:
        for name in ("a", "b"):
            save(capture([target.inner, other.inner]), tmp_path / name)

    machine.call(twice)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_containers_and_sandboxes_are_named(machine: Host, tmp_path: Path) -> None:
    scenes.need("runc", "bwrap")
    with scenes.runc(machine, tmp_path, "web-1") as web, scenes.bwrap(machine) as sandbox:
        snapshot = machine.call(capture)
        found = machine.mntscope("diff", "container:web-1", "--format", "json")
    assert snapshot.view(web.inner).namespace.owner == Owner("runc", "web-1", id="web-1")
    assert snapshot.view(sandbox.inner).namespace.owner == Owner("bwrap", "sleep")
    assert found.returncode in (0, 1), found.stderr


# The report


def several() -> Snapshot:
    owners = {
        "host": Owner("process", "init"),
        **{f"w{number}": Owner("docker", f"web-{number}") for number in range(6)},
        "u": Owner("unit", "cups.service"),
        "v": Owner("unit", "cups.service"),
        "mnt:[9]": None,
        "x": Owner("snap", "a\x1b[31m"),
    }
    table = "22 1 0:21 / / rw - tmpfs x rw"
    views = [
        view(label, table, namespace=Namespace(owner=owner, processes=(Process(7),))) for label, owner in owners.items()
    ]
    return Snapshot(tuple(views), "host")


@pytest.mark.parametrize(("everything", "docker"), [(False, "web-0, web-1, web-2, web-3 and 2 more"), (True, "")])
def test_who_was_captured(everything: bool, docker: str) -> None:
    lines = FORMATS["table"](Captured(several(), "f"), Page(everything=everything)).splitlines()
    assert lines == [
        "f: 11 mount namespaces, 11 mounts, 11 processes",
        "host    1 process",
        f"docker  {docker or 'web-0, web-1, web-2, web-3, web-4, web-5'}",
        "snap    a\\x1b[31m",
        "unit    cups.service (2)",
        "nobody  mnt:[9]",
    ]


def test_who_was_captured_for_programs() -> None:
    document = json.loads(FORMATS["json"](Captured(several(), "f"), Page()))
    assert document["schema"] == "mntscope.capture/1"
    assert document["views"][1] == {"label": "w0", "owner": "docker web-0", "processes": 1, "mounts": 1}
    assert document["views"][-2]["owner"] is None


def test_collected_by_hand_it_is_the_same_machine(machine: Host, tmp_path: Path) -> None:
    slave, private = machine.unshare("slave"), machine.unshare("private")
    chroot = machine.spawn(lambda: os.chroot("/proc"))

    def both() -> tuple[Snapshot, Snapshot]:
        for name in filter(str.isdecimal, os.listdir("/proc")):
            directory = tmp_path / "proc" / name
            directory.mkdir(parents=True)
            for file in ("mountinfo", "cgroup", "comm"):
                (directory / file).write_bytes(Path("/proc", name, file).read_bytes())
        with tarfile.open(tmp_path / "collected.tar.xz", "w:xz") as archive:
            archive.add(tmp_path / "proc", "collected/proc")
        return capture([slave.inner, private.inner]), load(tmp_path / "collected.tar.xz")

    live, collected = machine.call(both)
    assert collected.host_label == live.host_label
    assert {view.label for view in collected.views} == {view.label for view in live.views}
    for shown in live.views:
        assert collected.mountinfo(shown.label) == live.mountinfo(shown.label)
        assert collected.view(shown.label).namespace.owner == shown.namespace.owner
    assert chroot.inner in [process.pid for process in collected.host.namespace.processes]
