"""Peer groups across views: who is a member, who is whose slave, and who receives whose events.

mount_namespaces(7), "Shared subtrees"; fs/pnode.c. A mount receives the events of every other member of its peer
group, and, being a slave, those of its master group, which may itself be the slave of another: the groups form a
forest, and an event in a group reaches all that lies below it there. What arrives also depends on the place: an event
at a directory that lies outside of a receiver's root does not exist for it, though it may for *its* slaves.

To ask "who receives from this mount" of very many mounts, the forest is laid out as a list, the *tour*: an Euler tour,
in which each subtree is one unbroken stretch (:class:`Reach`). :mod:`mntscope.graph.leaks` lives on that.

All mounts of a group belong to one superblock. A group is therefore known here by its number *and* device, which
keeps tables that disagree with each other, or with any kernel, from mixing filesystems.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from mntscope.base.display import Framed, Shown
from mntscope.base.paths import below, relative, under
from mntscope.base.records import NamedTuple, dataclass
from mntscope.graph.forest import NONE, Forest
from mntscope.graph.namespaces import first_of_namespace
from mntscope.graph.tree import MountTree
from mntscope.graph.tree_shape import Shapes
from mntscope.model import Mount, View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

Via: TypeAlias = "Literal['peer', 'slave']"
GroupKey = tuple[str, int]
"""Device and number of a peer group."""


_HIGHEST = 256
"""Directories above the reader's cgroup namespace. Of a filesystem of which a table shows more, no root is compared:
each would become as long."""


class Member(NamedTuple):
    """A mount, and the label of the view that shows it."""

    label: str
    mount: Mount


@dataclass(frozen=True, slots=True)
class PeerGroup(Shown):
    """A peer group, as far as the views show it."""

    number: int
    device: str
    members: tuple[Member, ...]
    slaves: tuple[Member, ...]
    """The mounts that receive directly from it, be they in a group of their own or not."""
    master: int | None
    """The number of the group it receives from."""
    depth: int
    """How many groups there are above it."""

    @property
    def external(self) -> bool:
        """Whether no view shows a member, so that it is known from its slaves only."""
        return not self.members


class Receiver(NamedTuple):
    """A mount that receives events of another one."""

    label: str
    mount: Mount
    via: Via
    """``peer`` of the same group; ``slave`` of it, or of a slave group of it, and so on."""
    path: str
    """Where the event is, in the sender's view: the path asked for, or the shallowest from which events arrive."""
    lands_at: str
    """Where it arrives, in the receiver's view."""


class Reach(NamedTuple):
    """Which mounts a group's events reach: a stretch of :attr:`PeerGraph.tour`."""

    low: int
    """From here on its members,"""
    slaves: int
    """from here its slaves, and theirs,"""
    high: int
    """to before here."""
    family: int
    """Which tree of groups it belongs to."""


class _Groups(NamedTuple):
    """The peer groups as the tables name them, before it is known how they hang together."""

    members: dict[GroupKey, list[tuple[int, Mount]]]
    """Of every group, those with none included, each member with the number of its view."""
    lone_slaves: dict[GroupKey, list[tuple[int, Mount]]]
    """Of those that have some, the slaves that are in no group of their own."""
    masters: dict[GroupKey, GroupKey]
    """Of those that are slaves."""


