"""What came of each step on each kernel, as one table and what was not right below it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HEADS = {
    "minimal": "minimal (exact/uncertain/wrong)",
    "selftest": "selftest (exact/uncertain/wrong)",
    "record": "recorded",
    "lab": "lab",
    "commands": "commands (right/wrong)",
    "tests": "tests (passed/failed/skipped)",
}
"""What the numbers of a step count."""


@dataclass(frozen=True, slots=True)
class Step:
    """What the guest says of one step."""

    summary: str
    right: bool
    seconds: float
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Booted:
    """What came of one kernel."""

    wanted: str
    release: str = ""
    """``uname -r``, where it came so far."""
    why_not: str = ""
    """Why it was not to be had, or did not end as it should."""
    seconds: float = 0.0
    steps: tuple[tuple[str, Step | None], ...] = ()
    """By name; ``None``: it was not finished."""
    in_time: bool = True
    """Whether it ended by itself."""

    @property
    def right(self) -> bool:
        """Whether every step was done, and found nothing wrong."""
        return bool(self.steps) and all(step is not None and step.right for _, step in self.steps)

    @property
    def wrong(self) -> bool:
        """Whether a step found something wrong, or was not finished though there was time."""
        return any(self.in_time if step is None else not step.right for _, step in self.steps)


def exit_code(kernels: Sequence[Booted]) -> int:
    """0: all was done and right; 1: something was wrong; 2: not all was to be had, or time ran out."""
    if any(kernel.wrong for kernel in kernels):
        return 1
    return 0 if all(kernel.right for kernel in kernels) else 2


def read(wanted: str, directory: Path, steps: Sequence[str], seconds: float, *, in_time: bool = True) -> Booted:
    """What a guest has left in *directory*."""
    uname = directory / "release"
    release = uname.read_text().strip() if uname.exists() else ""
    found = tuple((name, _step(directory / f"{name}.json")) for name in steps)
    if not release:
        return Booted(wanted, "", "it did not boot: see the console", seconds, found, in_time)
    why = "it stopped" if in_time else "time ran out"
    return Booted(
        wanted, release, "" if all(step for _, step in found) else f"{why}: see the console", seconds, found, in_time
    )


def _step(file: Path) -> Step | None:
    if not file.exists():
        return None
    document = json.loads(file.read_text())
    return Step(document["summary"], document["right"], document["seconds"], tuple(document["lines"]))


def text(kernels: Sequence[Booted], steps: Sequence[str]) -> str:
    """The table, then for each kernel what was not right."""
    rows = [["kernel", *(HEADS[name] for name in steps), "all"]]
    for booted in kernels:
        cells = {name: f"{step.summary} {_seconds(step.seconds)}" if step else "-" for name, step in booted.steps}
        name = booted.release or booted.wanted
        rows.append([name, *(cells.get(name, "-") for name in steps), _seconds(booted.seconds)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, *(line for booted in kernels for line in _not_right(booted))]) + "\n"


def _not_right(booted: Booted) -> Iterator[str]:
    if booted.why_not:
        yield f"\n{booted.release or booted.wanted}: {booted.why_not}"
    for name, step in booted.steps:
        if step and step.lines:
            yield f"\n{booted.release}, {name}:"
            yield from (f"  {line}" for line in step.lines)


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"
