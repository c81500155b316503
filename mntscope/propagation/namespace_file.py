"""The files of namespaces, which keep them alive where they are mounted: nsfs.

A link in ``/proc/PID/ns`` leads to a file of nsfs, whose own mount is in no namespace and in no table. A bind of it is
a mount of nsfs whose root is no path: ``net:[4026531840]``.
"""

from __future__ import annotations

from mntscope.propagation.mounts import FsRoot
from mntscope.propagation.world import World


def nsfs_device(world: World) -> str:
    """The device number of nsfs, of which there is one: as a view shows it, else that of a usual boot."""
    mounts = (mount for view in world.snapshot.views for mount in view.mounts)
    return next((mount.device for mount in mounts if mount.fs_type == "nsfs"), "0:4")


def mnt_ns_loop(world: World, actor: FsRoot, nsfs: str) -> bool:
    """Whether it is the file of a mount namespace that is not younger than the caller's, by its ID.

    Only older ones may keep younger ones alive, so that none ever keeps itself: fs/namespace.c, mnt_ns_loop(). Each
    processor hands out IDs from a block of its own (Linux 6.18), so one that is younger may have the lower.
    """
    if not nsfs.startswith("mnt:["):
        return False
    named, own = nsfs.removeprefix("mnt:[").removesuffix("]"), actor.view.namespace
    roots = world.fs_roots
    of = next((root for label, root in roots.items() if named in (label, str(root.view.namespace.inode))), None)
    if of is not None:
        if of.namespace is actor.namespace:
            return True
        its = of.view.namespace
        if own.id is not None and its.id is not None:
            return own.id >= its.id
        if of.view.label == world.snapshot.host_label:
            return True
        if its.inode is None and actor.view.label == world.snapshot.host_label:
            return False  # A command has just made it, and the host's was the first.
    if actor.view.label != world.snapshot.host_label:
        world.uncertain[
            f"whether {nsfs} is younger than the mount namespace in which its file would be mounted cannot be told: "
            "if it is not, this fails with EINVAL"
        ] = None
    return False
