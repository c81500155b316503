"""An audit for a ticket: Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from mntscope.output.audit import document as blocks
from mntscope.output.audit.result import AuditReport
from mntscope.output.document import Block, Document, Heading, Items, Paragraph, Prose, Table, Word, name
from mntscope.output.writers.markdown import as_markdown as written
from mntscope.output.writers.page import Page

MANY = 100
"""How many findings a ticket holds. JSON has them all."""


def as_markdown(report: AuditReport, page: Page) -> str:
    """Summary, findings with remedy and evidence, the rules' reasons once each, and what was not seen."""
    return written(Document(f"Mount audit of {report.subject}", tuple(_blocks(report, everything=page.everything))))


def _blocks(report: AuditReport, *, everything: bool) -> Iterator[Block]:
    kernel = report.audit.snapshot.kernel
    shown = report.findings if everything else report.findings[:MANY]
    yield Paragraph((Word(report.verdict, "strong"), f": {report.sentence}"))
    on = f", Linux {kernel}" if kernel else ""
    yield Paragraph(f"{report.when:%Y-%m-%d %H:%M %Z}{on}: {report.extent}.")
    if shown:
        rows = [
            (Word(finding.severity, finding.severity), f"{finding.rule.id} {finding.rule.name}", report.where(finding),
             name(finding.path or ""))
            for finding in shown
        ]  # fmt: skip
        yield Table(("Severity", "Rule", "Namespace", "Path"), tuple(rows))
    for number, finding in enumerate(shown, 1):
        place = f" in {report.where(finding)}"
        yield Heading(f"{number}. {finding.severity}: {finding.rule.id} {finding.rule.name}{place}")
        yield Paragraph(blocks.message(finding))
        if finding.confidence != "certain":
            yield Paragraph(f"Confidence: {finding.confidence}.")
        yield from blocks.remedy(finding)
        yield from blocks.evidence(finding, report)
        yield Paragraph(("Fingerprint ", name(finding.fingerprint)))
    if len(report.findings) > len(shown):
        yield Paragraph(f"And {len(report.findings) - len(shown)} more findings.")
    rules = {finding.rule.id: finding.rule for finding in shown}
    if rules:
        yield Heading("Why it matters")
    for rule in rules.values():
        yield Heading(f"{rule.id} {rule.name}", 3)
        yield Prose(rule.why)
        yield from blocks.references(rule)
    for heading, found in (
        ("Waived", tuple(blocks.waived(report))),
        ("Notes", (Items(report.notes),) if report.notes else ()),
        ("Not seen", tuple(blocks.not_seen(report))),
    ):
        if found:
            yield Heading(heading)
            yield from found
