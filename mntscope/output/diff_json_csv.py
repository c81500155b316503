"""A diff for programs: JSON, and everything in one table of CSV.

Beside the document for people, in a file of its own: who reads a terminal need not wait until this is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mntscope.analysis.diff import Change, Damage, Diff
from mntscope.analysis.predict import Prediction
from mntscope.graph import Leak
from mntscope.model import Mount, View
from mntscope.output.diff import problems
from mntscope.output.shell import command
from mntscope.output.writers.json import effect_json, json_text, leak_json, mount_json, problems_json
from mntscope.output.writers.page import Page
from mntscope.parse import format_mountinfo


def as_json(diff: Diff, page: Page) -> str:  # noqa: ARG001
    """The document ``mntscope.diff/1``."""
    return json_text(
        "diff",
        {
            "host": _view_json(diff.host),
            "target": _view_json(diff.target),
            "path": diff.path,
            "verdict": diff.verdict,
            "damage": [_damage_json(damage) for damage in diff.damage],
            "changes": [change_json(change) for change in diff.changes],
            "leaks": [_leak_json(leak, diff) for leak in diff.leaks],
            "hidden": [mount_json(mount) for mount in diff.hidden],
            "umount": None if diff.umount is None else _umount_json(diff.umount),
            "not_seen": problems_json(problems(diff)),
        },
    )


COLUMNS = ("record", "kind", "path", "severity", "lands_at", "via", "peer_group", "command", "why", "host", "target")
"""``record`` is ``verdict``, ``damage``, ``leak`` (one for each place where it lands), ``change`` or ``not_seen``;
``host`` and ``target`` are lines of mountinfo."""


def as_csv(diff: Diff, page: Page) -> str:
    """Everything in one table of :data:`COLUMNS`."""
    from mntscope.output.writers.csv import csv_text

    rows = ([row.get(column, "") for column in COLUMNS] for row in _rows(diff))
    return csv_text(COLUMNS, rows, page)


def _rows(diff: Diff) -> Iterator[dict[str, str]]:
    yield {"record": "verdict", "kind": diff.verdict, "path": diff.path or ""}
    for damage in diff.damage:
        yield {"record": "damage", "path": damage.path, "why": str(damage), "host": _line(damage.cover)}
    for leak in diff.leaks:
        for place in leak.lands_at:
            yield {
                "record": "leak",
                "kind": leak.direction,
                "path": leak.path,
                "severity": leak.severity,
                "lands_at": place,
                "via": leak.via,
                "peer_group": str(leak.peer_group),
                "command": command(leak, diff) or "",
                "why": leak.why,
                "target": _line(leak.mount),
            }
    for change in diff.changes:
        lines = {"host": _line(change.host), "target": _line(change.target)}
        yield {"record": "change", "kind": change.kind, "path": change.path, **lines}
    for problem in problems(diff):
        yield {"record": "not_seen", "path": problem.where, "why": problem.what}


def _view_json(view: View) -> dict[str, Any]:
    process, namespace = view.process, view.namespace
    return {
        "label": view.label,
        "mount_namespace": namespace.inode,
        "mount_namespace_id": namespace.id,
        "user_namespace": namespace.user_namespace,
        "owner": str(namespace.owner) if namespace.owner else None,
        "pid": process.pid if process else None,
        "comm": process.comm if process else None,
        "root": process.root or None if process else None,
        "pid_namespace": process.pid_namespace if process else None,
        "proc_pid_namespace": view.proc_pid_namespace,
        "processes": [{"pid": each.pid, "comm": each.comm} for each in namespace.processes],
        "mounts": len(view.mounts),
    }


def _damage_json(damage: Damage) -> dict[str, Any]:
    return {
        "path": damage.path,
        "what": damage.what,
        "certain": damage.certain,
        "cover": mount_json(damage.cover),
        "covered": mount_json(damage.covered),
    }


def change_json(change: Change) -> dict[str, Any]:
    """One difference, with the mount on either side."""
    return {
        "kind": change.kind,
        "path": change.path,
        "host": _mount_json(change.host),
        "target": _mount_json(change.target),
        "covers": _mount_json(change.covers),
        "hidden": change.hidden,
    }


def _leak_json(leak: Leak, diff: Diff) -> dict[str, Any]:
    return {
        **leak_json(leak),
        "remedy": leak.remedy,
        "why": leak.why,
        "command": command(leak, diff),
        "mount_id": leak.mount.mount_id,
        "hidden": leak.hidden,
        "covered": leak.covered,
        "complete": leak.complete,
    }


def _umount_json(umount: Prediction) -> dict[str, Any]:
    return {
        "command": umount.command,
        "errno": umount.outcome.errno if umount.outcome else None,
        "outside": len(umount.outside),
        "effects": [effect_json(effect) for effect in umount.effects],
        "uncertain": list(umount.uncertain),
    }


def _mount_json(mount: Mount | None) -> dict[str, Any] | None:
    return None if mount is None else mount_json(mount)


def _line(mount: Mount | None) -> str:
    if mount is None:
        return ""
    return format_mountinfo([mount]).decode("utf-8", "surrogateescape").removesuffix("\n")
