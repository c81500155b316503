"""Looking at paths before somebody needs them."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from mntscope.live.files import look


def test_directories_files_and_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = look([str(tmp_path), f"{tmp_path}/file", f"{tmp_path}/nothing", "/dev/null"])
    assert found.kind(str(tmp_path)) == "directory"
    assert found.kind(f"{tmp_path}/file") == "file"
    assert found.kind("/dev/null") == "file"
    assert found.kind(f"{tmp_path}/nothing") == "missing"
    assert found.kind("/nobody/has/looked") is None


def test_links_stay_below_the_root_directory(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "var").mkdir()
    (tmp_path / "var/run").symlink_to("/run")
    (tmp_path / "out").symlink_to("../../../../../etc")
    found = look(["/var/run/volume", "/out"], str(tmp_path))
    assert found.real("/var/run/volume") == "/run/volume"
    assert found.real("/var/run/volume/below") == "/run/volume/below"
    assert (found.real("/out"), found.kind("/out")) == ("/etc", "missing")


def test_many_paths_take_no_more_descriptors_than_one(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before + 20, hard))
    try:
        found = look(f"{tmp_path}/{number}/a/b/c" for number in range(100))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(found.kinds) == 100
    assert len(os.listdir("/proc/self/fd")) == before


def test_of_a_root_directory_that_is_not_there_nothing_is_known(tmp_path: Path) -> None:
    assert look(["/etc"], f"{tmp_path}/nothing").kinds == {}
