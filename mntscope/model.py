"""What mntscope speaks of: mounts, the views that show them, and the namespaces they belong to.

Everything here is a frozen record without I/O. Text is :class:`str` with ``surrogateescape``, so a path
that is not UTF-8 survives (``os.fsencode`` gives its bytes back). The words are those of
mount_namespaces(7) and proc_pid_mountinfo(5).
"""

from __future__ import annotations

import re

from mntscope.base.display import Framed, Shown
from mntscope.base.records import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

Propagation: TypeAlias = "Literal['shared', 'slave', 'shared,slave', 'private', 'unbindable']"


@dataclass(frozen=True, slots=True)
class Lock:
    """What a mount namespace owned by a less privileged user namespace may not undo (mount_namespaces(7)).

    No system call reads it: it is known only where it follows from the history.
    """

    locked: bool | None = None
    """MNT_LOCKED: the mount cannot be unmounted or moved on its own; ``None`` where not known."""
    flags: frozenset[str] | None = None
    """The options that cannot be cleared (``ro``, ``nosuid``, ``nodev``, ``noexec``, ``atime``), if known."""
    likely: bool = False
    """Whether it is likely to be locked, where that is not known: it looks like a copy made with its namespace."""


UNLOCKED = Lock(locked=False, flags=frozenset())


@dataclass(frozen=True, slots=True)
class Mount(Shown):
    """One mount, as one line of mountinfo shows it (field numbers as in proc_pid_mountinfo(5))."""

    mount_id: int
    """(1) Reused by the kernel: means something only with its namespace and the moment of capture."""
    parent_id: int
    """(2) The parent mount's ID; may name a mount that the view does not show, or the mount itself."""
    device: str
    """(3) ``major:minor`` of the superblock."""
    root: str
    """(4) Which directory or file of the filesystem is mounted; not always a path (``mnt:[4026532568]``)."""
    mount_point: str
    """(5) Where, relative to the root directory of the process through which the view was read."""
    options: tuple[str, ...]
    """(6) Options of the mount, as printed."""
    fs_type: str
    """(9) ``proc``, ``ext4``, ``fuse.sshfs``."""
    source: str
    """(10) What was mounted; may be empty."""
    super_options: tuple[str, ...]
    """(11) Options of the superblock, as printed: each filesystem escapes them its own way."""
    peer_group: int | None = None
    """(7) ``shared:N``: the peer group the mount is a member of."""
    master: int | None = None
    """(7) ``master:N``: the peer group the mount receives events from."""
    propagate_from: int | None = None
    """(7) ``propagate_from:N``: the nearest dominant peer group that the reader's root can reach."""
    unbindable: bool = False
    """(7) ``unbindable``."""
    unknown_tags: tuple[str, ...] = ()
    """(7) Optional fields of kernels to come, as printed."""
    spelling: bytes | None = field(default=None, compare=False, repr=False)
    """The line as it was written, where the kernel would write this mount differently; ``None`` otherwise."""
    lock: Lock = field(default=Lock(), compare=False, repr=False)
    """Its lock, as far as known: not at all when read from a kernel."""

    def __hash__(self) -> int:
        # Of mounts that differ, few agree in these; all that is compared would take ten times as long.
        return hash((self.mount_id, self.mount_point, self.peer_group))

    @property
    def propagation(self) -> Propagation:
        """The propagation type, derived from the facts; ``shared,slave`` is legal (mount_namespaces(7))."""
        if self.peer_group is not None:
            return "shared" if self.master is None else "shared,slave"
        if self.master is not None:
            return "slave"
        return "unbindable" if self.unbindable else "private"


