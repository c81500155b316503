"""Snapshots that somebody made to do harm: each is named or read, the rest is done, and what they say is only shown."""

from __future__ import annotations

import gzip
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fixtures import fleet as fixture
from mntscope import fleet
from mntscope.cli import main
from mntscope.output.fleet import DRIFTS, REPORTS
from mntscope.output.writers.page import Page

ESCAPES = "\x1b]0;owned\x07\x1b[2J\u202eevil\n"
MARKUP = "</title><script>alert(1)</script><img src=x onerror=alert(1)>'\"&"
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def document(**changed: Any) -> dict[str, Any]:
    return fixture.Host(0, 0, namespaces=4, mounts=12).document() | changed


def packed(made: Any) -> bytes:
    return gzip.compress(json.dumps(made).encode())


def named(text: str) -> dict[str, Any]:
    """A snapshot that says *text* wherever it may say what it likes."""
    made = document(kernel=text, distribution=text)
    made["origin"]["host_name"] = text[:200]
    view = made["views"][1]
    view["namespace"]["owner"] |= {"name": text}
    escaped = text.encode("unicode_escape").decode().replace("\\", "\\134").replace(" ", "\\040")
    lines = [f"900 901 8:2 / /{escaped} rw shared:9 - ext4 {escaped} rw", "901 1 0:3 / / rw - overlay o rw"]
    view["mountinfo"] = lines
    return made


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("in")
    (directory / "bomb.json.gz").write_bytes(gzip.compress(bytes(1 << 28)))
    (directory / "deep.json").write_text('{"a":' * 200_000)
    huge = document()
    huge["views"][0]["mountinfo"] = ["9" * 4000 + " 1 8:1 / / rw shared:" + "9" * 4000 + " - ext4 a rw"]
    (directory / "huge-number.json.gz").write_bytes(packed(huge))
    big = document(boot_id="b")
    numbers = str((1 << 63) - 1)
    big["views"][0]["mountinfo"] = [f"{numbers} 1 {numbers}:{numbers} / / rw shared:{numbers} - ext4 a rw"]
    big["origin"]["host_name"] = "big"
    (directory / "big-number.json.gz").write_bytes(packed(big))
    (directory / "year.json.gz").write_bytes(packed(document(origin={"time": 253_402_300_799})))
    (directory / "year-of-no-calendar.json.gz").write_bytes(packed(document(origin={"time": 1 << 63})))
    (directory / "escapes.json.gz").write_bytes(packed(named(ESCAPES)))
    (directory / "markup.json.gz").write_bytes(packed(named(MARKUP)))
    (directory / f"{MARKUP.replace('/', '|')}.json").write_text("{}")
    (directory / f"{ESCAPES}.json").write_text("{}")
    (directory / "good.json.gz").write_bytes(packed(document()))
    return directory


@pytest.fixture(scope="module")
def dataset(hostile: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, fleet.Added]:
    url = str(tmp_path_factory.mktemp("out") / "fleet")
    return url, fleet.add([str(hostile)], url, workers=1)


def test_what_cannot_be_read_is_named_and_the_rest_is_done(dataset: tuple[str, fleet.Added]) -> None:
    url, added = dataset
    told = {Path(bad.source).name: bad.why for bad in added.bad_inputs}
    assert "unpacked" in told["bomb.json.gz"] or "larger" in told["bomb.json.gz"]
    assert "not JSON" in told["deep.json"]
    assert "big-number.json.gz" not in told
    assert "no time of a capture" in told["year.json.gz"]
    assert "is not a time" in told["year-of-no-calendar.json.gz"]
    with fleet.open(url) as opened:
        names = {name for (name,) in opened.ask("select host from hosts")}
    assert {"web-000", "big", ESCAPES, MARKUP} <= names


@pytest.mark.parametrize("form", ["table", "html", "json", "sarif", "prometheus"])
def test_no_report_obeys_it(dataset: tuple[str, fleet.Added], form: str) -> None:
    with fleet.open(dataset[0]) as opened:
        text = REPORTS[form](fleet.report(opened, when=NOW), Page(terminal=True))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", text)
    if form == "html":
        assert "<script>alert" not in text
        assert "<img" not in text
        assert "alert(1)" in text


def test_nor_does_a_drift(tmp_path: Path) -> None:
    for day, text in enumerate((ESCAPES, MARKUP)):
        made = named(text)
        made["origin"] = {"host_name": MARKUP, "time": int(NOW.timestamp()) + 86400 * day}
        (tmp_path / f"{day}.json.gz").write_bytes(packed(made))
    fleet.add([str(tmp_path / "0.json.gz"), str(tmp_path / "1.json.gz")], str(tmp_path / "out"), workers=1)
    with fleet.open(str(tmp_path / "out")) as opened:
        drift = fleet.between(opened, "2026-01-31", "2026-02-01")
    assert drift.drift
    for write in DRIFTS.values():
        text = write(drift, Page(terminal=True))
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", text)
    assert "<script>alert" not in DRIFTS["html"](drift, Page())


def test_the_terminal_gets_none_of_it(hostile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "add", str(hostile), "-o", str(tmp_path / "fleet"), "--workers", "1"]) == 1
    told = capsys.readouterr()
    assert "\x1b" not in told.out + told.err
    assert "Bad inputs" in told.out


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("mntscope-fleet.json", "[]", "it is no fleet of format"),
        ("mntscope-fleet.json", "[" * 5000, "it is no fleet of format"),
        ("manifest/0000000000000000.json", "{}", "no part of a fleet's manifest"),
        ("manifest/0000000000000000.json", '{"format": "mntscope.fleet-part/1", "days": ["../.."]}', "no part"),
    ],
)
def test_a_data_set_of_somebody_else_is_not_believed(
    path: str, text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fixture.make(tmp_path / "in", 1, 1, namespaces=4, mounts=12)
    fleet.add([str(tmp_path / "in")], str(tmp_path / "out"), workers=1)
    (tmp_path / "out" / path).write_text(text)
    assert main(["fleet", "report", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_a_table_that_is_no_parquet_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fixture.make(tmp_path / "in", 1, 1, namespaces=4, mounts=12)
    fleet.add([str(tmp_path / "in")], str(tmp_path / "out"), workers=1)
    (part,) = (tmp_path / "out" / "hosts").rglob("*.parquet")
    part.write_bytes(b"PAR1 and nothing else PAR1")
    assert main(["fleet", "report", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "its files cannot be read" in told
    assert told.count("\n") == 1
