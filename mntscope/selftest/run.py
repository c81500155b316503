"""A self-test: traces from this kernel or from files, each prediction judged, and the sum of it."""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from mntscope.propagation.operations import CloneNamespace, CloseHandle, NewDetached, OpenTree, Operation
from mntscope.selftest.compare import Tables, tables
from mntscope.selftest.execute import World, possible
from mntscope.selftest.generate import Generator
from mntscope.selftest.replay import MODES, Follower, Judgement, Mode, Result, replay
from mntscope.selftest.shrink import shrink
from mntscope.selftest.traces import SKELETON, State, Step, Trace, TraceWriter, read_traces, snapshot_of
from mntscope.snapshot import Snapshot

MOST_CASES = 10
"""Wrong predictions kept with all their detail; the others are counted."""


@dataclass(frozen=True, slots=True)
class Case:
    """A wrong prediction, with what it takes to see why."""

    trace: str
    """Which trace; for one of a file, ``FILE:ID``."""
    step: int
    judgement: Judgement
    before: Snapshot
    """The state before the operation."""
    operations: tuple[Operation, ...]
    """All that led to it from the first state, the last being the one predicted wrongly."""
    shrunk: bool = False
    """Whether *operations* is as short as it can be."""


@dataclass(slots=True)
class Tally:
    """How many predictions of a run were exact, uncertain and wrong, with the wrong ones."""

    seed: int | None = None
    """Of a run on this kernel; ``None`` for recordings."""
    kernel: str = ""
    """The release of the kernel it ran on; empty for recordings."""
    traces: int = 0
    operations: int = 0
    results: Counter[Result] = field(default_factory=Counter)
    """Operations by their worst result in any mode."""
    by_mode: dict[Mode, Counter[Result]] = field(default_factory=lambda: {mode: Counter() for mode in MODES})
    reasons: Counter[str] = field(default_factory=Counter)
    """Uncertain operations by kind."""
    refused: int = 0
    """Copied namespaces that were to have a user namespace of their own, where none may be made."""
    cases: list[Case] = field(default_factory=list)

    def add(self, judgements: Sequence[Judgement]) -> Judgement | None:
        """Count one operation; the wrong judgement, if there is one."""
        self.operations += 1
        for judgement in judgements:
            self.by_mode[judgement.mode][judgement.result] += 1
        worst = max(judgements, key=lambda judgement: ("exact", "uncertain", "wrong").index(judgement.result))
        self.results[worst.result] += 1
        if worst.result == "uncertain":
            self.reasons[worst.operation.op] += 1
        return worst if worst.result == "wrong" else None


class Source(Protocol):
    """Where the operations of a run come from."""

    def next(self, tables: Tables) -> Operation | None:
        """The next one, in the state that *tables* show; ``None`` at the end."""

    def learn(self, op: Operation, errno: str | None) -> None:
        """Take note of how *op* ended: in the errno of that name, or well."""


