"""Two captures of one machine compared, as before and after: namespaces born and gone, mounts, and leaks.

A namespace of the one is the same in the other, or what has taken its place, by what holds for longer than the other
things that are known of it: the host is the host; else one of its processes lives on; else the kernel's id; else whom
it belongs to; else its name. Inodes, pids and mount IDs are used again, and after a restart they mean nothing.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Literal

from mntscope.analysis.diff import Change, changes
from mntscope.analysis.namespaces import NamespaceList, NamespaceStatus, namespaces
from mntscope.base.display import Shown
from mntscope.base.records import dataclass
from mntscope.errors import TargetError
from mntscope.graph import Leak, same_namespace
from mntscope.model import Problem
from mntscope.snapshot import Snapshot

CapturesVerdict = Literal["unchanged", "changed", "new-leaks"]


@dataclass(frozen=True, slots=True)
class NamespaceChange:
    """A mount namespace that both captures have, and in what it differs."""

    before: NamespaceStatus
    after: NamespaceStatus
    same: bool
    """Whether it is one namespace at two moments; else the later one has taken the place of the other."""
    changes: tuple[Change, ...]
    """As of :func:`~mntscope.analysis.diff.changes`: the earlier one plays the host."""


@dataclass(frozen=True, slots=True)
class LeakChange:
    """A leak that only one of the captures has."""

    namespace: NamespaceStatus
    leak: Leak


@dataclass(frozen=True, slots=True)
class CapturesDiff(Shown):
    """What :func:`compare` found."""

    before: Snapshot
    after: Snapshot
    restarted: bool
    """Whether the machine was started anew in between."""
    namespace: str | None
    """The one namespace that was asked about, by its name in the later capture; ``None`` for all."""
    verdict: CapturesVerdict
    """``new-leaks`` if a mount's events reach the host now that did not before; else whether anything differs."""
    born: tuple[NamespaceStatus, ...]
    gone: tuple[NamespaceStatus, ...]
    changed: tuple[NamespaceChange, ...]
    """Those in which anything differs, or which have taken another's place; the host first."""
    new_leaks: tuple[LeakChange, ...]
    """Out of namespaces, to the host; the worst first in each."""
    healed_leaks: tuple[LeakChange, ...]
    """Those that are gone, with their namespaces too."""
    not_seen: tuple[Problem, ...]

    @property
    def found(self) -> bool:
        """Whether anything differs."""
        return self.verdict != "unchanged"


def compare(
    before: Snapshot, after: Snapshot, *, before_view: str | int | None = None, after_view: str | int | None = None
) -> CapturesDiff:
    """What became of a machine between two captures of it: of all its namespaces, or of one view of each.

    Mounts are the same if they show the same root of the same superblock at the same path. After a restart, and where
    another namespace has taken the place of one, superblocks and peer groups are others: then filesystem type, source
    and root tell, and of propagation only its type. Takes n log n steps of the mounts.

    :raises TargetError: a snapshot has no such view.
    """
    restarted = _restarted(before, after)
    was, now = namespaces(before), namespaces(after)
    earlier, later = was.namespaces, now.namespaces
    if before_view is not None or after_view is not None:
        earlier = (_of_view(before, earlier, before_view),)
        later = (_of_view(after, later, after_view),)
        pairs = {0: 0}
    else:
        pairs = _Matching(earlier, later, restarted=restarted).pairs
    changed, new, healed = [], [], []
    for at, old in enumerate(earlier):
        if at not in pairs:
            healed += [LeakChange(old, leak) for leak in _outward(old)]
            continue
        current = later[pairs[at]]
        same = not restarted and _is(old, current)
        found = () if old.view.mounts == current.view.mounts else changes(old.view, current.view, anew=not same)
        if found or not (same or restarted):
            changed.append(NamespaceChange(old, current, same, found))
        known, there = ({_leak_key(leak): leak for leak in _outward(one)} for one in (old, current))
        healed += [LeakChange(old, leak) for key, leak in known.items() if key not in there]
        new += [LeakChange(current, leak) for key, leak in there.items() if key not in known]
    born = tuple(one for at, one in enumerate(later) if at not in set(pairs.values()))
    gone = tuple(one for at, one in enumerate(earlier) if at not in pairs)
    new += [LeakChange(one, leak) for one in born for leak in _outward(one)]
    differs = bool(born or gone or changed or new or healed)
    return CapturesDiff(
        before=before,
        after=after,
        restarted=restarted,
        namespace=None if before_view is after_view is None else later[0].name,
        verdict="new-leaks" if new else "changed" if differs else "unchanged",
        born=born,
        gone=gone,
        changed=tuple(changed),
        new_leaks=tuple(new),
        healed_leaks=tuple(healed),
        not_seen=(*_not_told(before, after, restarted=restarted), *_of("before", was), *_of("after", now)),
    )


def _of_view(snapshot: Snapshot, found: tuple[NamespaceStatus, ...], label: str | int | None) -> NamespaceStatus:
    """The namespace that a view shows; the host's where none is named."""
    view = snapshot.host if label is None else snapshot.view(label)
    for one in found:
        if one.view is view or same_namespace(one.view, view):
            return one
    raise TargetError("it is a tree of mounts in no namespace", where=view.label)


def _of(when: str, listed: NamespaceList) -> Iterator[Problem]:
    for problem in dict.fromkeys(listed.not_seen):
        yield Problem(problem.what, f"{when}, {problem.where}" if problem.where else when)


