"""What a file says of the containers it starts, whichever language it is in.

The readers of this package make these records of bytes; :mod:`mntscope.analysis.preview` plays them on a snapshot.
A reader says what is *written*, with the place where it is, and nothing that is not: ``None`` means that the file
leaves it to whoever reads it (the runtime, dockerd, kubelet), whose defaults are part of a profile in ``analysis``.

Paths are as they are written. A relative one, of a rootfs or a source, begins at the directory of the file.
"""

from __future__ import annotations

from typing import Literal

from mntscope.base.records import NamedTuple, dataclass

Kind = Literal["oci", "kubernetes", "compose", "docker-run", "podman-run", "quadlet", "systemd"]
"""The language: what an OCI bundle's config.json is in, what ``kubectl apply`` and ``docker compose`` take, a command
line of ``docker run`` or ``podman run``, a ``.container`` file of podman-systemd.unit(5), a unit of systemd.exec(5)."""

Manager = Literal["none", "kubelet", "dockerd", "podman", "systemd"]
"""Who makes a runtime's configuration of it. ``kubelet`` asks containerd through the CRI."""

MANAGERS: dict[Kind, Manager] = {
    "oci": "none",
    "kubernetes": "kubelet",
    "compose": "dockerd",
    "docker-run": "dockerd",
    "podman-run": "podman",
    "quadlet": "podman",
    "systemd": "systemd",
}

PROPAGATIONS: dict[str, str] = {
    **{word: word for word in ("private", "rprivate", "slave", "rslave", "shared", "rshared")},
    **{word: word for word in ("unbindable", "runbindable")},
    "None": "rprivate",
    "HostToContainer": "rslave",
    "Bidirectional": "rshared",
}
"""The words for a propagation type in all these languages, as mount(8) has them: ``r`` for a whole tree. The three of
Kubernetes are those of its API (MountPropagationMode)."""

MountKind = Literal["bind", "volume", "empty-dir", "claim", "files", "image", "filesystem"]
"""What is mounted: a path of the host; a volume that the manager keeps (docker's and podman's, with or without a
name); a directory of the pod; a volume of whom only a driver knows where it is (claims, CSI, NFS); a few files that
kubelet writes (configMap, secret, downwardAPI, projected; compose's configs and secrets); an image; a new filesystem
(``fs_type``)."""


class Where(NamedTuple):
    """A place in a file. Line and column count from 1, the column in characters."""

    file: str
    """As the user named it; ``-`` for standard input, ``command line`` for one."""
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class IdMapping(NamedTuple):
    """A range of ids (user_namespaces(7)): *size* of them, which begin with *inside* there and *outside* here."""

    inside: int
    outside: int
    size: int


@dataclass(frozen=True, slots=True)
class UserNamespace:
    """A user namespace of the container's own. Without mappings: the manager chooses them (``hostUsers: false``)."""

    uids: tuple[IdMapping, ...] = ()
    gids: tuple[IdMapping, ...] = ()
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class MountSpec:
    """One mount that a file asks for, in the order of the file: a volumeMount, an entry of ``mounts``, a ``-v``."""

    destination: str
    """Where in the container."""
    where: Where
    """Of the entry: what begins the item of a list (``{``, or the key after ``- ``), or the argument."""
    kind: MountKind = "bind"
    source: str | None = None
    """The path on the host, of ``bind``; what a ``volume`` is made of, where it says so (``device`` of the driver
    ``local``); what the source of a ``filesystem`` is called. ``None``: only the manager knows where it is, or a
    variable does, of which a remark tells."""
    volume: str = ""
    """The name of the volume, where it has one: containers of one :attr:`ContainerSpec.group` that name the same
    share it."""
    fs_type: str = ""
    """Of ``filesystem``: ``tmpfs``, ``proc``, ``sysfs`` .. Of ``empty-dir``: ``tmpfs``, if it is in memory."""
    options: tuple[str, ...] = ()
    """As they are written, words of the language's own among them (``z``, ``rro``, ``idmap``); propagation types too,
    where they stand among the options: all of them, in their order."""
    propagation: str | None = None
    """The word as it is written (:data:`PROPAGATIONS`), the last of several; ``None``: nothing is said."""
    propagation_where: Where | None = None
    """Of that word."""
    source_where: Where | None = None
    """Of the path on the host; in Kubernetes far from the entry (``volumes[].hostPath.path``)."""
    read_only: bool = False
    """``ro`` and its like, for the one mount."""
    read_only_recursive: bool = False
    """For what is mounted below it as well: ``rro``, ``recursiveReadOnly: Enabled``."""
    sub_path: str = ""
    """The part of a volume that is mounted (``subPath``, ``volume-subpath``)."""
    sub_path_expression: bool = False
    """Whether :attr:`sub_path` has variables in it (``subPathExpr``)."""
    source_type: str = ""
    """What has to be at the source, and is made there if need be: a ``hostPath``'s ``type`` (``DirectoryOrCreate``,
    ``File`` ..), ``create_host_path`` (compose, and ``docker run -v``), ``optional`` for systemd's ``-``."""
    uids: tuple[IdMapping, ...] = ()
    gids: tuple[IdMapping, ...] = ()
    """Of an idmapped mount; ``idmap`` among the options without these: those of the user namespace."""


