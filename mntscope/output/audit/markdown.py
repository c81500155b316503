"""An audit for a ticket: Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from mntscope.output.audit import document as blocks
from mntscope.output.audit.result import Told
from mntscope.output.document import Block, Document, Heading, Items, Paragraph, Prose, Table, Word, name
from mntscope.output.writers.markdown import as_markdown as written
from mntscope.output.writers.page import Page

MANY = 100
"""How many findings a ticket holds. JSON has them all."""


def as_markdown(told: Told, page: Page) -> str:
    """Summary, findings with remedy and evidence, the rules' reasons once each, and what was not seen."""
    return written(Document(f"Mount audit of {told.subject}", tuple(_blocks(told, everything=page.everything))))


def _blocks(told: Told, *, everything: bool) -> Iterator[Block]:
    kernel = told.audit.snapshot.kernel
    shown = told.findings if everything else told.findings[:MANY]
    yield Paragraph((Word(told.verdict, "strong"), f": {told.sentence}"))
    on = f", Linux {kernel}" if kernel else ""
    yield Paragraph(f"{told.when:%Y-%m-%d %H:%M %Z}{on}: {told.extent}.")
    if shown:
        rows = [
            (Word(finding.severity, finding.severity), f"{finding.rule.id} {finding.rule.name}", told.where(finding),
             name(finding.path or ""))
            for finding in shown
        ]  # fmt: skip
        yield Table(("Severity", "Rule", "Namespace", "Path"), tuple(rows))
    for number, finding in enumerate(shown, 1):
        place = f" in {told.where(finding)}"
        yield Heading(f"{number}. {finding.severity}: {finding.rule.id} {finding.rule.name}{place}")
        yield Paragraph(blocks.message(finding))
        if finding.confidence != "certain":
            yield Paragraph(f"Confidence: {finding.confidence}.")
        yield from blocks.remedy(finding)
        yield from blocks.evidence(finding, told)
        yield Paragraph(("Fingerprint ", name(finding.fingerprint)))
    if len(told.findings) > len(shown):
        yield Paragraph(f"And {len(told.findings) - len(shown)} more findings.")
    rules = {finding.rule.id: finding.rule for finding in shown}
    if rules:
        yield Heading("Why it matters")
    for rule in rules.values():
        yield Heading(f"{rule.id} {rule.name}", 3)
        yield Prose(rule.why)
        yield from blocks.references(rule)
    for heading, found in (
        ("Waived", tuple(blocks.waived(told))),
        ("Notes", (Items(told.notes),) if told.notes else ()),
        ("Not seen", tuple(blocks.not_seen(told))),
    ):
        if found:
            yield Heading(heading)
            yield from found
