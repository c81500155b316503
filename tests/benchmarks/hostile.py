"""What hostile snapshots cost: seconds and megabytes of each command, for each shape at n and at 4n.

``python -m tests.benchmarks.hostile [--size N] [--shapes WORD] [--commands WORD]``. Each command runs in a process of
its own, with so much memory and time and no more; ``!`` marks what exceeds them or ends otherwise than with 0, 1, or 2
and one line. What grows fourfold with four times as much is linear.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.hostile import COMMANDS, SHAPES, written

MEMORY = 3 << 30
"""Of address space; what is used is far less."""

PATIENCE = 60


class Cost(NamedTuple):
    """What one run took."""

    seconds: float
    megabytes: float
    code: int
    """As :func:`os.waitstatus_to_exitcode` has it."""
    lines: int
    """Of standard error."""

    @property
    def sound(self) -> bool:
        """Whether it ended as commands are to end."""
        return (self.code in (0, 1) and not self.lines) or (self.code == 2 and self.lines == 1)


def cost(words: tuple[str, ...], memory: int = MEMORY, patience: int = PATIENCE) -> Cost:
    """What ``mntscope`` takes for these *words*."""
    # Of a process the kernel counts what it was forked from, too: so it is forked from a small one.
    small = [sys.executable, "-S", "-c", _SMALL, str(memory), str(patience), *words]
    done = subprocess.run(small, capture_output=True, check=True)
    seconds, kilobytes, status = done.stdout.split()
    code = os.waitstatus_to_exitcode(int(status))
    return Cost(float(seconds), int(kilobytes) / 1024, code, done.stderr.count(b"\n"))


_SMALL = """
import os, resource, signal, sys, time
begun = time.perf_counter()
child = os.fork()
if child == 0:
    memory = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    signal.alarm(int(sys.argv[2]))  # it outlives exec
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, 1)
    os.execv(sys.executable, [sys.executable, "-m", "mntscope", *sys.argv[3:]])
_, status, used = os.wait4(child, 0)
print(time.perf_counter() - begun, used.ru_maxrss, status)
"""


def costs(file: Path, commands: list[str]) -> Iterator[tuple[str, Cost]]:
    """Of each of these commands, for one file."""
    for name in commands:
        yield name, cost(tuple(word.replace("{file}", str(file)) for word in COMMANDS[name]))


def main() -> None:
    """Prints a row for each shape and command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=12_000)
    parser.add_argument("--shapes", default="")
    parser.add_argument("--commands", default="")
    parser.add_argument("--above", type=float, default=0.0, help="only what takes more seconds than this")
    asked = parser.parse_args()
    commands = [name for name in COMMANDS if any(word in name for word in asked.commands.split(","))]
    out = sys.stdout.write
    out(f"{'shape':26}{'command':15}{'s at n':>8}{'s at 4n':>9}{'ratio':>7}{'MB at n':>9}{'MB at 4n':>10}  codes\n")
    with tempfile.TemporaryDirectory() as directory:
        for shape, make in SHAPES.items():
            if not any(word in shape for word in asked.shapes.split(",")):
                continue
            files = []
            for size in (asked.size, 4 * asked.size):
                files.append(Path(directory) / f"{size}.json")
                files[-1].write_bytes(written(make(size)))
            for (name, small), (_, large) in zip(*(costs(file, commands) for file in files), strict=True):
                if large.seconds < asked.above and small.sound and large.sound:
                    continue
                out(f"{shape:26}{name:15}{small.seconds:8.2f}{large.seconds:9.2f}")
                out(f"{large.seconds / small.seconds:7.1f}{small.megabytes:9.0f}{large.megabytes:10.0f}")
                out(f"  {small.code} {large.code}{'' if small.sound and large.sound else ' !'}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
