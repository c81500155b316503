"""The recordings tell the model from many that are wrong in one line each."""

from __future__ import annotations

import importlib
import re
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
from tests.support.mutants import MUTANTS, Mutant
from tests.support.recordings import OWN, Recorded, first_mistake, recorded
from tests.support.throwaway import WorkerFailed, in_fork

ROOM = Path(mntscope.propagation.__file__).parent

PATIENCE = 2.0
"""Seconds of the processor's time for one trace, of which the model needs a hundredth. A mutant that does not end
counts as caught by the limit; however busy the machine is, the model itself does not reach it."""

MEMORY = 1 << 30
"""Bytes of address space that it may take meanwhile."""

RECORDS = ("mntscope.propagation.operations", "mntscope.propagation.outcome")
"""What the model is asked with, and answers with; not mutated."""


class OutOfTime(Exception):
    """A mutant that does not end."""


@pytest.fixture(scope="module")
def traces() -> list[Recorded]:
    return [trace for path in sorted(OWN.glob("*.jsonl.gz")) for trace in recorded(path)]


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.mistake for mutant in MUTANTS])
def test_the_mistake_is_caught(mutant: Mutant, traces: list[Recorded], capsys: pytest.CaptureFixture[str]) -> None:
    found = caught(mutant, traces)
    with capsys.disabled():
        sys.stdout.write(f"\n{mutant.file}: {mutant.mistake}: {found or 'NOT CAUGHT'}")
    # A step that is wrong, or a limit: a mutant that breaks down may be no program at all.
    assert found
    assert re.search(r", step \d+ |OutOfTime|MemoryError", found)
    # What finds one mistake out is likely to find the next.
    traces.sort(key=lambda trace: not found.startswith(f"{trace.id},"))


def test_the_model_without_a_mistake_is_not_caught(traces: list[Recorded]) -> None:
    assert caught(Mutant("none", "attach.py", "", ""), traces) is None


def test_a_mutant_that_does_not_end_is_caught_by_the_limit(traces: list[Recorded]) -> None:
    endless = Mutant("none ends", "syscalls.py", "    umount_tree(world, mount)\n", "    while True:\n        pass\n")
    assert "OutOfTime" in (caught(endless, traces) or "")


def caught(mutant: Mutant, traces: Sequence[Recorded]) -> str | None:
    """How the recordings find the mutant out: the first step it gets wrong, or what it breaks down with."""
    source = with_mistake(mutant)

    def body() -> str | None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        signal.signal(signal.SIGVTALRM, _out_of_time)
        simulation = mutated(mutant, source).Simulation
        for trace in traces:
            signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE)
            if found := first_mistake(trace, simulation):
                return found
        return None

    try:
        return in_fork(body)
    except WorkerFailed as failure:
        return str(failure).splitlines()[-1]


def _out_of_time(*_: object) -> None:
    raise OutOfTime(f"not done after {PATIENCE} s")


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
    return importlib.import_module("mntscope.propagation.simulation")


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
