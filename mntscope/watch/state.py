"""The machine as it is known to be: every namespace's mounts, changed one by one, and who shares with whom.

A mount is known by its *key*: the unique id where the kernel has one (Linux 6.8), which is never used again, else the
mount ID. A namespace is known by its 64-bit id (Linux 6.11), else its inode.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from math import inf

from mntscope.base.paths import below, relative, under
from mntscope.base.records import NamedTuple, replace
from mntscope.graph.dominant import with_dominants
from mntscope.graph.names import namespace_name
from mntscope.model import Mount, Namespace, Process, View
from mntscope.snapshot import Snapshot

GroupKey = tuple[str, int]
"""Device and number of a peer group."""


class Known(NamedTuple):
    """A mount of a namespace, by their keys."""

    namespace: int
    key: int


class WatchedNamespace:
    """A namespace, and its mounts as they are known."""

    def __init__(self, key: int, view: View) -> None:
        self.key = key
        self.view = view
        """All that is known of it; its mounts are those of when it was read first."""
        self.name = ""
        """What it is called; no other is called so."""
        self.mounts: dict[int, Mount] = {}
        self.by_id: dict[int, int] = {}
        """The key of each mount ID."""
        self.children: defaultdict[int, set[int]] = defaultdict(set)
        """The keys of the mounts on each mount, by its mount ID."""
        self.order: tuple[int, ...] = ()
        """The keys in the order of the table; empty where that is their own order, as since Linux 6.8."""
        self.since = inf
        """From when on all that changes is heard of (CLOCK_MONOTONIC): a while after all of it was read."""

    @property
    def label(self) -> str:
        """Of its view."""
        return self.view.label

    @property
    def inode(self) -> int:
        """0 where it is not known."""
        return self.view.namespace.inode or 0

    @property
    def readers(self) -> Iterator[int]:
        """The processes through which all of its table can be read."""
        return (process.pid for process in self.view.namespace.processes if process.root == "/")

    def parent(self, mount: Mount) -> Mount | None:
        """What *mount* is mounted on; ``None`` where the table does not show it."""
        return self.mounts.get(self.by_id.get(mount.parent_id, -1)) if mount.parent_id != mount.mount_id else None

    def below(self, key: int) -> list[int]:
        """The keys of all that is mounted below a mount."""
        found: list[int] = []
        seen = {key}
        pending = [key]
        while pending:
            mount = self.mounts.get(pending.pop())
            if mount is not None:
                for child in self.children.get(mount.mount_id, ()):
                    if child not in seen:
                        seen.add(child)
                        found.append(child)
                        pending.append(child)
        return found


class Machine:
    """All namespaces, and their peer groups; :meth:`put` and :meth:`remove` change them."""

    def __init__(self, first: Snapshot, *, unique: bool = True) -> None:
        """*unique* says that the keys are unique ids: a mount ID may be another namespace's before it is missed."""
        self._first = first
        self._unique_keys = unique
        self.namespaces: dict[int, WatchedNamespace] = {}
        self.where: dict[int, int] = {}
        """The namespace of each mount, by their keys. (Of mount IDs, which are never used twice at a time.)"""
        self.members: defaultdict[GroupKey, set[Known]] = defaultdict(set)
        self.slaves: defaultdict[GroupKey, set[Known]] = defaultdict(set)
        """The mounts that receive directly from a group."""
        self.below: defaultdict[GroupKey, Counter[GroupKey]] = defaultdict(Counter)
        """The groups whose members receive directly from a group, and how many of them do."""
        self.above: dict[GroupKey, GroupKey] = {}
        """The group from which one receives."""
        self.hosts: defaultdict[GroupKey, set[Known]] = defaultdict(set)
        """The host's mounts that are members of a group, or its slaves and in no group of their own."""
        self.host = 0
        """The key of the namespace that plays the host."""
        self._labels: set[str] = set()
        self._inodes: dict[int, int] = {}

    # Namespaces

    def add(self, key: int, view: View, mounts: Mapping[int, Mount]) -> WatchedNamespace:
        """A namespace that is seen for the first time."""
        label = view.label
        if label in self._labels:
            # The pid that an earlier one is called by.
            label = f"mnt:[{view.namespace.inode}]"
        while label in self._labels:
            label += "*"
        self._labels.add(label)
        found = self.namespaces[key] = WatchedNamespace(key, replace(view, label=label, mounts=()))
        found.name = self._unique(found)
        if view.label == self._first.host_label and not self.host:
            self.host = key
        self._inodes[found.inode] = key
        for number, mount in mounts.items():
            self.put(key, number, mount)
        return found

    def rename(self, key: int, view: View) -> None:
        """A namespace is somebody's, or somebody else's, since it was seen first; its label stays."""
        namespace = self.namespaces[key]
        if view.namespace.owner != namespace.view.namespace.owner:
            namespace.view = replace(namespace.view, namespace=view.namespace)
            namespace.name = self._unique(namespace)

    def _unique(self, namespace: WatchedNamespace) -> str:
        name = "host" if namespace.label == "host" else namespace_name(namespace.view)
        if any(other.name == name for other in self.namespaces.values() if other is not namespace):
            name = f"{name[:-1]}, {namespace.label})" if name.endswith(")") else f"{name} ({namespace.label})"
        return name

    def drop(self, key: int) -> WatchedNamespace:
        """A namespace that is gone, with all its mounts."""
        namespace = self.namespaces[key]
        for number in list(namespace.mounts):
            self.remove(key, number)
        self._labels.discard(namespace.label)
        if self._inodes.get(namespace.inode) == key:
            del self._inodes[namespace.inode]
        return self.namespaces.pop(key)

    def by_inode(self, inode: int) -> WatchedNamespace | None:
        """The namespace of that inode."""
        return self.namespaces.get(self._inodes.get(inode, 0))

    def key_of(self, inode: int) -> int | None:
        """The key of the namespace of that inode."""
        return self._inodes.get(inode) if inode else None

    def name(self, key: int) -> str:
        """What a namespace is called; empty where it is not known."""
        return self.namespaces[key].name if key in self.namespaces else ""

    # Mounts

    def mount(self, known: Known) -> Mount | None:
        """The mount, if it is known (still)."""
        namespace = self.namespaces.get(known.namespace)
        return None if namespace is None else namespace.mounts.get(known.key)

    def put(self, namespace: int, key: int, mount: Mount) -> None:
        """A mount is there, or has become another."""
        its = self.namespaces[namespace]
        elsewhere = self.where.get(key) if self._unique_keys else namespace if key in its.mounts else None
        if elsewhere is not None:
            self.remove(elsewhere, key)
        its.mounts[key] = mount
        its.by_id[mount.mount_id] = key
        its.children[mount.parent_id].add(key)
        self.where[key] = namespace
        self._share(Known(namespace, key), mount)

    def remove(self, namespace: int, key: int) -> None:
        """A mount is there no more."""
        its = self.namespaces[namespace]
        mount = its.mounts.pop(key, None)
        if self.where.get(key) == namespace:
            del self.where[key]
        if mount is None:
            return
        if its.by_id.get(mount.mount_id) == key:
            del its.by_id[mount.mount_id]
        siblings = its.children[mount.parent_id]
        siblings.discard(key)
        if not siblings:
            del its.children[mount.parent_id]
        self._unshare(Known(namespace, key), mount)

    def _share(self, known: Known, mount: Mount) -> None:
        group = None if mount.peer_group is None else (mount.device, mount.peer_group)
        if group:
            self.members[group].add(known)
            if known.namespace == self.host:
                self.hosts[group].add(known)
        if mount.master is not None:
            master = (mount.device, mount.master)
            self.slaves[master].add(known)
            if known.namespace == self.host and not group:
                self.hosts[master].add(known)
            if group:
                self.below[master][group] += 1
                self.above[group] = master

    def _unshare(self, known: Known, mount: Mount) -> None:
        group = None if mount.peer_group is None else (mount.device, mount.peer_group)
        if group:
            _discard(self.members, group, known)
            _discard(self.hosts, group, known)
            if group not in self.members:
                self.above.pop(group, None)
        if mount.master is not None:
            master = (mount.device, mount.master)
            _discard(self.slaves, master, known)
            if not group:
                _discard(self.hosts, master, known)
            if group:
                self.below[master][group] -= 1
                if self.below[master][group] <= 0:
                    del self.below[master][group]
                    if not self.below[master]:
                        del self.below[master]

    # What follows

    def groups_below(self, group: GroupKey) -> Iterator[GroupKey]:
        """A group, and all that receive its events, each once."""
        seen = {group}
        pending = [group]
        while pending:
            here = pending.pop()
            yield here
            for other in self.below.get(here, ()):
                if other not in seen:
                    seen.add(other)
                    pending.append(other)

    def family(self, group: GroupKey) -> Iterator[GroupKey]:
        """All groups of the tree that a group is in: those that may have to do with it."""
        top = group
        seen = {group}
        while (above := self.above.get(top)) is not None and above not in seen:
            seen.add(above)
            top = above
        return self.groups_below(top)

    def receivers(self, group: GroupKey) -> Iterator[Known]:
        """The mounts that receive the events of a group, its members among them; some of them twice."""
        for each in self.groups_below(group):
            yield from self.members.get(each, ())
            yield from self.slaves.get(each, ())

    def around(self, key: int) -> set[int]:
        """A namespace, and those whose mounts receive from its own or send to them."""
        groups = {
            (mount.device, number)
            for mount in self.namespaces[key].mounts.values()
            for number in (mount.peer_group, mount.master)
            if number is not None
        }
        around = {key}
        for group in groups:
            for sets in (self.members, self.slaves):
                around.update(known.namespace for known in sets.get(group, ()))
        return around

    def mounted_at(self, known: Known, place: str) -> bool | None:
        """Whether something is mounted on a mount, at a path in its filesystem; ``None``: it does not show that."""
        mount = self.mount(known)
        if mount is None or not under(place, mount.root):
            return None
        its = self.namespaces[known.namespace]
        return any(place_in(mount, its.mounts[key]) == place for key in its.children.get(mount.mount_id, ()))

    def receivers_of_host(self, group: GroupKey) -> Iterator[Known]:
        """The host's mounts that receive the events of a group."""
        for each in self.groups_below(group):
            yield from self.hosts.get(each, ())

    def snapshot(self, namespaces: Iterable[int] | None = None) -> Snapshot:
        """What is known now, of all namespaces, or of these and the host."""
        wanted = list(self.namespaces) if namespaces is None else list(dict.fromkeys([self.host, *namespaces]))
        views = tuple(self.view(key) for key in wanted if key in self.namespaces)
        labels = [view.label for view in views]
        host = self.namespaces[self.host].label if self.host in self.namespaces else labels[0]
        if namespaces is None:
            views = with_dominants(views)
        return replace(self._first, views=views, host_label=host)

    def view(self, key: int) -> View:
        """A namespace as it is now; what its mounts say of ``propagate_from`` is that of when they were read."""
        namespace = self.namespaces[key]
        return replace(namespace.view, mounts=tuple(namespace.mounts[number] for number in self.keys(key)))

    def keys(self, key: int) -> list[int]:
        """The keys of the mounts of a namespace in the order of its table."""
        namespace = self.namespaces[key]
        if not namespace.order:
            return sorted(namespace.mounts)
        listed = [number for number in namespace.order if number in namespace.mounts]
        return [*listed, *(namespace.mounts.keys() - set(namespace.order))]

    def note_processes(self, key: int, processes: tuple[Process, ...]) -> None:
        """Who lives in a namespace now."""
        with suppress(KeyError):
            namespace = self.namespaces[key]
            its: Namespace = namespace.view.namespace
            if its.processes != processes:
                namespace.view = replace(namespace.view, namespace=replace(its, processes=processes))


def place_in(parent: Mount, mount: Mount) -> str:
    """Where a mount is mounted, as a path in the filesystem of what it is mounted on."""
    return below(parent.root, relative(mount.mount_point, parent.mount_point))


def _discard(sets: defaultdict[GroupKey, set[Known]], group: GroupKey, known: Known) -> None:
    its = sets.get(group)
    if its is not None:
        its.discard(known)
        if not its:
            del sets[group]
