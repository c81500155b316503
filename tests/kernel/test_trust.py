"""Who else can have written a file: one answer for journals, settings, state files and what is to be replaced."""

from __future__ import annotations

import grp
import os
from pathlib import Path

import pytest

from mntscope.kernel.trust import who_else
from tests.support.throwaway import NOBODY, become_nobody, in_fork


def said_of(file: Path, uid: int, mode: int, *, own_group: bool = False) -> str:
    file.touch()
    os.chown(file, uid, uid)
    file.chmod(mode)
    return who_else(file.stat(), own_group=own_group)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize(
    ("uid", "mode", "by_root", "by_nobody"),
    [
        (0, 0o644, "", ""),
        (0, 0o664, "others", "others"),
        (0, 0o646, "others", "others"),
        (NOBODY, 0o600, "owner", ""),
        (NOBODY, 0o620, "owner", "others"),
        (12345, 0o600, "owner", "owner"),
    ],
)
def test_it_is_told_by_owner_and_mode(tmp_path: Path, uid: int, mode: int, by_root: str, by_nobody: str) -> None:
    file = tmp_path / "file"
    assert said_of(file, uid, mode) == by_root
    status = file.stat()

    def body() -> str:
        become_nobody()
        return who_else(status)

    assert in_fork(body) == by_nobody


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize(
    ("mode", "members", "expected"),
    [(0o664, [], ""), (0o664, ["carol"], "others"), (0o666, [], "others"), (0o646, [], "others")],
)
def test_a_group_of_ones_own_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, members: list[str], expected: str
) -> None:
    # No kernel fact: a table of this machine's, which may say anything.
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group(("nobody", "x", gid, members)))
    file = tmp_path / "file"
    assert said_of(file, NOBODY, mode) == "owner"
    status = file.stat()

    def body() -> str:
        become_nobody()
        return who_else(status, own_group=True)

    assert in_fork(body) == expected


def test_of_roots_own_group_there_may_be_others(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    file.chmod(0o664)
    if os.geteuid() == 0:
        assert who_else(file.stat(), own_group=True) == "others"


def test_only_those_that_are_named_are_trusted(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch(0o600)
    assert who_else(file.stat(), (os.geteuid(),)) == ""
    assert who_else(file.stat(), (12345,)) == "owner"
