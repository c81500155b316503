"""Predictions followed through a trace, and how they came out.

*In sequence*, a trace is predicted from its first state alone: each prediction starts from the one before, so
it knows what no table shows, such as locks. *Step by step*, each operation is predicted from the state recorded
before it, which is what a user has. Only what open handles hold, which is recorded nowhere, comes from the sequence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from mntscope.base.display import Records
from mntscope.base.records import dataclass, replace
from mntscope.model import Mount, Problem
from mntscope.propagation import APART, KEPT, simulate
from mntscope.propagation.operations import (
    Attach,
    CloseHandle,
    NewDetached,
    OpenTree,
    Operation,
    SetHandlePropagation,
)
from mntscope.propagation.outcome import Effect, Outcome
from mntscope.selftest.compare import Mismatch, Renaming, compare, tables
from mntscope.selftest.traces import Trace
from mntscope.snapshot import Snapshot

Mode = Literal["in sequence", "step by step"]
Result = Literal["exact", "uncertain", "wrong"]

MODES: tuple[Mode, ...] = ("in sequence", "step by step")

UNSEEN = 10**9
"""Added to the names of what is predicted and never shown, which must not be those of something recorded."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """How one prediction came out: exact, declared uncertain, or wrong, and in what."""

    mode: Mode
    operation: Operation
    result: Result
    mismatches: tuple[Mismatch, ...] = ()
    """How it differs from what happened; an uncertain prediction may differ, and may not."""
    uncertain: tuple[str, ...] = ()
    """What it could not know."""


class Follower:
    """Follows one trace as it unfolds: :meth:`predict` an operation, then :meth:`judge` the result.

    In sequence, and, where *step_by_step* is set, from each state anew.
    """

    def __init__(self, first: Snapshot, *, step_by_step: bool = True) -> None:
        self._step_by_step = step_by_step
        self._now = first
        self._sequence = _Thread("in sequence", first)
        self._open: set[str] = set()
        """The handles that are open."""
        self._for_good: tuple[str, ...] = ()
        """What cannot be known any more, since an operation that the kernel remembers and no table shows."""
        self._pending: list[tuple[_Thread, Operation, Outcome | Exception]] = []

    def predict(self, op: Operation) -> None:
        """Predict *op*, from the state that the last :meth:`judge` was given."""
        threads = [self._sequence]
        if self._step_by_step:
            threads.append(_Thread("step by step", self._now))
        self._pending = [(thread, op, self._doubted(thread.predict(op))) for thread in threads]

    def _doubted(self, outcome: Outcome | Exception) -> Outcome | Exception:
        if isinstance(outcome, Exception):
            return outcome
        return replace(outcome, uncertain=(*outcome.uncertain, *self._for_good))

    def is_wrong(self, errno: str | None, after: Snapshot) -> bool:
        """Whether a prediction is wrong about this result; it may be asked again, about another one."""
        return any(
            thread.compare(op, outcome, errno, after)[0].result == "wrong" for thread, op, outcome in self._pending
        )

    def judge(self, errno: str | None, after: Snapshot) -> list[Judgement]:
        """Compare the predictions with how the operation ended and with the state *after* it, and go on from there."""
        judgements = [thread.judge(op, outcome, errno, after) for thread, op, outcome in self._pending]
        op = judgements[0].operation
        if errno is None:
            self._for_good = tuple(reason for reason in judgements[0].uncertain if APART in reason or KEPT in reason)
        if errno is None and isinstance(op, OpenTree | NewDetached):
            self._open.add(op.handle)
        elif errno is None and isinstance(op, CloseHandle):
            self._open.discard(op.handle)
        if judgements[0].mismatches:
            # Taken up again where the kernel is, so that one mistake counts once.
            lost = (Problem("what it holds, no table shows", where=f"handle {name}") for name in sorted(self._open))
            self._now = replace(after, not_seen=tuple(lost))
            self._sequence = _Thread("in sequence", self._now)
        else:
            self._now = self._sequence.with_handles(after)
        return judgements


class _Thread:
    """Predictions that follow each other: the snapshot the next starts from, and what its names are really."""

    def __init__(self, mode: Mode, start: Snapshot) -> None:
        self.mode: Mode = mode
        self.snapshot = start
        self.names = Renaming.identity(tables(start))

    def predict(self, op: Operation) -> Outcome | Exception:
        if isinstance(op, Attach | SetHandlePropagation | CloseHandle) and op.handle not in dict(self.snapshot.handles):
            doubt = f"what {op.handle} holds is not known: no table shows it, or an earlier prediction was not exact"
            return Outcome(op, None, Records((), Effect), self.snapshot, (doubt,))
        try:
            return simulate(self.snapshot, op)
        except Exception as error:  # noqa: BLE001 (a model that breaks down is a wrong prediction like any other)
            return error

    def judge(self, op: Operation, outcome: Outcome | Exception, errno: str | None, after: Snapshot) -> Judgement:
        judgement, self.names = self.compare(op, outcome, errno, after)
        if not isinstance(outcome, Exception):
            self.snapshot = outcome.snapshot
        return judgement

    def compare(
        self, op: Operation, outcome: Outcome | Exception, errno: str | None, after: Snapshot
    ) -> tuple[Judgement, Renaming]:
        if isinstance(outcome, Exception):
            failure = Mismatch("", f"the model fails: {type(outcome).__name__}: {outcome}")
            return Judgement(self.mode, op, "wrong", (failure,)), self.names
        names, mismatches = compare(tables(outcome.snapshot), tables(after), self.names)
        if outcome.errno != errno:
            mismatches.insert(0, Mismatch("", f"predicted {outcome.errno or 'success'}, got {errno or 'success'}"))
        result: Result = "uncertain" if outcome.uncertain else "wrong" if mismatches else "exact"
        return Judgement(self.mode, op, result, tuple(mismatches), outcome.uncertain), names

    def with_handles(self, after: Snapshot) -> Snapshot:
        """The recorded state *after* the last operation, with the handles and detached trees that are predicted."""
        if not self.snapshot.handles:
            return after
        detached = (
            replace(view, mounts=tuple(self._really(mount) for mount in view.mounts))
            for view in self.snapshot.views
            if view.detached
        )
        shown = {mount.mount_id for view in self.snapshot.views for mount in view.mounts}
        handles = (
            (name, self._name("mount", number))
            for name, number in self.snapshot.handles
            # What is attached where no table shows it (beneath a root directory) cannot be told from a table.
            if number == 0 or number in shown
        )
        return replace(after, views=(*after.views, *detached), handles=tuple(handles))

    def _really(self, mount: Mount) -> Mount:
        """A mount that no table shows, under the names of the recorded state."""
        return replace(
            mount,
            mount_id=self._name("mount", mount.mount_id),
            parent_id=self._name("mount", mount.parent_id),
            device=str(self.names.forth.get(("device", mount.device), f"{mount.device}{UNSEEN}")),
            peer_group=self._group(mount.peer_group),
            master=self._group(mount.master),
            propagate_from=self._group(mount.propagate_from),
        )

    def _group(self, ours: int | None) -> int | None:
        return None if ours is None else self._name("group", ours)

    def _name(self, kind: str, ours: int) -> int:
        theirs = self.names.forth.get((kind, ours))
        return theirs if isinstance(theirs, int) else ours + UNSEEN


def replay(trace: Trace, *, step_by_step: bool = True) -> Iterator[list[Judgement]]:
    """What becomes of each step of a recorded trace: in sequence, and *step_by_step* too.

    :raises ParseError: a state that is not mountinfo.
    """
    snapshots = [trace.snapshot(index) for index in range(len(trace.states))]
    follower, at = Follower(snapshots[0], step_by_step=step_by_step), 0
    for step in trace.steps:
        if step.before != at:
            # Something happened that the trace does not tell: the sequence begins anew.
            follower = Follower(snapshots[step.before], step_by_step=step_by_step)
        follower.predict(step.operation)
        yield follower.judge(step.errno, snapshots[step.after])
        at = step.after
