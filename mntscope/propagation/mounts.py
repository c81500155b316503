"""What a world is made of: mounts, peer groups, mount namespaces, and the root directories of processes.

They are named for what the kernel keeps (fs/mount.h, Linux 6.18), less what no prediction needs. A *dentry* is
written as its path inside the filesystem: with the device number, that is its identity.
"""

from __future__ import annotations

from collections.abc import Iterator

from mntscope.base.paths import below, relative, under
from mntscope.base.records import NamedTuple
from mntscope.model import Mount, View


class KernelPeerGroup:
    """The mounts of one ``mnt_group_id``. Without members, it has them where no view looks.

    The kernel keeps masters and slaves by mount; here they are kept by group, as peers all have the same master and
    it makes no difference which of the peers a slave is slave of.
    """

    __slots__ = ("master", "members", "number", "slaves", "unseen_slaves")

    def __init__(self, number: int) -> None:
        self.number = number
        self.members: dict[KernelMount, None] = {}
        self.slaves: dict[KernelMount, None] = {}
        """The mounts that receive from it: every member of a slave group, and slaves that are in no group."""
        self.unseen_slaves: dict[KernelPeerGroup, None] = {}
        """The slave groups that no view shows."""
        self.master: KernelPeerGroup | None = None
        """The group that it receives from, whatever a member from elsewhere may claim. Masters never go round in a
        circle: those of a table are cut open when the world is built, a new group has no slaves, and slaves only ever
        move to a group above (:func:`~mntscope.propagation.change_type.move_slaves`)."""

    def dominant(self) -> Iterator[KernelPeerGroup]:
        """This group, its master, its master's master and so on."""
        group: KernelPeerGroup | None = self
        while group is not None:
            yield group
            group = group.master

    def reach(self) -> Iterator[KernelPeerGroup]:
        """This group and every group that receives its events, masters before their slaves."""
        pending: list[KernelPeerGroup] = [self]
        seen: set[KernelPeerGroup] = {self}
        while pending:
            group = pending.pop()
            yield group
            shared = (slave.group for slave in group.slaves if slave.group is not None)
            slave_groups = [slave for slave in dict.fromkeys((*shared, *group.unseen_slaves)) if slave not in seen]
            seen.update(slave_groups)
            pending += slave_groups


class MountNamespace:
    """struct mnt_namespace: a mount namespace, or (*anonymous*) one that only holds a detached tree."""

    __slots__ = ("anonymous", "roots", "user_namespace")

    def __init__(self, user_namespace: int | None, *, anonymous: bool = False) -> None:
        self.user_namespace = user_namespace
        self.anonymous = anonymous
        self.roots: dict[KernelMount, None] = {}
        """The mounts without a parent: the kernel has one, a table may show several. From inside of a namespace, it
        is hidden (rootfs)."""


