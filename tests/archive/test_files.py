"""Snapshot files: what is written is read back, and what was tampered with is refused in one line."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from mntscope import MntscopeError, RefusedError, Snapshot, capture, load, simulate
from mntscope.archive import load_stream, save
from mntscope.archive.document import from_document, to_document
from mntscope.base.records import replace
from mntscope.model import Hold, Namespace, Origin, Owner, Problem, Process, View
from tests.support.repository import FIXTURES
from tests.support.strategies import tables


def example() -> Snapshot:
    first = Process(1, 4, "init", "/", 4026531836, 4026531837, "0::/init.scope\n")
    host = Snapshot.from_mountinfo({"host": b"22 1 0:21 / / rw shared:1 - tmpfs n\xff\\040x rw\n"}).host
    sleeper = Process(4711, comm="sl\udcff")
    holds = (Hold("mount", "/run/kept", "host"), Hold("fd", "/proc/4711/fd/7", process=sleeper))
    owner = Owner("docker", "web-1", "4f66" * 16, "0b7e")
    box = View("4711", host.mounts[:0], Namespace(7, 8, 9, (sleeper,), owner, holds))
    host = View("host", host.mounts, Namespace(processes=(first,)), first, 4026531836)
    return Snapshot((host, box), "host", "6.18.0", (Problem("may not be read", "process 3"),), mount_max=100_000)


def damaged(whole: bytes, seed: int) -> Iterator[bytes]:
    """The file cut short at 100 places, and with one bit flipped at another 100."""
    chance = random.Random(seed)
    for _ in range(100):
        yield whole[: chance.randrange(1, len(whole))]
    for _ in range(100):
        place = chance.randrange(len(whole))
        yield whole[:place] + bytes([whole[place] ^ (1 << chance.randrange(8))]) + whole[place + 1 :]


def outcome(path: Path) -> Snapshot | str:
    try:
        return load(path)
    except MntscopeError as error:
        return "many lines" if "\n" in str(error) else "one line"


class TestRoundTrip:
    def test_a_snapshot_is_read_back_equal(self, tmp_path: Path) -> None:
        save(example(), tmp_path / "a.gz")
        assert load(tmp_path / "a.gz") == example()

    def test_this_machine_is_read_back_equal(self, tmp_path: Path) -> None:
        snapshot = capture()
        save(snapshot, tmp_path / "a.gz")
        assert load(tmp_path / "a.gz") == snapshot

    def test_whose_machine_it_is_comes_back(self, tmp_path: Path) -> None:
        origin = Origin("web-1.example.org", "b4bf7cccae6b4bfa89c4022acb08da87", 1_767_225_600, "0.1.0")
        snapshot = replace(example(), origin=origin, boot_id="8d6c0b0e-56d8-4a34-a2c5-0a6c2b0f7d11")
        save(snapshot, tmp_path / "a.gz")
        assert load(tmp_path / "a.gz").origin == origin
        assert simulate(snapshot, {"op": "umount", "ns": "host", "target": "/"}).snapshot.origin == origin

    def test_of_which_equality_knows_nothing(self) -> None:
        assert replace(example(), origin=Origin("web-1", time=1)) == replace(example(), origin=Origin("web-2", time=2))

    def test_a_file_from_before_that_was_known(self) -> None:
        old = to_document(example())
        del old["origin"], old["boot_id"]
        assert from_document(json.dumps(old), "x").origin == Origin()

    def test_a_predicted_world_is_read_back_equal(self, tmp_path: Path) -> None:
        operation = {"op": "open_tree", "ns": "host", "source": "/", "handle": "tree"}
        after = simulate(example(), operation).snapshot
        save(after, tmp_path / "a.gz")
        assert load(tmp_path / "a.gz") == after

    @given(tables())
    def test_any_table_is_read_back_equal(self, table: Any) -> None:
        snapshot = Snapshot((View("host", tuple(table)),), "host")
        assert from_document(json.dumps(to_document(snapshot)), "x") == snapshot

    def test_the_same_snapshot_gives_the_same_bytes(self, tmp_path: Path) -> None:
        save(example(), tmp_path / "a.gz")
        save(example(), tmp_path / "b.gz")
        assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


class TestWriting:
    def test_a_file_is_not_overwritten_unless_forced(self, tmp_path: Path) -> None:
        path = tmp_path / "a.gz"
        path.write_text("precious")
        with pytest.raises(RefusedError, match="exists already"):
            save(example(), path)
        assert path.read_text() == "precious"
        save(example(), path, force=True)
        assert load(path) == example()

    def test_nothing_is_left_behind(self, tmp_path: Path) -> None:
        save(example(), tmp_path / "a.gz")
        with pytest.raises(RefusedError):
            save(example(), tmp_path / "a.gz")
        assert [path.name for path in tmp_path.iterdir()] == ["a.gz"]


class TestForeignFiles:
    @pytest.mark.parametrize("packed", ["gzip", "zstd"])
    def test_cut_short_or_damaged_anywhere_it_is_an_error_in_one_line(
        self, tmp_path: Path, seed: int, packed: str
    ) -> None:
        save(example(), tmp_path / "a.gz")
        whole = (tmp_path / "a.gz").read_bytes()
        if packed == "zstd":
            whole = zstandard.ZstdCompressor(write_checksum=True).compress(gzip.decompress(whole))
        path = tmp_path / "b"
        path.write_bytes(whole)
        assert outcome(path) == example()
        for data in damaged(whole, seed):
            path.write_bytes(data)
            # A flipped bit of the header's unused fields changes nothing.
            assert outcome(path) in (example(), "one line")

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
        )
    )
    def test_any_json_is_read_or_refused(self, value: Any) -> None:
        with pytest.raises(MntscopeError):
            from_document(json.dumps(value), "x")

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"views": [{}]}, "views[0].mountinfo"),
            ({"host": "nobody"}, "host"),
            ({"not_seen": 3}, "not_seen"),
            ({"format": "mntscope.snapshot/2"}, "mntscope.snapshot/1"),
            ({"kernel": ["6.18"]}, "kernel"),
            ({"handles": [[1]]}, "handles[0]"),
            ({"mount_max": -1}, "mount_max"),
            ({"origin": "web-1"}, "origin"),
            ({"origin": {"host_name": ""}}, "origin.host_name"),
            ({"origin": {"host_name": "a" * 254}}, "origin.host_name"),
            ({"origin": {"host_name": ["web-1"]}}, "origin.host_name"),
            ({"origin": {"machine_id": "../../etc/passwd"}}, "origin.machine_id"),
            ({"origin": {"time": -1}}, "origin.time"),
            ({"origin": {"time": 1.5}}, "origin.time"),
            ({"origin": {"time": 253_402_300_800}}, "origin.time"),
            ({"origin": {"mntscope": 1}}, "origin.mntscope"),
            ({"host": "\ud800"}, "host"),
        ],
    )
    def test_what_is_wrong_is_named(self, change: dict[str, Any], named: str) -> None:
        with pytest.raises(MntscopeError) as caught:
            from_document(json.dumps(to_document(example()) | change), "some.gz")
        assert named in str(caught.value)
        assert str(caught.value).startswith("some.gz: ")

    def test_a_deeply_nested_document_is_refused(self) -> None:
        with pytest.raises(MntscopeError):
            from_document("[" * 200_000, "x")

    def test_a_bomb_is_not_unpacked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mntscope.archive.files.LARGEST", 1 << 20)
        path = tmp_path / "bomb.gz"
        path.write_bytes(gzip.compress(b" " * (1 << 24)))
        with pytest.raises(MntscopeError, match="larger than 1 MiB"):
            load(path)

    def test_more_than_memory_should_hold_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mntscope.archive.limits.MOST_MOUNTS", 0)
        with pytest.raises(MntscopeError, match="x: it is no snapshot or mount table: more than 0 mounts"):
            from_document(json.dumps(to_document(example())), "x")
        monkeypatch.setattr("mntscope.archive.document.MOST_VALUES", 50)
        with pytest.raises(MntscopeError, match="x: it is no snapshot: more than 50 values"):
            from_document("[" + "[]," * 50, "x")


class TestOlderFiles:
    def test_members_that_were_not_yet_noted(self) -> None:
        document = to_document(example())
        del document["mount_max"]
        for view in document["views"]:
            del view["namespace"]["holds"]
            view["namespace"]["owner"] = "docker 4f66"
        snapshot = from_document(json.dumps(document), "x")
        assert snapshot.mount_max is None
        assert [str(view.namespace.owner) for view in snapshot.views] == ["docker 4f66", "docker 4f66"]
        assert snapshot.view("4711").namespace.holds == ()


class TestOtherSources:
    LINE = b"22 1 0:21 / / rw - tmpfs x rw\n"

    def test_one_table(self, tmp_path: Path) -> None:
        (tmp_path / "web.mountinfo").write_bytes(self.LINE)
        assert load(tmp_path / "web.mountinfo").host.label == "web"

    def test_bad_lines_of_a_table_are_named_or_counted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mntscope.parse.mountinfo.MOST_PROBLEMS", 2)
        (tmp_path / "web").write_bytes(self.LINE + b"bad\n" * 5)
        problems = [str(problem) for problem in load(tmp_path / "web").host.problems]
        assert len(problems) == 3
        assert problems[2] == f"{tmp_path}/web: 3 more lines are not as the kernel writes them"

    @pytest.mark.parametrize("name", ["missing", "empty", "/dev/zero"])
    def test_what_is_no_snapshot_is_an_error(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "empty").touch()
        with pytest.raises(MntscopeError):
            load(tmp_path / name)


def test_a_recording_is_not_read_from_what_somebody_else_has_opened() -> None:
    """It takes several goes, and the name may be that of another file here."""
    recording = FIXTURES / "broken-proc.rec"
    with recording.open("rb") as file, pytest.raises(MntscopeError, match="s3://fleet/web-1: it is a recording"):
        load_stream(file, "s3://fleet/web-1")
