"""How the table of mounts grows with the mounts of a machine: seconds to make it and to ask it, bytes a mount.

Run it: ``python tests/benchmarks/frames_growth.py [MOUNTS ..]``. Machines are a host and containers of 1,000 mounts:
half slaves of the host's, a few peers, the rest their own. What counts are the columns a mount, which stay level if
growth is linear.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd

from mntscope.model import Mount, Namespace, Owner, Process, View
from mntscope.snapshot import Snapshot

EACH = 1_000
TYPES = ("ext4", "tmpfs", "proc", "sysfs", "cgroup2", "nfs4", "overlay", "mqueue")


def machine(mounts: int) -> Snapshot:
    """A machine with so many mounts, a thousand a namespace."""
    return Snapshot(tuple(_view(number) for number in range(mounts // EACH)), "host", kernel="6.18.0")


def _view(number: int) -> View:
    first = 1 + number * EACH
    options, supers = ("rw", "nosuid", "relatime"), ("rw", "size=65536k", "mode=755")
    mounts = [
        Mount(first, 0, f"0:{number + 1000}", "/", "/", options, "overlay", "overlay", supers, 10 * EACH + number)
    ]
    for index in range(1, EACH):
        at, kind = index % 8, index % 2
        peer, master = (index, None) if number == 0 or index % 100 == 1 else (None, index if kind else None)
        device = f"0:{index}" if number == 0 or peer or master else f"1:{first + index}"
        path = f"/var/lib/volumes/{index:04}/data"
        mounts.append(
            Mount(first + index, first, device, "/", path, options, TYPES[at], f"source-{index}", supers, peer, master)
        )
    space = Namespace(4026531840 + number, None, None, (Process(number + 1),), Owner("docker", f"web-{number}"))
    return View("host" if number == 0 else str(number + 1), tuple(mounts), space, Process(number + 1))


GROUP_BYS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "by namespace, type": lambda mounts: mounts.groupby(["namespace", "fs_type"], observed=True).size(),
    "by propagation": lambda mounts: mounts.groupby("propagation", observed=True).leaks_out.sum(),
    "by peer group": lambda mounts: mounts.groupby(["device", "peer_group"]).namespace.nunique(),
    "by device": lambda mounts: mounts.groupby("device").namespace.nunique().nlargest(10),
}


def main() -> None:
    """Prints a row for each size."""
    sizes = [int(word) for word in sys.argv[1:]] or [10_000, 100_000, 1_000_000]
    out = sys.stdout.write
    names = "".join(f"{name:>20}" for name in GROUP_BYS)
    out(f"{'mounts':>9}{'to frame s':>12}{'us a mount':>12}{'bytes a mount':>15}{names}{'back s':>9}{'peak MiB':>10}\n")
    machine(10_000).frame()  # pandas is loaded
    for size in sizes:
        snapshot = machine(size)
        frame, seconds = _timed(snapshot.frame)
        each = "".join(f"{_timed(partial(ask, frame))[1]:20.3f}" for ask in GROUP_BYS.values())
        back, back_seconds = _timed(partial(Snapshot.from_frame, frame))
        assert back == snapshot
        held = frame.memory_usage(deep=True).sum() / len(frame)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        row = f"{len(frame):9}{seconds:12.2f}{seconds / len(frame) * 1e6:12.1f}{held:15.0f}{each}"
        out(f"{row}{back_seconds:9.2f}{peak:10}\n")


def _timed(what: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    result = what()
    return result, time.perf_counter() - start


if __name__ == "__main__":
    main()
