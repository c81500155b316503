"""How each command's time grows with the mounts: the exponent, which is 1 where it is linear.

The machines are those of :mod:`tests.benchmarks.worlds`, in memory; what is measured is the answer and its report.
"""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import product
from math import inf

from mntscope.__main__ import COLLECTS_AT
from mntscope.output.writers.page import Page
from mntscope.snapshot import Snapshot
from tests.benchmarks.worlds import SHAPES

SIZES = (1_000, 5_000, 20_000, 50_000)

PATIENCE = 30
"""Seconds: what takes longer is ended, and not asked for more mounts."""

MOST = 600.0
"""Seconds that all of it may take, near enough."""

Ask = Callable[[], object]
Prepare = Callable[[Snapshot], Ask]


def measure(
    commands: Sequence[str], runs: int, told: Callable[[str], None], most: float = MOST
) -> dict[str, dict[str, dict[str, float]]]:
    """Seconds, by the command, the shape and the number of mounts: the best of *runs*.

    Each run is in a process of its own, so that none finds what another has left in memory. Infinite is what takes
    too long, or fails. After *most* seconds in all, nothing greater is begun.
    """
    found: dict[str, dict[str, dict[str, float]]] = {name: {} for name in commands}
    until = time.monotonic() + most
    # The smaller sizes of all shapes first: should time run out, it is the greatest ones that are missing.
    for size, (shape, make) in product(SIZES, SHAPES.items()):
        able = [name for name in commands if inf not in found[name].get(shape, {}).values()]
        if time.monotonic() > until:
            told(f"growth: {shape}, {size:,} mounts: left out, it took long enough")
            continue
        told(f"growth: {shape}, {size:,} mounts")
        snapshot = make(size)
        gc.freeze()
        for name in able:
            seconds = _forked(COMMANDS[name], snapshot, told)
            # Once where it takes long.
            for _ in range(runs - 1 if seconds < 5 else 0):
                seconds = min(seconds, _forked(COMMANDS[name], snapshot, told))
            found[name].setdefault(shape, {})[str(size)] = seconds
        gc.unfreeze()
    return found


def _forked(prepare: Prepare, snapshot: Snapshot, told: Callable[[str], None]) -> float:
    """The seconds of one run."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(PATIENCE)
            # As the command does at its start.
            gc.set_threshold(COLLECTS_AT)
            ask = prepare(snapshot)
            begun = time.perf_counter()
            ask()
            os.write(writer, str(time.perf_counter() - begun).encode())
        except BaseException as error:  # noqa: BLE001 - nothing may escape into the copy of the benchmark
            os.write(writer, f"{type(error).__name__}: {error}".encode()[:500])
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    try:
        return float(said)
    except ValueError:
        told(f"growth: ended after {PATIENCE} s" if not said else f"growth: {said}")
        return inf


def _page(*, everything: bool = False) -> Page:
    return Page(width=120, everything=everything)


def _parse(snapshot: Snapshot) -> Ask:
    from mntscope.parse import parse_mountinfo

    tables = [snapshot.mountinfo(view.label) for view in snapshot.views]
    return lambda: [parse_mountinfo(table) for table in tables]


def _tree(format_: str) -> Prepare:
    from mntscope.analysis.listing import listing
    from mntscope.output import tree

    def prepare(snapshot: Snapshot) -> Ask:
        label = snapshot.views[-1].label
        return lambda: tree.FORMATS[format_](listing(snapshot, label), _page())

    return prepare


def _diff(format_: str, *, everything: bool = False) -> Prepare:
    from mntscope.analysis.diff import diff
    from mntscope.output.diff import FORMATS

    def prepare(snapshot: Snapshot) -> Ask:
        label = snapshot.views[-1].label
        return lambda: FORMATS[format_](diff(snapshot, label), _page(everything=everything))

    return prepare


def _graph(format_: str, *, everything: bool = False) -> Prepare:
    from mntscope.output.graph import FORMATS, whole

    return lambda snapshot: (
        lambda: FORMATS[format_](whole(snapshot, everything=everything), _page(everything=everything))
    )


def _ns(snapshot: Snapshot) -> Ask:
    from mntscope.analysis.namespaces import namespaces
    from mntscope.output.namespaces import as_json

    return lambda: as_json(namespaces(snapshot), _page())


def _holders(snapshot: Snapshot) -> Ask:
    from mntscope.analysis.holders import holders
    from mntscope.output.holders import as_json

    path = snapshot.host.mounts[len(snapshot.host.mounts) // 2].mount_point
    return lambda: as_json(holders(snapshot, path), _page())


def _audit(format_: str) -> Prepare:
    from mntscope.output.audit import FORMATS, AuditReport
    from mntscope.rules import audit

    when = datetime.now(UTC)

    def prepare(snapshot: Snapshot) -> Ask:
        return lambda: FORMATS[format_](
            AuditReport(audit(snapshot), subject="it", when=when, fail_on=None, settings=None), _page()
        )

    return prepare


def _predict(command: str) -> Prepare:
    from mntscope.analysis.predict import predict_commands
    from mntscope.output.predict import FORMATS

    def prepare(snapshot: Snapshot) -> Ask:
        label = snapshot.views[-1].label
        return lambda: FORMATS["table"](predict_commands(snapshot, label, command), _page())

    return prepare


COMMANDS: dict[str, Prepare] = {
    "parse": _parse,
    "tree": _tree("table"),
    "tree json": _tree("json"),
    "diff": _diff("table"),
    "diff json": _diff("json"),
    "diff html": _diff("html"),
    "graph": _graph("table"),
    "graph json": _graph("json"),
    "graph html": _graph("html"),
    "graph html --all": _graph("html", everything=True),
    "ns json": _ns,
    "holders": _holders,
    "audit": _audit("table"),
    "audit html": _audit("html"),
    "predict mount": _predict("mount -t proc proc /mnt/new"),
    "predict umount -R": _predict("umount -R /"),
    "predict rslave": _predict("mount --make-rslave /"),
}
