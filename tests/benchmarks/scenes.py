"""Real mounts on the real kernel, in throwaway namespaces."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from mntscope.kernel import syscalls
from tests.benchmarks.timing import Times
from tests.support.repository import ROOT
from tests.support.throwaway import Actor, Host

POD = (
    "var/lib/kubelet/pods/{0:08x}-5f3a-4c1e-9d0b-7a6e2f{0:06x}/volumes/kubernetes.io~projected/kube-api-access-{1:05x}"
)
"""Paths as long as those on a machine with many mounts."""


@contextmanager
def hosts(*, own_pids: bool) -> Iterator[Host]:
    """A throwaway host; with *own_pids* its pid 1 is there too, as on a machine."""
    host = Host(own_pids=own_pids)
    try:
        yield host
    finally:
        host.close()


def mount_many(directory: Path, number: int) -> None:
    """That many mounts below *directory*, each a peer group of its own: every eighth a filesystem, else binds of it."""
    syscalls.mount("many", str(directory), "tmpfs", 0, "mode=755")
    syscalls.mount(None, str(directory), None, syscalls.MS_PRIVATE)
    last = directory
    for index in range(1, number):
        place = directory / POD.format(index // 8, index)
        place.mkdir(parents=True)
        if index % 8 == 1:
            syscalls.mount("tmpfs", str(place), "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "size=64m,mode=755")
            syscalls.mount(None, str(place), None, syscalls.MS_PRIVATE)
            last = place
        else:
            syscalls.mount(str(last), str(place), None, syscalls.MS_BIND)
        syscalls.mount(None, str(place), None, syscalls.MS_SHARED)
        if index % 8 == 1:
            # What is bound from a shared mount is its peer, and would be one of a group that grows.
            syscalls.mount(None, str(place), None, syscalls.MS_PRIVATE)


def with_mounts(host: Host, directory: Path, number: int) -> Actor:
    """A process in a namespace of its own in which all there is are *number* mounts, near enough."""
    directory.mkdir(exist_ok=True)
    return host.unshare("private", lambda: mount_many(directory, number))


def slaves(host: Host, directory: Path, number: int) -> Actor:
    """A process in a namespace of slaves: of *number* binds of one filesystem, which are peers on the host."""

    def bind() -> None:
        syscalls.mount("none", str(directory), "tmpfs", 0)
        syscalls.mount(None, str(directory), None, syscalls.MS_PRIVATE)
        source = directory / "source"
        source.mkdir()
        syscalls.mount("one", str(source), "tmpfs", 0)
        syscalls.mount(None, str(source), None, syscalls.MS_SHARED)
        for place in (directory / str(index) for index in range(number - 2)):
            place.mkdir()
            syscalls.mount(str(source), str(place), None, syscalls.MS_BIND)

    host.call(bind)
    return host.unshare("slave")


def mounts_of(actor: Actor) -> int:
    """How many mounts a process sees."""
    return Path(f"/proc/{actor.pid}/mountinfo").read_bytes().count(b"\n")


def timed_in(
    host: Host,
    commands: Mapping[str, Sequence[str]],
    runs: int,
    *,
    terminal: Sequence[str] = (),
    processor: bool = False,
) -> Times:
    """The times of command lines that run on the throwaway host."""
    arguments = {"commands": commands, "runs": runs, "terminal": terminal, "processor": processor}
    done = host.run(
        [sys.executable, "-m", "tests.benchmarks.timing"], input=json.dumps(arguments), cwd=ROOT, timeout=3600
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "the timing ended early")
    return cast("Times", json.loads(done.stdout))
