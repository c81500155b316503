"""Which kernel does what: read from its names, as kernels of many makers print them."""

from __future__ import annotations

import pytest

from mntscope.propagation import APART, KEPT, Simulation, operation, simulate
from mntscope.propagation.versions import (
    BENEATH_ROOT,
    BESIDE_PEERS,
    CHANGES,
    COVERING_STAYS_UNLOCKED,
    LOCK_TAKEN_OVER,
    SET_GROUP,
    TESTED,
    TUCKED_BENEATH_STACK,
    UNBINDABLE_DROPPED,
    Kernel,
)
from mntscope.selftest.replay import Follower
from mntscope.snapshot import Snapshot

DEBIAN_10 = Kernel.of("5.10.0-32-cloud-amd64", "#1 SMP Debian 5.10.223-1 (2024-08-10)")


@pytest.mark.parametrize(
    ("release", "version", "number", "exact", "vendor"),
    [
        ("6.18.0", None, (6, 18, 0), True, None),
        ("5.10", None, (5, 10, 0), False, None),
        ("6.1.0-57-cloud-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-1 (2026-11-02)", (6, 1, 192), True, None),
        ("6.1.0-57-cloud-amd64", None, (6, 1, 0), False, None),
        ("6.12.117+deb13-cloud-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.12.117-1", (6, 12, 117), True, None),
        ("6.5.6-300.fc39.x86_64", "#1 SMP PREEMPT_DYNAMIC Fri Oct 6 2023", (6, 5, 6), True, None),
        ("5.14.0-570.el9.x86_64", "#1 SMP", (5, 14, 0), False, "Red Hat"),
        ("6.8.0-45-generic", "#45-Ubuntu SMP PREEMPT_DYNAMIC Fri Aug 30 2024", (6, 8, 0), False, "Ubuntu"),
        ("6.4.0-150600.23-default", "#1 SMP", (6, 4, 0), False, "SUSE"),
        ("6.1.25-android14-11-g1234", "#1 SMP", (6, 1, 25), False, "Android"),
        ("a name of one's own", None, None, False, None),
        (None, None, None, False, None),
    ],
)
def test_the_number_of_a_kernel(
    release: str | None, version: str | None, number: tuple[int, int, int] | None, exact: bool, vendor: str | None
) -> None:
    kernel = Kernel.of(release, version)
    assert (kernel.number, kernel.exact, kernel.vendor) == (number, exact, vendor)


def test_the_table_is_in_order_and_within_what_was_tested() -> None:
    assert list(CHANGES) == sorted(CHANGES, key=lambda change: change.since)
    for change in CHANGES:
        assert TESTED[0] < change.since <= TESTED[1]
        assert change.until is None or change.since < change.until <= TESTED[1]
        assert list(change.stable) == sorted(change.stable)
        assert all(release < change.since for release in change.stable)


def test_a_fix_that_stable_kernels_have_too() -> None:
    assert not DEBIAN_10.has(COVERING_STAYS_UNLOCKED)
    assert Kernel.of("5.10.240").has(COVERING_STAYS_UNLOCKED)
    assert Kernel.of("6.16.0").has(COVERING_STAYS_UNLOCKED)
    # Of 6.14 there was no later point release.
    assert not Kernel.of("6.14.11").has(COVERING_STAYS_UNLOCKED)


def test_a_kernel_may_have_a_change_without_the_fix_of_it() -> None:
    late = Kernel.of("5.10.0-46-cloud-amd64", "#1 SMP Debian 5.10.262-1 (2026-07-31)")
    assert (late.has(SET_GROUP), late.has(BESIDE_PEERS)) == (True, False)
    assert [Kernel.of(f"6.1.{point}").has(BESIDE_PEERS) for point in (141, 142)] == [False, True]


def test_where_the_point_release_is_not_known_that_is_a_doubt() -> None:
    unknown = Kernel.of("5.10.0-32-cloud-amd64")
    assert unknown.has(COVERING_STAYS_UNLOCKED)
    assert unknown.doubts(COVERING_STAYS_UNLOCKED)
    assert unknown.doubts(SET_GROUP)
    assert not unknown.doubts(BENEATH_ROOT)
    assert not DEBIAN_10.doubts(COVERING_STAYS_UNLOCKED)


def test_what_was_taken_back_is_so_for_a_while() -> None:
    assert [Kernel.of(f"{release}.1").has(UNBINDABLE_DROPPED) for release in ("6.16", "6.17", "7.1", "7.2")] == [
        False,
        True,
        True,
        False,
    ]


def test_a_kernel_that_is_not_known_is_taken_for_the_newest() -> None:
    newest = Kernel.of(None)
    assert newest.has(BENEATH_ROOT)
    assert newest.has(TUCKED_BENEATH_STACK)
    assert newest.has(LOCK_TAKEN_OVER)
    assert not newest.has(UNBINDABLE_DROPPED)


@pytest.mark.parametrize(
    ("release", "caveat"),
    [
        ("7.4.0-rc1", "Linux 7.4.0-rc1 is newer than any that was compared with the model (7.3)"),
        ("5.4.296", "Linux 5.4.296 is older than any that was compared with the model (5.10)"),
        ("5.14.0-570.el9.x86_64", "Linux 5.14.0-570.el9.x86_64 is Red Hat's, which may have changes of later kernels"),
    ],
)
def test_what_nobody_has_tested_is_said(release: str | None, caveat: str) -> None:
    assert list(Kernel.of(release).caveats()) == [caveat]
    assert list(Kernel.of("7.3.4").caveats()) == []


