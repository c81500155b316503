"""Who makes a runtime's configuration of a file, by the kind of the file."""

from __future__ import annotations

from collections.abc import Callable

from mntscope.analysis.preview.config import Config, ConfigMount
from mntscope.analysis.preview.dockerd import dockerd
from mntscope.analysis.preview.kubelet import kubelet
from mntscope.analysis.preview.manager import (
    Host,
    Prepared,
    own_namespaces,
)
from mntscope.analysis.preview.podman import podman
from mntscope.analysis.preview.units import unit
from mntscope.analysis.preview.words import Words
from mntscope.base.paths import normal
from mntscope.parse.manifests.containers import ContainerSpec


def prepare(spec: ContainerSpec, label: str, host: Host) -> Prepared:
    """What the manager of *spec* makes of it; *label* is to be the container's view."""
    managers: dict[str, Callable[[ContainerSpec, str, Host], Prepared]] = {
        "none": _plain,
        "kubelet": kubelet,
        "dockerd": dockerd,
        "podman": podman,
        "systemd": unit,
    }
    return managers[spec.manager](spec, label, host)


def _plain(spec: ContainerSpec, label: str, host: Host) -> Prepared:
    """A bundle's: it is a configuration already."""
    mounts = tuple(
        ConfigMount(
            destination=normal(mount.destination),
            type="bind" if Words.of(mount.options).bind else mount.fs_type,
            source=host.absolute(mount.source) if mount.kind == "bind" and mount.source else mount.source or "",
            options=mount.options,
            spec=mount,
            uids=mount.uids,
            gids=mount.gids,
        )
        for mount in spec.mounts
    )
    config = Config(
        spec=spec,
        label=label,
        rootfs=host.absolute(spec.rootfs or "rootfs"),
        mounts=mounts,
        rootfs_propagation=spec.rootfs_propagation or "",
        readonly_root=spec.readonly_root,
        own=own_namespaces(spec),
        masked_paths=spec.masked_paths or (),
        readonly_paths=spec.readonly_paths or (),
        devices=spec.devices,
    )
    return Prepared(config)
