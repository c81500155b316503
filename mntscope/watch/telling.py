"""An act as an event: in the words and with the names of a report."""

from __future__ import annotations

import time

from mntscope.base.counting import counted
from mntscope.base.records import replace
from mntscope.graph import Leak, leaks
from mntscope.graph.severity import SEVERITIES
from mntscope.model import Mount
from mntscope.watch.acts import Act, Change
from mntscope.watch.events import Event, Kind, Place, Who
from mntscope.watch.state import Machine

MOST_COMPARED = 20_000
"""Mounts of two namespaces that are compared to tell how bad a leak is, and what stops it."""

_LOUDER: dict[str, int] = {name: rank for rank, name in enumerate(SEVERITIES)}


def event(kind: Kind, namespace: str = "", path: str | None = None) -> Event:
    """An event of just now."""
    return Event(time.time(), time.monotonic(), kind, namespace, path)


def of_act(machine: Machine, act: Act, when: tuple[float, float]) -> Event:
    """The line of an act: what was asked for, and in ``also`` where it went beside."""
    first = act.first
    mount = first.mount
    also = [
        Place(machine.name(change.namespace), change.mount.mount_point if change.mount else None)
        for change in act.changes[1:]
        if change.kind == first.kind or (first.kind == "move" and change.kind == "mount")
    ]
    described = Event(
        *when,
        kind=first.kind,
        namespace=machine.name(first.namespace) if first.namespace else (first.who.owner if first.who else ""),
        path=mount.mount_point if mount else None,
        who=first.who,
        also=tuple(also),
        known=mount is not None,
        fs_type=mount.fs_type if mount else "",
        source=mount.source if mount else "",
    )
    was, now = _difference(first)
    return replace(described, was=was, now=now)


def _difference(change: Change) -> tuple[str, str]:
    before, after = change.before, change.after
    if before is None or after is None:
        return "", ""
    if change.kind == "move":
        return before.mount_point, after.mount_point
    if change.kind == "propagation":
        return _sharing(before), _sharing(after)
    if change.kind == "remount":
        return _options(before), _options(after)
    return "", ""


def _sharing(mount: Mount) -> str:
    """The propagation type, with the numbers that change where the type does not."""
    numbers = [f"shared:{mount.peer_group}"] if mount.peer_group is not None else []
    numbers += [f"master:{mount.master}"] if mount.master is not None else []
    return " ".join(numbers) or mount.propagation


def _options(mount: Mount) -> str:
    return f"{','.join(mount.options)} - {','.join(mount.super_options)}"


def of_leaks(machine: Machine, namespace: int, keys: list[int], crossing: dict[int, list[str]]) -> Event:
    """The line of leaks that have appeared in a namespace: the worst of them, and how many there are.

    *crossing* gives for each mount where on the host its events land.
    """
    its = machine.namespaces[namespace]
    mounts = {its.mounts[key].mount_id: key for key in keys if key in its.mounts}
    described = event("leak", its.name)
    host = machine.namespaces[machine.host]
    found: list[Leak] = []
    if len(its.mounts) + len(host.mounts) <= MOST_COMPARED:
        found = [leak for leak in _leaks(machine, namespace) if leak.mount.mount_id in mounts]
    if found:
        worst = min(found, key=lambda leak: (_LOUDER[leak.severity], leak.path))
        where = tuple(Place(host.name, path) for path in worst.lands_at)
        named = f"mount --{worst.remedy} {worst.remedy_path}" if worst.remedy_path else worst.remedy
        return replace(
            described,
            path=worst.path,
            also=where,
            severity=worst.severity,
            remedy=named,
            count=len(mounts),
            text=_others(len(mounts)),
        )
    key = min(mounts.values(), key=lambda key: len(its.mounts[key].mount_point), default=0)
    mount = its.mounts.get(key)
    return replace(
        described,
        path=mount.mount_point if mount else None,
        also=tuple(Place(host.name, path) for path in crossing.get(key, ())),
        count=len(mounts),
        text=_others(len(mounts)),
    )


def _leaks(machine: Machine, namespace: int) -> list[Leak]:
    """The leaks of a namespace that go out, by the one definition there is."""
    two = machine.snapshot([namespace])
    found = leaks(two.view(machine.namespaces[namespace].label), two.host)
    return [leak for leak in found if leak.direction != "in"]


def _others(number: int) -> str:
    return f"and {counted(number - 1, 'other mount')} of it" if number > 1 else ""


def of_healed(machine: Machine, namespace: int, keys: list[int]) -> Event:
    """The line of leaks that are no more."""
    its = machine.namespaces[namespace]
    points = sorted(
        (its.mounts[key].mount_point for key in keys if key in its.mounts), key=lambda path: (len(path), path)
    )
    return replace(
        event("healed", its.name, points[0] if points else None), count=len(points), text=_others(len(points))
    )


def of_birth(machine: Machine, namespace: int, who: Who | None = None) -> Event:
    """The line of a namespace that is new."""
    its = machine.namespaces[namespace]
    process = its.view.process
    who = who or (Who(process.pid, process.comm, its.name) if process else None)
    return replace(event("namespace-born", its.name), who=who, count=len(its.mounts))
