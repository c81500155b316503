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

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Literal

from mntscope.base.counting import counted
from mntscope.base.display import Shown
from mntscope.base.paths import below, normal, relative
from mntscope.base.records import NamedTuple, dataclass
from mntscope.graph.forest import NONE
from mntscope.graph.namespaces import same_namespace
from mntscope.graph.peers import PeerGraph, Reach, Via
from mntscope.graph.root_index import RootIndex, Span, Spans, any_between, between
from mntscope.graph.severity import CRITICAL, SEVERITIES, Remedy, Severity, remedy_for, severity_at, worst
from mntscope.model import Mount, View

Direction = Literal["out", "in", "both"]

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
    search = _LeakSearch(graph, target, _HostIndex(graph, host))
    return tuple(sorted(search.leaks() if path is None else search.leaks_at(normal(path)), key=_worst_first))


def leaks_to(graph: PeerGraph, host: str) -> Mapping[str, tuple[Leak, ...]]:
    """The leaks of every other namespace of the graph, by the label of the first view that shows it."""
    first = graph.first
    targets = [
        view
        for number, view in enumerate(graph.views)
        if first[number] == number != first[graph.number(host)] and not view.detached
    ]
    index = _HostIndex(graph, host)
    found = {}
    for view in targets:
        bound = max(BOUND // len(targets), FEW * len(view.mounts))
        found[view.label] = tuple(sorted(_LeakSearch(graph, view.label, index, bound).leaks(), key=_worst_first))
    return found


def crossing_mounts(graph: PeerGraph, host: str) -> Mapping[str, list[tuple[bool, bool]]]:
    """For each view of another namespace, of each of its mounts: whether its events go out to the host, and come in.

    These are the mounts that :func:`leaks_to` tells of, without its bound, and sooner as it need not say where.
    """
    index = _HostIndex(graph, host)
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


class _MountsAtRoot:
    """The host's mounts with one root in one tree of peer groups."""

    __slots__ = ("receivers", "senders")

    def __init__(self, graph: PeerGraph, receivers: list[int]) -> None:
        self.receivers = receivers
        """Their positions in the graph's tour, ascending."""
        reaches = [(graph.reach(graph.tour[position][1]), position) for position in receivers]
        self.senders = Spans([Span(reach.low, reach.high, position) for reach, position in reaches if reach])
        """For each that is shared the stretch of the tour that receives from it."""


class _HostIndex:
    """The mounts of the host by tree of groups and by root: made once, and asked for each target."""

    def __init__(self, graph: PeerGraph, label: str) -> None:
        self.graph = graph
        self.tree = graph.tree(label)
        number = graph.number(label)
        self.positions = [position for position, (whose, _) in enumerate(graph.tour) if whose == number]
        self.critical = [position for position in self.positions if self._is_critical(graph.tour[position][1])]
        """Where the host sees a mount at a path of :data:`CRITICAL`."""
        self.families: dict[int, RootIndex[_MountsAtRoot]] = {}
        self.known: dict[_PropagationKey, tuple[int, list[_LeakAtPlace]]] = {}
        """The leaks that were found for one target, where they were all, and how many must be allowed to find them."""

    def mounts(self, family: int) -> RootIndex[_MountsAtRoot]:
        """Its mounts in a tree of groups. Of most trees no other namespace has a part, and nothing is asked."""
        if family not in self.families:
            by_root: dict[str, list[int]] = {}
            stretch = self.graph.family(family)
            for position in between(self.positions, stretch.low, stretch.high):
                root = self.graph.root(self.graph.tour[position][1])
                if root is not None:
                    by_root.setdefault(root, []).append(position)
            self.families[family] = RootIndex({root: _MountsAtRoot(self.graph, its) for root, its in by_root.items()})
        return self.families[family]

    def critical_roots(self, reach: Reach) -> RootIndex[None]:
        """The roots of what the host sees at a path of :data:`CRITICAL`, as far as it is reached."""
        mounts = (self.graph.tour[position][1] for position in between(self.critical, reach.low, reach.high))
        return RootIndex({root: None for mount in mounts if (root := self.graph.root(mount)) is not None})

    def _is_critical(self, mount: Mount) -> bool:
        return mount.mount_point in CRITICAL and self.tree.leads_into(mount, mount.mount_point)


class _LeakSearch:
    """Looks for the leaks between one target and the host, *bound* of them at most."""

    def __init__(self, graph: PeerGraph, target: str, host: _HostIndex, bound: int = BOUND) -> None:
        self.graph = graph
        self.target = graph.tree(target)
        self.host = host
        self.propagating = [
            (_propagation_key(mount), mount)
            for mount in self.target.mounts
            if (mount.peer_group is not None or mount.master is not None) and graph.root(mount) is not None
        ]
        """The mounts that send or receive at all, each with what its leaks depend on."""
        keys = {key for key, _ in self.propagating}
        self.most_found = max(1, bound // max(1, len(keys)))
        """How many mounts of the host are looked at for one event."""
        self.most_listed = max(1, bound // max(1, len(self.propagating)))
        """How many leaks of one mount are given, and how many landing places of one leak."""

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
        if (known := self.host.known.get(key)) is not None and known[0] <= most:
            return known[1]
        found = list(islice(self.leaks_by_place(mount), self.most_listed + 1))
        if len(found) <= self.most_listed and all(leak.complete for leak in found):
            needed = max([len(found), *(len(leak.host_mounts) for leak in found)])
            self.host.known[key] = needed, found
        return found

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
        root = self.graph.root(mount)
        if events is None or root is None:
            return
        outward = set()
        for place in events.shallowest(root, events.go_out):
            leak = events.leak_from(place)
            critical = events.critical_places(place) if leak.severity != "critical" else ()
            for found in (leak, *map(events.leak_from, critical)):
                outward.add(found.place)
                yield found
        inward = events.shallowest(root, events.come_in)
        yield from (events.leak_from(place) for place in inward if place not in outward)

    def directions(self, mount: Mount) -> tuple[bool, bool]:
        """Whether any event of *mount* goes out, and any comes in."""
        events = self.events_of(mount)
        root = self.graph.root(mount)
        if events is None or root is None:
            return False, False
        outward = events.shallowest(root, events.go_out)
        inward = events.shallowest(root, events.come_in)
        return any(True for _ in outward), any(True for _ in inward)

    def events_of(self, mount: Mount) -> _MountEvents | None:
        """The events that *mount* exchanges with the host; ``None`` if the host has nothing in its tree of groups."""
        reach = self.graph.reach(mount)
        source = reach or self.graph.master_reach(mount)
        if source is None:
            return None
        mounts = self.host.mounts(source.family)
        if not mounts.roots:
            return None
        # What receives a mount's own events tells who sends to it; slaves of one group are sent the same.
        return _MountEvents(self, mounts, reach, source.low if reach is not None else source.slaves)

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


class _MountEvents(NamedTuple):
    """The events of one mount of the target: who of the host receives them, and who sends it its own."""

    search: _LeakSearch
    host: RootIndex[_MountsAtRoot]
    """The host's mounts in the same tree of groups."""
    reach: Reach | None
    """The stretch of the tour that receives from the mount; ``None`` if it is not shared."""
    position: int
    """Where in the tour the mount is, or another that is sent the same."""

    def go_out(self, mounts: _MountsAtRoot) -> bool:
        """Whether one of these mounts of the host receives from this one."""
        return self.reach is not None and any_between(mounts.receivers, self.reach.low, self.reach.high)

    def come_in(self, mounts: _MountsAtRoot) -> bool:
        """Whether one of these mounts of the host sends to this one."""
        return next(mounts.senders.around(self.position), NONE) != NONE

    def receivers(self, mounts: _MountsAtRoot) -> Iterator[int]:
        """Which of these mounts of the host receive, by their positions in the tour."""
        return iter(()) if self.reach is None else between(mounts.receivers, self.reach.low, self.reach.high)

    def shallowest(self, root: str, wanted: Callable[[_MountsAtRoot], bool]) -> Iterator[str]:
        """The shallowest places at or below *root* that are at or below the root of a wanted mount."""
        for mounts in self.host.containing(root):
            if wanted(mounts):
                return iter([root])
        return self.host.within(root, wanted)

    def critical_places(self, place: str) -> Iterator[str]:
        """The shallowest places below *place* from where events reach what the host has at a path of CRITICAL."""
        host, reach = self.search.host, self.reach
        if reach is None or not any_between(host.critical, reach.low, reach.high):
            return iter(())
        return host.critical_roots(reach).within(place, lambda _: True)

    def leak_from(self, place: str) -> _LeakAtPlace:
        """What an event at *place* does; without host mounts if it stays where it is."""
        graph, tree = self.search.graph, self.search.host.tree
        around = list(self.host.containing(place))
        receiving = (position for mounts in around for position in self.receivers(mounts))
        sending = (position for mounts in around for position in mounts.senders.around(self.position))
        most, listed = self.search.most_found, self.search.most_listed
        receivers = list(islice(receiving, most + 1))
        senders = list(islice(sending, 1 if receivers else most + 1))
        host_mounts = tuple(graph.tour[position][1] for position in (receivers or senders)[:most])
        landings = [(graph.landing(mount, place), mount) for mount in host_mounts]
        paths = sorted({path for path, _ in landings})
        severities: list[Severity] = [
            severity_at(path, whole=path == mount.mount_point, visible=tree.leads_into(mount, path))
            for path, mount in landings
        ]
        complete = len(receivers) <= most and len(senders) <= most and len(paths) <= listed
        return _LeakAtPlace(
            place=place,
            direction="in" if not receivers else "both" if senders else "out",
            via="peer" if self.reach is not None and receivers and min(receivers) < self.reach.slaves else "slave",
            lands_at=tuple(paths[:listed]),
            host_mounts=host_mounts,
            covered=bool(receivers) and not any(tree.shows(mount, path) for path, mount in landings),
            severity="low" if not receivers else worst(severities if complete else [*severities, "high"]),
            complete=complete,
        )


_PropagationKey = tuple[str, int | None, int | None, str]


def _propagation_key(mount: Mount) -> _PropagationKey:
    """What the leaks of a mount depend on beside its path: its device, its group or else its master, and its root."""
    return mount.device, mount.peer_group, mount.master if mount.peer_group is None else None, mount.root
