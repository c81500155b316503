"""What a journal says, however its writer ended, and whatever stands in it."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mntscope.cli import main
from mntscope.errors import AccessError, MntscopeError, RefusedError, TargetError
from mntscope.isolate import journal as journals
from mntscope.isolate.journal import Changed, Entry, Journal, Member, locked
from tests.support.isolating import descriptors, isolated, leaking, undone
from tests.support.throwaway import Host

LINE = "12 11 0:5 / /proc rw shared:2 - proc proc rw"


def journal_of(path: Path, directory: int) -> Journal:
    entries = [
        Entry("propagation", "/proc", "private", changed=[Changed(12, 1 << 31, LINE, [Member(2, 1 << 32), Member(3)])]),
        Entry("mount", "/proc"),
    ]
    where = {"namespace": 4026531841, "namespace_id": 7, "directory": directory}
    return Journal(str(path), "the boot", "2026-11-28T00:00:00Z", 4711, 99, entries=entries, **where)  # type: ignore[arg-type]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """One that has been written in two states."""
    with locked(str(tmp_path / "journal"), new=True) as directory:
        journal = journal_of(tmp_path / "journal", directory)
        journal.write()
        journal.state, journal.entries[0].state = "applying", "doing"
        journal.write()
        yield journal


def fields(journal: Journal) -> dict[str, Any]:
    return journal._document()


def test_it_is_read_as_it_was_last_written(journal: Journal) -> None:
    path = Path(journal.path)
    assert fields(Journal.read(journal.path)) == fields(journal)
    assert [sorted(json.loads(line)) for line in path.read_text().splitlines()][1] == ["entries", "note", "state"]
    assert (path.stat().st_mode & 0o777, path.stat().st_nlink, os.listdir(path.parent)) == (0o600, 1, ["journal"])


def test_what_was_cut_off_says_nothing(journal: Journal) -> None:
    """At whichever byte a writer was killed: what it had said before counts, and can be gone on from."""
    data = Path(journal.path).read_bytes()
    first = data.index(b"\n")
    for size in (*range(0, len(data), 23), first, first + 1, len(data) - 1):
        Path(journal.path).write_bytes(data[:size])
        if size < first:
            with pytest.raises(TargetError, match=r"it was cut off before its first line was whole.*delete it"):
                Journal.read(journal.path)
            continue
        read = Journal.read(journal.path, journal.directory)
        assert read.state == ("planned" if size < len(data) - 1 else "applying")
        read.state = "rolled-back"
        read.write()
        assert Journal.read(journal.path).state == "rolled-back"


def test_a_new_attempt_says_all_of_it_again(journal: Journal) -> None:
    again = journal_of(Path(journal.path), journal.directory)
    again.entries = again.entries[1:]
    again.write()
    again.state = "applied"
    again.write()
    read = Journal.read(journal.path)
    assert fields(read) == fields(again)
    assert [entry.action for entry in read.entries] == ["mount"]


def test_a_later_line_says_no_more_than_how_far_it_has_come(journal: Journal) -> None:
    for more in ({"directory": 0}, {"path": "/etc/passwd"}, {"boot_id": "another"}):
        told = {**journal._progress(), **more}
        with open(journal.path, "a") as file:
            file.write(json.dumps(told) + "\n")
        with pytest.raises(TargetError, match="it is not a journal"):
            Journal.read(journal.path)


def test_one_document_as_written_before_is_read_and_gone_on_from(journal: Journal) -> None:
    old = {"schema": journals.SCHEMA, **fields(journal)}
    del old["in_host_namespace"]
    Path(journal.path).write_text(json.dumps(old, indent=1))
    read = Journal.read(journal.path, journal.directory)
    assert fields(read) == fields(journal)
    read.state = "undone"
    read.write()
    assert Journal.read(journal.path).state == "undone"


def test_where_no_nameless_file_can_be_made(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def without(path: str, flags: int, mode: int = 0o777, **where: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(95, "Operation not supported")
        return real(path, flags, mode, **where)

    monkeypatch.setattr(os, "open", without)
    other = journal_of(Path(journal.path).with_name("other"), journal.directory)
    other.write()
    other.state = "applied"
    other.write()
    assert Journal.read(other.path).state == "applied"
    assert os.stat(other.path).st_mode & 0o777 == 0o600


def test_what_lies_there_already_is_not_written_to_if_it_may_be_anothers(journal: Journal) -> None:
    other = journal_of(Path(journal.path).with_name("other"), journal.directory)
    makers: list[Callable[[str], None]] = [lambda path: os.symlink(journal.path, path), os.mkfifo]
    for make in makers:
        make(other.path)
        with pytest.raises(MntscopeError):
            other.write()
        os.unlink(other.path)


def test_a_full_disk_is_said(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    before = descriptors()
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(AccessError, match="No space left"):
        journal.write()
    assert descriptors() == before


def test_more_than_can_be_read_again_is_not_written(journal: Journal) -> None:
    other = journal_of(Path(journal.path).with_name("other"), journal.directory)
    other.entries[0].changed[0].line = "x" * journals.LARGEST
    with pytest.raises(RefusedError, match="name fewer paths"):
        other.write()
    assert not os.path.exists(other.path)


# Whatever stands in it

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a document."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


WHOLE: dict[str, Any] = {
    "schema": journals.SCHEMA,
    **journal_of(Path("/"), -1)._document(),
    "state": "applied",
    "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
}
for _entry in WHOLE["entries"]:
    _entry["state"] = "done"
WHERE = [place for place in places(WHOLE) if place]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.sampled_from(WHERE), ANYTHING, st.sampled_from(["put", "drop", "add"]))
def test_a_wrong_type_anywhere_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: tuple[Any, ...], value: object, how: str
) -> None:
    document = json.loads(json.dumps(WHOLE))
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    if how == "put":
        inner[place[-1]] = value
    elif how == "drop":
        del inner[place[-1]]
    elif isinstance(inner, dict):
        inner["more"] = value
    path = tmp_path / "journal"
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    with contextlib.suppress(MntscopeError):
        assert isinstance(Journal.read(str(path)).entries, list)
    code = main(["undo", str(path)])
    out, err = capsys.readouterr()
    assert (code, err.count("\n"), "Traceback" in err) == (2, 1, False) or (code, out[:7]) == (0, "NOTHING")


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.binary(max_size=200))
def test_any_bytes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes) -> None:
    path = tmp_path / "journal"
    path.write_bytes(data)
    path.chmod(0o600)
    assert main(["undo", str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


# The list of them


def test_the_list_says_what_there_is_to_undo(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mntscope.isolate.undo.default_directory", lambda: str(tmp_path))
    assert main(["undo", "--list"]) == 0
    assert capsys.readouterr().out.startswith("NO JOURNALS")
    first, second, third = (leaking(host) for _ in range(3))
    for number, target in enumerate((first, second, third)):
        isolated(host, target, journal=tmp_path / f"{number}.json")
    undone(host, tmp_path / "1.json")
    host.kill(third)
    (tmp_path / "3.json").write_text("{")
    os.symlink("0.json", tmp_path / "4.json")
    assert main(["undo", "--list", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], told["done"], told["journal"]) == ("mntscope.undo/1", [], None)
    rows = [(row["state"], row["to_undo"], row["pid"]) for row in told["journals"]]
    assert rows == [
        ("applied", True, first.pid),
        ("undone", False, second.pid),
        ("applied", False, third.pid),
        (None, False, None),
        (None, False, None),
    ]
    why = [row["why"] or "" for row in told["journals"]]
    assert why[:2] == ["", ""]
    for said, word in zip(why[2:], ("the mount namespace it speaks of", "no", "symbolic link"), strict=True):
        assert word in said
    assert main(["undo", "--list"]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == ["TIME", "TARGET", "WHAT", "STATE", "TO", "UNDO", "JOURNAL"]
    for line, target, state in zip(lines, (first, second), ("applied  yes", "undone   no"), strict=False):
        assert str(target.pid) in line
        assert re.search(rf"/proc private  {state} ", line), line
    assert [row["what"] for row in told["journals"]] == ["/proc private"] * 3 + [None] * 2
    assert str(first.pid) in told["journals"][0]["target"]


@pytest.mark.parametrize("words", [[], ["--list", "journal"]])
def test_a_journal_or_the_list(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["undo", *words]) == 2
    assert "a JOURNAL or --list" in capsys.readouterr().err
