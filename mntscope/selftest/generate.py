"""Random operations that get somewhere.

Operations drawn blindly mostly fail, or touch one lonely mount. These are drawn from what the namespaces show
at the moment: stacks grow on what is stacked, new mounts go where a peer or a slave already has one (the
kernel then tucks), moves start from where moving is allowed, a group is handed over where it may be. A share
of blind ones keeps the errors in. The same seed draws the same operations, as nothing is drawn from an ID.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from string import ascii_uppercase
from typing import TypeVar

from mntscope.base.paths import below, relative, under
from mntscope.base.records import dataclass
from mntscope.model import Mount
from mntscope.propagation.operations import (
    Attach,
    Bind,
    CloneNamespace,
    CloseHandle,
    EndNamespace,
    MountNew,
    Move,
    MoveBeneath,
    NewDetached,
    OpenTree,
    Operation,
    PivotRoot,
    PropagationType,
    Remount,
    SetAttributes,
    SetGroup,
    SetHandlePropagation,
    SetPropagation,
    Umount,
)
from mntscope.selftest.compare import Tables
from mntscope.selftest.execute import possible
from mntscope.selftest.scenarios import SCENARIOS, script
from mntscope.selftest.traces import SKELETON

_T = TypeVar("_T")

DIRECTORIES = ("/", *(f"/{name}" for name in SKELETON.dirs))
FILES = tuple(f"/{name}" for name in SKELETON.files)

MOST_MOUNTS = 120
"""In all namespaces together; a trace ends there, as every further operation could double them."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a kind of trace is made of."""

    name: str
    weights: Mapping[str, int]
    """How often each operation is drawn, by its name."""
    namespaces: int = 4
    """The most there are at one time."""
    new_userns: float = 0.0
    """The share of copied namespaces that get a user namespace of their own."""
    graph: bool = False
    """Whether it begins by building a graph of peers and slaves."""
    steps: tuple[int, int] = (10, 24)
    """The least and the most steps."""


_CORE = {"mount": 24, "bind": 24, "propagation": 18, "umount": 18, "move": 9, "clone_ns": 9, "exit_ns": 2}
_EXTENDED = _CORE | {
    "propagation": 16,
    "scenario": 4,
    "remount": 4,
    "setattr": 3,
    "move_beneath": 9,
    "set_group": 6,
    "pivot_root": 2,
    "open_tree": 7,
    "fsmount": 4,
    "attach": 14,
    "propagation_handle": 7,
    "close_handle": 3,
}

PROFILES = (
    Profile("core", _CORE),
    Profile("graph", _CORE, graph=True, steps=(14, 32)),
    Profile(
        "userns",
        _CORE | {"remount": 4, "setattr": 2, "clone_ns": 10, "scenario": 5},
        new_userns=0.6,
        graph=True,
        namespaces=5,
        steps=(12, 28),
    ),
    Profile("extended", _EXTENDED, new_userns=0.2),
    Profile("scenarios", _EXTENDED, new_userns=0.3, steps=(0, 6)),
    Profile("deep", _EXTENDED, new_userns=0.25, graph=True, namespaces=6, steps=(16, 40)),
)
"""The kinds of traces; a run goes round them."""

_GRAPH = {"bind": 9, "propagation": 7, "mount": 2, "clone_ns": 3}
"""The weights while the graph is being built."""

_TYPES: dict[PropagationType, int] = {"shared": 8, "slave": 6, "private": 3, "unbindable": 2}


