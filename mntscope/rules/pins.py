"""What a namespace keeps of the host's mounts after the host has unmounted them."""

from __future__ import annotations

from mntscope.base.records import dataclass
from mntscope.graph import Place
from mntscope.model import Mount, View
from mntscope.rules.machine import Machine

NETWORK = frozenset({
    "9p", "afs", "ceph", "cifs", "fuse", "fuseblk", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "virtiofs",
    "zfs",
})  # fmt: skip
"""Filesystems of a server, a program or a pool that cannot go away while they are mounted; and ``fuse.*``."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """A mount of a namespace, and that of the host which it outlives."""

    mount: Mount
    host: Mount


class Pins:
    """Finds what namespaces keep of the host's."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._host = machine.tree(machine.host.label)
        # What holds the host's "/" is never unmounted.
        never = {mount.device for mount in self._host.mounts if mount.mount_point == "/"}
        self._at: dict[tuple[str, Place | None], Mount] = {}
        for mount in self._host.mounts:
            if occupies(mount) and mount.device not in never:
                self._at[mount.device, self._host.mounted_on(mount)] = mount

    def of(self, view: View) -> list[Pinned]:
        """What *view* would keep, each mount before those below it."""
        tree = self._machine.tree(view.label)
        found = []
        for _, mount in tree.walk() if self._at else ():
            place = tree.mounted_on(mount)
            host = self._at.get((mount.device, place))
            if place is not None and host is not None and not self._follows(view, tree.parent(mount), host):
                found.append(Pinned(mount, host))
        return found

    def _follows(self, view: View, parent: Mount | None, host: Mount) -> bool:
        """Whether *parent* receives the umount of *host*: what it has at that place goes with it."""
        graph = self._machine.graph
        above = self._host.parent(host)
        reach = None if above is None else graph.reach(above)
        if reach is None or parent is None or (parent.peer_group is None and parent.master is None):
            return False
        return reach.low <= graph.position(graph.number(view.label), parent) < reach.high


def occupies(mount: Mount) -> bool:
    """Whether somebody is to unmount it before a device, a server or a pool can go."""
    on_disk = not mount.device.startswith("0:") or mount.source.startswith("/dev/")
    return on_disk or mount.fs_type in NETWORK or mount.fs_type.startswith("fuse.")
