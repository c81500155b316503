"""Leaks: what the mounts of one namespace would pass on to another, where it would land, and how bad that is.

This is the one definition of a leak. A mount of the target leaks *out* when some mount of the host receives its
events, and events leak *in* the other way round; peers do both. A leak is given at the shallowest path of the mount
from which events cross, since those at deeper paths cross with it, correspondingly deeper. Only where deeper ones
would also land on a directory that the host cannot do without is that a leak of its own.

How they are found. Events of a mount reach the members of its peer group, the slaves of that group, and theirs: a
subtree of the forest of peer groups. :attr:`PeerGraph.tour <mntscope.graph.PeerGraph.tour>` is an Euler tour of that
forest, which lists all shared and slave mounts so that such a subtree is one unbroken stretch of the list. Then

- "which mounts of the host receive from this one?" asks which of the host's positions lie within an interval, and
- "which of them send to it?" asks which of their intervals contain the mount's own position,

each answered by binary search. An event at a directory exists for those receivers only whose root holds the
directory, so the host's mounts are kept by root (:mod:`mntscope.graph.root_index`), and the search is made in each
that holds the place. To compare each mount of the target with each of the host would take n² steps; this takes about
n log n and one for each leak, and what is found for one mount is kept for all with the same group and root.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice

from mntscope.base.counting import counted
from mntscope.base.display import Shown
from mntscope.base.paths import below, normal, relative
from mntscope.base.records import NamedTuple, dataclass
from mntscope.graph.host_index import Family, HostIndex, MountsAtRoot
from mntscope.graph.namespaces import same_namespace
from mntscope.graph.peers import PeerGraph, Reach, Via
from mntscope.graph.root_index import any_between, between
from mntscope.graph.severity import SEVERITIES, Remedy, Severity, remedy_for, severity_at, worst
from mntscope.model import Mount, View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

Direction: TypeAlias = "Literal['out', 'in', 'both']"

BOUND = 250_000
"""About how many leaks one comparison finds, and how many landing places it lists for them. Honest tables have a few a
mount, but n mounts can be made to have n² of them. Each mount is given its share, and a leak says if it had more."""

FEW = 8
"""Where many namespaces are compared at once they share the bound, but no mount's share is smaller than this."""


@dataclass(frozen=True, slots=True)
class Leak(Shown):
    """Events of one mount of the target that cross to the host, or the host's that cross to it."""

    direction: Direction
    """``both`` where the host receives the target's events at *path* and the target the host's."""
    path: str
    """In the target: the shallowest path whose events cross."""
    lands_at: tuple[str, ...]
    """Every path of the host at which an event at *path* arrives, sorted; for ``in``, from which it comes."""
    via: Via
    """``peer`` where one of these is a peer of the mount; otherwise the host's is a slave (``in``: the target's)."""
    peer_group: int
    """The group through which events leave the mount; for ``in``, that through which they arrive."""
    mount: Mount
    """The target's."""
    host_mounts: tuple[Mount, ...]
    """The host's mounts that receive; for ``in``, that send."""
    hidden: bool
    """Whether something is mounted over *path* in the target. Then nothing can be mounted there, but what lies over
    it can be unmounted, and a process that is already inside can do both."""
    covered: bool
    """Whether the host has something mounted over every place where events land: they take effect beneath it."""
    severity: Severity
    remedy: Remedy
    remedy_path: str | None
    """What ``mount --make-..`` must name for the remedy: the mount point; ``None`` where no path leads to the mount."""
    complete: bool = True
    """Whether *lands_at* is complete, and there is no further leak of this mount (see :data:`BOUND`)."""

    @property
    def why(self) -> str:
        """One sentence for people: what reaches whom through which group, and what the remedy does.

        It quotes paths as they are: not yet fit for a terminal.
        """
        there = self.lands_at[0]
        if len(self.lands_at) > 1:
            there += f" and {counted(len(self.lands_at) - 1, 'more path')}"
        group = f"group {self.peer_group}"
        if self.direction == "in":
            return (
                f"mounts and umounts at {there} of the host reach {self.path} through {group}, as they should where the"
                f" host's umounts are to arrive"
            )
        relation = f"its peer in {group}" if self.via == "peer" else f"a slave of {group}"
        covered = ", where they take effect beneath another mount" if self.covered else ""
        still = (
            "lets the host's umounts in"
            if self.remedy == "make-slave"
            else f"cannot keep a device of the host busy, as {self.mount.fs_type} has none"
        )
        events = f"mounts and umounts at {self.path}{' (covered)' if self.hidden else ''}"
        return f"{events} reach {there} of the host ({relation}){covered}; {self.remedy} stops that and {still}"


