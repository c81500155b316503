"""What somebody did, with all its consequences: changes of single mounts, put together as the kernel made them.

An *act* is one system call. Its first change is what was asked for; the others follow from it, because what changed was
a tree, or because the mount it was mounted on passes its events on: to the same place of the same filesystem, in its
peers and its slaves. Acts that follow each other may look alike, as two binds of one directory to two others do: what
tells them apart is the *place*, which is another.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from mntscope.base.paths import under
from mntscope.base.records import NamedTuple
from mntscope.model import Mount
from mntscope.watch.events import Who

ChangeKind = Literal["mount", "umount", "move", "propagation", "remount"]


class Change(NamedTuple):
    """One mount of one namespace that came, went, moved or became another."""

    kind: ChangeKind
    namespace: int
    """The key of the namespace; 0 where the mount was gone before it could be looked at."""
    key: int
    """Of the mount."""
    before: Mount | None
    after: Mount | None
    who: Who | None = None
    parent: int | None = None
    """The key of what it is (or was) mounted on, where there is such a mount."""
    place: tuple[str, str] | None = None
    """The device and the path in that filesystem where it is (or was) mounted."""

    @property
    def mount(self) -> Mount | None:
        """As it is, or was last; ``None`` where nobody saw it."""
        return self.after or self.before


class Act:
    """A change that was asked for, and those that follow from it."""

    def __init__(self, first: Change, inode: int = 0) -> None:
        self.first = first
        self.inode = inode
        """Of the mount namespace of who did it; 0 where that is not known."""
        self.changes = [first]
        self.beside: list[Change] = []
        """What became another with them, and nothing is told of."""
        self._mounts = {first.key}
        self._places = {_what(first)}
        self._parents = {(first.namespace, first.parent)}

    def add(self, change: Change) -> None:
        """One more that follows from it."""
        self.changes.append(change)
        self._mounts.add(change.key)
        self._places.add(_what(change))
        self._parents.add((change.namespace, change.parent))

    def follow(self, changes: Iterable[Change]) -> None:
        """What became another with the last change."""
        self.beside += changes

    @property
    def all(self) -> list[Change]:
        """All that is another since."""
        return [*self.changes, *self.beside]

    def brings(self, change: Change) -> bool:
        """Whether the kernel would make *change*, right after those that it has made, for this act."""
        first = self.first
        if _pid(change) != _pid(first):
            return False
        if change.mount is None or first.mount is None:
            # What had gone before anybody looked: as many as come at once.
            return change.mount is None and change.kind == first.kind
        if change.kind in ("propagation", "remount") or first.kind in ("propagation", "remount"):
            return change.kind == first.kind and self._retypes(change)
        if change.kind == "move":
            # pivot_root(2) moves two.
            return first.kind == "move" and change.namespace == first.namespace and self._pivots(change)
        if change.kind != first.kind and not (first.kind == "move" and change.kind == "mount"):
            return False
        if change.parent in self._mounts:
            # Of the same tree, unless it is the same once more, on top of itself.
            return change.kind == "umount" or not self._stacked(change)
        if change.place is None or _what(change) not in self._places:
            return False
        return change.kind == "umount" or (change.namespace, change.parent) not in self._parents

    def _stacked(self, change: Change) -> bool:
        """Whether it covers the whole of a mount of this act with the same directory."""
        under_it = next((each.mount for each in self.changes if each.key == change.parent), None)
        mount = change.mount
        return (
            under_it is not None
            and mount is not None
            and under_it.mount_point == mount.mount_point
            and (under_it.device, under_it.root) == (mount.device, mount.root)
        )

    def _pivots(self, change: Change) -> bool:
        points = {each.after.mount_point for each in (*self.changes, change) if each.after is not None}
        return "/" in points

    def _retypes(self, change: Change) -> bool:
        first = self.first.before, self.first.after
        mount, was = change.after, change.before
        if first[0] is None or first[1] is None or mount is None or was is None:
            return False
        if change.kind == "remount":
            # The options of a filesystem are those of all its mounts.
            return mount.device == first[1].device and mount.super_options != was.super_options
        if change.namespace == self.first.namespace and under(mount.mount_point, first[1].mount_point):
            # Of the tree below, with MS_REC.
            return mount.propagation == first[1].propagation
        groups = {
            (each.before.device, group)
            for each in self.changes
            if each.before is not None
            for group in (each.before.peer_group, each.before.master)
            if group is not None
        }
        # Another master, where the one before has lost its last member: no type changes.
        return mount.propagation == was.propagation and (was.device, was.master) in groups


def acts(changes: Iterable[Change]) -> list[Act]:
    """*changes* in the order in which the kernel told of them, as acts: those of one follow each other."""
    found: list[Act] = []
    for change in changes:
        if found and found[-1].brings(change):
            found[-1].add(change)
        else:
            found.append(Act(change))
    return found


def unordered_acts(changes: Iterable[Change]) -> list[Act]:
    """The same of changes that were found all at once, in no order: each act begins with what may have been asked for.

    That is what is mounted on a mount with no master, of those the first; who was it of several peers nobody can tell.
    """
    found: list[Act] = []
    for change in sorted(changes, key=_order):
        for act in found:
            if act.brings(change):
                act.add(change)
                break
        else:
            found.append(Act(change))
    return found


def _order(change: Change) -> tuple[bool, bool, int, int]:
    mount = change.mount
    retyped = (
        change.kind != "propagation"
        or change.before is None
        or change.after is None
        or change.before.propagation != change.after.propagation
    )
    return (
        not retyped,
        mount is not None and mount.master is not None,
        len(mount.mount_point) if mount else 0,
        change.key,
    )


def same_place(change: Change, other: Change) -> bool:
    """Whether both are of one directory, at one place of one filesystem: then one is the other's copy, or the same."""
    return _what(change) == _what(other)


def _what(change: Change) -> tuple[object, ...]:
    mount = change.mount
    return (change.place, mount.device, mount.root) if mount else (change.key,)


def _pid(change: Change) -> int | None:
    return change.who.pid if change.who else None
