"""What ``mntscope fleet`` prints: for people, and for programs that read it as they would."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from fixtures import fleet as fixture
from mntscope.cli import main
from tests.support.repository import DATA


def run(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> str:
    assert main(["fleet", *words]) == code
    return capsys.readouterr().out


def test_snapshots_are_added_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fixture.make(tmp_path / "in", 3, 1, namespaces=4, mounts=12)
    source, dataset = str(tmp_path / "in"), str(tmp_path / "fleet")
    assert run(capsys, 0, "add", source, "-o", dataset, "--workers", "1") == f"{dataset}: 3 snapshots added.\n"
    again = " ".join(run(capsys, 0, "add", source, "-o", dataset).split())
    assert again == f"{dataset}: 0 snapshots added; 3 inputs were there already."
    told = json.loads(run(capsys, 0, "add", source, "-o", dataset, "--json"))
    assert told == {
        "schema": "mntscope.fleet/1", "dataset": dataset, "added": 0, "known": 3, "parts": 0, "bad_inputs": [],
    }  # fmt: skip


def test_the_state_is_told_to_a_reader(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = run(capsys, 1, "report", dataset).splitlines()
    assert lines[0].startswith("FOUND  ")
    assert lines[1] == "300 hosts, 3600 mount namespaces, 65354 mounts, 2 days from 2026-01-30."
    assert any(line.split()[:4] == ["leak", "web", "debug", "/host/kubelet"] for line in lines)
    assert run(capsys, 0, "report", dataset, "--fail-on", "never").startswith("SOUND")


def test_the_state_is_told_to_programs(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(run(capsys, 1, "report", dataset, "--format", "json"))
    assert (told["schema"], told["hosts"], told["bad_inputs"]) == ("mntscope.fleet/1", 300, [])
    (odd,) = [one for one in told["findings"] if (one["rule"], one["owner"]) == ("MNT006", "debug")]
    assert {key: odd[key] for key in ("path", "lands_at", "hosts", "cohort", "severity")} == {
        "path": "/host/kubelet", "lands_at": "/var/lib/kubelet", "hosts": 2, "cohort": "web", "severity": "high",
    }  # fmt: skip
    assert {one["kind"] for one in told["outliers"]} == {"leak", "extra", "missing", "propagation", "many"}
    sarif = json.loads(run(capsys, 1, "report", dataset, "--format", "sarif"))
    jsonschema.validate(sarif, json.loads((DATA / "schemas" / "sarif-2.1.0.json").read_text()))
    assert len(sarif["runs"][0]["results"]) == len(told["findings"])


def test_monitoring_gets_a_number_for_each_rule(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = pytest.importorskip("prometheus_client.parser", reason="what reads metrics is not installed")
    text = run(capsys, 1, "report", dataset, "--format", "prometheus")
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["mntscope_fleet_hosts",] == 300
    assert samples["mntscope_fleet_outliers", "leak"] == 1
    assert samples["mntscope_fleet_finding_hosts", "MNT006", "bidirectional-volume", "high"] == 300
    assert samples["mntscope_fleet_finding_hosts", "MNT001", "leak-to-host", "critical"] == 0


def test_the_page_is_one_file_with_plots(dataset: str, tmp_path: Path) -> None:
    page = tmp_path / "fleet.html"
    assert main(["fleet", "report", dataset, "--format", "html", "-o", str(page)]) == 1
    text = page.read_text()
    assert text.count('<svg class="plot"') == 5
    assert "http" not in text.replace("http-equiv", "")
    assert " style=" not in text


def test_a_drift_is_told(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, 1, "diff", dataset, "2026-01-30", "2026-01-31")
    assert text.startswith("DRIFT  20 differences, 9 of them in leaks, on 300 hosts.\n")
    told = json.loads(run(capsys, 1, "diff", dataset, "2026-01-30", "2026-01-31", "--json"))
    assert len(told["drift"]) == 20
    assert told["drift"][0] | {"examples": []} == {
        "owner": "nginx", "path": "/host/log", "what": "leak", "change": "new", "before": None,
        "after": "ext4 shared rw,relatime, leaks out and in", "lands_at": "/var/log", "hosts": 74, "examples": [],
    }  # fmt: skip
    assert run(capsys, 0, "diff", dataset, "2026-01-31", "2026-01-31").startswith("SAME")


def test_hosts_that_were_not_seen_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = fixture.make(tmp_path / "in", 4, 2, namespaces=4, mounts=12)
    paths[-1].unlink()
    run(capsys, 0, "add", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--workers", "1")
    told = json.loads(run(capsys, 1, "report", str(tmp_path / "out"), "--json"))
    assert told["unseen"] == [{"host": "gpu-000", "cohort": "gpu", "last": "2026-01-30"}]
    told = json.loads(run(capsys, 0, "diff", str(tmp_path / "out"), "2026-01-31", "2026-01-31", "--json"))
    assert (told["hosts"], told["only_before"]) == (3, [])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["report", "/nowhere"], "/nowhere: it is no fleet; `mntscope fleet add SRC -o DATASET` makes one"),
        (["report", "/nowhere", "--since", "monday"], "'monday' is no day; write it as 2026-01-31"),
        (["add", "/nowhere", "-o", "/tmp/x", "--workers", "0"], "--workers takes a number of processes; 1 or more"),
        (["add", "/nowhere"], "the following arguments are required: -o/--into"),
        ([], "the following arguments are required: ACTION"),
    ],
)
def test_trouble_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", *words]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_without_what_it_takes_the_command_says_what_to_install(tmp_path: Path) -> None:
    program = """
import sys
for name in ("duckdb", "pyarrow", "fsspec"):
    sys.modules[name] = None
from mntscope.cli import main
sys.exit(main(["fleet", "report", "/nowhere"]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "mntscope: a fleet takes pyarrow, which this Python does not have; pip install 'mntscope[fleet]'\n"
    )
