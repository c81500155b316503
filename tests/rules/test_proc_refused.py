"""MNT019 says that a proc is refused where the kernel refuses it, and nowhere else."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mntscope.errors import KernelError
from mntscope.kernel import syscalls
from mntscope.rules import audit, by_id
from tests.rules.mnt019_proc_refused import own_users
from tests.support.rule_cases import Scene
from tests.support.throwaway import Host, in_fork

MS_NOATIME = 1024
BIND = syscalls.MS_REMOUNT | syscalls.MS_BIND


def tmpfs(path: str) -> Callable[[], None]:
    return lambda: syscalls.mount("mask", path, "tmpfs", 0)


def remounted(flags: int) -> Callable[[], None]:
    return lambda: syscalls.mount(None, "/proc", None, BIND | flags)


def masked_file() -> None:
    syscalls.mount("/dev/null", "/proc/version", None, syscalls.MS_BIND)


def masked_beside_a_whole_one() -> None:
    masked_file()
    syscalls.mount("run", "/mnt", "tmpfs", 0)
    Path("/mnt/proc").mkdir()
    syscalls.mount("proc", "/mnt/proc", "proc", 0)


PREPARED = {
    "nothing": (lambda: None, False),
    "a directory": (tmpfs("/proc/fs"), True),
    "a file": (masked_file, True),
    "all of it": (tmpfs("/proc"), True),
    "an empty directory": (tmpfs("/proc/sys/fs/binfmt_misc"), False),
    "read-only": (remounted(syscalls.MS_RDONLY), True),
    "noatime": (remounted(MS_NOATIME), True),
    "nosuid, nodev and noexec": (remounted(syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC), False),
    "a whole one elsewhere": (masked_beside_a_whole_one, False),
}


@pytest.fixture
def scene(machine: Host, tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(machine, tmp_path, stack)


def refused(masked_later: Callable[[], None] = lambda: None) -> bool:
    """Whether users of their own, with PIDs of their own, may not mount a proc."""
    syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID)

    def mount() -> int | None:
        masked_later()
        try:
            syscalls.mount("proc", "/tmp", "proc", 0)
        except KernelError as error:
            return error.errno
        return None

    code = in_fork(mount)
    assert code in (None, errno.EPERM)
    return code is not None


@pytest.mark.parametrize("name", PREPARED)
def test_it_is_as_the_kernel_does(scene: Scene, name: str) -> None:
    prepare, expected = PREPARED[name]
    scene.machine.call(prepare)
    assert scene.machine.call(refused) == expected
    found = audit(scene.seen(own_users(scene)), [by_id("MNT019")]).findings
    assert [finding.path for finding in found if "a proc" in finding.message] == (["/proc"] if expected else [])


def test_what_the_namespace_covered_itself_is_no_obstacle(scene: Scene) -> None:
    assert not scene.machine.call(refused, tmpfs("/proc/fs"))
    machine = scene.machine

    def cover() -> None:
        syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS)
        syscalls.mount("mask", "/proc/fs", "tmpfs", 0)

    actor = machine._start(machine._enter, cover)
    assert not audit(scene.seen(actor), [by_id("MNT019")]).findings
