"""Users of their own who were given a /proc with something over it, and a whole one."""

from __future__ import annotations

from mntscope.kernel import syscalls
from mntscope.rules import Finding
from mntscope.snapshot import Snapshot
from tests.support.rule_cases import Case, Scene
from tests.support.throwaway import Actor


def own_users(scene: Scene) -> Actor:
    """What `unshare --user --mount` makes."""
    machine = scene.machine
    return machine._start(machine._enter, lambda: syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS))


def covered(scene: Scene, path: str) -> Snapshot:
    """The host has a tmpfs there, which is copied along."""
    scene.machine.call(syscalls.mount, "mask", path, "tmpfs", 0)
    return scene.seen(own_users(scene))


def masked(scene: Scene) -> Snapshot:
    return covered(scene, "/proc/fs")


def empty(scene: Scene) -> Snapshot:
    """A directory that is there to be mounted on."""
    return covered(scene, "/proc/sys/fs/binfmt_misc")


def read_only(scene: Scene) -> Snapshot:
    scene.machine.call(syscalls.mount, None, "/proc", None, syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY)
    return scene.seen(own_users(scene))


def whole(scene: Scene) -> Snapshot:
    return scene.seen(own_users(scene))


def names_what_hides(findings: list[Finding], _snapshot: Snapshot) -> None:
    (finding,) = findings
    assert (finding.severity, finding.path) == ("low", "/proc")
    assert "nobody may mount a proc (EPERM): /proc/fs hides a part" in finding.message


def names_the_option(findings: list[Finding], _snapshot: Snapshot) -> None:
    (finding,) = findings
    assert "a proc but with ro (EPERM)" in finding.message


CASES = (
    Case("a mask", masked, whole, live=True, check=names_what_hides),
    Case("a mask over nothing", masked, empty, live=True),
    Case("read-only", read_only, whole, live=True, check=names_the_option),
)
