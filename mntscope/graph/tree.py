"""The mounts of one view as a tree: what is mounted in what, what covers what, and which mount holds a path.

Mountinfo names a mount's parent by mount ID, and that is all there is to go by: mount points alone cannot
tell two mounts at one path apart. Tables may come from anywhere: parents may be missing (a process whose root
directory lies inside a mount sees nothing of that mount) or be the mount itself (the initial rootfs); in
tables that no kernel wrote they may run in a circle, and IDs may be given twice. Every mount is in the tree
all the same. Nothing here recurses, and building takes n log n steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from mntscope.base.paths import below, normal, relative, under
from mntscope.base.records import NamedTuple
from mntscope.graph.forest import NONE
from mntscope.graph.tree_shape import Shapes, TreeShape
from mntscope.model import Mount, View


class Place(NamedTuple):
    """A directory or file of a filesystem: what the kernel mounts upon, whatever paths lead to it."""

    device: str
    """``major:minor`` of the superblock."""
    path: str
    """From the root of the filesystem."""


class PathNode(NamedTuple):
    """A mount point, and the mounts that lie there."""

    path: str
    depth: int
    """How many other mount points lie above it, on the path."""
    mounts: tuple[Mount, ...]
    """From the lowest to the topmost."""


class Seen(NamedTuple):
    """What a path, at or below the mount point of a mount, has to do with the mount."""

    shows: bool
    """:meth:`MountTree.shows`."""
    leads_into: bool
    """:meth:`MountTree.leads_into`."""
    named: bool
    """Whether :meth:`MountTree.named_by` finds the mount at its mount point."""


def place_at(mount: Mount, path: str) -> Place | None:
    """Where *path* of a view lies in the filesystem of *mount*; ``None`` if it is not below its mount point."""
    if not under(path, mount.mount_point):
        return None
    return Place(mount.device, below(mount.root, relative(path, mount.mount_point)))


def path_at(mount: Mount, place: str) -> str | None:
    """The path at which *mount* shows *place* of its filesystem; ``None`` if it lies outside of its root."""
    if not under(place, mount.root):
        return None
    return below(mount.mount_point, relative(place, mount.root))


class MountTree:
    """The tree of one view; :meth:`of` builds it.

    Mounts are named by their records; of records that are equal in every field, the first is meant. Naming one that
    the view does not have raises :class:`KeyError`.
    """

    def __init__(self, view: View, shapes: Shapes | None = None) -> None:
        self.view = view
        self.mounts = view.mounts
        self._first = _first_of_id(view.mounts)
        above = self._first.get
        paths = tuple([mount.mount_point for mount in view.mounts])
        parents = tuple([above(mount.parent_id, NONE) for mount in view.mounts])
        self.shape = TreeShape(paths, parents) if shapes is None else TreeShape.of(paths, parents, shapes)
        """What it has in common with the trees of its copies."""

    @classmethod
    def of(cls, view: View, shapes: Shapes | None = None) -> MountTree:
        """The tree of *view*: it takes n log n steps, and no table is refused.

        *shapes* are those of trees that were built before, and get this one's.
        """
        return cls(view, shapes)

    @property
    def has_unique_ids(self) -> bool:
        """Whether no mount ID is given twice, as in every table that a kernel wrote."""
        return len(self._first) == len(self.mounts)

    # The tree by mount ID

    @property
    def roots(self) -> tuple[Mount, ...]:
        """The mounts without a parent: it is not shown, or the mount names itself. In a circle, its first mount."""
        return self._named(self.shape.forest.roots)

    @property
    def root_directory(self) -> Mount | None:
        """The lowest mount at ``/``; ``None`` where the table shows none without a parent."""
        return next((mount for mount in self.roots if mount.mount_point == "/"), None)

    def has_other_root(self, other: MountTree) -> bool:
        """Whether its ``/`` is known to be another directory than that of *other*: a container's, not a copy of it."""
        mine, its = self.root_directory, other.root_directory
        return mine is not None and its is not None and (mine.device, mine.root) != (its.device, its.root)

    def parent(self, mount: Mount) -> Mount | None:
        """The mount in which *mount* is mounted; ``None`` for a root."""
        parent = self.shape.forest.above[self._index(mount)]
        return None if parent == NONE else self.mounts[parent]

    def children(self, mount: Mount) -> tuple[Mount, ...]:
        """The mounts in *mount*, in table order."""
        return self._named(self.shape.forest.below[self._index(mount)])

    def walk(self) -> Iterator[tuple[int, Mount]]:
        """Every mount with its depth, each before its children, in table order."""
        return ((depth, self.mounts[index]) for depth, index in self.shape.forest.walk())

    def walk_states(self) -> Iterator[tuple[int, Mount, bool, bool]]:
        """As :meth:`walk`, and of each mount whether another lies directly over its root, and whether it is hidden."""
        over, hidden = self.shape.over, self.shape.hidden
        return (
            (depth, self.mounts[index], over[index] != NONE, hidden[index]) for depth, index in self.shape.forest.walk()
        )

    def mounted_on(self, mount: Mount) -> Place | None:
        """The place in the parent's filesystem that *mount* covers; ``None`` where its parent is not shown."""
        parent = self.parent(mount)
        return None if parent is None else place_at(parent, mount.mount_point)

    # The tree by path

    def over(self, mount: Mount) -> Mount | None:
        """The mount that lies directly over the root of *mount*."""
        over = self.shape.over[self._index(mount)]
        return None if over == NONE else self.mounts[over]

    def top(self, mount: Mount) -> Mount:
        """The topmost of the mounts stacked on the root of *mount*; itself where nothing lies over it."""
        return self.mounts[self.shape.top[self._index(mount)]]

    def stack(self, mount_point: str) -> tuple[Mount, ...]:
        """The mounts at *mount_point*, from the one that would be found last to the topmost."""
        return self._named(self.shape.stacks.get(mount_point, ()))

    def hidden(self, mount: Mount) -> bool:
        """Whether no path leads into *mount*: something lies over it, or over a directory on the way to it."""
        return self.shape.hidden[self._index(mount)]

    def containing(self, path: str) -> Mount | None:
        """The topmost mount that contains *path*: the one that a mount at *path* would be attached to.

        As in path lookup (path_resolution(7), fs/namei.c), each component crosses to the top of what is mounted
        there; but the way begins *below* what is mounted over ``/``, which counts for the path ``/`` only. The path
        is taken literally: symbolic links are not known. ``None``: the view shows no mount that contains it.
        """
        index = self.shape.containing(normal(path))
        return None if index == NONE else self.mounts[index]

    def named_by(self, path: str) -> Mount | None:
        """The mount that ``mount --make-private`` finds at *path*: for ``/`` the lowest, else the top."""
        start = self.shape.start
        found = self.mounts[start] if path == "/" and start != NONE else self.containing(path)
        return found if found is not None and found.mount_point == path else None

    def shows(self, mount: Mount, path: str) -> bool:
        """Whether *path*, below the mount point of *mount*, leads into *mount* and to nothing mounted over it there."""
        return self.shape.shows(self._index(mount), path)

    def leads_into(self, mount: Mount, path: str) -> bool:
        """As :meth:`shows`, but true too for the lowest mount at ``/``: lookups begin in it, whatever lies over it."""
        return self.shown(mount, path)[1]

    def shown(self, mount: Mount, path: str) -> tuple[bool, bool]:
        """Both at once: :meth:`shows`, and :meth:`leads_into`."""
        return self._shown(self._index(mount), path)

    def seen(self, mount: Mount, path: str) -> Seen:
        """All that can be asked of *path* and *mount*, at once: most answers follow from the first."""
        index, here = self._index(mount), mount.mount_point
        shows, leads = self._shown(index, path)
        if path != here or self.mounts[index] is not mount or not _is_plain(here):
            named = self.named_by(here) is mount
        else:
            named = shows
        return Seen(shows, leads, named)

    def path_tree(self) -> tuple[PathNode, ...]:
        """The mount points as a tree of paths, each before those below it."""
        stacks = self.shape.stacks
        return tuple([PathNode(path, depth, self._named(stacks[path])) for path, depth in self.shape.path_tree])

    def by_path(self) -> list[Mount]:
        """The mounts in the order of :meth:`path_tree`."""
        stacks, mounts = self.shape.stacks, self.mounts
        return [mounts[index] for path, _ in self.shape.path_tree for index in stacks[path]]

    # How it is found

    @cached_property
    def _position(self) -> dict[Mount, int]:
        return {mount: index for index, mount in reversed(list(enumerate(self.mounts)))}

    def _index(self, mount: Mount) -> int:
        first = self._first.get(mount.mount_id, NONE)
        # To look for a record takes as long as to make it: its ID tells, where no other mount was given that.
        if first != NONE and ((found := self.mounts[first]) is mount or found == mount):
            return first
        return self._position[mount]

    def _shown(self, index: int, path: str) -> tuple[bool, bool]:
        shows = self.shape.shows(index, path)
        return shows, shows or (path == self.mounts[index].mount_point and not self.shape.hidden[index])

    def _named(self, indexes: Sequence[int]) -> tuple[Mount, ...]:
        return tuple([self.mounts[index] for index in indexes])


def _is_plain(path: str) -> bool:
    """Whether :func:`normal` leaves it as it is; of some that it does, and of ``/``, this says no."""
    return path[:1] == "/" and path[-1] != "/" and "//" not in path and "/." not in path


def _first_of_id(mounts: tuple[Mount, ...]) -> dict[int, int]:
    """The index of the first mount with each mount ID."""
    return {mounts[index].mount_id: index for index in range(len(mounts) - 1, -1, -1)}
