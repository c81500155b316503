"""The parts of an audit as blocks of a document, for Markdown and HTML to share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from mntscope.model import Mount
from mntscope.output.audit.result import AuditReport
from mntscope.output.document import Block, Commands, Items, Paragraph, Prose, Table, Word, Words, marked, name
from mntscope.output.shell import shell
from mntscope.propagation import Effect
from mntscope.rules import Finding, Rule

SHOWN = 12
"""How many mounts, places or effects of a finding are listed before the rest is counted. JSON has them all."""


def message(finding: Finding) -> Words:
    """What a finding says, with the names in it set as such."""
    return (*marked(finding.message, _names(finding)), "" if finding.message.endswith((".", "?", "!")) else ".")


def with_code(text: str) -> Words:
    """A sentence in which backquotes set a name: advice."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:
        return text
    return tuple(Word(piece) if number % 2 else piece for number, piece in enumerate(pieces) if piece)


def remedy(finding: Finding) -> Iterator[Block]:
    """What to do."""
    if finding.commands:
        yield Commands(tuple(map(shell, finding.commands)))
    if finding.advice:
        yield Paragraph(with_code(finding.advice))


def evidence(finding: Finding, report: AuditReport, *, shown: int = SHOWN) -> Iterator[Block]:
    """What a finding rests on: facts, the mounts, where events arrive, and what is predicted."""
    found, names = finding.evidence, report.names
    facts: list[tuple[Words, ...]] = [(fact, name(value)) for fact, value in found.facts]
    if found.peer_group is not None:
        device, number = found.peer_group
        group = names.group(found.peer_group)
        facts.append(("peer group", (name(group), f", {number} of device ", name(device))))
    if facts:
        yield Table(("What", "Seen"), tuple(facts))
    if found.mounts:
        rows = [
            (names.view(member.label), name(member.mount.mount_point), *_described(member.mount))
            for member in found.mounts[:shown]
        ]
        yield Table(("Mounts in", "Mount point", "Filesystem", "Propagation"), tuple(rows))
        yield from _rest(found.mounts, shown)
    if found.lands_at:
        rows_there = [(names.view(label), name(path)) for label, path in found.lands_at[:shown]]
        yield Table(("Events arrive in", "At"), tuple(rows_there))
        yield from _rest(found.lands_at, shown)
    if found.effects:
        effects = [(_known(effect.namespace, report), name(effect.path), *_became(effect)) for effect in found.effects]
        yield Table(("Predicted in", "Path", "What happens", "Propagation"), tuple(effects[:shown]))
        yield from _rest(effects, shown)


def references(rule: Rule) -> Iterator[Block]:
    """Where to read on."""
    if rule.references:
        yield Prose("\n".join(f"- [{reference.title}]({reference.url})" for reference in rule.references))


def waived(report: AuditReport) -> Iterator[Block]:
    """What was found, and accepted by someone."""
    if report.audit.waived:
        rows: list[tuple[Words, ...]] = [
            (
                accepted.finding.rule.id,
                report.where(accepted.finding),
                name(accepted.finding.path or ""),
                accepted.waiver.reason,
                accepted.waiver.expires.isoformat() if accepted.waiver.expires else "for good",
            )
            for accepted in report.audit.waived[:MANY]
        ]
        yield Table(("Rule", "Namespace", "Path", "Reason", "Until"), tuple(rows))
        yield from _rest(report.audit.waived, MANY)


MANY = 200
"""How many waivers, or gaps in what was seen, a document lists."""


def looked_at(report: AuditReport) -> Iterator[Block]:
    """Every mount namespace, those with the most findings first."""
    found = Counter(finding.subject for finding in report.findings)
    views = sorted(report.views, key=lambda view: -found[view.label])
    rows: list[tuple[Words, ...]] = [
        (
            report.names.view(view.label),
            str(len(view.namespace.processes)),
            str(len(view.mounts)),
            str(found[view.label] or ""),
        )
        for view in views[:MANY]
    ]
    yield Table(("Mount namespace", "Processes", "Mounts", "Findings"), tuple(rows))
    yield from _rest(views, MANY)


def not_seen(report: AuditReport) -> Iterator[Block]:
    """The gaps: where nothing was found because nothing could be read."""
    unseen = report.audit.not_seen
    if unseen:
        yield Items(
            tuple(
                (name(problem.where), f": {problem.what}") if problem.where else problem.what
                for problem in unseen[:MANY]
            )
        )
        yield from _rest(unseen, MANY)


def _described(mount: Mount) -> tuple[Words, Words]:
    """The filesystem as findmnt(8) has it, and the propagation as mountinfo has it."""
    source = "" if mount.source in ("none", mount.fs_type) else f" {mount.source}"
    root = "" if mount.root == "/" else f"[{mount.root}]"
    return name(f"{mount.fs_type}{source}{root}"), tags(mount)


def tags(mount: Mount) -> str:
    """``shared:12 master:3``, or the type where it is in no group."""
    groups = (("shared", mount.peer_group), ("master", mount.master), ("propagate_from", mount.propagate_from))
    return " ".join(f"{tag}:{group}" for tag, group in groups if group is not None) or mount.propagation


def _became(effect: Effect) -> tuple[Words, Words]:
    mount = effect.after or effect.before
    assert mount is not None
    said = {"mount": "is mounted", "umount": "is unmounted", "move": "is moved here"}.get(effect.change, "changes")
    change: Words = (Word(mount.fs_type), " ", Word(said, "critical" if effect.crosses else "strong"))
    if effect.before is not None and effect.after is not None:
        return change, f"{tags(effect.before)} -> {tags(effect.after)}"
    return change, tags(mount)


def _known(label: str, report: AuditReport) -> str:
    """A namespace by name; a new one, of the prediction, by its label."""
    try:
        return report.names.view(label)
    except KeyError:
        return label


def _names(finding: Finding) -> set[str]:
    found = finding.evidence
    return {
        *([finding.path] if finding.path else []),
        *(path for _, path in found.lands_at[:SHOWN]),
        *(member.mount.mount_point for member in found.mounts[:SHOWN]),
        *(effect.path for effect in found.effects[:SHOWN]),
    }


def _rest(things: Sequence[object], shown: int) -> Iterator[Block]:
    if len(things) > shown:
        yield Paragraph(Word(f"and {len(things) - shown} more", "dim"))
