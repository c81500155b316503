"""Adding to a data set: what is new, once, whatever happens."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures import fleet as fixture
from mntscope import fleet
from mntscope.errors import TargetError, UsageError
from mntscope.fleet import workers
from mntscope.fleet.adding import INPUTS
from mntscope.fleet.manifest import Manifest
from mntscope.fleet.parts import Made, Part, make
from mntscope.fleet.places import Place, shown
from mntscope.fleet.sources import Bad, Input, inputs
from tests.support.repository import ROOT


def made(directory: Path, first: int, hosts: int) -> Path:
    fixture.make(directory, hosts, 1, namespaces=4, mounts=12, first=first)
    return directory


def names(dataset: str) -> list[str]:
    """Every host in it, as often as it is there."""
    with fleet.open(dataset) as opened:
        return sorted(name for (name,) in opened.ask("select host from every_host"))


def test_what_is_there_already_is_not_read_again(tmp_path: Path) -> None:
    snapshots, dataset = made(tmp_path / "in", 0, 7), str(tmp_path / "out")
    assert fleet.add([str(snapshots)], dataset, workers=1).added == 7
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    again = fleet.add([str(snapshots)], dataset, workers=1)
    assert (again.added, again.known, again.parts, again.bad_inputs) == (0, 7, 0, ())
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before
    made(snapshots, 7, 3)
    more = fleet.add([str(snapshots)], dataset, workers=1)
    assert (more.added, more.known, more.parts) == (3, 7, 1)
    assert len(names(dataset)) == len(set(names(dataset))) == 10


def test_a_file_that_has_changed_is_another(tmp_path: Path) -> None:
    snapshots, dataset = made(tmp_path / "in", 0, 2), str(tmp_path / "out")
    fleet.add([str(snapshots)], dataset, workers=1)
    path = next(snapshots.rglob("*.gz"))
    os.utime(path, (1, 1))
    assert fleet.add([str(snapshots)], dataset, workers=1).added == 1
    # There are two of one host and day now, of which one counts.
    with fleet.open(dataset) as opened:
        assert len(names(dataset)) == 3
        assert len(opened.hosts) == 2
        per_host = opened.ask("select count(distinct snapshot), count(distinct host_id) from mounts")
        assert per_host == [(2, 2)]


def test_two_commands_at_once_add_each_snapshot_once(tmp_path: Path) -> None:
    snapshots, dataset = made(tmp_path / "in", 0, 30), tmp_path / "out"
    command = [sys.executable, "-m", "mntscope", "fleet", "add", str(snapshots), "-o", str(dataset), "--workers", "1"]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(300) for process in running] == [0, 0]
    assert len(names(str(dataset))) == len(set(names(str(dataset)))) == 30


def test_an_input_in_two_parts_counts_in_one(tmp_path: Path) -> None:
    """Two commands saw different files, and so made different parts."""
    snapshots, dataset = made(tmp_path / "in", 0, 5), str(tmp_path / "out")
    fleet.add([str(snapshots)], dataset, workers=1)
    (part,) = Manifest(Place(dataset)).parts
    given = list(inputs([str(snapshots)], []))
    assert make(Part(dataset, tuple(given[:3]))).added == 3
    manifest = Manifest(Place(dataset))
    assert sum(map(len, manifest.twice.values())) == 3
    assert len(names(dataset)) == len(set(names(dataset))) == 5
    with fleet.open(dataset) as opened:
        assert opened.ask("select count(*) from mounts") == [
            (sum(m for (m,) in opened.ask("select mounts from hosts")),)
        ]
    assert part.name in {one.name for one in manifest.parts}


def test_what_has_no_place_in_the_manifest_does_not_count(tmp_path: Path) -> None:
    """The files of a part whose worker was killed before it had said that they are whole."""
    snapshots, dataset = made(tmp_path / "in", 0, 4), tmp_path / "out"
    fleet.add([str(snapshots)], str(dataset), workers=1)
    (listed,) = (dataset / "manifest").iterdir()
    listed.unlink()
    assert names(str(dataset)) == []
    assert fleet.add([str(snapshots)], str(dataset), workers=1).added == 4
    assert len(names(str(dataset))) == 4


def test_a_worker_that_dies_costs_only_what_it_dies_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "make", killed_by_hostile_file)
    snapshots, dataset = made(tmp_path / "in", 0, INPUTS + 5), str(tmp_path / "out")
    hostile = snapshots / "a-hostile.mntscope.json.gz"
    hostile.write_bytes(next(snapshots.rglob("*.gz")).read_bytes())
    added = fleet.add([str(snapshots)], dataset, workers=2)
    assert added.bad_inputs == (Bad(str(hostile), "whoever reads it is killed"),)
    assert added.added == len(set(names(dataset))) == len(names(dataset)) == INPUTS + 5


def killed_by_hostile_file(part: Part) -> Made:
    """Runs in a worker."""
    if any("hostile" in one.url for one in part.inputs):
        os.kill(os.getpid(), 9)
    return make(part)


def test_bad_inputs_are_named_and_the_rest_is_done(tmp_path: Path) -> None:
    snapshots, dataset = made(tmp_path / "in", 0, 3), str(tmp_path / "out")
    good = next(snapshots.rglob("*.gz")).read_bytes()
    (snapshots / "cut-off.json.gz").write_bytes(good[: len(good) // 2])
    (snapshots / "random.json.gz").write_bytes(bytes(range(256)) * 40)
    (snapshots / "foreign.json").write_text('{"kind": "Pod"}')
    (snapshots / "empty").write_bytes(b"")
    (snapshots / "link").symlink_to("/etc/passwd")
    added = fleet.add([str(snapshots)], dataset, workers=1)
    assert added.added == 3
    told = {Path(bad.source).name: bad.why for bad in added.bad_inputs}
    assert set(told) == {"cut-off.json.gz", "random.json.gz", "foreign.json", "empty", "link"}
    assert told["cut-off.json.gz"] == "it is cut off"
    assert "not a snapshot" in told["foreign.json"]
    assert "not followed" in told["link"]
    again = fleet.add([str(snapshots)], dataset, workers=1)
    assert (again.parts, {bad.source for bad in again.bad_inputs}) == (0, {bad.source for bad in added.bad_inputs})
    with fleet.open(dataset) as opened:
        assert len(opened.bad_inputs) == 4


def test_sources_are_files_directories_and_globs(tmp_path: Path) -> None:
    made(tmp_path / "in", 0, 3)
    day = tmp_path / "in" / "2026-01-30"
    machine = tmp_path / "machine" / "proc" / "1"
    machine.mkdir(parents=True)
    (machine / "mountinfo").write_text("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n")
    first = min(day.iterdir())

    def listed(*sources: str | Path) -> list[str]:
        return [one.url.removeprefix(f"{tmp_path}/") for one in inputs(map(str, sources), [])]

    assert len(listed(tmp_path / "in")) == 3
    assert listed(first) == [f"in/2026-01-30/{first.name}"]
    assert listed(f"{day}/db*") == ["in/2026-01-30/db-000.mntscope.json.gz"]
    assert listed(tmp_path / "machine") == ["machine"]
    with pytest.raises(TargetError, match="nothing to add"):
        listed(f"{day}/none*")


def test_nothing_is_written_into_what_is_no_fleet(tmp_path: Path) -> None:
    snapshots = made(tmp_path / "in", 0, 1)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "diary").write_text("mine")
    with pytest.raises(UsageError, match="no fleet, and not empty"):
        fleet.add([str(snapshots)], str(tmp_path / "home"))
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["diary"]
    with pytest.raises(TargetError, match="it is no fleet"):
        fleet.open(str(tmp_path / "home"))


def test_a_data_set_is_its_owners_alone(tmp_path: Path) -> None:
    fleet.add([str(made(tmp_path / "in", 0, 1))], str(tmp_path / "out"), workers=1)
    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert modes == {0}


def test_a_url_is_shown_without_what_nobody_else_may_know() -> None:
    assert shown("https://me:secret@host/a.gz?X-Amz-Signature=1") == "https://host/a.gz"
    assert shown("/srv/a?b@c") == "/srv/a?b@c"
    one = Input("https://me:secret@host/a.gz", 1, "etag", 0.0)
    assert one.shown == "https://host/a.gz"
    assert one.number != one._replace(version="other").number
