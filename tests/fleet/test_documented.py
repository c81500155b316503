"""What ``docs/fleet.md`` gives to copy does what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mntscope import fleet
from tests.support.repository import ROOT

DOCS = ROOT / "docs" / "fleet"


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH on which mntscope and python3 are those of the tests, and hosts are reached by nothing but their name."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "mntscope").write_text(f'#!/bin/sh\nexec {sys.executable} -P -m mntscope "$@"\n')
    (programs / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (programs / "ssh").write_text('#!/bin/sh\n[ "$5" = down ] && exit 255\nshift 7\nexec "$@"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    return f"{programs}:{os.environ['PATH']}"


def hosts(source: Path, dataset: Path) -> int:
    return fleet.add([str(source)], str(dataset), workers=1).added


def test_the_daemonset_writes_a_snapshot_a_day(path: str, tmp_path: Path, namespaces: None) -> None:
    manifest = yaml.safe_load((DOCS / "daemonset.yaml").read_text())
    pod = manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["hostPID"] is True
    assert "privileged" not in container["securityContext"]
    (tmp_path / "scratch").mkdir()
    script = container["args"][0].replace("/scratch/", f"{tmp_path}/scratch/").replace("sleep 86400", "exit 0")
    told = {"PATH": path, "BUCKET": f"file://{tmp_path}/bucket", "NODE": "node-1"}
    (tmp_path / "bucket").mkdir()
    day = subprocess.run(["date", "-u", "+%F"], check=True, capture_output=True, text=True).stdout.strip()
    (tmp_path / "bucket" / day).mkdir()
    done = subprocess.run(
        [*container["command"], script], env=os.environ | told, check=True, capture_output=True, text=True
    )
    assert done.stderr == ""
    assert (tmp_path / "bucket" / day / "node-1.mntscope.json.gz").is_file()
    assert hosts(tmp_path / "bucket", tmp_path / "fleet") == 1


def test_the_loop_over_ssh_names_who_is_down_and_does_the_rest(path: str, tmp_path: Path, namespaces: None) -> None:
    command = ["sh", str(DOCS / "collect.sh"), str(tmp_path / "in"), "web-1", "down"]
    done = subprocess.run(command, env=os.environ | {"PATH": path}, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "collect.sh: down: no snapshot\n")
    (day,) = (tmp_path / "in").iterdir()
    assert [one.name for one in day.iterdir()] == ["web-1.mntscope.json.gz"]
    assert hosts(tmp_path / "in", tmp_path / "fleet") == 1


def test_the_playbook_is_one() -> None:
    (play,) = yaml.safe_load((DOCS / "playbook.yaml").read_text())
    assert [task["name"] for task in play["tasks"]] == ["capture", "fetch", "remove"]
    program = shutil.which("ansible-playbook")
    if program is None:
        pytest.skip("not installed: ansible-playbook")
    subprocess.run([program, "--syntax-check", "-i", "localhost,", str(DOCS / "playbook.yaml")], check=True)
