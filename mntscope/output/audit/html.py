"""An audit for an auditor: one HTML file, which can be read, searched, printed and filed.

The markup is in ``page.html``, and this says what is in it. Everything can be read without JavaScript; ``page.js`` adds
the filter, and opens what is folded when it is printed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from markupsafe import Markup

from mntscope.base.counting import counted
from mntscope.base.own_version import VERSION
from mntscope.base.records import NamedTuple
from mntscope.graph import Severity
from mntscope.graph.severity import SEVERITIES, worst
from mntscope.output.audit import document
from mntscope.output.audit.result import AuditReport
from mntscope.output.document import Block, Facts, Items, Style, Words, name
from mntscope.output.graph import svg
from mntscope.output.head import head
from mntscope.output.writers.colours import PICTURE
from mntscope.output.writers.html import render_page, resource
from mntscope.output.writers.page import Page
from mntscope.rules import Finding, Rule

MANY = 500
"""How many findings a page holds. JSON has them all, and so has a page with ``--all``."""
FEW = 8
"""So many gaps are listed before the findings; more are folded."""
GROUPS = 40
"""How many peer groups the picture shows: those of the worst findings."""


def as_html(report: AuditReport, page: Page) -> str:
    """The whole page."""
    shown = report.findings if page.everything else report.findings[:MANY]
    return render_page(
        "audit/page.html",
        f"Mount audit of {report.subject}",
        style=PICTURE + resource("audit/page.css"),
        script=resource("audit/page.js"),
        report=report,
        counts={severity: report.counts.get(severity, 0) for severity in SEVERITIES},
        facts=_facts(report, page),
        circumstances=list(_about(report)),
        first=list(document.first_remedy(report)),
        notes=[Items(report.notes)] if report.notes else [],
        not_seen=list(document.not_seen(report)),
        few_gaps=len(report.audit.not_seen) <= FEW,
        findings=[_finding(finding, report) for finding in shown],
        severities=[severity for severity in SEVERITIES if any(finding.severity == severity for finding in shown)],
        left_out=len(report.findings) - len(shown),
        drawing=_drawing(report),
        waived=list(document.waived(report)),
        rules=_rules(report),
        looked_at=list(document.looked_at(report)),
        counted=counted,
    )


def _about(report: AuditReport) -> Iterator[tuple[str, Words]]:
    """The circumstances: a term, and what there is to say."""
    unseen, waived = report.audit.not_seen, report.audit.waived
    yield "Made", f"{report.when:%Y-%m-%d %H:%M %Z}"
    yield "Looked at", report.extent
    yield "Not seen", counted(len(unseen), "gap") if unseen else "nothing that is known of"
    yield "Waived", counted(len(waived), "finding") if waived else "nothing"
    if report.settings:
        yield "Settings", name(report.settings)


def _facts(report: AuditReport, page: Page) -> Facts:
    """What the page begins with; at least the kernel and the version, also where no command line asked for it."""
    kernel = report.audit.snapshot.kernel
    known = ("Kernel", f"Linux {kernel}" if kernel else "not known")
    return head(page, [report.audit.snapshot]) or (known, ("mntscope", VERSION))


class _Finding(NamedTuple):
    finding: Finding
    rule: Rule
    anchor: str
    where: str
    path: Words
    message: Words
    remedy: tuple[Block, ...]
    evidence: tuple[Block, ...]


def _finding(finding: Finding, report: AuditReport) -> _Finding:
    return _Finding(
        finding,
        finding.rule,
        _anchor(finding.rule),
        report.where(finding),
        name(finding.path or ""),
        document.message(finding),
        tuple(document.remedy(finding)),
        tuple(document.evidence(finding, report.names)),
    )


class _Rule(NamedTuple):
    rule: Rule
    anchor: str
    found: int
    style: Style
    references: tuple[Block, ...]


def _rules(report: AuditReport) -> list[_Rule]:
    """The rules that were asked, those first that found something."""
    found: dict[str, list[Severity]] = {}
    for finding in report.findings:
        found.setdefault(finding.rule.id, []).append(finding.severity)
    return [
        _Rule(
            rule,
            _anchor(rule),
            len(found.get(rule.id, ())),
            worst(found[rule.id]) if rule.id in found else "good",
            tuple(document.references(rule)),
        )
        for rule in sorted(report.audit.rules, key=lambda rule: (rule.id not in found, rule.id))
    ]


class _Drawing(NamedTuple):
    svg: Markup
    groups: int
    """How many peer groups the findings are about: the worst of them are drawn."""
    some: bool
    """Whether these are not all."""


def _drawing(report: AuditReport) -> _Drawing | None:
    """The peer groups that the findings are about, and who is in them."""
    wanted = dict.fromkeys(finding.evidence.peer_group for finding in report.findings)
    keys = [key for key in wanted if key is not None and key in report.graph.groups]
    shown = keys[:GROUPS]
    drawn = svg.svg(report.graph, report.audit.snapshot.host_label, chosen=shown, marked=shown, names=report.names)
    # Our own drawing: it escapes each text in it by itself.
    return _Drawing(Markup(drawn), len(keys), len(keys) > GROUPS) if keys and drawn else None  # noqa: S704


def _anchor(rule: Rule) -> str:
    return "rule-" + re.sub(r"[^0-9A-Za-z-]", "-", rule.id)
