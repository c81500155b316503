"""A path gone name by name leads where the kernel leads, and shows each link and directory on the way."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mntscope.kernel.walk import DIRECTORY, MOST_LINKS, Walk


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "file").write_text("here")
    (tmp_path / "relative").symlink_to("a/b")
    (tmp_path / "a" / "absolute").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "b" / "upwards").symlink_to("../../relative/../file")
    (tmp_path / "a" / "nowhere").symlink_to("not/there")
    (tmp_path / "circle").symlink_to("circle")
    return tmp_path


def walked(path: str, start: Path | None = None) -> str:
    """What the way leads to, by its name."""
    walk = Walk(os.open("/", DIRECTORY), start=os.open(start, DIRECTORY) if start else None)
    rest = path
    while link := walk.along(rest):
        rest = link.path
    return os.readlink(f"/proc/self/fd/{walk.fd}")


@pytest.mark.parametrize(
    "path",
    ["", "a", "a/b/../file", "relative", "relative/..", "a/absolute/b/./", "a/b/upwards", "a/absolute/absolute//file"],
)
def test_it_leads_where_the_kernel_leads(tree: Path, path: str) -> None:
    assert walked(f"{tree}/{path}") == os.path.realpath(tree / path)
    assert walked(path, tree) == os.path.realpath(tree / path)


def test_upwards_from_where_it_began(tree: Path) -> None:
    assert walked("../file", tree / "a" / "b") == str(tree / "a" / "file")
    assert walked("../../../../../../../../../..", tree / "a" / "b") == "/"


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("missing", errno.ENOENT),
        ("a/nowhere", errno.ENOENT),
        ("a/file/x", errno.ENOTDIR),
        ("a/file/", errno.ENOTDIR),
        ("a/file/..", errno.ENOTDIR),
        ("circle", errno.ELOOP),
    ],
)
def test_where_it_leads_nowhere_it_fails_as_the_kernel_does(tree: Path, path: str, number: int) -> None:
    with pytest.raises(OSError) as caught:  # noqa: PT011 - by its number
        walked(f"{tree}/{path}")
    assert caught.value.errno == number
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the same
        os.stat(f"{tree}/{path}")
    assert caught.value.errno == number


def test_a_link_is_shown_before_it_is_followed(tree: Path) -> None:
    walk = Walk(os.open(tree, DIRECTORY))
    link = walk.along("relative/../file")
    assert link is not None
    assert (link.place, link.path) == ("/relative", "a/b/../file")
    assert link.status.st_ino == (tree / "relative").lstat().st_ino
    assert walk.along(link.path) is None
    assert walk.place == "/a/file"


def test_the_root_directory_is_not_left(tree: Path) -> None:
    walk = Walk(os.open(tree / "a", DIRECTORY))
    link = walk.along("../../absolute")
    assert link is not None
    # What the link says counts from the root of the walk, where there is no such thing.
    with pytest.raises(FileNotFoundError):
        walk.along(link.path)
    assert walk.place == "/"


def test_the_last_name_may_be_left_to_the_caller(tree: Path) -> None:
    walk = Walk(os.open("/", DIRECTORY), start=os.open(tree, DIRECTORY))
    assert walk.along("a/new", to_the_last=False) is None
    assert (walk.last, os.readlink(f"/proc/self/fd/{walk.fd}")) == ("new", str(tree / "a"))
    link = walk.along("nowhere", to_the_last=False)
    assert link is not None
    assert link.path == "not/there"


def test_every_directory_is_shown_before_a_name_is_looked_up_in_it(tree: Path) -> None:
    seen: list[str] = []
    walk = Walk(os.open(tree, DIRECTORY), passing=lambda _, place: seen.append(place))
    assert walk.along("a/b/../file") is None
    assert seen == ["/", "/a", "/a"]


def test_so_many_links_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    for number in range(1, MOST_LINKS + 2):
        (tmp_path / str(number)).symlink_to(str(number - 1))
    assert walked(f"{tmp_path}/{MOST_LINKS}") == f"{tmp_path}/0"
    with pytest.raises(OSError, match="Too many levels"):
        walked(f"{tmp_path}/{MOST_LINKS + 1}")
