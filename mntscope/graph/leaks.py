"""Leaks: what the mounts of one namespace would pass on to another, where it would land, and how bad that is.

This is the one definition of a leak. A mount of the target leaks *out* when some mount of the host receives its
events, and events leak *in* the other way round; peers do both. A leak is given at the shallowest path of the mount
from which events cross, since those at deeper paths cross with it, correspondingly deeper. Only where deeper ones
would also land on a directory that the host cannot do without is that a leak of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Literal

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
        """One sentence. It quotes paths as they are: not yet fit for a terminal."""
        there = self.lands_at[0]
        if len(self.lands_at) > 1:
            there += f" and {len(self.lands_at) - 1} more paths"
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
    """The same for two views, by their labels, of a graph that is built already; they must be of two namespaces."""
    finder = _Finder(graph, target, _Host(graph, host))
    return tuple(sorted(finder.leaks() if path is None else finder.leaks_at(normal(path)), key=_worst_first))


def leaks_to(graph: PeerGraph, host: str) -> Mapping[str, tuple[Leak, ...]]:
    """The same for every other namespace of the graph, by the label of the first view that shows it."""
    first = graph.first
    targets = [
        view
        for number, view in enumerate(graph.views)
        if first[number] == number != first[graph.number(host)] and not view.detached
    ]
    end = _Host(graph, host)
    found = {}
    for view in targets:
        bound = max(BOUND // len(targets), FEW * len(view.mounts))
        found[view.label] = tuple(sorted(_Finder(graph, view.label, end, bound).leaks(), key=_worst_first))
    return found


def crossing_mounts(graph: PeerGraph, host: str) -> Mapping[str, list[tuple[bool, bool]]]:
    """For each view of another namespace, of each of its mounts: whether its events go out to the host, and come in.

    These are the mounts that :func:`leaks_to` tells of, without its bound, and sooner as it need not say where.
    """
    end = _Host(graph, host)
    known: dict[_Kind, tuple[bool, bool]] = {}
    found = {}
    for view in graph.views:
        if view.detached or graph.same_namespace(view.label, host):
            continue
        finder = _Finder(graph, view.label, end)
        for kind, mount in finder.concerned:
            if kind not in known:
                known[kind] = finder.directions(mount)
        found[view.label] = [known.get(_kind(mount), (False, False)) for mount in view.mounts]
    return found


def _worst_first(leak: Leak) -> tuple[int, str, int]:
    return SEVERITIES.index(leak.severity), leak.path, leak.mount.mount_id


class _Crossing(NamedTuple):
    """A leak without the mount: what is the same for all mounts with one group and root."""

    place: str
    direction: Direction
    via: Via
    lands_at: tuple[str, ...]
    host_mounts: tuple[Mount, ...]
    covered: bool
    severity: Severity
    complete: bool


class _There:
    """The host's mounts with one root in one tree of peer groups."""

    __slots__ = ("receivers", "senders")

    def __init__(self, graph: PeerGraph, receivers: list[int]) -> None:
        self.receivers = receivers
        """Their positions in the graph's tour."""
        reaches = [(graph.reach(graph.tour[position][1]), position) for position in receivers]
        self.senders = Spans([Span(reach.low, reach.high, position) for reach, position in reaches if reach])
        """For each that is shared the stretch of the tour that receives from it."""


class _Host:
    """The end at which leaks arrive, made ready to be asked for many targets."""

    def __init__(self, graph: PeerGraph, label: str) -> None:
        self.graph = graph
        self.tree = graph.tree(label)
        number = graph.number(label)
        self.positions = [position for position, (whose, _) in enumerate(graph.tour) if whose == number]
        self.vital = [position for position in self.positions if self._is_vital(graph.tour[position][1])]
        """Where the host sees a mount at a path of :data:`CRITICAL`."""
        self.families: dict[int, RootIndex[_There]] = {}
        self.known: dict[_Kind, tuple[int, list[_Crossing]]] = {}
        """What was found for one target, and is complete, and so is true for all that may find as many."""

    def mounts(self, family: int) -> RootIndex[_There]:
        """Its mounts in a tree of groups. Of most trees no other namespace has a part, and nothing is asked."""
        if family not in self.families:
            found: dict[str, list[int]] = {}
            stretch = self.graph.family(family)
            for position in between(self.positions, stretch.low, stretch.high):
                root = self.graph.root(self.graph.tour[position][1])
                if root is not None:
                    found.setdefault(root, []).append(position)
            self.families[family] = RootIndex({root: _There(self.graph, there) for root, there in found.items()})
        return self.families[family]

    def vital_roots(self, reach: Reach) -> RootIndex[None]:
        """The roots of what the host sees at a path of :data:`CRITICAL`, as far as it is reached."""
        mounts = (self.graph.tour[position][1] for position in between(self.vital, reach.low, reach.high))
        return RootIndex({root: None for mount in mounts if (root := self.graph.root(mount)) is not None})

    def _is_vital(self, mount: Mount) -> bool:
        return mount.mount_point in CRITICAL and self.tree.leads_into(mount, mount.mount_point)