class Word(NamedTuple):
    """One of a list, without its quotes and specifiers, and where it stands."""

    text: str
    where: Where


@dataclass(frozen=True, slots=True)
class Setting:
    """One assignment in a unit of systemd, in the order of the unit: ``ProtectSystem=strict``."""

    name: str
    value: str
    where: Where
    words: tuple[Word, ...] = ()
    """Of a list of paths or directories: those that it names, as far as they are known without the machine."""


Role = Literal["main", "init", "sidecar", "ephemeral"]
"""In a pod: one that is meant, one that runs before those and ends, one that goes on beside them, one that is added
later."""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container, or one unit of systemd, that a file starts."""

    name: str
    """What people call it: the container's name in the pod, the service, the unit, the bundle's directory."""
    kind: Kind
    where: Where
    """Where it begins."""
    group: str = ""
    """What it is started with, where that shares volumes: ``DaemonSet kube-system/csi-node``, the compose project."""
    role: Role = "main"
    mounts: tuple[MountSpec, ...] = ()
    rootfs: str | None = None
    """The path of the root filesystem, of ``oci``, and of ``--rootfs``; of an image it is the manager's secret."""
    rootfs_propagation: str | None = None
    rootfs_propagation_where: Where | None = None
    readonly_root: bool = False
    writable: tuple[str, ...] = ()
    """Where the manager mounts a tmpfs, so that it can be written to although the root filesystem cannot."""
    privileged: bool = False
    sys_admin: bool = False
    """Whether it has CAP_SYS_ADMIN, as mount(2) asks: always if it is privileged."""
    host_namespaces: frozenset[str] = frozenset()
    """Which namespaces it has of the host: ``mount``, ``pid``, ``network``, ``ipc``, ``uts``, ``cgroup``, ``user``.
    Those of which the file says so, or in OCI's case does not name; ``user`` only where it is asked for."""
    joined_namespaces: tuple[tuple[str, str], ...] = ()
    """Which it enters instead of having its own: the kind, and whose (a path, ``container:web``)."""
    no_network: bool = False
    """Whether it is to have a network namespace with nothing in it."""
    user_namespace: UserNamespace | None = None
    """``None``: the host's."""
    terminal: bool = False
    """Whether it has a terminal, which runtimes mount at /dev/console."""
    devices: tuple[str, ...] = ()
    """Paths of device nodes that it is to have beside those that all have."""
    masked_paths: tuple[str, ...] | None = None
    readonly_paths: tuple[str, ...] | None = None
    """``None``: those of the manager; none at all if it is privileged."""
    service_account_token: bool = False
    """Whether kubelet mounts the token of a service account."""
    settings: tuple[Setting, ...] = ()
    """Of ``systemd``: all of the ``[Service]`` section (and its like) that changes mounts, and is not in
    :attr:`mounts`."""

    @property
    def manager(self) -> Manager:
        """Who makes a runtime's configuration of it."""
        return MANAGERS[self.kind]


@dataclass(frozen=True, slots=True)
class Remark:
    """What a reader could not take as it is written, in one line, and where."""

    what: str
    where: Where
    kind: Literal["error", "left-out", "uncertain"] = "left-out"
    """``error``: the file is wrong there, and whoever runs it would refuse or misunderstand it. ``left-out``: it may be
    right, and is not read: a kind that starts no container. ``uncertain``: it is read, and may mean something else
    where it is run: a variable."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that a file asks for."""

    containers: tuple[ContainerSpec, ...]
    remarks: tuple[Remark, ...] = ()
