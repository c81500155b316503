"""Who holds a filesystem: every mount of it in any namespace, how it got there, and what frees it.

A filesystem lives while any namespace has it mounted. The host's umount takes along what receives it; a copy that does
not stays, unseen by the host, and the device is busy: mkfs(8), mount(8) with other options, a second overlay on the
same directories, removing the device all fail with EBUSY. What receives is found by carrying the umount out on the
model of :mod:`mntscope.propagation`, not by looking at propagation types: a slave stays too if something is mounted in
it, or if its parent mount does not receive.

An overlay keeps the filesystems of its directories alive although no table shows a mount of them, and so counts as a
holder. What processes and the kernel have open is in no table; who has looked for it gives it to
:meth:`Holders.used_by`. What else keeps a filesystem cannot be found here: device-mapper, the kernel's own NFS server.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import islice
from typing import Literal

from mntscope.analysis.links import Links, Via
from mntscope.analysis.pins import Pins, holds_something
from mntscope.analysis.references import KernelFile, Reference, References
from mntscope.analysis.remedies import Command, run_in
from mntscope.analysis.sought import MOST_ALIKE, Sought, lies_upon
from mntscope.analysis.umounts import Left, Numbered, names
from mntscope.base.display import Framed, Shown
from mntscope.base.paths import normal
from mntscope.base.records import dataclass, field, replace
from mntscope.graph import PeerGraph, path_at
from mntscope.graph.peers import GroupKey
from mntscope.model import Mount, Problem, View
from mntscope.snapshot import Snapshot

LookedAt = Callable[[str], bool | None]
"""Tells of a path of the host whether a directory is there (else it is a file); ``None`` where nobody can tell."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to free a copy that would stay."""

    kind: Literal["umount", "pin", "rmdir", "rm"]
    """Unmounting it where it is; unmounting what keeps its namespace; removing the host's directory (``rm``: the file,
    or what it is not known of) that it is on, whereupon the kernel detaches what other namespaces have mounted there.
    """
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
    both; ``none``: nothing that is known. ``overlay``: one whose directories lie in it."""
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
    """How to free it, the least invasive first; nothing for what the host's umounts take along. The first ways of all
    holders can be gone in their order: nothing is unmounted twice."""
    goes_along: bool = False
    """Of what stays: whether it goes when the first ways of the holders before it are gone."""
    inside: tuple[str, ...] = ()
    """Of the host's own: the mount points of other filesystems in it, in whose way umount(8) says that it is busy."""


@dataclass(frozen=True, slots=True)
class Holders(Framed, Shown):
    """Who holds a filesystem."""

    wanted: str
    """What was asked about; empty where that was all that the host has given back."""
    devices: tuple[str, ...]
    """``major:minor`` of what was asked about: one, unless the mounts at a path are of several filesystems."""
    host: View
    holders: tuple[Holder, ...]
    """Those that would stay first, then the host's, then the others; each in the order of views and tables."""
    graph: PeerGraph
    not_seen: tuple[Problem, ...]
    notes: tuple[str, ...]
    """What the answer depends on, beside what was not seen."""
    order: tuple[Command, ...] = ()
    """The host's umounts that succeed one after the other, after the first ways of what stays."""
    inside: Mount | None = None
    """The host's mount that is answered for, where what was asked about only lies in it."""
    references: References | None = None
    """What processes have open of it; ``None`` where nobody has looked."""
    snapshot: Snapshot | None = field(default=None, compare=False, repr=False)
    """What it was asked of."""

    @property
    def staying(self) -> tuple[Holder, ...]:
        """Those that the host's umounts do not reach."""
        return tuple(holder for holder in self.holders if not holder.receives)

    @property
    def lost(self) -> tuple[Reference, ...]:
        """What processes have of a mount that is in no table: unmounted lazily, or attached nowhere."""
        return self.references.of_none(self._mounts()) if self.references else ()

    @property
    def using(self) -> tuple[tuple[Holder, tuple[Reference, ...]], ...]:
        """What processes have open of each mount that somebody uses."""
        if not self.references:
            return ()
        found = self.references.by_mount(holder.mount for holder in self.holders)
        used = ((holder, tuple(found[holder.mount.mount_id])) for holder in self.holders if holder.via != "overlay")
        return tuple((holder, references) for holder, references in used if references)

    @property
    def kept_by_kernel(self) -> tuple[KernelFile, ...]:
        """The files that the kernel has open in one of the host's own mounts of it."""
        tree = self.graph.tree(self.host.label)
        own = {holder.mount.mount_id for holder in self.holders if holder.via == "host"}
        files = self.references.files if self.references else ()
        return tuple(file for file in files if (mount := tree.containing(normal(file.path))) and mount.mount_id in own)

    @property
    def for_ever(self) -> bool:
        """Whether it bears the host's root directory, which is not unmounted."""
        return any(holder.via == "host" and holder.mount.mount_point == "/" for holder in self.holders)

    @property
    def busy(self) -> bool:
        """Whether something would be left, or keep umount(8) from succeeding, if the host unmounted its own."""
        if self.staying or self.lost:
            return True
        return not self.for_ever and (any(holder.receives for holder, _ in self.using) or bool(self.kept_by_kernel))

    def used_by(self, references: References) -> Holders:
        """The same, with what processes have open of it; or of what is in no table, where it is mounted nowhere."""
        if not self.devices:
            known = {mount.device for mount in self._mounts()}
            found = tuple(one for one in references.found if one.device not in known)
            references = replace(references, found=found)
        return replace(self, references=references, not_seen=(*self.not_seen, *references.not_seen))

    def _mounts(self) -> Iterator[Mount]:
        return (mount for view in (self.host, *self.graph.views) for mount in view.mounts)


