"""Which paths somebody should look at before containers are previewed, so that less has to be assumed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mntscope.analysis.preview import units
from mntscope.analysis.preview.defaults import MASKED, PODMAN_MASKED, PODMAN_READONLY, READONLY
from mntscope.analysis.preview.manager import absolute
from mntscope.analysis.preview.steps import KERNEL
from mntscope.base.paths import below, normal, relative, under
from mntscope.parse.manifests.containers import ContainerSpec

MOST = 2000


def of_host(spec: ContainerSpec, directory: str) -> Iterator[str]:
    """Paths of the host: the sources, what of them would be masked, and what there is of /proc and /sys."""
    yield from KERNEL
    if spec.manager == "systemd":
        yield from units.paths(spec)
    special = [*special_paths(spec)]
    yield from (path for path in special if path.startswith(("/proc/", "/sys/")))
    for mount in spec.mounts[:MOST]:
        if mount.kind == "bind" and mount.source:
            source = absolute(mount.source, directory)
            yield source
            destination = normal(mount.destination)
            yield from (below(source, relative(path, destination)) for path in special if under(path, destination))


def of_rootfs(spec: ContainerSpec) -> Iterator[str]:
    """Paths in its root filesystem."""
    yield from (mount.destination for mount in spec.mounts[:MOST])
    yield from special_paths(spec)


def special_paths(spec: ContainerSpec) -> Iterable[str]:
    """Those that may be masked, or made read-only."""
    own = spec.masked_paths, spec.readonly_paths
    if spec.manager == "none":
        return [path for paths in own for path in paths or ()]
    usual = (*MASKED, *READONLY, *PODMAN_MASKED, *PODMAN_READONLY)
    return dict.fromkeys((*usual, *(path for paths in own for path in paths or ())))
