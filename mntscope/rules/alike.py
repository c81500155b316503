"""Predictions for namespaces that are alike: what was found of one is true of all, but for the numbers of mounts.

Copies of a mount namespace (CLONE_NEWNS) differ in nothing else, and a machine may have hundreds of them.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from mntscope.base.records import NamedTuple, replace
from mntscope.model import Mount, View
from mntscope.propagation import Effect, Operation
from mntscope.propagation.world import free_id
from mntscope.snapshot import Snapshot


class Predicted(NamedTuple):
    """Effects, and the lowest mount ID that was free for what they create."""

    effects: tuple[Effect, ...]
    free: int

    def elsewhere(self, world: Snapshot) -> tuple[Effect, ...]:
        """The effects of the same operation in a *world* of the same :func:`likeness`."""
        shift = free_id(world) - self.free
        return tuple(
            [
                replace(effect, before=self._shifted(effect.before, shift), after=self._shifted(effect.after, shift))
                for effect in self.effects
            ]
        )

    def _shifted(self, mount: Mount | None, shift: int) -> Mount | None:
        if mount is None or mount.mount_id < self.free:
            return mount
        parent_id = mount.parent_id + (shift if mount.parent_id >= self.free else 0)
        return replace(mount, mount_id=mount.mount_id + shift, parent_id=parent_id)


def likeness(world: Snapshot, operation: Operation) -> Hashable | None:
    """What *operation* does to others than its own namespace hangs on, in *world*; equal where that is the same.

    ``None`` where there is more to it. Which mounts are locked is guessed by their IDs, where owners differ; and of
    several views of one namespace each shows a part.
    """
    acting = world.view(operation.ns)
    inodes = [view.namespace.inode for view in world.views]
    owners = {view.namespace.user_namespace for view in world.views}
    if world.handles or len(owners) > 1 or None in inodes or inodes.count(acting.namespace.inode) > 1:
        return None
    others = tuple([None if view is acting else view.label for view in world.views])
    return replace(operation, ns=""), others, acting.detached, _table(acting)


def _table(view: View) -> Sequence[tuple[Hashable, ...]]:
    """The mounts of a view, with numbers in place of the IDs: those in which they are first named."""
    numbers: dict[int, int] = {}
    number = numbers.setdefault
    return tuple(
        [
            (
                number(mount.mount_id, len(numbers)),
                number(mount.parent_id, len(numbers)),
                mount.device,
                mount.root,
                mount.mount_point,
                mount.options,
                mount.fs_type,
                mount.source,
                mount.super_options,
                mount.peer_group,
                mount.master,
                mount.propagate_from,
                mount.unbindable,
                mount.lock,
            )
            for mount in view.mounts
        ]
    )
