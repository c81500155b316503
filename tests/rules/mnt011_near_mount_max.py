"""A namespace and the limit on its mounts, which is the whole machine's: here only the record of it differs."""

from __future__ import annotations

from dataclasses import replace

from mntscope.rules import Finding
from mntscope.snapshot import Snapshot
from tests.support.rule_cases import Case, Scene


def recorded(scene: Scene, limit: float) -> Snapshot:
    """A capture in which the host has this part of as many mounts as it may have."""
    snapshot = scene.seen(scene.machine.unshare("slave"))
    return replace(snapshot, mount_max=int(len(snapshot.host.mounts) / limit))


def full(scene: Scene) -> Snapshot:
    return recorded(scene, 0.99)


def filling(scene: Scene) -> Snapshot:
    return recorded(scene, 0.85)


def half_full(scene: Scene) -> Snapshot:
    return recorded(scene, 0.5)


def urgent(findings: list[Finding], _snapshot: Snapshot) -> None:
    host, other = sorted(findings, key=lambda finding: finding.subject != "host")
    assert (host.severity, host.confidence) == ("high", "certain")
    assert "ENOSPC" in host.message
    assert "receives the host's mounts" in other.message
    assert "receives the host's mounts" not in host.message


def soon(findings: list[Finding], _snapshot: Snapshot) -> None:
    assert {finding.severity for finding in findings} == {"medium"}


CASES = (
    Case("full", full, half_full, live=True, check=urgent),
    Case("filling", filling, half_full, live=True, check=soon),
)
