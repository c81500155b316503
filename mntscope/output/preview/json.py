"""The schema ``mntscope.preview/1``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mntscope.analysis.preview.findings import PreviewFinding
from mntscope.analysis.preview.preview import PreviewedContainer
from mntscope.output.preview.report import PreviewReport
from mntscope.output.writers.json import json_text, mount_json, problems_json
from mntscope.output.writers.page import Page
from mntscope.parse.manifests.containers import Where


def as_json(report: PreviewReport, page: Page) -> str:  # noqa: ARG001
    """Everything, also what a terminal has no room for."""
    preview = report.preview
    return json_text(
        "preview",
        {
            "subject": report.subject,
            "assumed_host": preview.assumed,
            "containers": [_container(each) for each in preview.containers],
            "audit": [
                {
                    "rule": finding.rule.id,
                    "name": finding.rule.name,
                    "severity": finding.severity,
                    "container": finding.subject,
                    "message": finding.message,
                    "path": finding.path,
                }
                for finding in report.audit.findings
            ],
            "uncertain": list(preview.uncertain),
            "remarks": [
                {"kind": remark.kind, "what": remark.what, "where": _where(remark.where)} for remark in preview.remarks
            ],
            "not_seen": problems_json(preview.snapshot.not_seen),
        },
    )


def _container(container: PreviewedContainer) -> dict[str, Any]:
    def of(*kinds: str) -> list[dict[str, Any]]:
        return _findings(finding for finding in container.findings if finding.kind in kinds)

    return {
        "name": container.label,
        "kind": container.spec.kind,
        "group": container.spec.group,
        "runtime": container.runtime,
        "where": _where(container.spec.where),
        "mounts": [mount_json(mount) for mount in container.view.mounts] if container.view is not None else [],
        "started": container.view is not None,
        "leaks": of("mounts-on-host"),
        "refused": [
            {**finding, "why": finding["said"], "as_said_by": finding["said_by"]}
            for finding in _findings(each for each in container.findings if each.said)
        ],
        "receives_nothing": of("receives-nothing"),
        "pins": of("pins"),
        "changes_host": of("changes-host"),
        "differences": list(container.differences),
        "steps": [
            {
                "by": step.by,
                "function": step.function,
                "part": step.part,
                "operation": step.operation.to_dict(),
                "errno": step.errno,
            }
            for step in container.steps
        ],
        "uncertain": list(container.uncertain),
    }


def _findings(findings: Iterable[PreviewFinding]) -> list[dict[str, Any]]:
    return [
        {
            "kind": finding.kind,
            "severity": finding.severity,
            "message": finding.message,
            "where": _where(finding.where),
            "path": finding.path,
            "at": list(finding.at),
            "said_by": finding.said_by,
            "said": finding.said,
            "remedy": finding.remedy,
        }
        for finding in findings
    ]


def _where(where: Where) -> dict[str, Any]:
    return {"file": where.file, "line": where.line, "column": where.column}
