"""What isolate plans and does, and what undo puts back, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mntscope.base.records import dataclass
from mntscope.isolate import Action, Isolation, Plan, Running, Undoing
from mntscope.model import Mount
from mntscope.output.escape import shell_word, visible
from mntscope.output.formats import Format, documents
from mntscope.output.shell import shell
from mntscope.output.writers.json import effect_json, json_text, problems_json
from mntscope.output.writers.page import Page
from mntscope.output.writers.terminal import Text
from mntscope.propagation import Effect
from mntscope.propagation.operations import SetPropagation

if TYPE_CHECKING:
    from mntscope.output.document import Block, Document, Word

SHOWN = 6
"""How many effects of one action are listed before the rest is counted."""


@dataclass(frozen=True, slots=True)
class Isolating:
    """What there is to report: what became of it, or, where there is nothing else, why it was refused."""

    target: str
    isolation: Isolation | None = None
    dry_run: bool = False
    refused: str | None = None
    journal: str | None = None
    """Of one that was rolled back."""
    plan: Plan | None = None


def isolation_table(told: Isolating, page: Page) -> str:
    """The plan, what became of it, and how to undo it."""
    return page.draw(*_blocks(told, page))


def isolation_json(told: Isolating, page: Page) -> str:  # noqa: ARG001
    """The document ``mntscope.isolate/1``."""
    done = told.isolation
    plan = done.plan if done else told.plan
    return json_text(
        "isolate",
        {
            "target": told.target,
            "host": plan.snapshot.host_label if plan else None,
            "paths": list(plan.paths) if plan else [],
            "plan": [_action_json(action) for action in plan.actions] if plan else [],
            "applied": bool(done and done.applied),
            "verified": bool(done and done.verified),
            "journal": done.journal if done else told.journal,
            "refused": told.refused,
            "dry_run": told.dry_run,
            "attempts": done.attempts if done else 0,
            "notes": list(plan.notes) if plan else [],
            "uncertain": list(plan.uncertain) if plan else [],
            "unread": list(done.unread) if done else [],
            "not_seen": problems_json(plan.snapshot.not_seen) if plan else [],
        },
    )


def undoing_table(undoing: Undoing, page: Page) -> str:
    """What was put back."""
    heading = "UNDONE" if undoing.done else "NOTHING TO UNDO"
    sentence = "" if undoing.done else "  all is as it was before already."
    lines = [Text((heading, "bold green"), sentence)]
    lines += [Text(f"  {visible(line)}") for line in undoing.done]
    lines += [Text((f"Note: {visible(note)}.", "yellow")) for note in undoing.notes]
    return page.draw(*lines)


def undoing_json(undoing: Undoing, page: Page) -> str:  # noqa: ARG001
    """The document ``mntscope.undo/1``."""
    return json_text("undo", {"journal": undoing.journal, "done": list(undoing.done), "notes": list(undoing.notes)})


def running_table(running: Running, page: Page) -> str:
    """What is about to run, in one line."""
    count = len(running.plan.snapshot.views) - 1
    proc = " Its proc is in none of them." if running.new_pids else ""
    sentence = f"  what process {running.pid} mounts at /proc reaches none of the {count} other namespaces.{proc}"
    return page.draw(Text(("ISOLATED", "bold green"), sentence))


def running_json(running: Running, page: Page) -> str:  # noqa: ARG001
    """The document ``mntscope.run/1``."""
    return json_text(
        "run",
        {
            "pid": running.pid,
            "namespace": running.plan.target.namespace.inode,
            "new_pid_namespace": running.new_pids,
            "verified": True,
            "namespaces": [view.label for view in running.plan.snapshot.views],
            "not_seen": problems_json(running.plan.snapshot.not_seen),
        },
    )


def document(told: Isolating, page: Page) -> Document:
    """The plan, and what became of it, as a document."""
    from mntscope.output.document import Document

    return Document(f"Isolation of {told.target}", tuple(_sections(told, page)))


FORMATS: dict[str, Format[Isolating]] = {
    "table": isolation_table,
    "json": isolation_json,
    **documents(document),
}
RUN_FORMATS: dict[str, Format[Running]] = {"table": running_table, "json": running_json}
UNDO_FORMATS: dict[str, Format[Undoing]] = {"table": undoing_table, "json": undoing_json}


def _blocks(told: Isolating, page: Page) -> Iterator[Text]:
    done = told.isolation
    plan = done.plan if done else told.plan
    if done is not None:
        heading, sentence = _outcome(told, done)
        style = "bold yellow" if told.dry_run and done.plan.actions else "bold green"
        yield Text((heading, style), f"  {visible(sentence)}")
    if plan is None:
        return
    for number, action in enumerate(plan.actions, 1):
        yield Text("\n", f"{number}. ", (_said(action), "bold"))
        yield Text((f"   {visible(action.why)}", "dim"))
        yield from _effects(action, page)
    if plan.notes:
        yield Text("")
    yield from (Text(f"{visible(note)}.") for note in plan.notes)
    if plan.uncertain or plan.snapshot.not_seen:
        yield Text("")
    yield from (Text((f"Uncertain: {visible(reason)}.", "yellow")) for reason in plan.uncertain)
    yield from (Text((f"Not seen: {visible(str(problem))}.", "dim")) for problem in plan.snapshot.not_seen)
    if done is not None and done.unread:
        yield Text((f"Ended meanwhile, and not read again: {visible(', '.join(done.unread))}.", "dim"))
    if done is not None and done.applied and done.journal:
        yield Text("")
        yield Text((f"mntscope undo {shell_word(done.journal)}", "bold"), whole=True)


def _sections(told: Isolating, page: Page) -> Iterator[Block]:
    from mntscope.output.document import Commands, Heading, Items, Paragraph, Table, Word, name

    done = told.isolation
    plan = done.plan if done else told.plan
    if done is not None:
        heading, sentence = _outcome(told, done)
        yield Paragraph((Word(heading, "strong"), f": {sentence}"))
    if told.refused is not None:
        yield Paragraph((Word("REFUSED", "critical"), f": {told.refused}"))
    for number, action in enumerate(plan.actions if plan else (), 1):
        yield Heading((f"{number}. ", Word(_said(action), "command")))
        yield Paragraph(f"{action.why}.")
        shown = action.effects if page.everything else action.effects[:SHOWN]
        rows = [(effect.namespace, name(effect.path), _became(effect), _crossing(effect)) for effect in shown]
        yield Table(("Namespace", "Path", "What happens", ""), tuple(rows))
        if len(action.effects) > len(shown):
            yield Paragraph(Word(f"and {len(action.effects) - len(shown)} more (--all)", "dim"))
    if plan is not None:
        notes = [f"{note}." for note in plan.notes] + [f"Uncertain: {reason}." for reason in plan.uncertain]
        notes += [f"Not seen: {problem}." for problem in plan.snapshot.not_seen]
        if notes:
            yield Heading("Notes")
            yield Items(tuple(notes))
    if done is not None and done.applied and done.journal:
        yield Paragraph("To undo it:")
        yield Commands((shell(("mntscope", "undo", done.journal)),))


def _crossing(effect: Effect) -> Word:
    from mntscope.output.document import Word

    return Word("in another namespace" if effect.crosses else "", "critical")


def _outcome(told: Isolating, done: Isolation) -> tuple[str, str]:
    nothing = f"what is mounted at {', '.join(done.plan.paths)} of {told.target} reaches no other namespace"
    if not done.plan.actions:
        return "NOTHING TO DO", f"{nothing}."
    if told.dry_run:
        return "PLAN", f"nothing is changed; carried out, {nothing}."
    again = f" (attempt {done.attempts})" if done.attempts > 1 else ""
    return "ISOLATED", f"{nothing}. Every namespace was read again after each action{again}."


def _said(action: Action) -> str:
    """An action as the command it amounts to."""
    operation = action.operation
    path = shell_word(action.path)
    if isinstance(operation, SetPropagation):
        return f"mount --make-{'r' if operation.recursive else ''}{operation.type} {path}"
    return f"mount -t proc -o nosuid,nodev,noexec proc {path}"


def _effects(action: Action, page: Page) -> Iterator[Text]:
    effects = action.effects
    for effect in effects if page.everything else effects[:SHOWN]:
        style = "bold red" if effect.crosses else ""
        yield Text((f"   {visible(effect.namespace)}: {visible(effect.path)}  {_became(effect)}", style))
    if len(effects) > SHOWN and not page.everything:
        yield Text((f"   and {len(effects) - SHOWN} more (--all)", "dim"))


def _became(effect: Effect) -> str:
    if effect.before is not None and effect.after is not None:
        return f"{_tags(effect.before)} -> {_tags(effect.after)}"
    mount = effect.after or effect.before
    assert mount is not None
    return f"{'mounted' if effect.after else 'unmounted'}: {visible(mount.fs_type)}, {_tags(mount)}"


def _tags(mount: Mount) -> str:
    tags = [f"{name}:{group}" for name, group in (("shared", mount.peer_group), ("master", mount.master)) if group]
    return " ".join(tags) or mount.propagation


def _action_json(action: Action) -> dict[str, Any]:
    return {
        "action": action.operation.op,
        "path": action.path,
        "why": action.why,
        "operation": action.operation.to_dict(),
        "effects": [effect_json(effect) for effect in action.effects],
    }
