"""Traces recorded on real kernels, and a model followed through them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mntscope.propagation import Operation
from mntscope.selftest.compare import Renaming, compare, tables
from mntscope.selftest.traces import Step, Trace, read_traces
from mntscope.snapshot import Snapshot
from tests.support.repository import DATA

OWN = DATA / "recordings"
"""Those that `mntscope selftest` has made."""


class Model(Protocol):
    """A :class:`~mntscope.propagation.Simulation`, or a wrong one."""

    @property
    def snapshot(self) -> Snapshot: ...

    @property
    def uncertain(self) -> tuple[str, ...]: ...

    @property
    def lock_doubts(self) -> tuple[str, ...]: ...

    def carry_out(self, operation: Operation, /) -> str | None: ...


@dataclass(frozen=True)
class Recorded:
    """A trace, its states taken apart once for all who follow it."""

    id: str
    steps: tuple[Step, ...]
    states: tuple[Snapshot, ...]

    @classmethod
    def of(cls, trace: Trace) -> Recorded:
        return cls(trace.id, trace.steps, tuple(map(trace.snapshot, range(len(trace.states)))))


def recorded(path: Path) -> Iterator[Recorded]:
    """The traces of a file."""
    return map(Recorded.of, read_traces(path))


def first_mistake(trace: Recorded, model: Callable[[Snapshot], Model]) -> str | None:
    """The first step that *model* gets wrong, going on from its own last state; begun at the first state of the trace.

    There, nothing is unknown: a model that doubts has not understood it.
    """
    at, simulation = 0, model(trace.states[0])
    names = Renaming.identity(tables(trace.states[0]))
    for index, step in enumerate(trace.steps):
        if step.before != at:
            # Something happened that the trace does not tell.
            simulation, names = model(trace.states[step.before]), Renaming.identity(tables(trace.states[step.before]))
        errno, at = simulation.carry_out(step.operation), step.after
        names, mismatches = compare(tables(simulation.snapshot), tables(trace.states[at]), names)
        wrong = [mismatch.what for mismatch in mismatches] or [*simulation.uncertain, *simulation.lock_doubts]
        if errno != step.errno:
            wrong.insert(0, f"predicted {errno or 'success'}, got {step.errno or 'success'}")
        if wrong:
            return f"{trace.id}, step {index} ({step.operation.op}): {wrong[0]}"
    return None
