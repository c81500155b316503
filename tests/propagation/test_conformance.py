"""The model predicts what was recorded on a real kernel: every operation, in every namespace."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

from mntscope.propagation import Simulation
from mntscope.selftest.replay import MODES, Mode, Result, replay
from mntscope.selftest.traces import State, read_traces
from tests.support.recordings import first_mistake, recorded
from tests.support.repository import DATA

RECORDINGS = [
    pytest.param(path, id=path.name.removesuffix(".jsonl.gz"))
    for folder in ("conformance", "recordings")
    for path in sorted((DATA / folder).glob("*.jsonl.gz"))
]


@pytest.mark.parametrize("recording", RECORDINGS)
def test_every_recorded_step_is_predicted(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts: dict[Mode, Counter[Result]] = {mode: Counter() for mode in MODES}
    wrong, doubted = [], []
    for trace in read_traces(recording):
        for index, judgements in enumerate(replay(trace)):
            for judgement in judgements:
                counts[judgement.mode][judgement.result] += 1
                if judgement.result == "wrong":
                    lines = [line for mismatch in judgement.mismatches for line in mismatch.lines()]
                    wrong.append((trace.id, index, judgement.mode, judgement.operation, lines))
                elif judgement.result == "uncertain" and owners(trace.states[trace.steps[index].before]) == 1:
                    doubted.append((trace.id, index, judgement.mode, judgement.operation, judgement.uncertain))
    with capsys.disabled():
        for mode, count in counts.items():
            sys.stdout.write(f"\n{recording.name} {mode}: {', '.join(f'{n} {result}' for result, n in count.items())}")
    assert wrong == []
    # From the beginning of a trace all is known; from one state all but locks, which only a user namespace has.
    assert counts["in sequence"].keys() == {"exact"}
    assert doubted == []


@pytest.mark.parametrize("recording", RECORDINGS)
def test_one_simulation_follows_each_trace_to_its_end(recording: Path) -> None:
    assert [mistake for trace in recorded(recording) if (mistake := first_mistake(trace, Simulation))] == []


def owners(state: State) -> int:
    return len({table.userns for table in state.values()})