def holders(
    snapshot: Snapshot,
    wanted: str,
    *,
    also: Iterable[str] = (),
    exists: bool | None = None,
    is_directory: LookedAt = lambda _path: None,
) -> Holders:
    """Who holds the filesystem that *wanted* names.

    *wanted* is a path of the host (where the host has nothing mounted any more: what others have on the directory that
    it leads to), ``major:minor``, a source such as ``/dev/sda1`` or ``server:/export``, or a mount ID. Where the host's
    mount shows only a directory of its filesystem (a bind mount), mounts of that directory, and of what is below it,
    are asked for. A path inside of a mount asks for that mount. *also* are further names of the same thing, of which
    there may be nothing; *exists* tells whether the path or device is there, where somebody has looked.

    :raises TargetError: it names nothing that is mounted or exists, or several filesystems.
    """
    graph = _graph(snapshot)
    sought = Sought(graph, snapshot.host_label, exists=exists)
    sought.add((wanted, *also))
    return _answer(snapshot, graph, sought, wanted, is_directory)


def given_back(snapshot: Snapshot, *, is_directory: LookedAt = lambda _path: None) -> Holders:
    """Who holds any of the filesystems that the host has unmounted, and that others keep (:mod:`.pins`).

    All that have somebody's files: also those in memory, of which an audit says nothing.
    """
    graph = _graph(snapshot)
    sought = Sought(graph, snapshot.host_label)
    for _, pinned in Pins(graph, snapshot.host_label, count=holds_something).given_back():
        sought.add_filesystem(pinned.mount)
    if sought.roots:
        sought.notes.append(
            "no table tells what the host has had: these are mounted where the host has the directory, out of the reach"
            " of its umounts"
        )
    return _answer(snapshot, graph, sought, "", is_directory)


def _graph(snapshot: Snapshot) -> PeerGraph:
    return PeerGraph.of([view for view in snapshot.views if not view.detached])


def _answer(snapshot: Snapshot, graph: PeerGraph, sought: Sought, wanted: str, is_directory: LookedAt) -> Holders:
    finder = _Finder(snapshot, graph, sought, is_directory)
    found = finder.holders() if finder.found else []
    return Holders(
        wanted=wanted,
        devices=tuple(sought.roots),
        host=snapshot.host,
        holders=tuple(sorted(found, key=lambda holder: (holder.receives, holder.via != "host"))),
        graph=graph,
        not_seen=(*snapshot.not_seen, *(problem for view in graph.views for problem in view.problems)),
        notes=(*sought.notes, *(finder.left.notes if finder.found else ())),
        order=tuple(finder.order(found)),
        inside=sought.inside,
        snapshot=snapshot,
    )


