"""What namespaces keep of the host's filesystems: while the host has them mounted, and when it has given them back.

A copy of a host's mount is known by where it is: mounted on the same place, the same directory of the same filesystem,
as the host's was. It goes with the host's umount where its parent mount receives that, from any of the host's mounts at
that place, and nothing stays that is mounted in it (fs/pnode.c, propagate_umount()). This agrees with what
:mod:`mntscope.analysis.holders` finds by carrying the umounts out, and is quick enough to be asked of every mount of a
machine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import islice

from mntscope.base.paths import below, relative
from mntscope.base.records import dataclass
from mntscope.graph import MountTree, PeerGraph, Place, host_first, path_at
from mntscope.graph.peers import Reach
from mntscope.model import Mount, View

NETWORK = frozenset({
    "9p", "afs", "ceph", "cifs", "fuse", "fuseblk", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "virtiofs",
    "zfs",
})  # fmt: skip
"""Filesystems of a server, a program or a pool that cannot go away while they are mounted; and ``fuse.*``."""

KERNEL = frozenset({
    "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs",
    "functionfs", "fusectl", "hugetlbfs", "mqueue", "nfsd", "proc", "pstore", "ramfs", "resctrl", "rootfs",
    "rpc_pipefs", "securityfs", "selinuxfs", "smackfs", "sysfs", "tracefs",
})  # fmt: skip
"""Filesystems in which the kernel shows itself: nobody waits for one to be free."""

MOST_ALIKE = 64
"""How many mounts are tried for one that shows a directory."""
DEEPEST = 256
"""How many mounts that lie in each other are climbed; what is mounted deeper is taken to stay."""

Filesystem = tuple[str, str]
"""Device, and the root for namespace files, which are all of one device."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """A mount of a namespace that keeps a filesystem of the host's in use."""

    mount: Mount
    host: Mount | None
    """The host's mount at the same place, which it would outlive; ``None`` where it has outlived it."""
    path: str
    """Where the host has, or had, it mounted."""