class _Finder:
    def __init__(self, graph: PeerGraph, target: str, host: _Host, bound: int = BOUND) -> None:
        self.graph = graph
        self.target = graph.tree(target)
        self.host = host
        self.concerned = [
            (_kind(mount), mount)
            for mount in self.target.mounts
            if (mount.peer_group is not None or mount.master is not None) and graph.root(mount) is not None
        ]
        # What mounts with one group and root have in common is found once for all of them.
        kinds = {kind for kind, _ in self.concerned}
        self.most_found = max(1, bound // max(1, len(kinds)))
        self.most_listed = max(1, bound // max(1, len(self.concerned)))

    def leaks(self) -> Iterator[Leak]:
        """Those of every mount of the target."""
        known: dict[_Kind, list[_Crossing]] = {}
        for kind, mount in self.concerned:
            crossings = known.get(kind)
            if crossings is None:
                crossings = known[kind] = self.known_crossings(kind, mount)
            if len(crossings) > self.most_listed:
                crossings = [crossing._replace(complete=False) for crossing in crossings[: self.most_listed]]
            for crossing in crossings:
                yield self.leak(mount, crossing)

    def known_crossings(self, kind: _Kind, mount: Mount) -> list[_Crossing]:
        """Those of all mounts of a kind: as they were found for another target, if this one may find as many."""
        most = min(self.most_found, self.most_listed)
        if (known := self.host.known.get(kind)) is not None and known[0] <= most:
            return known[1]
        crossings = list(islice(self.crossings(mount), self.most_listed + 1))
        if len(crossings) <= self.most_listed and all(crossing.complete for crossing in crossings):
            found = max([len(crossings), *(len(crossing.host_mounts) for crossing in crossings)])
            self.host.known[kind] = found, crossings
        return crossings

    def leaks_at(self, path: str) -> Iterator[Leak]:
        """That of the event at *path*."""
        mount = self.target.containing(path)
        if mount is None:
            return
        root = self.graph.root(mount)
        query = self.query(mount)
        if root is None or query is None:
            return
        crossing = query.crossing(below(root, relative(path, mount.mount_point)))
        if crossing.host_mounts:
            yield self.leak(mount, crossing)

    def crossings(self, mount: Mount) -> Iterator[_Crossing]:
        """At the shallowest places of *mount* from where events go out, and come in."""
        query = self.query(mount)
        root = self.graph.root(mount)
        if query is None or root is None:
            return
        outward = set()
        for place in query.shallowest(root, query.is_reached):
            crossing = query.crossing(place)
            vital = query.vital(place) if crossing.severity != "critical" else ()
            for found in (crossing, *map(query.crossing, vital)):
                outward.add(found.place)
                yield found
        inward = query.shallowest(root, query.is_sent)
        yield from (query.crossing(place) for place in inward if place not in outward)

    def directions(self, mount: Mount) -> tuple[bool, bool]:
        """Whether any event of *mount* goes out, and any comes in."""
        query = self.query(mount)
        root = self.graph.root(mount)
        if query is None or root is None:
            return False, False
        outward = query.shallowest(root, query.is_reached)
        inward = query.shallowest(root, query.is_sent)
        return any(True for _ in outward), any(True for _ in inward)

    def query(self, mount: Mount) -> _Query | None:
        """What is to be asked about *mount*; ``None`` if the host has nothing in its tree of groups."""
        reach = self.graph.reach(mount)
        source = reach or self.graph.master_reach(mount)
        if source is None:
            return None
        mounts = self.host.mounts(source.family)
        if not mounts.roots:
            return None
        # What receives a mount's own events tells who sends to it; slaves of one group are sent the same.
        return _Query(self, mounts, reach, source.low if reach is not None else source.slaves)

    def leak(self, mount: Mount, crossing: _Crossing) -> Leak:
        """The crossing as a leak of *mount*."""
        path, root = mount.mount_point, self.graph.root(mount)
        if crossing.place != root:
            path = below(path, relative(crossing.place, root or "/"))
        inward = crossing.direction == "in" or mount.peer_group is None
        group = mount.master if inward and mount.master is not None else mount.peer_group
        assert group is not None
        shown, leads_into, named = self.target.seen(mount, path)
        return Leak(
            direction=crossing.direction,
            path=path,
            lands_at=crossing.lands_at,
            via=crossing.via,
            peer_group=group,
            mount=mount,
            host_mounts=crossing.host_mounts,
            hidden=not shown,
            covered=crossing.covered,
            severity=crossing.severity if leads_into else "low",
            remedy="make-private" if crossing.direction == "in" else remedy_for(mount.fs_type),
            remedy_path=mount.mount_point if named else None,
            complete=crossing.complete,
        )


class _Query(NamedTuple):
    """What can be asked about the events of a mount, known by what they reach and by where it is in the tour."""

    finder: _Finder
    host: RootIndex[_There]
    reach: Reach | None
    point: int

    def is_reached(self, there: _There) -> bool:
        """Whether one of the host's mounts receives from this one."""
        return self.reach is not None and any_between(there.receivers, self.reach.low, self.reach.high)

    def is_sent(self, there: _There) -> bool:
        """Whether one of them sends to it."""
        return next(there.senders.around(self.point), NONE) != NONE

    def reached(self, there: _There) -> Iterator[int]:
        """Those that receive."""
        return iter(()) if self.reach is None else between(there.receivers, self.reach.low, self.reach.high)

    def shallowest(self, root: str, wanted: Callable[[_There], bool]) -> Iterator[str]:
        """The shallowest places at or below *root* that are at or below the root of a wanted mount."""
        for there in self.host.containing(root):
            if wanted(there):
                return iter([root])
        return self.host.within(root, wanted)

    def vital(self, place: str) -> Iterator[str]:
        """The shallowest places below *place* from where events reach a root of what is vital to the host."""
        host, reach = self.finder.host, self.reach
        if reach is None or not any_between(host.vital, reach.low, reach.high):
            return iter(())
        return host.vital_roots(reach).within(place, lambda _: True)

    def crossing(self, place: str) -> _Crossing:
        """What an event at *place* does; without host mounts if it stays where it is."""
        graph, tree = self.finder.graph, self.finder.host.tree
        around = list(self.host.containing(place))
        reached = (at for there in around for at in self.reached(there))
        sent = (at for there in around for at in there.senders.around(self.point))
        most, listed = self.finder.most_found, self.finder.most_listed
        receivers = list(islice(reached, most + 1))
        senders = list(islice(sent, 1 if receivers else most + 1))
        found = (receivers or senders)[:most]
        mounts = tuple(graph.tour[position][1] for position in found)
        landings = [(graph.landing(mount, place), mount) for mount in mounts]
        paths = sorted({path for path, _ in landings})
        severities: list[Severity] = [
            severity_at(path, whole=path == mount.mount_point, visible=tree.leads_into(mount, path))
            for path, mount in landings
        ]
        complete = len(receivers) <= most and len(senders) <= most and len(paths) <= listed
        return _Crossing(
            place=place,
            direction="in" if not receivers else "both" if senders else "out",
            via="peer" if self.reach is not None and receivers and min(receivers) < self.reach.slaves else "slave",
            lands_at=tuple(paths[:listed]),
            host_mounts=mounts,
            covered=bool(receivers) and not any(tree.shows(mount, path) for path, mount in landings),
            severity="low" if not receivers else worst(severities if complete else [*severities, "high"]),
            complete=complete,
        )


_Kind = tuple[str, int | None, int | None, str]


def _kind(mount: Mount) -> _Kind:
    """What the events of a mount depend on: its group, or else its master, and its root."""
    return mount.device, mount.peer_group, mount.master if mount.peer_group is None else None, mount.root
