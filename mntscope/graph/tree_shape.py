"""How the mounts of a table hang together, by their places in it: the same for every copy of a mount namespace.

A copy (CLONE_NEWNS) has other mount IDs and other peer groups, and the same tree at the same paths. What follows from
these alone is worked out once for all tables of which they are equal: see :meth:`TreeShape.of`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property

from mntscope.base.paths import under
from mntscope.base.records import NamedTuple
from mntscope.graph.forest import NONE, Forest


def path_order(path: str) -> str:
    """A sort key by which a path comes directly before all that lies below it (``/a``, ``/a/b``, ``/a-``)."""
    return path.replace("/", "\0")


class _Doors(NamedTuple):
    """The mounts in one mount that a lookup can step onto, by mount point; none lies below another."""

    keys: list[str]
    mounts: list[int]


Parents = tuple[int, ...]
"""Of each mount the index of its parent, or :data:`NONE`."""
Shapes = dict[tuple[tuple[str, ...], Parents], "TreeShape"]


class TreeShape:
    """What follows from the mount points of a table and from where each mount lies; mounts are given by index."""

    def __init__(self, paths: tuple[str, ...], parents: Parents) -> None:
        self.paths = paths
        self.forest = Forest(list(parents))
        # The process's own root mount. A "/" that has a parent in the table lies over another "/".
        self.start = next((root for root in self.forest.roots if paths[root] == "/"), NONE)
        """In which lookups begin; :data:`NONE` where the table does not show it."""
        self.over = _overs(paths, self.forest.above)
        """For each mount the one that lies directly over its root."""
        self.top = _tops(self.over)
        """For each mount the topmost of the stack on its root."""
        self._doors: dict[int, _Doors] = {}
        self.hidden = [True] * len(paths)
        """Whether no path leads into it."""
        self._enter()

    @classmethod
    def of(cls, paths: tuple[str, ...], parents: Parents, known: Shapes) -> TreeShape:
        """That of a table with these mount points and parents: the one that is *known* already, if there is one."""
        shape = known.get((paths, parents))
        if shape is None:
            shape = known[paths, parents] = cls(paths, parents)
        return shape

    def containing(self, path: str) -> int:
        """The topmost mount that contains a normal *path*; :data:`NONE` where none does."""
        if path == "/":
            return NONE if self.start == NONE else self.top[self.start]
        current = self.start
        while (door := self._door(current, path)) != NONE:
            current = self.top[door]
        return current

    def shows(self, index: int, path: str) -> bool:
        """Whether *path*, below the mount point of a mount, leads into it and to nothing mounted over it there."""
        if self.hidden[index] or not under(path, self.paths[index]):
            return False
        if self.start != NONE:
            top = self.top[self.start]
            if path == "/":
                return index == top
            if index == top != self.start:
                return False
        return self._door(index, path) == NONE

    @cached_property
    def stacks(self) -> dict[str, list[int]]:
        """The mounts at each mount point, from the one that would be found last to the topmost."""
        # What lies deeper inside a mount is covered by what lies above it, and by what is over the mount's root:
        # so, of two mounts at one path, the one that a lookup finds comes last when the longer paths go first.
        stacks: dict[str, list[int]] = {}
        pending = [self.start] if self.start != NONE else self._upward(self.forest.roots)
        while pending:
            index = pending.pop()
            stacks.setdefault(self.paths[index], []).append(index)
            if inside := self._inside(index):
                pending += self._upward(inside)
        return stacks

    @cached_property
    def path_tree(self) -> list[tuple[str, int]]:
        """The mount points as a tree of paths, each with its depth before those below it."""
        nodes: list[tuple[str, int]] = []
        above: list[str] = []
        for path in sorted(self.stacks, key=path_order):
            while above and not under(path, above[-1]):
                above.pop()
            nodes.append((path, len(above)))
            above.append(path)
        return nodes

    def _inside(self, index: int) -> Sequence[int]:
        """What is mounted in a mount; mounts that lost their parent count as mounted in the start of lookups."""
        if index != self.start:
            return self.forest.below[index]
        lost = [root for root in self.forest.roots if root != index]
        return lost if index == NONE else [*self.forest.below[index], *lost]

    def _door(self, index: int, path: str) -> int:
        """The mount onto which a lookup of *path* steps from inside the mount *index*."""
        doors = self._doors.get(index)
        if doors is None:
            return NONE
        at = bisect_right(doors.keys, path_order(path)) - 1
        if at >= 0 and under(path, self.paths[doors.mounts[at]]):
            return doors.mounts[at]
        return NONE

    def _enter(self) -> None:
        """Go wherever a lookup can go, and note what that is."""
        pending = [self.start]
        if self.start != NONE:
            self.hidden[self.start] = False
            # Only the path "/" itself leads here; what is mounted inside of it is out of reach.
            self.hidden[self.top[self.start]] = False
        while pending:
            index = pending.pop()
            if inside := self._inside(index):
                doors = self._doors[index] = self._open_doors(index, inside)
                for door in doors.mounts:
                    top = self.top[door]
                    self.hidden[top] = False
                    pending.append(top)

    def _open_doors(self, index: int, inside: Sequence[int]) -> _Doors:
        paths = self.paths
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

    def _upward(self, indexes: Sequence[int]) -> list[int]:
        """Shorter paths first (they are taken from the end)."""
        return sorted(indexes, key=lambda index: (path_order(self.paths[index]), index))


def _overs(paths: Sequence[str], parents: list[int]) -> list[int]:
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
