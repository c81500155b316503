"""What to do so that nothing mounted at a path reaches another namespace: the fewest actions, each predicted.

Pure: it works on a snapshot, of this machine or of another. What is shown, journalled and verified later is
exactly what stands here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Literal

from mntscope.base.display import Framed, Shown
from mntscope.base.paths import normal, under
from mntscope.base.records import dataclass, field
from mntscope.errors import RefusedError, TargetError
from mntscope.graph import MountTree, same_namespace
from mntscope.graph.names import listed, namespace_names
from mntscope.graph.severity import remedy_for
from mntscope.model import Mount, View
from mntscope.propagation import Effect, Outcome, simulate
from mntscope.propagation.operations import MountNew, Operation, SetPropagation, Umount
from mntscope.snapshot import Snapshot

Kind = Literal["private", "slave"]

WANTS_HOST_UMOUNTS = ("/var/lib/kubelet", "/var/lib/containers", "/var/lib/docker", "/csi", "/run/netns")
"""Where volumes come and go: a private copy of what lies here pins what the host has long unmounted."""

_TOLD = 12
"""Covered mounts of which it is said what that means."""

PROC_OPTIONS = ("rw", "nosuid", "nodev", "noexec", "relatime")


@dataclass(frozen=True, slots=True)
class Action:
    """One change, and what it is predicted to do."""

    operation: Operation
    path: str
    """What it is done to: a mount point of the target."""
    why: str
    before: Mount | None
    """The mount it changes, as it is; ``None`` for a new one."""
    outcome: Outcome = field(repr=False)
    """With the effects, and the world that must be found afterwards."""

    @property
    def effects(self) -> tuple[Effect, ...]:
        """What it is predicted to change, everywhere."""
        return self.outcome.effects


@dataclass(frozen=True, slots=True)
class Plan(Framed, Shown):
    """Actions to be carried out one after the other in the target's namespace."""

    target: View
    snapshot: Snapshot = field(repr=False)
    """The world the plan was made for."""
    paths: tuple[str, ...]
    actions: tuple[Action, ...]
    notes: tuple[str, ...]
    """What was found to be in order already, and what is left as it is, one line each."""
    covered: tuple[Mount, ...] = ()
    """Mounts that *recursive* would take, and that keep their propagation: no path leads to them."""

    @property
    def after(self) -> Snapshot:
        """The world that is predicted when all is done."""
        return self.actions[-1].outcome.snapshot if self.actions else self.snapshot

    @property
    def uncertain(self) -> tuple[str, ...]:
        """What the predictions hang on and no table shows."""
        return tuple(dict.fromkeys(reason for action in self.actions for reason in action.outcome.uncertain))


def make_plan(
    snapshot: Snapshot,
    target: str | int,
    paths: Sequence[str] = ("/proc",),
    *,
    mount_proc: bool = False,
    kind: Kind | None = None,
    recursive: bool = False,
    force: bool = False,
    in_host_namespace: bool = False,
    own_proc: Collection[str] = (),
) -> Plan:
    """The fewest actions after which nothing mounted at *paths* (in *target*) reaches another namespace.

    For each path the mount that *contains* it is made private, or a slave: by *kind*, else private where it is of a
    filesystem that only shows the kernel, and a slave where the host may want to unmount it, so that its umounts
    still arrive. A slave sends nothing, so it is changed only where *kind* is private: then nothing arrives either.
    *recursive* includes what is mounted below it, but for what other mounts cover: no path leads there, so that undo
    could not reach it; *force* includes that too. With *mount_proc* a fresh proc is then mounted at each path but
    those in *own_proc*, where the target sees its own processes already. *force* goes on where a private mount is
    known to do harm, or where the change itself is felt elsewhere.

    :raises RefusedError: it would harm; the hint says what to do instead.
    :raises TargetError: there is no such view, or it shows no mount that contains a path.
    """
    view = snapshot.view(target)
    if not in_host_namespace and same_namespace(snapshot.host, view):
        raise RefusedError(
            "it lives in the host's own mount namespace: a mount made private there is a change of the host",
            where=view.label,
            hint="give it a namespace of its own (mntscope run -- COMMAND, or unshare --mount); "
            "--in-host-namespace does it all the same",
        )
    planner = _Planner(snapshot, view.label, kind=kind, recursive=recursive, force=force)
    wanted = tuple(dict.fromkeys(normal(path) for path in paths))
    for path in wanted:
        planner.stop_events_at(path)
    for path in wanted:
        if mount_proc and path in own_proc:
            planner.notes.append(f"{path} shows the target's own processes already")
        elif mount_proc:
            planner.mount_proc_at(path)
    for path in wanted:
        left = planner.crossing(path)
        if left:
            raise RefusedError(
                f"what is mounted at {path} would still reach {_names(snapshot, left)}",
                where=view.label,
                hint="see predict",
            )
    covered = planner.told_of_covered()
    return Plan(view, snapshot, wanted, tuple(planner.actions), tuple(planner.notes), covered)


