"""Views taken together: a machine, or what is known of it, at one moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mntscope.base.display import Frame, Framed, Records, Shown, import_later
from mntscope.base.records import dataclass, field, replace
from mntscope.model import Mount, Namespace, Origin, Problem, Skeleton, View
from mntscope.parse import format_mountinfo, parse_mountinfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@dataclass(frozen=True, slots=True)
class Snapshot(Framed, Shown):
    """Every view of one capture. Labels are unique; mount IDs are unique across the views of a namespace set."""

    views: tuple[View, ...]
    host_label: str
    """The label of the view that plays the host."""
    kernel: str | None = None
    """The kernel release (``uname -r``): a prediction is for this kernel."""
    not_seen: tuple[Problem, ...] = ()
    skeleton: Skeleton | None = None
    """What every filesystem holds, where that is known; without it a path is taken to exist."""
    mount_max: int | None = None
    """How many mounts a namespace may have (the sysctl fs.mount-max)."""
    handles: tuple[tuple[str, int], ...] = ()
    """Names of open mount file descriptors (open_tree(2), fsmount(2)) and the mount ID each refers to."""
    boot_id: str | None = None
    """What tells this start of the machine from others (random(4)); ``None`` where not known."""
    kernel_version: str | None = None
    """``uname -v``, which may tell the point release where the release does not."""
    distribution: str | None = None
    """What the host's os-release(5) calls the system: ``Debian GNU/Linux 12 (bookworm)``."""
    origin: Origin = field(default=Origin(), compare=False, repr=False)
    """Whose machine it is, and of when, as far as known. Which start of the machine: :attr:`boot_id`; its mount(8):
    :attr:`Namespace.mount_program <mntscope.model.Namespace.mount_program>` of the host."""

    def __post_init__(self) -> None:
        labels = [view.label for view in self.views]
        if len(set(labels)) != len(labels):
            raise ValueError(f"two views bear one label: {labels}")

    @property
    def host(self) -> View:
        """The view with which others are compared: that of pid 1, as a rule, or what was named in its place."""
        return self.view(self.host_label)

    @property
    def mounts(self) -> Records[Mount]:
        """Every mount of every view, in the order of the views and their tables; ``.frame()`` makes a table of them."""
        return Records((mount for view in self.views for mount in view.mounts), Mount, snapshot=self)

    @property
    def peer_groups(self) -> Records[Any]:
        """Every :class:`~mntscope.graph.PeerGroup` of all views, each before the groups that are its slaves."""
        graph = import_later("graph")
        return Records(graph.PeerGraph.of(self.views).groups.values(), graph.PeerGroup, snapshot=self)

    @property
    def namespaces(self) -> Records[Any]:
        """Every mount namespace once, as ``analysis.namespaces`` has it: the host's, then the worst first."""
        analysis = import_later("analysis.namespaces")
        return Records(analysis.namespaces(self).namespaces, analysis.NamespaceStatus, snapshot=self)

    def view(self, target: str | int) -> View:
        """The view with this label, or of the namespace in which this pid lives, or that reports call so.

        :raises TargetError: there is none, or there are several.
        """
        wanted = str(target)
        for view in self.views:
            if view.label == wanted:
                return view
        if wanted.isdecimal():
            pid = int(wanted)
            for view in self.views:
                if any(process.pid == pid for process in view.namespace.processes):
                    return view
        found: View = import_later("graph.called").view_called(self.views, self.host_label, wanted)
        return found

    def mountinfo(self, label: str | int) -> bytes:
        """The view's table, as the kernel would print it."""
        return format_mountinfo(self.view(label).mounts)

    @classmethod
    def from_mountinfo(
        cls,
        tables: Mapping[str, bytes],
        *,
        user_namespaces: Mapping[str, int] | None = None,
        fs_skeleton: Mapping[str, Iterable[str]] | None = None,
        kernel: str | None = None,
        kernel_version: str | None = None,
    ) -> Snapshot:
        """A snapshot from tables alone, the first label playing the host.

        *user_namespaces* gives the inode of the user namespace that owns each mount namespace; without it
        they are taken to have one owner. *kernel* and *kernel_version* are what ``uname -r`` and ``uname -v`` print; of
        a kernel that is not known, the newest is taken. *fs_skeleton* (``{"dirs": [..], "files": [..]}``) tells what
        every filesystem holds; without it a path is taken to exist.

        :raises ParseError: a table with a line that is not mountinfo.
        :raises ValueError: no table at all.
        """
        if not tables:
            raise ValueError("a snapshot needs at least one table")
        owners = user_namespaces or {}
        views = tuple(
            View(
                label=label,
                mounts=tuple(parse_mountinfo(data, file=label)),
                namespace=Namespace(user_namespace=owners.get(label)),
            )
            for label, data in tables.items()
        )
        skeleton = None
        if fs_skeleton is not None:
            skeleton = Skeleton(frozenset(fs_skeleton.get("dirs", ())), frozenset(fs_skeleton.get("files", ())))
        return cls(
            views=views,
            host_label=views[0].label,
            kernel=kernel,
            skeleton=skeleton,
            kernel_version=kernel_version,
        )

    @classmethod
    def from_frame(cls, frame: Frame) -> Snapshot:
        """The snapshot that *frame*, made by :meth:`frame`, tells of, with the mounts whose rows it still has.

        :raises UsageError: it was not made so, or is of several snapshots.
        """
        snapshot: Snapshot = import_later("frames").snapshot_of(frame)
        return snapshot

    def with_views(self, views: Iterable[View]) -> Snapshot:
        """The same snapshot with these views in place of its own; the host's label must be among theirs."""
        return replace(self, views=tuple(views))