def leaks(target: View, host: View, others: Iterable[View] = (), *, path: str | None = None) -> tuple[Leak, ...]:
    """What leaks between two views, the worst first; nothing where they show one namespace.

    *others* are further views of the same moment: a mount of the host may be the slave of a group that only they show.
    With *path* (of the target) only the event at that very path is considered: of the mount that contains it, and
    *lands_at* is where it lands.

    :raises ValueError: two views bear one label.
    """
    if same_namespace(target, host):
        return ()
    return leaks_in(PeerGraph.of([host, target, *others]), target.label, host.label, path=path)


def leaks_in(graph: PeerGraph, target: str, host: str, *, path: str | None = None) -> tuple[Leak, ...]:
    """As :func:`leaks`, of two views by their labels in a graph that is built already.

    They must be of two namespaces, which is not looked at here.
    """
    search = _LeakSearch(graph, target, HostIndex(graph, host))
    return search.worst_first() if path is None else tuple(search.leaks_at(normal(path)))


def leaks_to(graph: PeerGraph, host: str) -> Mapping[str, tuple[Leak, ...]]:
    """The leaks of every other namespace of the graph, by the label of the first view that shows it."""
    first = graph.first
    targets = [
        view
        for number, view in enumerate(graph.views)
        if first[number] == number != first[graph.number(host)] and not view.detached
    ]
    index, known = HostIndex(graph, host), _Known()
    found = {}
    for view in targets:
        bound = max(BOUND // len(targets), FEW * len(view.mounts))
        found[view.label] = _LeakSearch(graph, view.label, index, bound, known).worst_first()
    return found


def crossing_mounts(graph: PeerGraph, host: str) -> Mapping[str, list[tuple[bool, bool]]]:
    """For each view of another namespace, of each of its mounts: whether its events go out to the host, and come in.

    These are the mounts that :func:`leaks_to` tells of, without its bound, and sooner as it need not say where.
    """
    index = HostIndex(graph, host)
    known: dict[_PropagationKey, tuple[bool, bool]] = {}
    found = {}
    for view in graph.views:
        if view.detached or graph.same_namespace(view.label, host):
            continue
        search = _LeakSearch(graph, view.label, index)
        for key, mount in search.propagating:
            if key not in known:
                known[key] = search.directions(mount)
        found[view.label] = [known.get(_propagation_key(mount), (False, False)) for mount in view.mounts]
    return found


def _worst_first(leak: Leak) -> tuple[int, str, int]:
    return SEVERITIES.index(leak.severity), leak.path, leak.mount.mount_id


class _LeakAtPlace(NamedTuple):
    """A leak as far as it follows from a place in the filesystem: the same for all mounts of one group and root."""

    place: str
    direction: Direction
    via: Via
    lands_at: tuple[str, ...]
    host_mounts: tuple[Mount, ...]
    covered: bool
    severity: Severity
    complete: bool


class _Known:
    """What was found for one target, and holds for others that are compared with the same host."""

    def __init__(self) -> None:
        self.leaks: dict[_PropagationKey, tuple[int, list[_LeakAtPlace]]] = {}
        """Those of all mounts with a key, where they were all, and how many must be allowed to find them."""
        self.copies: dict[Hashable, tuple[tuple[Leak, ...], list[int]]] = {}
        """The leaks of one target of each :meth:`_LeakSearch.kind`, and the indexes of their mounts."""


class _LeakSearch:
    """Looks for the leaks between one target and the host, *bound* of them at most; *known* are those of others."""

    def __init__(
        self, graph: PeerGraph, target: str, host: HostIndex, bound: int = BOUND, known: _Known | None = None
    ) -> None:
        self.graph = graph
        self.target = graph.tree(target)
        self.host = host
        self.known = known or _Known()
        self.bound = bound

    @cached_property
    def propagating(self) -> list[tuple[_PropagationKey, Mount]]:
        """The mounts that send or receive at all, each with what its leaks depend on."""
        return [
            (_propagation_key(mount), mount)
            for mount in self.target.mounts
            if (mount.peer_group is not None or mount.master is not None) and self.graph.root(mount) is not None
        ]

    @cached_property
    def most_found(self) -> int:
        """How many mounts of the host are looked at for one event."""
        return max(1, self.bound // max(1, len({key for key, _ in self.propagating})))

    @cached_property
    def most_listed(self) -> int:
        """How many leaks of one mount are given, and how many landing places of one leak."""
        return max(1, self.bound // max(1, len(self.propagating)))

    def worst_first(self) -> tuple[Leak, ...]:
        """The leaks of every mount of the target, in the order in which they are given.

        Those of a copy of a target that was looked at before are the same, each of the copy's own mount.
        """
        mounts, kind = self.target.mounts, self.kind()
        known = self.known.copies.get(kind)
        if known is not None:
            copied = [_of_copy(leak, mounts[index]) for leak, index in zip(*known, strict=True)]
            # Mount IDs may be in another order there.
            return tuple(sorted(copied, key=_worst_first))
        found = tuple(sorted(self.leaks(), key=_worst_first))
        if self.target.has_unique_ids:
            indexes = {mount.mount_id: index for index, mount in enumerate(mounts)}
            self.known.copies[kind] = found, [indexes[leak.mount.mount_id] for leak in found]
        return found

    def kind(self) -> Hashable:
        """All that the leaks of the target depend on, beside the mounts themselves: what copies have in common."""
        facts = [(each.device, each.peer_group, each.master, each.root, each.fs_type) for each in self.target.mounts]
        return self.target.has_unique_ids, self.target.shape, self.bound, tuple(facts)

    def leaks(self) -> Iterator[Leak]:
        """The leaks of every mount of the target."""
        known: dict[_PropagationKey, list[_LeakAtPlace]] = {}
        for key, mount in self.propagating:
            found = known.get(key)
            if found is None:
                found = known[key] = self.known_leaks(key, mount)
            if len(found) > self.most_listed:
                found = [leak._replace(complete=False) for leak in found[: self.most_listed]]
            for leak in found:
                yield self.leak_of(mount, leak)

    def known_leaks(self, key: _PropagationKey, mount: Mount) -> list[_LeakAtPlace]:
        """The leaks of all mounts with this key: as they were found for another target, if as many are allowed here."""
        most = min(self.most_found, self.most_listed)
        if (known := self.known.leaks.get(key)) is not None and known[0] <= most:
            return known[1]
        found = self.leaks_with_one(mount)
        if found is None:
            found = list(islice(self.leaks_by_place(mount), self.most_listed + 1))
        needed, complete = len(found), len(found) <= self.most_listed
        for leak in found:
            needed = max(needed, len(leak.host_mounts))
            complete = complete and leak.complete
        if complete:
            self.known.leaks[key] = needed, found
        return found

    def leaks_with_one(self, mount: Mount) -> list[_LeakAtPlace] | None:
        """The leaks of *mount* where the host has one mount in its tree of groups, which shows the same directory.

        So it is for a copy of a namespace whose mounts have each a group of their own. ``None``: it is otherwise here.
        """
        graph = self.graph
        reach, root = graph.reach(mount), graph.root(mount)
        source = reach or graph.master_reach(mount)
        if source is None or root is None:
            return []
        positions = self.host.first_two(source.family)
        if not positions:
            return []
        other = graph.tour[positions[0]][1]
        if len(positions) > 1 or graph.root(other) != root:
            return None
        receives = reach is not None and reach.low <= positions[0] < reach.high
        sends = (theirs := graph.reach(other)) is not None and theirs.low <= _sent_to(source, reach) < theirs.high
        if not (receives or sends):
            return []
        return [self.leak_between(root, reach, positions if receives else [], positions if sends else [])]

    def leaks_at(self, path: str) -> Iterator[Leak]:
        """The leak of the event at *path*, of the mount that contains it; at most one."""
        mount = self.target.containing(path)
        if mount is None:
            return
        root = self.graph.root(mount)
        events = self.events_of(mount)
        if root is None or events is None:
            return
        leak = events.leak_from(below(root, relative(path, mount.mount_point)))
        if leak.host_mounts:
            yield self.leak_of(mount, leak)

    def leaks_by_place(self, mount: Mount) -> Iterator[_LeakAtPlace]:
        """The leaks of *mount*, at the shallowest places from where events go out, and come in."""
        events = self.events_of(mount)
        if events is None:
            return
        if events.host.only == events.root:
            # All that the host has there shows the very directory that the mount does, so one place is all there is.
            if (leak := events.leak_from(events.root)).host_mounts:
                yield leak
            return
        outward = set()
        for place in events.shallowest(events.go_out):
            leak = events.leak_from(place)
            critical = events.critical_places(place) if leak.severity != "critical" else ()
            for found in (leak, *map(events.leak_from, critical)):
                outward.add(found.place)
                yield found
        inward = events.shallowest(events.come_in)
        yield from (events.leak_from(place) for place in inward if place not in outward)

    def directions(self, mount: Mount) -> tuple[bool, bool]:
        """Whether any event of *mount* goes out, and any comes in."""
        events = self.events_of(mount)
        if events is None:
            return False, False
        outward, inward = events.shallowest(events.go_out), events.shallowest(events.come_in)
        return any(True for _ in outward), any(True for _ in inward)

    def events_of(self, mount: Mount) -> _MountEvents | None:
        """The events that *mount* exchanges with the host; ``None`` if the host has nothing in its tree of groups."""
        reach, root = self.graph.reach(mount), self.graph.root(mount)
        source = reach or self.graph.master_reach(mount)
        if source is None or root is None:
            return None
        mounts = self.host.family(source.family)
        if not mounts.roots:
            return None
        return _MountEvents(self, mounts, reach, _sent_to(source, reach), root, mounts.containing(root))

    def leak_between(
        self, place: str, reach: Reach | None, receivers: Sequence[int], senders: Sequence[int]
    ) -> _LeakAtPlace:
        """What an event at *place* of a mount of this *reach* does, of whose receivers and senders the first are known.

        Each is a position of the host in the tour. Without host mounts it stays where it is.
        """
        graph, tree, most, listed = self.graph, self.host.tree, self.most_found, self.most_listed
        host_mounts: list[Mount] = []
        landings: set[str] = set()
        severities: set[Severity] = set()
        covered = bool(receivers)
        for position in (receivers or senders)[:most]:
            _, mount = graph.tour[position]
            path = graph.landing(mount, place)
            host_mounts.append(mount)
            landings.add(path)
            if receivers:
                shows, leads_into = tree.shown(mount, path)
                severities.add(severity_at(path, whole=path == mount.mount_point, visible=leads_into))
                covered = covered and not shows
        complete = len(receivers) <= most and len(senders) <= most and len(landings) <= listed
        if receivers and not complete:
            severities.add("high")
        return _LeakAtPlace(
            place,
            "in" if not receivers else "both" if senders else "out",
            "peer" if reach is not None and receivers and min(receivers) < reach.slaves else "slave",
            tuple(sorted(landings)[:listed]),
            tuple(host_mounts),
            covered,
            worst(severities),
            complete,
        )

    def leak_of(self, mount: Mount, found: _LeakAtPlace) -> Leak:
        """What was found for a place as the leak of *mount*, at its path."""
        path, root = mount.mount_point, self.graph.root(mount)
        if found.place != root:
            path = below(path, relative(found.place, root or "/"))
        inward = found.direction == "in" or mount.peer_group is None
        group = mount.master if inward and mount.master is not None else mount.peer_group
        assert group is not None
        shown, leads_into, named = self.target.seen(mount, path)
        return Leak(
            direction=found.direction,
            path=path,
            lands_at=found.lands_at,
            via=found.via,
            peer_group=group,
            mount=mount,
            host_mounts=found.host_mounts,
            hidden=not shown,
            covered=found.covered,
            severity=found.severity if leads_into else "low",
            remedy="make-private" if found.direction == "in" else remedy_for(mount.fs_type),
            remedy_path=mount.mount_point if named else None,
            complete=found.complete,
        )


def _of_copy(leak: Leak, mount: Mount) -> Leak:
    """The same *leak* as that of another mount."""
    return Leak(
        leak.direction, leak.path, leak.lands_at, leak.via, leak.peer_group, mount, leak.host_mounts, leak.hidden,
        leak.covered, leak.severity, leak.remedy, leak.remedy_path, leak.complete,
    )  # fmt: skip


class _MountEvents(NamedTuple):
    """The events of one mount of the target: who of the host receives them, and who sends it its own."""

    search: _LeakSearch
    host: Family
    """The host's mounts in the same tree of groups."""
    reach: Reach | None
    """The stretch of the tour that receives from the mount; ``None`` if it is not shared."""
    position: int
    """Where in the tour the mount is, or another that is sent the same."""
    root: str
    around: Sequence[MountsAtRoot]
    """The host's mounts that hold the mount's root, the nearest first."""

    def go_out(self, mounts: MountsAtRoot) -> bool:
        """Whether one of these mounts of the host receives from this one."""
        return self.reach is not None and any_between(mounts.receivers, self.reach.low, self.reach.high)

    def come_in(self, mounts: MountsAtRoot) -> bool:
        """Whether one of these mounts of the host sends to this one."""
        return bool(mounts.senders.around(self.position, 1))

    def receivers(self, around: Sequence[MountsAtRoot], most: int) -> list[int]:
        """The first *most* of these mounts of the host that receive, by their positions in the tour."""
        if (reach := self.reach) is None:
            return []
        found: list[int] = []
        for mounts in around:
            found += between(mounts.receivers, reach.low, reach.high, most - len(found))
        return found

    def senders(self, around: Sequence[MountsAtRoot], most: int) -> list[int]:
        """The first *most* of these mounts of the host that send to this one, by their positions in the tour."""
        found: list[int] = []
        for mounts in around:
            found += mounts.senders.around(self.position, most - len(found))
        return found

    def shallowest(self, wanted: Callable[[MountsAtRoot], bool]) -> Iterable[str]:
        """The shallowest places at or below the mount's root that are at or below the root of a wanted mount."""
        for mounts in self.around:
            if wanted(mounts):
                return (self.root,)
        return self.host.within(self.root, wanted)

    def critical_places(self, place: str) -> Iterator[str]:
        """The shallowest places below *place* from where events reach what the host has at a path of CRITICAL."""
        host, reach = self.search.host, self.reach
        if reach is None or not any_between(host.critical, reach.low, reach.high):
            return iter(())
        return host.critical_roots(reach).within(place, lambda _: True)

    def leak_from(self, place: str) -> _LeakAtPlace:
        """What an event at *place* does; without host mounts if it stays where it is."""
        search = self.search
        around = self.around if place == self.root else self.host.containing(place)
        receivers = self.receivers(around, search.most_found + 1)
        senders = self.senders(around, 1 if receivers else search.most_found + 1)
        return search.leak_between(place, self.reach, receivers, senders)


def _sent_to(source: Reach, reach: Reach | None) -> int:
    """Where in the tour a mount is that is sent what a mount with this *reach* is, whose own or master's *source* is.

    What receives a mount's own events tells who sends to it; slaves of one group are sent the same.
    """
    return source.low if reach is not None else source.slaves


_PropagationKey = tuple[str, int | None, int | None, str]


def _propagation_key(mount: Mount) -> _PropagationKey:
    """What the leaks of a mount depend on beside its path: its device, its group or else its master, and its root."""
    return mount.device, mount.peer_group, mount.master if mount.peer_group is None else None, mount.root
