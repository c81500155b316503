"""What dockerd makes of a container.

Read in moby 25 to 28 (daemon/oci_linux.go, daemon/volumes_linux.go), and compared with what 20.10 has started.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mntscope.analysis.preview.config import Config, ConfigMount
from mntscope.analysis.preview.defaults import (
    DOCKER_MASKED,
    DOCKER_MOUNTS,
    READONLY,
    default_mounts,
)
from mntscope.analysis.preview.manager import (
    Host,
    Prepared,
    beside,
    by_parts,
    configuration,
    first,
    not_shared,
    overlay,
    own_namespaces,
    slug,
)
from mntscope.analysis.preview.steps import Refused, Step
from mntscope.base.paths import normal
from mntscope.base.records import replace
from mntscope.parse.manifests.containers import PROPAGATIONS, ContainerSpec, MountSpec
from mntscope.propagation.operations import MountNew

ROOT = "/var/lib/docker"
"""The daemon's own directory, unless its configuration names another."""


def dockerd(spec: ContainerSpec, label: str, host: Host) -> Prepared:
    """The configuration that it hands to the runtime, and what it mounts before."""
    name = slug(label)
    kept = f"{ROOT}/containers/{name}"
    asked = [_of_docker(mount, number, name, host) for number, mount in enumerate(spec.mounts)]
    files = [
        ConfigMount(f"/etc/{file}", "bind", f"{kept}/{file}", ("rbind", "rprivate"), "dockerd")
        for file in ("resolv.conf", "hostname", "hosts")
    ]
    asked = sorted([*beside(files, asked), *asked], key=by_parts)
    standard = beside(default_mounts(DOCKER_MOUNTS, "dockerd", writable=spec.privileged), asked)
    mounts = tuple(_read_only(mount) if spec.readonly_root else mount for mount in (*standard, *asked))
    rootfs = f"{ROOT}/overlay2/{name}/merged"
    config = configuration(spec, label, rootfs, mounts, "shared", DOCKER_MASKED, READONLY)
    refused = first(_beside_root(mount) or _missing(mount, host) for mount in asked)
    refused = refused or first(
        not_shared(mount, host, "dockerd", quoted=False) for mount in asked if mount.type == "bind"
    )
    return Prepared(config, tuple(_before(spec, name, rootfs, host)), refused, tuple(_doubts(config, name)))


def _before(spec: ContainerSpec, name: str, rootfs: str, host: Host) -> Iterator[Step]:
    here = host.view.label
    yield overlay("dockerd", "Mount", here, rootfs)
    if "network" in own_namespaces(spec):
        device = next((mount.device for mount in host.view.mounts if mount.fs_type == "nsfs"), None)
        kept = MountNew(here, "nsfs", "nsfs", f"/run/docker/netns/{name}", ("rw",), device=device)
        yield Step("dockerd", "createNetworkNamespace", "before", kept)


def _doubts(config: Config, name: str) -> Iterator[str]:
    yield f"directories of the container bear numbers; here they are called {name}"
    for mount in config.mounts:
        if "rro" in mount.options:
            yield (
                f"dockerd before 25 makes {mount.destination} read-only, but not what is mounted below"
                f" {mount.destination}"
            )
    if "/proc/interrupts" in config.masked_paths:
        yield "older versions of dockerd do not mask /proc/interrupts"


def _read_only(mount: ConfigMount) -> ConfigMount:
    """What else is read-only with the root filesystem: all that is not asked for, but for what is written to."""
    writable = mount.destination in ("/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")  # noqa: S108
    if writable or mount.spec is not None or "ro" in mount.options:
        return mount
    return replace(mount, options=(*mount.options, "ro"))


def _is_beside_root(source: str) -> bool:
    """Whether a source holds the daemon's directory, or lies in it (their strings, as validateBindDaemonRoot() has it).

    A container would then keep the root filesystems of others, if it did not receive umounts.
    """
    return source.startswith(ROOT) or ROOT.startswith(source)


def _beside_root(mount: ConfigMount) -> Refused | None:
    """What dockerd says of a type that would keep the root filesystems of other containers."""
    spec = mount.spec
    if spec is None or spec.kind != "bind" or spec.source is None or not _is_beside_root(mount.source):
        return None
    if any(word in mount.options for word in ("rslave", "rshared")):
        return None
    why = 'invalid mount config: must use either propagation mode "rslave" or "rshared" when mount source is within'
    return Refused("dockerd", "validateBindDaemonRoot", f"{why} the daemon root", mount)


def _missing(mount: ConfigMount, host: Host) -> Refused | None:
    """What dockerd says of a source that is not there, if it is not to make a directory of it."""
    if not mount.is_missing(host.files):
        return None
    why = f'invalid mount config for type "bind": bind source path does not exist: {mount.source}'
    return Refused("dockerd", "validateMountConfig", why, mount)


def _of_docker(mount: MountSpec, number: int, name: str, host: Host) -> ConfigMount:
    destination = normal(mount.destination)
    data = tuple(word for word in mount.options if word not in PROPAGATIONS and word not in ("z", "Z", "nocopy"))
    if mount.kind == "filesystem":
        options = _merged(("noexec", "nosuid", "nodev", "rprivate", *data, *(("ro",) if mount.read_only else ())))
        return ConfigMount(destination, "tmpfs", "tmpfs", options, "the file", mount)
    word = PROPAGATIONS.get(mount.propagation or "", "rprivate" if mount.kind == "bind" else "")
    source = host.absolute(mount.source) if mount.source else None
    if source is not None and mount.kind == "bind" and mount.propagation is None and _is_beside_root(source):
        word = "rslave"
    if source is None:
        source = f"{ROOT}/volumes/{slug(mount.volume or f'{name}-{number}')}/_data"
    recursive = "bind" if "bind-nonrecursive" in mount.options or "bind" in mount.options else "rbind"
    read_only = ("rro" if recursive == "rbind" else "ro",) if mount.read_only else ()
    # What a server or a driver has mounted is as it is, but for the volume itself.
    return ConfigMount(
        destination,
        "bind",
        source,
        (recursive, *read_only, *((word,) if word else ())),
        "the file",
        mount,
        created=mount.source is None or mount.source_type == "create_host_path",
    )


def _merged(options: Sequence[str]) -> tuple[str, ...]:
    """Options of which the last of a pair counts: ``noexec`` and then ``exec``."""
    pairs = {"exec": "noexec", "suid": "nosuid", "dev": "nodev", "rw": "ro"}
    kept: dict[str, None] = {}
    for word in options:
        kept.pop(pairs.get(word, ""), None)
        kept[word] = None
    return tuple(kept)
