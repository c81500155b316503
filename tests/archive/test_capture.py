"""``mntscope capture``: a machine is written to a file, and the file says what the machine did."""

from __future__ import annotations

import gzip
import json
import os
import pty
import re
import signal
import subprocess
import tarfile
from pathlib import Path

import pytest

from mntscope import capture, compare, load
from mntscope.archive import save
from mntscope.archive.nameless import nameless
from mntscope.base.machine_id import derived
from mntscope.base.records import replace
from mntscope.kernel import syscalls
from mntscope.model import Namespace, Origin, Owner, Process
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


def test_two_captures_of_one_state_are_the_same_bytes_but_for_the_time(machine: Host, tmp_path: Path) -> None:
    target, other = machine.unshare("slave"), machine.unshare("private")

    def twice() -> None:
        for name, seconds in (("a", 1), ("b", 2)):
            snapshot = capture([target.inner, other.inner])
            assert snapshot.origin.time
            save(replace(snapshot, origin=replace(snapshot.origin, time=seconds)), tmp_path / name)

    machine.call(twice)
    one, other_one = (gzip.decompress((tmp_path / name).read_bytes()) for name in ("a", "b"))
    assert one.replace(b'"time":1,', b'"time":2,') == other_one
    assert load(tmp_path / "a") == load(tmp_path / "b")
    compared = compare(load(tmp_path / "a"), load(tmp_path / "b"))
    assert not compared.found


def test_it_is_told_whose_machine_was_captured_and_when(machine: Host, tmp_path: Path) -> None:
    done = machine.mntscope("capture", 1, "-o", tmp_path / "a.gz")
    origin = load(tmp_path / "a.gz").origin
    assert origin.host_name == os.uname().nodename
    assert origin.machine_id == derived(Path("/etc/machine-id").read_bytes())
    assert f" {origin.host_name}, " in " ".join(done.stdout.split())
    done = machine.mntscope("capture", 1, "-o", tmp_path / "b.gz", "--json")
    told = json.loads(done.stdout)["origin"]
    assert told["machine_id"] == origin.machine_id
    assert told["time"] >= (origin.time or 0)
    assert (told["kernel"], told["kernel_version"]) == (os.uname().release, os.uname().version)


def test_it_can_be_written_to_standard_output(machine: Host, tmp_path: Path) -> None:
    for name in ("-", "/dev/stdout"):
        with (tmp_path / "a.gz").open("wb") as output:
            done = machine.mntscope(
                "capture", 1, "-o", name, capture_output=False, stdout=output, stderr=subprocess.PIPE
            )
        assert (done.returncode, done.stderr) == (0, "")
        assert [view.label for view in load(tmp_path / "a.gz").views] == ["host"]


def test_but_not_to_a_terminal(machine: Host) -> None:
    ours, theirs = pty.openpty()
    done = machine.mntscope("capture", 1, "-o", "-", capture_output=False, stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    what = "a snapshot is nothing for a terminal; redirect standard output, or give -o FILE"
    assert done.stderr == f"mntscope: {what}\n"


def test_a_pipe_that_nobody_reads_is_no_traceback(machine: Host) -> None:
    read, write = os.pipe()
    os.close(read)
    done = machine.mntscope("capture", 1, "-o", "-", capture_output=False, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


def test_the_machines_name_can_be_left_out(machine: Host, tmp_path: Path) -> None:
    name = os.uname().nodename

    def named() -> None:
        # As device mapper has a volume group that is called as the machine, with a hyphen of its own.
        syscalls.mount(f"{name}-data", "/mnt", "tmpfs", 0)
        syscalls.mount(f"/dev/mapper/{name.upper()}--vg", "/mnt", "tmpfs", 0)
        os.mkdir(f"/mnt/{name}")
        syscalls.mount("none", f"/mnt/{name}", "tmpfs", 0)

    target = machine.unshare("private", named)
    done = machine.mntscope("capture", target.inner, "--redact", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("machine-")
    assert name not in done.stdout
    text = gzip.decompress(file.read_bytes()).decode()
    assert not re.search(rf"(?i)(?<![0-9a-z]){re.escape(name)}(?![0-9a-z])", text)
    snapshot = load(file)
    assert snapshot.origin.host_name is None
    assert snapshot.origin.machine_id == derived(Path("/etc/machine-id").read_bytes())
    assert {mount.source for mount in snapshot.view(target.inner).mounts} >= {"***-data", "/dev/mapper/***--vg", "none"}
    assert [mount.mount_point for mount in snapshot.view(target.inner).mounts][-1] == "/mnt/***"


def test_a_redacted_snapshot_is_otherwise_the_same() -> None:
    table = b"""\
1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/web-1/root rw
2 1 0:5 / /srv/WEB-1.example.org rw shared:2 - nfs web-1.example.org:/x rw,addr=web-1
3 1 0:6 /web-10 /srv/web-1\\040x rw,relatime - tmpfs web-1x rw
"""
    before = replace(Snapshot.from_mountinfo({"host": table}, kernel="6.1.0-web-1"), origin=Origin("web-1.example.org"))
    after = nameless(before)
    assert (
        after.mountinfo("host")
        == b"""\
1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/***/root rw
2 1 0:5 / /srv/*** rw shared:2 - nfs ***:/x rw,addr=***
3 1 0:6 /web-10 /srv/***\\040x rw,relatime - tmpfs web-1x rw
"""
    )
    assert after.kernel == "6.1.0-***"
    assert nameless(after) == after
    # Called as a directory of every system: then the tables are what they were.
    for name in ("host", "proc", "localhost"):
        snapshot = replace(before, origin=Origin(name))
        assert nameless(snapshot) == before
        assert nameless(snapshot).origin == Origin()


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
