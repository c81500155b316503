"""A fleet for a reader: one HTML file with plots, which asks no network for anything.

The plots are SVG that the template ``page.html`` writes from the numbers here, so text in them is escaped as any is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mntscope.base.counting import counted
from mntscope.base.own_version import VERSION
from mntscope.base.records import NamedTuple
from mntscope.graph.severity import SEVERITIES
from mntscope.output.escape import shortened
from mntscope.output.fleet import document
from mntscope.output.writers.html import render_page, resource
from mntscope.output.writers.page import Page

if TYPE_CHECKING:
    from mntscope.fleet import FleetReport

MANY = 500
"""Rows of a table on the page. JSON has them all, and so has a page with ``--all``."""
BARS = 15
"""How many findings are drawn,"""
DAYS = 60
"""and how many days, the newest."""
WIDTH = 520
"""Of a full bar, in the units of the drawing."""
HEIGHT = 120
_TYPES = ("shared", "shared,slave", "slave", "private", "unbindable")


class _Bar(NamedTuple):
    label: str
    parts: tuple[_Part, ...]
    said: str


class _Part(NamedTuple):
    begin: int
    width: int
    style: str


class _Column(NamedTuple):
    day: str
    x: int
    width: int
    top: int
    height: int
    said: str


def as_html(report: FleetReport, page: Page) -> str:
    """The whole page."""
    most = None if page.everything else MANY
    counts = {severity: sum(one.severity == severity for one in report.findings) for severity in SEVERITIES}
    return render_page(
        "fleet/page.html",
        f"Mounts of {counted(report.hosts, 'host')}",
        style=resource("fleet/page.css"),
        report=report,
        version=VERSION,
        verdict=document.verdict(report),
        extent=document.extent(report),
        counts=counts,
        findings=[document.finding_row(one) for one in report.findings[:most]],
        findings_left=len(report.findings[most or len(report.findings) :]),
        finding_bars=_findings(report),
        outliers=[document.outlier_row(one) for one in report.outliers[:most]],
        outliers_left=len(report.outliers[most or len(report.outliers) :]),
        propagation_bars=_propagation(report),
        types=[(kind, _style(kind)) for kind in _TYPES],
        plots=[(title, _days(values, report), max(values, default=0)) for title, values in _series(report)],
        days=report.days[-DAYS:],
        unseen=report.unseen[:most],
        unseen_left=len(report.unseen[most or len(report.unseen) :]),
        bad=report.bad_inputs[:most],
        bad_left=len(report.bad_inputs[most or len(report.bad_inputs) :]),
        counted=counted,
        width=WIDTH,
        height=HEIGHT,
    )


def _findings(report: FleetReport) -> list[_Bar]:
    """On how many hosts the worst findings are."""
    most = max(report.hosts, 1)
    return [
        _Bar(
            shortened(f"{one.rule} {one.owner}:{one.path or ''}", 44),
            (_Part(0, max(2, one.hosts * WIDTH // most), one.severity),),
            f"{one.hosts}",
        )
        for one in report.findings[:BARS]
    ]


def _propagation(report: FleetReport) -> list[_Bar]:
    """Of each place of the hosts how many have which propagation type there."""
    bars = []
    for one in report.propagation:
        total = max(sum(one.types.values()), 1)
        parts, begin = [], 0
        for kind in _TYPES:
            if count := one.types.get(kind, 0):
                width = max(2, count * WIDTH // total)
                parts.append(_Part(begin, width, _style(kind)))
                begin += width
        bars.append(_Bar(one.place, tuple(parts), ", ".join(f"{kind} {count}" for kind, count in one.types.items())))
    return bars


def _style(kind: str) -> str:
    return f"type-{kind.replace(',', '-')}"


def _series(report: FleetReport) -> list[tuple[str, list[int]]]:
    days = report.days[-DAYS:]
    return [
        ("Hosts", [one.hosts for one in days]),
        ("Leaks to the host", [one.leaks for one in days]),
        ("Findings", [one.findings for one in days]),
    ]


def _days(values: Sequence[int], report: FleetReport) -> list[_Column]:
    """A column for each day."""
    days = report.days[-DAYS:]
    step = min(60, WIDTH // max(len(days), 1))
    most = max((*values, 1))
    return [
        _Column(f"{one.day}", at * step, max(step - 2, 1), HEIGHT - height, height, f"{one.day}: {value}")
        for at, (one, value) in enumerate(zip(days, values, strict=True))
        for height in [value * HEIGHT // most]
    ]
