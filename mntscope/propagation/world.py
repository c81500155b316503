"""The mounts of a machine as the graph the kernel keeps: trees, peer groups, masters.

A :class:`World` is built from a :class:`~mntscope.snapshot.Snapshot` (:mod:`~mntscope.propagation.reconstruct`),
changed in place by the system calls, and written down as a snapshot again (:mod:`~mntscope.propagation.tables`).
Nothing outside the package sees it.

Three facts shape it:

- A mount sits on a *dentry* of its parent: a path inside the parent's filesystem, not in any namespace. Paths in a
  namespace are derived. That is why one event lands at another path in each receiver.
- A mount is *shared* when it is in a group; all members of a group have the same master group.
- Some mounts are known to exist although no view shows them. They are ``hidden``.
"""

from __future__ import annotations

from collections.abc import Iterable

from mntscope.errors import MntscopeError
from mntscope.model import Namespace, View
from mntscope.propagation.mounts import FsRoot, KernelMount, KernelPeerGroup, MountNamespace
from mntscope.propagation.versions import DETACHED_PASSES_ON, Change, Kernel
from mntscope.snapshot import Snapshot

INITIAL_USER_NAMESPACE = 0xEFFFFFFD
"""PROC_USER_INIT_INO, include/linux/proc_ns.h."""

MOST_STEPS = 30_000_000
"""How long a world is followed. Tables that a kernel wrote take thousands; but n mounts that all receive each
other's events can be made to take n², and to hold n² copies."""

STEPS_SHOWN = 40
"""How many steps it counts for that a view shows a mount: one table may claim that it sees all of another's."""


KEPT = "one of its members is detached, and this kernel may keep events from those of its slaves that hang on that one"
"""Of slaves: which of them it is about, no table shows, now or later."""


class Changes:
    """What umounts have changed: enough to write down the difference without looking at all the rest."""

    def __init__(self) -> None:
        self.removed: list[tuple[MountNamespace | None, KernelMount]] = []
        """What was unmounted, and from where."""
        self.altered: dict[KernelMount, None] = {}
        """What was changed without being removed: reparented, unlocked, given another master."""
        self.shrunk: dict[KernelPeerGroup, tuple[Iterable[KernelMount], Iterable[KernelPeerGroup]]] = {}
        """The groups that have lost members; with the mounts, and the unseen groups, that received from each."""
        self.superblocks = False
        """Whether a filesystem was changed, which every mount of it shows."""


def free_id(snapshot: Snapshot) -> int:
    """The lowest mount ID above all that its views show: that of the first mount that is made."""
    mounts = [mount for view in snapshot.views for mount in view.mounts]
    return 1 + max((max(mount.mount_id, mount.parent_id) for mount in mounts), default=0)


