"""Many hosts as one data set: ``mntscope fleet``, and the same from Python.

::

    import mntscope.fleet
    mntscope.fleet.add(["snapshots/*.mntscope.json.gz"], "fleet")    # what is new of it; s3://.. as well
    fleet = mntscope.fleet.open("fleet")
    fleet.hosts.frame()                                              # a data frame; as .namespaces, .mounts, .findings
    fleet.mounts.where("leaks_out and app <> 'host'").frame()        # no more is read than is asked for
    fleet.frame()                                                    # what is found, by the number of hosts
    fleet.outliers(), fleet.drift("2026-01-30", "2026-01-31")        # each with .frame()

A data set is a directory, or the same in an object store, of plain Parquet: ``mounts``, ``namespaces``, ``findings``
and ``hosts`` (:data:`mntscope.fleet.tables.SCHEMAS`), each parted by day, and a ``manifest`` of what was read. All that
is compared between hosts goes by names that mean the same on each (:mod:`mntscope.fleet.keys`).

It takes ``pip install 'mntscope[fleet]'``; a Dask cluster takes ``mntscope[fleet-dask]``.
"""

from __future__ import annotations

from mntscope.fleet.missing import needed

for _library in ("numpy", "pyarrow", "fsspec", "duckdb"):
    needed(_library, "a fleet")

from mntscope.fleet.adding import Added, add  # noqa: E402 - not before it is known that they can be loaded
from mntscope.fleet.dataset import Dataset, Table  # noqa: E402
from mntscope.fleet.drift import Drift  # noqa: E402
from mntscope.fleet.found import Found  # noqa: E402
from mntscope.fleet.opened import Fleet, open  # noqa: A004, E402
from mntscope.fleet.outliers import Outlier  # noqa: E402
from mntscope.fleet.sources import Bad  # noqa: E402
from mntscope.fleet.state import FleetDrift, FleetFinding, FleetReport, between, report  # noqa: E402

__all__ = [
    "Added",
    "Bad",
    "Dataset",
    "Drift",
    "Fleet",
    "FleetDrift",
    "FleetFinding",
    "FleetReport",
    "Found",
    "Outlier",
    "Table",
    "add",
    "between",
    "open",
    "report",
]
