"""A fleet for monitoring: Prometheus' text format, for the directory of node_exporter's textfile collector.

As in an audit's, no name of a machine is a label: each would be a series of its own, and anyone's to choose.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mntscope.fleet.outliers import KINDS
from mntscope.output.audit.prometheus import metric
from mntscope.output.writers.page import Page
from mntscope.rules import RULES

if TYPE_CHECKING:
    from mntscope.fleet import FleetReport


def as_prometheus(report: FleetReport, page: Page) -> str:  # noqa: ARG001
    """Gauges; to be written with ``-o DIRECTORY/mntscope_fleet.prom``, which replaces the file at once."""
    return "".join(f"{line}\n" for line in _lines(report))


def _lines(report: FleetReport) -> Iterator[str]:
    most: dict[tuple[str, str], int] = {(rule.id, rule.severity): 0 for rule in RULES}
    for finding in report.findings:
        key = finding.rule, finding.severity
        most[key] = max(most.get(key, 0), finding.hosts)
    names = {rule.id: rule.name for rule in RULES}
    yield from metric(
        "fleet_finding_hosts",
        "Hosts with the finding of a rule that most hosts have, of one application at one place.",
        [
            ({"rule": rule, "name": names.get(rule, ""), "severity": severity}, hosts)
            for (rule, severity), hosts in sorted(most.items())
        ],
    )
    outliers = Counter(outlier.kind for outlier in report.outliers)
    yield from metric(
        "fleet_outliers",
        "In what few hosts of a cohort are different from the others.",
        [({"kind": kind}, outliers[kind]) for kind in KINDS],
    )
    for name, said, value in (
        ("hosts", "Hosts in the data set.", report.hosts),
        ("hosts_unseen", "Hosts without a snapshot of the newest day.", len(report.unseen)),
        ("namespaces", "Mount namespaces of these hosts.", report.namespaces),
        ("mounts", "Mounts in them.", report.mounts),
        ("bad_inputs", "Inputs that could not be added.", len(report.bad_inputs)),
        ("failed", "Whether there is a finding that counts.", int(report.failing)),
        ("timestamp_seconds", "When the report was made.", int(report.when.timestamp())),
    ):
        yield from metric(f"fleet_{name}", said, [({}, value)])
