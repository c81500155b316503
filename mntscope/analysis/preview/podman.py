"""What podman makes of a container.

Read in podman 4.3 to 5.8 (pkg/specgen/generate, libpod/container_internal_linux.go), and compared with containers that
4.3 has started.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from mntscope.analysis.preview.config import Config, ConfigMount
from mntscope.analysis.preview.defaults import (
    PODMAN_MASKED,
    PODMAN_READONLY,
    STANDARD_MOUNTS,
    cgroup,
    default_mounts,
)
from mntscope.analysis.preview.manager import (
    Host,
    Prepared,
    beside,
    by_parts,
    configuration,
    first,
    overlay,
    own_namespaces,
    slug,
)
from mntscope.analysis.preview.steps import KERNEL, Refused, Step
from mntscope.base.paths import normal
from mntscope.parse.manifests.containers import PROPAGATIONS, ContainerSpec, MountSpec
from mntscope.propagation.operations import Bind, MountNew, SetPropagation

STORAGE = "/var/lib/containers/storage"


def podman(spec: ContainerSpec, label: str, host: Host) -> Prepared:
    """The configuration that it hands to the runtime, and what it mounts before."""
    name = slug(label)
    kept = f"{STORAGE}/overlay-containers/{name}/userdata"
    asked = [_of_podman(mount, number, name, host) for number, mount in enumerate(spec.mounts)]
    mode = "rw" if spec.privileged else "ro"
    standard = [
        *default_mounts(STANDARD_MOUNTS, "podman", writable=spec.privileged),
        cgroup("podman", mode, "rprivate"),
    ]
    # SupersedeUserMounts(): of those that are equally deep, what is asked for comes first.
    own = [*standard, *_writable(spec), *_files(spec, kept, name)]
    mounts = tuple(sorted([*asked, *beside(own, asked)], key=by_parts))
    rootfs = f"{STORAGE}/overlay/{name}/merged"
    config = configuration(spec, label, rootfs, mounts, "shared", PODMAN_MASKED, PODMAN_READONLY)
    refused = first(_missing(mount, host) for mount in asked)
    return Prepared(config, tuple(_before(spec, kept, rootfs, host)), refused, tuple(_doubts(config, name)))


def _missing(mount: ConfigMount, host: Host) -> Refused | None:
    """What podman says of a source that is not there."""
    if not mount.is_missing(host.files):
        return None
    return Refused("podman", "statfs", f"statfs {mount.source}: no such file or directory", mount)


def _before(spec: ContainerSpec, kept: str, rootfs: str, host: Host) -> Iterator[Step]:
    here, home = host.view.label, f"{STORAGE}/overlay"
    containing = host.containing(home)
    if containing is None or containing.mount_point != home:
        # MakePrivate(), before the first container of a boot.
        yield Step("podman", "MakePrivate", "before", Bind(here, home, home))
        yield Step("podman", "MakePrivate", "before", SetPropagation(here, home, "private"))
    if "ipc" in own_namespaces(spec):
        options = ("rw", "nosuid", "nodev", "noexec", "relatime")
        yield Step("podman", "mountSHM", "before", MountNew(here, "tmpfs", "shm", f"{kept}/shm", options))
    yield overlay("podman", "Mount", here, rootfs)


def _files(spec: ContainerSpec, kept: str, name: str) -> Iterator[ConfigMount]:
    """makeBindMounts()."""
    run = f"/run/containers/storage/overlay-containers/{name}/userdata"
    if "ipc" in own_namespaces(spec):
        options = ("bind", "rprivate", "nosuid", "noexec", "nodev")
        yield ConfigMount("/dev/shm", "bind", f"{kept}/shm", options, "podman")  # noqa: S108 - a container's
    options = ("bind", "rprivate", *(("ro", "nosuid", "noexec", "nodev") if spec.readonly_root else ()))
    # Where /run is a mount, the file is written into it.
    over_run = "/run" in {*spec.writable, *(normal(mount.destination) for mount in spec.mounts)}
    left_out = {*(("/etc/resolv.conf",) if spec.no_network else ()), *(("/run/.containerenv",) if over_run else ())}
    files = ("/etc/resolv.conf", "/etc/hosts", "/run/.containerenv", "/etc/hostname")
    for path in (path for path in files if path not in left_out):
        yield ConfigMount(path, "bind", f"{run}/{path.rpartition('/')[2]}", options, "podman")


def _writable(spec: ContainerSpec) -> Iterator[ConfigMount]:
    """addReadOnlyMounts(): what can be written to although the root filesystem cannot."""
    for path in spec.writable:
        yield ConfigMount(path, "tmpfs", "tmpfs", ("rw", "rprivate", "nosuid", "nodev", "tmpcopyup"), "podman")


def _doubts(config: Config, name: str) -> Iterator[str]:
    yield f"directories of the container bear numbers; here they are called {name}"
    files = [path for path in config.masked_paths if KERNEL.get(path) == "file"]
    yield f"podman 4 mounts /dev noexec, and so is what it masks with files: {', '.join(files) or 'nothing'}"


def _of_podman(mount: MountSpec, number: int, name: str, host: Host) -> ConfigMount:
    destination = normal(mount.destination)
    words = [word for word in mount.options if word not in ("z", "Z", "U", "copy", "nocopy", "O", "no-dereference")]
    given = {*words}
    propagation = PROPAGATIONS.get(mount.propagation or "")
    words = [word for word in words if word not in PROPAGATIONS]
    if mount.read_only and "ro" not in given:
        words.append("ro")
    if mount.kind == "filesystem":
        options = (*words, propagation or "rprivate", "nosuid", "nodev", "tmpcopyup")
        return ConfigMount(destination, "tmpfs", "tmpfs", tuple(dict.fromkeys(options)), "the file", mount)
    source = host.absolute(mount.source) if mount.source else None
    if source is None:
        source = f"{STORAGE}/volumes/{slug(mount.volume or f'{name}-{number}')}/_data"
        defaults: Collection[str] = ("nosuid", "nodev")
    else:
        containing = host.containing(source)
        defaults = containing.options if containing is not None else ()
    # getDefaultMountOptions(): what the source's mount has, unless the opposite is asked for.
    words += [word for word in ("noexec", "nosuid", "nodev") if word in defaults and not {word, word[2:]} & given]
    whole = "bind" if "bind" in given else "rbind"
    words = [word for word in words if word not in ("bind", "rbind")]
    word = propagation or ("rprivate" if whole == "rbind" else "private")
    return ConfigMount(
        destination, "bind", source, (*words, word, whole), "the file", mount, created=mount.kind != "bind"
    )
