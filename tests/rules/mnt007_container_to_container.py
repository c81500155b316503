"""A namespace that was made from a container's: its peer, and its slave."""

from __future__ import annotations

from mntscope.kernel import syscalls
from mntscope.rules import Finding
from mntscope.snapshot import Snapshot
from tests.support.rule_cases import Case, Scene, tables
from tests.support.throwaway import PROPAGATION, Mode


def copied(scene: Scene, propagation: Mode | None) -> Snapshot:
    """A container, and what something in it unshared."""
    machine = scene.machine
    container = machine.unshare(
        "private", lambda: syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_SHARED)
    )
    namespace = scene.namespace_of(container)

    def unshare() -> None:
        syscalls.setns(namespace, syscalls.CLONE_NEWNS)
        syscalls.unshare(syscalls.CLONE_NEWNS)
        if propagation:
            syscalls.mount(None, "/", None, syscalls.MS_REC | PROPAGATION[propagation])

    return scene.seen(container, machine.spawn(unshare))


def peer(scene: Scene) -> Snapshot:
    return copied(scene, None)


def slave(scene: Scene) -> Snapshot:
    return copied(scene, "slave")


def one_finding_for_all(findings: list[Finding], _snapshot: Snapshot) -> None:
    (finding,) = findings
    assert (finding.path, finding.severity) == ("/", "medium")
    assert [command[-2:] for command in finding.commands] == [("--make-rprivate", "/")]


def two(line: str) -> Snapshot:
    """Two containers that have the same volume."""
    root = "1 0:40 / / rw - overlay overlay rw"
    return tables(
        "20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n21 20 0:9 / /srv rw shared:7",
        web=f"40 {root}\n41 40 0:9 / /data rw {line}",
        db=f"60 {root}\n61 60 0:9 / /data rw {line}",
    )


def of_their_own(_scene: Scene) -> Snapshot:
    return two("shared:8 master:7")


def with_the_host(_scene: Scene) -> Snapshot:
    """What they share with the host too is another rule's."""
    return two("shared:7")


CASES = (
    Case("unshared in a container", peer, slave, live=True, check=one_finding_for_all),
    Case("a volume", of_their_own, with_the_host),
)
