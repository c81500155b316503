"""Names that people can follow, for namespaces and for peer groups: ``host``, ``web-1 (docker)``, ``host:/var``.

A number like ``shared:237`` says nothing: what people ask is *who* shares. A namespace has one name, which
:func:`namespace_name` makes; within a snapshot, :class:`GroupNames` keeps those apart that would be alike, and names
mounts and peer groups by them. Names are made of what containers and processes call themselves, so they are untrusted
text like any path: a report makes them visible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from mntscope.graph.namespaces import first_of_namespace
from mntscope.graph.peers import GroupKey, Member, PeerGraph
from mntscope.model import Mount, Process, View

SHOWN = 3
"""How many namespaces are named before the rest is counted."""

THE_HOST = "the host"


def namespace_name(view: View) -> str:
    """What the namespace of *view* is called: ``the host``, ``web-1 (docker)``, ``udevd.service``, ``4711 (sleep)``.

    That is its owner, with the runtime (a unit of systemd needs none); where no owner is known, the process through
    which it was read; else the view's label, such as ``mnt:[4026532568]`` or the name of a file. What part it plays
    (``the target``) is said beside the name.
    """
    return THE_HOST if view.label == "host" else _name(view)


def in_words(name: str) -> str:
    """A name, as lists and JSON have it, in a sentence: ``host`` is ``the host`` there."""
    return THE_HOST if name == "host" else name


def process_name(process: Process) -> str:
    """What a process is called: ``4711 (sleep)``; ``4711`` where the name of its command is not known."""
    return f"{process.pid} ({process.comm})" if process.comm else str(process.pid)


def namespace_names(views: Sequence[View], host: str) -> dict[str, str]:
    """What the namespaces of a snapshot are called, in words, by the labels of its views; no two are called alike."""
    first = first_of_namespace(views)
    labels = [view.label for view in views]
    # Its last process may have ended, in what is predicted: then nobody is called the host.
    names = dict(_names(views, first, first[labels.index(host)] if host in labels else None))
    return {label: in_words(names[at]) for label, at in zip(labels, first, strict=True)}


class GroupNames:
    """The names in a graph, of which the view labelled *host* plays the host.

    Making it takes n log n steps; a name then takes few, however large the group.
    """

    def __init__(self, graph: PeerGraph, host: str) -> None:
        self._graph = graph
        self._first = graph.first
        self._host = self._first[graph.number(host)]
        self._names = dict(_names(graph.views, self._first, self._host))
        self._groups: dict[GroupKey, dict[int, list[Member]]] = {}
        self._sizes: dict[GroupKey, int] = {}
        self._group_names: dict[GroupKey, str] = {}

    def view(self, label: str) -> str:
        """The namespace that a view shows, as lists and JSON have it: ``host``, ``web-1 (docker)``."""
        return self._names[self._first[self._graph.number(label)]]

    def in_words(self, label: str) -> str:
        """The same for a sentence, where the host is ``the host``."""
        return in_words(self.view(label))

    def mount(self, label: str, mount: Mount) -> str:
        """A mount of a view: ``web-1 (docker):/data``."""
        return f"{self.view(label)}:{mount.mount_point}"

    def group(self, key: GroupKey) -> str:
        """A peer group, by its member that is known best: the host's if it has one. ``host:/var``."""
        if key not in self._group_names:
            self._group_names[key] = f"group {key[1]} (no member shown)"
            for namespace, there in islice(self._members(key).items(), 1):
                known = min((one.mount for one in there), key=lambda mount: (len(mount.root), len(mount.mount_point)))
                self._group_names[key] = f"{self._names[namespace]}:{known.mount_point}"
        return self._group_names[key]

    def peers(self, label: str, mount: Mount) -> str:
        """The other members of its group, by namespace, the host first: ``host, web-1 (docker), host2:/mnt, /srv``.

        A namespace that has them elsewhere only is named with the path, and of the mount's own namespace only the path
        is given. Empty for a mount that shares with no other.
        """
        return "" if self._alone(mount) else listed(self._peers(label, mount), self.count(label, mount))

    def count(self, label: str, mount: Mount) -> int:
        """How many names :meth:`peers` has to tell: of other namespaces, and of paths in this one."""
        if self._alone(mount):
            return 0
        members, own = self._around(label, mount)
        return len(members) - (own in members) + max(0, len(members.get(own, ())) - 1)

    def members(self, label: str, mount: Mount) -> Iterator[Member]:
        """The other members of its group in the same order, every one of them once."""
        members, own = ({}, 0) if self._alone(mount) else self._around(label, mount)
        for namespace, there in members.items():
            yield from (one for one in there if namespace != own or one.mount.mount_id != mount.mount_id)

    def member_count(self, label: str, mount: Mount) -> int:
        """Other mounts of its group, without going through all of them; 0 where it is in none."""
        if self._alone(mount) or mount.peer_group is None:
            return 0
        self._around(label, mount)
        return self._sizes[mount.device, mount.peer_group] - 1

    def _peers(self, label: str, mount: Mount) -> Iterator[str]:
        members, own = self._around(label, mount)
        for namespace, there in members.items():
            if namespace != own:
                alike = any(one.mount.mount_point == mount.mount_point for one in there[:SHOWN])
                yield self._names[namespace] if alike else f"{self._names[namespace]}:{there[0].mount.mount_point}"
        for one in members.get(own, ()):
            if one.mount.mount_id != mount.mount_id:
                # Only tables that no kernel wrote have mount points without a name.
                yield one.mount.mount_point or "(no path)"

    def _alone(self, mount: Mount) -> bool:
        """Whether it is the only member of its group, as most are, or in none."""
        if mount.peer_group is None:
            return True
        members = self._graph.members((mount.device, mount.peer_group))
        return len(members) == 1 and members[0][1] is mount

    def _around(self, label: str, mount: Mount) -> tuple[dict[int, list[Member]], int]:
        """The members of a mount's group by namespace, and its own namespace."""
        own = self._first[self._graph.number(label)]
        return ({} if mount.peer_group is None else self._members((mount.device, mount.peer_group))), own

    def _members(self, key: GroupKey) -> dict[int, list[Member]]:
        """The members of a group by the first view of their namespace, the host's first."""
        if key not in self._groups:
            found: dict[int, dict[int, Member]] = {}
            for number, mount in self._graph.members(key):
                member = Member(self._graph.views[number].label, mount)
                found.setdefault(self._first[number], {}).setdefault(mount.mount_id, member)
            order = sorted(found, key=lambda namespace: (namespace != self._host, namespace))
            self._groups[key] = {namespace: list(found[namespace].values()) for namespace in order}
            self._sizes[key] = sum(map(len, found.values()))
        return self._groups[key]


