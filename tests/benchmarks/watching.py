"""What a watch takes while nothing happens: ``python -m tests.benchmarks.watching [NAMESPACES [MOUNTS [SECONDS]]]``.

Half of the namespaces are slaves of a throwaway host, a tenth its peers, the others private. For each source: what the
looks for namespaces and the sweeps come to at the intervals that the command has, as a part of a processor; and the
same of a watch that is left alone for so many seconds, with its memory. A machine has always something to do: the
rounds in which something was told do not count, and are counted beside.
"""

from __future__ import annotations

import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mntscope.cli.watch import SWEEP, TRACED_SWEEP
from mntscope.kernel import syscalls
from mntscope.watch.check import Prediction
from mntscope.watch.source import News
from mntscope.watch.watcher import Round, Watcher
from tests.support.throwaway import Host, in_fork

SOURCES: dict[str, dict[str, Any]] = {
    "fanotify": {"by": "fanotify", "sweep": SWEEP},
    "tracefs": {"by": "fanotify", "trace": True, "sweep": TRACED_SWEEP},
    "poll": {"by": "poll", "sweep": SWEEP},
}


def populate(host: Host, namespaces: int, mounts: int) -> None:
    def make() -> None:
        syscalls.mount("base", "/mnt", "tmpfs", 0)
        there = len(Path("/proc/self/mountinfo").read_bytes().splitlines())
        for number in range(mounts - there):
            os.mkdir(f"/mnt/{number}")
            syscalls.mount(f"t{number}", f"/mnt/{number}", "tmpfs", 0)

    host.call(make)
    for number in range(namespaces):
        host.unshare("slave" if number % 2 else "private" if number % 10 else "unchanged")


def memory() -> int:
    """Resident, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


def cost(function: Callable[[], object]) -> float:
    """Seconds of this thread's processor time."""
    times = []
    for _ in range(9):
        begun = time.thread_time()
        function()
        times.append(time.thread_time() - begun)
    return statistics.median(times)


def idle(settings: dict[str, Any], seconds: float) -> str:
    """A line of what one watch takes."""
    host = os.stat("/proc/self/ns/mnt").st_ino
    with Watcher(host=host, checker=Prediction(), **settings) as watcher:
        machine = watcher.machine
        sizes = len(machine.namespaces), sum(len(its.mounts) for its in machine.namespaces.values())
        watcher.step(2.0)
        look = cost(lambda: watcher._look_for_namespaces(Round([], [], [], [], [])))
        whole = not watcher.by_ids
        sweep = cost(lambda: watcher._sweep(Round([], [], [], [], []), machine.namespaces, whole=whole))
        share = look / watcher._look_every + sweep / watcher.sweep_every
        line = f"{sizes[0]} namespaces, {sizes[1]} mounts: look {1e3 * look:.1f} ms each {watcher._look_every:.2f} s, "
        line += f"sweep {1e3 * sweep:.1f} ms: {share:.2%} of a processor"
        if not seconds:
            return line
        told: list[bool] = []
        handle = watcher._handle

        def noted(news: News, done: Round, *, last: bool = False) -> None:
            told.append(bool(news))
            handle(news, done, last=last)

        watcher._handle = noted  # type: ignore[method-assign]
        spent, busy, rounds, before = 0.0, 0.0, 0, memory()
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            told.clear()
            called = watcher._calls.due != math.inf
            here, processor = time.monotonic(), time.thread_time()
            done = watcher.step(1.0)
            if any(told) or called or done.events:
                busy += time.monotonic() - here
                rounds += 1
            else:
                spent += time.thread_time() - processor
        quiet = time.monotonic() - began - busy
        line += (
            f"\n    left alone: {spent / quiet:.2%} of {quiet:.0f} s in which nothing was told; memory {before} MB, "
        )
        return line + f"then {memory()} MB ({watcher.told} changes in {rounds} rounds and {busy:.0f} s beside)"


def main() -> int:
    """Prints a line for each source."""
    namespaces, mounts, seconds = (*map(int, sys.argv[1:]), *(40, 40, 0)[len(sys.argv) - 1 :])
    host = Host()
    try:
        populate(host, namespaces, mounts)
        children = {}
        for name, settings in SOURCES.items():
            # Side by side: each waits most of the time.
            if (child := os.fork()) == 0:
                sys.stdout.write(f"{name}: {host.call(in_fork, idle, settings, seconds)}\n")
                sys.stdout.flush()
                os._exit(0)
            children[child] = name
            if not seconds:
                os.waitpid(child, 0)
                del children[child]
        for child in children:
            os.waitpid(child, 0)
    finally:
        host.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
