"""Who holds a filesystem: every mount of it in any namespace, how it got there, and what frees it.

A filesystem lives while any namespace has it mounted. The host's umount takes along what receives it; a copy that does
not stays, unseen by the host, and the device is busy: mkfs(8), mount(8) with other options, a second overlay on the
same directories, removing the device all fail with EBUSY. What receives is found by carrying the umount out on the
model of :mod:`mntscope.propagation`, not by looking at propagation types: a slave stays too if something is mounted in
it, or if its parent mount does not receive.

An overlay keeps the filesystems of its directories alive although no table shows a mount of them, and so counts as a
holder. What is in no table at all does as well, and cannot be found here: files open below a lazily unmounted mount,
loop devices, swap files, device-mapper.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal

from mntscope.analysis.remedies import Command, run_in
from mntscope.base.counting import counted
from mntscope.base.display import Framed, Shown
from mntscope.base.paths import normal, under
from mntscope.base.records import dataclass, replace
from mntscope.errors import MntscopeError, TargetError
from mntscope.graph import PeerGraph, first_of_namespace, path_at, place_at
from mntscope.graph.peers import GroupKey
from mntscope.model import Mount, Problem, View
from mntscope.propagation import Simulation
from mntscope.propagation.operations import Umount
from mntscope.snapshot import Snapshot

Via = Literal["host", "peer", "slave", "master", "relative", "overlay", "none"]

MOST_UMOUNTS = 1000
"""How many mounts of the host are unmounted on the model; a filesystem that it has more often is not understood."""
MOST_GROUPS = 16
"""How many groups of a chain are told."""
MOST_ALIKE = 64
"""How many mounts are tried for one that shows a directory, and how many directories of a filesystem are asked for."""
MOST_INSIDE = 16
"""How many mounts inside of one are unmounted one by one."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to free a copy that would stay."""

    kind: Literal["umount", "pin", "rmdir"]
    """Unmounting it where it is; unmounting what keeps its namespace; removing the host's directory that it is on,
    whereupon the kernel detaches what other namespaces have mounted there."""
    command: Command


@dataclass(frozen=True, slots=True)
class Holder:
    """A mount of the filesystem."""

    view: View
    """That shows it."""
    mount: Mount
    via: Via
    """What links it to the host's mounts of the filesystem: it is one of them (``host``); a ``peer`` of one; a
    ``slave``, so that mounts and umounts below it arrive; their ``master``; ``relative``: only through a group above
    both; ``none``: it was copied and made private, or mounted there. ``overlay``: one whose directories lie in it."""
    chain: tuple[GroupKey, ...]
    """The groups on the way from the host's mount to it, for ``relative`` up to and down from the common one."""
    receives: bool
    """Whether the host's umounts take it along; true for the host's own."""
    covered: bool
    """Of what stays: whether no path of its namespace leads to it, so that umount(8) cannot name it there."""
    occupied: bool
    """Of what stays: whether something is mounted in it, which keeps it in place."""
    locked: bool
    """Whether its namespace's user namespace may keep it from being unmounted there (MNT_LOCKED)."""
    ways: tuple[Way, ...]
    """How to free it, the least invasive first; nothing for what the host's umounts take along."""


@dataclass(frozen=True, slots=True)
class Holders(Framed, Shown):
    """Who holds a filesystem."""

    wanted: str
    devices: tuple[str, ...]
    """``major:minor`` of what was asked about: one, unless the mounts at a path are of several filesystems."""
    host: View
    holders: tuple[Holder, ...]
    """Those that would stay first, then the host's, then the others; each in the order of views and tables."""
    graph: PeerGraph
    not_seen: tuple[Problem, ...]
    notes: tuple[str, ...]
    """What the answer depends on, beside what was not seen."""

    @property
    def staying(self) -> tuple[Holder, ...]:
        """Those that the host's umounts do not reach."""
        return tuple(holder for holder in self.holders if not holder.receives)


