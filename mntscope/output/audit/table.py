"""An audit for people at a terminal: the verdict, each finding with what puts it right, and what was not seen."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from mntscope.base.counting import counted
from mntscope.output.audit.result import AuditReport
from mntscope.output.escape import shortened, visible
from mntscope.output.shell import shell
from mntscope.output.writers.lines import Text
from mntscope.output.writers.page import Page
from mntscope.rules import Finding

SHOWN = 5
"""How many findings of a rule, of one severity, are listed before the rest is counted."""

_STYLES = {
    "FOUND": "bold red",
    "SOUND": "bold green",
    "critical": "bold red",
    "high": "red",
    "medium": "yellow",
    "low": "dim",
}
_INDENT = 10


def as_table(report: AuditReport, page: Page) -> str:
    """What a tired reader needs, in the order in which it is needed."""
    return page.draw(*_blocks(report, page))


def _blocks(report: AuditReport, page: Page) -> Iterator[Text]:
    yield Text((report.verdict, _STYLES[report.verdict]), f"  {report.sentence}")
    yield Text((f"{visible(report.subject)}: {report.extent}.", "dim"))
    for (severity, rule), alike in groupby(report.findings, key=lambda finding: (finding.severity, finding.rule)):
        found = list(alike)
        yield Text("\n", (severity.ljust(_INDENT), _STYLES[severity]), (f"{rule.id} {rule.name}", "bold"))
        advised = ""
        for finding in found if page.everything else found[:SHOWN]:
            yield from _finding(finding, advised)
            advised = finding.advice
        if len(found) > SHOWN and not page.everything:
            yield _indented(f"and {len(found) - SHOWN} more (--all)", style="dim")
    yield from _circumstances(report, page)
    if report.findings:
        yield Text((f"\nmntscope explain {report.findings[0].rule.id} says more about a rule.", "dim"))


def _finding(finding: Finding, advised: str) -> Iterator[Text]:
    """A finding; what to do beside its commands, unless that was just *advised*."""
    sure = "" if finding.confidence == "certain" else f" ({finding.confidence})"
    yield _indented(f"{shortened(visible(finding.message))}{sure}")
    for command in finding.commands:
        yield _line(shell(command))
    if finding.advice and finding.advice != advised:
        yield _indented(shortened(visible(finding.advice)), style="dim")


def _circumstances(report: AuditReport, page: Page) -> Iterator[Text]:
    audit = report.audit
    lines = [f"Note: {visible(note)}." for note in report.notes]
    if audit.waived:
        by = f" by {visible(report.settings)}" if report.settings else ""
        lines.append(f"Waived{by}: {counted(len(audit.waived), 'finding')}.")
    unseen = [f"Not seen: {visible(str(problem))}." for problem in audit.not_seen]
    lines += unseen if page.everything else unseen[:SHOWN]
    if len(unseen) > SHOWN and not page.everything:
        lines.append(f"and {len(unseen) - SHOWN} more (--all)")
    if lines:
        yield Text("")
    yield from (Text((shortened(line), "dim")) for line in lines)


def _indented(text: str, style: str = "") -> Text:
    return Text((text, style), indent=" " * _INDENT)


def _line(command: str) -> Text:
    """A command on a line of its own, which is not broken, so that it can be copied."""
    return Text((command, "cyan"), indent=" " * _INDENT, whole=True)
