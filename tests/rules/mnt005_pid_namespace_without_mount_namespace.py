"""A PID namespace of its own in the host's mount namespace, and with a mount namespace too."""

from __future__ import annotations

from mntscope.kernel import syscalls
from mntscope.snapshot import Snapshot
from tests.support.rule_cases import Case, Scene
from tests.support.throwaway import Actor


def new_pids(scene: Scene, *more: int) -> Actor:
    """A process in new namespaces, but in the host's mount namespace."""
    machine = scene.machine
    flags = syscalls.CLONE_NEWPID | sum(more)
    return machine._start(machine._enter, lambda: syscalls.unshare(flags), lambda: None)


def without_mounts(scene: Scene) -> Snapshot:
    """What `unshare --pid --fork` makes."""
    return scene.seen(new_pids(scene))


def with_mounts(scene: Scene) -> Snapshot:
    return scene.seen(scene.machine.unshare("private", new_pids=True))


def browser(scene: Scene) -> Snapshot:
    """A sandbox that has a user namespace too: it may not mount in a namespace that is not its own."""
    return scene.seen(new_pids(scene, syscalls.CLONE_NEWUSER))


CASES = (
    Case("its own mounts", without_mounts, with_mounts, live=True),
    Case("a sandbox without privileges", without_mounts, browser, live=True),
)
