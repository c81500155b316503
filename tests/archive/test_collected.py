"""The lines of docs/capture-without-mntscope.md collect what mntscope reads."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mntscope import Snapshot, capture, load
from mntscope.base.records import replace
from tests.support.repository import ROOT
from tests.support.throwaway import Actor, Host

PAGE = (ROOT / "docs/capture-without-mntscope.md").read_text("utf-8")
COPIES, SOS, TWO_TABLES = re.findall(r"^```sh\n(.*)\n```$", PAGE, re.MULTILINE)
PASSWORD = "hunter2"


@pytest.fixture
def target(machine: Host) -> Actor:
    """A process whose mount namespace leaks."""
    return machine.unshare("unchanged")


def collected(machine: Host, folder: Path, line: str, *shell: str, **environment: str) -> None:
    done = machine.run(
        [*(shell or ("sh",)), "-c", line], cwd=folder, env={**os.environ, **environment}, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr


def told(machine: Host, *words: object) -> Any:
    """What a command says, but for where it has it from, and but for the inodes of namespaces, which no table has."""
    done = machine.mntscope(*words, "--format", "json")
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def diff_is_that_of_the_machine(machine: Host, target: Actor, file: Path) -> None:
    live = told(machine, "diff", target.inner)
    kept = told(machine, "diff", f"snapshot:{file}#{target.inner}")
    assert live["verdict"] == "leaks"
    assert live["leaks"]
    assert [kept[key] for key in ("verdict", "leaks", "changes")] == [
        live[key] for key in ("verdict", "leaks", "changes")
    ]


def says_what_runs_here(snapshot: Snapshot) -> None:
    here = os.uname()
    assert snapshot.kernel == here.release
    assert snapshot.mount_max == int(Path("/proc/sys/fs/mount-max").read_text())
    assert here.version in (snapshot.kernel_version or "")


def test_copies_of_the_tables(machine: Host, target: Actor, tmp_path: Path) -> None:
    collected(machine, tmp_path, COPIES)
    assert [path.name for path in tmp_path.iterdir()] == ["machine.tar.gz"]
    assert (tmp_path / "machine.tar.gz").stat().st_mode & 0o077 == 0
    diff_is_that_of_the_machine(machine, target, tmp_path / "machine.tar.gz")
    snapshot = load(tmp_path / "machine.tar.gz")
    says_what_runs_here(snapshot)
    assert snapshot.distribution
    assert snapshot.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    live = machine.call(capture)
    assert replace(snapshot.origin, time=None) == replace(live.origin, time=None, mntscope=None)
    assert 0 <= (live.origin.time or 0) - (snapshot.origin.time or 0) < 600
    comm = Path(f"/proc/{target.pid}/comm").read_text().strip()
    assert [process.comm for process in snapshot.view(target.inner).namespace.processes] == [comm]


def test_copies_that_busybox_makes(machine: Host, target: Actor, tmp_path: Path) -> None:
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is not installed")
    programs, folder = tmp_path / "bin", tmp_path / "collected"
    for path in (programs, folder):
        path.mkdir()
    for name in ("cp", "date", "gzip", "mktemp", "rm", "tar"):
        (programs / name).symlink_to(busybox)
    collected(machine, folder, COPIES, busybox, "sh", PATH=str(programs))
    diff_is_that_of_the_machine(machine, target, folder / "machine.tar.gz")


def test_a_sosreport(machine: Host, target: Actor, tmp_path: Path) -> None:
    if shutil.which("sos") is None:
        pytest.skip("sos is not installed")
    collected(machine, tmp_path, SOS)
    (report,) = tmp_path.glob("*.tar.*z")
    diff_is_that_of_the_machine(machine, target, report)
    says_what_runs_here(load(report))


def test_the_tables_of_two_processes(machine: Host, tmp_path: Path) -> None:
    collected(machine, tmp_path, TWO_TABLES)
    words = re.findall(r"^mntscope (diff file:.*)$", PAGE, re.MULTILINE)[0].split()
    done = machine.mntscope(*words, "--format", "json", cwd=tmp_path)
    assert json.loads(done.stdout)["verdict"] == "same-namespace"


def test_what_is_shown_of_the_capture_works(machine: Host, target: Actor, tmp_path: Path) -> None:
    collected(machine, tmp_path, COPIES)
    lines = re.findall(r"^mntscope (.*machine\.tar\.gz.*)$", PAGE, re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        done = machine.mntscope(*line.replace("4711", str(target.inner)).split(), cwd=tmp_path)
        assert (done.returncode in (0, 1), done.stderr) == (True, ""), line


def test_no_report_shows_a_password_that_is_in_it(machine: Host, tmp_path: Path) -> None:
    table = f"1 0 8:1 / / rw - ext4 a rw\n2 1 0:5 / /srv rw - cifs //nas/x rw,password={PASSWORD}\n"
    (tmp_path / "proc/1").mkdir(parents=True)
    (tmp_path / "proc/1/mountinfo").write_text(table)
    subprocess.run(["tar", "-czf", "machine.tar.gz", "proc"], cwd=tmp_path, check=True)
    done = machine.mntscope("tree", f"snapshot:{tmp_path}/machine.tar.gz#host", "--format", "json")
    assert "//nas/x" in done.stdout
    assert PASSWORD not in done.stdout
