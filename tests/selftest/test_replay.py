"""Predictions followed through a trace: what counts as exact, as uncertain, as wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mntscope.propagation import Outcome, operation, simulate
from mntscope.propagation.operations import Operation
from mntscope.selftest import replay as replaying
from mntscope.selftest.replay import Follower, Judgement, replay
from mntscope.selftest.traces import Skeleton, State, Step, Table, Trace, snapshot_of
from mntscope.snapshot import Snapshot

SKELETON = Skeleton(dirs=("a", "b"), files=())
ROOT = b"10 1 0:1 / / rw,relatime shared:1 - tmpfs root rw\n"
ON_A = b"11 10 0:2 / /a rw,relatime shared:2 - tmpfs t rw\n"


def state(*lines: bytes) -> State:
    return {"A": Table(b"".join(lines), userns=1)}


def snapshot(*lines: bytes) -> Snapshot:
    return snapshot_of(state(*lines), SKELETON, "6.18.0")


def op(name: str, **fields: Any) -> Operation:
    return operation({"op": name, "ns": "A", **fields})


MOUNT = op("mount", fstype="tmpfs", source="t", target="/a")
UMOUNT = op("umount", target="/a")


def results(judgements: list[Judgement]) -> list[tuple[str, str]]:
    return [(judgement.mode, judgement.result) for judgement in judgements]


def trace(states: list[State], *steps: tuple[Operation, str | None]) -> Trace:
    numbered = tuple(Step(op, errno, index, index + 1) for index, (op, errno) in enumerate(steps))
    return Trace("t", "core", "6.18.0", SKELETON, tuple(states), numbered)


def test_what_happened_as_predicted_is_exact_in_both_modes() -> None:
    recorded = trace([state(ROOT), state(ROOT, ON_A), state(ROOT)], (MOUNT, None), (UMOUNT, None))
    assert [results(step) for step in replay(recorded)] == [[("in sequence", "exact"), ("step by step", "exact")]] * 2


def test_an_errno_counts() -> None:
    (step,) = replay(trace([state(ROOT), state(ROOT)], (UMOUNT, None)))
    assert results(step) == [("in sequence", "wrong"), ("step by step", "wrong")]
    assert step[0].mismatches[0].what == "predicted EINVAL, got success"


def test_a_mistake_counts_once() -> None:
    elsewhere = ON_A.replace(b"/a", b"/b")
    recorded = trace(
        [state(ROOT), state(ROOT, elsewhere), state(ROOT)], (MOUNT, None), (op("umount", target="/b"), None)
    )
    wrong, exact = replay(recorded)
    assert results(wrong) == [("in sequence", "wrong"), ("step by step", "wrong")]
    assert results(exact) == [("in sequence", "exact"), ("step by step", "exact")]


def test_a_trace_may_leave_out_what_it_does_not_tell() -> None:
    states = [state(ROOT), state(ROOT, ON_A), state(ROOT, ON_A), state(ROOT)]
    recorded = replace(trace(states), steps=(Step(MOUNT, None, 0, 1), Step(UMOUNT, None, 2, 3)))
    assert [results(step) for step in replay(recorded)] == [[("in sequence", "exact"), ("step by step", "exact")]] * 2


def test_a_model_that_breaks_down_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_snapshot: Snapshot, _operation: Operation) -> Outcome:
        raise ZeroDivisionError("somewhere")

    monkeypatch.setattr(replaying, "simulate", broken)
    (step,) = replay(trace([state(ROOT), state(ROOT, ON_A)], (MOUNT, None)))
    assert results(step) == [("in sequence", "wrong"), ("step by step", "wrong")]
    assert step[0].mismatches[0].lines() == ["the model fails: ZeroDivisionError: somewhere"]


def test_who_says_that_it_cannot_know_is_not_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def doubting(change: Callable[[Outcome], Outcome]) -> Callable[[Snapshot, Operation], Outcome]:
        return lambda snapshot, operation: replace(change(simulate(snapshot, operation)), uncertain=("a reason",))

    recorded = trace([state(ROOT), state(ROOT, ON_A)], (MOUNT, None))
    for change in (lambda outcome: outcome, lambda outcome: replace(outcome, errno="EIO")):
        monkeypatch.setattr(replaying, "simulate", doubting(change))
        (step,) = replay(recorded)
        assert results(step) == [("in sequence", "uncertain"), ("step by step", "uncertain")]
        assert step[0].uncertain == ("a reason",)


OPEN = op("open_tree", source="/", handle="h", recursive=True)
ATTACH = op("attach", handle="h", target="/a")
ATTACHED = b"12 10 0:1 / /a rw,relatime shared:1 - tmpfs root rw\n"


def test_a_tree_that_is_attached_is_known_to_both() -> None:
    recorded = trace(
        [state(ROOT), state(ROOT), state(ROOT, ATTACHED)],
        (OPEN, None),
        (ATTACH, None),
    )
    assert [results(step) for step in replay(recorded)] == [[("in sequence", "exact"), ("step by step", "exact")]] * 2


def test_a_detached_peer_is_known_to_both() -> None:
    # The copy that the handle holds is the last other member of the group: whoever leaves it becomes its slave.
    slave = ROOT.replace(b"shared", b"master")
    recorded = trace(
        [state(ROOT), state(ROOT), state(slave)], (OPEN, None), (op("propagation", target="/", type="slave"), None)
    )
    assert [results(step) for step in replay(recorded)] == [[("in sequence", "exact"), ("step by step", "exact")]] * 2


def test_an_open_handle_keeps_its_mount_busy_step_by_step_too() -> None:
    private = ROOT.replace(b"shared:1 ", b"")
    new = b"11 10 0:2 / /a rw,relatime - tmpfs t rw\n"
    recorded = trace(
        [state(private), state(private), state(private, new), state(private, new), state(private, new), state(private)],
        (op("fsmount", handle="h", source="t"), None),
        (ATTACH, None),
        (UMOUNT, "EBUSY"),
        (op("close_handle", handle="h"), None),
        (UMOUNT, None),
    )
    _, _, busy, _, gone = replay(recorded)
    assert results(busy) == [("in sequence", "exact"), ("step by step", "exact")]
    assert results(gone) == [("in sequence", "exact"), ("step by step", "exact")]


def test_a_handle_that_was_lost_track_of_is_doubted() -> None:
    follower = Follower(snapshot(ROOT), step_by_step=False)
    follower.predict(OPEN)
    follower.judge(None, snapshot(ROOT, ON_A))  # not what opening does: the sequence is taken up from here
    follower.predict(op("propagation", target="/", type="slave"))
    assert results(follower.judge(None, snapshot(ROOT.replace(b"shared", b"master"), ON_A))) == [
        ("in sequence", "uncertain")
    ]
    follower.predict(ATTACH)
    assert results(follower.judge(None, snapshot(ROOT, ON_A))) == [("in sequence", "uncertain")]
