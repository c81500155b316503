"""What kubelet with containerd, dockerd and podman have in common: what they make of a file before a runtime is asked.

Each adds mounts of its own, words for what is not said, and checks of its own that no runtime makes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from mntscope.analysis.preview.config import Config, ConfigMount
from mntscope.analysis.preview.files import Files
from mntscope.analysis.preview.steps import Refused, Step
from mntscope.base.paths import below, normal, under
from mntscope.base.records import dataclass
from mntscope.graph import MountTree
from mntscope.model import Mount, View
from mntscope.parse.manifests.containers import PROPAGATIONS, ContainerSpec
from mntscope.propagation.operations import MountNew

KINDS = ("mount", "pid", "network", "ipc", "uts", "cgroup")


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a manager hands to a runtime, and what it has done on the host before."""

    config: Config
    before: tuple[Step, ...] = ()
    refused: Refused | None = None
    """It does not ask the runtime at all."""
    doubts: tuple[str, ...] = ()


class Host:
    """The host as a manager sees it; *directory* is where relative paths of the file begin."""

    def __init__(self, view: View, files: Files, directory: str) -> None:
        self.view = view
        self.files = files
        self.directory = directory

    @cached_property
    def _tree(self) -> MountTree:
        return MountTree.of(self.view)

    def containing(self, path: str) -> Mount | None:
        """The mount that contains *path*, its symbolic links followed."""
        return self._tree.containing(self.files.real(path))

    def absolute(self, path: str) -> str:
        """A path of a file as it is meant."""
        return absolute(path, self.directory)


def absolute(path: str, directory: str) -> str:
    """A path of a file that lies in *directory*."""
    return normal(path) if path.startswith("/") else normal(below(directory, f"/{path}"))


def own_namespaces(spec: ContainerSpec) -> frozenset[str]:
    """Those that a container has for itself."""
    own = frozenset(KINDS) - spec.host_namespaces - {kind for kind, _ in spec.joined_namespaces}
    return own | {"user"} if spec.user_namespace is not None else own


def slug(label: str) -> str:
    """A name for directories whose real ones bear numbers that are made up when the container is created."""
    return re.sub(r"[^\w.-]+", "-", label).strip("-") or "container"


def by_parts(mount: ConfigMount) -> int:
    """Outer mounts first: how containerd and dockerd sort."""
    return normal(mount.destination).count("/")


def beside(standard: Iterable[ConfigMount], asked: Sequence[ConfigMount]) -> Iterator[ConfigMount]:
    """The standard mounts, but those that are asked for otherwise, and all below /dev if that is."""
    taken = {mount.destination for mount in asked}
    for mount in standard:
        if mount.destination not in taken and not ("/dev" in taken and under(mount.destination, "/dev")):
            yield mount


def overlay(by: str, function: str, host: str, rootfs: str) -> Step:
    """The root filesystem of an image."""
    return Step(by, function, "before", MountNew(host, "overlay", "overlay", rootfs, ("rw", "relatime")))


def not_shared(mount: ConfigMount, host: Host, by: str, *, quoted: bool) -> Refused | None:
    """What containerd and dockerd say where a mount is to receive or to send, and its source cannot."""
    word = next((word for word in mount.options if word in PROPAGATIONS), "rprivate")
    shared, slave = word.endswith("shared"), word.endswith("slave")
    if not (shared or slave):
        return None
    source = host.files.real(mount.source)
    containing = host.containing(source)
    if containing is None or containing.peer_group is not None or (slave and containing.master is not None):
        return None
    path, point = (f'"{text}"' if quoted else text for text in (source, containing.mount_point))
    kind = "shared" if shared else "shared or slave"
    function = "ensureShared" if shared else "ensureSharedOrSlave"
    return Refused(by, function, f"path {path} is mounted on {point} but it is not a {kind} mount", mount)


def _root_word(mounts: Iterable[ConfigMount], shared: str) -> str:
    """The type of ``/`` that volumes ask for: *shared* where one is shared, else rslave where one is a slave."""
    words = {word for mount in mounts for word in mount.options if word in PROPAGATIONS}
    if any(word.endswith("shared") for word in words):
        return shared
    return "rslave" if any(word.endswith("slave") for word in words) else ""


def first(found: Iterable[Refused | None]) -> Refused | None:
    """Of all that would be said, what is said."""
    return next((each for each in found if each is not None), None)


def configuration(
    spec: ContainerSpec,
    label: str,
    rootfs: str,
    mounts: tuple[ConfigMount, ...],
    shared: str,
    masked: tuple[str, ...],
    readonly: tuple[str, ...],
) -> Config:
    """What all managers of images have in common; *shared* is their word for ``/`` where a volume is shared."""
    return Config(
        spec=spec,
        label=label,
        rootfs=rootfs,
        mounts=mounts,
        rootfs_propagation=_root_word(mounts, shared),
        readonly_root=spec.readonly_root,
        own=own_namespaces(spec),
        masked_paths=() if spec.privileged else masked if spec.masked_paths is None else spec.masked_paths,
        readonly_paths=() if spec.privileged else readonly if spec.readonly_paths is None else spec.readonly_paths,
        devices=spec.devices,
    )
