"""What is wrong with a machine: audits, their findings, and who holds a filesystem."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from mntscope.output.audit import AuditReport
from mntscope.output.audit import document as blocks
from mntscope.output.audit.table import as_table
from mntscope.output.document import Block, Document, Heading, Items, Paragraph, Prose, Table, Word, Words, name
from mntscope.output.phrases import rows, unseen
from mntscope.output.writers.notebook import NotebookCell
from mntscope.output.writers.page import Page
from mntscope.rules import Audit, Finding

COLUMNS = ("Severity", "Rule", "Namespace", "What", "Confidence")
WORST = 5
"""How many findings of an audit are shown with remedy and evidence."""


def row(finding: Finding, where: str = "") -> tuple[Words, ...]:
    """A finding in a table of :data:`COLUMNS`; *where* is its namespace in words."""
    return (
        Word(finding.severity, finding.severity),
        f"{finding.rule.id} {finding.rule.name}",
        where or finding.subject,
        blocks.message(finding),
        finding.confidence,
    )


def _audit(audit: Audit) -> NotebookCell:
    # The moment is part of a report, not of what is shown of it.
    report = AuditReport(audit, subject="", when=datetime.now(UTC))
    found: list[Block] = [
        Paragraph(
            (Word(report.verdict, "critical" if report.failing else "good"), f": {report.sentence} {report.extent}.")
        )
    ]
    found += rows(COLUMNS, audit.findings, lambda finding: row(finding, report.where(finding)), Page())
    for finding in audit.findings[:WORST]:
        found.append(
            Heading((Word(finding.severity, finding.severity), f" {finding.rule.id} in {report.where(finding)}"))
        )
        found.append(Paragraph(blocks.message(finding)))
        found += blocks.remedy(finding)
        found += blocks.evidence(finding, report)
    if report.notes:
        found += [Heading("Notes"), Items(report.notes)]
    return NotebookCell(Document("Audit", (*found, *unseen(audit.not_seen, Page()))), text=as_table(report, Page()))


def _finding(finding: Finding) -> NotebookCell:
    title = f"{finding.severity}: {finding.rule.id} {finding.rule.name} in {finding.subject}"
    return NotebookCell(Document(title, tuple(_about(finding))), rest=".evidence has all of it")


def _about(finding: Finding) -> Iterator[Block]:
    yield Paragraph(blocks.message(finding))
    yield from blocks.remedy(finding)
    evidence = finding.evidence
    yield Heading("Evidence")
    if evidence.facts:
        yield Table(("What", "Seen"), tuple((fact, name(value)) for fact, value in evidence.facts))
    yield from rows(
        ("View", "Mount point", "Propagation"),
        evidence.mounts,
        lambda member: (member.label, name(member.mount.mount_point), blocks.tags(member.mount)),
        Page(),
    )
    yield from rows(
        ("Events arrive in", "At"),
        evidence.lands_at,
        lambda place: (place[0], name(place[1])),
        Page(),
    )
    yield Heading("Why it matters")
    yield Prose(finding.rule.why)
    yield from blocks.references(finding.rule)


TELLERS: dict[type, Callable[[Any], NotebookCell]] = {Audit: _audit, Finding: _finding}