def holders(snapshot: Snapshot, wanted: str, *, also: Iterable[str] = ()) -> Holders:
    """Who holds the filesystem that *wanted* names.

    *wanted* is a path of the host (of other namespaces where the host has nothing mounted there), ``major:minor``, a
    source such as ``/dev/sda1`` or ``server:/export``, or a mount ID. Where the host's mount shows only a directory of
    its filesystem (a bind mount), mounts of that directory, and of what is below it, are asked for. *also* are further
    names of the same thing, of which there may be nothing.

    :raises TargetError: no table has such a mount ID, or *wanted* is no path and no source of a mount.
    """
    views = [view for view in snapshot.views if not view.detached]
    graph = PeerGraph.of(views)
    sought = _Sought(graph, snapshot.host_label)
    for name in (wanted, *also):
        sought.add(name)
    if not sought.roots and not wanted.startswith("/") and not _DEVICE.fullmatch(wanted):
        hint = "give a path, major:minor, a source such as /dev/sda1, or a mount ID"
        raise TargetError("nothing of that name is mounted", where=wanted, hint=hint)
    finder = _Finder(snapshot, graph, sought)
    found = list(finder.holders())
    return Holders(
        wanted=wanted,
        devices=tuple(sought.roots),
        host=snapshot.host,
        holders=tuple(sorted(found, key=lambda holder: (holder.receives, holder.via != "host"))),
        graph=graph,
        not_seen=(*snapshot.not_seen, *(problem for view in views for problem in view.problems)),
        notes=tuple(finder.left.notes),
    )


_DEVICE = re.compile(r"\d{1,10}:\d{1,10}")


class _Sought:
    """What is asked for: filesystems, each below one or several of its directories."""

    def __init__(self, graph: PeerGraph, host: str) -> None:
        self.graph = graph
        self.host = graph.tree(host)
        self.paths: list[str] = []
        """The paths asked about."""
        self.roots: dict[str, list[str]] = {}
        """By device the directories."""

    def add(self, name: str) -> None:
        """Take in what *name* names."""
        if _DEVICE.fullmatch(name):
            if any(mount.device == name for _, mount in self._mounts()):
                self._add(name, "/")
        elif name.isascii() and name.isdecimal():
            mount = next((mount for _, mount in self._mounts() if str(mount.mount_id) == name), None)
            if mount is None:
                raise TargetError(
                    "no namespace has a mount of this ID", where=f"mount {name[:20]}", hint="see `findmnt`"
                )
            self._add(mount.device, mount.root)
        else:
            self._add_named(name)

    def has(self, mount: Mount) -> bool:
        """Whether *mount* shows what is asked for, or a part of it."""
        return any(under(mount.root, root) for root in self.roots.get(mount.device, ()))

    def _add_named(self, name: str) -> None:
        path = normal(name) if name.startswith("/") else ""
        if path:
            self.paths.append(path)
        stack = self.host.stack(path)
        if not stack:
            for _, mount in self._mounts():
                if mount.source == name:
                    self._add(mount.device, "/")
        if not stack and not self.roots and path:
            stack = tuple(mount for view in self.graph.views for mount in view.mounts if mount.mount_point == path)
        for mount in stack:
            self._add(mount.device, mount.root)

    def _add(self, device: str, root: str) -> None:
        roots = self.roots.setdefault(device, [])
        if not any(under(root, known) for known in roots):
            # A path at which very many directories are mounted stands for all of the filesystem.
            root = "/" if len(roots) >= MOST_ALIKE else root
            roots[:] = [*(known for known in roots if not under(known, root)), root]

    def _mounts(self) -> Iterator[tuple[View, Mount]]:
        return ((view, mount) for view in (self.host.view, *self.graph.views) for mount in view.mounts)