class PeerGraph(Framed, Shown):
    """The peer groups of several views; :meth:`of` builds it, in time linear in their mounts.

    :raises ValueError: two views bear one label.
    """

    def __init__(self, views: Iterable[View]) -> None:
        self.views = tuple(views)
        self._numbers = {view.label: number for number, view in enumerate(self.views)}
        if len(self._numbers) != len(self.views):
            raise ValueError(f"two views bear one label: {[view.label for view in self.views]}")
        self.first = first_of_namespace(self.views)
        """For each view the number of the first one that shows the same mount namespace."""
        self._trees: dict[str, MountTree] = {}
        self._shapes: Shapes = {}
        self._cgroup_depths = _cgroup_depths(self.views)
        self._groups = _groups(self.views)
        self.tour: list[tuple[int, Mount]] = []
        """Every mount that has peers or a master, with the number of its view, in an Euler tour of the groups: first a
        group's members, then its slaves that are in no group, then its slave groups, each in this way."""
        self._reaches: dict[GroupKey, Reach] = {}
        self._order: list[GroupKey] = []
        self._depths: list[int] = []
        """Of each group in that order, which is that of the tour."""
        self._topmost: list[GroupKey] = []
        self._make_tour()

    @classmethod
    def of(cls, views: Iterable[View]) -> PeerGraph:
        """The graph of *views*, whose labels must differ."""
        return cls(views)

    @cached_property
    def groups(self) -> Mapping[GroupKey, PeerGroup]:
        """Every group by device and number, each before its slaves."""
        members, lone_slaves, masters = self._groups
        slaves: dict[GroupKey, list[Member]] = {key: [] for key in self._order}
        for key in self._order:
            slaves[key].extend(map(self._member, lone_slaves.get(key, ())))
            if key in masters:
                slaves[masters[key]].extend(map(self._member, members[key]))
        return {
            key: PeerGroup(
                number=key[1],
                device=key[0],
                members=tuple(map(self._member, members[key])),
                slaves=tuple(slaves[key]),
                master=masters[key][1] if key in masters else None,
                depth=depth,
            )
            for key, depth in zip(self._order, self._depths, strict=True)
        }

    def receivers(self, label: str, mount: Mount, path: str | None = None) -> tuple[Receiver, ...]:
        """Every mount, of any view, that receives events of *mount*: of those at *path*, or (None) of any.

        Mounts of the same namespace are among them. A path outside of the mount has no receivers.
        """
        root = self.root(mount)
        reach = self.reach(mount)
        if root is None or reach is None:
            return ()
        if path is not None:
            if not under(path, mount.mount_point):
                return ()
            root_or_place = below(root, relative(path, mount.mount_point))
        else:
            root_or_place = root
        sender = (self.first[self._numbers[label]], mount.mount_id)
        found = []
        for position in range(reach.low, reach.high):
            number, receiver = self.tour[position]
            if self.views[number].detached or (self.first[number], receiver.mount_id) == sender:
                continue
            place = self._first_common(root_or_place, receiver, deeper=path is None)
            if place is not None:
                via: Via = "peer" if position < reach.slaves else "slave"
                at = below(mount.mount_point, relative(place, root))
                found.append(Receiver(self.views[number].label, receiver, via, at, self.landing(receiver, place)))
        return tuple(found)

    def same_namespace(self, one: str, other: str) -> bool:
        """Whether the views with these labels show one namespace."""
        return self.first[self._numbers[one]] == self.first[self._numbers[other]]

    # For those who ask for many mounts at once

    def tree(self, label: str) -> MountTree:
        """The mount tree of a view, built when it is first asked for."""
        if label not in self._trees:
            self._trees[label] = MountTree.of(self.views[self._numbers[label]], self._shapes)
        return self._trees[label]

    def number(self, label: str) -> int:
        """The number of the view in :attr:`views`."""
        return self._numbers[label]

    def members(self, key: GroupKey) -> Sequence[tuple[int, Mount]]:
        """The members of a group, each with the number of its view: those of :attr:`groups`, without all others."""
        return self._groups.members.get(key, ())

    @property
    def externals(self) -> list[GroupKey]:
        """The groups of which no view shows a member."""
        return [key for key, members in self._groups.members.items() if not members]

    @property
    def memberships(self) -> Iterable[Sequence[tuple[int, Mount]]]:
        """For each group what :meth:`members` gives, in no particular order."""
        return self._groups.members.values()

    def reach(self, mount: Mount) -> Reach | None:
        """What the events of *mount* reach, itself included; ``None`` where it is not shared."""
        return None if mount.peer_group is None else self._reaches[mount.device, mount.peer_group]

    def reach_of(self, key: GroupKey) -> Reach:
        """What the events of a group reach, itself included; it must be one of :attr:`groups`."""
        return self._reaches[key]

    def family(self, number: int) -> Reach:
        """What the events of the topmost group of a tree of groups reach: all that is in it."""
        return self._reaches[self._topmost[number]]

    def master_reach(self, mount: Mount) -> Reach | None:
        """What the events of the master group of *mount* reach; ``None`` where it is no slave."""
        return None if mount.master is None else self._reaches[mount.device, mount.master]

    def position(self, number: int, mount: Mount) -> int:
        """Where in :attr:`tour` a shared or slave mount of a view is."""
        return self._positions[number, mount]

    def root(self, mount: Mount) -> str | None:
        """The root of *mount* as a path that can be compared with those of its peers; ``None`` where none can.

        A removed directory (``/a//deleted``) is one in which nothing can be mounted any more. A root outside of the
        reader's cgroup namespace (``/../..``, cgroup_namespaces(7)) is counted from the highest that any view
        shows; directories between whose names are not shown become ``*``.
        """
        if mount.root.endswith("//deleted"):
            return None
        depth = self._cgroup_depths.get(mount.device) if self._cgroup_depths else None
        if depth is None:
            return mount.root
        climbed = _climbed(mount.root)
        if depth > _HIGHEST:
            return None
        return "/*" * (depth - climbed) + mount.root[3 * climbed :].removesuffix("/") or "/"

    def landing(self, receiver: Mount, place: str) -> str:
        """The path at which *receiver* shows *place*, which must lie under its root (:meth:`root`)."""
        return below(receiver.mount_point, relative(place, self.root(receiver) or "/"))

    @cached_property
    def _positions(self) -> dict[tuple[int, Mount], int]:
        return {mount: position for position, mount in reversed(list(enumerate(self.tour)))}

    def _first_common(self, place: str, receiver: Mount, *, deeper: bool) -> str | None:
        """The shallowest place under both; only *place* itself unless *deeper*."""
        root = self.root(receiver)
        if root is None:
            return None
        if under(place, root):
            return place
        return root if deeper and under(root, place) else None

    def _member(self, numbered: tuple[int, Mount]) -> Member:
        return Member(self.views[numbered[0]].label, numbered[1])

    def _make_tour(self) -> None:
        """Put the mounts of all groups into :attr:`tour`, and note for each group which stretch of it is reached."""
        members, lone_slaves, masters = self._groups
        keys, members_of = list(members), list(members.values())
        if masters:
            indexes = {key: index for index, key in enumerate(keys)}
            above = [indexes[masters[key]] if key in masters else NONE for key in keys]
        else:
            above = [NONE] * len(keys)
        forest = Forest(above)
        tour, reaches, below = self.tour, self._reaches, forest.below
        open_groups: list[tuple[int, GroupKey, int, int]] = []
        family = 0

        def close(depth: int) -> None:
            while open_groups and open_groups[-1][0] >= depth:
                _, key, low, slaves = open_groups.pop()
                reaches[key] = Reach(low, slaves, len(tour), family)

        for depth, index in forest.walk():
            if open_groups:
                close(depth)
            key = keys[index]
            if depth == 0:
                family = len(self._topmost)
                self._topmost.append(key)
                if masters:
                    masters.pop(key, None)
            self._order.append(key)
            self._depths.append(depth)
            low = len(tour)
            tour += members_of[index]
            slaves = len(tour)
            if lone_slaves and key in lone_slaves:
                tour += lone_slaves[key]
            if below[index]:
                open_groups.append((depth, key, low, slaves))
            else:
                reaches[key] = Reach(low, slaves, len(tour), family)
        close(0)


