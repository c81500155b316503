"""The mounts of a snapshot as the graph the kernel keeps: trees, peer groups, masters.

A :class:`World` is built from a :class:`~mntscope.snapshot.Snapshot`, changed in place by the operations of
this package, and turned into a snapshot again. Nothing outside the package sees it.

Three facts shape it:

- A mount sits at a *place* of its parent: a path inside the parent's filesystem, not in any namespace. Paths
  in a namespace are derived. That is why one event lands at another path in each receiver.
- A mount is *shared* when it is in a group; all members of a group have the same master group.
- Some mounts are known to exist although no view shows them. They are ``hidden`` nodes.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from itertools import islice

from mntscope.base.paths import below, relative, under
from mntscope.base.records import replace
from mntscope.errors import MntscopeError
from mntscope.graph import by_namespace
from mntscope.graph.forest import NONE, Forest
from mntscope.model import UNLOCKED, Mount, Namespace, View
from mntscope.propagation.mounts import Group, Node, Space
from mntscope.snapshot import Snapshot

INITIAL_USER_NAMESPACE = 0xEFFFFFFD
"""PROC_USER_INIT_INO, include/linux/proc_ns.h."""

MOST_STEPS = 30_000_000
"""How long one operation is followed. Tables that a kernel wrote take thousands; but n mounts that all receive each
other's events can be made to take n², and to hold n² copies."""

_SEEN = 40
"""How many steps it counts for that a view shows a mount: one table may claim that it sees all of another's."""

_FURTHEST = 256
"""How many masters up ``propagate_from`` is compared with others; the kernel prints it for what is near."""


class Viewpoint:
    """From where a process looks: the mount and the directory that are its root."""

    __slots__ = ("directory", "root", "space", "unplaced", "view")

    def __init__(self, view: View, space: Space, root: Node, directory: str) -> None:
        self.view = view
        self.space = space
        self.root = root
        self.directory = directory
        self.unplaced: tuple[Mount, ...] = ()
        """Lines of the view's table that cannot be: a repeated mount ID, a parent that contains it nowhere."""

    def reach(self) -> Iterator[tuple[Node, str]]:
        """Every mount that can be seen from here, with its path; parents first."""
        if self.root.space is None:
            return  # The process's own root was unmounted: nothing can be reached from it any more.
        if self.directory == self.root.root and not self.root.hidden:
            yield self.root, "/"
        stack = [(self.root, "/", self.directory)]
        while stack:
            node, path, directory = stack.pop()
            for child in node.children:
                if under(child.place, directory):
                    at = below(path, relative(child.place, directory))
                    yield child, at
                    stack.append((child, at, child.root))


