"""Whether two states are the same, but for the names the kernel hands out.

Mount IDs, peer group IDs and device numbers are global and handed out anew: a prediction cannot know them, and
two runs of the same operations differ in them. So two states are compared up to a renaming, which must be one
to one over *all* namespaces of the state: two mounts share a group in one state exactly when they do in the
other. What existed before keeps its name, so two mounts that have changed places are a difference.

No search is needed. A mount has at most one child at a place, so the path of mount points from the root of a
namespace's tree names a mount, and pairs it with the mount at the same path in the other state.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from mntscope.model import Mount
from mntscope.parse import format_mountinfo
from mntscope.snapshot import Snapshot

Tables = Mapping[str, Sequence[Mount]]
"""The mounts of each namespace, by label."""

MOST_MISMATCHES = 12
"""Mismatches reported for one comparison: one wrong group usually brings many others with it."""


def tables(snapshot: Snapshot) -> Tables:
    """What the namespaces of *snapshot* show; its detached trees are in none of them."""
    return {view.label: view.mounts for view in snapshot.views if not view.detached}


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One difference between a prediction and what the kernel did."""

    namespace: str
    what: str
    predicted: Mount | None = None
    actual: Mount | None = None

    def lines(self) -> list[str]:
        """What differs, then the lines that do: ``-`` as predicted, ``+`` as the kernel has it."""
        shown = [f"{self.namespace}: {self.what}" if self.namespace else self.what]
        for sign, mount in (("-", self.predicted), ("+", self.actual)):
            if mount is not None:
                line = format_mountinfo([mount]).removesuffix(b"\n").decode("utf-8", "surrogateescape")
                shown.append(f"{sign} {line}")
        return shown


@dataclass(slots=True)
class Renaming:
    """Which name in one state stands for which in the other, one to one.

    A name is a kind (``mount``, ``peer group``, ``device``) and what the kernel prints.
    """

    forth: dict[tuple[str, object], object] = field(default_factory=dict)
    back: dict[tuple[str, object], object] = field(default_factory=dict)

    @classmethod
    def identity(cls, state: Tables) -> Renaming:
        """Every name of *state* standing for itself."""
        names = {name: name[1] for mounts in state.values() for mount in mounts for name in _names(mount)}
        return cls(names, names.copy())

    def agrees(self, kind: str, ours: object, theirs: object) -> bool:
        """Whether the two may stand for each other: both are new, or each is the other's known partner."""
        one, other = (kind, ours), (kind, theirs)
        if one in self.forth or other in self.back:
            return one in self.forth and self.forth[one] == theirs
        return True

    def add(self, kind: str, ours: object, theirs: object) -> None:
        """Let the two stand for each other."""
        self.forth[kind, ours] = theirs
        self.back[kind, theirs] = ours


def compare(predicted: Tables, actual: Tables, known: Renaming) -> tuple[Renaming, list[Mismatch]]:
    """How the names of *predicted* translate to those of *actual*, and every way in which the two differ.

    *known* are the names of the state before. Empty mismatches: the states are equal. Field 6 (options),
    the filesystem type, the source and the order of children count; the order of lines, the superblock's
    options and the parent of a tree's root (which no table shows) do not.
    """
    comparison = _Comparison(known)
    for label in [*predicted, *(label for label in actual if label not in predicted)]:
        if label not in actual:
            comparison.differ(label, "the namespace is gone, and was predicted to stay")
        elif label not in predicted:
            comparison.differ(label, "the namespace was not predicted")
        else:
            comparison.trees(label, predicted[label], actual[label])
    return comparison.names, comparison.mismatches[:MOST_MISMATCHES]