def listed(names: Iterable[str], count: int, shown: int = SHOWN) -> str:
    """The first *shown* of *count* names, the others as a number: ``host, web-1 and 38 more``."""
    # One more name takes no more room than "and 1 more".
    shown = count if count <= shown + 1 else shown
    first = ", ".join(islice(names, shown))
    return first if count <= shown else f"{first} and {count - shown} more"


def _names(views: Sequence[View], first: list[int], host: int | None) -> Iterator[tuple[int, str]]:
    """A unique name for the first view of each namespace."""
    names = {number: _name(views[number]) for number in set(first)}
    # Whoever plays the host is called so, unless another view bears that label.
    kept = next((first[number] for number, view in enumerate(views) if view.label == "host"), host)
    if kept is not None:
        names[kept] = "host"
    alike = Counter(names.values())
    taken = {"host"}
    for number, name in sorted(names.items()):
        unique = name
        if number != kept:
            if alike[name] > 1:
                unique = _with(name, views[number].label)
            while unique in taken:
                unique = _with(unique, views[number].label)
        taken.add(unique)
        yield number, unique


def _with(name: str, word: str) -> str:
    """*name* with one more word in its parentheses."""
    return f"{name[:-1]}, {word})" if name.endswith(")") else f"{name} ({word})"


def _name(view: View) -> str:
    """The name of a namespace, the host's like any other."""
    owner = view.namespace.owner
    if owner is not None and owner.known:
        name = owner.name[:12] if len(owner.name) == len(owner.id) == 64 else owner.name
        return name if owner.kind in ("unit", "") else f"{name} ({owner.kind})"
    of_label = (process for process in view.namespace.processes if str(process.pid) == view.label)
    process = next(of_label, view.process)
    return f"{view.label} ({process.comm})" if process and process.comm else view.label
