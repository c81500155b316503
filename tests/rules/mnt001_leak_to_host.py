"""A copy of the host's mounts: their peers, and their slaves."""

from __future__ import annotations

from mntscope.rules import Finding
from mntscope.snapshot import Snapshot
from tests.support.rule_cases import Case, Scene, quiet, tables


def unchanged(scene: Scene) -> Snapshot:
    """What `unshare --mount --propagation unchanged` makes."""
    return scene.seen(scene.machine.unshare("unchanged"))


def slave(scene: Scene) -> Snapshot:
    """What `unshare --mount --propagation slave` makes."""
    return scene.seen(scene.machine.unshare("slave"))


def one_finding_for_all(findings: list[Finding], _snapshot: Snapshot) -> None:
    """The root and what is below it are one fault, with one command that ends it."""
    (finding,) = findings
    assert (finding.path, finding.severity, finding.confidence) == ("/", "critical", "certain")
    (command,) = finding.commands
    assert command[-2:] == ("--make-rslave", "/")
    assert any(effect.namespace == "host" and effect.change == "mount" for effect in finding.evidence.effects)


def a_peer(_scene: Scene) -> Snapshot:
    """A table that shares one mount with the host's."""
    return tables(
        "20 1 8:1 / / rw\n21 20 0:9 / /data rw shared:7", web="40 1 8:1 / / rw\n41 40 0:9 / /data rw shared:7"
    )


CASES = (
    Case("a copy", unchanged, slave, live=True, check=one_finding_for_all),
    Case("a mount", a_peer, quiet),
)