class _Finder:
    """Goes through all mounts of a graph."""

    def __init__(self, snapshot: Snapshot, graph: PeerGraph, sought: _Sought) -> None:
        self.snapshot = snapshot
        self.graph = graph
        self.sought = sought
        self.host = sought.host
        self.namespaces = graph.first
        self.host_by_device: dict[str, list[Mount]] = defaultdict(list)
        for mount in self.host.mounts:
            self.host_by_device[mount.device].append(mount)
        self.found = list(self.mounts())
        own = [(view, mount) for view, mount in self.found if self.is_host(view)]
        # The latest first, as what lies over others must go before them.
        self.left = _Left(snapshot, own[::-1])
        self.links = _Links(graph, [mount for _, mount in own])

    def holders(self) -> Iterator[Holder]:
        """Each mount that was found, with what links it to the host and what would free it."""
        for view, mount in self.found:
            via, chain = self.links.of(mount)
            if self.is_host(view):
                via, chain = "host", ()
            elif not self.sought.has(mount):
                via, chain = "overlay", ()
            receives = via == "host" or not self.left.stays(view, mount)
            yield Holder(
                view=view,
                mount=mount,
                via=via,
                chain=chain,
                receives=receives,
                covered=not receives and self.left.covered(view, mount),
                occupied=not receives and self.left.has_children(view, mount),
                locked=self.left.may_be_locked(view, mount),
                ways=() if receives else tuple(self.ways(view, mount)),
            )

    def mounts(self) -> Iterator[tuple[View, Mount]]:
        """Each mount of what is sought, or overlay upon it, once: with the first view that shows it."""
        known: set[tuple[int, int]] = set()
        for namespace, view in zip(self.namespaces, self.graph.views, strict=True):
            for mount in view.mounts:
                if (namespace, mount.mount_id) in known:
                    continue
                if self.sought.has(mount) or (mount.fs_type == "overlay" and self.lies_upon(view, mount)):
                    known.add((namespace, mount.mount_id))
                    yield view, mount

    def is_host(self, view: View) -> bool:
        """Whether the view shows the host's namespace."""
        return self.graph.same_namespace(view.label, self.host.view.label)

    def lies_upon(self, view: View, overlay: Mount) -> bool:
        """Whether a directory of an overlay lies in what is sought, as its namespace or the host sees it now."""
        for path in _directories(overlay):
            # Where nothing is mounted any more, the name is all there is to go by.
            if not self.sought.roots and any(under(path, asked) for asked in self.sought.paths):
                return True
            for tree in (self.graph.tree(view.label), self.host):
                mount = tree.containing(path)
                place = place_at(mount, path) if mount is not None else None
                if place and any(under(place.path, root) for root in self.sought.roots.get(place.device, ())):
                    return True
        return False

    def ways(self, view: View, mount: Mount) -> Iterator[Way]:
        """How to free a copy that stays."""
        found: list[Way] = []
        # What bears the root directory of a process cannot be unmounted there.
        if mount.mount_point != "/" and not self.left.covered(view, mount):
            found += _ways("umount", run_in(view, "umount", *self.left.to_unmount(view, mount)))
        holds = view.namespace.holds
        if not view.namespace.processes and len(holds) == 1 and holds[0].kind == "mount":
            holding = next((one for one in self.graph.views if one.label == holds[0].label), None)
            if holding is not None and self.is_host(holding):
                found += _ways("pin", ("umount", holds[0].where))
            elif holding is not None:
                found += _ways("pin", run_in(holding, "umount", holds[0].where))
        directory = self.host_directory(view, mount)
        if directory is not None:
            found += _ways("rmdir", ("rmdir", directory))
        if self.left.may_be_locked(view, mount):
            found.sort(key=lambda way: way.kind == "umount")
        return iter(found)

    def host_directory(self, view: View, mount: Mount) -> str | None:
        """The path at which the host sees the directory that a mount of another namespace is on."""
        place = self.graph.tree(view.label).mounted_on(mount)
        # The root of a filesystem cannot be removed.
        if place is None or place.path == "/":
            return None
        for candidate in islice(self.host_by_device[place.device], MOST_ALIKE):
            path = path_at(candidate, place.path)
            if path and path != candidate.mount_point and self._can_remove(candidate, path):
                return path
        return None

    def _can_remove(self, mount: Mount, path: str) -> bool:
        """Whether a path of the host names a directory of *mount*, when the host has unmounted what is sought."""
        if not all(map(self.sought.has, self.host.stack(path))):
            return False
        return self.host.containing(path.rpartition("/")[0] or "/") is mount


