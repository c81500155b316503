"""The file format of recordings: what is written is read back, and what is wrong is named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from mntscope.errors import AccessError, ParseError
from mntscope.propagation import operation
from mntscope.selftest import traces
from mntscope.selftest.traces import SKELETON, Step, Table, Trace, TraceWriter, read_traces

LINE = "10 1 0:1 / /\udcff rw - tmpfs r rw"
DESCRIBED: dict[str, Any] = {
    "format": "mnttrace/1",
    "id": "t",
    "profile": "core",
    "kernel": "6.18.0",
    "fs_skeleton": {"dirs": ["a"], "files": []},
    "states": [{"A": {"mntns": 1, "userns": 2, "mountinfo": [LINE], "unique": [3]}}],
    "steps": [
        {"op": {"op": "umount", "ns": "A", "target": "/a", "lazy": True}, "errno": "EINVAL", "before": 0, "after": 0}
    ],
}


def written(tmp_path: Path, *documents: object) -> Path:
    path = tmp_path / "t.jsonl"
    path.write_text("".join(f"{json.dumps(document)}\n" for document in documents))
    return path


@pytest.mark.parametrize("name", ["t.jsonl", "t.jsonl.gz"])
def test_what_is_written_is_read_back(tmp_path: Path, name: str) -> None:
    state = {"A": Table(b"10 1 0:1 / /\xff rw - tmpfs r rw\n", userns=7, mntns=8, unique=(9,)), "B": Table(b"")}
    steps = (
        Step(operation({"op": "bind", "ns": "A", "source": "/\udcff", "target": "/a"}), None, 0, 1),
        Step(operation({"op": "exit_ns", "ns": "A"}), "EINVAL", 1, 1),
    )
    trace = Trace("x-1", "core", "6.18.0", SKELETON, (state, state), steps, seed=1)
    with TraceWriter(tmp_path / name) as writer:
        writer.write(trace)
        writer.write(trace)
    assert list(read_traces(tmp_path / name)) == [trace, trace]
    assert (tmp_path / name).read_bytes().startswith(b"\x1f\x8b") == name.endswith(".gz")


def test_a_state_becomes_the_snapshot_of_that_moment(tmp_path: Path) -> None:
    (trace,) = read_traces(written(tmp_path, DESCRIBED))
    snapshot = trace.snapshot(0)
    assert snapshot.mountinfo("A") == b"10 1 0:1 / /\xff rw - tmpfs r rw\n"
    assert snapshot.view("A").namespace.user_namespace == 2
    assert snapshot.kernel == "6.18.0"
    assert snapshot.skeleton is not None
    assert snapshot.skeleton.dirs == {"a"}


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in DESCRIBED.items() if name != key}


def with_step(**changes: Any) -> dict[str, Any]:
    return DESCRIBED | {"steps": [DESCRIBED["steps"][0] | changes]}


def with_operation(**fields: Any) -> dict[str, Any]:
    return with_step(op=DESCRIBED["steps"][0]["op"] | fields)


def with_table(table: object) -> dict[str, Any]:
    return DESCRIBED | {"states": [{"A": table}]}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (7, "format None, expected 'mnttrace/1'"),
        (DESCRIBED | {"format": "mnttrace/9"}, "format 'mnttrace/9', expected 'mnttrace/1'"),
        (without("id"), "id None, expected text"),
        (without("states"), "states, expected a list"),
        (without("fs_skeleton"), "fs_skeleton None, expected an object"),
        (DESCRIBED | {"fs_skeleton": {"dirs": [1], "files": []}}, "dirs, expected a list of text"),
        (DESCRIBED | {"kernel": 6}, "kernel 6, expected text"),
        (DESCRIBED | {"seed": "x"}, "seed 'x', expected a number"),
        (DESCRIBED | {"states": []}, "0 states and 1 steps"),
        (DESCRIBED | {"states": [{}]}, "state 0, expected an object of 1 to 1000 namespaces"),
        (with_table([]), "state 0, A, expected an object"),
        (with_table({"mountinfo": LINE}), "state 0, A: mountinfo, expected a list"),
        (with_table({"mountinfo": [], "userns": True}), "state 0, A: userns True, expected a number"),
        (with_table({"mountinfo": [], "unique": ["x"]}), "state 0, A: unique, expected a list of numbers"),
        (DESCRIBED | {"steps": [None]}, "step 0, expected an object"),
        (with_step(after=1), "step 0: state 0 or 1 does not exist"),
        (with_step(before=-1), "step 0: state -1 or 0 does not exist"),
        (with_step(errno=22), "step 0: errno 22, expected text"),
        (with_step(op={"op": "format"}), "step 0: no operation 'format'"),
        (with_operation(force=True), "step 0: operation umount: 'force' is not known"),
        (with_operation(target=5), "step 0: target 5, expected str"),
        (with_operation(target=None), "step 0: target None, expected str"),
        (with_operation(lazy="yes"), "step 0: lazy 'yes', expected bool"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, document: object, message: str) -> None:
    path = written(tmp_path, DESCRIBED, document)
    with pytest.raises(ParseError) as caught:
        list(read_traces(path))
    assert str(caught.value).startswith(f"{path}:2:1: {message}")


def test_what_is_not_json_is_named_with_its_column(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(b'{"format": }\n')
    with pytest.raises(ParseError, match=r"t\.jsonl:1:12: not JSON: Expecting value"):
        list(read_traces(path))


@pytest.mark.parametrize("data", [b"[" * 200_000, b"\xff\xfe", b'{"id": ' + b"9" * 5000 + b"}"])
def test_hostile_json_is_an_error_like_any_other(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(data)
    with pytest.raises(ParseError, match="not JSON"):
        list(read_traces(path))


def test_a_line_may_not_exhaust_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "MAX_LINE", 1 << 20)
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(64):
            file.write(b" " * (1 << 20))
    with pytest.raises(ParseError, match="more than 1 MiB"):
        list(read_traces(path))


@pytest.mark.parametrize(
    "data", [b"\x1f\x8b garbage", gzip.compress(b"{}" * 999, mtime=0)[:-9]], ids=["garbage", "cut short"]
)
def test_a_damaged_archive_says_so(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "t.gz"
    path.write_bytes(data)
    with pytest.raises(AccessError, match="damaged gzip data"):
        list(read_traces(path))


def test_an_empty_file_is_no_recording(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    with pytest.raises(ParseError, match="no trace"):
        list(read_traces(path))


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="cannot read: No such file or directory"):
        list(read_traces(tmp_path / "nothing"))
    with pytest.raises(AccessError, match="cannot write: No such file or directory"):
        TraceWriter(tmp_path / "no" / "such")
