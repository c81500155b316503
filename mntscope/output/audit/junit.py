"""An audit for a pipeline: JUnit's XML, as Jenkins, GitLab and their readers have it.

Each rule is a test suite. A finding is a test case, which fails where the audit fails for it; a rule that found
nothing is one case that passed.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from mntscope.output.audit.result import AuditReport
from mntscope.output.escape import shortened, visible
from mntscope.output.shell import shell
from mntscope.output.writers.page import Page
from mntscope.rules import Finding, Rule


def as_junit(report: AuditReport, page: Page) -> str:  # noqa: ARG001
    """The XML. Whatever XML cannot hold is not in it: names are made visible first."""
    root = Element("testsuites", name=f"mntscope {report.command}")
    total = [0, 0, 0]
    for rule in report.audit.rules:
        counts = _suite(root, rule, report)
        total = [one + other for one, other in zip(total, counts, strict=True)]
    for key, count in zip(("tests", "failures", "skipped"), total, strict=True):
        root.set(key, str(count))
    root.set("errors", "0")
    root.set("time", "0")
    indent(root)
    # Nothing outside ASCII is written as it is, so that the text means the same in every encoding.
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, encoding="us-ascii").decode("ascii")}\n'


def _suite(root: Element, rule: Rule, report: AuditReport) -> tuple[int, int, int]:
    found = [finding for finding in report.findings if finding.rule is rule]
    waived = [waived for waived in report.audit.waived if waived.finding.rule is rule]
    failed = sum(map(report.fails, found))
    tests = len(found) + len(waived) or 1
    suite = SubElement(
        root,
        "testsuite",
        name=f"{rule.id} {rule.name}",
        tests=str(tests),
        failures=str(failed),
        errors="0",
        skipped=str(len(waived)),
        time="0",
        timestamp=report.when.strftime("%Y-%m-%dT%H:%M:%S"),
    )
    for finding in found:
        case = _case(suite, finding, report)
        if report.fails(finding):
            message = shortened(visible(finding.message))
            failure = SubElement(case, "failure", type=finding.severity, message=message)
            failure.text = "\n".join(_lines(finding))
        else:
            SubElement(case, "system-out").text = "\n".join(_lines(finding))
    for each in waived:
        reason = shortened(visible(each.waiver.reason))
        SubElement(_case(suite, each.finding, report), "skipped", message=f"waived: {reason}")
    if not found and not waived:
        SubElement(suite, "testcase", classname=f"{rule.id}.{rule.name}", name=rule.summary, time="0")
    return tests, failed, len(waived)


def _case(suite: Element, finding: Finding, report: AuditReport) -> Element:
    where = shortened(visible(f"{report.where(finding)} {finding.path or ''}".strip()))
    # The fingerprint keeps apart what bears one name, and one finding together over the runs.
    name = f"{where} [{finding.fingerprint[:8]}]"
    return SubElement(suite, "testcase", classname=f"{finding.rule.id}.{finding.rule.name}", name=name, time="0")


def _lines(finding: Finding) -> Iterable[str]:
    yield f"{finding.severity} ({finding.confidence}): {shortened(visible(finding.message))}"
    yield from map(shell, finding.commands)
    if finding.advice:
        yield shortened(visible(finding.advice))
    yield f"fingerprint {finding.fingerprint}"
