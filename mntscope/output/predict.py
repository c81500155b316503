"""A prediction: what would become of the host first, then of everyone else."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from errno import errorcode
from typing import Any

from mntscope.analysis.predict import Prediction, StepPrediction, Whose
from mntscope.base.counting import counted
from mntscope.graph.names import namespace_names
from mntscope.graph.severity import CRITICAL
from mntscope.model import Mount
from mntscope.output import phrases
from mntscope.output.document import (
    Block,
    Document,
    Entries,
    Entry,
    Heading,
    Items,
    Paragraph,
    Verdict,
    Word,
    Words,
    name,
)
from mntscope.output.formats import Format, documents, table
from mntscope.output.phrases import some, tags
from mntscope.output.writers.json import effect_json, json_text, problems_json
from mntscope.output.writers.page import Page
from mntscope.propagation import Effect, Outcome
from mntscope.propagation.operations import Bind

STEPS = ("Outcome", "Command", "Why")
CHANGES = ("Change", "Mounts")
EFFECTS = ("Namespace", "What happens", "Path", "To", "Crosses")


def document(prediction: Prediction, page: Page) -> Document:
    """What a tired reader needs, in the order in which it is needed."""
    names = namespace_names(prediction.before.views, prediction.before.host_label)
    title = f"{prediction.command} in {names[prediction.target]}"
    return Document(title, tuple(_blocks(prediction, names, page)))


def _blocks(prediction: Prediction, names: Mapping[str, str], page: Page) -> Iterator[Block]:
    yield _verdict(prediction, names)
    yield from _set_elsewhere(prediction)
    if host := _on_the_host(prediction, page):
        kept = phrases.shown(host, page)
        yield Heading("On the host")
        yield Items(tuple(kept))
        yield from phrases.more(host, kept)
    if len(prediction.steps) > 1 or prediction.failed:
        yield Heading("Step by step")
        yield Entries(STEPS, map(_step, prediction.steps))
    changed = [label for label in _changed(prediction) if label != prediction.before.host_label]
    kept_labels = phrases.shown(changed, page)
    for label in kept_labels:
        role = ", the target" if label == prediction.target else ""
        yield Heading(f"{names[label]}{role}" if label in names else f"{label} (a new namespace)")
        yield Entries(CHANGES, _changes_in(label, prediction, page))
    yield from phrases.more(changed, kept_labels)
    yield from phrases.uncertain(prediction.uncertain)
    yield from phrases.unseen(prediction.before.not_seen, page)


def in_short(prediction: Prediction, page: Page) -> Iterator[Block]:
    """A command within another report: whether it fails, the verdict, and what becomes of the host."""
    if prediction.failed:
        yield Entries(STEPS, map(_step, prediction.steps))
    yield _verdict(prediction, namespace_names(prediction.before.views, prediction.before.host_label))
    if host := _on_the_host(prediction, page):
        yield Items(tuple(phrases.shown(host, page)))
        yield from phrases.more(host, phrases.shown(host, page))


def _verdict(prediction: Prediction, names: Mapping[str, str]) -> Verdict:
    outside, host = prediction.outside, prediction.before.host_label
    on_host = [effect for effect in outside if effect.namespace == host]
    others = {effect.namespace for effect in outside} - {host}
    elsewhere = counted(len(others), "other namespace")
    if prediction.on_the_host:
        also = f", and would change {elsewhere} too." if others else ": what it changes, it changes for the host."
        return Verdict("ON THE HOST", "critical", f"the command runs in the host's own mount namespace{also}")
    if on_host:
        also = f", and mounts of {elsewhere}." if others else "."
        return Verdict("CHANGES THE HOST", "critical", f"{counted(len(on_host), 'mount')} there{also}")
    if outside:
        return Verdict("CHANGES OTHERS", "critical", f"mounts of {elsewhere}; the host's own would stay as they are.")
    if prediction.effects:
        who = names[prediction.target]
        return Verdict("STAYS INSIDE", "good", f"nothing outside the mount namespace of {who} would change.")
    if prediction.failed and prediction.failed.step.refused:
        why = prediction.failed.step.refused
        return Verdict("REFUSED", "high", f"{why}; all mounts would stay as they are.")
    if prediction.failed and prediction.failed.failed:
        outcome = prediction.failed.failed
        return Verdict(f"FAILS WITH {outcome.errno}", "high", f"{failure(outcome)}; all mounts would stay as they are.")
    return Verdict("CHANGES NOTHING", "medium", "all mounts would stay as they are.")


def _set_elsewhere(prediction: Prediction) -> Iterator[Block]:
    """The warning that a bind's options are those of its copies as well."""
    host = prediction.before.host_label
    for outcome in (outcome for step in prediction.steps for outcome in step.outcomes):
        if isinstance(outcome.operation, Bind) and outcome.operation.attributes:
            reached = [effect for effect in outcome.effects if effect.crosses]
            if reached:
                where = "on the host, too" if any(one.namespace == host for one in reached) else "elsewhere, too"
                options = ",".join(outcome.operation.attributes)
                whose = prediction.program.name or "mount(8) of util-linux 2.39 or later"
                yield Paragraph(
                    f"{options} is set {where}: {whose} sets it before the bind is attached. To change the one mount"
                    f" only, bind it first, then mount -o remount,bind,{options}."
                )


