"""The fixtures: each is what README says, tells nothing of the machine it was made on, and can be made again."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import mntscope
from mntscope import Snapshot
from tests.support import scenes
from tests.support.repository import ROOT

FIXTURES = ROOT / "fixtures"
FILES = sorted(FIXTURES.glob("*.mntscope.json*"))
SOURCES = {
    "root", "proc", "sysfs", "cgroup2", "udev", "devpts", "tmpfs", "overlay", "none", "nsfs",
    "logs", "data", "kubelet", "volume", "scratch", "private-tmp", "pvc-1", "pvc-2", "pins", "scene-run",
}  # fmt: skip
"""Of all that is mounted in the fixtures that were made."""
MADE = [file for file in FILES if file.suffix == ".gz"]

Shape = list[tuple[str, bool, Counter[str]]]


@pytest.fixture(scope="module")
def made_again(namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    scenes.need("runc", "bwrap", "busybox", "nsenter")
    if " - cgroup2 " not in Path("/proc/self/mountinfo").read_text():
        pytest.skip("no cgroup mount of version 2: units and containers have cgroups")
    directory = tmp_path_factory.mktemp("fixtures")
    making = [sys.executable, "-m", "fixtures.make", str(directory)]
    done = subprocess.run(making, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return directory


def shape(snapshot: Snapshot) -> Shape:
    """What does not depend on the kernel's numbers: whose namespaces there are, and what is mounted where, and how."""
    found = []
    for view in snapshot.views:
        space = view.namespace
        mounts = Counter(f"{m.fs_type} {m.source} at {m.mount_point}, {m.propagation}" for m in view.mounts)
        found.append((str(space.owner or ""), bool(space.processes), mounts))
    return sorted(found, key=repr)


def test_the_readme_tells_of_each_file() -> None:
    named = re.findall(r"^\| `([^`]+)` \| \S", (FIXTURES / "README.md").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(file.name for file in (*FILES, *FIXTURES.glob("*.rec")))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_is_small_and_complete(file: Path) -> None:
    assert file.stat().st_size < 300_000
    snapshot = mntscope.load(file)
    assert snapshot.host.label == "host"
    assert snapshot.not_seen == ()
    assert [view.problems for view in snapshot.views] == [()] * len(snapshot.views)


@pytest.mark.parametrize("file", MADE, ids=lambda file: file.name)
def test_nothing_is_told_of_the_machine_it_was_made_on(file: Path) -> None:
    snapshot = mntscope.load(file)
    assert re.fullmatch(r"\d+\.\d+\.\d+", snapshot.kernel or "")
    mounts = snapshot.mounts
    # Its disks, and whatever was mounted there.
    assert {mount.device.partition(":")[0] for mount in mounts} == {"0"}
    assert [mount for mount in mounts if mount.source.startswith("/dev/")] == []
    assert {mount.source for mount in mounts} <= SOURCES
    cgroups = {process.cgroup for view in snapshot.views for process in view.namespace.processes}
    paths = {line.split(":", 2)[2] for cgroup in cgroups for line in cgroup.splitlines()}
    assert {
        path for path in paths if not re.fullmatch(r"/(system\.slice/[a-z]+\.service|mntscope-1-[a-z0-9-]+)?", path)
    } == set()


def test_each_can_be_made_again(made_again: Path) -> None:
    again = {file.name: shape(mntscope.load(file)) for file in made_again.iterdir()}
    assert again == {file.name: shape(mntscope.load(file)) for file in MADE}
