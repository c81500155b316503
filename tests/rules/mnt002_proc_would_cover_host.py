"""A PID namespace of its own: in a copy that is a peer, and in one that is a slave or has made /proc private."""

from __future__ import annotations

from mntscope.kernel import syscalls
from mntscope.rules import Finding
from mntscope.snapshot import Snapshot
from tests.support.rule_cases import Case, Scene


def unchanged(scene: Scene) -> Snapshot:
    """What `unshare --pid --fork --mount --propagation unchanged` makes."""
    return scene.seen(scene.machine.unshare("unchanged", new_pids=True))


def slave(scene: Scene) -> Snapshot:
    return scene.seen(scene.machine.unshare("slave", new_pids=True))


def private_proc(scene: Scene) -> Snapshot:
    """A peer in all but /proc."""

    def make_private() -> None:
        syscalls.mount(None, "/proc", None, syscalls.MS_PRIVATE)

    return scene.seen(scene.machine.unshare("unchanged", make_private, new_pids=True))


def same_processes(scene: Scene) -> Snapshot:
    """A peer without a PID namespace of its own: its proc would show what the host's does."""
    return scene.seen(scene.machine.unshare("unchanged"))


def covers_the_hosts(findings: list[Finding], _snapshot: Snapshot) -> None:
    (finding,) = findings
    assert [command[-2:] for command in finding.commands] == [("--make-private", "/proc")]
    effects = [(effect.namespace, effect.change, effect.path) for effect in finding.evidence.effects]
    assert ("host", "mount", "/proc") in effects


CASES = (
    Case("a slave", unchanged, slave, live=True, check=covers_the_hosts),
    Case("private", unchanged, private_proc, live=True),
    Case("the host's processes", unchanged, same_processes, live=True),
)
