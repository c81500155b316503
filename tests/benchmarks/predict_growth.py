"""How the time of a prediction grows with the mounts an event reaches: ``make bench`` prints it.

One machine after the other, each of *n* namespaces with a hundred shared mounts: 100 of them hold 10,000. An event at
``/`` of one reaches all. Times are medians; what counts is the last column, which stays level if growth is linear.
"""

from __future__ import annotations

import sys
import time
from statistics import median

from mntscope.model import Mount, Namespace, View
from mntscope.propagation import simulate
from mntscope.snapshot import Snapshot

MOUNTS = 100
RUNS = 5


def machine(namespaces: int) -> Snapshot:
    """Namespaces that are all copies of one, as ``unshare --mount --propagation unchanged`` makes them."""
    return Snapshot(tuple(_view(number) for number in range(namespaces)), "0", kernel="6.18.0")


def _view(number: int) -> View:
    first = 1 + number * MOUNTS
    mounts = [Mount(first, 0, "8:1", "/", "/", ("rw",), "ext4", "/dev/sda1", ("rw",), peer_group=1)]
    for index in range(1, MOUNTS):
        path, device = f"/m{index}", f"0:{index + 20}"
        mounts.append(Mount(first + index, first, device, "/", path, ("rw",), "tmpfs", "t", ("rw",), index + 1))
    return View(str(number), tuple(mounts), Namespace(inode=number + 1))


OPERATIONS: dict[str, dict[str, object]] = {
    "mount one": {"op": "mount", "ns": "0", "fstype": "proc", "source": "proc", "target": "/m3/x"},
    "umount one": {"op": "umount", "ns": "0", "target": "/m5", "lazy": True},
    "rbind all": {"op": "bind", "ns": "0", "source": "/", "target": "/m4", "recursive": True},
}


def main() -> None:
    """Prints a row for each operation and size."""
    out = sys.stdout.write
    out(f"{'operation':12}{'namespaces':>11}{'mounts':>9}{'effects':>9}{'seconds':>10}{'us a mount':>12}\n")
    for name, operation in OPERATIONS.items():
        for namespaces in (25, 50, 100, 200, 400):
            snapshot = machine(namespaces)
            times = []
            effects = 0
            for _ in range(RUNS):
                start = time.perf_counter()
                effects = len(simulate(snapshot, operation).effects)
                times.append(time.perf_counter() - start)
            touched = namespaces * MOUNTS + effects
            row = f"{namespaces:11}{namespaces * MOUNTS:9}{effects:9}{median(times):10.3f}"
            out(f"{name:12}{row}{median(times) / touched * 1e6:12.1f}\n")


if __name__ == "__main__":
    main()
