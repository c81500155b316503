"""Where a directory that a namespace shows lies on the host, and which of its mounts came together."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice

from mntscope.graph import MountTree, path_at
from mntscope.graph.root_index import RootIndex
from mntscope.graph.severity import KERNEL_FILESYSTEMS
from mntscope.model import Mount

MOST = 16
"""So many of the host's mounts are looked at for one directory. Honest hosts have one or two."""


class HostPaths:
    """The host's mounts that can be reached by a path, by the directories that they show."""

    def __init__(self, host: MountTree) -> None:
        self._host = host
        by_root: dict[str, dict[str, list[Mount]]] = {}
        for mount in host.mounts:
            if mount.fs_type not in KERNEL_FILESYSTEMS and not host.hidden(mount):
                same = by_root.setdefault(mount.device, {}).setdefault(mount.root, [])
                if len(same) < MOST:
                    same.append(mount)
        self._by_root = {device: RootIndex(roots) for device, roots in by_root.items()}
        self._found: dict[tuple[str, str], Sequence[tuple[Mount, str]]] = {}

    def of(self, mount: Mount) -> Sequence[tuple[Mount, str]]:
        """The host's mounts that show the root of *mount*, each with the path, the closest first.

        None for filesystems of the kernel, which are the same directory for everyone, and what else a container mounts
        afresh.
        """
        # What is copied into many namespaces shows the same directory in each.
        found = self._found.get((mount.device, mount.root))
        if found is None:
            found = self._found[mount.device, mount.root] = tuple(self._showing(mount.device, mount.root))
        return found

    def _showing(self, device: str, root: str) -> Iterator[tuple[Mount, str]]:
        index = self._by_root.get(device)
        showing = (host for hosts in index.containing(root) for host in hosts) if index is not None else ()
        for host in islice(showing, MOST):
            path = path_at(host, root)
            if path is not None and self._host.leads_into(host, path):
                yield host, path


def together(tree: MountTree, mounts: Collection[Mount]) -> list[list[Mount]]:
    """Each topmost of *mounts*, with those that lie in it: a recursive bind brought them along."""
    above: dict[Mount, Mount] = {}
    found: dict[Mount, list[Mount]] = {}
    for _, mount in tree.walk() if mounts else ():
        parent = tree.parent(mount)
        top = above.get(parent) if parent is not None else None
        if top is None and mount in mounts:
            top = mount
        if top is not None:
            above[mount] = top
            if mount in mounts:
                found.setdefault(top, []).append(mount)
    return list(found.values())
