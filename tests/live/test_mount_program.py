"""Which mount(8) a namespace has: read from what is there, whatever that is, and never run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mntscope.kernel import syscalls
from mntscope.live import capture
from mntscope.live.mount_program import LARGEST, with_mount_programs
from tests.support.dead import dead_filesystem
from tests.support.throwaway import Host

MARKED = b"\x7fELF...\0util-linux 2.41.1\0..."


def on_bin(make: Callable[[Path], None]) -> Callable[[], None]:
    """A container whose own /usr/bin holds what *make* puts there, and nothing else has a mount(8)."""

    def set_up() -> None:
        syscalls.mount("none", "/mnt", "tmpfs", 0)
        for directory in ("usr/bin", "bin"):
            Path("/mnt", directory).mkdir(parents=True, exist_ok=True)
        make(Path("/mnt/usr/bin/mount"))
        os.chroot("/mnt")
        os.chdir("/")

    return set_up


def marked(path: Path) -> None:
    path.write_bytes(MARKED)


def other_program(path: Path) -> None:
    path.write_bytes(b"#!/bin/sh\nexec sleep 1000\n")


def busybox(path: Path) -> None:
    # As Alpine has it: an absolute link, of the container's root directory.
    path.symlink_to("/bin/busybox")
    Path("/mnt/bin/busybox").write_bytes(b"... BusyBox v1.36.1 (2024-06-10 07:11:47 UTC)\0")


def loop_of_links(path: Path) -> None:
    path.symlink_to("/usr/bin/mount")


def without_end(path: Path) -> None:
    path.write_bytes(MARKED)
    os.truncate(path, LARGEST + 1)


def device(path: Path) -> None:
    path.touch()
    syscalls.mount("/dev/zero", str(path), None, syscalls.MS_BIND)


def link_out(path: Path) -> None:
    path.symlink_to("../../../../../../usr/bin/mount")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (marked, "util-linux 2.41.1"),
        (busybox, "BusyBox 1.36.1"),
        (other_program, None),
        (loop_of_links, None),
        (without_end, None),
        (device, None),
        (os.mkfifo, None),
        (link_out, None),
        (lambda _: None, None),
    ],
)
def test_what_a_container_has_for_a_mount_program(
    machine: Host, make: Callable[[Path], None], expected: str | None
) -> None:
    box = machine.unshare("private", on_bin(make))
    snapshot = machine.call(lambda: with_mount_programs(capture(), [str(box.inner)]))
    assert snapshot.view(box.inner).namespace.mount_program == expected
    assert snapshot.host.namespace.mount_program is None


@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no mount(8)")
def test_the_hosts_is_the_one_that_runs_there(machine: Host) -> None:
    host = machine.call(lambda: with_mount_programs(capture())).host
    assert host.namespace.mount_program is not None
    assert host.namespace.mount_program.split()[0] in ("util-linux", "BusyBox")


def test_a_filesystem_that_does_not_answer_costs_only_its_own(machine: Host) -> None:
    dead = machine.unshare("private", dead_filesystem("/usr"))
    alive = machine.unshare("private", on_bin(marked))
    labels = [str(alive.inner), str(dead.inner)]
    snapshot = machine.call(lambda: with_mount_programs(capture(), labels))
    assert [snapshot.view(label).namespace.mount_program for label in labels] == ["util-linux 2.41.1", None]
