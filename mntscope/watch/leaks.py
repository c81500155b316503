"""Which mounts of each namespace leak to the host: followed from change to change.

What a leak is, :mod:`mntscope.graph.leaks` says: a mount of another namespace whose events some mount of the host
receives. Here that is asked of the mounts that a change is about, and of those in the same trees of peer groups.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from mntscope.base.paths import under
from mntscope.model import Mount
from mntscope.watch.acts import Change
from mntscope.watch.state import GroupKey, Known, Machine

SETTLED = 0.3
"""Seconds for which a leak is there before it is told. A runtime copies the host's namespace, peers and all, and makes
the copy private or slave a moment later."""


class LeakWatch:
    """The leaks of a machine; :meth:`look` after each change, :meth:`appeared` and :meth:`healed` now and then."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.leaking: defaultdict[int, set[int]] = defaultdict(set)
        """The mounts of each namespace that leak now, by their keys."""
        self.told: defaultdict[int, set[int]] = defaultdict(set)
        """Those of which somebody has been told, or that were there from the beginning."""
        self._since: dict[Known, float] = {}
        """Those that were not there when somebody was told last."""
        self._healed: defaultdict[int, set[int]] = defaultdict(set)

    def begin(self) -> None:
        """All leaks there are: nobody is told of these."""
        for key in self.machine.namespaces:
            self.look_at(key, 0.0)
        self._since.clear()
        for key, mounts in self.leaking.items():
            self.told[key] = set(mounts)

    def look_at(self, namespace: int, now: float) -> None:
        """At every mount of a namespace."""
        for key in self.machine.namespaces[namespace].mounts:
            self._judge(Known(namespace, key), now)

    def look(self, changes: Iterable[Change], now: float) -> None:
        """At what has changed, and at what shares with it."""
        groups: set[GroupKey] = set()
        for change in changes:
            for mount in (change.before, change.after):
                if mount is not None:
                    groups.update(
                        (mount.device, number) for number in (mount.peer_group, mount.master) if number is not None
                    )
            if change.namespace:
                self._judge(Known(change.namespace, change.key), now)
        seen: set[GroupKey] = set()
        for group in groups:
            here: GroupKey | None = group
            while here is not None and here not in seen:
                seen.add(here)
                for known in list(self.machine.members.get(here, ())):
                    self._judge(known, now)
                here = self.machine.above.get(here)

    def gone(self, namespace: int) -> set[int]:
        """A namespace is gone; the leaks that had been told of it."""
        self.leaking.pop(namespace, None)
        self._healed.pop(namespace, None)
        for known in [known for known in self._since if known.namespace == namespace]:
            del self._since[known]
        return self.told.pop(namespace, set())

    def appeared(self, now: float) -> Iterator[tuple[int, list[int]]]:
        """The namespaces with leaks that have been there long enough, and the mounts that leak."""
        due: defaultdict[int, list[int]] = defaultdict(list)
        for known, since in list(self._since.items()):
            if now - since >= SETTLED:
                del self._since[known]
                if known.key in self.leaking.get(known.namespace, ()):
                    self.told[known.namespace].add(known.key)
                    due[known.namespace].append(known.key)
        yield from due.items()

    def healed(self) -> Iterator[tuple[int, list[int]]]:
        """The namespaces with mounts that leaked, and still are there, but leak no more."""
        healed, self._healed = self._healed, defaultdict(set)
        for namespace, keys in healed.items():
            still = [key for key in keys if key not in self.leaking.get(namespace, ())]
            if still:
                yield namespace, sorted(still)

    @property
    def due(self) -> float | None:
        """When the next leak has been there long enough; ``None`` if none waits."""
        return min(self._since.values()) + SETTLED if self._since else None

    def crosses(self, mount: Mount) -> list[Known]:
        """The mounts of the host that receive the events of a mount of another namespace."""
        return list(self._crossing(mount))

    def _judge(self, known: Known, now: float) -> None:
        if known.namespace == self.machine.host or known.namespace not in self.machine.namespaces:
            return
        mount = self.machine.mount(known)
        its = self.leaking[known.namespace]
        if mount is not None and self._leaks(mount):
            if known.key not in its:
                its.add(known.key)
                if known.key not in self.told[known.namespace] and not self._within(known, mount):
                    self._since.setdefault(known, now)
            self._healed[known.namespace].discard(known.key)
            return
        its.discard(known.key)
        self._since.pop(known, None)
        if known.key in self.told[known.namespace]:
            self.told[known.namespace].discard(known.key)
            if mount is not None:
                self._healed[known.namespace].add(known.key)

    def _leaks(self, mount: Mount) -> bool:
        return next(self._crossing(mount), None) is not None

    def _crossing(self, mount: Mount) -> Iterator[Known]:
        if mount.peer_group is None or mount.root.endswith("//deleted"):
            return
        for known in self.machine.receivers_of_host((mount.device, mount.peer_group)):
            other = self.machine.mount(known)
            if other is not None and _overlap(mount.root, other.root):
                yield known

    def _within(self, known: Known, mount: Mount) -> bool:
        """Whether it is mounted on one of which that has been told: what is mounted there leaked already."""
        parent = self.machine.namespaces[known.namespace].parent(mount)
        if parent is None:
            return False
        key = self.machine.namespaces[known.namespace].by_id[parent.mount_id]
        return key in self.told.get(known.namespace, ())


def _overlap(one: str, other: str) -> bool:
    return under(one, other) or under(other, one)
