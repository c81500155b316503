"""What a fleet takes: ``python -m tests.benchmarks.fleet DIRECTORY [HOSTS ..] [--dask]``.

For each number of hosts, of 100 namespaces with 40 mounts: hosts a second that ``fleet add`` reads, the most memory of
a worker, sizes, and seconds for a report; how the time grows with the number; and DuckDB beside Polars. On a machine
that has more to do, seconds of the processors are what counts (``cpu``).
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from fixtures import fleet as fixture
from mntscope import fleet
from tests.support.cluster import cluster

QUESTION = """
    select app, place, count(distinct host_id) as hosts from mounts
    where leaks_out and app <> 'host' group by app, place order by hosts desc, app, place
"""


def size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def snapshots(directory: Path, hosts: int) -> Path:
    """The snapshots of the first so many hosts: those of fewer are there already."""
    every = directory / "snapshots"
    there = len(list(every.rglob("*.gz")))
    if there < hosts:
        fixture.make(every, hosts - there, 1, namespaces=100, mounts=40, first=there)
    chosen = directory / f"first-{hosts}"
    chosen.mkdir(exist_ok=True)
    for path in sorted(every.rglob("*.gz"), key=lambda path: path.stat().st_mtime)[:hosts]:
        (chosen / path.name).unlink(missing_ok=True)
        (chosen / path.name).hardlink_to(path)
    return chosen


def added(source: Path, dataset: Path, *, dask: bool) -> dict[str, Any]:
    """Seconds, and memory of the workers in MB, of a process of its own."""
    with ExitStack() as stack:
        scheduler = stack.enter_context(cluster(2)).address if dask else None
        command = [sys.executable, "-m", "tests.benchmarks.fleet", "--one", source, dataset, scheduler or ""]
        done = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
        found: dict[str, Any] = json.loads(done.stdout)
    return found


def one(source: str, dataset: str, scheduler: str) -> None:
    """In that process."""
    began = time.monotonic()
    before = _cpu()
    result = fleet.add([source], dataset, scheduler=scheduler or None, workers=None if scheduler else 2)
    seconds, cpu = time.monotonic() - began, _cpu() - before
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1000
    if scheduler:
        distributed: Any = import_module("distributed")
        with distributed.Client(scheduler, set_as_default=False) as client:
            peaks: Any = client.run(_own)
            memory = max(peak for peak, _ in peaks.values())
            cpu += sum(used for _, used in peaks.values())
    parent = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000
    found = {"seconds": round(seconds, 1), "cpu": round(cpu, 1), "worker_mb": memory, "parent_mb": parent}
    print(json.dumps({"hosts": result.added, **found}))  # noqa: T201


def _cpu() -> float:
    """Seconds of the processors that this process has taken, and those it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _own() -> tuple[int, float]:
    """Of a worker of Dask: the most memory in MB, and seconds of the processors."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_maxrss // 1000, used.ru_utime + used.ru_stime


def asked(dataset: Path) -> dict[str, float]:
    """Seconds for a report, and for one question by DuckDB and by Polars."""
    import polars as pl

    found = {}
    began = time.monotonic()
    with fleet.open(str(dataset)) as opened:
        fleet.report(opened, when=datetime.now().astimezone())
        found["report"] = time.monotonic() - began
        began = time.monotonic()
        by_duckdb = [(app, place, hosts) for app, place, hosts in opened.ask(QUESTION)]
        found["duckdb"] = time.monotonic() - began
    began = time.monotonic()
    by_polars = (
        pl.scan_parquet(dataset / "mounts/**/*.parquet")
        .filter(pl.col("leaks_out") & (pl.col("app").cast(pl.String) != "host"))
        .group_by("app", "place")
        .agg(pl.col("host_id").n_unique().alias("hosts"))
        .with_columns(pl.col("app", "place").cast(pl.String))
        .sort("hosts", "app", "place", descending=[True, False, False])
        .collect(engine="streaming")
        .rows()
    )
    found["polars"] = time.monotonic() - began
    if sorted(by_polars) != sorted(by_duckdb):
        raise AssertionError("DuckDB and Polars answer differently")
    return found


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        one(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.fleet")
    parser.add_argument("directory", type=Path)
    parser.add_argument("hosts", type=int, nargs="*", default=[125, 250, 500, 1000])
    parser.add_argument("--dask", action="store_true")
    given = parser.parse_args()
    seconds: dict[int, float] = {}
    for hosts in given.hosts:
        source = snapshots(given.directory, hosts)
        dataset = given.directory / f"fleet-{hosts}{'-dask' if given.dask else ''}"
        shutil.rmtree(dataset, ignore_errors=True)
        found = added(source, dataset, dask=given.dask)
        seconds[hosts] = found["cpu"]
        tables = {name: round(size(dataset / name) / 1e6, 2) for name in ("mounts", "namespaces", "findings", "hosts")}
        about = {
            "per_second": round(hosts / found["seconds"], 1),
            "mb": tables,
            "input_mb": round(size(source) / 1e6, 1),
        }
        print(json.dumps(found | about | asked(dataset)), flush=True)  # noqa: T201
    if len(seconds) > 1:
        first, last = min(seconds), max(seconds)
        exponent = math.log(seconds[last] / seconds[first]) / math.log(last / first)
        print(json.dumps({"exponent": round(exponent, 2)}))  # noqa: T201


if __name__ == "__main__":
    main()