class Script:
    """A given sequence; what can no longer be done, because something before it was left out, is skipped."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._rest = iter(operations)
        self._handles: set[str] = set()

    def next(self, tables: Tables) -> Operation | None:
        """The next operation that is possible, given the namespaces and handles there are."""
        return next((op for op in self._rest if possible(op, tables, self._handles)), None)

    def learn(self, op: Operation, errno: str | None) -> None:
        """Take note of the handle that *op* opened, if it did."""
        if errno is None and isinstance(op, OpenTree | NewDetached):
            self._handles.add(op.handle)
        elif errno is None and isinstance(op, CloseHandle):
            self._handles.discard(op.handle)


@dataclass(frozen=True, slots=True)
class Observed:
    """One operation carried out on this kernel: how it ended, the states around it, how it had been predicted."""

    operation: Operation
    errno: str | None
    before: State
    after: State
    judgements: Sequence[Judgement]
    refused: bool = False
    """Whether it was to be done in a new user namespace, which may not be made here."""


PAUSES = (0.02, 0.2, 1)
"""Seconds after which a result that was predicted otherwise is looked at again. Somebody who looks at the machine just
then (a capture of it, a monitor) keeps a mount busy, or a namespace alive, for a moment; what the kernel really does
otherwise it goes on doing."""


def observe(source: Source, *, unique: bool = False, pauses: Sequence[float] = PAUSES) -> Iterator[Observed]:
    """Carry out the operations of *source* in a fresh world, each predicted first and compared after.

    :raises AccessError: namespaces may not be made here.
    """
    kernel = os.uname()
    with World() as world:
        state = world.state(unique=unique)
        snapshot = snapshot_of(state, SKELETON, kernel.release, kernel.version)
        follower = Follower(snapshot)
        while (op := source.next(tables(snapshot))) is not None:
            refused = isinstance(op, CloneNamespace) and op.new_userns and not world.nests
            if isinstance(op, CloneNamespace) and refused:
                op = replace(op, new_userns=False)
            follower.predict(op)
            errno = world.perform(op)
            before, state = state, world.state(unique=unique)
            snapshot = snapshot_of(state, SKELETON, kernel.release, kernel.version)
            for pause in pauses:
                if not follower.is_wrong(errno, snapshot):
                    break
                time.sleep(pause)
                if errno == "EBUSY":
                    errno = world.perform(op)
                state = world.state(unique=unique)
                snapshot = snapshot_of(state, SKELETON, kernel.release, kernel.version)
            source.learn(op, errno)
            yield Observed(op, errno, before, state, follower.judge(errno, snapshot), refused)


Progress = Callable[[int], None]
"""Told the number of operations done so far."""


def run_live(operations: int, seed: int, *, record: TraceWriter | None = None, progress: Progress) -> Tally:
    """At least *operations* random operations on this kernel; the traces go to *record*.

    The shortest sequence that failed is shrunk and comes first among the cases.

    :raises AccessError: namespaces may not be made here, or *record* not written.
    """
    tally = Tally(seed=seed, kernel=os.uname().release)
    for number in itertools.count():
        if tally.operations >= operations:
            break
        generator = Generator.of(seed, number)
        trace, seen = f"{generator.profile.name}-{seed}-{number}", []
        for observed in observe(generator, unique=record is not None):
            seen.append(observed)
            wrong = tally.add(observed.judgements)
            tally.refused += observed.refused
            if wrong is not None and len(tally.cases) < MOST_CASES:
                tally.cases.append(_case(trace, seen, wrong))
            progress(tally.operations)
            if tally.operations >= operations:
                break
        tally.traces += 1
        if record is not None and seen:
            record.write(_recorded(trace, generator.profile.name, seed, seen))
    if tally.cases:
        tally.cases.sort(key=lambda case: len(case.operations))
        tally.cases[0] = shrink_live(tally.cases[0])
    return tally


def run_recorded(files: Sequence[Path], *, progress: Progress) -> Tally:
    """Every trace of *files*.

    :raises AccessError: one cannot be read.
    :raises ParseError: one is not in the format.
    """
    tally = Tally()
    for file in files:
        for trace in read_traces(file):
            for index, judgements in enumerate(replay(trace)):
                wrong = tally.add(judgements)
                if wrong is not None and len(tally.cases) < MOST_CASES:
                    step = trace.steps[index]
                    led = tuple(step.operation for step in trace.steps[: index + 1])
                    tally.cases.append(Case(f"{file}:{trace.id}", index, wrong, trace.snapshot(step.before), led))
                progress(tally.operations)
            tally.traces += 1
    return tally


def shrink_live(case: Case) -> Case:
    """The case again, from the shortest part of its sequence that is still predicted wrongly on this kernel."""
    smallest = case

    def fails(operations: Sequence[Operation]) -> bool:
        nonlocal smallest
        seen = []
        for observed in observe(Script(operations), pauses=()):
            seen.append(observed)
            wrong = next((judgement for judgement in observed.judgements if judgement.result == "wrong"), None)
            if wrong is not None:
                smallest = replace(_case(case.trace, seen, wrong), shrunk=True)
                return True
        return False

    # Once before shrinking: whatever cannot be seen again cannot be shrunk either.
    if fails(case.operations):
        shrink(smallest.operations, fails)
    return smallest


def _case(trace: str, seen: Sequence[Observed], wrong: Judgement) -> Case:
    kernel = os.uname()
    before = snapshot_of(seen[-1].before, SKELETON, kernel.release, kernel.version)
    return Case(trace, len(seen) - 1, wrong, before, tuple(observed.operation for observed in seen))


def _recorded(name: str, profile: str, seed: int, seen: Sequence[Observed]) -> Trace:
    states = (seen[0].before, *(observed.after for observed in seen))
    steps = (Step(observed.operation, observed.errno, index, index + 1) for index, observed in enumerate(seen))
    kernel = os.uname()
    return Trace(name, profile, kernel.release, SKELETON, states, tuple(steps), seed, kernel.version)
