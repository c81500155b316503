"""What a runtime is given: a config.json of the OCI runtime specification, as far as it is about mounts.

Whoever writes it, each mount in it knows what in the user's file it comes from, if anything.
"""

from __future__ import annotations

from mntscope.analysis.preview.files import Files
from mntscope.base.records import dataclass
from mntscope.parse.manifests.containers import ContainerSpec, IdMapping, MountSpec, Where


@dataclass(frozen=True, slots=True)
class ConfigMount:
    """What is to be mounted where, in the words of a runtime."""

    destination: str
    """In the container; absolute and normal."""
    type: str
    """``bind`` for all binds."""
    source: str
    options: tuple[str, ...] = ()
    by: str = "the file"
    """Who asks for it: ``the file``, ``containerd``, ``dockerd``, ``kubelet``, ``podman``."""
    spec: MountSpec | None = None
    """What in the file it comes from."""
    uids: tuple[IdMapping, ...] = ()
    gids: tuple[IdMapping, ...] = ()
    created: bool = False
    """Whether a directory is made at the source if nothing is there, before the runtime is asked."""

    @property
    def where(self) -> Where | None:
        """The place in the file."""
        return self.spec.where if self.spec is not None else None

    def is_missing(self, files: Files) -> bool:
        """Whether it is a bind that the file asks for, of a source that is known not to be there and is not made."""
        asked = self.type == "bind" and self.by == "the file" and not self.created
        return asked and files.kind(self.source) == "missing"


@dataclass(frozen=True, slots=True)
class Config:
    """One container, for a runtime."""

    spec: ContainerSpec
    label: str
    """What the view of its mount namespace is called in the previewed snapshot: unique in it."""
    rootfs: str
    mounts: tuple[ConfigMount, ...]
    rootfs_propagation: str = ""
    readonly_root: bool = False
    own: frozenset[str] = frozenset()
    """The namespaces it has for itself: ``mount``, ``pid``, ``network``, ``ipc``, ``uts``, ``cgroup``, ``user``."""
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    """Paths of device nodes that are bound from the host where mknod(2) may not make them (user namespaces), beside
    those that every container has."""
