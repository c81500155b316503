"""The rows that one snapshot adds to a fleet: of four tables, whose columns are described here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mntscope.base.records import NamedTuple
from mntscope.fleet.keys import HOST, application, place, plain
from mntscope.model import Mount, View
from mntscope.rules import audit

if TYPE_CHECKING:
    from mntscope.fleet.origin import HostAtTime
    from mntscope.rules import Finding
    from mntscope.rules.machine import Machine
    from mntscope.snapshot import Snapshot

# Few texts occur often: as a dictionary they are kept once a part, and compared as numbers.
_WORD = pa.dictionary(pa.int32(), pa.string())
_OF_HOST = [("snapshot", pa.uint64()), ("host_id", pa.uint64())]

SCHEMAS: Mapping[str, pa.Schema] = {
    "mounts": pa.schema([
        *_OF_HOST,
        ("app", _WORD),  # whose namespace it is, the same on every host (mntscope.fleet.keys)
        ("kind", _WORD),  # the runtime: docker, containerd, unit ..
        ("namespace", _WORD),  # what mntscope calls it on this host
        ("path", _WORD),  # the mount point
        ("place", _WORD),  # the same with * for each id in it
        ("root", _WORD),  # with * for each id in it
        ("fs_type", _WORD),
        ("source", _WORD),
        ("options", _WORD),  # of the mount
        ("propagation", _WORD),  # shared, slave, shared,slave, private or unbindable
        ("leaks_out", pa.bool_()),  # its events reach the host
        ("leaks_in", pa.bool_()),  # those of the host reach it
        ("lands_at", _WORD),  # the place of the host where they do, or come from; null where neither
    ]),
    "namespaces": pa.schema([
        *_OF_HOST,
        ("app", _WORD),
        ("kind", _WORD),
        ("namespace", _WORD),
        ("processes", pa.int64()),
        ("mounts", pa.int64()),
        ("leaks_out", pa.int64()),  # how many of its mounts
        ("leaks_in", pa.int64()),
        ("digest", pa.uint64()),  # of all that a drift is made of: the same where nothing is different
    ]),
    "findings": pa.schema([
        *_OF_HOST,
        ("rule", _WORD),
        ("severity", _WORD),
        ("confidence", _WORD),
        ("present", pa.bool_()),  # the damage is done
        ("app", _WORD),
        ("kind", _WORD),
        ("namespace", _WORD),
        ("path", _WORD),
        ("place", _WORD),
        ("lands_at", _WORD),
        ("message", pa.string()),
        ("fingerprint", pa.string()),
    ]),
    "hosts": pa.schema([
        *_OF_HOST,
        ("host", pa.string()),
        ("machine", pa.string()),  # its machine-id, hashed
        ("boot", pa.string()),
        ("time", pa.timestamp("s", tz="UTC")),
        ("kernel", pa.string()),  # uname -r
        ("kernel_version", pa.string()),  # uname -v
        ("distribution", pa.string()),
        ("util_linux", pa.string()),
        ("mntscope", pa.string()),
        ("namespaces", pa.int64()),
        ("mounts", pa.int64()),
        ("leaks", pa.int64()),
        ("findings", pa.int64()),
        ("not_seen", pa.int64()),  # what the capture did not see
        ("url", pa.string()),
    ]),
}  # fmt: skip
"""The tables by name. Each is in Parquet files below ``TABLE/day=YYYY-MM-DD/``."""

DRIFTS = ("place", "root", "fs_type", "options", "propagation", "leaks_out", "leaks_in", "lands_at")
"""The columns of a mount of which a difference between two days is a drift."""


class _Rows:
    """The rows of one table, column by column."""

    def __init__(self, name: str) -> None:
        self.schema = SCHEMAS[name]
        self.columns: dict[str, list[Any]] = {field: [] for field in self.schema.names}

    def add(self, **values: Any) -> None:
        for name, column in self.columns.items():
            column.append(values[name])

    def table(self) -> pa.Table:
        arrays = [
            pa.array(self.columns[field.name], field.type.value_type).dictionary_encode()
            if pa.types.is_dictionary(field.type)
            else pa.array(self.columns[field.name], field.type)
            for field in self.schema
        ]
        return pa.Table.from_arrays(arrays, schema=self.schema)


class _Space(NamedTuple):
    """One mount namespace, as all tables name it."""

    app: str
    kind: str
    namespace: str


class _Crossing(NamedTuple):
    """What crosses at a mount."""

    out: bool
    into: bool
    lands_at: str | None


_NOTHING = _Crossing(out=False, into=False, lands_at=None)


def tables_of(snapshot: Snapshot, origin: HostAtTime, number: int, url: str) -> dict[str, pa.Table]:
    """The rows of one *snapshot*, whose *number* is in each of them; *url* is where it was read."""
    found = audit(snapshot, today=origin.when.date())
    machine = found.machine
    named = {"snapshot": number, "host_id": origin.id}
    spaces = {view.label: _space(machine, view) for view in (machine.host, *machine.others)}
    mounts, namespaces, findings, hosts = (_Rows(name) for name in SCHEMAS)
    for label, space in spaces.items():
        view = machine.view(label)
        crossings = _crossings(machine, label)
        its = [crossings.get(mount.mount_id, _NOTHING) for mount in view.mounts]
        rows = list(map(_mount, view.mounts, its))
        for row in rows:
            mounts.add(**named, **space._asdict(), **row)
        namespaces.add(
            **named,
            **space._asdict(),
            processes=len(view.namespace.processes),
            mounts=len(view.mounts),
            leaks_out=sum(one.out for one in its),
            leaks_in=sum(one.into for one in its),
            digest=_digest(rows),
        )
    for finding in found.findings:
        space = spaces.get(finding.subject) or _space(machine, machine.view(finding.subject))
        findings.add(**named, **space._asdict(), **_finding(finding, machine))
    hosts.add(
        **named,
        host=plain(origin.name),
        machine=plain(origin.machine),
        boot=plain(origin.boot),
        time=origin.when,
        kernel=plain(snapshot.kernel or ""),
        kernel_version=plain(snapshot.kernel_version or ""),
        distribution=plain(snapshot.distribution or ""),
        util_linux=plain(origin.util_linux),
        mntscope=plain(origin.mntscope),
        namespaces=len(spaces),
        mounts=sum(namespaces.columns["mounts"]),
        leaks=sum(namespaces.columns["leaks_out"]),
        findings=len(found.findings),
        not_seen=len(found.not_seen),
        url=plain(url),
    )
    made = (mounts, namespaces, findings, hosts)
    return {name: rows.table() for name, rows in zip(SCHEMAS, made, strict=True)}


def _space(machine: Machine, view: View) -> _Space:
    if view.label == machine.host.label:
        return _Space(HOST, HOST, HOST)
    owner = view.namespace.owner
    process = machine.first_process(view.label)
    otherwise = plain(process.comm) if process and process.comm else "?"
    kind = owner.kind if owner else "process"
    return _Space(application(owner, otherwise), plain(kind), plain(machine.words(view.label)))


def _crossings(machine: Machine, label: str) -> dict[int, _Crossing]:
    """What crosses at each mount of a namespace at which something does, by mount ID."""
    found: dict[int, _Crossing] = {}
    for leak in machine.leaks.get(label, ()):
        before = found.get(leak.mount.mount_id, _NOTHING)
        lands_at = place(leak.lands_at[0]) if leak.lands_at else None
        found[leak.mount.mount_id] = _Crossing(
            out=before.out or leak.direction != "in",
            into=before.into or leak.direction != "out",
            # Of several the worst, which comes first.
            lands_at=before.lands_at or lands_at,
        )
    return found


def _mount(mount: Mount, crossing: _Crossing) -> dict[str, Any]:
    return {
        "path": plain(mount.mount_point),
        "place": place(mount.mount_point),
        "root": place(mount.root),
        "fs_type": plain(mount.fs_type),
        "source": plain(mount.source),
        "options": plain(",".join(mount.options)),
        "propagation": mount.propagation,
        "leaks_out": crossing.out,
        "leaks_in": crossing.into,
        "lands_at": crossing.lands_at,
    }


def _digest(rows: Sequence[Mapping[str, Any]]) -> int:
    """64 bits of what the mounts of a namespace are, whatever their order and however often one is there."""
    lines = sorted({"\0".join(str(row[name]) for name in DRIFTS) for row in rows})
    return int.from_bytes(hashlib.blake2b("\n".join(lines).encode(), digest_size=8).digest(), "big")


def _finding(finding: Finding, machine: Machine) -> dict[str, Any]:
    host = machine.host.label
    lands = sorted({place(path) for label, path in finding.evidence.lands_at if label == host})
    return {
        "rule": finding.rule.id,
        "severity": finding.severity,
        "confidence": finding.confidence,
        "present": finding.present,
        "path": plain(finding.path) if finding.path else None,
        "place": place(finding.path) if finding.path else None,
        "lands_at": lands[0] if lands else None,
        "message": plain(finding.message),
        "fingerprint": finding.fingerprint,
    }