class Generator:
    """Draws the operations of one trace, each from the state before it."""

    def __init__(self, profile: Profile, source: random.Random) -> None:
        self.profile = profile
        self.random = source
        self.steps = source.randint(*profile.steps)
        self._tables: Tables = {}
        self._planned: deque[Operation] = deque()
        self._handles: dict[str, str] = {}  # the open ones, each with its namespace
        self._counts = {"namespaces": 1, "filesystems": 0, "handles": 0}
        self._graph = source.randint(5, 12) if profile.graph else 0
        self._draw: dict[str, Callable[[str], Operation | None]] = {
            "mount": self._mount,
            "bind": self._bind,
            "move": self._move,
            "umount": self._umount,
            "propagation": self._propagation,
            "remount": self._remount,
            "setattr": self._setattr,
            "clone_ns": self._clone_ns,
            "exit_ns": self._exit_ns,
            "move_beneath": self._move_beneath,
            "set_group": self._set_group,
            "pivot_root": self._pivot_root,
            "open_tree": self._open_tree,
            "fsmount": self._fsmount,
            "attach": self._attach,
            "propagation_handle": self._propagation_handle,
            "close_handle": self._close_handle,
            "scenario": self._scenario,
        }
        if profile.graph:
            place = self._one_of(["/", "/a", "/a", "/b"])
            first = "A"
            if place != "/":
                self._planned.append(self._new_mount(first, place))
            self._planned.append(SetPropagation(first, place, "shared", self._chance(0.3)))

    @classmethod
    def of(cls, seed: int, number: int) -> Generator:
        """The generator of trace *number* of the run with this *seed*."""
        turn, kind = divmod(number, len(PROFILES))
        generator = cls(PROFILES[kind], random.Random(f"{seed}:{number}"))  # noqa: S311 (tests, not secrets)
        if generator.profile.name == "scenarios":
            generator.follow(list(SCENARIOS.values())[turn % len(SCENARIOS)], "A")
        return generator

    def next(self, tables: Tables) -> Operation | None:
        """The next operation, drawn for what the namespaces show now; ``None`` where the trace should end."""
        self._tables = tables
        self.steps -= 1
        if sum(map(len, tables.values())) > MOST_MOUNTS:
            return None
        while self._planned:
            planned = self._planned.popleft()
            if possible(planned, tables, self._handles):
                return planned
        if self.steps < 0:
            return None
        weights = self.profile.weights
        if self._graph:
            self._graph -= 1
            weights = _GRAPH
        while True:
            (kind,) = self.random.choices(list(weights), list(weights.values()))
            drawn = self._draw[kind](self._one_of(list(tables)))
            if drawn is not None:
                return drawn

    def follow(self, scenario: str, ns: str) -> None:
        """Let the next operations be those of *scenario*."""
        names = dict(zip("WXYZ", self.random.sample(DIRECTORIES[1:6], 4), strict=True))
        names |= {"N": self._new_label(), "H": self._new_handle()}
        self._planned.extend(script(scenario, ns, names, self._new_source))

    def learn(self, op: Operation, errno: str | None) -> None:
        """Take note of how *op* ended: which handles are open now."""
        if errno is None and isinstance(op, OpenTree | NewDetached):
            self._handles[op.handle] = op.ns
        if errno is None and isinstance(op, CloseHandle):
            del self._handles[op.handle]

    # ------------------------------------------------------------------------------------------------- operations

    def _mount(self, ns: str) -> Operation:
        return self._new_mount(ns, self._target(ns))

    def _new_mount(self, ns: str, target: str) -> Operation:
        return MountNew(ns, fstype="tmpfs", source=self._new_source(), target=target)

    def _bind(self, ns: str) -> Operation:
        if self._chance(0.03):
            return Bind(ns, self._file(ns), self._file(ns), self._chance(0.3))
        return Bind(ns, self._source(ns), self._target(ns), self._chance(0.4))

    def _move(self, ns: str) -> Operation:
        return Move(ns, self._movable(ns), self._target(ns))

    def _umount(self, ns: str) -> Operation | None:
        mounts = self._mounts_below_root(ns)
        leaves = [mount for mount in mounts if not any(other.parent_id == mount.mount_id for other in mounts)]
        place = self._blind() if self._chance(0.03) else self._mirror(ns) if self._chance(0.15) else None
        if place is None:
            if not mounts:
                return None
            place = self._one_of(leaves if leaves and self._chance(0.5) else mounts).mount_point
        covered = any(mount.mount_point == "/" for mount in mounts)
        # A namespace that loses its root shows nothing any more.
        return None if place == "/" and not covered else Umount(ns, place, lazy=self._chance(0.4))

    def _propagation(self, ns: str) -> Operation:
        if self._graph:
            return self._retype(ns)
        (kind,) = self.random.choices(list(_TYPES), list(_TYPES.values()))
        place = self._directory(ns) if self._chance(0.05) else self._one_of(self._mounts(ns)).mount_point
        return SetPropagation(ns, place, kind, recursive=self._chance(0.3))

    def _retype(self, ns: str) -> Operation:
        """A peer becomes a slave, and a slave one that shares, so that the graph gets deeper."""
        mounts = self._connected(ns)
        mount = self._one_of([mount for mount in mounts if mount.propagation == "slave"] or mounts)
        return SetPropagation(ns, mount.mount_point, "slave" if mount.peer_group is not None else "shared")

    def _remount(self, ns: str) -> Operation:
        return Remount(ns, self._one_of(self._mounts(ns)).mount_point, ro=self._chance(0.7))

    def _setattr(self, ns: str) -> Operation:
        target = self._one_of(self._mounts(ns)).mount_point
        words: dict[bool, list[str]] = {True: [], False: []}
        for word in ("ro", "nosuid", "nodev", "noexec"):
            if self._chance(0.4):
                words[self._chance(0.7)].append(word)
        return SetAttributes(ns, target, tuple(words[True]), tuple(words[False]), recursive=self._chance(0.6))

    def _clone_ns(self, ns: str) -> Operation | None:
        if len(self._tables) >= self.profile.namespaces:
            return None
        return CloneNamespace(ns, self._new_label(), new_userns=self._chance(self.profile.new_userns))

    def _exit_ns(self, ns: str) -> Operation | None:
        first = next(iter(self._tables))
        return None if ns == first or ns in self._handles.values() else EndNamespace(ns)

    def _move_beneath(self, ns: str) -> Operation | None:
        tops = self._mounts_below_root(ns)
        return MoveBeneath(ns, self._movable(ns), self._one_of(tops).mount_point) if tops else None

    def _set_group(self, ns: str) -> Operation | None:
        mounts = self._mounts(ns)
        pairs = [
            (source, target)
            for target in mounts
            if target.peer_group is None and target.master is None
            for source in self._connected(ns)
            if source.device == target.device and source is not target
            if under(target.root, source.root) or self._chance(0.1)
        ]
        if pairs and self._chance(0.9):
            source, target = self._one_of(pairs)
            return SetGroup(ns, source.mount_point, target.mount_point)
        if self._chance(0.2):
            return SetGroup(ns, self._one_of(mounts).mount_point, self._one_of(mounts).mount_point)
        source = self._one_of(self._connected(ns))
        place = self._target(ns)
        self._planned += [SetPropagation(ns, place, "private"), SetGroup(ns, source.mount_point, place)]
        return Bind(ns, self._within(source, DIRECTORIES) if self._chance(0.4) else source.mount_point, place)

    def _pivot_root(self, ns: str) -> Operation | None:
        by_id = {mount.mount_id: mount for mount in self._tables[ns]}
        mounts = self._mounts_below_root(ns)
        allowed = [mount for mount in mounts if by_id[mount.parent_id].peer_group is None and mount.peer_group is None]
        if not mounts:
            return None
        new_root = self._one_of(allowed if allowed and self._chance(0.8) else mounts)
        return PivotRoot(ns, new_root.mount_point, self._within(new_root, DIRECTORIES))

    def _open_tree(self, ns: str) -> Operation:
        return OpenTree(ns, self._source(ns), self._new_handle(), recursive=self._chance(0.6))

    def _fsmount(self, ns: str) -> Operation:
        handle = self._new_handle()
        return NewDetached(ns, handle, fstype="tmpfs", source=self._new_source())

    def _attach(self, _: str) -> Operation | None:
        if not self._handles:
            return None
        handle, ns = self._one_of(list(self._handles.items()))
        beneath = self._chance(0.2)
        tops = self._mounts_below_root(ns)
        target = self._one_of(tops).mount_point if beneath and tops else self._target(ns)
        return Attach(ns, handle, target, beneath)

    def _propagation_handle(self, _: str) -> Operation | None:
        if not self._handles:
            return None
        handle, ns = self._one_of(list(self._handles.items()))
        (kind,) = self.random.choices(list(_TYPES), list(_TYPES.values()))
        return SetHandlePropagation(ns, handle, kind, recursive=self._chance(0.4))

    def _close_handle(self, _: str) -> Operation | None:
        if not self._handles:
            return None
        handle, ns = self._one_of(list(self._handles.items()))
        return CloseHandle(ns, handle)

    def _scenario(self, ns: str) -> Operation:
        self.follow(self._one_of(list(SCENARIOS.values())), ns)
        return self._planned.popleft()

    # ----------------------------------------------------------------------------------------------------- places

    def _target(self, ns: str) -> str:
        """Where to put a mount."""
        if self._chance(0.03):
            return self._blind()
        if self._chance(0.25):
            place = self._mirror(ns)
            if place is not None:
                return place
        mounts = self._mounts(ns)
        if self._chance(0.25):
            return self._one_of(mounts).mount_point
        return self._within(self._one_of(self._connected(ns) if self._chance(0.5) else mounts), DIRECTORIES)

    def _source(self, ns: str) -> str:
        """What to bind."""
        if self._chance(0.03):
            return self._blind()
        mount = self._one_of(self._connected(ns) if self._graph or self._chance(0.5) else self._mounts(ns))
        return mount.mount_point if self._chance(0.6) else self._within(mount, DIRECTORIES)

    def _movable(self, ns: str) -> str:
        """What to move: mostly a mount whose parent is not shared."""
        by_id = {mount.mount_id: mount for mount in self._tables[ns]}
        mounts = self._mounts_below_root(ns)
        movable = [mount for mount in mounts if by_id[mount.parent_id].peer_group is None]
        if movable and self._chance(0.8):
            return self._one_of(movable).mount_point
        return self._one_of(mounts).mount_point if mounts and self._chance(0.8) else self._directory(ns)

    def _mirror(self, ns: str) -> str | None:
        """Where a mount of any namespace has its counterpart in a peer, a slave or a master of its parent, here."""
        mounts = self._tables[self._one_of(list(self._tables))]
        by_id = {mount.mount_id: mount for mount in mounts}
        places = []
        for mount in mounts:
            parent = by_id.get(mount.parent_id)
            if parent is None or not under(mount.mount_point, parent.mount_point):
                continue
            groups = {parent.peer_group, parent.master} - {None}
            place = below(parent.root, relative(mount.mount_point, parent.mount_point))
            places += [
                below(receiver.mount_point, relative(place, receiver.root))
                for receiver in self._tables[ns]
                if groups & {receiver.peer_group, receiver.master} and under(place, receiver.root)
            ]
        return self._one_of(places) if places else None

    def _directory(self, ns: str) -> str:
        return self._within(self._one_of(self._mounts(ns)), DIRECTORIES)

    def _file(self, ns: str) -> str:
        return self._within(self._one_of(self._mounts(ns)), FILES)

    def _within(self, mount: Mount, names: Sequence[str]) -> str:
        """One of the *names* of the filesystem, as *mount* shows it; its mount point if it shows none."""
        shown = [name for name in names if under(name, mount.root)] or [mount.root]
        return below(mount.mount_point, relative(self._one_of(shown), mount.root))

    def _blind(self) -> str:
        return "".join(self._one_of([*DIRECTORIES[1:], *FILES]) for _ in range(self.random.randint(1, 2)))

    # ----------------------------------------------------------------------------------------------------- choices

    def _mounts(self, ns: str) -> Sequence[Mount]:
        """The mounts that a path leads to; now and then all."""
        mounts = self._tables[ns]
        return mounts if self._chance(0.1) else _visible(mounts)

    def _mounts_below_root(self, ns: str) -> list[Mount]:
        shown = {mount.mount_id for mount in self._tables[ns]}
        return [mount for mount in self._mounts(ns) if mount.parent_id in shown]

    def _connected(self, ns: str) -> Sequence[Mount]:
        """The shared and slave mounts; all, if there are none."""
        mounts = self._mounts(ns)
        return [mount for mount in mounts if mount.peer_group is not None or mount.master is not None] or mounts

    def _new_label(self) -> str:
        number = self._count("namespaces")
        return ascii_uppercase[number - 1] if number <= len(ascii_uppercase) else f"N{number}"

    def _new_handle(self) -> str:
        return f"h{self._count('handles')}"

    def _new_source(self) -> str:
        return f"t{self._count('filesystems')}"

    def _count(self, what: str) -> int:
        self._counts[what] += 1
        return self._counts[what]

    def _chance(self, share: float) -> bool:
        return self.random.random() < share

    def _one_of(self, items: Sequence[_T]) -> _T:
        return self.random.choice(items)


def _visible(mounts: Sequence[Mount]) -> list[Mount]:
    """Those that no mount at a directory above covers."""
    by_id = {mount.mount_id: mount for mount in mounts}
    covers: dict[int, list[str]] = {}
    for mount in mounts:
        # What is mounted over / covers nothing: a path begins below it.
        if mount.parent_id in by_id and mount.mount_point != "/":
            covers.setdefault(mount.parent_id, []).append(mount.mount_point)
    hidden: dict[int, bool] = {}
    for mount in mounts:
        chain = []
        at: Mount | None = mount
        while at is not None and at.mount_id not in hidden:
            chain.append(at)
            at = by_id.get(at.parent_id)
        for link in reversed(chain):
            hidden[link.mount_id] = hidden.get(link.parent_id, False) or any(
                link.mount_point != place and under(link.mount_point, place) for place in covers.get(link.parent_id, ())
            )
    return [mount for mount in mounts if not hidden[mount.mount_id]]
