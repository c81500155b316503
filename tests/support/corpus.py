"""Tables of real systems, with what a manifest says of each: our own, and, where they are here, other people's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mntscope.analysis.owners import owner_of
from mntscope.model import Namespace, Process, View
from mntscope.parse import parse_mountinfo
from mntscope.snapshot import Snapshot
from tests.support.repository import DATA


@dataclass(frozen=True)
class Table:
    """A file with the mountinfo of one process, and what is known about it."""

    path: Path
    valid: bool
    """Whether the kernel could have written every line."""
    lines: int
    bad_lines: list[int]
    """The numbers of those it could not have written."""
    pair: str = ""
    """The file of the other side, host or container, of the same machine."""
    leak: bool | None = None
    """Whether a mount that was made in the container did appear on the host; None: nobody tried."""
    cgroup: str = ""
    """``/proc/PID/cgroup`` of the process."""

    @property
    def name(self) -> str:
        """What the corpus calls it, which is also what its test is called."""
        return self.path.name.removesuffix(".mountinfo")

    @property
    def is_of_a_host(self) -> bool:
        """Whether its side of the pair is the host's."""
        return self.name.endswith("-host")

    def read(self) -> bytes:
        """What the process read."""
        return self.path.read_bytes()

    def view(self, label: str, pid: int) -> View:
        """The table as a view, with what its cgroup tells."""
        process = Process(pid, cgroup=self.cgroup)
        mounts = tuple(parse_mountinfo(self.read(), strict=False, file=self.path.name))
        return View(label, mounts, Namespace(processes=(process,), owner=owner_of(self.cgroup)), process)


def corpus(folder: Path) -> dict[str, Table]:
    """The tables of a folder by their names; none where there is no such folder."""
    if not folder.is_dir():
        return {}
    tables = [
        Table(
            path=folder / entry["file"],
            valid=entry["valid"],
            lines=entry["lines"],
            bad_lines=entry["bad_lines"],
            pair=entry.get("pair", ""),
            leak=entry.get("leak"),
            cgroup=entry.get("cgroup") or "",
        )
        for entry in json.loads((folder / "manifest.json").read_text("utf-8"))
    ]
    return {table.name: table for table in tables}


def pairs(tables: Mapping[str, Table]) -> Iterator[tuple[Table, Table]]:
    """Hosts, and what ran on them when both were recorded."""
    for table in tables.values():
        host = tables.get(table.pair.removesuffix(".mountinfo"))
        if host is not None and host.is_of_a_host and not table.is_of_a_host:
            yield host, table


def machine(host: Table, *others: Table) -> Snapshot:
    """The host, and the others by the pids from 4711 on."""
    views = [host.view("host", 1), *(table.view(str(pid), pid) for pid, table in enumerate(others, 4711))]
    return Snapshot(tuple(views), "host")


CORPUS = DATA / "corpus"
OWN = corpus(CORPUS)
"""What we recorded ourselves."""
