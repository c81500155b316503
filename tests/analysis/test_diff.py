"""What one namespace shows that another does not, and the verdict on both."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given

from mntscope.analysis.diff import Change, Diff, changes, diff
from mntscope.errors import TargetError
from mntscope.kernel import syscalls
from mntscope.model import Mount, View
from mntscope.snapshot import Snapshot
from tests.support import strategies
from tests.support.corpus import OWN, pairs
from tests.support.tables import at, hostile_views, process, two, view
from tests.support.throwaway import Host, Mode

HOST = """
    20 1 8:1 / / rw shared:1
    21 20 0:5 / /proc rw shared:2 - proc proc rw
    22 20 0:6 / /srv/share rw shared:3
    """
COPY = """
    30 9 8:1 / / rw shared:1
    31 30 0:5 / /proc rw shared:2 - proc proc rw
    32 30 0:6 / /srv/share rw shared:3
    """


def compared(target: str, host: str = HOST) -> Diff:
    return diff(two(host, target), "target")


def kinds(result: Diff) -> list[tuple[str, str]]:
    return [(change.kind, change.path) for change in result.changes]


def test_a_copy_of_the_namespace_differs_in_nothing_and_leaks_everything() -> None:
    result = compared(COPY)
    assert result.verdict == "leaks"
    assert result.found
    assert result.changes == ()
    assert [leak.path for leak in result.leaks] == ["/", "/proc", "/srv/share"]


def test_a_slave_copy_receives() -> None:
    result = compared(COPY.replace("shared:", "master:"))
    assert result.verdict == "receives"
    assert not result.found
    assert kinds(result) == [("propagation-changed", path) for path in ("/", "/proc", "/srv/share")]


def test_a_private_copy_is_isolated() -> None:
    result = compared(
        "\n".join(line.split(" shared")[0] for line in COPY.splitlines()).replace("/proc rw", "/proc rw - proc proc rw")
    )
    assert result.verdict == "isolated"
    assert not result.found
    assert result.leaks == ()


def test_a_process_of_the_hosts_own_namespace_is_told_so() -> None:
    result = compared(HOST)
    assert result.verdict == "same-namespace"
    assert result.found
    assert (result.changes, result.leaks) == ((), ())


def test_the_host_itself_is_in_its_own_namespace() -> None:
    assert diff(two(HOST, COPY), "host").verdict == "same-namespace"


def test_a_proc_of_its_own_is_one_removed_and_one_added() -> None:
    own = COPY.replace("31 30 0:5 / /proc rw shared:2", "31 30 0:50 / /proc rw")
    assert kinds(compared(own)) == [("added", "/proc"), ("removed", "/proc")]


def test_an_added_mount_names_the_hosts_mount_that_it_covers() -> None:
    result = compared(COPY + "33 31 0:50 / /proc rw - proc proc rw\n34 33 0:51 / /proc rw")
    first, second = result.changes
    assert (first.kind, first.covers, first.hidden) == ("added", at(result.host, "/proc"), True)
    assert (second.kind, second.covers, second.hidden) == ("added", at(result.host, "/proc"), False)
    assert result.hidden == (at(result.target, "/proc"),), "the host's proc, seen there and covered here"


def test_a_container_shows_the_hosts_mounts_elsewhere() -> None:
    result = compared("30 9 0:6 / / rw master:3")
    change = result.changes[0]
    assert change.host is not None
    assert (change.kind, change.path, change.host.mount_point) == ("moved", "/", "/srv/share")
    assert kinds(result) == [("moved", "/"), ("propagation-changed", "/"), ("removed", "/"), ("removed", "/proc")]


def test_of_several_that_may_have_moved_the_one_of_the_same_group_did() -> None:
    host = "20 1 8:1 / / rw\n21 20 0:6 / /a rw shared:3\n22 20 0:6 / /b rw shared:4"
    result = compared("30 9 8:1 / / rw\n31 30 0:6 / /c rw master:4", host)
    moved = result.changes[0]
    assert moved.host == at(result.host, "/b")


def test_a_second_mount_of_the_same_is_added_not_moved() -> None:
    assert kinds(compared(COPY + "33 30 0:6 / /again rw")) == [("added", "/again")]


def test_other_options_are_a_remount_and_may_come_with_other_propagation() -> None:
    result = compared(COPY.replace("/srv/share rw shared:3", "/srv/share ro,nosuid master:3"))
    assert kinds(result) == [("remounted", "/srv/share"), ("propagation-changed", "/srv/share")]
    changed = compared(COPY.replace("/srv/share rw shared:3", "/srv/share rw shared:3 - tmpfs none rw,size=4k"))
    assert kinds(changed) == [("remounted", "/srv/share")]


def test_unbindable_is_a_change_of_propagation() -> None:
    host, target = "20 1 8:1 / / rw", "30 9 8:1 / / rw unbindable"
    assert kinds(compared(target, host)) == [("propagation-changed", "/")]


def test_another_order_in_the_stack_is_a_move() -> None:
    host = "20 1 8:1 / / rw\n21 20 0:5 / /x rw\n22 21 0:6 / /x rw\n23 22 0:7 / /x rw"
    target = "30 9 8:1 / / rw\n31 30 0:7 / /x rw\n32 31 0:5 / /x rw\n33 32 0:6 / /x rw"
    result = compared(target, host)
    (change,) = result.changes
    assert (change.kind, change.target) == ("moved", result.target.mounts[1])


def test_a_mount_that_something_covers_in_the_target_only_is_reported() -> None:
    result = compared(COPY + "33 30 0:60 / /srv rw")
    assert result.hidden == (at(result.target, "/srv/share"),)


def test_a_focused_question_is_about_the_mount_that_contains_the_path() -> None:
    snapshot = two(HOST, COPY.replace("/proc rw shared:2", "/proc rw") + "33 32 0:60 / /srv/share/own rw")
    result = diff(snapshot, "target", "/proc/1")
    assert (result.verdict, result.leaks) == ("isolated", ())
    assert result.containing == at(result.target, "/proc")
    assert kinds(result) == [("propagation-changed", "/proc")]
    result = diff(snapshot, "target", "/srv/share/new/")
    assert (result.verdict, result.path, result.changes) == ("leaks", "/srv/share/new", ())
    assert [leak.lands_at for leak in result.leaks] == [("/srv/share/new",)]
    assert diff(snapshot, "target", "/srv/share/own").verdict == "isolated"


def test_a_path_in_a_mount_that_is_not_shown_cannot_be_judged() -> None:
    snapshot = two(HOST, "84 83 0:44 / /proc rw")
    with pytest.raises(TargetError, match="contains '/etc'"):
        diff(snapshot, "target", "/etc")
    (problem,) = diff(snapshot, "target").not_seen
    assert "root directory is not shown" in str(problem)


def test_a_master_group_without_members_is_named_where_it_may_matter() -> None:
    host = "20 1 8:1 / / rw\n21 20 0:6 / /a rw master:7"
    (problem,) = compared("30 9 8:1 / / rw\n31 30 0:6 / /a rw shared:5", host).not_seen
    assert "master group 7" in str(problem)
    assert compared("30 9 8:1 / / rw\n31 30 0:60 / /a rw shared:5", host).not_seen == ()


def test_a_view_can_be_given_and_another_can_play_the_host() -> None:
    snapshot = two(HOST, COPY)
    assert diff(snapshot, view("more", "40 9 8:1 / / rw master:1")).verdict == "receives"
    assert diff(snapshot, "host", against="target").host.label == "target"
    assert diff(snapshot, snapshot.view("target")).verdict == "leaks"


def test_the_same_table_at_two_moments_can_be_compared() -> None:
    before, after = view("before", HOST), view("after", HOST + "23 20 0:7 / /new rw")
    assert changes(before, after) == (Change("added", "/new", None, after.mounts[-1]),)


COVERED = HOST + "23 21 0:50 / /proc rw shared:9 - proc proc rw"
COVERED_TOO = COPY + "33 31 0:50 / /proc rw shared:9 - proc proc rw"


def test_a_proc_of_another_pid_namespace_over_the_hosts_is_damage() -> None:
    host = view("host", COVERED, process=process(7), proc_pid_namespace=8)
    result = diff(Snapshot((host, view("target", "30 9 8:1 / / rw")), "host"), "target")
    (damage,) = result.damage
    assert damage.certain
    assert result.found
    assert (damage.cover, damage.covered) == (host.mounts[-1], at(host, "/proc"))
    assert str(damage) == (
        "the host's /proc is covered by the proc of another PID namespace (8; its own is 7);"
        " umount /proc on the host uncovers its own"
    )


def test_a_second_proc_of_the_hosts_own_pid_namespace_is_none() -> None:
    host = view("host", COVERED, process=process(7), proc_pid_namespace=7)
    assert diff(Snapshot((host, view("target", COVERED_TOO)), "host"), "target").damage == ()


def test_from_tables_alone_damage_is_a_suspicion() -> None:
    result = compared(COVERED_TOO.replace("shared:", "master:"), COVERED)
    (damage,) = result.damage
    assert not damage.certain
    assert not result.found
    assert compared(COPY, COVERED).damage == (), "the target has nothing to do with it"
    assert compared(COPY, HOST).damage == ()


def test_anything_else_over_the_hosts_proc_is_damage() -> None:
    (damage,) = compared(COPY, HOST + "23 21 0:50 / /proc rw").damage
    assert damage.certain
    assert "covered by a tmpfs" in str(damage)


@given(strategies.views(("host",)))
def test_a_namespace_does_not_differ_from_itself(views: tuple[View, ...]) -> None:
    (host,) = views
    again = View("again", host.mounts)
    result = diff(Snapshot((host, again), "host"), "again")
    assert (result.verdict, result.changes, result.leaks) == ("same-namespace", (), ())
    assert changes(host, again) == ()


@given(strategies.views(("host", "target")))
def test_every_mount_is_accounted_for_once(views: tuple[View, ...]) -> None:
    host, target = views
    found = changes(host, target)
    for kind, mounts, side in (("removed", host.mounts, "host"), ("added", target.mounts, "target")):
        alone = Counter(getattr(change, side) for change in found if change.kind == kind)
        others = {getattr(change, side) for change in found if change.kind != kind}
        assert alone <= Counter(mounts)
        assert not others & set(alone)
    removed = sum(change.kind == "removed" for change in found)
    added = sum(change.kind == "added" for change in found)
    assert len(host.mounts) - removed == len(target.mounts) - added
    backwards = Counter(change.kind for change in changes(target, host))
    forwards = Counter(change.kind for change in found)
    assert (forwards["added"], forwards["removed"]) == (backwards["removed"], backwards["added"])


@given(hostile_views("host"), hostile_views("target"))
def test_no_tables_break_it(host: View, target: View) -> None:
    result = diff(Snapshot((host, target), "host"), "target")
    assert result.found == (result.verdict in ("leaks", "same-namespace") or any(d.certain for d in result.damage))
    same = changes(host, View("again", host.mounts))
    assert same == ()


@pytest.mark.parametrize("shape", ["stacked, one group", "stacked, each its own", "side by side", "roots of one group"])
def test_ten_thousand_mounts_take_seconds(shape: str) -> None:
    def mounts(first: int) -> tuple[Mount, ...]:
        def mount(i: int) -> Mount:
            stacked = shape.startswith("stacked")
            one = "one group" in shape
            return Mount(
                mount_id=first + i,
                parent_id=first + i - 1 if stacked else first,
                device="0:1" if one else f"0:{i}",
                root=f"/v/{i}" if shape.startswith("roots") else "/",
                mount_point="/x" if stacked else f"/m/{i}",
                options=("rw",),
                fs_type="tmpfs",
                source="",
                super_options=("rw",),
                peer_group=1 if one else i,
            )

        top = Mount(first, 0, "8:1", "/", "/", ("rw",), "ext4", "", ("rw",))
        return (top, *map(mount, range(1, 10_000)))

    begun = time.monotonic()
    snapshot = Snapshot((View("host", mounts(10)), View("target", mounts(1_000_010))), "host")
    result = diff(snapshot, "target")
    assert time.monotonic() - begun < 20
    assert result.changes == ()
    assert len(result.leaks) == 9_999
    assert all(leak.complete for leak in result.leaks)


def test_recorded_containers_leak_where_they_are_known_to(capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for host, table in pairs(OWN):
        result = diff(two(host.read(), table.read()), "target")
        worst = result.leaks[0] if result.leaks else None
        lines.append(
            f"{table.name:40} {result.verdict:10} {len(result.leaks):3} leaks"
            f" {len(result.changes):3} changes  {worst.severity + ' ' + worst.path if worst else ''}"
        )
        assert (result.verdict == "leaks") == table.leak, table.name
    assert len(lines) > 10
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("propagation", "verdict"),
    [("unchanged", "leaks"), ("shared", "leaks"), ("slave", "receives"), ("private", "isolated")],
)
def test_the_verdict_on_what_unshare_makes(host: Host, propagation: Mode, verdict: str) -> None:
    actor = host.unshare(propagation)
    result = diff(two(host.mountinfo(), host.mountinfo(actor)), "target")
    assert result.verdict == verdict
    expected = set() if verdict == "leaks" else {"propagation-changed"}
    assert {change.kind for change in result.changes} == expected


def test_the_verdict_on_a_process_of_the_host(host: Host) -> None:
    assert diff(two(host.mountinfo(), host.mountinfo(host.spawn())), "target").verdict == "same-namespace"


def test_what_a_process_mounts_for_itself_is_added_and_covers(host: Host, tmp_path: Path) -> None:
    top = str(tmp_path)
    host.call(syscalls.mount, "none", top, "tmpfs", 0)

    def set_up() -> None:
        syscalls.mount("none", top, "tmpfs", 0)
        syscalls.mount(None, "/", None, syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_NODEV)

    actor = host.unshare("private", set_up)
    result = diff(two(host.mountinfo(), host.mountinfo(actor)), "target")
    (added,) = [change for change in result.changes if change.kind == "added"]
    (remounted,) = [change for change in result.changes if change.kind == "remounted"]
    assert (added.path, added.covers) == (top, at(result.host, top))
    assert remounted.path == "/"
    assert result.hidden == (at(result.target, top),)