@dataclass(frozen=True, slots=True)
class Process:
    """A process, identified by pid *and* start time: a pid alone is reused."""

    pid: int
    start_time: int | None = None
    """Field 22 of /proc/PID/stat, in clock ticks since boot."""
    comm: str = ""
    root: str = "/"
    """Where /proc/PID/root pointed to, as the reader saw it; empty where it could not be read."""
    pid_namespace: int | None = None
    user_namespace: int | None = None
    """The user namespace of the process itself (not necessarily the owner of its mount namespace)."""
    cgroup: str = ""
    """The text of /proc/PID/cgroup."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom a mount namespace belongs to: a container, a unit of systemd, a sandboxed application, or a process."""

    kind: str
    """The runtime (``docker``, ``podman``, ``containerd``, ``cri-o``, ``runc``, ``lxc``, ``nspawn``, ``snap``,
    ``flatpak``, ``bwrap`` ..), ``conmon`` for what watches a container of podman's or cri-o's and bears its name,
    ``unit``, or ``process`` where no more than a command's name is known."""
    name: str
    """What people call it; of a container without a name, its id."""
    id: str = ""
    """The container's id, in full."""
    pod: str = ""
    """The uid of the Kubernetes pod it is part of."""

    @property
    def known(self) -> bool:
        """Whether it is more than the name of a command."""
        return self.kind != "process"

    def __str__(self) -> str:
        # 64 digits are an id, of which tools show 12.
        name = self.name[:12] if re.fullmatch("[0-9a-f]{64}", self.name) else self.name
        return name if self.kind in ("unit", "") else f"{self.kind} {name}"


@dataclass(frozen=True, slots=True)
class Hold:
    """What keeps a mount namespace alive beside the processes that live in it."""

    kind: Literal["thread", "mount", "fd"]
    """A thread that lives in another namespace than its process; a bind mount of the namespace's file; a descriptor."""
    where: str
    """``4712`` (the thread's id), ``/run/snapd/ns/foo.mnt`` (the mount point), ``/proc/4711/fd/7``."""
    label: str = ""
    """Of a mount: the view that shows it."""
    process: Process | None = None
    """Whose thread or descriptor it is."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """A mount namespace. What could not be read is ``None``."""

    inode: int | None = None
    """As in ``mnt:[4026531832]``; reused after the namespace is gone."""
    id: int | None = None
    """The 64-bit id of kernels since 6.11 (ioctl NS_GET_MNTNS_ID): never reused within a boot."""
    user_namespace: int | None = None
    """Inode of the user namespace that owns it."""
    processes: tuple[Process, ...] = ()
    owner: Owner | None = None
    """Whom it belongs to; ``None`` if unknown."""
    holds: tuple[Hold, ...] = ()
    """What keeps it alive beside its processes, as far as it was looked for: not in a namespace that has processes,
    threads excepted."""
    mount_program: str | None = None
    """Which mount(8) its processes find, as that claims: ``util-linux 2.41``, ``BusyBox 1.35.0``."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that could not be seen or read, to be shown in every report: *what*, *where*, and why."""

    what: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose machine a snapshot is of, and of when. What is not known is ``None``.

    It says nothing of the mounts: two snapshots that differ in nothing else are equal.
    """

    host_name: str | None = None
    """``uname -n`` of pid 1, as a rule."""
    machine_id: str | None = None
    """32 digits, derived from machine-id(5): the same in all snapshots of a machine, whatever it is called."""
    time: int | None = None
    """When the mounts had been read: seconds since 1970 in UTC, by the machine's own clock."""
    mntscope: str | None = None
    """The version of mntscope that read them."""


@dataclass(frozen=True, slots=True)
class View(Framed, Shown):
    """The mounts of one namespace, as one process (or file) shows them, in the order of the table."""

    label: str
    """How commands and reports name it: ``host``, ``4711``, ``A``."""
    mounts: tuple[Mount, ...]
    namespace: Namespace = Namespace()
    process: Process | None = None
    """The process through which it was read."""
    proc_pid_namespace: int | None = None
    """Inode of the PID namespace whose processes the topmost mount at /proc shows; ``None`` where there is no
    proc, or it cannot be told. (Not the device: since Linux 5.8 every proc mount is its own superblock.)"""
    detached: bool = False
    """A tree in no namespace, held by a file descriptor (open_tree(2), fsmount(2))."""
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Skeleton:
    """The directories and files that every filesystem is known to hold, relative to its root, without ``/``."""

    dirs: frozenset[str]
    files: frozenset[str]
