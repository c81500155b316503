"""A preview for code scanning and pipelines: the writers of the audit, with the lines of the files as the places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from mntscope.analysis.preview.findings import FindingKind, PreviewFinding
from mntscope.base.display import Records
from mntscope.base.records import replace
from mntscope.output.audit.junit import as_junit as audit_as_junit
from mntscope.output.audit.result import AuditReport
from mntscope.output.audit.sarif import as_sarif as audit_as_sarif
from mntscope.output.preview.report import PreviewReport
from mntscope.output.writers.page import Page
from mntscope.parse.manifests.containers import Where
from mntscope.rules import Finding, Rule
from mntscope.rules.machine import Machine
from mntscope.rules.rule import Reference

_SHARED_SUBTREES = Reference(
    "mount_namespaces(7)", "https://man7.org/linux/man-pages/man7/mount_namespaces.7.html#SHARED_SUBTREES"
)


def _nothing(_: Machine) -> Iterator[Finding]:
    """What is found is found by starting the container, not by looking at a machine."""
    return iter(())


def _rule(number: int, name: str, summary: str, why: str, fix: str) -> Rule:
    return Rule(
        id=f"PRV{number:03}",
        name=name,
        severity="critical" if name in ("mounts-on-host", "changes-host") else "medium" if name == "pins" else "high",
        confidence="certain",
        summary=summary,
        why=why,
        fix=fix,
        references=(_SHARED_SUBTREES,),
        check=_nothing,
    )


RULES: dict[FindingKind, Rule] = {
    "mounts-on-host": _rule(
        1,
        "mounts-on-host",
        "A container that can mount on its host",
        "A volume that is shared with the host passes on what the container mounts and unmounts below it, also over"
        " what the host has there. It goes on existing when the container is gone.",
        "Use `HostToContainer` or `rslave`, unless the container is there to mount for others.",
    ),
    "receives-nothing": _rule(
        2,
        "receives-nothing",
        "A volume that is to receive the host's mounts, and will not",
        "The source is on a mount of the host that is in no peer group. containerd and dockerd refuse to start the"
        " container; runc and crun start it, and it receives nothing.",
        "Make the mount shared on the host, at each boot, or do not ask for propagation.",
    ),
    "refused": _rule(
        3,
        "refused",
        "A container that its runtime would not start",
        "A system call that the runtime makes fails, or the runtime says no before it.",
        "Change what the message names.",
    ),
    "pins": _rule(
        4,
        "pins",
        "A volume that keeps filesystems of the host in use",
        "A private copy of a tree has copies of what the host had mounted in it. The host's umounts do not reach them,"
        " so that devices stay busy, and directories cannot be removed.",
        "Use `HostToContainer` or `rslave`, or a narrower source.",
    ),
    "changes-host": _rule(
        5,
        "changes-host",
        "A container whose start mounts something on its host",
        "What a runtime mounts inside of a volume that is shared with the host is mounted on the host as well, and"
        " stays there when the container is gone.",
        "Mount nothing inside of a shared volume.",
    ),
}


@dataclass(frozen=True)
class ScanReport(AuditReport):
    """An audit of files: a finding is at a line of one of them."""

    command: ClassVar[str] = "preview"
    places: dict[str, Where] = field(default_factory=dict)
    """Of findings, by their fingerprint."""
    containers: dict[str, Where] = field(default_factory=dict)
    """Of containers, by label."""

    def where(self, finding: Finding) -> str:
        """The container: one that does not start has no namespace to be named by."""
        return finding.subject

    def place(self, finding: Finding) -> tuple[str, int, int] | None:
        """The line of the finding, or that of its container."""
        return self.places.get(finding.fingerprint) or self.containers.get(finding.subject)

    def fails(self, finding: Finding) -> bool:
        """What the audit says beside does not fail a preview, which has said it in its own words."""
        return finding.rule in RULES.values() and super().fails(finding)


def as_sarif(report: PreviewReport, page: Page) -> str:
    """One run, as of an audit."""
    return audit_as_sarif(_scan(report), page)


def as_junit(report: PreviewReport, page: Page) -> str:
    """A suite for each kind of finding, and for each rule of the audit that has found something."""
    return audit_as_junit(_scan(report), page)


def _scan(report: PreviewReport) -> ScanReport:
    found = [(_finding(each), each.where) for each in report.preview.findings]
    said = report.audit.findings
    rules = (*RULES.values(), *dict.fromkeys(finding.rule for finding in said))
    findings = Records([*(finding for finding, _ in found), *said], Finding)
    return ScanReport(
        audit=replace(report.audit, rules=rules, findings=findings),
        subject=report.subject,
        when=report.when,
        fail_on=report.fail_on,
        places={finding.fingerprint: where for finding, where in found},
        containers={each.label: each.spec.where for each in report.preview.containers},
    )


def _finding(finding: PreviewFinding) -> Finding:
    return RULES[finding.kind].finding(
        finding.container,
        finding.message,
        (finding.where.file, finding.container, finding.path),
        severity=finding.severity,
        path=finding.path,
        advice=finding.remedy,
    )
