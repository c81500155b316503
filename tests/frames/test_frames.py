"""Frames: columns that depend on nothing, names that survive, and a snapshot that comes back."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mntscope import Snapshot, capture, diff, frames, predict
from mntscope.analysis.holders import holders
from mntscope.analysis.namespaces import namespaces
from mntscope.analysis.predict import predict_commands
from mntscope.base.display import Framed, Records
from mntscope.errors import UsageError
from mntscope.frames.escapes import escape, unescape
from mntscope.graph import PeerGraph, leaks_to
from mntscope.graph.leaks import crossing_mounts
from mntscope.isolate import make_plan
from mntscope.model import Hold, Mount, Namespace, Owner, Problem, Process, Skeleton, View
from mntscope.rules import audit
from tests.support import strategies
from tests.support.sharing_worlds import HOSTILE, World
from tests.support.tables import hostile_mounts, two

HOST = """
    1 0 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
    2 1 8:2 / /srv rw,nosuid shared:2 - ext4 /dev/sda2 rw
    3 1 0:5 / /proc rw shared:3 - proc proc rw
"""
TARGET = """
    11 0 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
    12 11 8:2 /web /data ro master:2 - ext4 /dev/sda2 rw
    13 11 0:9 / /tmp rw - tmpfs tmpfs rw
