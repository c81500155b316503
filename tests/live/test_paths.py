"""Paths are followed as the process would follow them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mntscope import TargetError
from mntscope.live.paths import real_path
from tests.support.throwaway import Host


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "relative").symlink_to("a/../link/b")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("a/b", "a/b"),
        ("link/b", "a/b"),
        ("relative", "a/b"),
        ("link/../file", "file"),  # the parent of what the link names, not of the link
        ("./a//b/", "a/b"),
    ],
)
def test_links_are_followed(tree: Path, path: str, leads_to: str) -> None:
    assert real_path(os.getpid(), f"{tree}/{path}") == os.path.realpath(tree / leads_to)


@pytest.mark.parametrize("path", ["nowhere", "loop", "file/below", "x" * 300])
def test_what_does_not_exist_leads_nowhere(tree: Path, path: str) -> None:
    assert real_path(os.getpid(), f"{tree}/{path}") is None


def test_nothing_leads_out_of_the_root_directory(host: Host, tree: Path) -> None:
    (tree / "out").symlink_to("/../../a")
    jailed = host.spawn(lambda: os.chroot(tree))
    assert real_path(jailed.pid, "/out/b") == "/a/b"
    assert real_path(jailed.pid, "/../..") == "/"


def test_a_process_that_is_gone_is_an_error(host: Host) -> None:
    gone = host.spawn()
    host.kill(gone)
    with pytest.raises(TargetError, match=f"process {gone.pid}"):
        real_path(gone.pid, "/")