class World:
    """Every mount of a snapshot, the viewpoints it was seen from, and what had to be assumed."""

    def __init__(self, snapshot: Snapshot, *, assume_locked: bool = False) -> None:
        self.snapshot = snapshot
        self.viewpoints: dict[str, Viewpoint] = {}
        self.groups: dict[int, Group] = {}
        self.handles: dict[str, Node | None] = {}
        """What open descriptors name; ``None``: a mount that was since unmounted, which nothing can be done with."""
        self.uncertain: dict[str, None] = {}
        """Reasons why the result may differ, each once."""
        self.assume_locked = assume_locked
        """What a mount of unknown lock is taken to be; :attr:`asked_lock` says whether that was ever needed."""
        self.asked_lock: dict[str, None] = {}
        self.removed: list[tuple[Space | None, Node]] = []
        """What was unmounted, and from where."""
        self._steps = 0
        self.altered: dict[Node, None] = {}
        """What an umount has changed without removing it,"""
        self.left: dict[Group, tuple[Iterable[Node], Iterable[Group]]] = {}
        """the groups that it took members from, and the mounts and the unseen groups that received from each,"""
        self.remade = False
        """and whether it has changed a filesystem instead."""
        mounts = [mount for view in snapshot.views for mount in view.mounts]
        self._next_id = 1 + max((max(m.mount_id, m.parent_id) for m in mounts), default=0)
        self._next_minor = 1 + max((int(m.device.partition(":")[2]) for m in mounts), default=0)
        self._next_group = 1
        self._build()

    # Building

    def _build(self) -> None:
        spaces: list[tuple[Space, list[View]]] = []
        for together in by_namespace(self.snapshot.views):
            # The widest first: what the others show is part of it.
            views = sorted(together, key=lambda view: -len(view.mounts))
            space = Space(views[0].namespace.user_namespace, detached=views[0].detached)
            spaces.append((space, views))
        owners = {space.user_namespace for space, _ in spaces}
        by_id: dict[int, Node] = {}
        for space, views in spaces:
            nodes: dict[int, Node] = {}
            tables = [self._add_table(view, space, nodes) for view in views]
            _cut_loops(nodes.values(), space)
            for view, shown in zip(views, tables, strict=True):
                self._look_from(view, shown, space, nodes)
            if len(owners) == 1 or space.user_namespace == INITIAL_USER_NAMESPACE:
                # Locks come with a copy into a namespace of another, less privileged owner.
                for node in nodes.values():
                    if node.lock.locked is None:
                        node.lock = UNLOCKED
            for number, node in nodes.items():
                by_id.setdefault(number, node)
        for name, number in self.snapshot.handles:
            self.handles[name] = by_id.get(number)
        self._link_unseen_masters()
        for group in self.groups.values():
            if group.master is not None and not group.members:
                group.master.unseen_slaves[group] = None

    def _add_table(self, view: View, space: Space, nodes: dict[int, Node]) -> dict[int, Mount]:
        """Add what *view* shows to the *nodes* (by mount ID) that earlier views of its namespace showed."""
        shown: dict[int, Mount] = {}
        for mount in view.mounts:
            shown.setdefault(mount.mount_id, mount)
        new = [mount for number, mount in shown.items() if number not in nodes]
        for mount in new:
            node = nodes[mount.mount_id] = Node(mount, mount.root, space)
            self._join(node, mount)
        for mount in new:
            node = nodes[mount.mount_id]
            parent = nodes.get(mount.parent_id)
            above = shown.get(mount.parent_id)
            if above is not None and parent is not None and parent is not node and _holds(above, mount):
                node.hang(parent, below(parent.root, relative(mount.mount_point, above.mount_point)))
            elif parent is node:
                space.tops[node] = None
            else:
                node.hang(self._hidden(mount.parent_id, space, nodes), mount.mount_point)
        return shown

    def _look_from(self, view: View, shown: dict[int, Mount], space: Space, nodes: dict[int, Node]) -> None:
        root, directory = self._root_of(shown, space, nodes)
        viewpoint = self.viewpoints[view.label] = Viewpoint(view, space, root, directory)
        placed = {node.mount.mount_id for node, _ in viewpoint.reach()}
        self.takes(_SEEN * len(placed))
        if len(placed) < len(view.mounts):
            # Each ID counts once: discarding it makes a second line of the same ID unplaced.
            viewpoint.unplaced = tuple(mount for mount in view.mounts if not _take(placed, mount.mount_id))
            self.uncertain[
                f"{view.label}: {len(viewpoint.unplaced)} of its mounts cannot be where the table says, and are left "
                "as they are"
            ] = None

    def _root_of(self, shown: dict[int, Mount], space: Space, nodes: dict[int, Node]) -> tuple[Node, str]:
        """The root of the process that was read: its ``/`` entry, else the directory all entries lie under."""
        outer = [m for m in shown.values() if m.parent_id not in shown or m.parent_id == m.mount_id]
        for mount in outer:
            if mount.mount_point == "/":
                node = nodes[mount.mount_id]
                return node, node.root
        if not outer:
            nothing = self._hidden(0, space, nodes)
            return nothing, nothing.root
        child = nodes[outer[0].mount_id]
        parent = child.parent or self._hidden(outer[0].parent_id, space, nodes)
        return parent, child.place.removesuffix(outer[0].mount_point) or "/"

    def _hidden(self, number: int, space: Space, nodes: dict[int, Node]) -> Node:
        """The mount of this ID, which no view shows; its places are named by the paths of the view."""
        if number not in nodes:
            unseen = Mount(number, number, f"0:{number}", "/", "/", (), "", "", ())
            nodes[number] = Node(unseen, "/", space, hidden=True)
            space.tops[nodes[number]] = None
        return nodes[number]

    def _join(self, node: Node, mount: Mount) -> None:
        if mount.peer_group is not None:
            unbindable = node.unbindable
            node.enter_group(self.group(mount.peer_group))
            node.unbindable = unbindable
        if mount.master is not None:
            node.obey(self.group(mount.master))
            if node.group is not None and node.group.master is None:
                node.group.master = node.master

    def _link_unseen_masters(self) -> None:
        """A group that no view shows is still known to be below another where ``propagate_from`` says so."""
        mounts = (mount for view in self.snapshot.views for mount in view.mounts)
        claims = {(m.master, m.propagate_from) for m in mounts if m.master and m.propagate_from}
        further: list[tuple[Group, Group]] = []
        for below_, above in sorted(claims):
            group, dominant = self.group(below_), self.group(above)
            if not group.members:
                if group.master is None:
                    group.master = dominant
                else:
                    further.append((group, dominant))
        self._break_master_cycles()
        for group, dominant in further:
            chain = list(islice(dominant.dominant(), _FURTHEST))
            # Of several dominant groups, each the nearest that one namespace shows, the lowest is the nearest.
            if group.master in chain and group not in chain and chain[-1].master is None:
                group.master = dominant

    def _break_master_cycles(self) -> None:
        """A table may claim that groups are each other's masters; no kernel says so, and walks must end."""
        groups = list(self.groups.values())
        number = {group: index for index, group in enumerate(groups)}
        above = [NONE if group.master is None else number[group.master] for group in groups]
        for group, over in zip(groups, Forest(above).above, strict=True):
            if over == NONE:
                group.master = None

    def group(self, number: int) -> Group:
        """The group of this number, made if it does not exist."""
        group = self.groups.get(number)
        if group is None:
            group = self.groups[number] = Group(number)
        return group

    # Making

    def new_group(self) -> Group:
        """A group of its own; the kernel gives it the lowest free number."""
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

    # Asking

    def takes(self, steps: int = 1) -> None:
        """Note that what is done takes so many steps more.

        :raises MntscopeError: it has taken too many.
        """
        self._steps += steps
        if self._steps > MOST_STEPS:
            hint = "ask for one mount at a time, or give a snapshot with fewer namespaces"
            raise MntscopeError("too many mounts receive each other's events for a prediction", hint=hint)

    def is_locked(self, node: Node) -> bool:
        """MNT_LOCKED, which the kernel shows to nobody: known from history, or assumed and noted."""
        if node.lock.locked is not None:
            return node.lock.locked
        self._ask_lock(node)
        return self.assume_locked

    def is_flag_locked(self, node: Node, flag: str) -> bool:
        """Whether the option can no longer be cleared."""
        if node.lock.flags is not None:
            return flag in node.lock.flags
        self._ask_lock(node)
        return self.assume_locked

    def _ask_lock(self, node: Node) -> None:
        self.asked_lock[
            f"whether mount {node.mount.mount_id} ({node.mount.mount_point}) is locked cannot be read: "
            "it depends on how the namespace's user namespace came by it"
        ] = None

    def doubt_unseen_members(self, group: Group) -> None:
        """Note that the result holds only if *group* has no member left, where there is something unseen."""
        if self.snapshot.not_seen:
            self.uncertain[
                f"whether peer group {group.number} has members left cannot be told, since not everything was seen: "
                + "; ".join(str(problem) for problem in self.snapshot.not_seen[:3])
            ] = None

    def kernel_since(self, major: int, minor: int) -> bool:
        """Whether the kernel is this one or later; one that is not known is taken to be."""
        release = re.match(r"(\d{1,4})\.(\d{1,4})", self.snapshot.kernel or "")
        return release is None or (int(release[1]), int(release[2])) >= (major, minor)

    def pinned(self, node: Node) -> bool:
        """Whether something is known to keep it busy: the root of a process, or a descriptor of a tree."""
        return any(v.root is node for v in self.viewpoints.values()) or any(
            held is node for held in self.handles.values()
        )

    # Showing

    def as_snapshot(self) -> Snapshot:
        """The snapshot of this world; views in which nothing changed stay the same objects."""
        views = tuple(self._view(viewpoint) for viewpoint in self.viewpoints.values())
        handles = tuple(
            (name, node.mount.mount_id if node is not None and node.space is not None else 0)
            for name, node in self.handles.items()
        )
        return replace(self.snapshot, views=views, handles=handles)

    def _view(self, viewpoint: Viewpoint) -> View:
        mounts = self._mounts(viewpoint)
        before = viewpoint.view.mounts
        if len(mounts) == len(before) and all(new is old for new, old in zip(mounts, before, strict=True)):
            return viewpoint.view
        return replace(viewpoint.view, mounts=mounts)

    def _mounts(self, viewpoint: Viewpoint) -> tuple[Mount, ...]:
        """What mountinfo would show from here, in its order (that of creation)."""
        found = list(viewpoint.reach())
        self.takes(_SEEN * len(found))
        groups = {node.group for node, _ in found}
        passed: dict[Group, Group | None] = {}
        shown = [self.record(node, path, groups, passed) for node, path in found]
        shown += viewpoint.unplaced
        order = {mount.mount_id: index for index, mount in enumerate(viewpoint.view.mounts)}
        shown.sort(key=lambda mount: (order.get(mount.mount_id, len(order)), mount.mount_id))
        return tuple(shown)

    def record(self, node: Node, path: str, shown: Container[Group | None], passed: dict[Group, Group | None]) -> Mount:
        """Its line, if it is seen at *path*, from where members of the groups *shown* are seen.

        *passed* is for the next to ask there: how far up there is nothing that is shown. It holds as long as mounts
        only go.
        """
        # fs/pnode.c, get_dominating_id(): the nearest one with a member in this namespace, below this root.
        walked: list[Group] = []
        dominant = node.master
        while dominant is not None and dominant not in shown:
            walked.append(dominant)
            dominant = passed.get(dominant, dominant.master)
        self.takes(len(walked))
        passed.update(dict.fromkeys(walked, dominant))
        mount = replace(
            node.mount,
            parent_id=(node.parent or node).mount.mount_id,
            root=node.root,
            mount_point=path,
            options=node.options,
            peer_group=node.group.number if node.group is not None else None,
            master=node.master.number if node.master is not None else None,
            propagate_from=dominant.number if dominant is not None and dominant is not node.master else None,
            unbindable=node.unbindable,
            lock=node.lock,
        )
        if mount == node.mount and mount.lock == node.mount.lock:
            return node.mount
        return mount

    def add_viewpoint(self, label: str, space: Space, root: Node, directory: str, namespace: Namespace) -> None:
        """A process that looks from here; its view is filled in when the snapshot is taken."""
        view = View(label=label, mounts=(), namespace=namespace, detached=space.detached)
        self.viewpoints[label] = Viewpoint(view, space, root, directory)


def _take(numbers: set[int], number: int) -> bool:
    """Whether *number* was among them; it no longer is."""
    if number not in numbers:
        return False
    numbers.remove(number)
    return True


def _holds(above: Mount, mount: Mount) -> bool:
    return under(mount.mount_point, above.mount_point)


def _cut_loops(nodes: Iterable[Node], space: Space) -> None:
    """A table may claim that mounts are each other's parents; no kernel says so, and walks must end."""
    reached = {node for top in space.tops for node in top.tree()}
    for node in nodes:
        if node not in reached:
            node.unhang()
            space.tops[node] = None
            reached.update(node.tree())
