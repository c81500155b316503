"""Whose a snapshot is, and of when."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import NamedTuple

from mntscope.errors import MntscopeError
from mntscope.snapshot import Snapshot

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""A snapshot of another time has a wrong clock, and would be a day of its own in each data set."""


class HostAtTime(NamedTuple):
    """A host, at the moment of a capture. What is not known is empty."""

    name: str
    machine: str
    """Its machine-id, hashed."""
    boot: str
    when: datetime
    """In UTC."""
    util_linux: str
    mntscope: str

    @property
    def id(self) -> int:
        """64 bits that are the same in each snapshot of the host.

        Of its name *and* its machine-id: machines made of one image may share the latter, and several networks the
        former. A host that is given another name is another host.
        """
        text = f"{self.machine}\0{self.name}".encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def origin_of(snapshot: Snapshot, file: str, changed: datetime) -> HostAtTime:
    """What *snapshot* says of itself; where it does not, the name of its *file*, and when that was *changed*.

    :raises MntscopeError: of a time that no clock shows.
    """
    origin = snapshot.origin
    when = changed if origin.time is None else datetime.fromtimestamp(origin.time, UTC)
    if not EARLIEST <= when < LATEST:
        raise MntscopeError(f"its time is no time of a capture: {when:%Y-%m-%d}", where=file)
    return HostAtTime(
        name=origin.host_name or _called(file),
        machine=origin.machine_id or "",
        boot=snapshot.boot_id or "",
        when=when.replace(microsecond=0),
        util_linux=snapshot.host.namespace.mount_program or "",
        mntscope=origin.mntscope or "",
    )


def _called(file: str) -> str:
    """What a file is called, without what it is: ``web-1`` of ``s3://bucket/web-1.mntscope.json.gz``."""
    return file.rstrip("/").rpartition("/")[2].partition(".mntscope")[0] or "host"
