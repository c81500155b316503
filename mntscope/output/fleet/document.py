"""A fleet as a document: what is found on how many hosts, what is odd, what has changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from mntscope.base.counting import agreeing, counted
from mntscope.output import phrases
from mntscope.output.document import (
    Block,
    Document,
    Heading,
    Paragraph,
    Style,
    Table,
    Verdict,
    Word,
    Words,
    listed,
    name,
    together,
)
from mntscope.output.escape import shortened, visible
from mntscope.output.writers.page import Page

if TYPE_CHECKING:
    from mntscope.fleet import Added, Bad, Drift, FleetDrift, FleetFinding, FleetReport, Outlier

MOST = 25
"""Rows of a table before the rest is counted."""
FEW = 10
"""How many hosts, or inputs, are named."""


def added(result: Added, page: Page) -> Document:
    """What was added, what was there already, and what could not be."""
    return Document(f"Added to {result.dataset}", tuple(_added(result, page)))


def _added(result: Added, page: Page) -> Iterator[Block]:
    known = f"; {agreeing(result.known, 'was', 'were', 'input')} there already" if result.known else ""
    yield Paragraph((name(result.dataset), f": {counted(result.added, 'snapshot')} added{known}."))
    yield from _bad(result.bad_inputs, page)


def report(result: FleetReport, page: Page) -> Document:
    """The state of a fleet."""
    return Document(f"Fleet {result.dataset}", tuple(_report(result, page)))


def _report(result: FleetReport, page: Page) -> Iterator[Block]:
    yield verdict(result)
    yield Paragraph(Word(extent(result), "dim"))
    if result.findings:
        yield Heading("Findings, by the number of hosts")
        yield from phrases.rows(
            ("Severity", "Rule", "Owner", "Path", "Lands at", "Hosts", "Cohorts", "For example"),
            result.findings,
            finding_row,
            page,
            MOST,
        )
    if result.outliers:
        yield Heading("Outliers")
        yield from phrases.rows(
            ("Kind", "Cohort", "Owner", "Path", "There", "Usually", "Hosts", "For example"),
            result.outliers,
            outlier_row,
            page,
            MOST,
        )
    if result.propagation:
        yield Heading("Propagation of the hosts' own mounts")
        rows = tuple((name(one.place), _shares(one.types)) for one in result.propagation)
        yield Table(("Path", "Hosts"), rows)
    if result.unseen:
        yield Heading(f"Hosts without a snapshot of {result.days[-1].day}")
        yield from phrases.rows(
            ("Host", "Cohort", "Last seen"),
            result.unseen,
            lambda one: (name(one.host), one.cohort, f"{one.last}"),
            page,
            FEW,
        )
    yield from _bad(result.bad_inputs, page)


def verdict(result: FleetReport) -> Verdict:
    """Whether anything that counts was found, and how much."""
    found = result.findings
    sentence = "No rule found anything wrong." if not found else f"{counted(len(found), 'kind')} of findings."
    return Verdict("FOUND" if result.failing else "SOUND", "critical" if result.failing else "good", sentence)


def extent(result: FleetReport) -> str:
    """What was looked at: ``300 hosts, 3600 mount namespaces, 64800 mounts, 2 days from 2026-01-30``."""
    days = [f"{counted(len(result.days), 'day')} from {result.days[0].day}"] if result.days else []
    counts = (
        counted(result.hosts, "host"),
        counted(result.namespaces, "mount namespace"),
        counted(result.mounts, "mount"),
        *days,
    )
    return f"{', '.join(counts)}."


def finding_row(finding: FleetFinding) -> tuple[Words, ...]:
    """A row of the table of findings."""
    return (
        Word(finding.severity, finding.severity),
        f"{finding.rule} {finding.name}",
        name(finding.owner),
        _place(finding.path),
        _place(finding.lands_at),
        f"{finding.hosts}",
        _shares(finding.cohorts),
        _names(finding.examples, finding.hosts),
    )


def outlier_row(outlier: Outlier) -> tuple[Words, ...]:
    """A row of the table of outliers."""
    return (
        outlier.kind,
        outlier.cohort,
        name(outlier.app),
        _place(outlier.place),
        outlier.what,
        outlier.usual,
        f"{outlier.hosts} of {outlier.of}",
        _names(outlier.examples, outlier.hosts),
    )


def drift(result: FleetDrift, page: Page) -> Document:
    """What is different between two days."""
    return Document(f"Fleet {result.dataset}, {result.before} and {result.after}", tuple(_drift(result, page)))


def _drift(result: FleetDrift, page: Page) -> Iterator[Block]:
    leaks = sum(one.what == "leak" for one in result.drift)
    number = len(result.drift)
    sentence = f"{counted(number, 'difference')}, {leaks} of them in leaks, on {counted(result.hosts, 'host')}."
    yield Verdict("DRIFT" if number else "SAME", "medium" if number else "good", sentence)
    for what, heading in (("leak", "Leaks"), ("mount", "Mounts")):
        found = [one for one in result.drift if one.what == what]
        if found:
            yield Heading(heading)
            yield from phrases.rows(
                ("Change", "Owner", "Path", "Before", "After", "Lands at", "Hosts", "For example"),
                found,
                _drift_row,
                page,
                MOST,
            )
    for hosts, day in ((result.only_before, result.before), (result.only_after, result.after)):
        if hosts:
            yield Heading(f"Hosts of which there is a snapshot of {day} only")
            yield Paragraph(phrases.some(hosts, page, FEW))


def _drift_row(one: Drift) -> tuple[Words, ...]:
    styles: Mapping[str, Style] = {"new": "high", "gone": "good", "changed": "medium"}
    return (
        Word(one.change, styles[one.change]),
        name(one.app),
        _place(one.place),
        shortened(one.before or ""),
        shortened(one.after or ""),
        _place(one.lands_at),
        f"{one.hosts}",
        _names(one.examples, one.hosts),
    )


def _bad(bad: Iterable[Bad], page: Page) -> Iterator[Block]:
    lines = [f"{shortened(visible(one.source))}: {shortened(visible(one.why))}" for one in bad]
    yield from phrases.noted("Bad inputs", lines, page)


def _place(path: str | None) -> Words:
    return name(path) if path else ""


def _shares(counts: Mapping[str, int]) -> str:
    """``web 150, db 90``."""
    return ", ".join(f"{each or '(none)'} {count}" for each, count in counts.items())


def _names(examples: Iterable[str], hosts: int) -> Words:
    found = list(examples)
    more = f" and {hosts - len(found)} more" if hosts > len(found) else ""
    return together(listed(map(name, found)), more)


def added_table(result: Added, page: Page) -> str:
    """For a terminal."""
    return _text(added(result, page), page)


def report_table(result: FleetReport, page: Page) -> str:
    """For a terminal."""
    return _text(report(result, page), page)


def drift_table(result: FleetDrift, page: Page) -> str:
    """For a terminal."""
    return _text(drift(result, page), page)


def drift_markdown(result: FleetDrift, page: Page) -> str:
    """For a ticket."""
    from mntscope.output.writers.markdown import as_markdown

    return as_markdown(drift(result, page))


def drift_html(result: FleetDrift, page: Page) -> str:
    """For a folder."""
    from mntscope.output.writers.html import as_html

    return as_html(drift(result, page))


def _text(document: Document, page: Page) -> str:
    from mntscope.output.writers.terminal import as_text

    return as_text(document, page)
