"""Machines of any size, as snapshots, in the shapes that find what grows too fast.

Each is a host and others, with *mounts* mounts in all; half are the host's but for :func:`fleet`.
"""

from __future__ import annotations

from collections.abc import Callable

from mntscope.model import Mount, Namespace, Owner, Process, View
from mntscope.snapshot import Snapshot

OPTIONS, SUPER = ("rw", "nosuid", "nodev", "relatime"), ("rw", "size=65536k", "mode=755")


def wide(mounts: int) -> Snapshot:
    """Every mount a child of ``/``, of a filesystem of its own: a host, and a peer of every mount of it."""
    return _two(mounts, lambda index: (0, f"/var/lib/kubelet/pods/{index:08x}/volumes/data", f"0:{index + 50}", index))


def deep(mounts: int) -> Snapshot:
    """Chains of a hundred, each mount on a directory of the one before."""

    def place(index: int) -> tuple[int, str, str, int]:
        chain, depth = divmod(index - 1, 100)
        return (index - 1 if depth else 0), f"/chain-{chain}" + "/d" * depth, f"0:{index + 50}", index

    return _two(mounts, place)


def stacked(mounts: int) -> Snapshot:
    """All on one place, each covering the one before: a script that ran too often."""
    return _two(mounts, lambda index: (index - 1, "/mnt/backup", f"0:{index + 50}", index))


def one_group(mounts: int) -> Snapshot:
    """Binds of one filesystem, all peers of each other."""
    return _two(mounts, lambda index: (0, f"/binds/{index}", "0:50", 1))


def fleet(mounts: int) -> Snapshot:
    """Namespaces of eighty mounts: peers, slaves and private ones of a host in turn, as on a machine of containers."""
    return Snapshot(tuple(_member(number) for number in range(mounts // 80)), "host", kernel="6.18.0")


SHAPES: dict[str, Callable[[int], Snapshot]] = {
    "wide": wide,
    "deep": deep,
    "stacked": stacked,
    "one group": one_group,
    "fleet": fleet,
}

Place = Callable[[int], tuple[int, str, str, int]]
"""Of a mount by its number, counted from one: the number of its parent, its mount point, device and peer group."""


def _two(mounts: int, place: Place) -> Snapshot:
    return Snapshot(
        (_copy("host", 1, mounts // 2, place), _copy("4711", 1_000_000, mounts // 2, place)),
        "host",
        kernel="6.18.0",
    )


def _copy(label: str, first: int, mounts: int, place: Place) -> View:
    table = [Mount(first, 0, "8:1", "/", "/", OPTIONS, "ext4", "/dev/sda1", ("rw",), 9_000_000)]
    for index in range(1, mounts):
        parent, path, device, group = place(index)
        table.append(
            Mount(
                first + index,
                first + parent,
                device,
                "/",
                path,
                OPTIONS,
                "tmpfs",
                "tmpfs",
                SUPER,
                group,
            )
        )
    return _view(label, table, None)


def _member(number: int) -> View:
    first = 1 + number * 80
    kind = number % 3 if number else 0
    table = [Mount(first, 0, f"0:{number + 1000}", "/", "/", OPTIONS, "overlay", "overlay", SUPER)]
    for index in range(1, 80):
        sharing = (index, None) if kind == 0 else (None, index) if kind == 1 else (None, None)
        path = f"/var/lib/volumes/{index:04}/data"
        table.append(Mount(first + index, first, f"0:{index}", "/", path, OPTIONS, "tmpfs", "tmpfs", SUPER, *sharing))
    return _view(
        "host" if number == 0 else str(4710 + number), table, None if number == 0 else Owner("docker", f"web-{number}")
    )


def _view(label: str, table: list[Mount], owner: Owner | None) -> View:
    process = Process(1 if label == "host" else int(label), comm="systemd" if label == "host" else "web")
    space = Namespace(4026531840 + process.pid, None, None, (process,), owner)
    return View(label, tuple(table), space, process)
