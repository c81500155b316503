"""What isolate plans and does, and what run is about to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mntscope.base.counting import counted
from mntscope.base.records import dataclass
from mntscope.graph.names import namespace_name, namespace_names
from mntscope.isolate import Action, Isolation, Plan, Running
from mntscope.output import phrases
from mntscope.output.document import Block, Document, Heading, Paragraph, Remedy, Verdict, Word
from mntscope.output.escape import shell_word
from mntscope.output.formats import Format, documents, table
from mntscope.output.predict import EFFECTS, effect_row
from mntscope.output.shell import shell
from mntscope.output.writers.json import effect_json, json_text, mount_json, problems_json
from mntscope.output.writers.page import Page
from mntscope.propagation.operations import SetPropagation


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
    irreversible: tuple[str, ...] = ()
    """What undo could not put back, of one that was refused for it."""

    @property
    def shown_plan(self) -> Plan | None:
        """The plan of what was done or rolled back; ``None`` where it was refused before there was one."""
        return self.isolation.plan if self.isolation else self.plan

    @property
    def name(self) -> str:
        """What the target is called; where there is no plan, as it was asked for."""
        return namespace_name(self.shown_plan.target) if self.shown_plan else self.target


def document(isolating: Isolating, page: Page) -> Document:
    """The plan, what became of it, and how to undo it."""
    return Document(f"Isolation of {isolating.name}", tuple(_blocks(isolating, page)))


def _blocks(isolating: Isolating, page: Page) -> Iterator[Block]:
    done, plan = isolating.isolation, isolating.shown_plan
    if done is not None:
        yield _outcome(isolating, done)
    if isolating.refused is not None:
        yield Verdict("REFUSED", "critical", isolating.refused)
    if plan is not None:
        yield from _plan(plan, page)
    lost = done.irreversible if done is not None else isolating.irreversible
    yield from phrases.noted("What undo could not put back", [f"{what}." for what in lost], page)
    if done is not None:
        yield from phrases.noted("Ended meanwhile, and not read again", done.ended, page)
        yield from phrases.noted("Not read again, and not verified", done.not_verified, page)
    if done is not None and done.applied and done.journal:
        yield Heading("To undo it")
        yield Remedy((shell(("mntscope", "undo", done.journal)),))


def _outcome(isolating: Isolating, done: Isolation) -> Verdict:
    nothing = f"what is mounted at {', '.join(done.plan.paths)} of {isolating.name} reaches no other namespace"
    if not done.plan.actions:
        return Verdict("NOTHING TO DO", "good", f"{nothing}.")
    if isolating.dry_run:
        return Verdict("PLAN", "medium", f"nothing is changed; carried out, {nothing}.")
    again = f" (attempt {done.attempts})" if done.attempts > 1 else ""
    but = f", but for {counted(len(done.not_verified), 'namespace')}" if done.not_verified else ""
    return Verdict("ISOLATED", "good", f"{nothing}. Every namespace was read again after each action{but}{again}.")


def _plan(plan: Plan, page: Page) -> Iterator[Block]:
    names = namespace_names(plan.snapshot.views, plan.snapshot.host_label)
    for number, action in enumerate(plan.actions, 1):
        yield Heading((f"{number}. ", Word(_command(action), "command")))
        yield Paragraph(f"{action.why}.")
        effects = action.effects
        yield from phrases.rows(EFFECTS, effects, lambda effect: effect_row(effect, names), page, phrases.FEW)
    yield from phrases.noted("Notes", [f"{note}." for note in plan.notes], page)
    yield from phrases.uncertain(plan.uncertain)
    yield from phrases.unseen(plan.snapshot.not_seen, page)


def plan_document(plan: Plan, page: Page) -> Document:
    """A plan that nobody has carried out."""
    return document(Isolating(plan.target.label, Isolation(plan), dry_run=True), page)


def _command(action: Action) -> str:
    """An action as the command it amounts to."""
    operation = action.operation
    path = shell_word(action.path)
    if isinstance(operation, SetPropagation):
        return f"mount --make-{'r' if operation.recursive else ''}{operation.type} {path}"
    return f"mount -t proc -o nosuid,nodev,noexec proc {path}"


def running_document(running: Running, page: Page) -> Document:  # noqa: ARG001 - as any document
    """What is about to run, in one line."""
    others = counted(len(running.plan.snapshot.views) - 1, "other namespace")
    proc = " Its proc is in none of them." if running.new_pids else ""
    sentence = f"what process {running.pid} mounts at /proc reaches none of the {others}.{proc}"
    return Document(f"Process {running.pid}", (Verdict("ISOLATED", "good", sentence),))


# ---- for programs ----


def isolation_json(isolating: Isolating, page: Page) -> str:  # noqa: ARG001
    """The document ``mntscope.isolate/1``."""
    done, plan = isolating.isolation, isolating.shown_plan
    return json_text(
        "isolate",
        {
            "target": isolating.target,
            "host": plan.snapshot.host_label if plan else None,
            "paths": list(plan.paths) if plan else [],
            "plan": [_action_json(action) for action in plan.actions] if plan else [],
            "applied": bool(done and done.applied),
            "verified": bool(done and done.verified),
            "journal": done.journal if done else isolating.journal,
            "refused": isolating.refused,
            "dry_run": isolating.dry_run,
            "attempts": done.attempts if done else 0,
            "notes": list(plan.notes) if plan else [],
            "uncertain": list(plan.uncertain) if plan else [],
            "unread": list(done.unread) if done else [],
            "ended": list(done.ended) if done else [],
            "irreversible": list(done.irreversible if done else isolating.irreversible),
            "covered": [mount_json(mount) for mount in plan.covered] if plan else [],
            "not_seen": problems_json(plan.snapshot.not_seen) if plan else [],
        },
    )


def _action_json(action: Action) -> dict[str, Any]:
    return {
        "action": action.operation.op,
        "path": action.path,
        "why": action.why,
        "operation": action.operation.to_dict(),
        "effects": [effect_json(effect) for effect in action.effects],
    }


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


FORMATS: dict[str, Format[Isolating]] = {
    "table": table(document),
    "json": isolation_json,
    **documents(document, here=True),
}
RUN_FORMATS: dict[str, Format[Running]] = {
    "table": table(running_document),
    "json": running_json,
    **documents(running_document, here=True),
}
