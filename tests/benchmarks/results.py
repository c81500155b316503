"""What was measured: ratios with their goals, exponents, and how they compare with an earlier run."""

from __future__ import annotations

import json
import math
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Literal

from tests.benchmarks.timing import Times, quotients

SCHEMA = "mntscope.bench/1"
LIMIT = "limit"
"""The contender that is no program: what a command cannot do without."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """How mntscope compares with another in one thing."""

    name: str
    """Of mntscope's contender, that of the other, and the size: the same from run to run."""
    what: str
    samples: list[float]
    """A ratio a round."""
    bound: Literal["at least", "at most"]
    """``at least``: times as fast as the other. ``at most``: times the other's time (or another quantity)."""
    goal: float | None
    """``None``: there is none, it is shown for comparison."""
    unit: str = "x"
    head: str = "ratio"
    """What its column is called."""

    @property
    def value(self) -> float:
        """The median."""
        return median(self.samples)

    @property
    def spread(self) -> tuple[float, float]:
        """The middle half of the samples."""
        if len(self.samples) < 4:
            return min(self.samples), max(self.samples)
        low, _, high = quantiles(self.samples, n=4, method="inclusive")
        return low, high

    @property
    def reached(self) -> bool | None:
        """Whether the goal is."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.bound == "at least" else self.value <= self.goal

    def row(self) -> list[str]:
        """Its cells in the table."""
        low, high = self.spread
        goal = "" if self.goal is None else f"{'>=' if self.bound == 'at least' else '<='} {self.goal:g}"
        verdict = {None: "behind" if self.bound == "at least" and self.value < 1 else "", True: "yes", False: "NO"}
        return [self.what, f"{self.value:.2f} {self.unit}", f"{low:.2f}..{high:.2f}", goal, verdict[self.reached]]


@dataclass(slots=True)
class Book:
    """All of one run."""

    times: dict[str, Times] = field(default_factory=dict)
    """Seconds, by the part and the contender."""
    mounts: dict[str, int] = field(default_factory=dict)
    """How many mounts each part's contenders worked on."""
    ratios: dict[str, list[Ratio]] = field(default_factory=dict)
    growth: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    """Seconds, by the command, the shape and the number of mounts."""
    notes: list[str] = field(default_factory=list)
    """What could not be measured, and why."""

    def times_as_fast(self, part: str, what: str, ours: str, theirs: str, goal: float | None = None) -> None:
        """A row: how many times as fast contender *ours* of *part* is as *theirs*."""
        self._add(part, what, ours, theirs, "at least", goal)

    def times_the_time(self, part: str, what: str, ours: str, theirs: str, goal: float | None = None) -> None:
        """A row: how many times the time of *theirs* contender *ours* of *part* takes."""
        self._add(part, what, ours, theirs, "at most", goal)

    def times_the_limit(self, part: str, command: str, goal: float) -> None:
        """A row: how many times its ``limit``, a contender of *part* itself, a *command* takes."""
        self._add(part, command, command, LIMIT, "at most", goal, head="times the limit")

    def amount(self, part: str, what: str, value: float, goal: float, unit: str) -> None:
        """A row: not a ratio, but an amount that is to be at most *goal*."""
        self.ratios.setdefault(part, []).append(Ratio(f"{part}: {what}", what, [value], "at most", goal, unit))

    def baseline(self) -> dict[str, Any]:
        """What later runs are held against, on other machines too: the ratios, and nothing that names this machine."""
        here = machine()
        return {
            "schema": SCHEMA,
            "machine": {
                "kernel": ".".join(here["kernel"].split(".")[:2]),
                "python": here["python"],
                "processors": here["processors"],
            },
            "ratios": [
                {"name": ratio.name, "ratio": round(ratio.value, 2), "spread": [round(end, 2) for end in ratio.spread]}
                for ratios in self.ratios.values()
                for ratio in ratios
            ],
        }

    def worsened(self, earlier: Mapping[str, float], times: float) -> list[str]:
        """What three rounds of four find more than so many *times* as bad as an *earlier* run; a line each.

        What that run has and this one has not is told as well.
        """
        ratios = {ratio.name: ratio for ratios in self.ratios.values() for ratio in ratios}
        worse = [f"{name}: not measured" for name in earlier if name not in ratios]
        for name, ratio in ratios.items():
            low, high = ratio.spread
            before = earlier.get(name, ratio.value)
            if before > high * times if ratio.bound == "at least" else low > before * times:
                worse.append(f"{ratio.what}: {ratio.value:.2f} ({low:.2f}..{high:.2f}), where it was {before:.2f}")
        return worse

    def _add(
        self,
        part: str,
        what: str,
        ours: str,
        theirs: str,
        bound: Literal["at least", "at most"],
        goal: float | None,
        head: str = "ratio",
    ) -> None:
        times = self.times[part]
        if times.get(ours) and times.get(theirs):
            over, under = (theirs, ours) if bound == "at least" else (ours, theirs)
            samples = quotients(times[over], times[under])
            ratio = Ratio(f"{part}: {ours} / {theirs}", what, samples, bound, goal, head=head)
            self.ratios.setdefault(part, []).append(ratio)
        else:
            self.notes.append(f"{what}: not measured, {theirs if times.get(ours) else ours} is not here")

    def text(self, earlier: Mapping[str, float] | None = None) -> str:
        """The tables, with the change since an *earlier* run's ratios."""
        blocks = []
        for part, ratios in self.ratios.items():
            heads = ["", ratios[0].head, "spread", "goal", "reached"]
            rows = [ratio.row() for ratio in ratios]
            if earlier is not None:
                heads.append("before")
                for ratio, row in zip(ratios, rows, strict=True):
                    row.append(_change(ratio, earlier.get(ratio.name)))
            blocks.append(f"{part}\n{self._absolute(part)}{_table(heads, rows)}")
        if self.growth:
            blocks.append(f"How time grows with the mounts\n{_growth_table(self.growth)}")
        blocks += self.notes
        return "\n\n".join(blocks) + "\n"

    def _absolute(self, part: str) -> str:
        mounts = self.mounts.get(part)
        cells = []
        for name, seconds in self.times.get(part, {}).items():
            if seconds:
                each = f"{median(seconds) / mounts * 1e9:,.0f} ns a mount" if mounts else _seconds(median(seconds))
                cells.append(f"  {name}: {each}\n")
        return "".join(cells)

    def document(self) -> dict[str, Any]:
        """All of it, for :func:`earlier_ratios` of a later run."""
        return {
            "schema": SCHEMA,
            "machine": machine(),
            "ratios": [
                {
                    "name": ratio.name,
                    "what": ratio.what,
                    "ratio": ratio.value,
                    "spread": ratio.spread,
                    "samples": ratio.samples,
                    "bound": ratio.bound,
                    "goal": ratio.goal,
                    "reached": ratio.reached,
                }
                for ratios in self.ratios.values()
                for ratio in ratios
            ],
            "seconds": self.times,
            "mounts": self.mounts,
            "growth": self.growth,
            "notes": self.notes,
        }


