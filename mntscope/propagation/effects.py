"""The difference an operation made: which mounts of which views came, went, moved or changed."""

from __future__ import annotations

from collections.abc import Iterator

from mntscope.graph import first_of_namespace
from mntscope.model import Mount, View
from mntscope.propagation.outcome import Effect
from mntscope.snapshot import Snapshot


def effects(before: Snapshot, after: Snapshot, actor: str) -> tuple[Effect, ...]:
    """Every effect, view by view in the order of the snapshot; those of the actor's own namespace included."""
    own = own_labels(before, actor)
    old = {view.label: view for view in before.views}
    new = {view.label: view for view in after.views}
    found: list[Effect] = []
    for label in dict.fromkeys([*old, *new]):
        if old.get(label) is not new.get(label):
            found += _in_view(label, old.get(label), new.get(label), crosses=label in old and label not in own)
    return tuple(found)


def own_labels(snapshot: Snapshot, actor: str) -> set[str]:
    """The labels of all views of the namespace in which *actor* acts."""
    first = dict(zip((view.label for view in snapshot.views), first_of_namespace(snapshot.views), strict=True))
    return {label for label, number in first.items() if number == first[snapshot.view(actor).label]}


def _in_view(label: str, old: View | None, new: View | None, *, crosses: bool) -> Iterator[Effect]:
    crosses = crosses and not (old or new).detached  # type: ignore[union-attr]
    was = {mount.mount_id: mount for mount in old.mounts} if old else {}
    now = {mount.mount_id: mount for mount in new.mounts} if new else {}
    for number, mount in was.items():
        if number not in now:
            yield Effect(label, "umount", mount.mount_point, mount, None, crosses)
    moved: set[int] = set()
    for number, mount in now.items():
        before = was.get(number)
        if before is None:
            yield Effect(label, "mount", mount.mount_point, None, mount, crosses)
            continue
        if before is mount:
            continue
        if before.mount_point != mount.mount_point:
            moved.add(number)
            # What is mounted below a moved mount only goes along.
            if mount.parent_id != before.parent_id or mount.parent_id not in moved:
                yield Effect(label, "move", mount.mount_point, before, mount, crosses)
        if facts(before) != facts(mount):
            yield Effect(label, "propagation", mount.mount_point, before, mount, crosses)
        if (before.options, before.super_options) != (mount.options, mount.super_options):
            yield Effect(label, "remount", mount.mount_point, before, mount, crosses)


def facts(mount: Mount) -> tuple[int | None, int | None, bool]:
    """What its propagation type follows from: peer group, master, unbindable."""
    return mount.peer_group, mount.master, mount.unbindable
