"""A PID namespace of its own, with the proc that was there, and with one of its own."""

from __future__ import annotations

from mntscope.kernel import syscalls
from mntscope.rules import Finding
from mntscope.snapshot import Snapshot
from tests.support.rule_cases import Case, Scene


def mount_proc() -> None:
    syscalls.mount("proc", "/proc", "proc", 0)


def without_proc(scene: Scene) -> Snapshot:
    """What `unshare --pid --fork --mount` makes."""
    return scene.seen(scene.machine.unshare("private", new_pids=True))


def with_proc(scene: Scene) -> Snapshot:
    """What `unshare --pid --fork --mount-proc` makes."""
    return scene.seen(scene.machine.unshare("private", mount_proc, new_pids=True))


def visited(scene: Scene) -> Snapshot:
    """The same, with somebody of the host who looks in (`nsenter --mount`)."""
    actor = scene.machine.unshare("private", mount_proc, new_pids=True)
    namespace = scene.namespace_of(actor)
    return scene.seen(actor, scene.machine.spawn(lambda: syscalls.setns(namespace, syscalls.CLONE_NEWNS)))


def shows_the_hosts(findings: list[Finding], _snapshot: Snapshot) -> None:
    (finding,) = findings
    assert finding.severity == "medium"
    assert "the host's" in finding.message
    assert finding.commands[0][-1] == "--mount-proc"


CASES = (
    Case("its own proc", without_proc, with_proc, live=True, check=shows_the_hosts),
    Case("a visitor", without_proc, visited, live=True),
)
