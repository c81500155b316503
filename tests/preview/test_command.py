"""``mntscope preview``: what it prints, in which formats, and its exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from mntscope.cli import main
from tests.preview.configurations import SHARED, config
from tests.preview.test_findings import DAEMON_SET, HOST
from tests.support.schemas import SCHEMAS


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with manifests, and the table of a host."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ds.yaml").write_text(DAEMON_SET)
    (tmp_path / "plain.yaml").write_text(re.sub(", mountPropagation: [A-Za-z]+", "", DAEMON_SET))
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "host.mountinfo").write_bytes(HOST)
    return tmp_path


def test_findings_and_their_lines(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preview", "ds.yaml", "--snapshot", "host"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("FOUND 2 containers; 2 findings: 2 high.")
    assert "csi-node/driver can mount on the host at /var/lib/kubelet" in said
    assert "ds.yaml:15:71: leave mountPropagation: Bidirectional away" in said
    assert 'path "/srv/private" is mounted on "/srv/private" but it is not a shared or slave mount' in said


def test_nothing_found(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preview", "plain.yaml", "--snapshot", "host"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("SOUND  2 containers, and nothing found. mntscope audit will say more: 1 medium, 1 low.\n")
    assert "What mntscope audit will say of them\n  medium MNT" in said


def test_below_the_severity_that_fails(here: Path) -> None:
    assert main(["preview", "ds.yaml", "--snapshot", "host", "--fail-on", "critical"]) == 0
    assert main(["preview", "ds.yaml", "--snapshot", "host", "--fail-on", "never"]) == 0


def test_the_json_keeps_to_its_schema(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["preview", "ds.yaml", "--snapshot", "host", "--format", "json"])
    written = json.loads(capsys.readouterr().out)
    jsonschema.validate(written, SCHEMAS["preview"])
    driver, exporter = written["containers"]
    assert [each["where"] for each in driver["leaks"]] == [{"file": "ds.yaml", "line": 15, "column": 71}]
    assert [each["as_said_by"] for each in exporter["refused"]] == ["containerd"]
    assert {step["function"] for step in driver["steps"]} >= {"prepareRoot", "mountPropagate", "pivotRoot"}


def test_sarif_names_the_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["preview", "ds.yaml", "--snapshot", "host", "--format", "sarif"])
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    places = {each["ruleId"]: each["locations"][0]["physicalLocation"] for each in run["results"]}
    assert places["PRV001"] == {
        "artifactLocation": {"uri": "ds.yaml"},
        "region": {"startLine": 15, "startColumn": 71},
    }
    # What the audit will say of the running container is at the container.
    assert places["MNT006"]["artifactLocation"] == {"uri": "ds.yaml"}
    assert run["automationDetails"] == {"id": "mntscope/preview/"}


def test_junit_fails_for_what_fails(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["preview", "ds.yaml", "--snapshot", "host", "--format", "junit"])
    said = capsys.readouterr().out
    assert said.count("<failure ") == 2
    assert '<testsuites name="mntscope preview"' in said


@pytest.mark.parametrize("format_", ["markdown", "html"])
def test_other_formats(here: Path, capsys: pytest.CaptureFixture[str], format_: str) -> None:
    assert main(["preview", "ds.yaml", "--snapshot", "host", "--format", format_]) == 1
    assert "can mount on the host at" in capsys.readouterr().out


def test_steps_are_the_calls_of_the_runtime(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "config.json").write_text(json.dumps(config(SHARED, root="rshared"), indent="\t"))
    main(["preview", "config.json", "--snapshot", "host", "--runtime", "crun=1.8.1", "--steps"])
    said = " ".join(capsys.readouterr().out.split())
    for step in ("crun libcrun_set_mounts mount --make-rshared /", "crun do_pivot umount -l /.old-root"):
        assert step in said


def test_a_file_that_is_wrong_is_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "bad.yaml").write_text("apiVersion: [\n")
    assert main(["preview", "bad.yaml"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(r"mntscope: bad\.yaml:\d+:\d+: .*\n", captured.err)


def test_what_is_right_beside_it_is_told_all_the_same(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "bad.yaml").write_text("apiVersion: [\n")
    assert main(["preview", "ds.yaml", "bad.yaml", "--snapshot", "host"]) == 2
    captured = capsys.readouterr()
    assert "csi-node/driver can mount on the host" in " ".join(captured.out.split())
    assert captured.err.startswith("mntscope: bad.yaml:")


def test_what_is_named_is_made_visible(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = DAEMON_SET.replace("/var/lib/kubelet,", '"/var/\\e[31mlib",')
    (here / "escape.yaml").write_text(text)
    main(["preview", "escape.yaml", "--snapshot", "host"])
    assert "\x1b" not in capsys.readouterr().out


def test_a_root_filesystem_that_is_none(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preview", "ds.yaml", "--rootfs", "nothing"]) == 2
    assert "--rootfs nothing: it is no directory" in capsys.readouterr().err


def test_links_in_the_root_filesystem_are_followed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "image" / "var").mkdir(parents=True)
    (here / "image" / "var" / "lib").symlink_to("/data")
    main(["preview", "ds.yaml", "--snapshot", "host", "--rootfs", "image", "-J"])
    driver = json.loads(capsys.readouterr().out)["containers"][0]
    assert "/data/kubelet" in {mount["mount_point"] for mount in driver["mounts"]}