class World:
    """Every mount of a snapshot, the root directories it was seen from, and what had to be assumed."""

    def __init__(self, snapshot: Snapshot, *, assume_locked: bool | None = False) -> None:
        """Empty as yet: :func:`~mntscope.propagation.reconstruct.reconstruct` fills it with what *snapshot* shows."""
        self.snapshot = snapshot
        self.kernel = Kernel.of(snapshot.kernel, snapshot.kernel_version)
        self.fs_roots: dict[str, FsRoot] = {}
        """By the label of the view."""
        self.mounts: dict[MountNamespace, dict[int, KernelMount]] = {}
        """Those of the snapshot, by mount ID: also what is unmounted by now."""
        self.groups: dict[int, KernelPeerGroup] = {}
        self.handles: dict[str, KernelMount | None] = {}
        """What open descriptors name; ``None``: a mount that was since unmounted, which nothing can be done with."""
        self.uncertain: dict[str, None] = {}
        """Reasons why the result may differ, each once."""
        self.assume_locked = assume_locked
        """What a mount of unknown lock is taken to be (``None``: what is likely for each); :attr:`lock_doubts` says
        whether that was ever needed."""
        self.lock_doubts: dict[str, None] = {}
        self.changes = Changes()
        self.steps = 0
        """How many it has taken so far: :meth:`count_steps`."""
        mounts = [mount for view in snapshot.views for mount in view.mounts]
        self._next_id = free_id(snapshot)
        self._next_minor = 1 + max((int(m.device.partition(":")[2]) for m in mounts), default=0)
        self._next_group = 1

    # Making

    def group(self, number: int) -> KernelPeerGroup:
        """The group of this number, made if it does not exist."""
        group = self.groups.get(number)
        if group is None:
            group = self.groups[number] = KernelPeerGroup(number)
        return group

    def new_group(self) -> KernelPeerGroup:
        """A group of its own; ``mnt_alloc_group_id()`` gives it the lowest free number."""
        while self._next_group in self.groups:
            self._next_group += 1
        return self.group(self._next_group)

    def new_id(self) -> int:
        """A mount ID that no view shows."""
        self._next_id += 1
        return self._next_id - 1

    def new_device(self) -> str:
        """An anonymous device number that no view shows."""
        self._next_minor += 1
        return f"0:{self._next_minor - 1}"

    def add_fs_root(
        self, label: str, namespace: MountNamespace, mount: KernelMount, dentry: str, described: Namespace
    ) -> None:
        """A process whose root directory this is; its view is filled in when the tables are written."""
        view = View(label=label, mounts=(), namespace=described, detached=namespace.anonymous)
        self.fs_roots[label] = FsRoot(view, namespace, mount, dentry)

    # Asking

    def count_steps(self, steps: int = 1) -> None:
        """Note that what is done takes so many steps more.

        :raises MntscopeError: it has taken more than :data:`MOST_STEPS`.
        """
        self.steps += steps
        if self.steps > MOST_STEPS:
            hint = "ask for one mount at a time, or give a snapshot with fewer namespaces"
            raise MntscopeError("too many mounts receive each other's events for a prediction", hint=hint)

    def is_locked(self, mount: KernelMount) -> bool:
        """MNT_LOCKED, which the kernel shows to nobody: known from history, or assumed and noted."""
        if mount.lock.locked is not None:
            return mount.lock.locked
        self._doubt_lock(mount)
        return mount.lock.likely if self.assume_locked is None else self.assume_locked

    def is_flag_locked(self, mount: KernelMount, flag: str) -> bool:
        """Whether the option can no longer be cleared (MNT_LOCK_READONLY and its like)."""
        if mount.lock.flags is not None:
            return flag in mount.lock.flags
        self._doubt_lock(mount)
        return mount.lock.likely if self.assume_locked is None else self.assume_locked

    def _doubt_lock(self, mount: KernelMount) -> None:
        if self.assume_locked is None and mount.lock.likely:
            self.lock_doubts[
                f"mount {mount.record.mount_id} ({mount.record.mount_point}) is taken to be locked: it looks like one "
                "of those that were copied into a new user namespace: the kernel shows that to nobody"
            ] = None
            return
        self.lock_doubts[
            f"whether mount {mount.record.mount_id} ({mount.record.mount_point}) is locked cannot be read: "
            "it depends on how the namespace's user namespace came by it"
        ] = None

    def doubt_unseen_members(self, group: KernelPeerGroup) -> None:
        """Note that the result holds only if *group* has no member left, where there is something unseen."""
        if self.snapshot.not_seen:
            self.uncertain[
                f"whether peer group {group.number} has members left cannot be told, since not everything was seen: "
                + "; ".join(str(problem) for problem in self.snapshot.not_seen[:3])
            ] = None

    def doubt_slaves(self, group: KernelPeerGroup) -> None:
        """Doubt that the slaves of a group receive, if a kernel at fault may keep events from them (before 6.15).

        A slave hangs on one member of the group, and no table shows on which: if on one in a detached tree, it was
        passed over (IS_MNT_NEW() of fs/pnode.h).
        """
        if (
            group.slaves
            and not self.kernel_has(DETACHED_PASSES_ON)
            and any(member.namespace is not None and member.namespace.anonymous for member in group.members)
        ):
            self.uncertain[f"peer group {group.number}: {KEPT} (before commit {DETACHED_PASSES_ON.source})"] = None

    def kernel_has(self, change: Change) -> bool:
        """Whether the kernel does what it does since *change*; noted where that hangs on an unknown point release."""
        if self.kernel.doubts(change):
            self.uncertain[
                f"whether Linux {self.kernel.release} has commit {change.source} is not known ({change.name})"
            ] = None
        return self.kernel.has(change)

    def is_pinned(self, mount: KernelMount) -> bool:
        """Whether something is known to keep it busy: the root of a process, or a descriptor of a tree."""
        return any(root.mount is mount for root in self.fs_roots.values()) or any(
            held is mount for held in self.handles.values()
        )
