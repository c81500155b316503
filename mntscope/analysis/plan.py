"""What to do so that nothing mounted at a path reaches another namespace: the fewest actions, each predicted.

Pure: it works on a snapshot, of this machine or of another. What is shown, journalled and verified later is
exactly what stands here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
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
from mntscope.propagation.operations import MountNew, Operation, SetPropagation
from mntscope.snapshot import Snapshot

Kind = Literal["private", "slave"]

WANTS_HOST_UMOUNTS = ("/var/lib/kubelet", "/var/lib/containers", "/var/lib/docker", "/csi", "/run/netns")
"""Where volumes come and go: a private copy of what lies here pins what the host has long unmounted."""

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
    """What was found to be in order already, one line each."""

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
    still arrive. *recursive* includes what is mounted below it. With *mount_proc* a fresh proc is then mounted at
    each path but those in *own_proc*, where the target sees its own processes already. *force* goes on where a
    private mount is known to do harm, or where the change itself is felt elsewhere.

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
    return Plan(view, snapshot, wanted, tuple(planner.actions), tuple(planner.notes))


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
        inside = self.recursive and any(below.peer_group is not None for below in self._below(mount))
        if not crossing and not inside:
            self.notes.append(f"nothing mounted at {path} reaches another namespace already")
            return
        kind = self.kind or _kind_for(mount)
        self._refuse_pinning(mount, path, kind)
        if MountTree.of(self.view).named_by(mount.mount_point) is not mount:
            raise RefusedError(
                f"the mount that contains {path} is covered at {mount.mount_point}, and no path leads to it",
                where=self.label,
                hint="unmount what covers it first",
            )
        self._refuse_covered(mount)
        operation = SetPropagation(self.label, mount.mount_point, kind, self.recursive)
        why = (
            f"what is mounted at {path} would also land in {_names(self.world, crossing)}" if crossing else "asked for"
        )
        if kind == "slave":
            why += "; as a slave it goes on receiving the host's umounts"
        self._add(operation, mount.mount_point, why, mount)

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

    def _refuse_covered(self, mount: Mount) -> None:
        """What is out of reach could be changed with all the others, and never be put back."""
        if not self.recursive or self.force:
            return
        tree = MountTree.of(self.view)
        for other in self._below(mount):
            if tree.hidden(other) and (other.peer_group is not None or other.master is not None):
                raise RefusedError(
                    f"--recursive would also change the {other.fs_type} at {other.mount_point} that another mount "
                    "covers, and undo could not reach it",
                    where=self.label,
                    hint="name the paths one by one; --force does it all the same",
                )

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


def _kind_for(mount: Mount) -> Kind:
    return "private" if remedy_for(mount.fs_type) == "make-private" else "slave"


def _names(snapshot: Snapshot, effects: Iterable[Effect]) -> str:
    """The namespaces of the effects, the first few by name."""
    labels = list(dict.fromkeys(effect.namespace for effect in effects))
    names = namespace_names(snapshot.views, snapshot.host_label)
    return listed((names[label] for label in labels), len(labels))
