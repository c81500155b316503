"""What a journal asks for, step by step, each compared with what is there: nothing is done on its word alone.

A mount is the one that was changed if the kernel's 64-bit id says so, where it has one: a mount ID is given to another
mount as soon as its bearer is gone. It must be of the device and the root that the journal tells, and be as isolate
left it. A peer group is the old one if a mount that was in it then, by the same measure, is in it now: the number of a
group is reused, too. Pure: all that is known of the system is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mntscope.base.records import dataclass, replace
from mntscope.errors import ParseError
from mntscope.graph import MountTree
from mntscope.isolate.journal import Changed, Entry, Journal
from mntscope.model import Mount, View
from mntscope.parse import parse_mountinfo
from mntscope.snapshot import Snapshot

Ids = Mapping[int, int]
"""The unique id of each mount of a namespace, by mount ID; empty where the kernel tells none."""

Member = tuple[View, Mount]
"""A mount of a peer group, and the namespace in which it is."""


@dataclass(frozen=True, slots=True)
class Unmount:
    """A step back: a proc that isolate mounted is to be unmounted."""

    mount: Mount


@dataclass(frozen=True, slots=True)
class Rejoin:
    """A mount that is to be in its old peer group again, or a slave of it."""

    mount: Mount
    """As it is."""
    was: Mount
    members: tuple[Member, ...] = ()
    """The mounts that are in the group, the host's first; none where it is gone, and the mount gets a new one."""

    @property
    def group(self) -> int:
        """The number of its old group, or of its master."""
        return self.was.peer_group or self.was.master or 0


@dataclass(frozen=True, slots=True)
class Problem:
    """What stands in the place of a step that cannot be taken: why, and what to do."""

    what: str
    hint: str


Step = Unmount | Rejoin

_DELETE = "no isolate wrote that here: delete the journal"


