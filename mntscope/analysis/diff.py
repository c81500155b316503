"""Two views compared: what one namespace shows that the other does not, and what would leak between them.

Mount IDs mean nothing across namespaces. A mount of the host and one of the target are *the same, seen twice* if they
show the same root of the same superblock; of several, those that are at the same mount point, in the order in which
they are stacked there; else those that are related by their peer groups; else any.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator

from mntscope.base.display import Framed, Records, Shown
from mntscope.base.paths import normal
from mntscope.base.records import dataclass, field, replace
from mntscope.errors import TargetError
from mntscope.graph import Leak, MountTree, PeerGraph, leaks_in, same_namespace
from mntscope.model import Mount, Problem, View
from mntscope.snapshot import Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    from mntscope.analysis.predict import Prediction

Verdict: TypeAlias = "Literal['same-namespace', 'leaks', 'receives', 'isolated']"
Kind: TypeAlias = "Literal['added', 'removed', 'moved', 'remounted', 'propagation-changed']"
KINDS: tuple[Kind, ...] = ("added", "removed", "moved", "remounted", "propagation-changed")


@dataclass(frozen=True, slots=True)
class Change(Shown):
    """One way in which the target differs from the host. A mount may differ in several: these are several changes."""

    kind: Kind
    """``added`` in the target only; ``removed`` on the host only; ``moved`` to another path, or to another place in the
    stack at its path; ``remounted`` with other options, of the mount or the superblock; ``propagation-changed``: peer
    group, master or ``unbindable``."""
    path: str
    """In the target; of a removed mount, on the host."""
    host: Mount | None
    target: Mount | None
    covers: Mount | None = None
    """The host's mount on whose root an added or moved one lies in the target."""
    hidden: bool = False
    """Whether something is mounted over it in the target."""


@dataclass(frozen=True, slots=True)
class Damage:
    """The host's own ``/proc`` is covered."""

    path: str
    cover: Mount
    """What is seen at *path* of the host,"""
    covered: Mount
    """and what of the host's own lies beneath it."""
    certain: bool
    """Whether the cover is known to be wrong, not merely like one that is."""
    what: str

    def __str__(self) -> str:
        """One line: what is the matter, and what to do."""
        return f"{self.what}; umount {self.path} on the host uncovers its own"


@dataclass(frozen=True, slots=True)
class Diff(Framed, Shown):
    """What :func:`diff` found."""

    host: View
    target: View
    path: str | None
    """The path that was asked about; ``None`` for all."""
    containing: Mount | None
    """The target's mount that contains this path."""
    verdict: Verdict
    """``same-namespace``; ``leaks`` if any event of the target's mounts reaches the host, be the mount hidden or not
    (what hides it can be unmounted); ``receives`` if only the host's reach the target; else ``isolated``."""
    changes: Records[Change]
    """In the order of the target's paths; then what is removed, in that of the host's."""
    leaks: Records[Leak]
    """The worst first."""
    hidden: tuple[Mount, ...]
    """The target's mounts that the host has too, and sees, but that are covered in the target."""
    damage: tuple[Damage, ...]
    not_seen: tuple[Problem, ...]
    """What these views do not tell and the answer depends on."""
    umount: Prediction | None = None
    """What ``umount PATH`` in the target would do, where something is mounted at this very path: that is an event of
    the mount below, which may propagate where what is mounted upon it does not."""
    snapshot: Snapshot | None = field(default=None, compare=False, repr=False)
    """What it was asked of."""

    @property
    def found(self) -> bool:
        """Whether there is something to act on: a leak, no namespace of its own at all, or certain damage."""
        return self.verdict in ("same-namespace", "leaks") or any(damage.certain for damage in self.damage)