def _not_told(before: Snapshot, after: Snapshot, *, restarted: bool) -> Iterator[Problem]:
    if before.boot_id is None or after.boot_id is None:
        yield Problem(
            "a capture does not tell which start of the machine it is of; by the host's mount IDs it was "
            + ("started anew in between" if restarted else "not started anew in between")
        )


def _restarted(before: Snapshot, after: Snapshot) -> bool:
    """Whether the machine was started anew: by the id of its start, or by whether the host's mounts have their IDs."""
    if before.boot_id is not None and after.boot_id is not None:
        return before.boot_id != after.boot_id
    if before.host.mounts == after.host.mounts:
        return False
    ids = {mount.mount_id: (mount.device, mount.root) for mount in before.host.mounts}
    both = [mount for mount in after.host.mounts if mount.mount_id in ids]
    return 2 * sum(ids[mount.mount_id] == (mount.device, mount.root) for mount in both) < max(1, len(both))


def _outward(one: NamespaceStatus) -> list[Leak]:
    return [leak for leak in one.leaks if leak.direction != "in"]


def _leak_key(leak: Leak) -> Hashable:
    return leak.path, leak.lands_at, leak.severity


# ---- which namespace is which ----


def _equal(one: NamespaceStatus, other: NamespaceStatus) -> bool:
    """Whether all that is known of them is the same."""
    mine, its = one.view.namespace, other.view.namespace
    named_alike = (one.view.label, mine.inode, mine.id) == (other.view.label, its.inode, its.id)
    return named_alike and one.processes == other.processes and one.view.mounts == other.view.mounts


def _is(one: NamespaceStatus, other: NamespaceStatus) -> bool:
    """Whether both are one namespace, in one start of the machine."""
    if _equal(one, other):
        return True
    mine, its = one.view.namespace, other.view.namespace
    if mine.id is not None and its.id is not None:
        return mine.id == its.id
    if mine.inode is None or its.inode is None:
        return same_namespace(one.view, other.view)
    if mine.inode != its.inode:
        return False
    lives, lived = _lives(one), _lives(other)
    # The inode may be another's by now: whose processes are all others, and younger, is another.
    return bool(lives & lived) or not (lives and lived) or _before(lives) >= _before(lived)


def _lives(one: NamespaceStatus) -> set[tuple[int, int]]:
    """Its processes, as they are known for as long as they live: by pid, and when they started."""
    return {(process.pid, process.start_time) for process in one.processes if process.start_time is not None}


def _before(lives: set[tuple[int, int]]) -> int:
    return min(start for _, start in lives)


class _Matching:
    """Which namespace of the one capture is which of the other, or has taken its place."""

    def __init__(
        self, earlier: tuple[NamespaceStatus, ...], later: tuple[NamespaceStatus, ...], *, restarted: bool
    ) -> None:
        self.earlier = earlier
        self.later = later
        # The hosts, which come first.
        self.pairs: dict[int, int] = {0: 0}
        """The later one for an earlier one, both as indexes."""
        if not restarted:
            self._match(lambda one: [one.view.label], agreeing=_equal)
            self._match(_lives, agreeing=_is)
            self._match(lambda one: [one.view.namespace.id], agreeing=_is)
            self._match(lambda one: [one.view.namespace.inode], agreeing=_is)
            # Where no inode is known, the mount IDs tell: all of them of one namespace.
            self._match(_mounts_of, agreeing=_is)
        self._match(_owner)
        self._match(_told)
        if restarted:
            self._match(_command)

    def _match(
        self,
        keys: Callable[[NamespaceStatus], Iterable[Hashable]],
        agreeing: Callable[[NamespaceStatus, NamespaceStatus], bool] | None = None,
    ) -> None:
        """Pair those still alone that have a key in common and are *agreeing*, first with first."""
        taken = set(self.pairs.values())
        waiting: dict[Hashable, deque[int]] = defaultdict(deque)
        for at, one in enumerate(self.later):
            if at not in taken:
                for key in keys(one):
                    if key is not None:
                        waiting[key].append(at)
        for at, one in enumerate(self.earlier):
            if at in self.pairs:
                continue
            for key in keys(one):
                there = waiting.get(key)
                while there and there[0] in taken:
                    there.popleft()
                if there and (agreeing is None or agreeing(one, self.later[there[0]])):
                    self.pairs[at] = there.popleft()
                    taken.add(self.pairs[at])
                    break


def _mounts_of(one: NamespaceStatus) -> Iterator[Hashable]:
    """Its mounts, if nothing else names it."""
    if one.view.namespace.inode is None:
        for mount in one.view.mounts:
            yield mount.mount_id, mount.device, mount.root


def _owner(one: NamespaceStatus) -> Iterator[Hashable]:
    """Whom it belongs to: a container by its name, which is as long-lived as its id; nobody's is nobody's successor."""
    owner = one.view.namespace.owner
    if owner is not None and owner.known:
        yield owner.kind, owner.name


def _command(one: NamespaceStatus) -> Iterator[Hashable]:
    """The command that made it, as far as it has no other owner: after a restart, most are made again."""
    owner = one.view.namespace.owner
    if owner is not None and not owner.known:
        yield owner.name


def _told(one: NamespaceStatus) -> Iterator[Hashable]:
    """What a file calls it, where that is neither a pid nor an inode, which would be another's."""
    if not one.view.label.isdecimal() and not one.view.label.startswith("mnt:["):
        yield one.view.label