class KernelMount:
    """struct mount."""

    __slots__ = (
        "children",
        "group",
        "hidden",
        "lock",
        "master",
        "mounted",
        "mountpoint",
        "namespace",
        "options",
        "parent",
        "record",
        "root",
        "stack_bottom",
        "stack_top",
        "unbindable",
    )

    def __init__(self, record: Mount, root: str, namespace: MountNamespace | None, *, hidden: bool = False) -> None:
        self.record = record
        """Its line of mountinfo; what never changes (ID, device, filesystem) is read from here."""
        self.root = root
        """``mnt_root``: the dentry of its filesystem that it shows as its root."""
        self.namespace = namespace
        """``mnt_ns``; ``None`` while it is a copy in the making, and once it is unmounted."""
        self.hidden = hidden
        """Whether it is known to exist although no view shows it."""
        self.parent: KernelMount | None = None
        self.mountpoint = ""
        """``mnt_mountpoint``: the dentry of the parent's filesystem that it is mounted on."""
        self.children: dict[KernelMount, None] = {}
        self.mounted: dict[str, KernelMount] = {}
        """The child on each dentry that is found there (``__lookup_mnt()``): since 6.17 there is at most one."""
        # A stack is walked from end to end for every event that reaches it, so both ends are kept at hand.
        self.stack_bottom: KernelMount | None = None
        """Of an overmount: the lowest mount of its stack."""
        self.stack_top: KernelMount | None = None
        """Of the lowest mount of a stack: the topmost."""
        self.group: KernelPeerGroup | None = None
        self.master: KernelPeerGroup | None = None
        self.options = record.options
        self.unbindable = record.unbindable
        self.lock = record.lock

    @property
    def device(self) -> str:
        """``major:minor`` of its superblock: with a dentry, the identity of a directory or file."""
        return self.record.device

    @property
    def overmount(self) -> KernelMount | None:
        """What is mounted on its root, and so covers it."""
        return self.mounted.get(self.root)

    def topmost_overmount(self) -> KernelMount:
        """The topmost mount of the stack that it is in; itself, if nothing covers it."""
        return (self.stack_bottom or self).stack_top or self

    def tree(self) -> Iterator[KernelMount]:
        """It and everything mounted below it, parents first (``next_mnt()``)."""
        pending: list[KernelMount] = [self]
        while pending:
            mount = pending.pop()
            yield mount
            pending.extend(reversed(mount.children))

    def attach_to(self, parent: KernelMount, mountpoint: str) -> None:
        """Mount it, as ``mnt_set_mountpoint()`` and ``__attach_mnt()`` of fs/namespace.c do.

        Of several at one place, as there were until 6.17, the last is found: it heads its chain of ``m_hash``.
        """
        self.parent, self.mountpoint = parent, mountpoint
        parent.children[self] = None
        found = parent.mounted.get(mountpoint)
        parent.mounted[mountpoint] = self
        bottom = parent.stack_bottom or parent
        # Where a table claims that mounts cover each other, that is cut before anybody asks.
        if mountpoint == parent.root and bottom is not self:
            if found is not None:
                found._set_stack(None)  # noqa: SLF001 (a mount like this one)
            self._set_stack(bottom)

    def attach_beneath(self, parent: KernelMount, mountpoint: str) -> None:
        """Mount it where something is mounted already, which ends up on top of it: it is *tucked*.

        ``attach_recursive_mnt()`` and ``commit_tree()`` of fs/namespace.c, since 6.17: on top of the whole stack that
        it is the lowest mount of.
        """
        covering = parent.mounted[mountpoint]
        if covering.stack_bottom is None:
            covering.detach()
            self.attach_to(parent, mountpoint)
            top = self.topmost_overmount()
            covering.attach_to(top, top.root)
        else:
            # In the middle of a stack: what is above stays part of it, and need not be told.
            bottom, stack_top = covering.stack_bottom, covering.stack_bottom.stack_top
            covering.stack_bottom = None
            covering.detach()
            self.attach_to(parent, mountpoint)
            top = self.topmost_overmount()
            top.children[covering] = None
            top.mounted[top.root] = covering
            covering.parent, covering.mountpoint, covering.stack_bottom = top, top.root, bottom
            bottom.stack_top = stack_top

    def attach_beneath_inside(self, parent: KernelMount, mountpoint: str) -> None:
        """As :meth:`attach_beneath`, before 6.17: what is mounted there ends up on its own root, not on its stack.

        What covered that root already, found by no path now, is found again when the other is gone.
        """
        covering = parent.mounted[mountpoint]
        covering.detach()
        self.attach_to(parent, mountpoint)
        covering.attach_to(self, self.root)

    def detach(self) -> None:
        """Take it, with what is mounted below it, from its mount point: ``unhash_mnt()`` of fs/namespace.c."""
        if self.parent is not None:
            del self.parent.children[self]
            if self.parent.mounted.get(self.mountpoint) is self:
                del self.parent.mounted[self.mountpoint]
                if self.stack_bottom is not None:
                    self.stack_bottom.stack_top = self.parent
                    self._set_stack(None)
                if len(self.parent.children) > len(self.parent.mounted):
                    self.parent._reveal(self.mountpoint)  # noqa: SLF001 (a mount like this one)
        self.parent, self.mountpoint = None, ""

    def _reveal(self, mountpoint: str) -> None:
        """Let what was mounted last, of what no path leads to, be found at a mount point (``m_hash``, until 6.17)."""
        unfound = next((child for child in reversed(self.children) if child.mountpoint == mountpoint), None)
        if unfound is not None:
            self.mounted[mountpoint] = unfound
            if mountpoint == self.root:
                unfound._set_stack(self.stack_bottom or self)  # noqa: SLF001 (a mount like this one)

    def _set_stack(self, bottom: KernelMount | None) -> None:
        """Make it, and what covers it, part of the stack on *bottom*; of a stack of its own if there is none."""
        self.stack_bottom = self.stack_top = None
        mount = self
        while (overmount := mount.overmount) is not None:
            mount = overmount
            mount.stack_bottom = bottom or self
        if bottom is not None:
            self.stack_bottom, bottom.stack_top = bottom, mount
        elif mount is not self:
            self.stack_top = mount

    def join_group(self, group: KernelPeerGroup) -> None:
        """Become shared, and no more unbindable (``set_mnt_shared()``). A group gets the master of its first member."""
        if not group.members:
            group.master = self.master
        self.group = group
        group.members[self] = None
        self.unbindable = False

    def leave_group(self) -> None:
        """Be shared no more; who its slaves belong to is for the caller to say."""
        if self.group is not None:
            del self.group.members[self]
            self.group = None

    def set_master(self, master: KernelPeerGroup | None) -> None:
        """Receive the events of *master* (or of nobody)."""
        if self.master is not None:
            del self.master.slaves[self]
        self.master = master
        if master is not None:
            master.slaves[self] = None


class Path(NamedTuple):
    """struct path: a directory or file, inside one mount."""

    mount: KernelMount
    dentry: str

    @property
    def is_mount_root(self) -> bool:
        """``path_mounted()``: whether it is the root of the mount, as umount and make-* ask for."""
        return self.dentry == self.mount.root


class FsRoot:
    """The root directory of a process (``fs->root``), from where a view was read and paths are looked up."""

    __slots__ = ("dentry", "mount", "namespace", "unplaced", "view")

    def __init__(self, view: View, namespace: MountNamespace, mount: KernelMount, dentry: str) -> None:
        self.view = view
        self.namespace = namespace
        self.mount = mount
        self.dentry = dentry
        self.unplaced: tuple[Mount, ...] = ()
        """Lines of the view's table that cannot be: a repeated mount ID, a parent that contains it nowhere."""

    @property
    def path(self) -> Path:
        """The directory."""
        return Path(self.mount, self.dentry)

    def reachable(self) -> Iterator[tuple[KernelMount, str]]:
        """Every mount that mountinfo shows from here (``is_path_reachable()``), with its path; parents first."""
        if self.mount.namespace is None:
            return  # The process's own root was unmounted: nothing can be reached from it any more.
        if self.dentry == self.mount.root and not self.mount.hidden:
            yield self.mount, "/"
        pending = [(self.mount, "/", self.dentry)]
        while pending:
            mount, path, dentry = pending.pop()
            for child in mount.children:
                if under(child.mountpoint, dentry):
                    at = below(path, relative(child.mountpoint, dentry))
                    yield child, at
                    pending.append((child, at, child.root))
