"""Whether the kernel did what is predicted: acts, carried out once more on the machine as it was before.

A prediction costs as much as the namespaces have mounts that can have to do with it: those with a mount in one of the
trees of peer groups that the act is about. So only so many mounts are looked at in a second; the other acts are told
unchecked, and counted. Nor is an act checked that was met together with others of the same namespaces, as the machine
was never seen between them; nor one of which a table does not tell what was asked for. What differs where a namespace
has only just been read is no difference.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from mntscope.base.records import replace
from mntscope.errors import AccessError, MntscopeError
from mntscope.parse import format_mountinfo
from mntscope.propagation import Effect, Outcome, Simulation, simulate
from mntscope.propagation.operations import MountNew, Move, Operation, Umount
from mntscope.snapshot import Snapshot
from mntscope.watch import telling
from mntscope.watch.acts import Act, Change, same_place
from mntscope.watch.events import Event
from mntscope.watch.state import GroupKey, Machine

MOST_MOUNTS = 4000
"""Mounts that are looked at in a second: some 15 us for each."""

Stale = Callable[[set[int]], bool]

Effects = Counter[tuple[str, str, str]]
"""View, change and path, as often as there is such an effect."""


class Prediction:
    """Compares acts with predictions; what differs goes to *file* as a trace for ``mntscope selftest --replay``."""

    def __init__(self, file: str | None = None) -> None:
        self._file = file
        self._spare = float(MOST_MOUNTS)
        self._when = time.monotonic()
        self.checked = self.unchecked = self.wrong = 0

    def check(self, machine: Machine, acts: list[Act], changes: list[Change], stale: Stale) -> list[Event]:
        """What the kernel did otherwise, of acts that have just been carried out on *machine*.

        *stale* tells of namespaces whether something had changed in them that was not known.
        """
        now = time.monotonic()
        self._spare = min(MOST_MOUNTS, self._spare + (now - self._when) * MOST_MOUNTS)
        self._when = now
        events = []
        touched = Counter(namespace for act in acts for namespace in {change.namespace for change in act.all})
        for act in acts:
            namespaces = {change.namespace for change in act.all}
            if any(touched[namespace] > 1 or namespace not in machine.namespaces for namespace in namespaces):
                self.unchecked += 1
                continue
            event = self._checked(machine, act, changes, stale)
            if event is not None:
                events.append(event)
        return events

    def _checked(self, machine: Machine, act: Act, changes: list[Change], stale: Stale) -> Event | None:
        around = concerned(machine, act)
        size = sum(len(machine.namespaces[key].mounts) for key in around)
        if size > self._spare:
            self.unchecked += 1
            return None
        self._spare -= size
        after = machine.snapshot(around)
        before = undone(machine, after, changes)
        operation = asked_for(machine, act, before)
        outcome: Outcome | None = None
        with suppress(MntscopeError):
            outcome = None if operation is None else _followed(act, before, operation)
        if outcome is None or outcome.uncertain:
            self.unchecked += 1
            return None
        seen, expected = observed(machine, act), predicted(outcome)
        # What was not known is found out only where it matters.
        if (outcome.errno or seen != expected) and (not _seen_whole(machine, act, around) or stale(around)):
            self.unchecked += 1
            return None
        self.checked += 1
        if outcome.errno is None and seen == expected:
            return None
        self.wrong += 1
        if self._file:
            keep(self._file, outcome.operation, before, after)
        return replace(
            telling.event("unpredicted", machine.name(act.first.namespace)),
            path=act.first.mount.mount_point if act.first.mount else None,
            who=act.first.who,
            text=_difference(outcome, seen, expected),
        )


def _seen_whole(machine: Machine, act: Act, around: Iterable[int]) -> bool:
    """Whether the act began where it was seen first, and everywhere it could go to was watched by then.

    Who has just made a namespace acts there before it is known: what is seen first is a consequence, and the table of
    the new namespace holds what it should be predicted to receive.
    """
    now = time.monotonic()
    if any(machine.namespaces[key].since > now for key in around):
        return False
    return not act.inode or machine.key_of(act.inode) == act.first.namespace


def concerned(machine: Machine, act: Act) -> set[int]:
    """The namespaces with mounts in the trees of peer groups that the mounts of an act are in, or are mounted on."""
    groups: set[GroupKey] = set()
    namespaces: set[int] = set()
    for change in act.all:
        namespaces.add(change.namespace)
        its = machine.namespaces.get(change.namespace)
        parent = its.mounts.get(change.parent) if its and change.parent is not None else None
        for mount in (change.before, change.after, parent):
            if mount is not None:
                groups.update(
                    (mount.device, number) for number in (mount.peer_group, mount.master) if number is not None
                )
    for group in groups:
        for other in machine.family(group):
            for sets in (machine.members, machine.slaves):
                namespaces.update(known.namespace for known in sets.get(other, ()))
    return namespaces


def undone(machine: Machine, after: Snapshot, changes: Iterable[Change]) -> Snapshot:
    """The machine as it was before *changes*."""
    labels = {namespace.key: namespace.label for namespace in machine.namespaces.values()}
    tables = {view.label: {mount.mount_id: mount for mount in view.mounts} for view in after.views}
    for change in reversed(list(changes)):
        table = tables.get(labels.get(change.namespace, ""))
        if table is None:
            continue
        if change.after is not None:
            table.pop(change.after.mount_id, None)
        if change.before is not None:
            table[change.before.mount_id] = change.before
    return replace(after, views=tuple(replace(view, mounts=tuple(tables[view.label].values())) for view in after.views))


def asked_for(machine: Machine, act: Act, before: Snapshot) -> Operation | None:
    """An operation that reaches what the one reached that was asked for; ``None`` where a table does not tell.

    A table tells neither a bind nor an attached tree from a mount of what is mounted already; but where a mount goes
    does not depend on that. How a propagation type was changed is found out by the sweep, when much may have happened.
    """
    first = act.first
    if first.mount is None or any(change.mount is None for change in act.changes):
        return None
    label = machine.namespaces[first.namespace].label
    if first.kind == "umount" and first.before is not None:
        lazy = any(change.namespace == first.namespace for change in act.changes[1:])
        return Umount(label, first.before.mount_point, lazy=lazy)
    if first.kind == "mount" and first.after is not None:
        mount = first.after
        if first.place is not None and first.place[0] == mount.device:
            # Of a filesystem that is mounted on itself the copy may be a peer of what it is mounted on.
            return None
        known = any(other.device == mount.device for view in before.views for other in view.mounts)
        device = mount.device if known else None
        return MountNew(label, mount.fs_type, mount.source, mount.mount_point, device=device, again=True)
    alone = sum(change.kind == "move" for change in act.changes) == 1
    if first.kind == "move" and first.before is not None and first.after is not None and alone:
        return Move(label, first.before.mount_point, first.after.mount_point)
    return None


def _followed(act: Act, before: Snapshot, operation: Operation) -> Outcome | None:
    """What is predicted; ``None`` where the paths lead to other mounts than those that were changed.

    Who has another root directory, or a descriptor, reaches what no path leads to.
    """
    first = act.first
    simulation = Simulation(before)
    if first.before is not None:
        at = simulation.mounted_at(operation.ns, first.before.mount_point)
        if at != first.before.mount_id:
            return None
    outcome = simulate(before, operation)
    if outcome.errno and first.kind == "move":
        # By a descriptor (move_mount(2)) what lies beneath others can be moved.
        return None
    if first.after is not None and outcome.errno is None:
        own = [effect for effect in outcome.effects if effect.namespace == operation.ns and effect.after is not None]
        if not any(effect.after and effect.after.parent_id == first.after.parent_id for effect in own):
            return None
    return outcome


def observed(machine: Machine, act: Act) -> Effects:
    """Where an act went, in the words of a prediction: of trees the topmost mounts, of umounts all."""
    first = act.first
    seen: Effects = Counter()
    for change in act.changes:
        mount = change.mount
        if mount is not None and (change.kind == "umount" or same_place(change, first)):
            seen[machine.namespaces[change.namespace].label, change.kind, mount.mount_point] += 1
    return seen


def predicted(outcome: Outcome) -> Effects:
    """The same of what is predicted."""
    operation = outcome.operation
    target = operation.ns, getattr(operation, "target", "")
    wanted = {"umount": ("umount",), "mount": ("mount",), "move": ("move", "mount")}[operation.op]
    return Counter(
        (effect.namespace, effect.change, effect.path)
        for effect in outcome.effects
        if effect.change in wanted and _is_top(effect, outcome)
        # What covered a place that was left, or is covered by what came, moves along.
        if effect.change != "move" or (effect.namespace, effect.path) == target
    )


def _is_top(effect: Effect, outcome: Outcome) -> bool:
    """Whether it is no mount of a tree that came along with another."""
    if effect.change != "mount" or effect.after is None:
        return True
    parent = effect.after.parent_id
    return not any(
        other.change == "mount"
        and other.after is not None
        and other.namespace == effect.namespace
        and other.after.mount_id == parent
        and (other.after.device, other.after.root) != (effect.after.device, effect.after.root)
        for other in outcome.effects
    )


def _difference(outcome: Outcome, seen: Effects, expected: Effects) -> str:
    if outcome.errno:
        return f"{outcome.operation.op} was predicted to fail with {outcome.errno}"
    more = [f"{label}:{path} ({change})" for label, change, path in (seen - expected).elements()][:3]
    less = [f"{label}:{path} ({change})" for label, change, path in (expected - seen).elements()][:3]
    said = [f"not predicted: {', '.join(more)}"] if more else []
    said += [f"predicted, and not seen: {', '.join(less)}"] if less else []
    return "; ".join(said)


# A trace for the self-test


def keep(path: str, operation: Operation, before: Snapshot, after: Snapshot) -> None:
    """Add a trace of one step to a file, in the format of the self-test (``mnttrace/1``).

    :raises AccessError: it cannot be written.
    """
    places = sorted({place for view in before.views for mount in view.mounts for place in _places(mount.mount_point)})
    given = [value for value in operation.to_dict().values() if isinstance(value, str) and value.startswith("/")]
    places = sorted({*places, *(place for value in given for place in _places(value))})
    trace = {
        "format": "mnttrace/1",
        "id": f"watch-{time.time():.6f}",
        "profile": "watch",
        "seed": None,
        "kernel": before.kernel or "",
        "kernel_version": before.kernel_version or "",
        "fs_skeleton": {"dirs": places, "files": []},
        "states": [_state(before), _state(after)],
        "steps": [{"op": operation.to_dict(), "errno": None, "before": 0, "after": 1}],
    }
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o600)
        try:
            os.write(fd, json.dumps(trace, separators=(",", ":")).encode() + b"\n")
        finally:
            os.close(fd)
    except OSError as error:
        raise AccessError(f"cannot write: {error.strerror}", where=path) from None


def _state(snapshot: Snapshot) -> dict[str, Any]:
    return {
        view.label: {
            "mntns": view.namespace.id,
            "userns": view.namespace.user_namespace,
            "mountinfo": format_mountinfo(view.mounts).decode("utf-8", "surrogateescape").split("\n")[:-1],
            "unique": [],
        }
        for view in snapshot.views
    }


def _places(path: str) -> Iterable[str]:
    """Every directory that a path may lead through, in any filesystem on it: relative to its root."""
    names = [name for name in path.split("/") if name]
    return ("/".join(names[start:end]) for start in range(len(names)) for end in range(start + 1, len(names) + 1))