def diff(
    snapshot: Snapshot, target: str | int | View, path: str | None = None, *, against: str | int | None = None
) -> Diff:
    """Compare a view (a label, a pid, or the view itself) with the host: the snapshot's, or *against*.

    The snapshot's other views tell how peer groups hang together. With *path* (in the target) only the mount that
    contains it is considered, only the event at that very path, and only changes of what lies there.

    :raises TargetError: the snapshot has no such view, or the view shows no mount that contains *path*.
    """
    host = snapshot.host if against is None else snapshot.view(against)
    seen = target if isinstance(target, View) else snapshot.view(target)
    if seen == host:
        seen = host
    others = [view for view in snapshot.views if view.label not in (host.label, seen.label)]
    graph = PeerGraph.of([host] if seen is host else [host, seen, *others])
    tree = graph.tree(seen.label)
    containing = None
    if path is not None:
        path = normal(path)
        containing = tree.containing(path)
        if containing is None:
            raise TargetError(
                f"no mount that it shows contains {path!r}", where=seen.label, hint="its root lies inside of a mount"
            )
    apart = not same_namespace(host, seen)
    comparison = _Comparison(graph.tree(host.label), tree) if apart else None
    leaks = leaks_in(graph, seen.label, host.label, path=path) if apart else ()
    changes = comparison.changes() if comparison is not None else ()
    hidden = comparison.hidden() if comparison is not None else ()
    umount = None
    if containing is not None and path is not None:
        there = _Focus(graph.tree(host.label), tree, path)
        changes = tuple(change for change in changes if there.concerns(change))
        hidden = tuple(mount for mount in hidden if mount in there.target)
        if apart and containing.mount_point == path:
            umount = _umount(replace(snapshot, host_label=host.label), seen.label, path)
    return Diff(
        host=host,
        target=seen,
        path=path,
        containing=containing,
        verdict=verdict_of(leaks) if apart else "same-namespace",
        changes=Records(changes, Change, namespace=seen.label),
        leaks=Records(leaks, Leak, namespace=seen.label),
        hidden=hidden,
        damage=_damage(graph.tree(host.label), tree),
        not_seen=tuple(_not_seen(graph, host, seen)) if apart else (),
        umount=umount,
        snapshot=snapshot,
    )


def _umount(snapshot: Snapshot, target: str, path: str) -> Prediction | None:
    """What it would do; ``None`` for a view that is not of the snapshot."""
    from shlex import quote

    from mntscope.analysis.predict import predict_commands

    if any(view.label == target for view in snapshot.views):
        return predict_commands(snapshot, target, f"umount {quote(path)}")
    return None


def changes(host: View, target: View, *, anew: bool = False) -> tuple[Change, ...]:
    """Everything in which two tables differ, of one namespace at two moments too: the first plays the host.

    *anew*: what the target shows was mounted anew, as after a restart. Devices and peer groups are others then, so that
    filesystem type, source and root tell which mount is which, and of propagation only the type counts.
    """
    return _Comparison(MountTree.of(host), MountTree.of(target), anew=anew).changes()


def _damage(host: MountTree, target: MountTree) -> tuple[Damage, ...]:
    """Whether something that is not the host's lies over its ``/proc``.

    Certain where the capture found out whose processes are shown there. From tables alone it is a suspicion: a second
    proc lies over the first, and the target has the same one at its ``/proc``.
    """
    *beneath, cover = host.stack("/proc") or (None,)
    covered = next((mount for mount in reversed(beneath) if mount is not None and mount.fs_type == "proc"), None)
    if cover is None or covered is None or covered.device == cover.device or host.containing("/proc") is not cover:
        return ()
    certain = True
    shown, own, its = host.view.proc_pid_namespace, _pid_namespace(host.view), _pid_namespace(target.view)
    if cover.fs_type != "proc":
        by = f"a {cover.fs_type}"
    elif shown is not None and own is not None:
        if shown == own:
            return ()
        by = f"the proc of another PID namespace ({shown}; its own is {own})"
    else:
        of_target = target.containing("/proc")
        if of_target is None or of_target.device != cover.device or (own is not None and own == its):
            return ()
        by = f"another proc, which {target.view.label} has too: perhaps that of its PID namespace"
        certain = False
    return (Damage("/proc", cover, covered, certain, f"the host's /proc is covered by {by}"),)


