"""The tables of results: differences, leaks, effects, findings, and who holds a filesystem."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_args

import pandas as pd

from mntscope.analysis.diff import KINDS, Change
from mntscope.analysis.holders import Holders
from mntscope.analysis.plan import Plan
from mntscope.analysis.predict import Prediction
from mntscope.analysis.preview.findings import FindingKind, PreviewFinding
from mntscope.analysis.remedies import Command
from mntscope.frames.columns import PROPAGATIONS, category, number, pids, severity, text, truth
from mntscope.graph import GroupNames, Leak
from mntscope.model import Mount
from mntscope.propagation import Effect
from mntscope.propagation.operations import MountNew, Operation, SetPropagation
from mntscope.propagation.outcome import Change as EffectKind
from mntscope.rules import Finding
from mntscope.rules.rule import CONFIDENCES

_Column = Callable[[Callable[[Mount], Any]], list[Any]]


def _of(mounts: Iterable[Mount | None]) -> _Column:
    """What columns tell of mounts that may be missing."""
    found = list(mounts)
    return lambda what: [None if mount is None else what(mount) for mount in found]


def leaks_of(leaks: Sequence[tuple[str | None, Leak]]) -> pd.DataFrame:
    """The table of :func:`mntscope.frames.leaks`, of leaks and the names of their namespaces."""
    rows = [
        (at, namespace, leak, path) for at, (namespace, leak) in enumerate(leaks) for path in leak.lands_at or (None,)
    ]
    each = [leak for _, _, leak, _ in rows]
    return pd.DataFrame(
        {
            "leak": number(at for at, _, _, _ in rows),
            "namespace": category(namespace for _, namespace, _, _ in rows),
            "direction": category((leak.direction for leak in each), ("out", "in", "both")),
            "path": text(leak.path for leak in each),
            "lands_at": text(path for _, _, _, path in rows),
            "severity": severity(leak.severity for leak in each),
            "via": category((leak.via for leak in each), ("peer", "slave")),
            "device": text(leak.mount.device for leak in each),
            "peer_group": number(leak.peer_group for leak in each),
            "mount_id": number(leak.mount.mount_id for leak in each),
            "mount_point": text(leak.mount.mount_point for leak in each),
            "fs_type": category(leak.mount.fs_type for leak in each),
            "hidden": truth(leak.hidden for leak in each),
            "covered": truth(leak.covered for leak in each),
            "complete": truth(leak.complete for leak in each),
            "remedy": category((leak.remedy for leak in each), ("make-private", "make-slave")),
            "remedy_path": text(leak.remedy_path for leak in each),
        }
    )


def changes_of(changes: Sequence[Change], namespace: str | None) -> pd.DataFrame:
    """The frame that :func:`mntscope.frames.changes` gives; it says what the columns are."""
    known = _of(change.target or change.host for change in changes)
    target, host = _of(change.target for change in changes), _of(change.host for change in changes)
    covers = _of(change.covers for change in changes)
    return pd.DataFrame(
        {
            "namespace": category(namespace for _ in changes),
            "kind": category((change.kind for change in changes), KINDS),
            "path": text(change.path for change in changes),
            "device": text(known(lambda mount: mount.device)),
            "root": text(known(lambda mount: mount.root)),
            "fs_type": category(known(lambda mount: mount.fs_type)),
            "source": text(known(lambda mount: mount.source)),
            **_beside("host", host),
            **_beside("target", target),
            "covers": text(covers(lambda mount: mount.mount_point)),
            "covers_device": text(covers(lambda mount: mount.device)),
            "hidden": truth(change.hidden for change in changes),
        }
    )


def effects_of(effects: Sequence[tuple[int, str, Effect]], *, steps: bool) -> pd.DataFrame:
    """The table of :func:`mntscope.frames.effects`, of effects with the number and text of the step they belong to."""
    each = [effect for _, _, effect in effects]
    known = _of(effect.after or effect.before for effect in each)
    before, after = _of(effect.before for effect in each), _of(effect.after for effect in each)
    first = {
        "step": number(step for step, _, _ in effects),
        "command": text(command for _, command, _ in effects),
    }
    return pd.DataFrame(
        {
            **(first if steps else {}),
            "namespace": category(effect.namespace for effect in each),
            "change": category((effect.change for effect in each), get_args(EffectKind)),
            "path": text(effect.path for effect in each),
            "crosses": truth(effect.crosses for effect in each),
            "mount_id": number(known(lambda mount: mount.mount_id)),
            "device": text(known(lambda mount: mount.device)),
            "root": text(known(lambda mount: mount.root)),
            "fs_type": category(known(lambda mount: mount.fs_type)),
            "source": text(known(lambda mount: mount.source)),
            **_beside("before", before),
            **_beside("after", after),
        }
    )


def _beside(name: str, mount: _Column) -> dict[str, pd.Series[Any]]:
    """What may differ between the two mounts of a row, of one of them."""
    return {
        f"{name}_mount_point": text(mount(lambda mount: mount.mount_point)),
        f"{name}_options": text(mount(lambda mount: ",".join(mount.options))),
        f"{name}_super_options": text(mount(lambda mount: ",".join(mount.super_options))),
        f"{name}_propagation": category(mount(lambda mount: mount.propagation), PROPAGATIONS),
        f"{name}_peer_group": number(mount(lambda mount: mount.peer_group)),
        f"{name}_master": number(mount(lambda mount: mount.master)),
    }


def effects_of_prediction(prediction: Prediction) -> pd.DataFrame:
    """The table of :func:`mntscope.frames.effects`, of all steps of a prediction, each with its command."""
    steps = [(at, step.step.text, effect) for at, step in enumerate(prediction.steps) for effect in step.effects]
    return effects_of(steps, steps=True)


def effects_of_plan(plan: Plan) -> pd.DataFrame:
    """The table of :func:`mntscope.frames.effects`, of all actions of a plan, each with its command."""
    actions = [
        (at, _command(action.operation), effect) for at, action in enumerate(plan.actions) for effect in action.effects
    ]
    return effects_of(actions, steps=True)


def _command(operation: Operation) -> str:
    match operation:
        case SetPropagation():
            whole = "r" if operation.recursive else ""
            return shlex.join(("mount", f"--make-{whole}{operation.type}", operation.target))
        case MountNew():
            return shlex.join(("mount", "-t", operation.fstype, operation.source, operation.target))
    return operation.op


def preview_of(findings: Sequence[PreviewFinding]) -> pd.DataFrame:
    """The frame that :func:`mntscope.frames.preview` gives; it says what the columns are."""
    return pd.DataFrame(
        {
            "kind": category((finding.kind for finding in findings), get_args(FindingKind)),
            "severity": severity(finding.severity for finding in findings),
            "container": category(finding.container for finding in findings),
            "path": text(finding.path for finding in findings),
            "at": text("\n".join(finding.at) or None for finding in findings),
            "file": category(finding.where.file for finding in findings),
            "line": number(finding.where.line for finding in findings),
            "column": number(finding.where.column for finding in findings),
            "message": text(finding.message for finding in findings),
            "said_by": category(finding.said_by or None for finding in findings),
            "said": text(finding.said or None for finding in findings),
            "remedy": text(finding.remedy or None for finding in findings),
        }
    )


def findings_of(findings: Sequence[Finding]) -> pd.DataFrame:
    """The frame that :func:`mntscope.frames.findings` gives; it says what the columns are."""
    return pd.DataFrame(
        {
            "rule": category(finding.rule.id for finding in findings),
            "name": category(finding.rule.name for finding in findings),
            "severity": severity(finding.severity for finding in findings),
            "confidence": category((finding.confidence for finding in findings), CONFIDENCES[::-1], ordered=True),
            "subject": category(finding.subject for finding in findings),
            "owner": category(next(iter(finding.key), None) for finding in findings),
            "path": text(finding.path for finding in findings),
            "message": text(finding.message for finding in findings),
            "mounts": number(len(finding.evidence.mounts) for finding in findings),
            "commands": text("\n".join(map(shlex.join, finding.commands)) or None for finding in findings),
            "advice": text(finding.advice or None for finding in findings),
            "fingerprint": text(finding.fingerprint for finding in findings),
        }
    )


def holders_of(found: Holders) -> pd.DataFrame:
    """The frame that :func:`mntscope.frames.holders` gives; it says what the columns are."""
    holders = found.holders
    names = GroupNames(found.graph, found.host.label)
    return pd.DataFrame(
        {
            "namespace": category(names.view(holder.view.label) for holder in holders),
            "view": category(holder.view.label for holder in holders),
            "pids": category(pids(holder.view.namespace.processes) for holder in holders),
            "mount_id": number(holder.mount.mount_id for holder in holders),
            "device": text(holder.mount.device for holder in holders),
            "root": text(holder.mount.root for holder in holders),
            "mount_point": text(holder.mount.mount_point for holder in holders),
            "via": category(holder.via for holder in holders),
            "receives": truth(holder.receives for holder in holders),
            "covered": truth(holder.covered for holder in holders),
            "occupied": truth(holder.occupied for holder in holders),
            "locked": truth(holder.locked for holder in holders),
            "command": text(_first(way.command for way in holder.ways) for holder in holders),
        }
    )


def _first(commands: Iterable[Command]) -> str | None:
    return next(map(shlex.join, commands), None)
