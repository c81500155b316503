"""An audit for code-scanning pages: SARIF 2.1.0 (OASIS Standard, 27 March 2020).

A mount is a line of a mountinfo table, so the table is what SARIF calls an artifact: the location of a finding is
``mountinfo/<namespace>``, at the line of the mount it is about. Names of namespaces outlive pids, and a finding is
recognised by its fingerprint, not by the line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from mntscope.base.own_version import VERSION
from mntscope.errors import UsageError
from mntscope.graph import Severity
from mntscope.model import Mount
from mntscope.output.audit.result import AuditReport
from mntscope.output.escape import shortened, visible
from mntscope.output.shell import shell
from mntscope.output.writers.page import Page
from mntscope.parse import format_mountinfo
from mntscope.rules import Finding, Rule

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

LEVELS: dict[Severity, str] = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}
# What GitHub and GitLab order by; the bounds are those of CVSS 3.1.
SCORES: dict[Severity, str] = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.0"}
PRECISIONS = {"certain": "very-high", "likely": "high", "possible": "medium"}
LONGEST = 1000
"""How many characters of a message are written."""


def as_sarif(report: AuditReport, page: Page) -> str:  # noqa: ARG001
    """One run. What is waived is suppressed, what the baseline has is unchanged."""
    audit = report.audit
    rules = {rule.id: number for number, rule in enumerate(audit.rules)}
    baseline = bool(audit.known)
    results = [
        *(_result(finding, report, rules, "new" if baseline else None) for finding in report.findings),
        *(_result(finding, report, rules, "unchanged") for finding in audit.known),
        *(
            _result(waived.finding, report, rules, "unchanged" if baseline else None)
            | {
                "suppressions": [
                    {"kind": "external", "status": "accepted", "justification": message_text(waived.waiver.reason)}
                ]
            }
            for waived in audit.waived
        ),
    ]
    return log(
        report.command,
        audit.rules,
        report.when,
        warnings=(f"Not seen: {problem}" for problem in audit.not_seen),
        results=results,
        properties={"subject": message_text(report.subject), "extent": report.extent},
    )


def log(
    command: str,
    rules: Iterable[Rule],
    when: datetime,
    *,
    warnings: Iterable[str],
    results: list[dict[str, Any]],
    properties: dict[str, Any],
) -> str:
    """A log of one run of a command: what it found, and of what it has to warn."""
    run = {
        "tool": {"driver": {"name": "mntscope", "version": VERSION, "rules": [*map(_rule, rules)]}},
        "automationDetails": {"id": f"mntscope/{command}/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": True,
                "endTimeUtc": when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "toolExecutionNotifications": [
                    {"level": "warning", "message": {"text": message_text(warning)}} for warning in warnings
                ],
            }
        ],
        "results": results,
        "properties": properties,
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rule(rule: Rule) -> dict[str, Any]:
    """What SARIF calls a reporting descriptor (3.49)."""
    links = "\n".join(f"- [{reference.title}]({reference.url})" for reference in rule.references)
    described = {
        "id": rule.id,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.why},
        "help": {
            "text": f"{rule.why}\n\n{rule.fix}",
            "markdown": f"{rule.why}\n\n## What to do\n\n{rule.fix}\n\n## Read on\n\n{links}",
        },
        "defaultConfiguration": {"level": LEVELS[rule.severity]},
        "properties": {
            "tags": ["security", "mount-propagation"],
            "precision": PRECISIONS[rule.confidence],
            "problem.severity": {"error": "error", "warning": "warning"}.get(LEVELS[rule.severity], "recommendation"),
            "security-severity": SCORES[rule.severity],
        },
    }
    if rule.references:
        described["helpUri"] = rule.references[0].url
    return described


def _result(finding: Finding, report: AuditReport, rules: dict[str, int], baseline: str | None) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.rule.id,
        "ruleIndex": rules[finding.rule.id],
        "level": LEVELS[finding.severity],
        "message": {"text": message_text(finding.message)},
        "locations": [_location(finding, report)],
        "fingerprints": {"mntscope/v1": finding.fingerprint},
        # By this one GitHub recognises a finding in the next run; the number tells findings with one hash apart.
        "partialFingerprints": {"primaryLocationLineHash": f"{finding.fingerprint}:1"},
        "properties": {
            "severity": finding.severity,
            "confidence": finding.confidence,
            "security-severity": SCORES[finding.severity],
            "remedy": [*map(shell, finding.commands)],
            "advice": shortened(visible(finding.advice), LONGEST),
        },
    }
    if baseline is not None:
        result["baselineState"] = baseline
    return result


def _location(finding: Finding, report: AuditReport) -> dict[str, Any]:
    where = shortened(visible(report.where(finding)), 120)
    mount = next((each.mount for each in finding.evidence.mounts if each.label == finding.subject), None)
    # Code-scanning pages want a line also of what is about the whole table.
    region: dict[str, Any] = {"startLine": 1}
    line = None if mount is None else report.lines(finding.subject).get(mount)
    if mount is not None and line is not None:
        region = {"startLine": line, "snippet": {"text": _line(mount)}}
    path = shortened(visible(finding.path or ""))
    logical = {"name": path or where, "fullyQualifiedName": f"{where}:{path}" if path else where, "kind": "resource"}
    artifact = {"uri": f"mountinfo/{quote(where, safe='')}"}
    place = report.place(finding)
    if place is not None:
        artifact = {"uri": quote(place[0], safe="/")}
        region = {"startLine": place[1], "startColumn": place[2]}
    return {"physicalLocation": {"artifactLocation": artifact, "region": region}, "logicalLocations": [logical]}


def _line(mount: Mount) -> str:
    try:
        line = format_mountinfo([mount]).decode("utf-8", "surrogateescape").removesuffix("\n")
    except UsageError:
        # No kernel wrote it, and no line can say it.
        line = mount.mount_point
    return shortened(visible(line), LONGEST)


def message_text(message: str) -> str:
    """A sentence as the text of a message, in which a name must not be a link (3.11.6)."""
    return re.sub(r"\[(?=[^\]]*\]\()", r"\\[", shortened(visible(message), LONGEST))
