"""Whose machine a report is of, and of when."""

from __future__ import annotations

import time
from typing import Any

from mntscope.output.document import Words, listed, name
from mntscope.snapshot import Snapshot


def machine(snapshot: Snapshot) -> Words:
    """Its name, its system and the time of capture, as far as known: one sentence."""
    origin = snapshot.origin
    said: list[Words] = [name(origin.host_name) if origin.host_name else "a machine whose name is not known"]
    said += filter(None, (snapshot.distribution, snapshot.kernel and f"Linux {snapshot.kernel}"))
    said += [utc(origin.time)] if origin.time is not None else []
    return listed(said)


def utc(seconds: int) -> str:
    """A moment as people write it, in UTC: ``2026-01-01 00:00:00 UTC``."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def origin_json(snapshot: Snapshot) -> dict[str, Any]:
    """All that is known of it, as reports for programs have it; what is not known is null."""
    origin = snapshot.origin
    return {
        "host_name": origin.host_name,
        "machine_id": origin.machine_id,
        "boot_id": snapshot.boot_id,
        "time": origin.time,
        "kernel": snapshot.kernel,
        "kernel_version": snapshot.kernel_version,
        "distribution": snapshot.distribution,
        "mount_program": snapshot.host.namespace.mount_program,
        "mntscope": origin.mntscope,
    }
