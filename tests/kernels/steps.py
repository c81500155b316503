"""What is done on each kernel; runs in the guest: ``python -m tests.kernels.steps DIRECTORY STEP..``.

Each step leaves ``STEP.json`` in DIRECTORY: a line for the table, whether all was right, and what was not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mntscope.errors import MntscopeError
from mntscope.propagation.versions import SET_GROUP, Kernel
from mntscope.selftest.replay import Result
from tests.kernels.minimal import SEQUENCES, judgements
from tests.support.repository import ROOT

MOST_LINES = 60
"""Of what was not right, for each step."""

ROOMS = (
    "kernel",
    "propagation",
    "parse",
    "graph",
    "analysis",
    "isolate",
    "lab",
    "live",
    "selftest",
    "archive",
    "rules",
    "watch",
)
"""Whose tests are about the kernel, or about what it shows."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a step ended."""

    summary: str
    """For the table: ``exact/uncertain/wrong`` or ``passed/failed/skipped``, or a word."""
    right: bool
    lines: list[str] = field(default_factory=list)
    """What was not right, and what was skipped."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much is done."""

    directory: Path
    """Where results, recordings and logs go."""
    seeds: tuple[int, ...]
    operations: int
    """Of the selftest, for each seed."""
    recorded: int
    """Operations that are recorded; 0: none."""
    rooms: tuple[str, ...]
    patience: float
    """Seconds for one command, or for one room's tests."""
    watched: int
    """Random scripts during which the tests watch, by each source."""

    def run(self, *argv: object) -> subprocess.CompletedProcess[str]:
        """Run a command; one that takes too long ends with exit code 124."""
        words = ["timeout", "--kill-after=5", str(self.patience), *map(str, argv)]
        environment = {**os.environ, "MNTSCOPE_WATCHED": str(self.watched)}
        # Into files: what outlives the command would keep a pipe open, and be waited for.
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            done = subprocess.run(
                words, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err, check=False
            )
            for file in (out, err):
                file.seek(0)
            return subprocess.CompletedProcess(words, done.returncode, out.read(), err.read())

    def mntscope(self, *argv: object) -> subprocess.CompletedProcess[str]:
        """Run mntscope."""
        return self.run(sys.executable, "-m", "mntscope", *argv)


def minimal(_wanted: Wanted) -> Done:
    """Every minimal sequence, by its worst prediction."""
    counts: Counter[Result] = Counter()
    lines = []
    for sequence in SEQUENCES:
        worst: Result = "exact"
        for judged in judgements(sequence):
            if judged.result == "wrong" and worst != "wrong":
                worst = "wrong"
                lines.append(f"{sequence.name} ({sequence.about}): {judged.operation.to_dict()}, {judged.mode}")
                lines += [f"  {line}" for mismatch in judged.mismatches for line in mismatch.lines()]
            elif judged.result == "uncertain" and worst == "exact" and judged.mode == "in sequence":
                worst = "uncertain"
        counts[worst] += 1
    return Done(*_counted(counts), lines)


def selftest(wanted: Wanted) -> Done:
    """Random operations, and some that are recorded."""
    counts: Counter[Result] = Counter()
    lines = []
    for seed in wanted.seeds:
        done = wanted.mntscope("selftest", "--operations", wanted.operations, "--seed", seed, "--format", "json")
        if done.returncode not in (0, 1):
            return Done(f"exit {done.returncode}", False, _tail(done))
        document = json.loads(done.stdout)
        for result in ("exact", "uncertain", "wrong"):
            counts[result] += document[result]
        for case in document["mismatches"][:1]:
            lines.append(f"seed {seed}, trace {case['trace']}, step {case['step']}:")
            lines += [f"  {json.dumps(op)}" for op in case["operations"]]
            lines += [f"  {line}" for difference in case["differences"] for line in difference]
    return Done(*_counted(counts), lines)


def record(wanted: Wanted) -> Done:
    """A recording for ``tests/data/recordings``, with what ``uname`` says of the kernel."""
    file = wanted.directory / "recording.jsonl"
    done = wanted.mntscope("selftest", "--operations", wanted.recorded, "--seed", RECORDED_SEED, "--record", file)
    if done.returncode not in (0, 1):
        return Done(f"exit {done.returncode}", False, _tail(done))
    traces = [json.loads(line) | {"kernel_version": os.uname().version} for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps(trace, separators=(",", ":")) + "\n" for trace in traces))
    return Done(str(sum(len(trace["steps"]) for trace in traces)), True)


RECORDED_SEED = 20260101


def lab(wanted: Wanted) -> Done:
    """The story: what is broken in which act, as everywhere."""
    done = wanted.mntscope("lab", "--format", "json")
    if done.returncode:
        return Done(f"exit {done.returncode}", False, _tail(done))
    acts = json.loads(done.stdout)["acts"]
    broken = [act["act"] for act in acts if act["host_broken"]]
    surprises = [f"act {act['act']}: {surprise}" for act in acts for surprise in act["surprises"]]
    right = broken == [3, 5] and not surprises
    return Done("ok" if right else "WRONG", right, [f"the host is broken in acts {broken}", *surprises] * (not right))