class _Comparison:
    def __init__(self, known: Renaming) -> None:
        self.known = known
        self.names = Renaming()
        self.mismatches: list[Mismatch] = []

    def differ(self, label: str, what: str, predicted: Mount | None = None, actual: Mount | None = None) -> None:
        self.mismatches.append(Mismatch(label, what, predicted, actual))

    def trees(self, label: str, predicted: Sequence[Mount], actual: Sequence[Mount]) -> None:
        for side, mounts in (("predicted", predicted), ("actual", actual)):
            if len({mount.mount_id for mount in mounts}) != len(mounts):
                self.differ(label, f"two {side} mounts bear one ID")
                return
        ours, theirs = _Children(predicted), _Children(actual)
        pending: list[tuple[int | None, int | None]] = [(None, None)]
        met = [0, 0]
        while pending:
            parent, parent_there = pending.pop()
            for one, other in _paired(ours.of(parent), theirs.of(parent_there), self.known):
                met[0] += one is not None
                met[1] += other is not None
                if one is None or other is None:
                    self.missing(label, one, other, ours, theirs)
                else:
                    self.mounts(label, one, other)
                    pending.append((one.mount_id, other.mount_id))
        if not self.mismatches and met != [len(predicted), len(actual)]:
            self.differ(label, "mounts that are below no root: their parents form a circle")

    def missing(self, label: str, one: Mount | None, other: Mount | None, ours: _Children, theirs: _Children) -> None:
        mount = one or other
        if mount is None:
            return
        below = (ours if one else theirs).count_below(mount.mount_id)
        more = f" (and {below} below it)" if below else ""
        where = f"the mount at {mount.mount_point}{more}"
        self.differ(label, f"{where} was not predicted" if one is None else f"{where} is not there", one, other)

    def mounts(self, label: str, one: Mount, other: Mount) -> None:
        wrong = [
            what
            for what, ours, theirs in (
                ("root", one.root, other.root),
                ("options", one.options, other.options),
                ("filesystem type", one.fs_type, other.fs_type),
                ("source", one.source, other.source),
                ("unbindable", one.unbindable, other.unbindable),
            )
            if ours != theirs
        ]
        for what, kind, ours, theirs in (
            ("identity", "mount", one.mount_id, other.mount_id),
            ("device", "device", one.device, other.device),
            ("peer group", "group", one.peer_group, other.peer_group),
            ("master", "group", one.master, other.master),
            ("propagate_from", "group", one.propagate_from, other.propagate_from),
        ):
            if ours is None and theirs is None:
                continue
            if (
                ours is None
                or theirs is None
                or not self.known.agrees(kind, ours, theirs)
                or not self.names.agrees(kind, ours, theirs)
            ):
                wrong.append(what)
            else:
                self.names.add(kind, ours, theirs)
        if wrong:
            self.differ(label, f"{' and '.join(wrong)} of {one.mount_point}", one, other)


class _Children:
    """The mounts of one table by their parent; ``None`` is the parent of those whose parent the table lacks."""

    def __init__(self, mounts: Sequence[Mount]) -> None:
        shown = {mount.mount_id for mount in mounts}
        self._below: dict[int | None, list[Mount]] = defaultdict(list)
        for mount in mounts:
            rooted = mount.parent_id not in shown or mount.parent_id == mount.mount_id
            self._below[None if rooted else mount.parent_id].append(mount)

    def of(self, parent: int | None) -> list[Mount]:
        return self._below.get(parent, [])

    def count_below(self, mount_id: int) -> int:
        count, pending = 0, [mount_id]
        while pending:
            children = self.of(pending.pop())
            count += len(children)
            pending += [child.mount_id for child in children]
        return count


def _paired(
    ours: Iterable[Mount], theirs: Iterable[Mount], known: Renaming
) -> Iterator[tuple[Mount | None, Mount | None]]:
    """Siblings at the same place, each with its counterpart.

    Until 6.17 there may be several at one place: those that were there before are known by their names, the others by
    their order.
    """
    places: dict[str, tuple[list[Mount], list[Mount]]] = {}
    for side, mounts in enumerate((ours, theirs)):
        for mount in mounts:
            places.setdefault(mount.mount_point, ([], []))[side].append(mount)
    for here, there in places.values():
        if len(here) > 1 and len(there) > 1:
            yield from _known_pairs(here, there, known)
        yield from zip_longest(here, there)


def _known_pairs(here: list[Mount], there: list[Mount], known: Renaming) -> Iterator[tuple[Mount, Mount]]:
    """Takes out of both those that are known to be the same mount."""
    by_id = {mount.mount_id: mount for mount in there}
    for mount in tuple(here):
        number = known.forth.get(("mount", mount.mount_id))
        partner = by_id.get(number) if isinstance(number, int) else None
        if partner is not None:
            here.remove(mount)
            there.remove(partner)
            yield mount, partner


def _names(mount: Mount) -> Iterator[tuple[str, object]]:
    yield "mount", mount.mount_id
    yield "device", mount.device
    for group in (mount.peer_group, mount.master, mount.propagate_from):
        if group is not None:
            yield "group", group
