"""Mounts, the groups they are in and the namespaces they belong to: what a world is made of."""

from __future__ import annotations

from collections.abc import Iterator

from mntscope.model import Mount


class Group:
    """A peer group. One without members has them where no view looks (another capture, a detached tree)."""

    __slots__ = ("master", "members", "number", "slaves", "unseen_slaves")

    def __init__(self, number: int) -> None:
        self.number = number
        self.members: dict[Node, None] = {}
        self.slaves: dict[Node, None] = {}
        self.unseen_slaves: dict[Group, None] = {}
        """The slave groups that no view shows."""
        self.master: Group | None = None
        """The group that it receives from, whatever a member from elsewhere may claim. Masters never go round in a
        circle: those of a table are cut open when the world is built, a new group has no slaves, and slaves are only
        ever handed to a group above (:func:`~mntscope.propagation.change_type.hand_over`)."""

    def dominant(self) -> Iterator[Group]:
        """This group, its master, its master's master and so on."""
        group: Group | None = self
        while group is not None:
            yield group
            group = group.master

    def reach(self) -> Iterator[Group]:
        """This group and every group that receives its events, masters before their slaves."""
        pending: list[Group] = [self]
        seen: set[Group] = {self}
        while pending:
            group = pending.pop()
            yield group
            shared = (slave.group for slave in group.slaves if slave.group is not None)
            below_it = [slave for slave in dict.fromkeys((*shared, *group.unseen_slaves)) if slave not in seen]
            seen.update(below_it)
            pending += below_it


class Space:
    """A mount namespace, or (*detached*) a tree that only a descriptor holds."""

    __slots__ = ("detached", "tops", "user_namespace")

    def __init__(self, user_namespace: int | None, *, detached: bool = False) -> None:
        self.user_namespace = user_namespace
        self.detached = detached
        self.tops: dict[Node, None] = {}
        """The mounts without a parent; in a namespace seen from inside, hidden ones."""


class Node:
    """A mount."""

    __slots__ = (
        "bottom",
        "children",
        "group",
        "hidden",
        "lock",
        "master",
        "mount",
        "mounted",
        "options",
        "parent",
        "peak",
        "place",
        "root",
        "space",
        "unbindable",
    )

    def __init__(self, mount: Mount, root: str, space: Space | None, *, hidden: bool = False) -> None:
        self.mount = mount
        """The last record of it; what never changes (ID, device, filesystem) is read from here."""
        self.root = root
        self.space = space
        """``None`` while it is a copy in the making, and once it is unmounted."""
        self.hidden = hidden
        self.parent: Node | None = None
        self.place = ""
        """Where it is mounted: a path in the parent's filesystem."""
        self.children: dict[Node, None] = {}
        self.mounted: dict[str, Node] = {}
        """The child at each place: the kernel has at most one."""
        self.bottom: Node | None = None
        """Of what covers another: the lowest mount of the stack."""
        self.peak: Node | None = None
        """Of the lowest mount of a stack: the topmost."""
        self.group: Group | None = None
        self.master: Group | None = None
        self.options = mount.options
        self.unbindable = mount.unbindable
        self.lock = mount.lock

    @property
    def device(self) -> str:
        """``major:minor`` of its superblock: with a place, the identity of a directory or file."""
        return self.mount.device

    @property
    def over(self) -> Node | None:
        """What is mounted on its root, and so covers it."""
        return self.mounted.get(self.root)

    def top(self) -> Node:
        """The topmost mount of the stack that begins here."""
        return (self.bottom or self).peak or self

    def tree(self) -> Iterator[Node]:
        """It and everything mounted below it, parents first."""
        stack: list[Node] = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children))

    def hang(self, parent: Node, place: str) -> None:
        """Mount it at *place* of *parent*."""
        self.parent, self.place = parent, place
        parent.children[self] = None
        bottom = parent.bottom or parent
        # Where a table claims that mounts cover each other, that is cut before anybody asks.
        if parent.mounted.setdefault(place, self) is self and place == parent.root and bottom is not self:
            self._found_on(bottom)

    def tuck(self, parent: Node, place: str) -> None:
        """Mount it at *place* of *parent*; what is mounted there already ends up on top of it."""
        upper = parent.mounted.get(place)
        if upper is None:
            self.hang(parent, place)
        elif upper.bottom is None:
            upper.unhang()
            self.hang(parent, place)
            top = self.top()
            upper.hang(top, top.root)
        else:
            # In the middle of a stack: what is above stays part of it, and need not be told.
            bottom, peak = upper.bottom, upper.bottom.peak
            upper.bottom = None
            upper.unhang()
            self.hang(parent, place)
            top = self.top()
            top.children[upper] = None
            top.mounted[top.root] = upper
            upper.parent, upper.place, upper.bottom, bottom.peak = top, top.root, bottom, peak

    def unhang(self) -> None:
        """Take it, with what is mounted below it, from its place."""
        if self.parent is not None:
            del self.parent.children[self]
            if self.parent.mounted.get(self.place) is self:
                del self.parent.mounted[self.place]
                if self.bottom is not None:
                    self.bottom.peak = self.parent
                    self._found_on(None)
        self.parent, self.place = None, ""

    def _found_on(self, bottom: Node | None) -> None:
        """Make it, and what covers it, part of the stack on *bottom*; of a stack of its own if there is none."""
        self.bottom = self.peak = None
        node = self
        while (over := node.over) is not None:
            node = over
            node.bottom = bottom or self
        if bottom is not None:
            self.bottom, bottom.peak = bottom, node
        elif node is not self:
            self.peak = node

    def enter_group(self, group: Group) -> None:
        """Become shared; a shared mount is never unbindable. A group gets the master of its first member."""
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

    def obey(self, master: Group | None) -> None:
        """Receive the events of *master* (or of nobody)."""
        if self.master is not None:
            del self.master.slaves[self]
        self.master = master
        if master is not None:
            master.slaves[self] = None
