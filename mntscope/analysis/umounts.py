"""What is left when the host has unmounted a filesystem, and the umounts that free the rest: carried out on a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice

from mntscope.base.counting import counted
from mntscope.base.records import replace
from mntscope.errors import MntscopeError
from mntscope.graph import first_of_namespace
from mntscope.model import Mount, View
from mntscope.propagation import Simulation
from mntscope.propagation.operations import Umount
from mntscope.snapshot import Snapshot

MOST_UMOUNTS = 1000
"""How many mounts are unmounted on the model; a filesystem that the host has more often is not understood."""
MOST_INSIDE = 16
"""How many mounts inside of one are unmounted one by one."""

Numbered = tuple[View, Mount]


class Left:
    """What is left when the host has unmounted its own."""

    def __init__(self, snapshot: Snapshot, own: Sequence[Numbered]) -> None:
        self.notes: list[str] = []
        # What was not seen is told as such, and not once more for each group that may have members there.
        snapshot = replace(snapshot, not_seen=())
        self._simulation = Simulation(snapshot)
        self._unmount(own)
        remaining = sum(self.stays(view, mount) for view, mount in own)
        if remaining:
            self.notes.append(
                f"{remaining} of the host's mounts of it are taken to stay, with what they would take along: something"
                " covers them, they bear a root directory, or there are very many"
            )
        if self._simulation.lock_doubts:
            # Locks only ever make an umount do less, so what stays then may stay.
            unlocked, self._simulation = self._simulation, Simulation(snapshot, assume_locked=True)
            self._unmount(own)
            doubtful = sum(
                self.stays(view, mount) and not unlocked.is_mounted(view.label, mount.mount_id)
                for view, mount in _each_once(snapshot)
            )
            if doubtful:
                mounts = counted(doubtful, "mount")
                self.notes.append(f"{mounts} of other user namespaces may be locked: taken to stay")
        self.notes += self._simulation.uncertain
        self._snapshot, self._labels = snapshot, {snapshot.host_label}

    def concerns(self, views: Iterable[View]) -> None:
        """Say whose mounts :attr:`in_turn` is to be asked about, beside the host's."""
        self._labels |= {view.label for view in views}

    @cached_property
    def in_turn(self) -> Simulation:
        """The machine as it is, for the umounts that are proposed to be carried out one after the other."""
        views = [view for view in self._snapshot.views if view.label in self._labels]
        return Simulation(self._snapshot.with_views(views))

    def stays(self, view: View, mount: Mount) -> bool:
        """Whether a mount that a view shows is still there."""
        return self._simulation.is_mounted(view.label, mount.mount_id)

    def covered(self, view: View, mount: Mount) -> bool:
        """Whether umount(8) would find something else at its mount point, or nothing."""
        return not names(self._simulation, view.label, mount)

    def may_be_locked(self, view: View, mount: Mount) -> bool:
        """Whether it is, or that is not known."""
        return self._simulation.is_locked(view.label, mount.mount_id) is not False

    def has_children(self, view: View, mount: Mount) -> bool:
        """Whether something is mounted in it."""
        return any(True for _ in self._simulation.mounted_in(view.label, mount))

    def to_unmount(self, view: View, mount: Mount) -> tuple[str, ...]:
        """What umount(8) is to be told: the mount points in it, the latest first, and at last its own."""
        inside = list(islice(self._simulation.mounted_in(view.label, mount), MOST_INSIDE + 1))
        return (*inside[::-1], mount.mount_point) if len(inside) <= MOST_INSIDE else ("--lazy", mount.mount_point)

    def unmounted(self, view: View, mount: Mount) -> tuple[str, ...]:
        """The same, carried out on :attr:`in_turn`: what went before is not named once more."""
        return unmount(self.in_turn, view.label, mount) if names(self.in_turn, view.label, mount) else ()

    def _unmount(self, own: Sequence[Numbered]) -> None:
        for view, mount in own[:MOST_UMOUNTS]:
            # Nobody unmounts the root directory, nor what a path does not lead to.
            if self.stays(view, mount) and mount.mount_point != "/" and not self.covered(view, mount):
                # Lazy: with all that is mounted below it, and no matter what is open.
                try:
                    self._simulation.carry_out(Umount(view.label, mount.mount_point, lazy=True))
                except MntscopeError:
                    # It takes too long, and has changed nothing; so would those that follow.
                    break


def names(simulation: Simulation, label: str, mount: Mount) -> bool:
    """Whether umount(8) finds *mount* at its mount point."""
    path = mount.mount_point
    return path.startswith("/") and simulation.mounted_at(label, path) == mount.mount_id


def unmount(simulation: Simulation, label: str, mount: Mount) -> tuple[str, ...]:
    """Carry out the umounts after which *mount* is gone: what is mounted in it, the latest first, and at last itself.

    Gives the words for umount(8), each of which succeeds: what one takes along is not named once more, and nothing is
    where all of it has gone already. Where very much is mounted in it, or it does not go in this way, it goes lazily
    (``--lazy``).
    """
    if not simulation.is_mounted(label, mount.mount_id):
        return ()
    inside = list(islice(simulation.mounted_in(label, mount), MOST_INSIDE + 1))
    words: list[str] = []
    if len(inside) <= MOST_INSIDE:
        for path in inside[::-1]:
            if simulation.mounted_at(label, path) is not None and _gone(simulation, label, path):
                words.append(path)
        if not simulation.is_mounted(label, mount.mount_id):
            return tuple(words)
        if _gone(simulation, label, mount.mount_point):
            return (*words, mount.mount_point)
    _gone(simulation, label, mount.mount_point, lazy=True)
    # All of it at once, though files that are open there would hold it.
    return ("--lazy", *words, mount.mount_point)


def _gone(simulation: Simulation, label: str, path: str, *, lazy: bool = False) -> bool:
    try:
        return simulation.carry_out(Umount(label, path, lazy=lazy)) is None
    except MntscopeError:
        # It takes too long, or no system call takes such a path.
        return True


def _each_once(snapshot: Snapshot) -> Iterator[Numbered]:
    """The mounts of all namespaces, of which several views may show the same."""
    known: set[tuple[int, int]] = set()
    for namespace, view in zip(first_of_namespace(snapshot.views), snapshot.views, strict=True):
        for mount in view.mounts:
            if (namespace, mount.mount_id) not in known:
                known.add((namespace, mount.mount_id))
                yield view, mount