def _groups(views: tuple[View, ...]) -> _Groups:
    """What the tables say of groups, each group that anything names among them, in the order in which it is met."""
    members: defaultdict[GroupKey, list[tuple[int, Mount]]] = defaultdict(list)
    lone_slaves: defaultdict[GroupKey, list[tuple[int, Mount]]] = defaultdict(list)
    masters: dict[GroupKey, GroupKey] = {}
    beyond: dict[GroupKey, GroupKey] = {}
    for number, view in enumerate(views):
        for mount in view.mounts:
            device, peer_group = mount.device, mount.peer_group
            if peer_group is not None:
                members[device, peer_group].append((number, mount))
            if mount.master is None:
                continue
            master = (device, mount.master)
            if peer_group is not None:
                masters.setdefault((device, peer_group), master)
            else:
                members.setdefault(master, [])
                lone_slaves[master].append((number, mount))
            if mount.propagate_from is not None:
                beyond.setdefault(master, (device, mount.propagate_from))
    # propagate_from names a group further up, which is all that is known of what is above a group without members.
    masters |= {key: master for key, master in beyond.items() if not members[key]}
    for key in list(members):
        if key in masters:
            members.setdefault(masters[key], [])
    return _Groups(dict(members), dict(lone_slaves), masters)


def _cgroup_depths(views: tuple[View, ...]) -> dict[str, int]:
    """By device, how far above the reader's cgroup namespace the highest root lies; only where one does."""
    depths: dict[str, int] = {}
    for mount in [mount for view in views for mount in view.mounts if mount.root.startswith("/..")]:
        if climbed := _climbed(mount.root):
            depths[mount.device] = max(climbed, depths.get(mount.device, 0))
    return depths


def _climbed(root: str) -> int:
    """The number of ``/..`` with which *root* begins."""
    climbed = 0
    while root.startswith("/..", 3 * climbed) and root[3 * climbed + 3 : 3 * climbed + 4] in ("", "/"):
        climbed += 1
    return climbed
