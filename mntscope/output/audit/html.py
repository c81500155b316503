"""An audit for an auditor: one HTML file, which can be read, searched, printed and filed.

Everything can be read without JavaScript; the script adds the filter, and opens what is folded when it is printed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files

from mntscope.base.counting import counted
from mntscope.graph import Severity
from mntscope.graph.severity import SEVERITIES, worst
from mntscope.output.audit import document as blocks
from mntscope.output.audit.result import AuditReport
from mntscope.output.document import Block, Items, Paragraph, Words, name
from mntscope.output.graph import svg
from mntscope.output.writers.html import inline, markup, prose
from mntscope.output.writers.markup import PICTURE, document, escape
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
    here = files("mntscope.output.audit")
    return document(
        f"Mount audit of {report.subject}",
        "\n".join(part for part in _parts(report, everything=page.everything) if part),
        style=PICTURE + here.joinpath("page.css").read_text("utf-8"),
        script=here.joinpath("page.js").read_text("utf-8"),
    )


def _parts(report: AuditReport, *, everything: bool) -> Iterator[str]:
    shown = report.findings if everything else report.findings[:MANY]
    yield _head(report)
    yield "<main>"
    yield _seen(report)
    yield _findings(shown, report)
    yield _groups(report)
    yield _section("waived", "Waived", blocks.waived(report))
    yield _rules(report)
    yield _namespaces(report)
    yield "</main>"


def _head(report: AuditReport) -> str:
    counts = report.counts
    tiles = "\n".join(
        f'<li class="{severity if counts.get(severity) else "none"}"><b>{counts.get(severity, 0)}</b> {severity}</li>'
        for severity in SEVERITIES
    )
    kernel = report.audit.snapshot.kernel
    about: list[tuple[str, Words]] = [
        ("Made", f"{report.when:%Y-%m-%d %H:%M %Z}"),
        ("Kernel", f"Linux {kernel}" if kernel else "not known"),
        ("Looked at", report.extent),
        ("Not seen", counted(len(report.audit.not_seen), "gap") if report.audit.not_seen else "nothing that is known of"),
        ("Waived", counted(len(report.audit.waived), "finding") if report.audit.waived else "nothing"),
    ]
    if report.settings:
        about.append(("Settings", name(report.settings)))
    rows = "\n".join(f"<div><dt>{escape(term)}</dt><dd>{inline(words)}</dd></div>" for term, words in about)
    style = "critical" if report.failing else "good"
    return f"""\
<header>
<p class="dim">mntscope {escape(_version())}</p>
<h1>Mount audit of {inline(report.subject)}</h1>
<p class="verdict"><span class="badge {style}">{report.verdict}</span> {inline(report.sentence)}</p>
<ul class="tiles" aria-label="Findings by severity">
{tiles}
</ul>
<dl class="about">
{rows}
</dl>
</header>"""


def _seen(report: AuditReport) -> str:
    """The gaps come before the findings: they say how much these are worth."""
    notes = _section("notes", "Notes", [Items(report.notes)] if report.notes else [])
    gaps = markup(blocks.not_seen(report))
    if not gaps:
        return notes
    few = " open" if len(report.audit.not_seen) <= FEW else ""
    return f"""\
{notes}
<section id="not-seen">
<h2>What could not be seen</h2>
<details{few}>
<summary>Nothing is known of the following, so nothing was found there.</summary>
{gaps}
</details>
</section>"""


def _findings(shown: tuple[Finding, ...], report: AuditReport) -> str:
    if not report.findings:
        return _section("findings", "Findings", [Paragraph("No rule found anything wrong.")])
    articles = "\n".join(_article(number, finding, report) for number, finding in enumerate(shown, 1))
    more = len(report.findings) - len(shown)
    rest = f'<p class="dim">{more} more findings are not on this page.</p>' if more else ""
    return f"""\
<section id="findings">
<h2>Findings</h2>
{_filter(shown)}
{articles}
{rest}
</section>"""


def _filter(shown: tuple[Finding, ...]) -> str:
    severities = "\n".join(
        f'<label><input type="checkbox" name="severity" value="{severity}" checked> {severity}</label>'
        for severity in SEVERITIES
        if any(finding.severity == severity for finding in shown)
    )
    rules = {finding.rule.id: finding.rule for finding in shown}
    options = "\n".join(
        f'<option value="{escape(rule.id)}">{escape(f"{rule.id} {rule.name}")}</option>' for rule in rules.values()
    )
    # Hidden until the script that makes it work shows it.
    return f"""\
