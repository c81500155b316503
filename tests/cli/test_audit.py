"""``mntscope audit`` and ``mntscope explain``, on captured machines and on this kernel."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mntscope.archive import save
from mntscope.cli import main
from mntscope.cli.audit import FORMATS
from mntscope.output import audit as reports
from mntscope.output.audit import rule_page
from mntscope.rules import RULES
from tests.support import audits
from tests.support.repository import FIXTURES
from tests.support.throwaway import Actor, Host

SANDBOX = str(FIXTURES / "sandbox.mntscope.json")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without settings."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def asked(*words: object, code: int) -> Any:
    """The document of ``mntscope audit WORDS..``."""
    done = subprocess.run(
        [sys.executable, "-m", "mntscope", "audit", *map(str, words), "--format", "json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, "")
    return json.loads(done.stdout)


def rules(document: Any) -> list[str]:
    return [finding["rule"] for finding in document["findings"]]


# What is audited


@pytest.mark.parametrize(
    "words", [(SANDBOX,), ("--snapshot", SANDBOX), (f"snapshot:{SANDBOX}#4711",), ("--snapshot", SANDBOX, "4711")]
)
def test_a_captured_machine_is_audited(words: tuple[str, ...]) -> None:
    found = asked(*words, code=1)
    assert found["schema"] == "mntscope.audit/1"
    assert rules(found)[:2] == ["MNT001", "MNT002"]
    assert found["subject"].endswith("sandbox.mntscope.json")


def test_another_may_play_the_host() -> None:
    found = asked(SANDBOX, "--against", "4711", code=1)
    assert found["host"] == "4711"
    assert {finding["subject"] for finding in found["findings"] if finding["rule"] == "MNT001"} == {"host"}


def test_findings_are_of_the_target_only(tmp_path: Path) -> None:
    save(audits.hostile(), str(tmp_path / "many.json"))
    found = asked("many.json", "--rule", "MNT001", code=1)
    some = asked(f"snapshot:{tmp_path / 'many.json'}#8", "--rule", "MNT001", code=1)
    assert {finding["subject"] for finding in some["findings"]} == {"8"}
    assert len(found["findings"]) > len(some["findings"])


def test_tables_are_audited(tmp_path: Path) -> None:
    (tmp_path / "host").write_text(audits.HOST.replace("8:1", "8:1"), "utf-8")
    (tmp_path / "copy").write_text(audits.COPY, "utf-8")
    assert rules(asked("file:copy", "--against", "file:host", code=1))[0] == "MNT001"


def test_the_running_machine_is_audited_once_for_all(machine: Host) -> None:
    done = machine.mntscope("audit", "--format", "json", "--rule", "MNT001")
    assert done.returncode in (0, 1), done.stderr
    assert json.loads(done.stdout)["namespaces"] >= 1


def test_a_leak_is_found_put_right_as_printed_and_gone(machine: Host) -> None:
    # A process with its own PID and mount namespaces that is still a peer of the host.
    actor = machine.unshare("unchanged", new_pids=True)
    before = audited(machine, actor, code=1)
    leak = next(finding for finding in before["findings"] if finding["rule"] == "MNT001")
    proc = next(finding for finding in before["findings"] if finding["rule"] == "MNT002")
    assert (leak["severity"], proc["severity"]) == ("critical", "critical")
    assert any(effect["path"] == "/proc" and effect["crosses"] for effect in proc["evidence"]["effects"])
    for command in leak["remedy"].split("\n"):
        assert machine.run(shlex.split(command)).returncode == 0
    assert {"MNT001", "MNT002"}.isdisjoint(rules(audited(machine, actor)))


def audited(machine: Host, actor: Actor, code: int | None = None) -> Any:
    done = machine.mntscope("audit", actor.inner, "--format", "json")
    assert code in (None, done.returncode), done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], "'nonsense' is no file that is here, and no TARGET"),
        ([SANDBOX, SANDBOX], "an audit is of one machine"),
        ([SANDBOX, "99"], "the snapshot has no view '99'"),
        (["file:a", "file:b"], "an audit is of one machine"),
        (["1", f"snapshot:{SANDBOX}#4711"], "an audit is of one machine"),
        (["ns:/nowhere"], "No such file or directory"),
        (["--rule", "MNT999"], "there is no rule 'MNT999'"),
        (["--settings", "no.toml"], "no.toml: cannot read"),
        (["--baseline", "no.json", SANDBOX], "no.json: cannot read"),
        (["--baseline", SANDBOX, SANDBOX], "it is no audit in JSON"),
    ],
)
def test_trouble_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


# What is asked, and what fails


def test_rules_are_chosen_by_id_or_name() -> None:
    assert asked(SANDBOX, "--rule", "mnt003,leak-to-host", code=1)["rules"] == ["MNT001", "MNT003"]
    assert asked(SANDBOX, "--rule", "MNT003", "--rule", "MNT001", code=1)["rules"] == ["MNT001", "MNT003"]


def test_what_is_less_severe_may_be_left_out() -> None:
    found = asked(SANDBOX, "--severity", "critical", code=1)
    assert {finding["severity"] for finding in found["findings"]} == {"critical"}


def test_it_fails_from_the_severity_that_is_given() -> None:
    assert asked(SANDBOX, "--rule", "MNT003", "--fail-on", "high", code=0)["failed"] is False
    assert asked(SANDBOX, "--rule", "MNT003", "--fail-on", "medium", code=1)["failed"] is True
    assert asked(SANDBOX, "--fail-on", "never", code=0)["fail_on"] is None


def test_a_baseline_leaves_what_is_new(tmp_path: Path) -> None:
    assert main(["audit", SANDBOX, "--format", "json", "-o", "known.json", "--rule", "MNT001"]) == 1
    found = asked(SANDBOX, "--baseline", "known.json", "--rule", "MNT001,MNT003", code=1)
    assert rules(found) == ["MNT003"]
    assert asked(SANDBOX, "--baseline", "known.json", "--rule", "MNT001", code=0)["findings"] == []


def test_settings_of_the_working_directory_count_and_are_named(tmp_path: Path) -> None:
    (tmp_path / "mntscope.toml").write_text(
        "[[waiver]]\nrule = 'MNT00[12]'\nreason = 'a demonstration'\n[severity]\nMNT003 = 'low'\n", "utf-8"
    )
    found = asked(SANDBOX, "--rule", "MNT001,MNT002,MNT003", code=0)
    assert found["settings"] == "mntscope.toml"
    assert [finding["severity"] for finding in found["findings"]] == ["low"]
    assert {waived["waiver"]["reason"] for waived in found["waived"]} == {"a demonstration"}
    assert asked(SANDBOX, "--no-settings", code=1)["settings"] is None


def test_the_formats_are_those_there_are() -> None:
    assert tuple(reports.FORMATS) == FORMATS


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_goes_to_a_file(format: str, tmp_path: Path) -> None:  # noqa: A002
    assert main(["audit", SANDBOX, "--format", format, "-o", str(tmp_path / "report")]) == 1
    assert (tmp_path / "report").stat().st_size > 500


# explain


def test_a_rule_is_explained_by_id_or_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "mnt001"]) == 0
    by_id = capsys.readouterr().out
    assert main(["explain", "leak-to-host"]) == 0
    assert capsys.readouterr().out == by_id
    assert by_id.startswith("MNT001 leak-to-host\n")
    assert "https://man7.org" in by_id


def test_all_rules_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(RULES)


@pytest.mark.parametrize("format", rule_page.FORMATS)
def test_explain_has_its_formats(format: str, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: A002
    assert main(["explain", "MNT002", "--format", format]) == 0
    assert "MNT002" in capsys.readouterr().out


def test_an_unknown_rule_is_trouble(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "MNT999"]) == 2
    assert "there is no rule 'MNT999'; there are MNT001" in capsys.readouterr().err