class _Planner:
    """Adds action to action, each planned in the world that the ones before it leave."""

    def __init__(self, snapshot: Snapshot, label: str, *, kind: Kind | None, recursive: bool, force: bool) -> None:
        self.world = snapshot
        self.label = label
        self.kind: Kind | None = kind
        self.recursive = recursive
        self.force = force
        self.actions: list[Action] = []
        self.notes: list[str] = []
        self.covered: dict[int, Mount] = {}
        """By mount ID."""

    @property
    def view(self) -> View:
        return self.world.view(self.label)

    def crossing(self, path: str) -> tuple[Effect, ...]:
        """What something mounted at *path* would do in other namespaces."""
        outcome = simulate(self.world, MountNew(self.label, "tmpfs", "probe", path))
        return tuple(effect for effect in outcome.effects if effect.crosses)

    def containing(self, path: str) -> Mount:
        mount = MountTree.of(self.view).containing(path)
        if mount is None:
            raise TargetError(
                f"no mount that it shows contains {path}", where=self.label, hint="its root lies inside of a mount"
            )
        return mount

    def stop_events_at(self, path: str) -> None:
        """Plan to take the mount that contains *path* out of its peer group, if anything mounted there would cross."""
        mount = self.containing(path)
        crossing = self.crossing(path)
        kind = self.kind or _kind_for(mount)
        inside = self._subtrees(mount, kind) if self.recursive else []
        taken = (it for top, all_of_it in inside for it in (self._below(top) if all_of_it else (top,)))
        # Who says private asks that nothing arrives either: a slave is not yet what is wanted.
        wanted = (mount, *taken) if self.kind == "private" else taken
        if not crossing and not any(_changes(it, self.kind or "slave") for it in wanted):
            what = f"nothing mounted at {path} reaches another namespace already"
            receives = self.kind is None and mount.master is not None
            self.notes.append(
                f"{what}; what the host mounts still arrives, unless --type private" if receives else what
            )
            return
        self._refuse_pinning(mount, path, kind)
        if MountTree.of(self.view).named_by(mount.mount_point) is not mount:
            raise RefusedError(
                f"the mount that contains {path} is covered at {mount.mount_point}, and no path leads to it",
                where=self.label,
                hint="unmount what covers it first",
            )
        why = (
            f"what is mounted at {path} would also land in {_names(self.world, crossing)}" if crossing else "asked for"
        )
        if kind == "slave":
            why += "; as a slave it goes on receiving the host's umounts"
        for top, all_of_it in inside or [(mount, False)]:
            operation = SetPropagation(self.label, top.mount_point, kind, all_of_it)
            # An action before this one may have changed its master.
            before = next(it for it in self.view.mounts if it.mount_id == top.mount_id)
            self._add(operation, top.mount_point, why if top is mount else f"it is mounted below {path}", before)

    def told_of_covered(self) -> tuple[Mount, ...]:
        """The mounts that were left out, after a note on what that means for each of the first of them."""
        for mount in islice(self.covered.values(), _TOLD):
            self.notes.append(
                f"the {mount.fs_type} at {mount.mount_point} stays {mount.propagation}, because another mount covers "
                f"it and no path leads to it: {self._uncovering(mount)}"
            )
        if len(self.covered) > _TOLD:
            self.notes.append(f"{len(self.covered) - _TOLD} more mounts that others cover keep their propagation")
        return tuple(self.covered.values())

    def _uncovering(self, mount: Mount) -> str:
        """What it means that a covered mount stays as it is: an umount of its cover is an event of its peer group."""
        outcome = simulate(self.world, Umount(self.label, mount.mount_point, lazy=True))
        crossing = [effect for effect in outcome.effects if effect.crosses]
        again = "what is mounted there once it is uncovered still reaches its peers"
        if outcome.errno is None and crossing:
            return f"to unmount what covers it also unmounts in {_names(self.world, crossing)}, and {again}"
        return again

    def mount_proc_at(self, path: str) -> None:
        """Plan a fresh proc at *path*."""
        self._add(
            MountNew(self.label, "proc", "proc", path, PROC_OPTIONS), path, "a proc of its own PID namespace", None
        )

    def _add(self, operation: Operation, path: str, why: str, before: Mount | None) -> None:
        outcome = simulate(self.world, operation)
        if outcome.errno is not None:
            raise RefusedError(f"{operation.op} of {path} would fail with {outcome.errno}", where=self.label)
        crossing = [effect for effect in outcome.effects if effect.crosses]
        if crossing and not self.force:
            raise RefusedError(
                f"{operation.op} of {path} itself changes {_names(self.world, crossing)}",
                where=self.label,
                hint="mounts there receive their events from this one; --force does it all the same",
            )
        self.actions.append(Action(operation, path, why, before, outcome))
        self.world = outcome.snapshot

    def _below(self, mount: Mount) -> Iterator[Mount]:
        tree = MountTree.of(self.view)
        pending = [mount]
        while pending:
            current = pending.pop()
            pending.extend(tree.children(current))
            yield current

    def _subtrees(self, mount: Mount, kind: Kind) -> list[tuple[Mount, bool]]:
        """The mounts to be changed, which together are all of the reachable ones; and whether with all below each.

        What is out of reach could be changed with all the others, and never be put back.
        """
        below = list(self._below(mount))
        tree = MountTree.of(self.view)
        out_of_reach = [it for it in below if _changes(it, kind) and tree.named_by(it.mount_point) is not it]
        if self.force or not out_of_reach:
            return [(mount, True)]
        self.covered |= {it.mount_id: it for it in out_of_reach}
        # Those in or above which something is out of reach: each alone.
        alone = set()
        for it in out_of_reach:
            above: Mount | None = it
            while above is not None and above.mount_id not in alone:
                alone.add(above.mount_id)
                above = tree.parent(above) if above is not mount else None
        found = []
        pending = [mount]
        while pending:
            top = pending.pop()
            if top.mount_id not in alone:
                if any(_changes(it, kind) for it in self._below(top)):
                    found.append((top, True))
                continue
            pending.extend(reversed(tree.children(top)))
            if _changes(top, kind) and top.mount_id not in self.covered:
                found.append((top, False))
        return found

    def _refuse_pinning(self, mount: Mount, path: str, kind: Kind) -> None:
        if kind == "slave" or self.force:
            return
        places = (path, mount.mount_point, mount.root)
        hit = next((place for place in places for prefix in WANTS_HOST_UMOUNTS if under(place, prefix)), None)
        if hit is not None:
            harm = f"volumes come and go at {hit}"
        else:
            # Anonymous devices have the major number 0: all others are disks, which someone may want to remove.
            tree = MountTree.of(self.view)
            disk = next((child for child in tree.children(mount) if not child.device.startswith("0:")), None)
            if disk is None:
                return
            harm = f"{disk.source} is mounted at {disk.mount_point}"
        raise RefusedError(
            f"private is wrong for {mount.mount_point}: {harm}, and a private copy keeps mounted what the host "
            "unmounts",
            where=self.label,
            hint="use --type slave, which receives the host's umounts and sends nothing back; --force does it "
            "all the same",
        )


def _changes(mount: Mount, kind: Kind) -> bool:
    """Whether to make it *kind* changes it."""
    return mount.peer_group is not None or (kind == "private" and mount.master is not None)


def _kind_for(mount: Mount) -> Kind:
    return "private" if remedy_for(mount.fs_type) == "make-private" else "slave"


def _names(snapshot: Snapshot, effects: Iterable[Effect]) -> str:
    """The namespaces of the effects, the first few by name."""
    labels = list(dict.fromkeys(effect.namespace for effect in effects))
    names = namespace_names(snapshot.views, snapshot.host_label)
    return listed((names[label] for label in labels), len(labels))
