"""A fleet for code-scanning pages: SARIF 2.1.0, a result for what a rule finds of one application at one place.

The location is the application, ``fleet/<owner>``, as no host is: what is wrong is wrong in a manifest.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mntscope.base.counting import counted
from mntscope.output.audit.sarif import LEVELS, SCORES, log, message_text
from mntscope.output.escape import shortened, visible
from mntscope.output.writers.page import Page
from mntscope.rules import RULES

if TYPE_CHECKING:
    from mntscope.fleet import FleetFinding, FleetReport


def as_sarif(report: FleetReport, page: Page) -> str:  # noqa: ARG001
    """One run."""
    rules = {rule.id: number for number, rule in enumerate(RULES)}
    return log(
        "fleet",
        RULES,
        report.when,
        warnings=(f"Bad input: {bad.source}: {bad.why}" for bad in report.bad_inputs),
        results=[_result(finding, report, rules) for finding in report.findings],
        properties={"hosts": report.hosts, "days": [f"{one.day}" for one in report.days]},
    )


def _result(finding: FleetFinding, report: FleetReport, rules: dict[str, int]) -> dict[str, Any]:
    path = shortened(visible(finding.path or ""))
    owner = shortened(visible(finding.owner), 120)
    where = f"{owner}:{path}" if path else owner
    # By what is the same in another report of the fleet, however many hosts have it then.
    key = "\0".join((finding.rule, finding.owner, finding.path or "", finding.lands_at or ""))
    fingerprint = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    on = f"on {counted(finding.hosts, 'host')} of {report.hosts}: {', '.join(finding.examples)}"
    numbered = {"ruleIndex": rules[finding.rule]} if finding.rule in rules else {}
    return {
        "ruleId": finding.rule,
        **numbered,
        "level": LEVELS[finding.severity],
        "message": {"text": message_text(f"{finding.message} ({on})")},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": f"fleet/{quote(owner, safe='')}"},
                    "region": {"startLine": 1},
                },
                "logicalLocations": [
                    {
                        "name": path or owner,
                        "fullyQualifiedName": where,
                        "kind": "resource",
                    }
                ],
            }
        ],
        "fingerprints": {"mntscope/v1": fingerprint},
        "partialFingerprints": {"primaryLocationLineHash": f"{fingerprint}:1"},
        "properties": {
            "severity": finding.severity,
            "security-severity": SCORES[finding.severity],
            "hosts": finding.hosts,
            "examples": [shortened(visible(host)) for host in finding.examples],
        },
    }