def commands(wanted: Wanted) -> Done:
    """``isolate`` and ``undo`` of a container that leaks; ``capture``, ``ns``, ``diff`` and ``holders`` of it."""
    from mntscope.lab import Scene

    kernel = os.uname()
    rejoins = Kernel.of(kernel.release, kernel.version).has(SET_GROUP)
    lines: list[str] = []
    count = wrong = 0
    with Scene() as scene:
        scene.run("unshare --pid --fork --mount --propagation unchanged")
        host, pid = scene.host.pid, scene.target.pid
        tables = [Path(f"/proc/{number}/mountinfo") for number in (host, pid)]
        before = [table.read_bytes() for table in tables]
        snapshot, journal = wanted.directory / "snapshot.json.gz", wanted.directory / "journal"
        isolate = ("isolate", pid, "--mount-proc", "--against", host, "--journal", journal)
        for expected, argv in (
            (1, ("diff", pid, "/proc", "--against", host)),
            (0, ("capture", "-o", snapshot)),
            (0, ("ns", "--against", host)),
            (0, ("ns", "--snapshot", snapshot)),
            (1, ("holders", "/proc", "--against", host)),
            (1, ("predict", pid, "--against", host, "--", "mount", "-t", "proc", "proc", "/proc")),
            *([] if rejoins else [(2, isolate)]),
            (0, isolate if rejoins else (*isolate, "--force")),
            (0, ("diff", pid, "/proc", "--against", host)),
            (0 if rejoins else 2, ("undo", journal)),
            (1 if rejoins else 0, ("diff", pid, "/proc", "--against", host)),
        ):
            done = wanted.mntscope(*argv)
            count += 1
            if done.returncode != expected:
                wrong += 1
                lines.append(f"mntscope {' '.join(map(str, argv))}: exit {done.returncode}, not {expected}")
                lines += [f"  {line}" for line in _tail(done)]
            elif done.returncode == 2:
                lines += [f"mntscope {argv[0]}, as it should: {line}" for line in done.stderr.splitlines()]
        # Where a mount cannot rejoin, that was said, and the host is as it was all the same.
        changed = [table.read_bytes() != old for table, old in zip(tables, before, strict=True)]
        if changed != [False, not rejoins]:
            wrong += 1
            lines.append(f"changed after isolate and undo: the host's table {changed[0]}, the target's {changed[1]}")
    return Done(f"{count - wrong}/{wrong}", not wrong, lines)


def tests(wanted: Wanted) -> Done:
    """The tests of the rooms that are about the kernel: passed, failed, skipped."""
    counts: Counter[str] = Counter()
    lines, skipped = [], Counter[str]()
    for room in wanted.rooms:
        report = wanted.directory / f"tests-{room.replace('/', '-')}.xml"
        argv = ("-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={report}", f"tests/{room}")
        started = time.monotonic()
        done = wanted.run(sys.executable, *argv)
        (wanted.directory / f"{report.stem}.log").write_text(done.stdout + done.stderr)
        sys.stdout.write(f"{room}: {' '.join(_tail(done, 1))}\n")
        sys.stdout.flush()
        if not report.exists():
            counts["failed"] += 1
            lines += [f"{room}: exit {done.returncode} after {time.monotonic() - started:.0f} s", *_tail(done, 3)]
            continue
        for case in ET.parse(report).iter("testcase"):
            skip, failure = case.find("skipped"), case.find("failure")
            failure = case.find("error") if failure is None else failure
            if failure is not None:
                counts["failed"] += 1
                why = (failure.get("message") or "").strip().splitlines()[:1]
                lines.append(f"{case.get('classname')}::{case.get('name')}: {' '.join(why):.160}")
                sys.stdout.write(f"  {lines[-1]}\n")
            elif skip is not None:
                counts["skipped"] += 1
                skipped[str(skip.get("message"))] += 1
            else:
                counts["passed"] += 1
    lines += [f"skipped {number}: {reason:.160}" for reason, number in skipped.most_common()]
    return Done("/".join(str(counts[kind]) for kind in ("passed", "failed", "skipped")), not counts["failed"], lines)


STEPS: dict[str, Callable[[Wanted], Done]] = {
    "minimal": minimal,
    "selftest": selftest,
    "record": record,
    "lab": lab,
    "commands": commands,
    "tests": tests,
}


def _counted(counts: Counter[Result]) -> tuple[str, bool]:
    return "/".join(str(counts[result]) for result in RESULTS), not counts["wrong"]


RESULTS: tuple[Result, ...] = ("exact", "uncertain", "wrong")


def _tail(done: subprocess.CompletedProcess[str], lines: int = 6) -> list[str]:
    return (done.stdout + done.stderr).strip().splitlines()[-lines:]


def main(argv: Sequence[str] | None = None) -> int:
    """Do the steps, one after the other; one that breaks down does not keep the next from being done."""
    parser = argparse.ArgumentParser(prog="python -m tests.kernels.steps", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("steps", nargs="*", choices=[*STEPS, []])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--operations", type=int, default=1000)
    parser.add_argument("--recorded", type=int, default=400)
    parser.add_argument("--rooms", nargs="+", default=list(ROOMS))
    parser.add_argument("--patience", type=float, default=900)
    parser.add_argument("--watched", type=int, default=6)
    given = parser.parse_args(argv)
    wanted = Wanted(
        given.directory,
        tuple(given.seeds),
        given.operations,
        given.recorded,
        tuple(given.rooms),
        given.patience,
        given.watched,
    )
    for name in given.steps or STEPS:
        started = time.monotonic()
        try:
            done = STEPS[name](wanted)
        except (MntscopeError, OSError, ValueError, LookupError, subprocess.SubprocessError) as error:
            done = Done(type(error).__name__, False, [str(error)])
        document = asdict(done) | {"seconds": time.monotonic() - started, "lines": done.lines[:MOST_LINES]}
        (given.directory / f"{name}.json").write_text(json.dumps(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
