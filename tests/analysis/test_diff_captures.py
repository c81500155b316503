"""Two captures of one machine: which namespace is which, what became of its mounts, and which leaks are new."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mntscope import compare, load
from mntscope.analysis.diff_captures import CapturesDiff
from mntscope.errors import TargetError
from mntscope.model import Namespace, Owner, Process, View
from mntscope.snapshot import Snapshot
from tests.support.repository import FIXTURES
from tests.support.tables import hostile_mounts, view

HOST = """
    20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
    21 20 0:5 / /proc rw shared:12 - proc proc rw"""
OWN = """
    40 1 8:1 / / rw - ext4 /dev/sda1 rw
    41 40 0:5 / /proc rw - proc proc rw"""
LEAKING = OWN.replace("/proc rw", "/proc rw shared:12")


def of(label: str, table: str, *, inode: int | None = None, start: int = 100, **given: Any) -> View:
    """A view of a namespace in which one process lives, whose pid is the label."""
    processes = (Process(int(label), start, "sleep"),) if label.isdecimal() else ()
    owner = Owner("docker", given.pop("owner")) if "owner" in given else None
    return view(label, table, namespace=Namespace(inode, given.pop("id", None), 1, processes, owner), **given)


def capture(*others: View, host: str = HOST, boot: str | None = "a") -> Snapshot:
    views = (view("host", host, namespace=Namespace(1, 1, 1)), *others)
    return Snapshot(views, "host", boot_id=boot)


def said(found: CapturesDiff) -> tuple[str, list[str], list[str], list[tuple[str, bool, list[str]]]]:
    """The verdict, who was born and is gone, and what has changed in whom."""
    return (
        found.verdict,
        [one.view.label for one in found.born],
        [one.view.label for one in found.gone],
        [(one.after.view.label, one.same, [f"{c.kind} {c.path}" for c in one.changes]) for one in found.changed],
    )


def test_nothing_differs() -> None:
    one = capture(of("7", OWN, inode=7))
    found = compare(one, one)
    assert said(found) == ("unchanged", [], [], [])
    assert not found.found
    assert found.not_seen == ()


def test_namespaces_are_born_and_gone() -> None:
    found = compare(capture(of("7", OWN, inode=7)), capture(of("8", OWN, inode=8)))
    assert said(found) == ("changed", ["8"], ["7"], [])


def test_a_used_inode_is_another_namespace() -> None:
    before, after = of("7", OWN, inode=7, id=70, start=100), of("8", OWN, inode=7, id=80, start=900)
    assert said(compare(capture(before), capture(after)))[1:3] == (["8"], ["7"])


def test_without_ids_a_used_inode_is_told_by_younger_processes() -> None:
    before, after = of("7", OWN, inode=7, start=100), of("8", OWN, inode=7, start=900)
    assert said(compare(capture(before), capture(after)))[1:3] == (["8"], ["7"])


def test_a_used_pid_is_another_process() -> None:
    before, after = of("7", OWN, inode=7, id=70, start=100), of("7", OWN, inode=8, id=80, start=900)
    assert said(compare(capture(before), capture(after)))[1:3] == (["7"], ["7"])


def test_a_namespace_is_known_by_its_id_when_all_its_processes_are_others() -> None:
    before = of("7", OWN, inode=7, id=70, start=100)
    after = of("8", f"{OWN}\n42 40 0:9 / /new rw", inode=7, id=70, start=900)
    assert said(compare(capture(before), capture(after))) == ("changed", [], [], [("8", True, ["added /new"])])


def test_a_container_that_was_started_anew_takes_the_place_of_the_other() -> None:
    before = of("7", f"{OWN}\n42 40 0:9 / /data rw - tmpfs a rw", inode=7, id=70, owner="web-1")
    after = of("8", f"{OWN}\n42 40 0:33 / /data rw - tmpfs a rw", inode=8, id=80, start=900, owner="web-1")
    assert said(compare(capture(before), capture(after))) == ("changed", [], [], [("8", False, [])])


def test_after_a_restart_inodes_and_ids_and_pids_and_devices_mean_nothing() -> None:
    before = capture(of("7", OWN, inode=7, id=70, owner="web-1"), of("8", LEAKING, inode=8, id=80, owner="web-2"))
    there = HOST.replace("0:5", "0:55").replace("shared:12", "shared:99")
    leaking = LEAKING.replace("0:5", "0:55").replace("shared:12", "shared:99")
    after = capture(
        of("7", leaking, inode=7, id=70, owner="web-2"),
        of("8", OWN.replace("0:5", "0:55"), inode=8, id=80, owner="web-1"),
        host=there,
        boot="b",
    )
    found = compare(before, after)
    assert found.restarted
    assert said(found) == ("unchanged", [], [], [])


def test_without_boot_ids_mount_ids_tell_and_it_is_said() -> None:
    before = capture(boot=None)
    more = capture(host=f"{HOST}\n22 20 0:7 / /a rw", boot=None)
    assert not compare(before, before).restarted
    (problem,) = compare(before, before).not_seen
    assert "by the host's mount IDs it was not started anew" in problem.what
    assert not compare(before, more).restarted
    another = capture(host=HOST.replace("8:1", "8:9").replace("0:5", "0:9"), boot=None)
    assert compare(before, another).restarted


def test_what_becomes_of_mounts() -> None:
    before = capture(host=f"{HOST}\n22 20 0:7 / /a rw shared:3\n23 20 0:8 / /b rw\n24 20 0:9 / /c rw")
    after = capture(host=f"{HOST}\n22 20 0:7 / /a rw\n23 20 0:8 / /b ro\n25 20 0:9 / /d rw\n26 20 0:10 / /e rw")
    (change,) = compare(before, after).changed
    kinds = {(one.kind, one.path) for one in change.changes}
    assert kinds == {("propagation-changed", "/a"), ("remounted", "/b"), ("moved", "/d"), ("added", "/e")}


def test_leaks_are_new_and_healed() -> None:
    quiet, leaking = capture(of("7", OWN, inode=7)), capture(of("7", LEAKING, inode=7))
    found = compare(quiet, leaking)
    assert found.verdict == "new-leaks"
    assert [(one.namespace.view.label, one.leak.path) for one in found.new_leaks] == [("7", "/proc")]
    back = compare(leaking, quiet)
    assert back.verdict == "changed"
    assert [one.leak.path for one in back.healed_leaks] == ["/proc"]


def test_those_of_namespaces_that_are_born_and_gone_count() -> None:
    born = compare(capture(), capture(of("7", LEAKING, inode=7)))
    assert (born.verdict, len(born.new_leaks), len(born.healed_leaks)) == ("new-leaks", 1, 0)
    gone = compare(capture(of("7", LEAKING, inode=7)), capture())
    assert (gone.verdict, len(gone.new_leaks), len(gone.healed_leaks)) == ("changed", 0, 1)


def test_one_view_of_each() -> None:
    before = capture(of("7", OWN, inode=7), of("8", OWN, inode=8))
    after = capture(of("9", LEAKING, inode=9))
    found = compare(before, after, before_view="8", after_view="9")
    assert found.namespace == "9 (sleep)"
    assert said(found) == ("new-leaks", [], [], [("9", False, ["propagation-changed /proc"])])
    with pytest.raises(TargetError, match="no view 'x'"):
        compare(before, after, before_view="x")


def test_tables_without_any_identity_are_known_by_their_names_and_mount_ids() -> None:
    before = Snapshot((view("host", HOST), view("web", OWN), view("4711", LEAKING)), "host")
    after = Snapshot((view("host", HOST), view("web", f"{OWN}\n42 40 0:9 / /new rw"), view("815", LEAKING)), "host")
    verdict, born, gone, changed = said(compare(before, after))
    assert (verdict, born, gone) == ("changed", [], [])
    assert changed == [("web", True, ["added /new"])]


def test_the_day_of_a_container_host() -> None:
    morning, noon = (load(FIXTURES / f"container-host-{when}.mntscope.json.gz") for when in ("1-morning", "2-noon"))
    assert compare(morning, morning).verdict == "unchanged"
    assert compare(morning, noon).found


@given(st.lists(st.lists(hostile_mounts, max_size=5), min_size=4, max_size=4))
def test_whatever_the_tables_hold_nothing_differs_from_itself(tables: list[list[Any]]) -> None:
    views = [View(label, tuple(mounts)) for label, mounts in zip(("host", "a", "7"), tables, strict=False)]
    one = Snapshot(tuple(views), "host", boot_id="a")
    assert compare(one, one).verdict == "unchanged"
    other = Snapshot((views[0], View("a", tuple(tables[3]))), "host", boot_id="a")
    forth, back = compare(one, other), compare(other, one)
    assert len(forth.born) == len(back.gone)
    assert len(forth.new_leaks) == len(back.healed_leaks)
