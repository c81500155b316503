"""Leaks: what the mounts of one namespace would pass on to another, where it would land, and how bad that is.

This is the one definition of a leak. A mount of the target leaks *out* when some mount of the host receives its
events, and events leak *in* the other way round; peers do both. A leak is given at the shallowest path of the mount
from which events cross, since those at deeper paths cross with it, correspondingly deeper. Only where deeper ones
would also land on a directory that the host cannot do without is that a leak of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple, TypeVar

from mntscope.graph.harm import CRITICAL, SEVERITIES, Remedy, Severity, remedy_for, severity_at, worst
from mntscope.graph.namespaces import first_of_namespace, same_namespace
from mntscope.graph.peers import PeerGraph, Reach, Via
from mntscope.graph.roots import Points, RootIndex, Span, Spans
from mntscope.graph.tree import MountTree
from mntscope.model import Mount, View
from mntscope.places import below, normal, relative
from mntscope.showing import Shown

T = TypeVar("T")
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
    first = first_of_namespace(graph.views)
    end = _Host(graph, host)
    targets = [
        view
        for number, view in enumerate(graph.views)
        if first[number] == number != first[graph.number(host)] and not view.detached
    ]
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
        for mount in finder.concerned:
            kind = _kind(mount)
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


class _HostMounts(NamedTuple):
    """The host's mounts in one tree of peer groups, by their roots. Numbers are positions in the graph's tour."""

    receivers: RootIndex[Points]
    senders: RootIndex[Spans]
    """For each shared mount the stretch of the tour that receives from it."""
    vital: RootIndex[Points]
    """The receivers whose roots the host sees at a path of :data:`CRITICAL`."""


class _Host:
    """The end at which leaks arrive, made ready to be asked for many targets."""

    def __init__(self, graph: PeerGraph, label: str) -> None:
        self.tree = graph.tree(label)
        self.mounts = _by_family(graph, graph.number(label), self.tree)


class _Finder:
    def __init__(self, graph: PeerGraph, target: str, host: _Host, bound: int = BOUND) -> None:
        self.graph = graph
        self.target_number = graph.number(target)
        self.target = graph.tree(target)
        self.host = host.tree
        self.host_mounts = host.mounts
        self.concerned = [
            mount
            for mount in self.target.mounts
            if (mount.peer_group is not None or mount.master is not None) and graph.root(mount) is not None
        ]
        # What mounts with one group and root have in common is found once for all of them.
        kinds = {_kind(mount) for mount in self.concerned}
        self.most_found = max(1, bound // max(1, len(kinds)))
        self.most_listed = max(1, bound // max(1, len(self.concerned)))

    def leaks(self) -> Iterator[Leak]:
        """Those of every mount of the target."""
        known: dict[_Kind, list[_Crossing]] = {}
        for mount in self.concerned:
            key = _kind(mount)
            if key not in known:
                known[key] = list(islice(self.crossings(mount), self.most_listed + 1))
            cut = len(known[key]) > self.most_listed
            for crossing in known[key][: self.most_listed]:
                yield self.leak(mount, crossing._replace(complete=False) if cut else crossing)

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
        for place in query.shallowest(root, query.host.receivers, query.is_reached):
            crossing = query.crossing(place)
            vital = query.host.vital.within(place, query.is_reached) if crossing.severity != "critical" else ()
            for found in (crossing, *map(query.crossing, vital)):
                outward.add(found.place)
                yield found
        inward = query.shallowest(root, query.host.senders, query.is_sent)
        yield from (query.crossing(place) for place in inward if place not in outward)

    def directions(self, mount: Mount) -> tuple[bool, bool]:
        """Whether any event of *mount* goes out, and any comes in."""
        query = self.query(mount)
        root = self.graph.root(mount)
        if query is None or root is None:
            return False, False
        outward = query.shallowest(root, query.host.receivers, query.is_reached)
        inward = query.shallowest(root, query.host.senders, query.is_sent)
        return any(True for _ in outward), any(True for _ in inward)

    def query(self, mount: Mount) -> _Query | None:
        """What is to be asked about *mount*; ``None`` if the host has nothing in its tree of groups."""
        reach = self.graph.reach(mount)
        source = reach or self.graph.master_reach(mount)
        if source is None or source.family not in self.host_mounts:
            return None
        point = reach.low if reach is not None else self.graph.position(self.target_number, mount)
        return _Query(self, self.host_mounts[source.family], reach, point)

    def leak(self, mount: Mount, crossing: _Crossing) -> Leak:
        """The crossing as a leak of *mount*."""
        path = below(mount.mount_point, relative(crossing.place, self.graph.root(mount) or "/"))
        inward = crossing.direction == "in" or mount.peer_group is None
        group = mount.master if inward and mount.master is not None else mount.peer_group
        assert group is not None
        return Leak(
            direction=crossing.direction,
            path=path,
            lands_at=crossing.lands_at,
            via=crossing.via,
            peer_group=group,
            mount=mount,
            host_mounts=crossing.host_mounts,
            hidden=not self.target.shows(mount, path),
            covered=crossing.covered,
            severity=crossing.severity if self.target.leads_into(mount, path) else "low",
            remedy="make-private" if crossing.direction == "in" else remedy_for(mount.fs_type),
            remedy_path=mount.mount_point if self.target.named_by(mount.mount_point) is mount else None,
            complete=crossing.complete,
        )


class _Query(NamedTuple):
    """What can be asked about the events of a mount, known by what they reach and by where it is in the tour."""

    finder: _Finder
    host: _HostMounts
    reach: Reach | None
    point: int

    def is_reached(self, receivers: Points) -> bool:
        """Whether one of the host's mounts receives from this one."""
        return any(True for _ in self.reached(receivers))

    def is_sent(self, senders: Spans) -> bool:
        """Whether one of them sends to it."""
        return any(True for _ in senders.around(self.point))

    def reached(self, receivers: Points) -> Iterator[int]:
        """Those that receive."""
        return iter(()) if self.reach is None else receivers.between(self.reach.low, self.reach.high)

    def shallowest(self, root: str, index: RootIndex[T], wanted: Callable[[T], bool]) -> Iterator[str]:
        """The shallowest places at or below *root* that are at or below the root of a wanted mount."""
        if any(wanted(things) for things in index.containing(root)):
            return iter([root])
        return index.within(root, wanted)

    def crossing(self, place: str) -> _Crossing:
        """What an event at *place* does; without host mounts if it stays where it is."""
        graph, tree = self.finder.graph, self.finder.host
        reached = (at for points in self.host.receivers.containing(place) for at in self.reached(points))
        sent = (at for spans in self.host.senders.containing(place) for at in spans.around(self.point))
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


def _by_family(graph: PeerGraph, host: int, tree: MountTree) -> dict[int, _HostMounts]:
    receivers: dict[int, dict[str, list[int]]] = {}
    vital: dict[int, dict[str, list[int]]] = {}
    senders: dict[int, dict[str, list[Span]]] = {}
    for position, (number, mount) in enumerate(graph.tour):
        root = graph.root(mount)
        reach = graph.reach(mount)
        source = reach or graph.master_reach(mount)
        if number != host or root is None or source is None:
            continue
        receivers.setdefault(source.family, {}).setdefault(root, []).append(position)
        if reach is not None:
            senders.setdefault(source.family, {}).setdefault(root, []).append(Span(reach.low, reach.high, position))
        if mount.mount_point in CRITICAL and tree.leads_into(mount, mount.mount_point):
            vital.setdefault(source.family, {}).setdefault(root, []).append(position)
    return {
        family: _HostMounts(
            RootIndex({root: Points(positions) for root, positions in roots.items()}),
            RootIndex({root: Spans(spans) for root, spans in senders.get(family, {}).items()}),
            RootIndex({root: Points(positions) for root, positions in vital.get(family, {}).items()}),
        )
        for family, roots in receivers.items()
    }
