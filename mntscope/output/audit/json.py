"""An audit for programs: the document ``mntscope.audit/1``, which ``--baseline`` reads again."""

from __future__ import annotations

from typing import Any

from mntscope.output.audit.result import AuditReport
from mntscope.output.shell import shell
from mntscope.output.writers.json import effect_json, json_text, mount_json, problems_json
from mntscope.output.writers.page import Page
from mntscope.rules import Finding, Waiver


def as_json(report: AuditReport, page: Page) -> str:  # noqa: ARG001
    """Everything, names exact."""
    audit = report.audit
    return json_text(
        "audit",
        {
            "subject": report.subject,
            "made": report.when.isoformat(timespec="seconds"),
            "kernel": audit.snapshot.kernel,
            "host": audit.snapshot.host_label,
            "settings": report.settings,
            "fail_on": report.fail_on,
            "failed": bool(report.failing),
            "counts": report.counts,
            "namespaces": report.namespaces,
            "mounts": report.mounts,
            "rules": [rule.id for rule in audit.rules],
            "findings": [_finding_json(finding, report) for finding in report.findings],
            "waived": [
                {**_finding_json(waived.finding, report), "waiver": _waiver_json(waived.waiver)}
                for waived in audit.waived
            ],
            "known": [finding.fingerprint for finding in audit.known],
            "notes": list(report.notes),
            "not_seen": problems_json(audit.not_seen),
        },
    )


def _finding_json(finding: Finding, report: AuditReport) -> dict[str, Any]:
    found = finding.evidence
    return {
        "rule": finding.rule.id,
        "name": finding.rule.name,
        "severity": finding.severity,
        "confidence": finding.confidence,
        "present": finding.present,
        "subject": finding.subject,
        "namespace": report.where(finding),
        "path": finding.path,
        "message": finding.message,
        "fingerprint": finding.fingerprint,
        "remedy": "\n".join(map(shell, finding.commands)) or None,
        "commands": [list(command) for command in finding.commands],
        "advice": finding.advice,
        "evidence": {
            "mounts": [{"namespace": member.label, "mount": mount_json(member.mount)} for member in found.mounts],
            "peer_group": found.peer_group and {"device": found.peer_group[0], "number": found.peer_group[1]},
            "lands_at": [{"namespace": label, "path": path} for label, path in found.lands_at],
            "effects": [effect_json(effect) for effect in found.effects],
            "facts": [{"name": name, "value": value} for name, value in found.facts],
        },
    }


def _waiver_json(waiver: Waiver) -> dict[str, Any]:
    return {"reason": waiver.reason, "expires": waiver.expires.isoformat() if waiver.expires else None}