# ---- the host ----


def _on_the_host(prediction: Prediction, page: Page) -> list[Words]:
    """What becomes of the host, the worst first."""
    host = prediction.before.host_label
    lines: list[tuple[bool, Words]] = []
    changed: dict[str, list[str]] = defaultdict(list)
    for step in prediction.steps:
        for outcome in step.outcomes:
            found = [effect for effect in outcome.effects if effect.namespace == host]
            # Where a mount has another on its root: (its ID, its mount point).
            onto = outcome.snapshot.view(host).mounts if any(effect.change == "mount" for effect in found) else ()
            covered = {(over.parent_id, over.mount_point) for over in onto}
            for effect in found:
                if effect.change in ("mount", "umount", "move"):
                    lines.append((effect.path not in CRITICAL, _on_host(effect, covered, step.proc_of)))
                else:
                    changed[_became(effect)].append(effect.path)
    worst_first = [line for _, line in sorted(lines, key=lambda entry: entry[0])]
    retyped = [(*some(paths, page), f": {what}") for what, paths in changed.items()]
    return list(dict.fromkeys([*worst_first, *retyped]))


def _on_host(effect: Effect, covered: set[tuple[int, str]], proc_of: Whose | None) -> Words:
    path, mount = name(effect.path), effect.after or effect.before
    assert mount is not None
    if effect.change == "umount":
        gone = ", on which the whole host relies" if effect.path in CRITICAL else ""
        return path, Word(f" ({mount.fs_type}) would be unmounted{gone}", "critical")
    if effect.before is not None:
        return name(effect.before.mount_point), Word(f" ({mount.fs_type}) would be moved to", "critical"), " ", path
    if (mount.mount_id, mount.mount_point) in covered:
        return path, Word(f" would get this {mount.fs_type}, beneath what is mounted there", "critical")
    return path, Word(f" would be covered by this {mount.fs_type}{_consequence(mount, proc_of)}", "critical")


def _consequence(mount: Mount, proc_of: Whose | None) -> str:
    if mount.mount_point == "/proc" and mount.fs_type == "proc" and proc_of:
        if proc_of == "the host's":
            return " of the same processes; what is mounted below it would be hidden"
        certainly = "" if proc_of == "another" else " if it shows other processes than the host's"
        return f": `ps`, `systemd` and every reader of /proc there would break{certainly}"
    if mount.mount_point in CRITICAL:
        return ": whatever reads what lies there now would break"
    return ""


# ---- the steps ----

_REASONS = {
    ("bind", "EINVAL"): "{source} is on an unbindable mount, or has locked mounts below it",
    ("clone_ns", "EPERM"): "the process is in a chroot, or its root is covered",
    ("mount", "EBUSY"): "the same filesystem is mounted at {target} already",
    ("mount", "EPERM"): "it takes privileges over more than the new user namespace",
    ("move", "EINVAL"): "{source} is no mount point, is locked, or is mounted in a shared mount",
    ("move", "ELOOP"): "{target} lies inside {source}",
    ("propagation", "EINVAL"): "{target} is not a mount point",
    ("remount", "EINVAL"): "{target} is not a mount point",
    ("remount", "EPERM"): "{target} is locked read-only",
    ("umount", "EBUSY"): "something is mounted below {target}",
    ("umount", "EINVAL"): "{target} is not a mount point, or is locked",
}


def _step(step: StepPrediction) -> Entry:
    """How a command ends, and why, where it fails."""
    command = ("  " * step.depth, name(step.step.text))
    if step.skipped:
        return Entry(Word("not run", "dim"), command)
    if step.step.refused:
        return Entry(Word("refused", "high"), command, step.step.refused)
    if step.failed:
        return Entry(Word(step.failed.errno or "", "high"), command, failure(step.failed))
    return Entry(Word("succeeds", "good"), command)


def failure(outcome: Outcome) -> str:
    """What the errno comes from, where that is known; else what it means."""
    op, errno = outcome.operation.op, outcome.errno or ""
    if (op, errno) in _REASONS:
        from dataclasses import asdict

        return _REASONS[op, errno].format_map(asdict(outcome.operation))
    return os.strerror(next((number for number, word in errorcode.items() if word == errno), 0))


# ---- everyone else ----


def _changed(prediction: Prediction) -> list[str]:
    """The namespaces that change: others first, then the target's, then those that the command makes."""
    changed = dict.fromkeys(effect.namespace for effect in prediction.effects)
    known = dict.fromkeys(prediction.known)
    others = [label for label in known if label in changed and label != prediction.target]
    own = [prediction.target] if prediction.target in changed else []
    return [*others, *own, *(label for label in changed if label not in known)]


