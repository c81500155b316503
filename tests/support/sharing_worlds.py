"""Machines whose namespaces share mounts, for the drawings of the peer graph.

``World`` writes one down in the terms of mount_namespaces(7)::

    world = World("/", "/var")                # the host, both shared
    world.add("web", "slave")                 # a namespace that has slaves of both
    world.add("tool", "shared", only=["/"])   # a peer of "/" alone
    world.snapshot()

``HOSTILE`` are names that would do something if anything obeyed them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mntscope.model import Mount, Namespace, Owner, Process, View
from mntscope.snapshot import Snapshot

HOSTILE = (
    "<script>alert(1)</script>",
    "</title></style></script><img src=x onerror=alert(1)>",
    '"];\nn0 -> n1 [label="',
    "'\"&amp;&#x22;\\n\\",
    "\x1b]0;owned\x07\x1b[2J",
    "\u202egnp.exe\u2066",
    "]]><!--",
    "#quot;`**bold**` end --> n9",
    "\udcff\ufffe\0\x01",
    "x" * 65536,
)

Sharing = Literal["shared", "slave", "shared,slave", "private"]


class World:
    """A host with shared mounts at *paths*, each of a device of its own, and whoever is added."""

    def __init__(self, *paths: str) -> None:
        self.paths = paths
        self._ids = 0
        self._groups = len(paths)
        self.views = [self._view("host", "shared", paths, None, "systemd")]

    def add(
        self,
        label: str,
        sharing: Sharing,
        *,
        only: Sequence[str] | None = None,
        owner: Owner | None = None,
        roots: str = "/",
        comm: str = "",
    ) -> World:
        """A namespace that has the host's mounts, or *only* some, in this relation to the host's."""
        self.views.append(self._view(label, sharing, self.paths if only is None else only, owner, comm, roots))
        return self

    def snapshot(self) -> Snapshot:
        """All of it."""
        return Snapshot(tuple(self.views), "host")

    def _view(
        self, label: str, sharing: Sharing, paths: Sequence[str], owner: Owner | None, comm: str, roots: str = "/"
    ) -> View:
        mounts = []
        for path in paths:
            number = self.paths.index(path) + 1
            self._ids += 1
            peer_group = number if sharing == "shared" else None
            if sharing == "shared,slave":
                self._groups += 1
                peer_group = self._groups
            mounts.append(
                Mount(
                    mount_id=self._ids,
                    parent_id=0,
                    device=f"0:{number}",
                    root=roots,
                    mount_point=path,
                    options=("rw",),
                    fs_type="tmpfs",
                    source="none",
                    super_options=("rw",),
                    peer_group=peer_group,
                    master=number if sharing in ("slave", "shared,slave") else None,
                )
            )
        number = len(getattr(self, "views", ()))
        process = Process(4000 + number, start_time=1, comm=comm)
        return View(label, tuple(mounts), Namespace(inode=5000 + number, processes=(process,), owner=owner), process)


def hostile_world() -> Snapshot:
    """One whose names are all :data:`HOSTILE`."""
    world = World("/", *(f"/{name}" for name in HOSTILE))
    for number, name in enumerate(HOSTILE):
        sharing: Sharing = ("shared", "slave", "shared,slave")[number % 3]
        world.add(f"{name}{number}", sharing, owner=Owner(name, name) if number % 2 else None, comm=name)
    return world.snapshot()


def large_world(namespaces: int) -> Snapshot:
    """One of units that receive, containers that share, and copies of everything."""
    world = World("/", "/proc", "/run", "/var", *(f"/var/lib/kubelet/pods/{number:03}/volume" for number in range(20)))
    for number in range(namespaces - 1):
        name = f"app-{number}"
        match number % 5:
            case 0 | 1:
                world.add(name, "slave", owner=Owner("unit", f"{name}.service"))
            case 2:
                world.add(name, "shared,slave", owner=Owner("snap", name))
            case 3:
                world.add(name, "shared", only=["/var"], owner=Owner("docker", name))
            case _:
                world.add(name, "private", owner=Owner("docker", name))
    return world.snapshot()
