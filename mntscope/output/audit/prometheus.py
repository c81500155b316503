"""An audit for monitoring: Prometheus' text format, for the directory of node_exporter's textfile collector.

Every rule has its series, at 0 where it found nothing, so that an alert sees the difference between "nothing wrong" and
"not asked". No name from the machine is a label: they are anyone's to choose, and each would be a series of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from mntscope.output.audit.result import AuditReport
from mntscope.output.writers.page import Page


def as_prometheus(report: AuditReport, page: Page) -> str:  # noqa: ARG001
    """Gauges; to be written with ``-o DIRECTORY/mntscope.prom``, which replaces the file at once."""
    return "".join(f"{line}\n" for line in _lines(report))


def _lines(report: AuditReport) -> Iterator[str]:
    audit = report.audit
    found = Counter((finding.rule.id, finding.severity) for finding in report.findings)
    names = {rule.id: rule.name for rule in audit.rules}
    for rule in audit.rules:
        found.setdefault((rule.id, rule.severity), 0)
    waived = Counter(waived.finding.rule.id for waived in audit.waived)
    known = Counter(finding.rule.id for finding in audit.known)
    yield from metric(
        "audit_findings",
        "What the rules found, without what is waived or known from the baseline.",
        [
            ({"rule": rule, "name": names[rule], "severity": severity}, count)
            for (rule, severity), count in sorted(found.items())
        ],
    )
    yield from metric(
        "audit_findings_waived",
        "What the rules found and a waiver accepts.",
        [({"rule": rule, "name": name}, waived[rule]) for rule, name in names.items()],
    )
    yield from metric(
        "audit_findings_known",
        "What the rules found and the baseline has already.",
        [({"rule": rule, "name": name}, known[rule]) for rule, name in names.items()],
    )
    yield from metric("audit_failed", "Whether the audit failed.", [({}, int(bool(report.failing)))])
    yield from metric("audit_namespaces", "Mount namespaces that were looked at.", [({}, report.namespaces)])
    yield from metric("audit_mounts", "Mounts in them.", [({}, report.mounts)])
    yield from metric("audit_not_seen", "What could not be looked at.", [({}, len(audit.not_seen))])
    yield from metric("audit_waivers_expired", "Waivers that count no more.", [({}, len(audit.expired))])
    yield from metric("audit_timestamp_seconds", "When the audit was made.", [({}, int(report.when.timestamp()))])


def metric(name: str, said: str, samples: Iterable[tuple[dict[str, str], int]]) -> Iterator[str]:
    """The lines of one gauge of mntscope, with a sample for each set of labels."""
    yield f"# HELP mntscope_{name} {said}"
    yield f"# TYPE mntscope_{name} gauge"
    for labels, value in samples:
        braced = ",".join(f'{key}="{_quoted(text)}"' for key, text in labels.items())
        yield f"mntscope_{name}{f'{{{braced}}}' if braced else ''} {value}"


def _quoted(text: str) -> str:
    # Only names of rules come here; those of other packages' may hold anything.
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
