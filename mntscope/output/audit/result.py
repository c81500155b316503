"""What an audit has to tell, in any format: the findings in order, their counts, and where each of them is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import ClassVar

from mntscope.base.counting import agreeing, counted, counted_each
from mntscope.graph import GroupNames, PeerGraph, Severity, by_namespace
from mntscope.graph.severity import at_least, tally
from mntscope.model import Mount, View
from mntscope.output.formats import Format, later
from mntscope.rules import Audit, Finding


@dataclass(frozen=True)
class AuditReport:
    """The result of an audit, and its circumstances."""

    audit: Audit
    subject: str
    """What was audited, in words: ``this machine``, ``web-1.mntscope.json``; empty where that is known."""
    when: datetime
    """When the report is made; aware."""
    fail_on: Severity | None = "medium"
    """The least severity that makes the audit fail; ``None``: nothing does."""
    settings: str | None = None
    """The file that said what is waived."""

    command: ClassVar[str] = "audit"
    """Which one reports."""

    def place(self, finding: Finding) -> tuple[str, int, int] | None:  # noqa: ARG002
        """File, line and column of a finding that is about a file; none of these is."""
        return None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The worst first; of these what has happened, then the surest; then by rule."""
        return self.audit.findings

    @property
    def failing(self) -> tuple[Finding, ...]:
        """The findings for which the audit fails."""
        return tuple(finding for finding in self.findings if self.fails(finding))

    def fails(self, finding: Finding) -> bool:
        """Whether *finding* is at or above :attr:`fail_on`."""
        return at_least(finding.severity, self.fail_on)

    @cached_property
    def names(self) -> GroupNames:
        """What namespaces and peer groups are called."""
        return GroupNames(self.graph, self.audit.snapshot.host_label)

    @property
    def graph(self) -> PeerGraph:
        """Who shares with whom."""
        return self.audit.machine.graph

    def where(self, finding: Finding) -> str:
        """The finding's namespace, by name."""
        return self.names.view(finding.subject)

    def lines(self, label: str) -> Mapping[Mount, int]:
        """The mounts of a view, each with the line of the table that it is, counted from 1."""
        if label not in self._lines:
            self._lines[label] = {mount: at for at, mount in enumerate(self.audit.snapshot.view(label).mounts, 1)}
        return self._lines[label]

    @cached_property
    def _lines(self) -> dict[str, Mapping[Mount, int]]:
        return {}

    @property
    def counts(self) -> dict[Severity, int]:
        """How many findings of each severity, those without left out."""
        return tally(finding.severity for finding in self.findings)

    @property
    def verdict(self) -> str:
        """``FOUND`` or ``SOUND``: what the exit code says too."""
        return "FOUND" if self.failing else "SOUND"

    @property
    def sentence(self) -> str:
        """The outcome as in ``3 findings: 1 critical, 2 low.``, in a sentence."""
        if not self.findings:
            return "No rule found anything wrong."
        below = "" if self.failing else f", below {self.fail_on}" if self.fail_on else ", none of which fails the audit"
        left_out = sum(number for _, number in self.audit.left_out)
        more = f" At least {agreeing(left_out, 'more is', 'more are')} not listed." if left_out else ""
        return f"{counted(len(self.findings), 'finding')}: {counted_each(self.counts.items())}{below}.{more}"

    @property
    def extent(self) -> str:
        """What was looked at: ``42 namespaces, 3812 mounts, 18 rules``."""
        found = (self.namespaces, "mount namespace"), (self.mounts, "mount"), (len(self.audit.rules), "rule")
        return ", ".join(counted(number, noun) for number, noun in found)

    @property
    def namespaces(self) -> int:
        """How many mount namespaces were looked at."""
        return len(self.views)

    @property
    def mounts(self) -> int:
        """How many mounts these hold."""
        return sum(len(view.mounts) for view in self.views)

    @property
    def notes(self) -> tuple[str, ...]:
        """What else is to be known about the audit, a sentence each, without the full stop."""
        audit = self.audit
        left_out = (
            f"{rule.id} found {agreeing(number, 'more, which is', 'more, which are')} not listed"
            for rule, number in audit.left_out
        )
        known = counted(len(audit.known), "finding")
        expired = (
            f"a waiver of {waiver.rule} expired on {waiver.expires}: {waiver.reason}" for waiver in audit.expired
        )
        unused = (f"a waiver of {waiver.rule} waives nothing any more: {waiver.reason}" for waiver in audit.unused)
        return (*left_out, *([f"{known} of the baseline found again"] if audit.known else ()), *expired, *unused)

    @cached_property
    def views(self) -> tuple[View, ...]:
        """What was looked at: one view a namespace, the detached trees left out."""
        views = [view for view in self.audit.snapshot.views if not view.detached]
        return tuple(first for first, *_ in by_namespace(views))


FORMATS: dict[str, Format[AuditReport]] = {
    "table": later("audit.document", "as_table"),
    "json": later("audit.json", "as_json"),
    "markdown": later("audit.document", "as_markdown"),
    "html": later("audit.html", "as_html"),
    "sarif": later("audit.sarif", "as_sarif"),
    "junit": later("audit.junit", "as_junit"),
    "prometheus": later("audit.prometheus", "as_prometheus"),
}
