"""An audit in every format: what it says, who else can read it, and that no name does harm."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from jsonschema import Draft4Validator
from junitparser import JUnitXml
from prometheus_client.parser import text_string_to_metric_families

from mntscope.model import View
from mntscope.output.audit import FORMATS, AuditReport
from mntscope.output.audit.document import document, finding_document
from mntscope.output.document import Heading, Table
from mntscope.output.escape import LONGEST
from mntscope.output.writers.markdown import as_markdown
from mntscope.output.writers.page import Page
from mntscope.rules import RULES, Policy
from mntscope.snapshot import Snapshot
from tests.support.audits import NASTY, WHEN, found, hostile_report, made_up, report, with_everything
from tests.support.repository import DATA
from tests.support.tables import hostile_views

SCHEMA = DATA / "schemas/sarif-2.1.0.json"


@pytest.fixture(scope="module")
def full() -> AuditReport:
    return with_everything()


@pytest.fixture(scope="module")
def hostile() -> AuditReport:
    return hostile_report()


@pytest.fixture(params=["full", "hostile"])
def each(request: pytest.FixtureRequest) -> AuditReport:
    result: AuditReport = request.getfixturevalue(request.param)
    return result


def written(what: AuditReport, format: str, page: Page | None = None) -> str:  # noqa: A002 - as the option is called
    return FORMATS[format](what, page or Page())


def sarif(what: AuditReport) -> Any:
    return json.loads(written(what, "sarif"))["runs"][0]


# Every format


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_audit_is_written_the_same(format: str) -> None:  # noqa: A002
    assert written(with_everything(), format) == written(with_everything(), format)


@pytest.mark.parametrize("format", FORMATS)
def test_no_name_is_obeyed_in_any_format(hostile: AuditReport, format: str) -> None:  # noqa: A002
    text = written(hostile, format)
    text.encode()
    assert {character for character in text if not character.isprintable()} <= {"\n", "\u2060"}


@pytest.mark.parametrize("format", [name for name in FORMATS if name != "json"])
def test_nobody_is_told_64_kib_of_a_name(hostile: AuditReport, format: str) -> None:  # noqa: A002
    # But in the command that needs it, which must not be cut.
    told_without_commands = "\n".join(
        line for line in written(hostile, format).split("\n") if "--make-private" not in line
    )
    assert "x" * 1001 not in told_without_commands


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_found_is_said_too(format: str) -> None:  # noqa: A002
    assert written(report(rules=[made_up()]), format)


# Table


def test_the_table_says_what_to_do(full: AuditReport) -> None:
    text = written(full, "table")
    assert text.startswith(
        "FOUND  4 findings: 3 critical, 1 high.\n"
        "this machine: 2 mount namespaces, 6 mounts, 4 rules; mntscope explain MNT001 says more.\n\n"
        "critical MNT001 leak-to-host\n    web-1 (docker) can change the host's mounts: "
    )
    assert "\n    mount --namespace 4711 --make-rslave /\n\n  Start it with unshare --mount (private), " in text
    assert "\nhigh X001 made-up\n  web-1 (docker)  high trouble.\n" in text
    assert "Waived by mntscope.toml: 1 finding." in text
    assert "\n  A waiver of X001 expired on 2026-01-01: for a week.\n" in text
    assert "\nNot seen\n  process 12: may not be read\n" in text
    assert "mntscope explain MNT001" in text


def test_a_sound_machine_is_told_in_a_line() -> None:
    text = written(report(rules=[made_up()]), "table")
    assert text.startswith("SOUND  No rule found anything wrong.\n")


def test_what_is_below_fail_on_is_found_and_does_not_fail() -> None:
    low = made_up(found(severity="low"))
    assert written(report(rules=[low]), "table").startswith("SOUND  1 finding: 1 low, below medium.\n")
    assert written(report(rules=[low], fail_on="low"), "table").startswith("FOUND")
    assert not report(rules=[made_up(found(severity="critical"))], fail_on=None).failing


def test_many_findings_are_counted_unless_all_are_asked_for() -> None:
    many = report(rules=[made_up(*(found(f"trouble {number}") for number in range(20)))])
    assert "and 15 more (--all)" in written(many, "table")
    assert "trouble 19" in written(many, "table", Page(everything=True))


def test_what_is_advised_of_several_is_said_once_after_them() -> None:
    leaking = [found(f"trouble {number}", advice="Do `so`.") for number in range(3)]
    text = written(report(rules=[made_up(*leaking, found("else", advice="Do that."))]), "table")
    assert text.count("Do so.") == 1
    assert "  else.\n\n  Do so.\n  Do that.\n" in text


def test_a_terminal_does_not_wait_for_evidence() -> None:
    full = with_everything()
    told = document(full, Page())
    assert not {heading.level for heading in told.blocks if isinstance(heading, Heading)} - {2}
    assert [block for block in told.blocks if type(block) is Table] == []


# JSON


def test_json_holds_what_is_promised(full: AuditReport) -> None:
    document = json.loads(written(full, "json"))
    assert next(iter(document.items())) == ("schema", "mntscope.audit/1")
    first = document["findings"][0]
    promised = {"rule", "name", "severity", "confidence", "subject", "message", "evidence", "remedy"}
    assert promised <= set(first)
    assert (first["rule"], first["remedy"]) == ("MNT001", "mount --namespace 4711 --make-rslave /")
    assert first["evidence"]["mounts"][0]["mount"]["mount_point"] == "/"
    assert first["evidence"]["effects"][0]["crosses"] is True
    assert document["not_seen"] == [{"what": "may not be read", "where": "process 12"}]
    assert [waived["waiver"] for waived in document["waived"]] == [
        {"reason": "agreed with the owners", "expires": "2027-01-31"}
    ]
    assert len(document["known"]) == 1


def test_json_names_are_exact(hostile: AuditReport) -> None:
    paths = {finding["path"] for finding in json.loads(written(hostile, "json"))["findings"]}
    assert {f"/{name}" for name in NASTY} <= paths


# Markdown


def test_markdown_is_a_ticket(full: AuditReport) -> None:
    text = written(full, "markdown")
    assert text.startswith(
        "# Mount audit of this machine\n\n**FOUND**: 4 findings: 3 critical, 1 high.\n\n"
        "this machine, 2026-11-23 12:00 UTC, Linux 6.18.0: 2 mount namespaces, 6 mounts, 4 rules.\n"
    )
    assert "## **critical** MNT001 leak-to-host\n\n| What is wrong | To put it right |\n" in text
    assert " mount below it. | `mount --namespace 4711 --make-rslave /` |\n\nStart it with `unshare --mount` " in text
    assert "### Evidence: web-1 (docker) at `/`\n\n| What | Seen |\n" in text
    assert "| host | `/` | `tmpfs` **is mounted** | shared:2 |\n\nFingerprint `" in text
    assert "## Why it matters\n\n### MNT001 leak-to-host\n" in text
    assert "| X001 | web-1 (docker) | `/low` | agreed with the owners | 2027-01-31 |" in text


def test_a_finding_by_itself_has_evidence_and_says_why_it_matters() -> None:
    first = with_everything().findings[0]
    text = as_markdown(finding_document(first, Page()))
    assert text.startswith("# critical: MNT001 leak-to-host in 4711\n\n")
    assert "```sh\nmount --namespace 4711 --make-rslave /\n```\n\nStart it with `unshare --mount`" in text
    assert "## Evidence\n\n| What | Seen |\n| --- | --- |\n| mounts that leak | `2` |" in text
    assert "## Why it matters\n\n### MNT001 leak-to-host\n" in text


# SARIF


def test_sarif_is_valid(each: AuditReport) -> None:
    schema = json.loads(SCHEMA.read_text("utf-8"))
    Draft4Validator.check_schema(schema)
    errors = Draft4Validator(schema).iter_errors(json.loads(written(each, "sarif")))
    assert [f"{error.json_path}: {error.message}" for error in errors] == []


def test_sarif_is_read_by_others(each: AuditReport, tmp_path: Path) -> None:
    file = tmp_path / "audit.sarif"
    file.write_text(written(each, "sarif"), "utf-8")
    command = [str(Path(sys.executable).with_name("sarif")), "csv", str(file), "--output", str(tmp_path / "audit.csv")]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    rows = (tmp_path / "audit.csv").read_text("utf-8").strip().split("\n")
    assert len(rows) == 1 + len(sarif(each)["results"])


def test_sarif_tells_findings_apart_and_again(full: AuditReport) -> None:
    results = sarif(full)["results"]
    prints = [result["fingerprints"]["mntscope/v1"] for result in results]
    assert len(set(prints)) == len(prints) == 6
    assert [result["baselineState"] for result in results] == ["new"] * 4 + ["unchanged"] * 2
    suppressed = [result for result in results if result.get("suppressions")]
    assert [result["suppressions"][0]["justification"] for result in suppressed] == ["agreed with the owners"]
    first = results[0]
    assert first["level"] == "error"
    assert first["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "mountinfo/web-1%20%28docker%29"
    assert first["locations"][0]["physicalLocation"]["region"]["startLine"] == 1
    assert first["locations"][0]["physicalLocation"]["region"]["snippet"]["text"].startswith("40 1 8:1 / / rw shared:1")


def test_sarif_rules_are_found_by_their_index(full: AuditReport) -> None:
    run = sarif(full)
    rules = run["tool"]["driver"]["rules"]
    assert [rules[result["ruleIndex"]]["id"] for result in run["results"]] == [
        result["ruleId"] for result in run["results"]
    ]
    assert rules[0]["properties"]["security-severity"] == "9.5"
    assert run["invocations"][0]["endTimeUtc"] == "2026-11-23T12:00:00Z"
    assert run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"].startswith("Not seen: process 12")


def test_a_name_is_no_link_in_sarif(hostile: AuditReport) -> None:
    for result in sarif(hostile)["results"]:
        assert not re.search(r"(?<!\\)\[[^\]]*\]\(", result["message"]["text"])


# JUnit


def test_junit_is_read_by_others(each: AuditReport) -> None:
    read = JUnitXml.fromstring(written(each, "junit").encode())
    assert read.tests == sum(1 for suite in read for _ in suite)
    assert read.failures == len(each.failing)
    assert read.skipped == len(each.audit.waived)
    names = [(suite.name, case.name) for suite in read for case in suite]
    assert len(set(names)) == len(names)


def test_junit_passes_a_rule_that_found_nothing(full: AuditReport) -> None:
    suites = {suite.get("name"): suite for suite in ET.fromstring(written(full, "junit"))}
    assert suites["MNT001 leak-to-host"].get("failures") == "1"
    (quiet,) = suites["MNT005 pid-namespace-without-mount-namespace"]
    assert list(quiet) == []


def test_junit_does_not_fail_for_what_the_audit_does_not_fail_for() -> None:
    read = JUnitXml.fromstring(written(report(rules=[made_up(found(severity="low"))]), "junit").encode())
    assert (read.tests, read.failures) == (1, 0)


# Prometheus


def samples(what: AuditReport) -> Iterator[tuple[str, dict[str, str], float]]:
    for family in text_string_to_metric_families(written(what, "prometheus")):
        assert (family.type, bool(family.documentation)) == ("gauge", True)
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value


def test_prometheus_is_read_by_others(each: AuditReport) -> None:
    found_there = {
        (labels["rule"], labels["severity"]): value
        for name, labels, value in samples(each)
        if name == "mntscope_audit_findings"
    }
    assert sum(found_there.values()) == len(each.findings)
    assert {rule.id for rule in each.audit.rules} <= {rule for rule, _ in found_there}
    others = {name: value for name, labels, value in samples(each) if not labels}
    assert others["mntscope_audit_failed"] == 1
    assert others["mntscope_audit_timestamp_seconds"] == WHEN.timestamp()
    assert others["mntscope_audit_not_seen"] == len(each.audit.not_seen)


def test_prometheus_has_no_name_from_the_machine(hostile: AuditReport) -> None:
    labels = {value for _, given, _ in samples(hostile) for key, value in given.items() if key != "name"}
    assert labels <= {rule.id for rule in hostile.audit.rules} | {"critical", "high", "medium", "low"}


def test_a_foreign_rule_may_be_called_anything() -> None:
    odd = made_up(found(), name='quo"te\\\n')
    assert [
        labels["name"] for name, labels, _ in samples(report(rules=[odd])) if name == "mntscope_audit_findings"
    ] == ['quo"te\\\n']


# HTML (more in a browser: test_audit_chromium.py)


def test_html_has_all_of_it(full: AuditReport) -> None:
    text = written(full, "html")
    assert "Content-Security-Policy" in text
    assert text.count('<article id="F') == 4
    for heading in ("What could not be seen", "Findings", "Through which peer groups", "Waived", "What was looked for"):
        assert f"<h2>{heading}</h2>" in text
    assert "mount --namespace 4711 --make-rslave /" in text
    assert "mount_namespaces.7.html" in text
    assert "<svg" in text


def test_html_is_bounded_unless_all_is_asked_for() -> None:
    many = report(rules=[made_up(*(found(f"trouble {number}") for number in range(600)))], policy=Policy(most=1000))
    assert "100 more findings are not on this page" in written(many, "html")
    assert written(many, "html", Page(everything=True)).count("<article") == 600


@given(hostile_views("host"), hostile_views("4711"), hostile_views("4712"))
@settings(max_examples=30)
def test_tables_that_no_kernel_wrote_are_reported(host: View, one: View, other: View) -> None:
    what = report(Snapshot((host, one, other), "host"), RULES)
    for write in FORMATS.values():
        write(what, Page(everything=True)).encode()


def test_a_message_is_cut_and_ends() -> None:
    long = report(rules=[made_up(found("y" * 65536), found("Is it?"))])
    assert len(written(long, "html")) < 40_000 + 4 * LONGEST
    assert "Is it?<" in written(long, "html")


def test_a_finding_of_a_view_that_is_gone_is_no_trouble(full: AuditReport) -> None:
    # Predictions name namespaces that the machine does not have yet.
    (finding,) = [finding for finding in full.findings if finding.rule.id == "MNT001"]
    effect = replace(finding.evidence.effects[0], namespace="new")
    changed = replace(finding, evidence=replace(finding.evidence, effects=(effect,)))
    assert "new" in written(report(rules=[made_up(changed)]), "markdown")
