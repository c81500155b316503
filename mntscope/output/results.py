"""What was worked out: diffs, predictions, plans, and the single changes they are made of."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mntscope.analysis.diff import Change, Diff
from mntscope.analysis.predict import Prediction, StepPrediction
from mntscope.graph import PeerGraph
from mntscope.isolate import Isolation, Plan
from mntscope.model import Mount
from mntscope.output import comparison, foretold, verdict
from mntscope.output import isolate as plan
from mntscope.output.document import Block, Heading, Items, Paragraph, Style, Table, Word, Words, name
from mntscope.output.graph.sharing import drawn, names
from mntscope.output.machines import unseen
from mntscope.output.writers.page import Page
from mntscope.output.writers.told import Told, counted, filesystem, tabled, tags, together
from mntscope.propagation import Effect, Outcome

EFFECT_COLUMNS = ("Namespace", "What happens", "Path", "To", "Crosses")
CHANGE_COLUMNS = ("What", "Path", "On the host", "Here")
PATHS = 3

_STYLES: dict[str, Style] = {"STAYS INSIDE": "good", "CHANGES NOTHING": "medium"}


def effect_row(effect: Effect, called: Callable[[str], str] = str) -> tuple[Words, ...]:
    """An effect in a table of :data:`EFFECT_COLUMNS`; *called* puts the label of its namespace in words."""
    return (
        called(effect.namespace),
        effect.change,
        name(effect.path),
        _became(effect.before, effect.after),
        Word("into another namespace" if effect.crosses else "", "critical"),
    )


def change_row(change: Change) -> tuple[Words, ...]:
    """A change in a table of :data:`CHANGE_COLUMNS`."""
    return change.kind, name(change.path), _described(change.host), _described(change.target)


def _became(before: Mount | None, after: Mount | None) -> Words:
    """What an effect changes of a mount."""
    if before is None or after is None:
        return _described(after or before)
    if before.mount_point != after.mount_point:
        return together("from ", name(before.mount_point))
    if tags(before) != tags(after):
        return f"{tags(before)} -> {tags(after)}"
    return f"{','.join(before.options)} -> {','.join(after.options)}"


def _described(mount: Mount | None) -> Words:
    return "" if mount is None else together(filesystem(mount), f", {tags(mount)}")


def _diff(diff: Diff) -> Told:
    document = comparison.document(diff, Page(everything=True))
    picture = None
    if diff.leaks:
        picture = drawn(PeerGraph.of([diff.host, diff.target]), diff.host.label, folded=True)
    text = verdict.as_table(diff, Page())
    return Told(document.title, document.blocks, picture, text, ".leaks.frame(), .changes.frame() have all of them")


def _change(change: Change) -> Told:
    return Told((f"{change.kind}: ", name(change.path)), (Table(CHANGE_COLUMNS, (change_row(change),)),))


def _effect(effect: Effect) -> Told:
    title = (f"{effect.change} in {effect.namespace}: ", name(effect.path))
    return Told(title, (Table(EFFECT_COLUMNS, (effect_row(effect),)),))


def _outcome(outcome: Outcome) -> Told:
    described = outcome.operation.to_dict()
    words = [str(described[key]) for key in ("source", "target", "type") if described.get(key)]
    blocks: list[Block] = []
    if outcome.errno is None:
        crossing = {effect.namespace for effect in outcome.effects if effect.crosses}
        lead: Words = Word("stays inside", "good") if not crossing else Word("changes other namespaces", "critical")
        if not outcome.effects:
            lead = Word("changes nothing", "medium")
        blocks.append(Paragraph(together(lead, f": {counted(len(outcome.effects), 'effect')}.")))
    else:
        blocks.append(Paragraph((Word(f"fails with {outcome.errno}", "high"), ": nothing changes.")))
    called = names(outcome.snapshot)
    effects = sorted(outcome.effects, key=lambda effect: not effect.crosses)
    blocks += tabled(EFFECT_COLUMNS, effects, lambda effect: effect_row(effect, called))
    return Told(
        together(f"{outcome.operation.op} in {called(described.get('ns', ''))}: ", name(" ".join(words))),
        (*blocks, *_doubts(outcome.uncertain)),
    )


def _prediction(prediction: Prediction) -> Told:
    word, sentence = foretold.headline(prediction)
    blocks: list[Block] = [Paragraph((Word(word, _STYLES.get(word, "critical")), f": {sentence}"))]
    if host := foretold.host_lines(prediction, Page(everything=True)):
        blocks += [Heading("On the host"), Items(tuple(host))]
    parts: list[list[Block]] = []
    if prediction.effects:
        parts.append([Heading("What changes where"), *_by_namespace(prediction)])
    if len(prediction.steps) > 1 or prediction.failed:
        steps = tabled(("Command", "What becomes of it"), prediction.steps, _step_row)
        parts.insert(0 if prediction.failed else 1, [Heading("Step by step"), *steps])
    blocks += [block for part in parts for block in part]
    title = (name(prediction.command), f" in {names(prediction.before)(prediction.target)}")
    folded = (*_doubts(prediction.uncertain), *unseen(prediction.before.not_seen))
    return Told(title, (*blocks, *folded), text=foretold.as_table(prediction, Page()))


def _step_row(step: StepPrediction) -> tuple[Words, ...]:
    became = Word("succeeds", "good")
    if step.skipped:
        became = Word("not run", "dim")
    elif step.failed:
        became = Word(foretold.failure(step.failed), "high")
    return name(step.step.text), became


def _by_namespace(prediction: Prediction) -> Iterator[Block]:
    """A row a namespace: on a whole machine, one command may change a mount in each of hundreds."""
    found: dict[str, list[Effect]] = defaultdict(list)
    for effect in prediction.effects:
        found[effect.namespace].append(effect)

    called = names(prediction.before)

    def row(label: str) -> tuple[Words, ...]:
        effects = found[label]
        counts = Counter(effect.change for effect in effects)
        paths = list(dict.fromkeys(effect.path for effect in effects))
        more = f" and {len(paths) - PATHS:,} more" if len(paths) > PATHS else ""
        some = [piece for path in paths[:PATHS] for piece in (", ", name(path))][1:]
        crosses = any(effect.crosses for effect in effects) and label in prediction.known
        return (
            called(label),
            ", ".join(f"{number:,} {change}" for change, number in counts.items()),
            together(*some, more),
            Word("another namespace" if crosses else "", "critical"),
        )

    labels = sorted(found, key=lambda label: (label == prediction.target, label != prediction.before.host_label))
    yield from tabled(("Namespace", "Changes", "Paths", ""), labels, row)


def _doubts(reasons: Sequence[str]) -> tuple[Block, ...]:
    return (Heading("Uncertain"), Items(tuple(reasons))) if reasons else ()


def _plan(made: Plan) -> Told:
    told = plan.Isolating(made.target.label, Isolation(made), dry_run=True)
    document = plan.document(told, Page(everything=True))
    return Told(f"Plan for {made.target.label}", document.blocks, text=plan.isolation_table(told, Page()))


TELLERS: dict[type, Callable[[Any], Told]] = {
    Diff: _diff,
    Change: _change,
    Effect: _effect,
    Outcome: _outcome,
    Prediction: _prediction,
    Plan: _plan,
}