<form id="filter" class="noprint" role="search" aria-label="Filter the findings" hidden>
<label>Search <input type="search" name="text" placeholder="namespace, path, command ..." autocomplete="off"></label>
<label>Rule <select name="rule"><option value="">all</option>
{options}
</select></label>
<fieldset><legend>Severity</legend>
{severities}
</fieldset>
<button type="reset">Show all</button>
<output role="status" aria-live="polite"></output>
</form>"""


def _article(number: int, finding: Finding, report: AuditReport) -> str:
    rule = finding.rule
    sure = "" if finding.confidence == "certain" else f' <span class="dim">({finding.confidence})</span>'
    path = f" at {inline(name(finding.path))}" if finding.path else ""
    remedy = tuple(blocks.remedy(finding))
    todo = f"<h4>To put it right</h4>\n{markup(remedy)}" if remedy else ""
    evidence = tuple(blocks.evidence(finding, report))
    seen = f"<details><summary>Evidence</summary>\n{markup(evidence)}\n</details>" if evidence else ""
    return f"""\
<article id="F{number}" class="finding" data-severity="{finding.severity}" data-rule="{escape(rule.id)}">
<h3><span class="badge {finding.severity}">{finding.severity}</span>{sure}
<a href="#{_anchor(rule)}">{escape(rule.id)}</a> {escape(rule.name)}</h3>
<p class="where">{inline(report.where(finding))}{path}</p>
<p>{inline(blocks.message(finding))}</p>
{todo}
{seen}
<p class="dim print">Finding {number}, fingerprint <code>{finding.fingerprint}</code></p>
</article>"""


def _groups(report: AuditReport) -> str:
    """The peer groups that the findings are about, and who is in them."""
    wanted = dict.fromkeys(
        finding.evidence.peer_group for finding in report.findings if finding.evidence.peer_group in report.graph.groups
    )
    keys = [key for key in wanted if key is not None]
    drawn = svg.svg(
        report.graph, report.audit.snapshot.host_label, chosen=keys[:GROUPS], marked=keys[:GROUPS], names=report.names
    )
    if not keys or not drawn:
        return ""
    more = f" Of {len(keys)} groups, those of the worst findings are shown." if len(keys) > GROUPS else ""
    return f"""\
<section id="groups">
<h2>Through which peer groups</h2>
<p>Each box is a group of mounts that pass on mounts and umounts to each other; an arrow leads to the slaves, which only
receive. Red, and so named, is what reaches the host.{more}</p>
<div class="scroll" tabindex="0" role="region" aria-label="Peer groups">
{drawn}
</div>
</section>"""


def _rules(report: AuditReport) -> str:
    found: dict[str, list[Severity]] = {}
    for finding in report.findings:
        found.setdefault(finding.rule.id, []).append(finding.severity)
    asked = sorted(report.audit.rules, key=lambda rule: (rule.id not in found, rule.id))
    rules = "\n".join(_rule(rule, found.get(rule.id, [])) for rule in asked)
    return f'<section id="rules">\n<h2>What was looked for</h2>\n{rules}\n</section>'


def _namespaces(report: AuditReport) -> str:
    body = markup(blocks.looked_at(report))
    return f"""\
<section id="namespaces">
<h2>What was looked at</h2>
<details class="rule">
<summary>{counted(report.namespaces, "mount namespace")} with {counted(report.mounts, "mount")}</summary>
{body}
</details>
</section>"""


def _rule(rule: Rule, found: Sequence[Severity]) -> str:
    count = counted(len(found), "finding") if found else "nothing found"
    style = worst(found) if found else "good"
    return f"""\
<details id="{_anchor(rule)}" class="rule{"" if found else " quiet"}">
<summary>{escape(rule.id)} {escape(rule.name)} <span class="{style}">{count}</span><br>
<span class="dim">{escape(rule.summary)}</span></summary>
<h4>Why it matters</h4>
{prose(rule.why)}
<h4>What to do</h4>
{prose(rule.fix)}
{markup(blocks.references(rule))}
</details>"""


def _section(identifier: str, heading: str, found: Iterable[Block]) -> str:
    body = markup(found)
    return f'<section id="{identifier}">\n<h2>{escape(heading)}</h2>\n{body}\n</section>' if body else ""


def _anchor(rule: Rule) -> str:
    return "rule-" + re.sub(r"[^0-9A-Za-z-]", "-", rule.id)


def _version() -> str:
    from importlib.metadata import version

    return version("mntscope")
