"""Isolating where mounts cover others: what can be reached becomes private, what cannot is named and stays."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import pytest

from mntscope import RefusedError
from mntscope.isolate import IrreversibleError
from mntscope.kernel import syscalls
from tests.support.features import SET_GROUP, needs
from tests.support.isolating import in_namespace_of, isolated, leaking, lines_at, undone
from tests.support.throwaway import Actor, Host


def propagation(host: Host, path: str, target: Actor | None = None) -> list[str]:
    """``shared``, ``master`` or nothing of each mount at a path, in the order of the table."""
    words = (line.split(" ")[6] for line in lines_at(host, path, target))
    return [word.partition(":")[0].strip("-") for word in words]


def covered_family() -> None:
    """A tmpfs at /mnt, with ``a`` and ``b`` in it, ``a/deep`` in that; and one more that covers all of ``a``."""
    syscalls.mount("top", "/mnt", "tmpfs", 0)
    for name in ("a", "a/deep", "b"):
        os.mkdir(f"/mnt/{name}")
        syscalls.mount(name, f"/mnt/{name}", "tmpfs", 0)
    syscalls.mount("over", "/mnt/a", "tmpfs", 0)


@pytest.fixture
def target(host: Host) -> Actor:
    """A leaking target, on a host on which mounts are covered."""
    host.call(covered_family)
    return leaking(host)


@needs(SET_GROUP)
def test_what_is_reachable_becomes_private_and_what_is_covered_is_named(
    host: Host, target: Actor, tmp_path: Path
) -> None:
    before = host.mountinfo(), host.mountinfo(target)
    journal = tmp_path / "journal"
    words = ("isolate", target.pid, "/mnt", "--recursive", "--type", "private", "--against", host.pid)
    done = host.mntscope(*words, "--journal", journal, "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert [mount["mount_point"] for mount in told["covered"]] == ["/mnt/a", "/mnt/a/deep"]
    assert told["irreversible"] == []
    (first, _) = told["notes"]
    assert "the tmpfs at /mnt/a stays shared, because another mount covers it and no path leads to it" in first
    assert "to unmount what covers it also unmounts in" in first
    assert propagation(host, "/mnt", target) == [""]
    assert propagation(host, "/mnt/b", target) == [""]
    assert propagation(host, "/mnt/a", target) == ["shared", ""], "the covered one, and what covers it"
    assert propagation(host, "/mnt/a/deep", target) == ["shared"]
    assert host.mountinfo() == before[0]
    assert host.mntscope("undo", journal).returncode == 0
    assert (host.mountinfo(), host.mountinfo(target)) == before


def test_to_unmount_what_covers_it_does_reach_the_host_as_the_note_says(
    host: Host, target: Actor, tmp_path: Path
) -> None:
    isolated(host, target, "/mnt", journal=tmp_path / "journal", kind="private", recursive=True)
    assert len(lines_at(host, "/mnt/a")) == 2
    in_namespace_of(target.pid, lambda: syscalls.umount2("/mnt/a", 0))
    assert len(lines_at(host, "/mnt/a")) == 1
    assert len(lines_at(host, "/mnt/a", target)) == 1


def test_what_is_mounted_anywhere_that_a_path_leads_to_stays_inside(host: Host, target: Actor, tmp_path: Path) -> None:
    isolated(host, target, "/mnt", journal=tmp_path / "journal", kind="private", recursive=True)
    before = host.mountinfo()
    for path in ("/mnt/a", "/mnt/b", "/mnt"):
        in_namespace_of(target.pid, partial(syscalls.mount, "new", path, "tmpfs", 0))
        assert host.mountinfo() == before


def test_all_of_a_root_with_something_covered_below(host: Host, target: Actor, tmp_path: Path) -> None:
    before = host.mountinfo(), host.mountinfo(target)
    done = isolated(host, target, "/", journal=tmp_path / "journal", kind="private", recursive=True, force=False)
    assert done.verified
    shared = [line for line in host.mountinfo(target).decode().splitlines() if " shared:" in line]
    covered = {str(mount.mount_id) for mount in done.plan.covered}
    assert {line.split(" ")[0] for line in shared} == covered
    undone(host, tmp_path / "journal")
    assert (host.mountinfo(), host.mountinfo(target)) == before


def test_without_recursive_what_is_covered_elsewhere_does_not_matter(host: Host, target: Actor, tmp_path: Path) -> None:
    before = host.mountinfo(), host.mountinfo(target)
    done = isolated(host, target, "/mnt/a", journal=tmp_path / "journal", kind="private")
    assert done.plan.covered == ()
    assert propagation(host, "/mnt/a", target) == ["shared", ""]
    undone(host, tmp_path / "journal")
    assert (host.mountinfo(), host.mountinfo(target)) == before


@needs(SET_GROUP)
def test_forced_it_takes_what_is_covered_too_and_undo_waits_until_that_is_uncovered(
    host: Host, target: Actor, tmp_path: Path
) -> None:
    done = isolated(host, target, "/mnt", journal=tmp_path / "1", kind="private", recursive=True, force=True)
    assert any("/mnt/a cannot rejoin peer group" in what for what in done.irreversible)
    assert not isinstance(done, IrreversibleError)
    as_isolated = host.mountinfo(target)
    with pytest.raises(RefusedError, match=r"/mnt/a cannot rejoin peer group.*nothing is changed"):
        undone(host, tmp_path / "1")
    assert host.mountinfo(target) == as_isolated
    # On the host, too: what covers the mount that is to be rejoined hides it there.
    host.call(syscalls.umount2, "/mnt/a", 0)
    in_namespace_of(target.pid, lambda: syscalls.umount2("/mnt/a", 0))
    undone(host, tmp_path / "1")
    assert propagation(host, "/mnt/a", target) == ["shared"]