class _Finder:
    """Goes through all mounts of a graph."""

    def __init__(self, snapshot: Snapshot, graph: PeerGraph, sought: Sought, is_directory: LookedAt) -> None:
        self.snapshot = snapshot
        self.graph = graph
        self.sought = sought
        self.is_directory = is_directory
        self.host = sought.host
        self.namespaces = graph.first
        self.host_by_device: dict[str, list[Mount]] = defaultdict(list)
        for mount in self.host.mounts:
            self.host_by_device[mount.device].append(mount)
        self.found = list(self.mounts())
        # The latest first, as what lies over others must go before them.
        self.own = [(view, mount) for view, mount in self.found if self.is_host(view)][::-1]
        self.ended: set[str] = set()
        """The namespaces that end on the way."""

    @cached_property
    def left(self) -> Left:
        """What is left when the host has unmounted its own."""
        return Left(self.snapshot, self.own)

    def holders(self) -> list[Holder]:
        """Each mount that was found, with what links it to the host and what would free it."""
        self.left.concerns(view for view, _ in self.found)
        links = Links(self.graph, [mount for _, mount in reversed(self.own)])
        return [self.holder(links, view, mount) for view, mount in self.found]

    def holder(self, links: Links, view: View, mount: Mount) -> Holder:
        via, chain = links.of(mount)
        if self.is_host(view):
            via, chain = "host", ()
        elif not self.sought.has(mount):
            via, chain = "overlay", ()
        receives = via == "host" or not self.left.stays(view, mount)
        along = not receives and self.is_gone(view, mount)
        return Holder(
            view=view,
            mount=mount,
            via=via,
            chain=chain,
            receives=receives,
            covered=not receives and self.left.covered(view, mount),
            occupied=not receives and self.left.has_children(view, mount),
            locked=self.left.may_be_locked(view, mount),
            ways=() if receives or along else tuple(self.ways(view, mount)),
            goes_along=along,
            inside=tuple(self.in_the_way(view, mount)) if via == "host" else (),
        )

    def is_gone(self, view: View, mount: Mount) -> bool:
        """Whether it goes with what was proposed before."""
        return view.label in self.ended or not self.left.in_turn.is_mounted(view.label, mount.mount_id)

    def mounts(self) -> Iterator[Numbered]:
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
        return lies_upon(self.sought, (self.graph.tree(view.label), self.host), overlay)

    def in_the_way(self, view: View, mount: Mount) -> Iterator[str]:
        """Where something else is mounted in one of the host's mounts."""
        if mount.mount_point != "/":
            for child in self.graph.tree(view.label).children(mount):
                if not self.sought.has(child):
                    yield child.mount_point

    def order(self, found: Iterable[Holder]) -> Iterator[Command]:
        """The umounts of the host, each of which succeeds after all those before it; where there is more to it."""
        if all(holder.receives and not holder.inside for holder in found):
            return
        for view, mount in self.own:
            if mount.mount_point == "/" or not names(self.left.in_turn, view.label, mount):
                continue
            words = self.left.unmounted(view, mount)
            # In its own namespace umount(8) reads the right table.
            words = ("--recursive", mount.mount_point) if words[:1] == ("--lazy",) else words
            inside = None if view.label == "host" else run_in(view, "umount", *words)
            yield inside or ("umount", *words)

    def ways(self, view: View, mount: Mount) -> Iterator[Way]:
        """How to free a copy that stays."""
        found: list[Way] = []
        locked = self.left.may_be_locked(view, mount)
        # What bears the root directory of a process cannot be unmounted there.
        if mount.mount_point != "/" and not self.left.covered(view, mount):
            words = self.left.to_unmount(view, mount) if locked else self.left.unmounted(view, mount)
            found += _ways("umount", run_in(view, "umount", *words) if words else None)
        holds = view.namespace.holds
        if not view.namespace.processes and len(holds) == 1 and holds[0].kind == "mount":
            holding = next((one for one in self.graph.views if one.label == holds[0].label), None)
            if holding is not None and self.is_host(holding):
                found += _ways("pin", ("umount", holds[0].where))
            elif holding is not None:
                found += _ways("pin", run_in(holding, "umount", holds[0].where))
        found += self.removal(view, mount)
        if locked:
            found.sort(key=lambda way: way.kind == "umount")
        if found and found[0].kind == "pin":
            self.ended.add(view.label)
        return iter(found)

    def removal(self, view: View, mount: Mount) -> list[Way]:
        """How to remove what it is mounted on, from the host."""
        path = self.host_directory(view, mount)
        if path is None:
            return []
        # A whole filesystem is mounted on a directory, as is one in which something is mounted.
        whole = mount.root == "/" and mount.fs_type != "nsfs"
        directory = True if whole or self.left.has_children(view, mount) else self.is_directory(path)
        if mount.fs_type == "nsfs" or directory is False:
            return _ways("rm", ("rm", path))
        # Of which nobody knows what it is: this removes a file and an empty directory (coreutils 8.19).
        return _ways("rmdir", ("rmdir", path)) if directory else _ways("rm", ("rm", "--dir", path))

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
        if "ro" in mount.options or "ro" in mount.super_options or not all(map(self.sought.has, self.host.stack(path))):
            return False
        return self.host.containing(path.rpartition("/")[0] or "/") is mount


def _ways(kind: Literal["umount", "pin", "rmdir", "rm"], command: Command | None) -> list[Way]:
    return [] if command is None else [Way(kind, command)]
