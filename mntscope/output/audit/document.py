"""An audit as a document: what is wrong, by rule, each finding with what puts it right; and the parts of a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from mntscope.base.counting import counted
from mntscope.graph import GroupNames, Severity
from mntscope.output import phrases
from mntscope.output.audit.result import AuditReport
from mntscope.output.document import (
    Block,
    Commands,
    Document,
    Entries,
    Entry,
    Heading,
    Items,
    Paragraph,
    Prose,
    Table,
    Verdict,
    Word,
    Words,
    marked,
    name,
    together,
)
from mntscope.output.escape import shortened
from mntscope.output.head import head
from mntscope.output.shell import shell
from mntscope.output.writers.page import Page
from mntscope.propagation import Effect
from mntscope.rules import Finding, Rule

FIELDS = ("Namespace", "What is wrong", "", "To put it right")
"""Of a finding among those of its rule; and"""
COLUMNS = ("Severity", "Rule", "Namespace", "What", "Confidence")
"""of one among any."""
FEW = 5
"""How many findings of a rule, of one severity, are told of before the rest is counted; and"""
LISTED = 50
"""how many where there is room for evidence. It is given for the first few."""
SHOWN = 12
"""How many mounts, places or effects of a finding are listed before the rest is counted. JSON has them all."""
MANY = 200
"""How many waivers, namespaces, or gaps in what was seen, a table lists."""


def document(report: AuditReport, page: Page, *, evidence: bool = False) -> Document:
    """What a tired reader needs, in the order in which it is needed.

    *evidence*: also what the findings rest on, why they matter, and what is waived. A terminal has no room for it, and
    what is predicted takes long to work out.
    """
    title = f"Mount audit of {report.subject}" if report.subject else "Mount audit"
    return Document(title, tuple(_blocks(report, page, with_evidence=evidence)))


def as_table(report: AuditReport, page: Page) -> str:
    """For a terminal."""
    from mntscope.output.writers.terminal import as_text

    return as_text(document(report, page), page)


def as_markdown(report: AuditReport, page: Page) -> str:
    """For a ticket."""
    from mntscope.output.writers.markdown import as_markdown as written

    return written(document(report, page, evidence=True), head(page, [report.audit.snapshot]))


def _blocks(report: AuditReport, page: Page, *, with_evidence: bool) -> Iterator[Block]:
    yield Verdict(report.verdict, "critical" if report.failing else "good", report.sentence)
    yield Paragraph(Word(shortened(_circumstances(report, in_full=with_evidence)), "dim"))
    if with_evidence:
        yield from first_remedy(report)
    for (severity, rule), alike in groupby(report.findings, key=lambda finding: (finding.severity, finding.rule)):
        yield from _group(severity, rule, list(alike), report, page, with_evidence=with_evidence)
    if with_evidence:
        yield from _why({finding.rule.id: finding.rule for finding in report.findings}.values())
        yield from _under("Waived", waived(report))
    yield from phrases.noted("Notes", list(_notes(report)), page)
    yield from phrases.noted("Not seen", [shortened(str(problem)) for problem in report.audit.not_seen], page)


def _circumstances(report: AuditReport, *, in_full: bool) -> str:
    """What was looked at; *in_full* for who reads it elsewhere, otherwise with a word on how to read on."""
    kernel = report.audit.snapshot.kernel
    made = [f"{report.when:%Y-%m-%d %H:%M %Z}", *([f"Linux {kernel}"] if kernel else [])] if in_full else []
    known = f"{', '.join([report.subject, *made])}: " if report.subject else ""
    more = report.findings and not in_full
    hint = f"; mntscope explain {report.findings[0].rule.id} says more" if more else ""
    return f"{known}{report.extent}{hint}."


def _group(
    severity: Severity, rule: Rule, found: list[Finding], report: AuditReport, page: Page, *, with_evidence: bool
) -> Iterator[Block]:
    """The findings of a rule, of one severity."""
    yield Heading((Word(severity, severity), f" {rule.id} {rule.name}"))
    kept = phrases.shown(found, page, LISTED if with_evidence else FEW)
    yield Entries(FIELDS, (_entry(finding, report) for finding in kept))
    yield from phrases.more(found, kept)
    # It is mostly the same for all, and is to be read after their commands.
    for advice in dict.fromkeys(finding.advice for finding in kept if finding.advice):
        yield Paragraph(with_code(advice))
    for finding in phrases.shown(found, page, FEW) if with_evidence else ():
        place: Words = (" at ", name(finding.path)) if finding.path else ""
        yield Heading(together("Evidence: ", report.where(finding), place), 3)
        yield from evidence(finding, report.names)
        yield Paragraph(("Fingerprint ", name(finding.fingerprint)))


def _entry(finding: Finding, report: AuditReport) -> Entry:
    """A finding, with its namespace where its message does not name that."""
    where = report.where(finding)
    sure = "" if finding.confidence == "certain" else f" Confidence: {finding.confidence}."
    return Entry(
        "" if where in finding.message else shortened(where),
        together(message(finding), sure),
        commands=tuple(map(shell, finding.commands)),
    )


def _why(rules: Iterable[Rule]) -> Iterator[Block]:
    for number, rule in enumerate(rules):
        if not number:
            yield Heading("Why it matters")
        yield Heading(f"{rule.id} {rule.name}", 3)
        yield Prose(rule.why)
        yield from references(rule)


def _notes(report: AuditReport) -> Iterator[str]:
    yield from (shortened(f"{note[:1].upper()}{note[1:]}.") for note in report.notes)
    if report.audit.waived:
        by = f" by {report.settings}" if report.settings else ""
        yield f"Waived{shortened(by)}: {counted(len(report.audit.waived), 'finding')}."


def _under(heading: str, blocks: Iterator[Block]) -> Iterator[Block]:
    """The blocks under a heading; nothing where there are none."""
    found = tuple(blocks)
    if found:
        yield Heading(heading)
        yield from found


# ---- a finding ----


def finding_document(finding: Finding, page: Page) -> Document:  # noqa: ARG001
    """One finding by itself, for who has it at hand: with evidence, and why it matters."""
    title = f"{finding.severity}: {finding.rule.id} {finding.rule.name} in {finding.subject}"
    blocks = [Paragraph(message(finding)), *remedy(finding), *_under("Evidence", evidence(finding))]
    return Document(title, (*blocks, *_why([finding.rule])))


def row(finding: Finding) -> tuple[Words, ...]:
    """A finding in a table of :data:`COLUMNS`."""
    return (
        Word(finding.severity, finding.severity),
        f"{finding.rule.id} {finding.rule.name}",
        finding.subject,
        message(finding),
        finding.confidence,
    )


def message(finding: Finding) -> Words:
    """What a finding says, with the names in it set as such."""
    end = "" if finding.message.endswith((".", "?", "!")) else "."
    return together(*map(_short, marked(finding.message, _names(finding))), end)


def _short(part: str | Word) -> str | Word:
    return shortened(part) if isinstance(part, str) else Word(shortened(part.text), part.style)


def with_code(text: str) -> Words:
    """A sentence in which backquotes set a name: advice."""
    pieces = shortened(text).split("`")
    if len(pieces) % 2 == 0:
        return shortened(text)
    return tuple(Word(piece) if number % 2 else piece for number, piece in enumerate(pieces) if piece)


def remedy(finding: Finding) -> Iterator[Block]:
    """What to do."""
    if finding.commands:
        yield Commands(tuple(map(shell, finding.commands)))
    if finding.advice:
        yield Paragraph(with_code(finding.advice))


def evidence(finding: Finding, names: GroupNames | None = None) -> Iterator[Block]:
    """What a finding rests on: facts, the mounts, where events arrive, and what is predicted.

    Without *names* namespaces are called by their labels.
    """
    found = finding.evidence
    facts: list[tuple[Words, ...]] = [(fact, name(value)) for fact, value in found.facts]
    if found.peer_group is not None:
        device, number = found.peer_group
        group: Words = name(names.group(found.peer_group)) if names else "it"
        facts.append(("peer group", together(group, f", {number} of device ", name(device))))
    if facts:
        yield Table(("What", "Seen"), tuple(facts))
    yield from _listed(
        ("Mounts in", "Mount point", "Filesystem", "Propagation"),
        found.mounts,
        [
            (_named(member.label, names), name(mount.mount_point), name(phrases.filesystem(mount)), phrases.tags(mount))
            for member in found.mounts[:SHOWN]
            for mount in [member.mount]
        ],
    )
    yield from _listed(
        ("Events arrive in", "At"),
        found.lands_at,
        [(_named(label, names), name(path)) for label, path in found.lands_at[:SHOWN]],
    )
    yield from _listed(
        ("Predicted in", "Path", "What happens", "Propagation"),
        found.effects,
        [(_named(effect.namespace, names), name(effect.path), *_became(effect)) for effect in found.effects[:SHOWN]],
    )


def _named(label: str, names: GroupNames | None) -> str:
    """A namespace by name; a new one, of the prediction, by its label."""
    try:
        return names.view(label) if names else label
    except KeyError:
        return label


def _became(effect: Effect) -> tuple[Words, Words]:
    mount = effect.after or effect.before
    assert mount is not None
    said = {"mount": "is mounted", "umount": "is unmounted", "move": "is moved here"}.get(effect.change, "changes")
    change: Words = (Word(mount.fs_type), " ", Word(said, "critical" if effect.crosses else "strong"))
    if effect.before is not None and effect.after is not None:
        return change, f"{phrases.tags(effect.before)} -> {phrases.tags(effect.after)}"
    return change, phrases.tags(mount)


def _names(finding: Finding) -> set[str]:
    found = finding.evidence
    return {
        *([finding.path] if finding.path else []),
        *(path for _, path in found.lands_at[:SHOWN]),
        *(member.mount.mount_point for member in found.mounts[:SHOWN]),
    }


def references(rule: Rule) -> Iterator[Block]:
    """Where to read on."""
    if rule.references:
        yield Prose("\n".join(f"- [{reference.title}]({reference.url})" for reference in rule.references))


# ---- for a page ----


def waived(report: AuditReport) -> Iterator[Block]:
    """What was found, and accepted by someone."""
    rows = [
        (
            accepted.finding.rule.id,
            report.where(accepted.finding),
            name(accepted.finding.path or ""),
            accepted.waiver.reason,
            accepted.waiver.expires.isoformat() if accepted.waiver.expires else "for good",
        )
        for accepted in report.audit.waived[:MANY]
    ]
    yield from _listed(("Rule", "Namespace", "Path", "Reason", "Until"), report.audit.waived, rows)


def looked_at(report: AuditReport) -> Iterator[Block]:
    """Every mount namespace, those with the most findings first."""
    found = Counter(finding.subject for finding in report.findings)
    views = sorted(report.views, key=lambda view: -found[view.label])
    rows = [
        (
            report.names.view(view.label),
            str(len(view.namespace.processes)),
            str(len(view.mounts)),
            str(found[view.label] or ""),
        )
        for view in views[:MANY]
    ]
    yield from _listed(("Mount namespace", "Processes", "Mounts", "Findings"), views, rows)


def first_remedy(report: AuditReport) -> Iterator[Block]:
    """What to begin with: the commands of the worst finding that has some."""
    found = next((finding for finding in report.findings if finding.commands), None)
    if found:
        place: Words = (" at ", name(found.path)) if found.path else ""
        yield Paragraph(together(f"To begin with {found.rule.id} in {report.where(found)}", place, ":"))
        yield Commands(tuple(map(shell, found.commands)))


def not_seen(report: AuditReport) -> Iterator[Block]:
    """The gaps: where nothing was found because nothing could be read."""
    unseen = report.audit.not_seen
    if unseen:
        shown = unseen[:MANY]
        yield Items(tuple((name(one.where), f": {one.what}") if one.where else one.what for one in shown))
        yield from phrases.more(unseen, shown)


def _listed(columns: tuple[str, ...], things: Sequence[object], rows: Sequence[tuple[Words, ...]]) -> Iterator[Block]:
    """A table of the first of *things*, and how many more there are."""
    if rows:
        yield Table(columns, tuple(rows))
    if len(things) > len(rows):
        yield Paragraph(Word(f"and {len(things) - len(rows)} more (--format json has all)", "dim"))
