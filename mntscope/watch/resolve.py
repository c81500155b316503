"""From what a source tells to what has changed: the machine as it is known follows the machine.

What fanotify tells is the number of a mount. Which namespace it is in, and where, is asked of the kernel, mount by
mount. A system call changes others besides, of which nothing is told: what was mounted on a mount that goes slides
down, what a new one is tucked beneath goes up, what was mounted below one that moves goes along, and the slaves of a
group without members get another master. These are looked at again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mntscope.model import Mount
from mntscope.propagation.effects import facts
from mntscope.watch.acts import Act, Change, ChangeKind, unordered_acts
from mntscope.watch.events import Who
from mntscope.watch.reading import Reader
from mntscope.watch.source import Told
from mntscope.watch.state import Known, Machine, place_in

_MOST_UNSEEN = 1 << 16


class Resolver:
    """Makes acts of what a source tells, and carries them out on the machine as it is known."""

    def __init__(self, machine: Machine, reader: Reader) -> None:
        self.machine = machine
        self.reader = reader
        self.quiet: list[Change] = []
        """What has become another in a way of which nothing is told: it is mounted on another mount."""
        self._last = max(machine.where, default=0)
        """The highest number of a mount that is known."""
        self._listed: dict[int, int] | None = None
        self._gone: dict[tuple[int, int], tuple[int, Mount]] = {}
        """What has gone just now, by namespace and mount ID: a tree goes from its top."""
        self._unseen: set[int] = set()
        """The keys of mounts that were gone before they could be looked at, and whose end has not been heard of."""

    def acts(self, told: Iterable[Told], before: Iterable[Act] = ()) -> list[Act]:
        """What somebody did, in the kernel's order; *before* are the acts of what was told just before."""
        self._listed = None
        found = [*before]
        if not found:
            self._gone.clear()
        machine, every = self.machine, list(told)
        gone = {each.key for each in every if each.detached and not each.attached}
        for each in every:
            if each.attached and not each.detached and each.key in machine.where:
                # It was read in a table before the kernel's word of it was heard.
                continue
            if not each.attached and each.key not in machine.where:
                if each.key not in self._unseen:
                    # Never shown: beneath the root directory, as where an initial RAM disk was.
                    continue
                self._unseen.discard(each.key)
            change = self._change(each, found, gone=each.key in gone)
            if found and found[-1].brings(change):
                found[-1].add(change)
            else:
                found.append(Act(change, each.inode))
            found[-1].follow(self._beside(change))
        self._last = max(self._last, *(each.key for each in every), 0) if every else self._last
        return found

    def is_whole(self, act: Act) -> bool:
        """Whether an act has come wherever events go from where it began; if not, more may be told of it."""
        first = act.first
        if first.kind not in ("mount", "umount") or first.place is None:
            return True
        there = (self.machine.mounted_at(each, first.place[1]) for each in self._receivers(act))
        return all(found in (None, first.kind == "mount") for found in there)

    def is_untold(self, act: Act) -> bool:
        """Whether there is more of an act that is not whole than the kernel has told: its lists have it already."""
        machine, first = self.machine, act.first
        for key in {each.namespace for each in self._receivers(act)}:
            if first.kind == "mount":
                # What follows from a mount is made after it.
                if any(number not in machine.where for number in self.reader.numbers(key, first.key)):
                    return True
            elif machine.namespaces[key].mounts.keys() - set(self.reader.numbers(key)):
                return True
        return False

    def _receivers(self, act: Act) -> list[Known]:
        """The mounts that receive the events of the one on which an act began."""
        first = act.first
        begun = None if first.parent is None else self.machine.mount(Known(first.namespace, first.parent))
        if begun is None or begun.peer_group is None:
            return []
        return list(self.machine.receivers((begun.device, begun.peer_group)))

    def _change(self, told: Told, before: list[Act], *, gone: bool) -> Change:
        machine = self.machine
        was = machine.where.get(told.key)
        old = machine.mount(Known(was, told.key)) if was is not None else None
        if told.detached and not told.attached:
            change = self._of("umount", was or 0, told.key, old, None, told.who)
            if was is not None and old is not None:
                machine.remove(was, told.key)
                self._gone[was, old.mount_id] = told.key, old
            return change
        kind: ChangeKind = "move" if told.detached or old is not None else "mount"
        hints = [was, machine.key_of(told.inode) or (before[-1].first.namespace if before else None)]
        namespace, mount = self._find(told.key, [hint for hint in hints if hint], gone=gone)
        if mount is None:
            if len(self._unseen) >= _MOST_UNSEEN:
                self._unseen.clear()
            self._unseen.add(told.key)
            return Change(kind, was or 0, told.key, old, None, told.who)
        machine.put(namespace, told.key, mount)
        return self._of(kind, namespace, told.key, old, mount, told.who)

    def _of(
        self, kind: ChangeKind, namespace: int, key: int, before: Mount | None, after: Mount | None, who: Who | None
    ) -> Change:
        """A change with the place that the mount has, or had, in what it is mounted on."""
        mount = after or before
        if mount is None:
            return Change(kind, namespace, key, None, None, who)
        its = self.machine.namespaces[namespace]
        number, parent = its.by_id.get(mount.parent_id), its.parent(mount)
        if parent is None:
            number, parent = self._gone.get((namespace, mount.parent_id), (None, None))
        place = None if parent is None else (parent.device, place_in(parent, mount))
        return Change(kind, namespace, key, before, after, who, number, place)

    def _find(self, key: int, hints: Iterable[int], *, gone: bool) -> tuple[int, Mount | None]:
        """The namespace in which a mount is, and the mount; ``None`` where it is in none (any more)."""
        tried = set()
        for hint in hints:
            if hint in self.machine.namespaces and hint not in tried:
                tried.add(hint)
                if mount := self.reader.mount(hint, key):
                    return hint, mount
        if gone:
            return 0, None
        if self._listed is None:
            # All that is new, at once.
            self._listed = {
                number: namespace
                for namespace in self.machine.namespaces
                for number in self.reader.numbers(namespace, self._last)
            }
        if key in self._listed:
            return self._listed[key], self.reader.mount(self._listed[key], key)
        if key <= self._last:
            # Made long ago, and attached only now (open_tree(2), fsmount(2)).
            for namespace in self.machine.namespaces:
                if namespace not in tried and (mount := self.reader.mount(namespace, key)):
                    return namespace, mount
        return 0, None

    def _beside(self, change: Change) -> list[Change]:
        """What has changed with it, and nothing is told of."""
        machine = self.machine
        if not change.namespace or change.mount is None:
            return []
        its, mount = machine.namespaces[change.namespace], change.mount
        look_at: dict[Known, None] = {}
        if change.kind == "move":
            look_at |= {Known(change.namespace, key): None for key in its.below(change.key)}
        for number in (mount.parent_id, mount.mount_id):
            for key in its.children.get(number, ()):
                other = its.mounts[key]
                if key != change.key and (number == mount.mount_id or other.mount_point == mount.mount_point):
                    look_at[Known(change.namespace, key)] = None
        if change.before is not None and change.before.peer_group is not None:
            group = (change.before.device, change.before.peer_group)
            if group not in machine.members:
                look_at |= dict.fromkeys(machine.slaves.get(group, ()))
        found = []
        for known in look_at:
            found += self.look_again(known, change.who)
        return found

    def look_again(self, known: Known, who: Who | None = None) -> list[Change]:
        """What has changed of a mount; nothing where it has gone, of which the kernel tells."""
        before = self.machine.mount(known)
        after = self.reader.mount(known.namespace, known.key)
        if before is None or after is None:
            return []
        self.machine.put(known.namespace, known.key, after)
        return self._became(known.namespace, known.key, before, after, who)

    def _became(self, namespace: int, key: int, before: Mount, after: Mount, who: Who | None) -> list[Change]:
        """The changes that make *after*, which is known by now, of *before*."""
        found = [self._of(kind, namespace, key, before, after, who) for kind in kinds(before, after)]
        if not found and before != after:
            self.quiet.append(Change("move", namespace, key, before, after, who))
        return found

    # Whole tables

    def compare(
        self, namespace: int, table: Mapping[int, Mount], who: Who | None = None, *, whole: bool
    ) -> list[Change]:
        """What differs between a table and what is known, which then is as the table says.

        Unless it is the *whole* that is compared, what has come and gone is left to the source, which tells who did it.
        *who* has made a call that makes mounts others than they were, and neither mounts, moves nor unmounts.
        """
        machine = self.machine
        its = machine.namespaces[namespace]
        changes: list[Change] = []
        if whole:
            for key in [key for key in its.mounts if key not in table]:
                changes.append(self._of("umount", namespace, key, its.mounts[key], None, None))
            for change in changes:
                machine.remove(namespace, change.key)
        came: list[tuple[int, Mount]] = []
        for key, mount in table.items():
            before = its.mounts.get(key)
            if before is None:
                if whole:
                    machine.put(namespace, key, mount)
                    came.append((key, mount))
            elif before != mount:
                machine.put(namespace, key, mount)
                stays = before.mount_point == mount.mount_point
                changes += self._became(namespace, key, before, mount, who if stays else None)
        if whole and not self.reader.by_ids:
            its.order = tuple(table)
        changes += [self._of("mount", namespace, key, None, mount, None) for key, mount in came]
        return changes


def kinds(before: Mount, after: Mount) -> list[ChangeKind]:
    """In what a mount has become another; nothing where only its parent, or its place in a chain, is another."""
    found: list[ChangeKind] = []
    if before.mount_point != after.mount_point:
        found.append("move")
    if facts(before) != facts(after):
        found.append("propagation")
    if (before.options, before.super_options) != (after.options, after.super_options):
        found.append("remount")
    return found


def table_acts(changes: Iterable[Change]) -> list[Act]:
    """The acts of what was found in tables; a mount that only went along with the one it is on is beside that one's."""
    every = list(changes)
    moved = {(change.namespace, change.key): change for change in every if change.kind == "move"}
    along = {key: (change.namespace, change.parent or 0) for key, change in moved.items()}
    along = {key: parent for key, parent in along.items() if parent in moved}
    acts = unordered_acts(each for each in every if each.kind != "move" or (each.namespace, each.key) not in along)
    begun = {(change.namespace, change.key): act for act in acts for change in act.changes if change.kind == "move"}
    for key in along:
        top = key
        # No tree is deeper than this.
        for _ in along:
            if top not in along:
                break
            top = along[top]
        if act := begun.get(top):
            act.follow([moved[key]])
    return acts