def earlier_ratios(file: Path) -> dict[str, float]:
    """The ratios of an earlier run by name."""
    return {ratio["name"]: ratio["ratio"] for ratio in json.loads(file.read_text())["ratios"]}


def machine() -> dict[str, Any]:
    """Where the run took place."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    return {
        "kernel": platform.release(),
        "python": platform.python_version(),
        "processor": models[0] if models else platform.machine(),
        "processors": os.cpu_count(),
        "load": os.getloadavg()[0],
        "implementation": sys.implementation.name,
    }


def exponent(seconds: Mapping[str, float]) -> float:
    """The slope from a tenth of the greatest size on (below that the start counts), on logarithmic scales.

    Infinite where something took too long, and no number where there is but one size.
    """
    points = {int(size): value for size, value in seconds.items()}
    most = max(points)
    least = min(size for size in points if size * 10 >= most)
    if math.inf in points.values():
        return math.inf
    if least == most:
        return math.nan
    return math.log(points[most] / points[least]) / math.log(most / least)


STEEPEST = 1.2
"""An exponent up to which growth counts as n log n, which from 5,000 to 50,000 mounts has 1.1 itself."""


def _growth_table(growth: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    sizes = sorted({int(size) for shapes in growth.values() for seconds in shapes.values() for size in seconds})
    rows = []
    for command, shapes in ((command, shapes) for command, shapes in growth.items() if shapes):
        shape, seconds = max(shapes.items(), key=lambda item: exponent(item[1]))
        cells = [_grown(seconds.get(str(size))) for size in sizes]
        steepest = exponent(seconds)
        reached = "" if math.isnan(steepest) else "yes" if steepest <= STEEPEST else "NO"
        rows.append([command, shape, *cells, f"{steepest:.2f}", f"<= {STEEPEST:g}", reached])
    heads = ["", "worst shape", *(f"{size:,}" for size in sizes), "exponent", "goal", "reached"]
    return _table(heads, rows)


def _grown(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return "failed" if math.isinf(seconds) else f"{seconds:.3f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *others = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        return f"  {first.strip().ljust(widths[0])}  {'  '.join(others)}".rstrip()

    return "\n".join(line(row) for row in [heads, *rows])


def _change(ratio: Ratio, before: float | None) -> str:
    if before is None:
        return "new"
    low, high = ratio.spread
    worse = before > high * 1.1 if ratio.bound == "at least" else before < low / 1.1
    return f"{before:.2f}{' WORSE' if worse else ''}"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{value * 1e3:.1f} ms"
