"""Real mounts on the real kernel, in throwaway namespaces."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from mntscope import kernel
from tests.benchmarks.timing import Times
from tests.throwaway import ROOT, Actor, Host

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
    kernel.mount("many", str(directory), "tmpfs", 0, "mode=755")
    kernel.mount(None, str(directory), None, kernel.MS_PRIVATE)
    last = directory
    for index in range(1, number):
        place = directory / POD.format(index // 8, index)
        place.mkdir(parents=True)
        if index % 8 == 1:
            kernel.mount("tmpfs", str(place), "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=64m,mode=755")
            kernel.mount(None, str(place), None, kernel.MS_PRIVATE)
            last = place
        else:
            kernel.mount(str(last), str(place), None, kernel.MS_BIND)
        kernel.mount(None, str(place), None, kernel.MS_SHARED)
        if index % 8 == 1:
            # What is bound from a shared mount is its peer, and would be one of a group that grows.
            kernel.mount(None, str(place), None, kernel.MS_PRIVATE)


def with_mounts(host: Host, directory: Path, number: int) -> Actor:
    """A process in a namespace of its own in which all there is are *number* mounts, near enough."""
    directory.mkdir(exist_ok=True)
    return host.unshare("private", lambda: mount_many(directory, number))


def slaves(host: Host, directory: Path, number: int) -> Actor:
    """A process in a namespace of slaves: of *number* binds of one filesystem, which are peers on the host."""

    def bind() -> None:
        kernel.mount("none", str(directory), "tmpfs", 0)
        kernel.mount(None, str(directory), None, kernel.MS_PRIVATE)
        source = directory / "source"
        source.mkdir()
        kernel.mount("one", str(source), "tmpfs", 0)
        kernel.mount(None, str(source), None, kernel.MS_SHARED)
        for place in (directory / str(index) for index in range(number - 2)):
            place.mkdir()
            kernel.mount(str(source), str(place), None, kernel.MS_BIND)

    host.call(bind)
    return host.unshare("slave")


def mounts_of(actor: Actor) -> int:
    """How many mounts a process sees."""
    return Path(f"/proc/{actor.pid}/mountinfo").read_bytes().count(b"\n")


def timed_in(host: Host, commands: Mapping[str, Sequence[str]], runs: int, *, terminal: Sequence[str] = ()) -> Times:
    """The times of command lines that run on the throwaway host."""
    arguments = {"commands": commands, "runs": runs, "terminal": terminal}
    done = host.run(
        [sys.executable, "-m", "tests.benchmarks.timing"], input=json.dumps(arguments), cwd=ROOT, timeout=3600
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "the timing ended early")
    return cast("Times", json.loads(done.stdout))
