"""The recordings tell the model from many that are wrong in one line each."""

from __future__ import annotations

import importlib
import resource
import signal
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

import pytest

import mntscope.propagation
from mntscope.selftest import replay as replaying
from mntscope.selftest.replay import replay
from mntscope.selftest.traces import Trace, read_traces
from tests.support.mutants import MUTANTS, Mutant
from tests.support.throwaway import WorkerFailed, in_fork

ROOM = Path(mntscope.propagation.__file__).parent
RECORDINGS = Path(__file__).parents[1] / "data/recordings"

PATIENCE = 20
"""Seconds until a mutant that does not end counts as caught."""

MEMORY = 4 << 30
"""Bytes of address space that it may take meanwhile."""

RECORDS = ("mntscope.propagation.operations", "mntscope.propagation.outcome")
"""What the model is asked with, and answers with; not mutated."""


@pytest.fixture(scope="module")
def traces() -> list[Trace]:
    return [trace for path in sorted(RECORDINGS.glob("*.jsonl.gz")) for trace in read_traces(path)]


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.mistake for mutant in MUTANTS])
def test_the_mistake_is_caught(mutant: Mutant, traces: list[Trace], capsys: pytest.CaptureFixture[str]) -> None:
    found = caught(mutant, traces)
    with capsys.disabled():
        sys.stdout.write(f"\n{mutant.file}: {mutant.mistake}: {found or 'NOT CAUGHT'}")
    assert found
    # What finds one mistake out is likely to find the next.
    traces.sort(key=lambda trace: not found.startswith(f"{trace.id},"))


def test_the_model_without_a_mistake_is_not_caught(traces: list[Trace]) -> None:
    assert caught(Mutant("none", "attach.py", "", ""), traces) is None


def caught(mutant: Mutant, traces: Sequence[Trace]) -> str | None:
    """How the recordings find the mutant out: the first step it gets wrong."""
    source = with_mistake(mutant)

    def body() -> str | None:
        signal.alarm(PATIENCE)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        pytest.MonkeyPatch().setattr(replaying, "simulate", mutated(mutant, source).simulate)
        return first_mistake(traces)

    try:
        return in_fork(body)
    except WorkerFailed as failure:
        return str(failure).splitlines()[-1]


def first_mistake(traces: Sequence[Trace]) -> str | None:
    for trace in traces:
        for index, judgements in enumerate(replay(trace, step_by_step=False)):
            # In sequence, nothing is unknown: whoever doubts there has not understood it.
            (judgement,) = judgements
            if judgement.result != "exact":
                reasons = [mismatch.what for mismatch in judgement.mismatches] or judgement.uncertain
                return f"{trace.id}, step {index} ({judgement.operation.op}): {reasons[0]}"
    return None


def with_mistake(mutant: Mutant) -> str:
    """The source of the mutant's file; it must still be a program, or anything would catch it."""
    source = (ROOM / mutant.file).read_text("utf-8")
    if mutant.old:
        assert source.count(mutant.old) == 1, f"{mutant.file} holds {mutant.old!r} {source.count(mutant.old)} times"
        source = source.replace(mutant.old, mutant.new)
    compile(source, mutant.file, "exec")
    return source


def mutated(mutant: Mutant, source: str) -> ModuleType:
    """The model with the mistake, in place of the one in this process."""
    path = ROOM / mutant.file
    for name in [name for name in sys.modules if name.startswith("mntscope.propagation.") and name not in RECORDS]:
        del sys.modules[name]
    sys.meta_path.insert(0, _Finder(f"mntscope.propagation.{path.stem}", path, source))
    return importlib.import_module("mntscope.propagation.syscalls")


class _Finder(MetaPathFinder):
    """Finds one module, with other source than its file has."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        self.name = name
        self.path = path
        self.source = source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        return spec_from_file_location(fullname, self.path, loader=_Loader(fullname, str(self.path), self.source))


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self.source = source

    def get_code(self, fullname: str) -> CodeType | None:
        code: CodeType = compile(self.source, self.path, "exec", dont_inherit=True)
        return code
