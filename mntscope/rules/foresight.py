"""Carrying out one operation after another, in thought."""

from __future__ import annotations

from mntscope.errors import MntscopeError
from mntscope.propagation import Operation, Outcome, simulate
from mntscope.rules.machine import Machine
from mntscope.snapshot import Snapshot


def between(machine: Machine, label: str) -> Snapshot:
    """The host and one namespace: enough to see what these two do to each other."""
    views = [view for view in machine.snapshot.views if view.label in (machine.host.label, label)]
    return machine.snapshot.with_views(views)


def outcome(machine: Machine, world: Snapshot, operation: Operation) -> Outcome | None:
    """What comes of an operation; ``None`` where it fails, or where there is no time left to find out."""
    if not machine.may_simulate(world):
        return None
    try:
        result = simulate(world, operation)
    except MntscopeError:
        # Tables that no kernel wrote may hold paths that no system call takes.
        return None
    return None if result.errno else result