def _changes_in(label: str, prediction: Prediction, page: Page) -> Iterator[Entry]:
    """What changes in one namespace: the mounts of which the same becomes together."""
    copied = ended = 0
    changed: dict[tuple[str, str], list[str]] = defaultdict(list)
    for step in prediction.steps:
        for outcome in step.outcomes:
            found = [effect for effect in outcome.effects if effect.namespace == label]
            if outcome.operation.op == "clone_ns" and label not in prediction.known:
                copied += len(found)
            elif outcome.operation.op == "exit_ns":
                ended += len(found)
            else:
                for effect in found:
                    changed[effect.change, _became(effect)].append(effect.path)
    if copied:
        yield Entry("begins with", f"{counted(copied, 'mount')}, copied")
    yield from phrases.entries(
        list(changed.items()),
        lambda alike: Entry(alike[0][0], (*some(alike[1], page), f"  {alike[0][1]}")),
        page,
    )
    if ended:
        yield Entry("ends", "with the command, and all that is mounted in it")


def _became(effect: Effect) -> str:
    """What is mounted or gone, or what became of a mount that stays."""
    before, after = effect.before, effect.after
    if before is None or after is None:
        mount = after or before
        assert mount is not None
        return f"{phrases.filesystem(mount)}, {tags(mount)}"
    if effect.change == "move":
        return f"was at {before.mount_point}"
    if effect.change == "remount":
        # The superblock's options come second: "rw" stands in both lists.
        was, now = (before.options, before.super_options), (after.options, after.super_options)
        lost = [option for old, new in zip(was, now, strict=True) for option in _without(old, new)]
        gained = [option for old, new in zip(was, now, strict=True) for option in _without(new, old)]
        return f"{','.join(lost) or 'nothing'} -> {','.join(gained) or 'nothing'}"
    if before.propagation != after.propagation:
        return f"{before.propagation} -> {after.propagation}"
    return f"{tags(before)} -> {tags(after)}"


def _without(options: Iterable[str], others: Iterable[str]) -> list[str]:
    known = set(others)
    return [option for option in options if option not in known]


# ---- one operation ----


def outcome_document(outcome: Outcome, page: Page) -> Document:
    """What one operation does: whether it fails, and each effect."""
    names = namespace_names(outcome.snapshot.views, outcome.snapshot.host_label)
    described = outcome.operation.to_dict()
    words = [str(described[key]) for key in ("source", "target", "type") if described.get(key)]
    ns = str(described.get("ns", ""))
    title = f"{outcome.operation.op} in {names.get(ns, ns)}: {' '.join(words)}"
    return Document(title, tuple(_effects_of(outcome, names, page)))


def _effects_of(outcome: Outcome, names: Mapping[str, str], page: Page) -> Iterator[Block]:
    effects = sorted(outcome.effects, key=lambda effect: not effect.crosses)
    count = counted(len(effects), "effect")
    if outcome.errno is not None:
        yield Verdict(f"FAILS WITH {outcome.errno}", "high", "nothing changes.")
    elif not effects:
        yield Verdict("CHANGES NOTHING", "medium", "all mounts would stay as they are.")
    elif effects[0].crosses:
        yield Verdict("CHANGES OTHERS", "critical", f"{count}, some of them in other namespaces.")
    else:
        yield Verdict("STAYS INSIDE", "good", f"{count}.")
    yield from phrases.rows(EFFECTS, effects, lambda effect: effect_row(effect, names), page)
    yield from phrases.uncertain(outcome.uncertain)


def effect_row(effect: Effect, names: Mapping[str, str] = {}) -> tuple[Words, ...]:
    """An effect in a table of :data:`EFFECTS`; *names* are those of the namespaces, by label."""
    return (
        names.get(effect.namespace, effect.namespace),
        effect.change,
        name(effect.path),
        _became(effect),
        Word("into another namespace", "critical") if effect.crosses else "",
    )


# ---- for programs ----


def as_json(prediction: Prediction, page: Page) -> str:  # noqa: ARG001
    """The document ``mntscope.predict/1``; of a sequence, the operation is the one that fails, else the last."""
    outcome = prediction.outcome
    return json_text(
        "predict",
        {
            "host": prediction.before.host_label,
            "target": prediction.target,
            "command": prediction.command,
            "mount_program": prediction.program.name or None,
            "outside": len(prediction.outside),
            "operation": outcome.operation.to_dict() if outcome else None,
            "errno": outcome.errno if outcome else None,
            "effects": [effect_json(effect) for effect in prediction.effects],
            "uncertain": list(prediction.uncertain),
            "steps": [_step_json(step) for step in prediction.steps],
            "not_seen": problems_json(prediction.before.not_seen),
        },
    )


FORMATS: dict[str, Format[Prediction]] = {
    "table": table(document),
    "json": as_json,
    **documents(document, lambda of: (of.before,)),
}


def _step_json(step: StepPrediction) -> dict[str, Any]:
    return {
        "command": step.step.text,
        "line": step.step.line,
        "column": step.step.column,
        "depth": step.depth,
        "skipped": step.skipped,
        "errno": step.failed.errno if step.failed else None,
        "refused": step.step.refused,
        "operations": [{**outcome.operation.to_dict(), "errno": outcome.errno} for outcome in step.outcomes],
        "effects": [effect_json(effect) for effect in step.effects],
    }
