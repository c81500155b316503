"""What an umount takes along in other namespaces, as kernels before 6.17 find it out.

fs/pnode.c, propagate_umount() of Linux 4.13 to 6.16. Receivers are looked at in the order of the events, and a mount is
given up as soon as nothing is left on it; the kernel's own lists are kept here as sets in order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mntscope.propagation.mounts import KernelMount
from mntscope.propagation.world import World

Mounts = dict[KernelMount, None]
"""A set in order."""


def propagate_umount(
    world: World, umount_set: Mounts, candidates: Mapping[KernelMount, Sequence[KernelMount]]
) -> tuple[Mounts, Mounts]:
    """All that goes with *umount_set*, and what stays and is put in the place of a stack that goes.

    *candidates* are, for each of the set, the mounts of the receivers at its place, in the order of the event.
    """
    walk = _Walk(world, umount_set)
    for mount in umount_set:
        if mount not in walk.visited:
            walk.visited.add(mount)
            for candidate in candidates[mount]:
                walk.visit(candidate)
    walk.umount_list()
    return {**umount_set, **walk.to_umount}, walk.restore_mounts()


class _Walk:
    def __init__(self, world: World, umount_set: Mounts) -> None:
        self._world = world
        self._umount_set = umount_set
        self.visited: set[KernelMount] = set()
        """Those in a list by ``mnt_umounting``."""
        self.to_umount: Mounts = {}
        self._to_restore: Mounts = {}
        self._marked: set[KernelMount] = set()
        """MNT_MARKED: nothing that stays is mounted on it, so it goes unless it is locked."""

    def visit(self, candidate: KernelMount) -> None:
        """Give a candidate up if nothing holds it, then what it is mounted on, and so on."""
        if candidate in self.visited:
            return
        if self._goes(candidate):
            self.visited.add(candidate)
            return
        mount: KernelMount | None = candidate
        while mount is not None and self._umount_if_free(mount):
            mount = mount.parent
            if mount not in self.visited:
                return

    def _umount_if_free(self, mount: KernelMount) -> bool:
        """Whether its parent's state may have changed: __propagate_umount()."""
        if self._goes(mount) or mount in self._marked:
            return False
        for child in mount.children:
            # An overmount does not count: it slides down when the mount goes.
            counts = not self._goes(child) and child.mountpoint != mount.root
            if counts and not (child in self.visited and child in self._marked):
                self._keep(mount)
                return False
        self._marked.add(mount)
        if self._world.is_locked(mount):
            self._keep(mount)
        else:
            self._umount_one(mount)
        return True

    def umount_list(self) -> None:
        """What is mounted, locked, in what goes, goes as well."""
        pending = list(self.to_umount)
        for mount in pending:
            for child in list(mount.children):
                if self._goes(child):
                    continue
                if child.mountpoint == mount.root:
                    self._keep(child)
                else:
                    self._umount_one(child)
                    pending.append(child)

    def restore_mounts(self) -> Mounts:
        """Put what stays on a stack that goes in the place of that stack; gives those that were."""
        places = {}
        for mount in self._to_restore:
            bottom, parent = mount, mount.parent
            while parent is not None and self._goes(parent):
                bottom, parent = parent, parent.parent
            if parent is not None and parent is not mount.parent:
                places[mount] = (bottom, parent, bottom.mountpoint)
        for mount, (bottom, parent, mountpoint) in places.items():
            mount.detach()
            bottom.detach()
            mount.attach_to(parent, mountpoint)
        return dict.fromkeys(places)

    def _goes(self, mount: KernelMount) -> bool:
        """MNT_UMOUNT."""
        return mount in self._umount_set or mount in self.to_umount

    def _keep(self, mount: KernelMount) -> None:
        self._to_restore.pop(mount, None)
        self._to_restore[mount] = None
        self.visited.add(mount)

    def _umount_one(self, mount: KernelMount) -> None:
        self._marked.discard(mount)
        self.visited.discard(mount)
        self._to_restore.pop(mount, None)
        self.to_umount[mount] = None
