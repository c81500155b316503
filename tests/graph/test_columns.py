"""Peer groups and crossings of many mounts at once: the same as of few, which are defined elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mntscope.graph import PeerGraph, leaks_to
from mntscope.graph.columns import Crossings, crossings_of, groups_of
from mntscope.graph.forest import Forest
from mntscope.graph.leaks import crossing_mounts
from mntscope.model import Mount, View
from mntscope.parse import format_mountinfo
from mntscope.parse.columns import NONE, Columns, parse_tables
from tests.benchmarks import large
from tests.support import strategies
from tests.support.tables import view

HOST = """
    1 0 8:1 / / rw shared:1
    2 1 8:2 / /srv rw shared:2
    3 1 0:5 / /proc rw shared:3
"""


def read(views: Sequence[View]) -> tuple[Columns, np.ndarray[tuple[int], np.dtype[np.int32]]]:
    return parse_tables({view.label: format_mountinfo(view.mounts) for view in views})


def agree(views: Sequence[View], host: int = 0) -> Crossings:
    """What crosses, after it was found to be what the definition says."""
    columns, tables = read(views)
    found = crossings_of(columns, tables, host)
    said = crossing_mounts(PeerGraph.of(views), views[host].label)
    for number, each in enumerate(views):
        rows = np.flatnonzero(tables == number)
        expected = said.get(each.label, [(False, False)] * len(each.mounts))
        assert list(zip(found.out[rows].tolist(), found.into[rows].tolist(), strict=True)) == expected
    return found


def key_of(mount: Mount, number: int | None) -> tuple[str, int] | None:
    return None if number is None else (mount.device, number)


def same_groups(views: Sequence[View]) -> None:
    columns, _ = read(views)
    groups = groups_of(columns)
    expected = PeerGraph.of(views).groups
    devices = columns.text("device")
    keys = [(devices[row], number) for row, number in zip(groups.device_of.tolist(), groups.numbers, strict=True)]
    assert set(expected) <= set(keys)
    assert len(set(keys)) == len(keys)
    # PeerGraph cuts a circle of masters at its first group.
    circles = Forest(groups.master.tolist()).above != groups.master.tolist()
    for key, above, members, slaves in zip(keys, groups.master, groups.members, groups.slaves, strict=True):
        if key not in expected:
            assert members == slaves == 0
            continue
        assert members == len(expected[key].members)
        if not circles:
            assert expected[key].master == (None if above == NONE else keys[above][1])
            assert slaves == len(expected[key].slaves)
    mounts = [mount for each in views for mount in each.mounts]
    for mount, group, master in zip(mounts, groups.group_of, groups.master_of, strict=True):
        assert (None if group == NONE else keys[group]) == key_of(mount, mount.peer_group)
        assert (None if master == NONE else keys[master]) == key_of(mount, mount.master)


def test_what_crosses() -> None:
    target = """
        11 0 8:1 /web / rw shared:7 master:1
        12 11 8:2 / /data rw shared:2
        13 11 0:5 / /proc rw
        14 11 8:3 / /own rw shared:2
    """
    found = agree([view("host", HOST), view("web", target)])
    assert found.out.tolist() == [False, False, False, False, True, False, False]
    assert found.into.tolist() == [False, False, False, True, True, False, False]
    assert found.groups.members.tolist() == [1, 1, 1, 2, 1]
    assert found.groups.slaves.tolist() == [0, 1, 0, 0, 0]


@pytest.mark.parametrize("host", [0, 1, 2])
def test_the_host_may_be_any_of_them(host: int) -> None:
    tables = [HOST, "11 0 8:2 / / rw shared:2", "21 0 8:2 / / rw shared:4 master:2\n22 21 8:1 /a /a rw master:1"]
    agree([view(str(number), table) for number, table in enumerate(tables)], host)


def test_tables_of_one_namespace_are_known_by_their_mount_ids() -> None:
    again = "1 0 8:1 /a / rw shared:1\n2 1 8:2 / /srv rw shared:2\n3 1 0:5 / /proc rw shared:3"
    found = agree(
        [view("host", HOST), view("chroot", HOST), view("other", again), view("web", "9 0 8:1 / / rw shared:1")]
    )
    assert found.out.tolist() == [False] * 6 + [False] * 3 + [True]


def test_nothing_at_all() -> None:
    for views in ([view("host", "")], [view("host", ""), view("web", HOST)], [view("host", HOST), view("web", "")]):
        assert not agree(views).out.any()


def test_numbers_and_devices_of_any_size() -> None:
    table = "{2}1 0 {0} / / rw shared:{1}\n{2}2 {2}1 {0} / /a rw master:{1} propagate_from:5"
    for device in ("0:1", "4095:1048575", "4096:1", "0:1048576", "00:1", "0:99999999999"):
        for group in (7, 2**31 - 1, 2**31, 2**63, 10**19 - 1):
            views = [view(str(number), table.format(device, group, number)) for number in (1, 2)]
            assert agree(views).into.tolist() == [False, False, True, True]
            same_groups(views)


@pytest.mark.parametrize("lines", [800, 8_000])
def test_of_a_large_machine_no_more_is_asked_than_of_a_small_one(lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def mounts(columns: Columns, rows: list[int]) -> list[Mount]:
        made.append(len(rows))
        return original(columns, rows)

    original = Columns.mounts
    monkeypatch.setattr(Columns, "mounts", mounts)
    columns, tables = parse_tables(large.tables(lines))
    found = crossings_of(columns, tables)
    assert sum(made) == 3 * large.EACH - 2
    assert found.into.sum() > len(columns) // 2


@given(strategies.views(("host", "a", "b", "c")), st.integers(0, 3))
def test_it_is_as_defined(views: tuple[View, ...], host: int) -> None:
    agree(views, host)
    same_groups(views)


@given(strategies.views(("host", "a", "b")))
def test_these_are_the_mounts_with_leaks(views: tuple[View, ...]) -> None:
    columns, tables = read(views)
    found = crossings_of(columns, tables)
    for label, leaks in leaks_to(PeerGraph.of(views), "host").items():
        number = [view.label for view in views].index(label)
        crossing = np.flatnonzero((tables == number) & (found.out | found.into))
        assert {mount.mount_id for mount in columns.mounts(crossing.tolist())} == {
            leak.mount.mount_id for leak in leaks
        }


_NUMBER = st.integers(0, 6)
_GROUP = st.integers(1, 6)
_MOUNTS = st.builds(
    Mount,
    mount_id=st.integers(0, 30),
    parent_id=_NUMBER,
    device=st.sampled_from(["0:1", "0:2", "0:02"]),
    root=st.sampled_from(["/", "/a", "/a/b", "/ab", "/..", "/../x", "/../..", "/a//deleted", "mnt:[1]"]),
    mount_point=st.sampled_from(["/", "/a", "/a/b"]),
    options=st.just(("rw",)),
    fs_type=st.just("tmpfs"),
    source=st.just(""),
    super_options=st.just(("rw",)),
    peer_group=st.none() | _GROUP,
    master=st.none() | _GROUP,
)
"""Any that a table can hold: circles of masters, IDs given twice, members that disagree."""


@given(st.lists(st.lists(_MOUNTS, max_size=8), min_size=2, max_size=4), st.data())
def test_also_where_no_kernel_wrote_the_tables(tables: list[list[Mount]], data: st.DataObject) -> None:
    views = [View(str(number), tuple(table)) for number, table in enumerate(tables)]
    agree(views, data.draw(st.integers(0, len(views) - 1)))
    same_groups(views)