def _pid_namespace(view: View) -> int | None:
    return None if view.process is None else view.process.pid_namespace


def verdict_of(leaks: Iterable[Leak]) -> Verdict:
    """What the leaks between two different namespaces come to."""
    directions = {leak.direction for leak in leaks}
    if directions & {"out", "both"}:
        return "leaks"
    return "receives" if directions else "isolated"


def _not_seen(graph: PeerGraph, host: View, target: View) -> Iterator[Problem]:
    if graph.tree(target.label).containing("/") is None:
        yield Problem(
            "the mount that holds its root directory is not shown, nor whether what is mounted there would leak",
            where=target.label,
        )
    shared = {
        view.label: {mount.device for mount in view.mounts if mount.peer_group is not None} for view in (host, target)
    }
    other = {host.label: target.label, target.label: host.label}
    unknown = sorted(
        group.number
        for group in [graph.groups[key] for key in graph.externals]
        if group.master is None
        and any(group.device in shared[other[slave.label]] for slave in group.slaves if slave.label in other)
    )
    if unknown:
        numbers = ", ".join(map(str, unknown[:8])) + (", .." if len(unknown) > 8 else "")
        yield Problem(f"no view shows a member of master group {numbers}: whether it passes on events is not known")


class _Focus:
    """What lies at one path, in both views."""

    def __init__(self, host: MountTree, target: MountTree, path: str) -> None:
        self.host = _at(host, path)
        self.target = _at(target, path)

    def concerns(self, change: Change) -> bool:
        return change.target in self.target or change.host in self.host


def _at(tree: MountTree, path: str) -> frozenset[Mount | None]:
    containing = tree.containing(path)
    return frozenset() if containing is None else frozenset(tree.stack(containing.mount_point))


