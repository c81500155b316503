"""How many times the limit whole commands take, in processor time.

The limit of a command is what no program in Python can do without: the kernel's own time to print the tables that have
to be read, each once, and ``python3 -c 'import argparse'``. Taken is the time of a command and of all processes that it
starts, as that changes less than the clock's where others are at work; and both sides in turn, so that a ratio holds on
any machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mntscope.kernel import syscalls
from tests.benchmarks import scenes
from tests.benchmarks.results import LIMIT
from tests.support import scenes as more_scenes
from tests.support.throwaway import Actor, Host

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.parts import Bench

WORSE = 4 / 3
"""How many times the ratio of the baseline is worse than noise."""

MANY, EACH = 500, 80
"""Namespaces, and mounts in each."""

START, TABLES = "python3 -c 'import argparse'", "the kernel's tables"


def limit(bench: Bench) -> None:
    """The commands that people wait for, on small machines and large ones."""
    for size, goal in ((30, 1.6), (1_000, 1.8)):
        with scenes.hosts(own_pids=True) as host:
            already = scenes.mounts_of(Actor(host.pid, 1))
            host.call(mount_some, bench.directory(f"limit-{size}"), max(0, size - already))
            pid = str(host.unshare("unchanged").inner)
            commands = {f"diff PID, {size:,} mounts in each": (["diff", pid], goal)}
            _measure(bench, f"Processor time, {size:,} mounts", host, commands, ["1", pid])
    for size, goal in ((1_000, 1.8), (10_000, 2.0)):
        with scenes.hosts(own_pids=True) as host:
            pid = str(scenes.with_mounts(host, bench.directory(f"limit-tree-{size}"), size).inner)
            commands = {f"tree of {size:,}": (["tree", pid, "--against", pid], goal)}
            _measure(bench, f"Processor time, the tree of {size:,} mounts", host, commands, [pid])
    with scenes.hosts(own_pids=True) as host:
        already = scenes.mounts_of(Actor(host.pid, 1))
        more_scenes.many(
            host,
            bench.directory("limit-many"),
            namespaces=MANY,
            mounts=max(0, EACH - already),
            processes=2 * MANY,
            propagation=("slave", "unchanged", "private"),
        )
        pids = host.run(["lsns", "--type", "mnt", "--noheadings", "--output", "PID"]).stdout.split()
        commands = {
            f"ns, {MANY} of {EACH}": (["ns", "--format", "json"], 2.0),
            f"audit, {MANY} of {EACH}": (["audit", "--format", "json"], 3.0),
        }
        _measure(bench, f"Processor time, {MANY} namespaces of {EACH} mounts", host, commands, pids)


def mount_some(directory: Path, number: int) -> None:
    """That many mounts, each of a filesystem and in a peer group of its own."""
    for index in range(number):
        place = directory / f"volume-{index:04}"
        place.mkdir()
        syscalls.mount("volume", str(place), "tmpfs", 0)


def _measure(
    bench: Bench, part: str, host: Host, commands: Mapping[str, tuple[Sequence[str], float]], pids: Sequence[str]
) -> None:
    book = bench.book
    contenders = {
        START: [bench.installed.python, "-c", "import argparse"],
        TABLES: ["cat", *(f"/proc/{pid}/mountinfo" for pid in pids)],
        **{name: [bench.installed.mntscope, *words] for name, (words, _) in commands.items()},
    }
    times = book.times[part] = scenes.timed_in(host, contenders, bench.runs, processor=True)
    times[LIMIT] = [sum(both) for both in zip(times[START], times[TABLES], strict=True)]
    for name, (_, goal) in commands.items():
        book.times_the_limit(part, name, goal)
