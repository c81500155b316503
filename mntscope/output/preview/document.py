"""A preview as a document: for each container what it could do to its host, and which line says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mntscope.analysis.preview.findings import PreviewFinding
from mntscope.analysis.preview.preview import Preview, PreviewedContainer
from mntscope.base.counting import counted, counted_each
from mntscope.graph.severity import Severity, tally
from mntscope.output import phrases
from mntscope.output.document import (
    Block,
    Document,
    Entries,
    Entry,
    Heading,
    Items,
    Paragraph,
    Table,
    Verdict,
    Word,
    Words,
    listed,
    marked,
    name,
)
from mntscope.output.formats import documents, table
from mntscope.output.preview.calls import call
from mntscope.output.preview.report import PreviewReport
from mntscope.output.writers.page import Page

FIELDS = ("Severity", "What is wrong", "Where, and what to write instead")
STEPS = ("By", "Function", "Call", "Fails with")

KINDS = {
    "mounts-on-host": "can mount on the host",
    "receives-nothing": "will receive nothing",
    "refused": "does not start",
    "pins": "will pin",
    "changes-host": "changes the host at its start",
}


COLUMNS = ("Severity", "Container", "What", "Where")
"""Of one finding among others."""


def document(report: PreviewReport, page: Page) -> Document:
    """The verdict, then each container with its findings, then what is not certain."""
    return Document(f"Preview of {report.subject}", tuple(_blocks(report, page)))


def preview_document(preview: Preview, page: Page) -> Document:
    """A preview alone: nobody has audited its machine, and nothing fails for it."""
    blocks = (_verdict(preview, preview.failing()), *_containers(preview, page, steps=False), *_doubts(preview, page))
    return Document("Preview", blocks)


def container_document(container: PreviewedContainer, page: Page) -> Document:
    """How many mounts it has, its findings, and what another runtime would do."""
    return Document(container.label, tuple(_container(container, page, steps=False)))


def finding_document(finding: PreviewFinding, _page: Page) -> Document:
    """What is wrong, on which line, and what to write instead."""
    return Document(f"{finding.container}: {KINDS[finding.kind]}", (Entries(FIELDS, [_entry(finding)]),))


def row(finding: PreviewFinding) -> tuple[Words, ...]:
    """A finding among others."""
    return (
        Word(finding.severity, finding.severity),
        name(finding.container),
        f"{KINDS[finding.kind]}: {finding.path}",
        name(str(finding.where)),
    )


as_table = table(document)
as_markdown, as_html = documents(document).values()


def _blocks(report: PreviewReport, page: Page) -> Iterator[Block]:
    preview = report.preview
    yield _verdict(preview, report.failing, [finding.severity for finding in report.audit.findings])
    yield from _containers(preview, page, steps=report.steps)
    if report.audit.findings:
        yield Heading("What mntscope audit will say of them")
        found = report.audit.findings
        kept = phrases.shown(found, page)
        yield Items(tuple((Word(each.severity, each.severity), f" {each.rule.id} ", each.message) for each in kept))
        yield from phrases.more(found, kept)
    yield from _doubts(preview, page)


def _verdict(preview: Preview, failing: Sequence[PreviewFinding], audited: Sequence[Severity] = ()) -> Verdict:
    """What was found in the manifest; and how severe is what an audit will find, for which a preview does not fail."""
    who = counted(len(preview.containers), "container")
    on = " on the host that is assumed" if preview.assumed else ""
    found = preview.findings
    more = f" mntscope audit will say more: {counted_each(tally(audited).items())}." if audited else ""
    if not found:
        return Verdict("SOUND", "good", f"{who}{on}, and nothing found.{more}")
    counts = counted_each(tally(finding.severity for finding in found).items())
    word = "FOUND" if failing else "SOUND"
    return Verdict(word, found[0].severity, f"{who}{on}; {counted(len(found), 'finding')}: {counts}.{more}")


def _containers(preview: Preview, page: Page, *, steps: bool) -> Iterator[Block]:
    for container in preview.containers:
        if container.findings or container.differences or steps or page.everything:
            yield Heading(f"{container.label}, by {container.runtime}")
            yield from _container(container, page, steps=steps)


def _container(container: PreviewedContainer, page: Page, *, steps: bool) -> Iterator[Block]:
    there = "it does not start"
    if container.view is not None:
        there = counted(len(container.view.mounts), "mount")
    elif container.refused is None:
        there = "it is not played"
    yield Paragraph((name(str(container.spec.where)), f": {there}"))
    if container.findings:
        yield Entries(FIELDS, phrases.entries(container.findings, _entry, page))
    if container.differences:
        yield Heading("What another runtime does differently", level=3)
        kept = phrases.shown(container.differences, page)
        yield Items(tuple(kept))
        yield from phrases.more(container.differences, kept)
    if steps:
        rows = (
            (step.by, step.function, Word(call(step.operation), "command"), step.errno or "")
            for step in container.steps
        )
        yield Table(STEPS, tuple(rows))


def _doubts(preview: Preview, page: Page) -> Iterator[Block]:
    yield from phrases.uncertain(preview.uncertain)
    if preview.remarks:
        yield Heading("Not understood")
        remarks = phrases.shown(preview.remarks, page)
        yield Items(tuple((name(str(remark.where)), f": {remark.what}") for remark in remarks))
        yield from phrases.more(preview.remarks, remarks)
    yield from phrases.unseen(preview.snapshot.not_seen, page)


def _entry(finding: PreviewFinding) -> Entry:
    names = (finding.container, finding.path, *finding.at)
    note: Words = listed((each for each in (name(str(finding.where)), finding.remedy) if each), between=": ")
    return Entry(Word(finding.severity, finding.severity), marked(finding.message, names), note)
