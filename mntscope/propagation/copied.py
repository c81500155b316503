"""Which mounts of a namespace are likely to be locked: those that were copied when it was made.

The kernel locks all that it copies into a namespace of another owner (copy_mnt_ns() in fs/namespace.c), and shows the
lock to nobody. But the copies are the first mounts of their namespace, so they come first in its table; and they are
made in one go, each with the lowest free mount ID, so their IDs ascend. What is mounted later comes after them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from mntscope.model import Mount, View
from mntscope.snapshot import Snapshot


def likely_copies(view: View, snapshot: Snapshot) -> Iterator[int]:
    """The mount IDs of those that are likely to have been copied from a namespace of another owner.

    Each is mounted there too, at the same place; so are the namespace's root, which a container has left, and all that
    come before it in the table. What the other has mounted since, and the namespace received, is told by its ID.
    """
    others = [other for other in snapshot.views if other.namespace.user_namespace != view.namespace.user_namespace]
    runs = (list(_run(view, other)) for other in others if other.namespace.user_namespace is not None)
    longest = max(runs, key=len, default=[])
    used = {mount.mount_id for seen in snapshot.views for mount in seen.mounts}
    before = 0
    received: list[int] = []
    for mount, original in longest:
        if before < original < mount.mount_id and used.issuperset(range(original, mount.mount_id)):
            # IDs as of one event: the other's mount, then its copies. Unless more copies of the first hour follow.
            received.append(mount.mount_id)
        else:
            yield from received
            received.clear()
            yield mount.mount_id
        before = mount.mount_id


def _run(view: View, other: View) -> Iterator[tuple[Mount, int]]:
    """The first mounts of the table that *other* has too, while their IDs ascend; each with the ID it has there."""
    originals: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for mount in reversed(other.mounts):
        originals[mount.device, mount.root, mount.mount_point].append(mount.mount_id)
    before = 0
    for mount in view.mounts:
        same = originals[mount.device, mount.root, mount.mount_point]
        if not same or mount.mount_id < before:
            return
        yield mount, same.pop()
        before = mount.mount_id