class Pins:
    """Finds what namespaces keep of the host's; of filesystems whose mounts *count*."""

    def __init__(self, graph: PeerGraph, host: str, *, count: Callable[[Mount], bool] | None = None) -> None:
        self._counts = count or occupies
        self._graph = graph
        self._host = graph.tree(host)
        # What holds the host's "/" is never unmounted.
        self._never = {mount.device for mount in self._host.mounts if mount.mount_point == "/"}
        self._at: defaultdict[Place, list[Mount]] = defaultdict(list)
        """The host's mounts by the place that they are on."""
        self._by_device: defaultdict[str, list[Mount]] = defaultdict(list)
        self._own: set[Filesystem] = set()
        """What the host has mounted, of what somebody is to unmount."""
        for mount in self._host.mounts:
            place = self._host.mounted_on(mount)
            if place is not None:
                self._at[place].append(mount)
            self._by_device[mount.device].append(mount)
            if self._counts(mount):
                self._own.add(filesystem_of(mount))

    def of(self, view: View) -> list[Pinned]:
        """What *view* keeps, each mount before those below it."""
        tree = self._graph.tree(view.label)
        # Most mounts are of filesystems that nobody waits for.
        if not any(self._counts(mount) for mount in view.mounts):
            return []
        return [
            pinned
            for _, mount in tree.walk()
            if self._counts(mount) and mount.device not in self._never and (pinned := self._pinned(tree, mount))
        ]

    def given_back(self) -> Iterator[tuple[View, Pinned]]:
        """What the host does not have mounted any more, and others keep."""
        _, *others = host_first(self._host.view, self._graph.views)
        for first, *_ in others:
            yield from ((first, pinned) for pinned in self.of(first) if pinned.host is None)

    def _pinned(self, tree: MountTree, mount: Mount) -> Pinned | None:
        filesystem = filesystem_of(mount)
        if filesystem not in self._own:
            path = self._was_at(tree, mount)
            return Pinned(mount, None, path) if path is not None else None
        hosts = [each for each in self._hosts_at(tree, mount) if filesystem_of(each) == filesystem]
        if not hosts or self._goes(tree, mount, filesystem):
            return None
        return Pinned(mount, hosts[-1], hosts[-1].mount_point)

    # While the host has it

    @cached_property
    def _turns(self) -> dict[Mount, int]:
        """When the host unmounts each of its mounts, if it unmounts the latest first."""
        last = len(self._host.mounts)
        return {mount: last - number for number, mount in enumerate(self._host.mounts)}

    def _is_found(self, host: Mount, filesystem: Filesystem) -> bool:
        """Whether umount(8) finds one of the host's mounts, when what lies over it of the same filesystem is gone."""
        over = self._host.over(host)
        if over is not None and filesystem_of(over) == filesystem:
            return self._turns[over] < self._turns[host]
        return not self._host.hidden(host)

    def _hosts_at(self, tree: MountTree, mount: Mount) -> list[Mount]:
        place = tree.mounted_on(mount)
        return self._at.get(place, []) if place is not None else []

    def _goes(self, tree: MountTree, mount: Mount, filesystem: Filesystem) -> bool:
        """Whether it goes when the host unmounts all that it has of a filesystem, the latest first.

        Each takes along what is mounted below it; a copy goes if all that is mounted in it goes then, or went before.
        """
        subtree = [mount]
        for outer in subtree:
            subtree += tree.children(outer)
        turns: dict[Mount, int] = {}
        for here in reversed(subtree):
            inside = [child for child in tree.children(here) if not self._slides(tree, mount, child)]
            if any(child not in turns for child in inside):
                continue
            earliest = max((turns[child] for child in inside), default=0)
            taken = (self._turn(tree, here, host, filesystem) for host in self._hosts_at(tree, here))
            turn = min((turn for turn in taken if turn is not None and turn >= earliest), default=None)
            if turn is not None:
                turns[here] = turn
        return mount in turns

    def _slides(self, tree: MountTree, mount: Mount, child: Mount) -> bool:
        """Whether a child lies over the root of *mount*: it slides down onto what that was mounted on."""
        return child.mount_point == mount.mount_point and tree.parent(child) == mount

    def _turn(self, tree: MountTree, mount: Mount, host: Mount, filesystem: Filesystem) -> int | None:
        """When the umount of *host*, a mount of the host at the same place, takes *mount* along, if it does."""
        parent, above = tree.parent(mount), self._host.parent(host)
        if parent is None or above is None or not self._receives(tree, parent, above):
            return None
        # Unmounted for itself, which takes a path to it, or with what it is mounted in.
        if filesystem_of(host) == filesystem:
            return self._turns[host] if self._is_found(host, filesystem) else None
        outer = islice(_outwards(self._host, host), DEEPEST)
        return next((self._turns[each] for each in outer if filesystem_of(each) == filesystem), None)

    def _receives(self, tree: MountTree, mount: Mount, host: Mount) -> bool:
        """Whether *mount* receives the events of the host's mount, or both those of a group that nobody shows."""
        if mount.peer_group is None and mount.master is None:
            return False
        position = self._graph.position(self._graph.number(tree.view.label), mount)
        return any(reach.low <= position < reach.high for reach in self._reaches(host))

    def _reaches(self, host: Mount) -> Iterator[Reach]:
        reach = self._graph.reach(host)
        if reach is not None:
            yield reach
        # A host that is itself a slave is told of umounts: they happen where its master is.
        above = self._graph.master_reach(host)
        if above is not None and host.master is not None and not self._graph.members((host.device, host.master)):
            yield above

    # When the host has given it back

    def _was_at(self, tree: MountTree, mount: Mount) -> str | None:
        """Where the host must have had *mount*, of a filesystem that it does not have mounted.

        ``None`` if nothing speaks for that: it was mounted in its namespace, or given to a container as its own.
        """
        own_root = tree.has_other_root(self._host)
        in_memory = not occupies(mount)
        if self._may_be_its_own(tree, mount) or (in_memory and (own_root or self._hosts_at(tree, mount))):
            return None
        here = mount
        for _ in range(DEEPEST):
            parent, place = tree.parent(here), tree.mounted_on(here)
            if parent is None or place is None or (own_root and parent in tree.roots):
                # A container's root directory is where it is given volumes.
                return None
            seen = self._seen_at(place, here.mount_point)
            if seen is not None:
                host, path = seen
                if self._receives(tree, parent, host) and not self._was_kept(tree, here):
                    return None
                was_at = below(path, relative(mount.mount_point, here.mount_point))
                # Runtimes and services are given filesystems in memory everywhere; what has the host's own path may be
                # the host's.
                return None if in_memory and (was_at != mount.mount_point or place.path == "/") else was_at
            if in_memory:
                return None
            # What it is mounted in the host has given back as well.
            here = parent
        return None

    def _seen_at(self, place: Place, preferred: str) -> tuple[Mount, str] | None:
        """The host's mount that shows a place, and the path there; of several that with the *preferred* path."""
        found = [
            (host, path)
            for host in islice(self._by_device.get(place.device, ()), MOST_ALIKE)
            if (path := path_at(host, place.path)) is not None
        ]
        return next((each for each in found if each[1] == preferred), found[0] if found else None)

    def _was_kept(self, tree: MountTree, mount: Mount) -> bool:
        """Of a mount on one that receives the host's umounts: whether what is in it has kept it from going."""
        if all(child.mount_point == mount.mount_point for child in tree.children(mount)):
            return False
        # A slave has no master any more when that is gone: then a device or a server is all that speaks for it.
        linked = mount.master is not None or mount.peer_group is not None
        return linked or (occupies(mount) and not _is_fuse(mount))

    def _may_be_its_own(self, tree: MountTree, mount: Mount) -> bool:
        """Whether a namespace's users could have mounted it there without being root of the machine."""
        theirs, hosts = tree.view.namespace.user_namespace, self._host.view.namespace.user_namespace
        return _is_fuse(mount) and None not in (theirs, hosts) and theirs != hosts


def occupies(mount: Mount) -> bool:
    """Whether somebody is to unmount it before a device, a server, a pool or a network namespace can go."""
    if mount.fs_type == "nsfs":
        return mount.root.startswith("net:[")
    on_disk = not mount.device.startswith("0:") or mount.source.startswith("/dev/")
    return on_disk or mount.fs_type in NETWORK or mount.fs_type.startswith("fuse.")


def _is_fuse(mount: Mount) -> bool:
    return mount.fs_type == "fuse" or mount.fs_type.startswith("fuse.")


def holds_something(mount: Mount) -> bool:
    """Whether its filesystem has files of somebody's, be it in memory; also true of what :func:`occupies`."""
    return occupies(mount) or (mount.fs_type not in KERNEL and mount.fs_type != "nsfs")


def filesystem_of(mount: Mount) -> Filesystem:
    """What is kept by whoever has it mounted."""
    return mount.device, mount.root if mount.fs_type == "nsfs" else ""


def _outwards(tree: MountTree, mount: Mount) -> Iterator[Mount]:
    """What it is mounted in, what that is mounted in, and so on."""
    here = tree.parent(mount)
    while here is not None:
        yield here
        here = tree.parent(here)
