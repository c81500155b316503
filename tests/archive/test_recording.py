"""Recordings: what was there at each time, whatever the file has been through."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import mntscope
from mntscope.archive import load, replay
from mntscope.archive.document import to_document
from mntscope.errors import MntscopeError, TargetError, UsageError
from mntscope.snapshot import Snapshot

HOST = b"1 0 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n2 1 0:5 / /proc rw shared:2 - proc proc rw\n"
BOX = b"11 9 8:1 / / rw master:1 - ext4 /dev/sda1 rw\n"
BEGAN = 1767182671.0


def first(**more: Any) -> dict[str, Any]:
    snapshot = Snapshot.from_mountinfo({"host": HOST, "4711": BOX})
    keys = {"host": [101, 102], "4711": [111]}
    return {
        "format": "mntscope.recording/1",
        "time": BEGAN,
        "monotonic": 1.0,
        "snapshot": to_document(snapshot),
        "keys": keys,
        **more,
    }


def mounted(after: float) -> dict[str, Any]:
    """A mount on the host's /mnt, so many seconds after the beginning."""
    line = "3 1 0:9 / /mnt rw - tmpfs t rw"
    return {"time": BEGAN + after, "monotonic": 1.0 + after, "set": [["host", 103, line]]}


def write(path: Path, *lines: dict[str, Any], rest: str = "") -> str:
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines) + rest)
    return str(path)


def points(snapshot: Snapshot, label: str = "host") -> list[str]:
    return [mount.mount_point for mount in snapshot.view(label).mounts]


def test_each_time_has_the_state_it_had(tmp_path: Path) -> None:
    gone = {"time": BEGAN + 20, "monotonic": 21.0, "gone": [["host", 102]], "ended": ["4711"]}
    recording = replay(write(tmp_path / "r", first(), mounted(10), gone))
    assert points(recording.at(BEGAN)) == ["/", "/proc"]
    assert points(recording.at(BEGAN + 10)) == ["/", "/proc", "/mnt"]
    assert points(recording.at()) == ["/", "/mnt"]
    assert [view.label for view in recording.at().views] == ["host"]


def test_a_time_of_day_is_the_last_there_was(tmp_path: Path) -> None:
    file = write(tmp_path / "r", first(), mounted(10))
    clock = time.strftime("%H:%M:%S", time.localtime(BEGAN + 10))
    earlier = time.strftime("%H:%M:%S", time.localtime(BEGAN + 5))
    assert points(load(f"{file}@{clock}")) == ["/", "/proc", "/mnt"]
    assert points(load(f"{file}@{earlier}")) == ["/", "/proc"]
    assert points(replay(file).at(datetime.fromtimestamp(BEGAN + 3, UTC))) == ["/", "/proc"]
    assert points(load(file)) == ["/", "/proc", "/mnt"]


@pytest.mark.parametrize("when", ["yesterday", "25:00:00", "12:99", "x" * 100])
def test_what_is_no_time_is_said_to_be_none(tmp_path: Path, when: str) -> None:
    with pytest.raises(UsageError, match="is no time"):
        load(f"{write(tmp_path / 'r', first())}@{when}")


def test_before_it_began_there_is_nothing(tmp_path: Path) -> None:
    recording = replay(write(tmp_path / "r", first()))
    with pytest.raises(TargetError, match="it was recorded from"):
        recording.at(BEGAN - 1)


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_last_line_that_is_not_whole_is_not_read(tmp_path: Path, cut: int) -> None:
    whole = json.dumps(mounted(10)) + "\n"
    file = write(tmp_path / "r", first(), mounted(5), rest=whole[:-cut])
    assert replay(file).ended == BEGAN + 5
    assert points(load(file)) == ["/", "/proc", "/mnt"]


def test_what_was_before_is_found_in_the_file_before(tmp_path: Path) -> None:
    write(tmp_path / "r.1", first(), mounted(10))
    file = write(tmp_path / "r", first() | {"time": BEGAN + 100})
    assert points(replay(file).at(BEGAN + 10)) == ["/", "/proc", "/mnt"]
    assert points(replay(file).at(BEGAN + 100)) == ["/", "/proc"]


def test_a_slave_says_the_group_that_its_namespace_shows(tmp_path: Path) -> None:
    """Recorded is what the kernel says of a mount; propagate_from follows from the others."""
    middle = "12 9 8:1 / /m rw shared:5 master:1 - ext4 /dev/sda1 rw"
    slave = "4 1 8:1 / /s rw master:5 - ext4 /dev/sda1 rw"
    line = {"time": BEGAN + 1, "monotonic": 2.0, "set": [["4711", 112, middle], ["host", 104, slave]]}
    snapshot = load(write(tmp_path / "r", first(), line))
    assert snapshot.view("host").mounts[-1].propagate_from == 1


@pytest.mark.parametrize(
    "line",
    [
        {"set": [["host", 103, "no line"]]},
        {"set": [["host", 103, "3 1 0:9 / /a rw - tmpfs t rw\n4 1 0:9 / /b rw - tmpfs t rw"]]},
        {"set": [["nobody", 103, "3 1 0:9 / /mnt rw - tmpfs t rw"]]},
        {"set": [["host", -1, "3 1 0:9 / /mnt rw - tmpfs t rw"]]},
        {"set": [["host", 103, "\ud800"]]},
        {"set": {"host": 1}},
        {"gone": [["host"]]},
        {"gone": 7},
        {"born": [7]},
        {"order": {"host": "x"}},
    ],
)
def test_what_is_damaged_is_an_error_of_one_line(tmp_path: Path, line: dict[str, Any]) -> None:
    file = write(tmp_path / "r", first(), {"time": BEGAN + 1, "monotonic": 2.0, **line})
    with pytest.raises(MntscopeError) as caught:
        load(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("time", [float("nan"), float("inf"), -1.0, 1e18, 10**400])
def test_a_time_that_has_no_date_is_damage(tmp_path: Path, time: float) -> None:
    for lines in ((first(time=time), mounted(10)), (first(), {**mounted(10), "time": time})):
        with pytest.raises(MntscopeError, match=r"it is damaged in line [12]: no time"):
            load(f"{write(tmp_path / 'r', *lines)}@12:04:31")


@pytest.mark.parametrize("text", ["[]\n", "{}\n", '{"format":"mntscope.recording/2"}\n', "{" * 10_000 + "\n"])
def test_what_is_no_recording_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "r").write_text(text)
    with pytest.raises(MntscopeError):
        mntscope.replay(str(tmp_path / "r"))


def test_it_is_a_table_of_what_was_told(tmp_path: Path) -> None:
    event = {
        "schema": "mntscope.watch/1",
        "time": BEGAN + 10,
        "monotonic": 11.0,
        "kind": "mount",
        "who": {"pid": 7, "comm": "mount", "owner": "host"},
        "namespace": "host",
        "path": "/mnt",
        "also": [{"namespace": "web", "path": "/data"}],
        "known": True,
    }
    frame = replay(write(tmp_path / "r", first(), mounted(10) | {"events": [event]})).frame()
    row = frame.iloc[0]
    assert (row.kind, row.namespace, row.path, row.comm, row.also) == ("mount", "host", "/mnt", "mount", "web:/data")
    assert row.time.timestamp() == BEGAN + 10


def test_nobody_waits_for_a_file_that_never_answers(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "r")
    with pytest.raises(MntscopeError):
        replay(str(tmp_path / "r"))