UNBINDABLE = b"10 1 0:1 / / rw,relatime - tmpfs root rw\n11 10 0:2 / /a rw,relatime unbindable - tmpfs t rw\n"
STACK = b"""\
10 1 0:1 / / rw,relatime shared:1 - tmpfs root rw
11 10 0:1 / / rw,relatime shared:1 - tmpfs root rw
"""


@pytest.mark.parametrize(("release", "kept"), [("6.16.3", True), ("6.18.0", False), ("7.2.13", True)])
def test_unbindable_mounts_in_a_new_namespace(release: str, kept: bool) -> None:
    snapshot = Snapshot.from_mountinfo({"A": UNBINDABLE}, kernel=release)
    after = simulate(snapshot, {"op": "clone_ns", "ns": "A", "new": "B"}).snapshot
    assert [mount.unbindable for mount in after.view("B").mounts] == [False, kept]


@pytest.mark.parametrize(("release", "doubled"), [("6.16.3", 1), ("6.17.0", 0)])
def test_where_what_was_there_hangs_when_a_stack_arrives_beneath_it(release: str, doubled: int) -> None:
    """Until 6.17 two mounts could be at one place: the copy's own overmount, and what it was tucked beneath."""
    snapshot = Snapshot.from_mountinfo({"A": STACK}, kernel=release)
    bind = {"op": "bind", "ns": "A", "source": "/", "target": "/", "recursive": True}
    mounts = simulate(snapshot, bind).snapshot.view("A").mounts
    assert len(mounts) - len({(mount.parent_id, mount.mount_point) for mount in mounts}) == doubled


SLAVES = b"""\
10 1 0:1 / / rw,relatime - tmpfs root rw
11 10 0:2 / /a rw,relatime shared:1 - tmpfs t rw
12 10 0:2 / /b rw,relatime shared:2 master:1 - tmpfs t rw
13 10 0:2 / /c rw,relatime - tmpfs t rw
"""


@pytest.mark.parametrize(
    ("release", "source", "sure"),
    [("5.10.262", "/b", False), ("5.10.262", "/a", True), ("6.1.142", "/b", True), ("6.1.141", "/b", False)],
)
def test_what_joins_a_group_of_slaves_may_receive_twice(release: str, source: str, sure: bool) -> None:
    snapshot = Snapshot.from_mountinfo({"A": SLAVES}, kernel=release)
    outcome = simulate(snapshot, {"op": "set_group", "ns": "A", "source": source, "target": "/c"})
    assert outcome.errno is None
    assert any(APART in reason for reason in outcome.uncertain) is not sure


def test_what_joined_a_group_of_slaves_is_doubted_for_good() -> None:
    """Two copies of a mount were seen on Linux 5.10.262; what tells them apart beforehand no table shows."""
    snapshot = Snapshot.from_mountinfo({"A": SLAVES}, kernel="5.10.262")
    follower = Follower(snapshot)
    for described in (
        {"op": "set_group", "ns": "A", "source": "/b", "target": "/c"},
        {"op": "mount", "ns": "A", "fstype": "tmpfs", "source": "u", "target": "/a/x"},
    ):
        follower.predict(operation(described))
        after = simulate(snapshot, described).snapshot
        assert [judged.result for judged in follower.judge(None, after)] == ["uncertain", "uncertain"]
        snapshot = after


STACKED: list[dict[str, object]] = [
    {"op": "mount", "ns": "A", "fstype": "tmpfs", "source": "t1", "target": "/a"},
    {"op": "propagation", "ns": "A", "target": "/a", "type": "shared"},
    {"op": "bind", "ns": "A", "source": "/a/c", "target": "/"},
    {"op": "bind", "ns": "A", "source": "/a/c", "target": "/", "recursive": True},
    {"op": "bind", "ns": "A", "source": "/", "target": "/", "recursive": True},
    {"op": "bind", "ns": "A", "source": "/", "target": "/a", "recursive": True},
    {"op": "umount", "ns": "A", "target": "/a/c", "lazy": True},
    {"op": "bind", "ns": "A", "source": "/a/c", "target": "/a/c/a", "recursive": True},
]
"""Until 6.17, two mounts end up at one place: what was tucked beneath one of them had a stack of its own. Of the two
that one is found that came there last, and a table shows which: it is listed before what it is mounted on."""


@pytest.mark.parametrize("release", ["5.10.223", "6.1.192", "6.16.12", "6.17.0"])
def test_who_reads_the_table_finds_the_same_mounts_as_who_saw_them_come(release: str) -> None:
    start = Snapshot.from_mountinfo({"A": b"41 31 0:27 / / rw,relatime - tmpfs root0 rw\n"}, kernel=release)
    watching, reading = Simulation(start), start
    for described in STACKED:
        op = operation(described)
        errno = watching.carry_out(op)
        outcome = simulate(reading, op)
        reading = outcome.snapshot
        assert outcome.errno == errno
        assert reading.view("A").mounts == watching.view("A").mounts


def test_before_6_15_a_detached_mount_may_keep_events_from_slaves_and_that_is_said() -> None:
    start = Snapshot.from_mountinfo({"A": b"41 31 0:27 / / rw,relatime shared:1 - tmpfs root0 rw\n"}, kernel="6.12.118")
    watching = Simulation(start)
    for described in (
        {"op": "open_tree", "ns": "A", "source": "/", "handle": "h1"},
        {"op": "open_tree", "ns": "A", "source": "/", "handle": "h2"},
        {"op": "propagation_handle", "ns": "A", "handle": "h2", "type": "slave"},
    ):
        assert watching.carry_out(operation(described)) is None
    assert not watching.uncertain
    watching.carry_out(operation({"op": "mount", "ns": "A", "fstype": "tmpfs", "source": "new", "target": "/a"}))
    (doubt,) = watching.uncertain
    assert KEPT in doubt