class Steps:
    """The steps back of a journal's entries, and what stands in their way.

    *ids_of* is given the 64-bit id of a namespace.
    """

    def __init__(self, journal: Journal, snapshot: Snapshot, label: str, ids_of: Callable[[int | None], Ids]) -> None:
        self.journal = journal
        self.notes: list[str] = []
        """What will not be quite as before, and why."""
        self.lost: list[str] = []
        """Of these, where events will not arrive as they did before."""
        self._snapshot = snapshot
        self._view = snapshot.view(label)
        self._ids_of = ids_of
        self._ids = ids_of(journal.namespace_id)

    def find(self, now: Mapping[int, Mount]) -> list[tuple[Entry, list[Step | Problem]]]:
        """What to do for each entry, in order. *now* are the mounts of the journal's namespace, by mount ID."""
        begun = [entry for entry in reversed(self.journal.entries) if entry.state in ("doing", "done")]
        placed = [self._placed(entry, now) if entry.action == "mount" else None for entry in begun]
        away = {step.mount.mount_id for step in placed if isinstance(step, Unmount)}
        # As it will be when the procs are unmounted.
        left = tuple(mount for mount in now.values() if mount.mount_id not in away)
        tree = MountTree.of(replace(self._view, mounts=left))
        found = []
        for entry, step in zip(begun, placed, strict=True):
            steps = [step, *(self._rejoin(entry, changed, now, tree) for changed in entry.changed)]
            found.append((entry, [step for step in steps if step is not None]))
        return found

    def _placed(self, entry: Entry, now: Mapping[int, Mount]) -> Step | Problem | None:
        """The mount that an action made, if it is still there."""
        if entry.mount_id is None:
            return None
        mount = self._known(entry.mount_id, entry.unique_id, entry.path, now)
        if isinstance(mount, Problem):
            return mount
        if mount is None or mount.fs_type != "proc" or mount.mount_point != entry.path:
            self.notes.append(f"the proc at {entry.path} had been unmounted already")
            return None
        upon = next((other for other in now.values() if other.parent_id == mount.mount_id), None)
        if upon is not None and upon is not mount:
            what = f"a {upon.fs_type} is mounted at {upon.mount_point}, on the proc that would be unmounted"
            return Problem(what, f"unmount {upon.mount_point} first")
        return Unmount(mount)

    def _rejoin(
        self, entry: Entry, changed: Changed, now: Mapping[int, Mount], tree: MountTree
    ) -> Step | Problem | None:
        was = _line(changed)
        if was is None:
            return Problem(f"{changed.line!r} is no line of mountinfo of the mount {changed.mount_id}", _DELETE)
        mount = self._known(changed.mount_id, changed.unique_id, was.mount_point, now)
        if isinstance(mount, Problem):
            return mount
        if mount is None:
            self.notes.append(f"the mount that was at {was.mount_point} had been unmounted already")
            return None
        place = mount.mount_point
        if (mount.device, mount.root) != (was.device, was.root):
            told, there = (f"{it.root} of {it.device}" for it in (was, mount))
            return Problem(f"the mount at {place} is of {there}, and the journal speaks of {told}", _DELETE)
        group = was.peer_group if was.peer_group is not None else was.master
        if group is None or (mount.peer_group, mount.master) == (was.peer_group, was.master):
            return None
        if mount.peer_group is not None or (entry.type == "private" and mount.master is not None):
            what = f"{place} is not as isolate left it: somebody else has made it {mount.propagation} since"
            return Problem(what, f"make it {entry.type or 'private'} again, or leave it so, and delete the journal")
        members = self._members(group, was, changed)
        if isinstance(members, Problem):
            return members
        if not members and was.peer_group is None:
            self._lose(f"{place} has no master any more: its peer group {group} is gone")
            return None
        if tree.containing(place) != mount:
            return Problem(f"{place} cannot rejoin peer group {group}: another mount covers it", "unmount that first")
        if not members:
            self.notes.append(
                f"the peer group {group} of {place} is gone (none of the members it had is left): "
                "it is shared again, in a group with a new number"
            )
            if was.master not in (None, mount.master):
                self._lose(f"{place} is no slave of peer group {was.master} any more")
        return Rejoin(mount, was, members)

    def _lose(self, what: str) -> None:
        self.notes.append(what)
        self.lost.append(what)

    def _known(
        self, mount_id: int, unique_id: int | None, place: str, now: Mapping[int, Mount]
    ) -> Mount | Problem | None:
        """The mount that is meant; ``None`` where it is gone."""
        mount = now.get(mount_id)
        if mount is None or not self._ids:
            # Older kernels: what else is known of it is compared.
            return mount
        if unique_id is None:
            return Problem(
                f"the journal does not tell the unique id of mount {mount_id} at {place}: it may be another by now",
                "put it back by hand (`mntscope tree` shows what is there), then delete the journal",
            )
        return mount if self._ids.get(mount_id) == unique_id else None

    def _members(self, group: int, was: Mount, changed: Changed) -> tuple[Member, ...] | Problem:
        """The mounts that are in the group now, if one of those is among them that were in it then."""
        views = sorted(
            (view for view in self._snapshot.views if not view.detached),
            key=lambda view: view.label != self._snapshot.host_label,
        )
        members = tuple(
            (view, mount)
            for view in views
            for mount in view.mounts
            if (mount.peer_group, mount.device) == (group, was.device)
            and (view.label, mount.mount_id) != (self._view.label, changed.mount_id)
        )
        told = {(peer.mount_id, peer.unique_id) for peer in changed.peers}
        if not self._ids:
            then = any(mount.mount_id == mount_id for _, mount in members for mount_id, _ in told)
        elif told and all(unique_id is None for _, unique_id in told):
            what = f"the journal does not tell the unique ids of the mounts in peer group {group}"
            return Problem(f"{what}: it may be another group by now", _DELETE)
        else:
            then = any((mount.mount_id, self._unique_id(view, mount)) in told for view, mount in members)
        return members if then else ()

    def _unique_id(self, view: View, mount: Mount) -> int:
        ids = self._ids if view.label == self._view.label else self._ids_of(view.namespace.id)
        return ids.get(mount.mount_id, 0)


def _line(changed: Changed) -> Mount | None:
    """The mount as it was; ``None`` where the line says anything else."""
    try:
        mounts = parse_mountinfo(changed.line.encode("utf-8", "surrogateescape"))
    except ParseError:
        return None
    return mounts[0] if len(mounts) == 1 and mounts[0].mount_id == changed.mount_id else None
