"""The mounts of one view as a tree: what is mounted in what, what covers what, and which mount holds a path.

Mountinfo names a mount's parent by mount ID, and that is all there is to go by: mount points alone cannot
tell two mounts at one path apart. Tables may come from anywhere: parents may be missing (a process whose root
directory lies inside a mount sees nothing of that mount) or be the mount itself (the initial rootfs); in
tables that no kernel wrote they may run in a circle, and IDs may be given twice. Every mount is in the tree
all the same. Nothing here recurses, and building takes n log n steps.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property

from mntscope.base.paths import below, normal, relative, under
from mntscope.base.records import NamedTuple
from mntscope.graph.forest import NONE, Forest
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


def path_order(path: str) -> str:
    """A sort key by which a path comes directly before all that lies below it (``/a``, ``/a/b``, ``/a-``)."""
    return path.replace("/", "\0")


class _Doors(NamedTuple):
    """The mounts in one mount that a lookup can step onto, by mount point; none lies below another."""

    keys: list[str]
    mounts: list[int]


class MountTree:
    """The tree of one view; :meth:`of` builds it.

    Mounts are named by their records; of records that are equal in every field, the first is meant. Naming one that
    the view does not have raises :class:`KeyError`.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self.mounts = view.mounts
        self._paths = [mount.mount_point for mount in view.mounts]
        self._first = _first_of_id(view.mounts)
        self._forest = Forest([self._first.get(mount.parent_id, NONE) for mount in view.mounts])
        # The process's own root mount. A "/" that has a parent in the table lies over another "/".
        self._start = next((root for root in self._forest.roots if self._paths[root] == "/"), NONE)
        self._over = _overs(self._paths, self._forest.above)
        self._top = _tops(self._over)
        self._doors: dict[int, _Doors] = {}
        self._hidden = [True] * len(self.mounts)
        self._enter()

    @classmethod
    def of(cls, view: View) -> MountTree:
        """The tree of *view*: it takes n log n steps, and no table is refused."""
        return cls(view)

    # The tree by mount ID

    @property
    def roots(self) -> tuple[Mount, ...]:
        """The mounts without a parent: it is not shown, or the mount names itself. In a circle, its first mount."""
        return self._named(self._forest.roots)

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
        parent = self._forest.above[self._index(mount)]
        return None if parent == NONE else self.mounts[parent]

    def children(self, mount: Mount) -> tuple[Mount, ...]:
        """The mounts in *mount*, in table order."""
        return self._named(self._forest.below[self._index(mount)])

    def walk(self) -> Iterator[tuple[int, Mount]]:
        """Every mount with its depth, each before its children, in table order."""
        return ((depth, self.mounts[index]) for depth, index in self._forest.walk())

    def walk_states(self) -> Iterator[tuple[int, Mount, bool, bool]]:
        """As :meth:`walk`, and of each mount whether another lies directly over its root, and whether it is hidden."""
        over, hidden = self._over, self._hidden
        return ((depth, self.mounts[index], over[index] != NONE, hidden[index]) for depth, index in self._forest.walk())

    def mounted_on(self, mount: Mount) -> Place | None:
        """The place in the parent's filesystem that *mount* covers; ``None`` where its parent is not shown."""
        parent = self.parent(mount)
        return None if parent is None else place_at(parent, mount.mount_point)

    # The tree by path

    def over(self, mount: Mount) -> Mount | None:
        """The mount that lies directly over the root of *mount*."""
        over = self._over[self._index(mount)]
        return None if over == NONE else self.mounts[over]

    def top(self, mount: Mount) -> Mount:
        """The topmost of the mounts stacked on the root of *mount*; itself where nothing lies over it."""
        return self.mounts[self._top[self._index(mount)]]

    def stack(self, mount_point: str) -> tuple[Mount, ...]:
        """The mounts at *mount_point*, from the one that would be found last to the topmost."""
        return self._stacks.get(mount_point, ())

    def hidden(self, mount: Mount) -> bool:
        """Whether no path leads into *mount*: something lies over it, or over a directory on the way to it."""
        return self._hidden[self._index(mount)]

    def containing(self, path: str) -> Mount | None:
        """The topmost mount that contains *path*: the one that a mount at *path* would be attached to.

        As in path lookup (path_resolution(7), fs/namei.c), each component crosses to the top of what is mounted
        there; but the way begins *below* what is mounted over ``/``, which counts for the path ``/`` only. The path
        is taken literally: symbolic links are not known. ``None``: the view shows no mount that contains it.
        """
        path = normal(path)
        if path == "/":
            return None if self._start == NONE else self.mounts[self._top[self._start]]
        current = self._start
        while (door := self._door(current, path)) != NONE:
            current = self._top[door]
        return None if current == NONE else self.mounts[current]

    def named_by(self, path: str) -> Mount | None:
        """The mount that ``mount --make-private`` finds at *path*: for ``/`` the lowest, else the top."""
        found = self.mounts[self._start] if path == "/" and self._start != NONE else self.containing(path)
        return found if found is not None and found.mount_point == path else None

    def shows(self, mount: Mount, path: str) -> bool:
        """Whether *path*, below the mount point of *mount*, leads into *mount* and to nothing mounted over it there."""
        return self._shows(self._index(mount), path)

    def leads_into(self, mount: Mount, path: str) -> bool:
        """As :meth:`shows`, but true too for the lowest mount at ``/``: lookups begin in it, whatever lies over it."""
        return self.shows(mount, path) or (path == mount.mount_point and not self.hidden(mount))

    def seen(self, mount: Mount, path: str) -> Seen:
        """All that can be asked of *path* and *mount*, at once: most answers follow from the first."""
        index, here = self._index(mount), mount.mount_point
        shows = self._shows(index, path)
        if path != here or self.mounts[index] is not mount or not _is_plain(here):
            named = self.named_by(here) is mount
        else:
            named = shows
        return Seen(shows, shows or (path == here and not self._hidden[index]), named)

    def path_tree(self) -> tuple[PathNode, ...]:
        """The mount points as a tree of paths, each before those below it."""
        nodes: list[PathNode] = []
        above: list[str] = []
        for path in sorted(self._stacks, key=path_order):
            while above and not under(path, above[-1]):
                above.pop()
            nodes.append(PathNode(path, len(above), self._stacks[path]))
            above.append(path)
        return tuple(nodes)

    # How it is found

    def _shows(self, index: int, path: str) -> bool:
        if self._hidden[index] or not under(path, self._paths[index]):
            return False
        if self._start != NONE:
            top = self._top[self._start]
            if path == "/":
                return index == top
            if index == top != self._start:
                return False
        return self._door(index, path) == NONE

    @cached_property
    def _position(self) -> dict[Mount, int]:
        return {mount: index for index, mount in reversed(list(enumerate(self.mounts)))}

    def _index(self, mount: Mount) -> int:
        first = self._first.get(mount.mount_id, NONE)
        # To look for a record takes as long as to make it: its ID tells, where no other mount was given that.
        if first != NONE and ((found := self.mounts[first]) is mount or found == mount):
            return first
        return self._position[mount]

    def _named(self, indexes: Sequence[int]) -> tuple[Mount, ...]:
        return tuple(self.mounts[index] for index in indexes)

    def _inside(self, index: int) -> Sequence[int]:
        """What is mounted in a mount; mounts that lost their parent count as mounted in the start of lookups."""
        if index != self._start:
            return self._forest.below[index]
        lost = [root for root in self._forest.roots if root != index]
        return lost if index == NONE else [*self._forest.below[index], *lost]

    def _door(self, index: int, path: str) -> int:
        """The mount onto which a lookup of *path* steps from inside the mount *index*."""
        doors = self._doors.get(index)
        if doors is None:
            return NONE
        at = bisect_right(doors.keys, path_order(path)) - 1
        if at >= 0 and under(path, self._paths[doors.mounts[at]]):
            return doors.mounts[at]
        return NONE

    def _enter(self) -> None:
        """Go wherever a lookup can go, and note what that is."""
        pending = [self._start]
        if self._start != NONE:
            self._hidden[self._start] = False
            # Only the path "/" itself leads here; what is mounted inside of it is out of reach.
            self._hidden[self._top[self._start]] = False
        while pending:
            index = pending.pop()
            if inside := self._inside(index):
                doors = self._doors[index] = self._open_doors(index, inside)
                for door in doors.mounts:
                    top = self._top[door]
                    self._hidden[top] = False
                    pending.append(top)

    def _open_doors(self, index: int, inside: Sequence[int]) -> _Doors:
        paths = self._paths
        if index != NONE:
            here = paths[index]
            inside = [child for child in inside if paths[child] != here and under(paths[child], here)]
        doors = _Doors([], [])
        before = None
        for key, child in sorted([(path_order(paths[child]), child) for child in inside]):
            path = paths[child]
            if before is None or not under(path, before):
                before = path
                doors.keys.append(key)
                doors.mounts.append(child)
        return doors

    @cached_property
    def _stacks(self) -> dict[str, tuple[Mount, ...]]:
        # What lies deeper inside a mount is covered by what lies above it, and by what is over the mount's root:
        # so, of two mounts at one path, the one that a lookup finds comes last when the longer paths go first.
        stacks: dict[str, list[Mount]] = {}
        pending = [self._start] if self._start != NONE else self._upward(self._forest.roots)
        while pending:
            index = pending.pop()
            stacks.setdefault(self._paths[index], []).append(self.mounts[index])
            if inside := self._inside(index):
                pending += self._upward(inside)
        return {path: tuple(mounts) for path, mounts in stacks.items()}

    def _upward(self, indexes: Sequence[int]) -> list[int]:
        """Shorter paths first (they are taken from the end)."""
        return sorted(indexes, key=lambda index: (path_order(self._paths[index]), index))


def _is_plain(path: str) -> bool:
    """Whether :func:`normal` leaves it as it is; of some that it does, and of ``/``, this says no."""
    return path[:1] == "/" and path[-1] != "/" and "//" not in path and "/." not in path


def _first_of_id(mounts: tuple[Mount, ...]) -> dict[int, int]:
    """The index of the first mount with each mount ID."""
    return {mounts[index].mount_id: index for index in range(len(mounts) - 1, -1, -1)}


def _overs(paths: list[str], parents: list[int]) -> list[int]:
    """For each mount the one that lies over its root: its child at its own mount point."""
    overs = [NONE] * len(paths)
    for index, parent in enumerate(parents):
        if parent != NONE and paths[index] == paths[parent] and overs[parent] == NONE:
            overs[parent] = index
    return overs


def _tops(overs: list[int]) -> list[int]:
    """For each mount the topmost of the stack on its root."""
    tops = [index if over == NONE else NONE for index, over in enumerate(overs)]
    for index in [index for index, over in enumerate(overs) if over != NONE]:
        passed, top = [], index
        while tops[top] == NONE:
            passed.append(top)
            top = overs[top]
        for below_top in passed:
            tops[below_top] = tops[top]
    return tops
