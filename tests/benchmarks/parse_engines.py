"""What each way of reading a table takes for a line: ``python tests/benchmarks/parse_engines.py`` prints it.

The ways take turns, round after round, so that what slows the machine slows all of them. Times are medians, in
nanoseconds of processor time; the last line is what to compare between machines: how often the way fits into the time
of the expression that finds the fields and makes nothing of them.
"""

from __future__ import annotations

import random
import re
import sys
import time
from collections.abc import Callable
from statistics import median

from mntscope.frames import table as frame_of
from mntscope.parse import parse_mountinfo
from mntscope.parse.columns import parse_columns
from mntscope.parse.lark_line import read_line
from mntscope.parse.pattern import LINE
from mntscope.parse.records import decode

SIZES = (30, 1_000, 50_000, 500_000)
ROUNDS = 7
MOST_FOR_LARK = 1_000


def table(lines: int) -> bytes:
    """Mounts of a machine with containers: three fifths of them shared, some slaves, the rest private."""
    chance = random.Random(lines)
    return b"".join(_line(number, chance) for number in range(lines))


def _line(number: int, chance: random.Random) -> bytes:
    tag = chance.choices(("", f" shared:{number + 1}", f" master:{number % 400 + 1}"), (25, 60, 15))[0]
    place = f"/run/containers/storage/{number:08x}/merged"
    options = "rw,nosuid,nodev,relatime"
    return (
        f"{number + 30} {chance.randrange(20, 30 + number)} 0:{number + 20} / {place} {options}{tag}"
        " - tmpfs tmpfs rw,size=65536k,mode=755,inode64\n"
    ).encode()


def by_lark(data: bytes) -> int:
    """The reference."""
    return len([read_line(line, file="", number=1) for line in data.splitlines()])


def by_expression(data: bytes) -> int:
    """The fields of every line, and nothing made of them."""
    return len(list(map(re.Match.groups, _TABLE.finditer(decode(data)))))


def to_frame(data: bytes) -> int:
    """A data frame with all that the table tells."""
    return len(frame_of(parse_columns(data)))


_TABLE = re.compile(rf"(?m)^{LINE}\n")
WAYS: dict[str, Callable[[bytes], int]] = {
    "Lark": by_lark,
    "expression": by_expression,
    "records": lambda data: len(parse_mountinfo(data)),
    "columns": lambda data: len(parse_columns(data)),
    "frame": to_frame,
}


def main() -> None:
    """Prints a row for each way, and a column for each size."""
    times: dict[tuple[str, int], float] = {}
    for lines in SIZES:
        data = table(lines)
        ways = {name: way for name, way in WAYS.items() if name != "Lark" or lines <= MOST_FOR_LARK}
        rounds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                repeated = max(1, 1_000 // lines)
                begun = time.process_time_ns()
                found = [way(data) for _ in range(repeated)]
                rounds[name].append((time.process_time_ns() - begun) / lines / repeated)
                assert found == [lines] * repeated
        times |= {(name, lines): median(rounds[name]) for name in ways}
    out = sys.stdout.write
    out(f"{'ns a line':18}{''.join(f'{lines:>10,}' for lines in SIZES)}{'of the expression':>20}\n")
    for name in WAYS:
        cells = [f"{times[name, lines]:10,.0f}" if (name, lines) in times else f"{'':10}" for lines in SIZES]
        largest = max(lines for lines in SIZES if (name, lines) in times)
        out(f"{name:18}{''.join(cells)}{times[name, largest] / times['expression', largest]:20.2f}\n")


if __name__ == "__main__":
    main()