class _Comparison:
    """Which mount of the host is which of the target."""

    def __init__(self, host: MountTree, target: MountTree, *, anew: bool = False) -> None:
        self.host = host
        self.target = target
        self.membership = _type if anew else _membership
        # By path, and from the lowest to the topmost of each stack.
        self.host_mounts = host.by_path()
        self.target_mounts = target.by_path()
        self.partner: dict[int, int] = {}
        """The host's mount for a mount of the target, both as indexes."""
        in_place = self.match(_in_place_anew, _in_place_anew) if anew else self.match(_in_place, _in_place)
        self.moved = self.out_of_order(in_place)
        if anew:
            return
        self.moved |= self.match(_group, _group_or_master).keys()
        self.moved |= self.match(_same, _same).keys()

    def match(
        self, host_key: Callable[[Mount], Hashable | None], target_key: Callable[[Mount], Hashable | None]
    ) -> dict[int, int]:
        """Pair what is still alone and has equal keys, first with first; ``None`` pairs with nothing."""
        if len(self.partner) in (len(self.host_mounts), len(self.target_mounts)):
            # One side is used up.
            return {}
        taken = set(self.partner.values())
        waiting: dict[Hashable, deque[int]] = defaultdict(deque)
        for index, mount in enumerate(self.host_mounts):
            if index not in taken and (key := host_key(mount)) is not None:
                waiting[key].append(index)
        found = {}
        for index, mount in enumerate(self.target_mounts):
            if index not in self.partner and (key := target_key(mount)) is not None and waiting.get(key):
                found[index] = waiting[key].popleft()
        self.partner |= found
        return found

    def out_of_order(self, pairs: dict[int, int]) -> set[int]:
        """Those that changed places with others of their stack: the fewest whose removal leaves the order alike."""
        stacks: dict[str, list[int]] = defaultdict(list)
        for index in sorted(pairs):
            stacks[self.target_mounts[index].mount_point].append(index)
        moved: set[int] = set()
        for stack in [stack for stack in stacks.values() if len(stack) > 1]:
            kept = _longest_rising([pairs[index] for index in stack])
            moved.update(index for place, index in enumerate(stack) if place not in kept)
        return moved

    def changes(self) -> tuple[Change, ...]:
        """Every difference, in the order of the target's paths; at the end what is removed, in that of the host's."""
        found: list[Change] = []
        covers = self.covers()
        for index, target in enumerate(self.target_mounts):
            for kind, host in self.differences(index):
                covered = covers.get(index) if kind in ("added", "moved") else None
                hidden = self.target.hidden(target)
                found.append(Change(kind, target.mount_point, host, target, covered, hidden))
        seen_twice = set(self.partner.values())
        alone = (mount for index, mount in enumerate(self.host_mounts) if index not in seen_twice)
        return (*found, *(Change("removed", mount.mount_point, mount, None) for mount in alone))

    def differences(self, index: int) -> Iterator[tuple[Kind, Mount | None]]:
        """In what a mount of the target differs from the host's, and from which of these."""
        if index not in self.partner:
            yield "added", None
            return
        host, target = self.host_mounts[self.partner[index]], self.target_mounts[index]
        if index in self.moved:
            yield "moved", host
        if (host.options, host.super_options) != (target.options, target.super_options):
            yield "remounted", host
        if self.membership(host) != self.membership(target):
            yield "propagation-changed", host

    def covers(self) -> dict[int, Mount]:
        """For each mount of the target the nearest mount of the host in the stack beneath it."""
        heights = Counter(mount.mount_point for mount in self.target_mounts)
        stacked = [(index, mount) for index, mount in enumerate(self.target_mounts) if heights[mount.mount_point] > 1]
        indexes = {mount: index for index, mount in stacked}
        nearest: dict[int, Mount] = {}
        for index, mount in stacked:
            parent = self.target.parent(mount)
            if parent is None or parent.mount_point != mount.mount_point:
                continue
            below = indexes[parent]
            if below in self.partner:
                nearest[index] = self.host_mounts[self.partner[below]]
            elif below in nearest:
                nearest[index] = nearest[below]
        return nearest

    def hidden(self) -> tuple[Mount, ...]:
        """The mounts of the target that are covered, though their partners are not."""
        return tuple(
            self.target_mounts[index]
            for index, partner in sorted(self.partner.items())
            if self.target.hidden(self.target_mounts[index]) and not self.host.hidden(self.host_mounts[partner])
        )


def _in_place(mount: Mount) -> Hashable:
    return mount.mount_point, mount.device, mount.root, mount.fs_type


def _in_place_anew(mount: Mount) -> Hashable:
    return mount.mount_point, mount.fs_type, mount.source, mount.root


def _same(mount: Mount) -> Hashable:
    return mount.device, mount.root, mount.fs_type


def _group(mount: Mount) -> Hashable | None:
    return None if mount.peer_group is None else (_same(mount), mount.peer_group)


def _group_or_master(mount: Mount) -> Hashable | None:
    group = mount.master if mount.peer_group is None else mount.peer_group
    return None if group is None else (_same(mount), group)


def _type(mount: Mount) -> Hashable:
    return mount.propagation


def _membership(mount: Mount) -> Hashable:
    return mount.peer_group, mount.master, mount.unbindable


def _longest_rising(numbers: list[int]) -> set[int]:
    """The places of a longest rising subsequence (patience sorting, n log n)."""
    piles: list[int] = []
    tops: list[int] = []
    before: list[int | None] = []
    for place, number in enumerate(numbers):
        pile = bisect_left(piles, number)
        before.append(tops[pile - 1] if pile else None)
        piles[pile : pile + 1] = [number]
        tops[pile : pile + 1] = [place]
    kept: set[int] = set()
    last = tops[-1] if tops else None
    while last is not None:
        kept.add(last)
        last = before[last]
    return kept