class _Left:
    """What is left when the host has unmounted its own."""

    def __init__(self, snapshot: Snapshot, own: list[tuple[View, Mount]]) -> None:
        self.notes: list[str] = []
        # What was not seen is told as such, and not once more for each group that may have members there.
        snapshot = replace(snapshot, not_seen=())
        self._simulation = Simulation(snapshot)
        self._unmount(own)
        remaining = sum(self.stays(view, mount) for view, mount in own)
        if remaining:
            self.notes.append(
                f"{remaining} of the host's mounts of it are taken to stay, with what they would take along: something"
                " covers them, they bear a root directory, or there are very many"
            )
        if self._simulation.lock_doubts:
            # Locks only ever make an umount do less, so what stays then may stay.
            unlocked, self._simulation = self._simulation, Simulation(snapshot, assume_locked=True)
            self._unmount(own)
            doubtful = sum(
                self.stays(view, mount) and not unlocked.is_mounted(view.label, mount.mount_id)
                for view, mount in _each_once(snapshot)
            )
            if doubtful:
                mounts = counted(doubtful, "mount")
                self.notes.append(f"{mounts} of other user namespaces may be locked: taken to stay")
        self.notes += self._simulation.uncertain

    def stays(self, view: View, mount: Mount) -> bool:
        """Whether a mount that a view shows is still there."""
        return self._simulation.is_mounted(view.label, mount.mount_id)

    def covered(self, view: View, mount: Mount) -> bool:
        """Whether umount(8) would find something else at its mount point, or nothing."""
        path = mount.mount_point
        return not path.startswith("/") or self._simulation.mounted_at(view.label, path) != mount.mount_id

    def may_be_locked(self, view: View, mount: Mount) -> bool:
        """Whether it is, or that is not known."""
        return self._simulation.is_locked(view.label, mount.mount_id) is not False

    def has_children(self, view: View, mount: Mount) -> bool:
        """Whether something is mounted in it."""
        return any(True for _ in self._simulation.mounted_in(view.label, mount))

    def to_unmount(self, view: View, mount: Mount) -> tuple[str, ...]:
        """What umount(8) is to be told: the mount points in it, the latest first, and at last its own."""
        inside = list(islice(self._simulation.mounted_in(view.label, mount), MOST_INSIDE + 1))
        # All of it at once, though files that are open there would hold it.
        return (*inside[::-1], mount.mount_point) if len(inside) <= MOST_INSIDE else ("--lazy", mount.mount_point)

    def _unmount(self, own: list[tuple[View, Mount]]) -> None:
        for view, mount in own[:MOST_UMOUNTS]:
            # Nobody unmounts the root directory, nor what a path does not lead to.
            if self.stays(view, mount) and mount.mount_point != "/" and not self.covered(view, mount):
                # Lazy: with all that is mounted below it, and no matter what is open.
                try:
                    self._simulation.carry_out(Umount(view.label, mount.mount_point, lazy=True))
                except MntscopeError:
                    # It takes too long, and has changed nothing; so would those that follow.
                    break


def _each_once(snapshot: Snapshot) -> Iterator[tuple[View, Mount]]:
    """The mounts of all namespaces, of which several views may show the same."""
    known: set[tuple[int, int]] = set()
    for namespace, view in zip(first_of_namespace(snapshot.views), snapshot.views, strict=True):
        for mount in view.mounts:
            if (namespace, mount.mount_id) not in known:
                known.add((namespace, mount.mount_id))
                yield view, mount


class _Links:
    """How mounts are linked to the host's, by their groups. A chain is built once for all mounts that begin it."""

    def __init__(self, graph: PeerGraph, own: list[Mount]) -> None:
        self.graph = graph
        self.members = {key for mount in own if (key := _group(mount))}
        """The groups that the host's mounts are in."""
        self.down: dict[GroupKey, GroupKey | None] = {}
        """For each group that the host's mounts are in or receive from, the next on the way down to one of them."""
        for mount in own:
            before: GroupKey | None = None
            key = _source(mount)
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
        key = _source(mount)
        if key is None:
            return "none", ()
        member = _group(mount) is not None
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


def _ways(kind: Literal["umount", "pin", "rmdir"], command: Command | None) -> list[Way]:
    return [] if command is None else [Way(kind, command)]


def _group(mount: Mount) -> GroupKey | None:
    return None if mount.peer_group is None else (mount.device, mount.peer_group)


def _source(mount: Mount) -> GroupKey | None:
    """Its group, or else its master."""
    return _group(mount) or (None if mount.master is None else (mount.device, mount.master))


def _directories(overlay: Mount) -> Iterator[str]:
    """The directories it is made of, as they were named when it was mounted; not those named without their way."""
    for option in overlay.super_options:
        name, _, value = option.partition("=")
        if name in ("upperdir", "workdir", "lowerdir", "lowerdir+", "datadir+"):
            for path in re.split(r"(?<!\\):", value):
                if path.startswith("/"):
                    yield normal(re.sub(r"\\(.)", r"\1", path))
