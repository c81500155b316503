"""How the mounts of a filesystem are linked to the host's: the chain of peer groups between them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Literal

from mntscope.graph import PeerGraph
from mntscope.graph.peers import GroupKey
from mntscope.model import Mount

Via = Literal["host", "peer", "slave", "master", "relative", "overlay", "none"]

MOST_GROUPS = 16
"""How many groups of a chain are told."""


class Links:
    """How mounts are linked to the host's, by their groups. A chain is built once for all mounts that begin it."""

    def __init__(self, graph: PeerGraph, own: list[Mount]) -> None:
        self.graph = graph
        self.members = {key for mount in own if (key := group_of(mount))}
        """The groups that the host's mounts are in."""
        self.down: dict[GroupKey, GroupKey | None] = {}
        """For each group that the host's mounts are in or receive from, the next on the way down to one of them."""
        for mount in own:
            before: GroupKey | None = None
            key = source_of(mount)
            while key is not None and key not in self.down:
                self.down[key] = before
                before, key = key, self.above(key)
        self._met: dict[GroupKey, GroupKey | None] = {}
        self._known: dict[tuple[GroupKey, bool], tuple[Via, tuple[GroupKey, ...]]] = {}

    def above(self, key: GroupKey) -> GroupKey | None:
        """The group that a group receives from."""
        group = self.graph.groups.get(key)
        return None if group is None or group.master is None else (key[0], group.master)

    def of(self, mount: Mount) -> tuple[Via, tuple[GroupKey, ...]]:
        """The kind of link, and its groups, from the host's to that of *mount*."""
        key = source_of(mount)
        if key is None:
            return "none", ()
        member = group_of(mount) is not None
        if (key, member) not in self._known:
            self._known[key, member] = self._link(key, member=member)
        return self._known[key, member]

    def _link(self, key: GroupKey, *, member: bool) -> tuple[Via, tuple[GroupKey, ...]]:
        met = self._meeting(key)
        if met is None:
            return "none", ()
        way_down = tuple(islice(self._upward(key, met), MOST_GROUPS))[::-1]
        if met in self.members:
            return ("peer" if member and met == key else "slave"), way_down
        from_host = tuple(islice(self._downward(met), MOST_GROUPS))
        if member and met == key:
            return "master", from_host
        return "relative", (*from_host[:0:-1], *way_down)

    def _meeting(self, key: GroupKey) -> GroupKey | None:
        """The nearest group, from *key* upwards, that the host's are in or receive from."""
        passed: list[GroupKey] = []
        here: GroupKey | None = key
        while here is not None and here not in self.down and here not in self._met:
            passed.append(here)
            here = self.above(here)
        met = here if here is None or here in self.down else self._met[here]
        self._met.update(dict.fromkeys(passed, met))
        return met

    def _upward(self, key: GroupKey, end: GroupKey) -> Iterator[GroupKey]:
        here: GroupKey | None = key
        while here is not None:
            yield here
            here = None if here == end else self.above(here)

    def _downward(self, key: GroupKey) -> Iterator[GroupKey]:
        here: GroupKey | None = key
        while here is not None:
            yield here
            here = self.down[here]


def group_of(mount: Mount) -> GroupKey | None:
    """Its peer group."""
    return None if mount.peer_group is None else (mount.device, mount.peer_group)


def source_of(mount: Mount) -> GroupKey | None:
    """Its peer group, or else the one that it receives from."""
    return group_of(mount) or (None if mount.master is None else (mount.device, mount.master))