"""


def machine() -> Snapshot:
    """Two namespaces, and one of each thing that a frame does not show."""
    host, target = two(HOST, TARGET).views
    init = Process(1, 5, "init", "/", 4026531836, 4026531837, "0::/init.scope\n")
    web = Process(4711, None, "web", "", None, None, "0::/docker/x\n")
    owner = Owner("docker", "web-1", "ab" * 32, "pod")
    holds = (Hold("fd", "/proc/9/fd/3", "host", init), Hold("mount", "/run/ns"))
    return Snapshot(
        (
            replace(host, namespace=Namespace(7, 1, 9, (init,)), process=init, proc_pid_namespace=4026531836),
            replace(target, namespace=Namespace(8, 2**64 - 1, 9, (web,), owner, holds), problems=(Problem("w", "x"),)),
            View("gone", (), Namespace(9)),
            View("tree", host.mounts[2:], detached=True),
        ),
        "host",
        kernel="6.18.0",
        not_seen=(Problem("no", "/proc/2"),),
        skeleton=Skeleton(frozenset({"/a"}), frozenset({"/b"})),
        mount_max=100000,
        handles=(("tree", 3),),
    )


def tables() -> dict[str, tuple[Any, pd.DataFrame]]:
    """Every table: the function, and what it gives."""
    snapshot = machine()
    return {
        "mounts": (frames.mounts, snapshot.frame()),
        "peer_groups": (frames.peer_groups, snapshot.peer_groups.frame()),
        "edges": (frames.edges, frames.edges(snapshot)),
        "namespaces": (frames.namespaces, snapshot.namespaces.frame()),
        "processes": (frames.processes, frames.processes(snapshot)),
        "leaks": (frames.leaks, frames.leaks(snapshot)),
        "changes": (frames.changes, diff(snapshot, "target").frame()),
        "effects": (frames.effects, predict_commands(snapshot, "host", "mount -t proc p /srv && umount /srv").frame()),
        "findings": (frames.findings, audit(snapshot).frame()),
        "holders": (frames.holders, holders(snapshot, "/srv").frame()),
    }


def test_importing_mntscope_does_not_load_pandas() -> None:
    program = """if True:
        import sys, mntscope, mntscope.cli.main
        for name in mntscope.__all__:
            getattr(mntscope, name)
        table = b"1 0 0:1 / / rw shared:1 - tmpfs t rw\\n"
        snapshot = mntscope.Snapshot.from_mountinfo({"host": table, "a": table})
        mntscope.diff(snapshot, "a").leaks, snapshot.mounts, snapshot.peer_groups, snapshot.namespaces
        assert "pandas" not in sys.modules and "numpy" not in sys.modules
        snapshot.frame()
        assert "pandas" in sys.modules
    """
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("module", ["mntscope.frames", "mntscope.frames.escapes", "mntscope.frames.columns"])
def test_the_examples_are_true(module: str) -> None:
    results = doctest.testmod(importlib.import_module(module))
    assert results.attempted > 0
    assert results.failed == 0


class TestColumns:
    def test_all_are_documented_in_their_order(self) -> None:
        for name, (function, frame) in tables().items():
            text = inspect.getdoc(function) or ""
            places = [text.find(f"``{column}``") for column in frame.columns]
            missing = [column for column, at in zip(frame.columns, places, strict=True) if at < 0]
            like = ("host_", "target_", "before_", "after_")
            allowed = ("root", "fs_type", "source", "device", "mount_point", "locked")
            assert [c for c in missing if not c.startswith(like) and c not in allowed] == [], name

    def test_are_the_same_where_there_is_nothing(self) -> None:
        nothing = Snapshot((View("host", ()),), "host")
        empty = {
            "mounts": nothing.frame(),
            "peer_groups": nothing.peer_groups.frame(),
            "edges": frames.edges(nothing),
            "namespaces": nothing.namespaces.frame(),
            "processes": frames.processes(nothing),
            "leaks": frames.leaks(nothing),
            "changes": diff(nothing, "host").frame(),
            "findings": audit(nothing).frame(),
        }
        for name, frame in empty.items():
            full = tables()[name][1]
            assert list(frame.columns) == list(full.columns), name
            kinds = [(str(one), str(other)) for one, other in zip(frame.dtypes, full.dtypes, strict=True)]
            assert [kind for kind in kinds if len(set(kind)) > 1] == [("Int64", "UInt64")] * (name == "namespaces")

    def test_bear_the_types_that_are_promised(self) -> None:
        mounts = machine().frame()
        assert str(mounts.peer_group.dtype) == "Int64"
        assert str(mounts.mount_point.dtype) == "str"
        assert {str(mounts[name].dtype) for name in ("namespace", "owner", "fs_type", "propagation")} == {"category"}
        assert str(mounts.hidden.dtype) == "bool"
        assert str(mounts.leaks_out.dtype) == "boolean"
        assert "object" not in set(map(str, mounts.dtypes))

    def test_hold_numbers_of_64_bits(self) -> None:
        huge = two("9999999999999999999 0 0:1 / / rw shared:9999999999999999999", "1 0 0:2 / / rw")
        assert huge.frame().mount_id.tolist() == [9999999999999999999, 1]
        assert Snapshot.from_frame(huge.frame()) == huge

    def test_severities_are_ordered(self) -> None:
        leaks = frames.leaks(two(HOST, TARGET))
        assert leaks[leaks.severity >= "high"].path.tolist() == ["/"]

    def test_what_is_not_known_is_missing(self) -> None:
        mounts = machine().frame()
        assert mounts[mounts.view == "tree"].leaks_out.isna().all()
        assert machine().view("target").frame().leaks_out.isna().all()
        assert mounts.owner.isna().sum() == 4
        # A leak of nobody, or of another namespace, is none.
        assert mounts[mounts.leaks_out].mount_id.tolist() == [11]
        assert mounts[mounts.leaks_in].mount_id.tolist() == [11, 12]

    @pytest.mark.parametrize("storage", ["python", "pyarrow"])
    def test_text_is_kept_by_arrow_where_it_is_installed(self, storage: str) -> None:
        if storage == "pyarrow":
            pytest.importorskip("pyarrow", reason="pyarrow, the extra `parquet`, is not installed")
        with pd.option_context("mode.string_storage", storage):
            snapshot = machine()
            frame = snapshot.frame()
            assert getattr(frame.mount_point.dtype, "storage", "") == storage
            assert Snapshot.from_frame(frame) == snapshot


class TestExplode:
    def test_lists_become_rows(self) -> None:
        frame = two(HOST, TARGET).frame()
        options = frames.explode(frame, "options")
        assert options[options.options == "nosuid"].mount_point.tolist() == ["/srv"]
        assert len(frames.explode(machine().frame(), "pids").query("pids == 4711")) == 3

    def test_a_quoted_option_is_one(self) -> None:
        context = 'rw,context="system_u:object_r:x:s0:c1,c2",size=4k'
        frame = Snapshot.from_mountinfo({"host": f"1 0 0:1 / / rw - tmpfs t {context}\n".encode()}).frame()
        assert frames.explode(frame, "super_options").super_options.tolist() == [
            "rw",
            'context="system_u:object_r:x:s0:c1,c2"',
            "size=4k",
        ]

    def test_an_empty_list_leaves_a_row(self) -> None:
        exploded = frames.explode(two(HOST, TARGET).frame(), "pids")
        assert len(exploded) == 6
        assert exploded.pids.isna().all()

    def test_another_column_is_refused(self) -> None:
        with pytest.raises(UsageError, match="no column 'nonsense'"):
            frames.explode(machine().frame(), "nonsense")


class TestNames:
    @given(st.text(st.characters(exclude_categories=())) | st.text(r"\x5c9bu202eU0001f0"))
    def test_are_printable_and_come_back(self, name: str) -> None:
        name = name.encode("utf-8", "replace").decode()
        assert escape(name).isprintable()
        assert unescape(escape(name)) == name

    @given(st.binary())
    def test_any_bytes_come_back(self, raw: bytes) -> None:
        name = raw.decode("utf-8", "surrogateescape")
        assert escape(name).encode().decode().isprintable()
        assert unescape(escape(name)) == name

    @given(st.text(), st.text())
    def test_no_two_are_written_alike(self, one: str, other: str) -> None:
        assert (escape(one) == escape(other)) == (one == other)

    def test_hostile_names_can_be_printed_and_stored(self) -> None:
        world = World("/", "/var")
        for number, name in enumerate(HOSTILE):
            world.add(f"n{number}", "shared", owner=Owner("docker", name, "", name), roots=f"/{name}", comm=name)
        snapshot = world.snapshot()
        for frame in (snapshot.frame(), snapshot.namespaces.frame(), frames.edges(snapshot), frames.leaks(snapshot)):
            for text in (frame.to_string(), frame.to_csv(), frame.to_html()):
                assert "\x1b" not in text
                assert "<script>" not in frame.to_html()
                text.encode()
        assert audit(snapshot).frame().to_string().encode()


class TestRoundTrip:
    def test_a_snapshot_comes_back(self) -> None:
        snapshot = machine()
        assert Snapshot.from_frame(snapshot.frame()) == snapshot
        assert snapshot.mounts.frame().equals(snapshot.frame())

    @given(strategies.views(("host", "target", "third")), st.booleans())
    def test_any_snapshot_comes_back(self, views: tuple[View, ...], only_one: bool) -> None:
        snapshot = Snapshot(views[:1] if only_one else views, "host")
        assert Snapshot.from_frame(snapshot.frame()) == snapshot

    @given(st.lists(strategies.mounts(unknown_tags=True), max_size=4))
    def test_any_mounts_come_back(self, mounts: list[Mount]) -> None:
        snapshot = Snapshot((View("host", ()), View("a", tuple(mounts))), "host")
        back = Snapshot.from_frame(snapshot.frame())
        assert back == snapshot
        assert back.mountinfo("a") == snapshot.mountinfo("a")

    @given(st.lists(hostile_mounts, max_size=6), st.lists(hostile_mounts, max_size=6))
    def test_so_do_mounts_that_no_kernel_has(self, host: list[Mount], target: list[Mount]) -> None:
        snapshot = Snapshot((View("host", tuple(host)), View("target", tuple(target))), "host")
        assert Snapshot.from_frame(snapshot.frame()) == snapshot
        for table in (frames.edges, frames.leaks, frames.peer_groups, frames.namespaces, frames.processes):
            table(snapshot)

    def test_a_spelling_comes_back(self) -> None:
        table = b"1 0 0:1 / /a\\043b rw shared:1 - tmpfs t rw\n"
        snapshot = Snapshot.from_mountinfo({"host": table})
        assert Snapshot.from_frame(snapshot.frame()).mountinfo("host") == table

    def test_rows_that_are_gone_are_mounts_that_are_gone(self) -> None:
        mounts = machine().frame()
        fewer = Snapshot.from_frame(mounts[mounts.fs_type != "proc"])
        assert [mount.fs_type for mount in fewer.host.mounts] == ["ext4", "ext4"]
        assert fewer.view("tree").mounts == ()
        assert fewer.not_seen == machine().not_seen

    def test_this_machine_comes_back(self) -> None:
        snapshot = capture()
        assert Snapshot.from_frame(snapshot.frame()) == snapshot

    def test_what_is_no_frame_of_mounts_is_refused(self) -> None:
        frame = machine().frame()
        other = two(HOST, TARGET).frame()
        with pytest.raises(UsageError, match="does not tell which snapshot"):
            Snapshot.from_frame(pd.concat([frame, other]))
        with pytest.raises(UsageError, match="does not tell which snapshot"):
            Snapshot.from_frame(pd.DataFrame())
        with pytest.raises(UsageError, match="lacks options, root"):
            Snapshot.from_frame(frame.drop(columns=["root", "options"]))
        with pytest.raises(UsageError, match="no view 'nobody'"):
            Snapshot.from_frame(frame.assign(view="nobody"))
        with pytest.raises(UsageError, match="tells of no mounts"):
            Snapshot.from_frame(frame.assign(mount_id="one"))
        frame.attrs["mntscope.snapshot"] = "{"
        with pytest.raises(Exception, match="the frame: it is not JSON"):
            Snapshot.from_frame(frame)


class TestParquet:
    @pytest.fixture(autouse=True)
    def installed(self) -> None:
        pytest.importorskip("pyarrow", reason="pyarrow, the extra `parquet`, is not installed")

    def test_a_snapshot_goes_out_and_in(self, tmp_path: Path) -> None:
        snapshot = machine()
        snapshot.frame().to_parquet(tmp_path / "host.parquet")
        read = pd.read_parquet(tmp_path / "host.parquet")
        assert read.dtypes.equals(snapshot.frame().dtypes)
        assert Snapshot.from_frame(read) == snapshot

    def test_so_does_every_table(self, tmp_path: Path) -> None:
        for name, (_, frame) in tables().items():
            frame.to_parquet(tmp_path / name)
            pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / name), frame)

    @given(st.lists(strategies.mounts(unknown_tags=True), min_size=1, max_size=3))
    def test_any_names_survive(self, tmp_path_factory: pytest.TempPathFactory, mounts: list[Mount]) -> None:
        file = tmp_path_factory.getbasetemp() / "any.parquet"
        snapshot = Snapshot((View("host", tuple(mounts)),), "host")
        snapshot.frame().to_parquet(file)
        assert Snapshot.from_frame(pd.read_parquet(file)) == snapshot


class TestRecords:
    def test_are_a_tuple_and_know_their_kind(self) -> None:
        result = diff(machine(), "target")
        assert result.leaks == tuple(result.leaks)
        assert pickle.loads(pickle.dumps(result)) == result
        assert pickle.loads(pickle.dumps(result.leaks)).frame().equals(result.leaks.frame())
        assert len(diff(machine(), "host").leaks.frame().columns) == len(result.leaks.frame().columns)

    def test_all_of_a_diff_and_of_a_prediction_have_frames(self) -> None:
        snapshot = machine()
        outcome = predict(snapshot, "target", "mount -t tmpfs t /data")
        assert outcome.frame().equals(outcome.effects.frame())
        failing = predict(snapshot, "target", "umount /nowhere")
        assert (failing.errno, len(failing.effects.frame())) == ("ENOENT", 0)
        assert diff(snapshot, "target").changes.frame().equals(diff(snapshot, "target").frame())
        assert diff(snapshot, "target").leaks.frame().equals(frames.leaks(diff(snapshot, "target")))
        plan = make_plan(two(HOST, TARGET + "14 11 0:5 / /proc rw shared:3 - proc proc rw"), "target")
        assert plan.frame().command.tolist() == ["mount --make-private /proc"]
        assert namespaces(snapshot).frame().equals(snapshot.namespaces.frame())
        assert PeerGraph.of(snapshot.views).frame().equals(snapshot.peer_groups.frame())
        assert audit(snapshot).findings.frame().equals(audit(snapshot).frame())

    def test_what_has_no_table_says_so(self) -> None:
        with pytest.raises(TypeError, match="no table of Records"):
            Records((1, 2), int).frame()
        with pytest.raises(TypeError, match="no table of Framed"):
            Framed().frame()


@given(strategies.views(("host", "target", "third")))
def test_the_mounts_that_cross_are_those_of_leaks(views: tuple[View, ...]) -> None:
    agree(views)


@given(st.lists(hostile_mounts, max_size=6), st.lists(hostile_mounts, max_size=6))
def test_they_are_in_tables_that_no_kernel_wrote(host: list[Mount], target: list[Mount]) -> None:
    agree((View("host", tuple(host)), View("target", tuple(target))))


def agree(views: tuple[View, ...]) -> None:
    graph = PeerGraph.of(views)
    leaks = leaks_to(graph, "host")
    for label, crossing in crossing_mounts(graph, "host").items():
        mounts = graph.views[graph.number(label)].mounts
        for mount, (out, into) in zip(mounts, crossing, strict=True):
            directions = {leak.direction for leak in leaks.get(label, ()) if leak.mount == mount}
            assert (out, into) == (bool(directions & {"out", "both"}), bool(directions & {"in", "both"}))
