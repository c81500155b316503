"""What runtimes have in common: the calls are the same, the functions that make them are called differently."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mntscope.analysis.preview.config import ConfigMount
from mntscope.analysis.preview.profile import Profile
from mntscope.analysis.preview.steps import KERNEL, Stage, Start, Step
from mntscope.analysis.preview.words import Words, bind_flags, new_options, typed
from mntscope.base.paths import below
from mntscope.propagation import Operation
from mntscope.propagation.operations import (
    CloneNamespace,
    MountNew,
    PivotRoot,
    PropagationType,
    Remount,
    SetAttributes,
    SetPropagation,
    Umount,
)

DEVICES = ("/dev/null", "/dev/random", "/dev/full", "/dev/tty", "/dev/zero", "/dev/urandom")
"""What every container has (config-linux.md of the runtime specification, "Default Devices")."""

PUT_OLD = "/.old-root"
"""Where the old root is for a moment. Runtimes stack it on the new one (``pivot_root(".", ".")``), which no path of the
model leads to; it is gone before anyone could see it."""


def new_namespace(profile: Profile, start: Start, function: str) -> Stage:
    """unshare(2) or clone(2)."""
    new_userns = "user" in start.config.own
    yield Step(profile.name, function, "namespace", CloneNamespace(start.host, start.label, new_userns=new_userns))


def root_propagation(profile: Profile, start: Start, function: str, word: str) -> Stage:
    """The type of ``/``, so that nothing of what follows reaches the host (or, shared, does)."""
    kind, recursive = typed(word)
    yield Step(profile.name, function, "root", SetPropagation(start.label, "/", kind, recursive))


def parent_private(profile: Profile, start: Start, function: str) -> Stage:
    """From the root filesystem up, until a mount can be made private: pivot_root(2) asks that of its parent."""
    path = start.config.rootfs
    while True:
        operation = SetPropagation(start.label, path, "private")
        errno = yield Step(profile.name, function, "root", operation, tolerated=() if path == "/" else ("EINVAL",))
        if errno is None or path == "/":
            return
        path = path.rpartition("/")[0] or "/"


def set_types(
    profile: Profile, start: Start, function: str, mount: ConfigMount, target: str, words: Sequence[str]
) -> Stage:
    """The propagation types that a mount is given, one after the other."""
    for word in words:
        kind, recursive = typed(word)
        yield Step(profile.name, function, "mounts", SetPropagation(start.label, target, kind, recursive), mount)


def attribute_tree(
    profile: Profile, start: Start, function: str, mount: ConfigMount, target: str, words: Words
) -> Stage:
    """What is asked for the whole tree."""
    if words.tree_set or words.tree_cleared:
        operation = SetAttributes(start.label, target, words.tree_set, words.tree_cleared, recursive=True)
        yield Step(profile.name, function, "mounts", operation, mount)


def map_tree(profile: Profile, start: Start, function: str, mount: ConfigMount, target: str, words: Words) -> Stage:
    """``ridmap``: what is mounted below is mapped as well. Runtimes do so before the tree is attached."""
    if words.idmap == "ridmap":
        operation = SetAttributes(start.label, target, ("idmapped",), recursive=True)
        yield Step(profile.name, function, "mounts", operation, mount)


def new_filesystem(start: Start, mount: ConfigMount, target: str, flags: Iterable[str]) -> MountNew:
    """What mount(2) makes of an entry that is no bind."""
    source = mount.source or mount.type
    device = _named_device(start, mount.type)
    return MountNew(start.label, mount.type, source, target, new_options(flags), device=device)


def _named_device(start: Start, fs_type: str) -> str | None:
    """The superblock that a new mount shows where it is not a new one.

    There is one sysfs a network namespace, one mqueue an IPC namespace, and one cgroup2.
    """
    owner = {"sysfs": "network", "mqueue": "ipc"}.get(fs_type)
    if fs_type != "cgroup2" and (owner is None or owner in start.config.own):
        return None
    host = start.simulation.view(start.host)
    return next((mount.device for mount in host.mounts if mount.fs_type == fs_type), None)


def cgroup_mount(profile: Profile, start: Start, mount: ConfigMount, target: str, words: Words) -> Stage:
    """``cgroup`` is whatever the host has: cgroup2 alone, or a tmpfs with a directory for each controller."""
    host = start.simulation.view(start.host)
    unified = [each for each in host.mounts if each.mount_point == "/sys/fs/cgroup"]
    function = "mountCgroupV2" if profile.name == "runc" else "do_mount_cgroup_v2"
    if not unified or unified[-1].fs_type == "cgroup2":
        start.doubt(f"{mount.destination} shows the container's own cgroup, whose path is not known beforehand")
        operation = MountNew(
            start.label,
            "cgroup2",
            mount.source or "cgroup",
            target,
            new_options(words.flags),
            device=_named_device(start, "cgroup2"),
        )
        yield Step(profile.name, function, "mounts", operation, mount)
        yield from set_types(profile, start, function, mount, target, words.propagations)
        return
    start.doubt(
        f"below {mount.destination} there is a directory for each controller of cgroup v1, whose paths are not known"
        " beforehand"
    )
    function = function[:-1] + "1"
    flags = ("nosuid", "nodev", "noexec") if profile.name == "runc" else words.flags - {"ro"}
    yield Step(
        profile.name, function, "mounts", MountNew(start.label, "tmpfs", "tmpfs", target, new_options(flags)), mount
    )
    yield from set_types(profile, start, function, mount, target, words.propagations)


def device_binds(start: Start) -> Iterator[tuple[str, str]]:
    """The device nodes that are bound from the host, in a user namespace, and where: mknod(2) may not make them."""
    over_dev = any(mount.destination == "/dev" and mount.type == "bind" for mount in start.config.mounts)
    if "user" in start.config.own and not over_dev:
        for path in dict.fromkeys((*DEVICES, *start.config.devices)):
            yield path, start.on_rootfs(path)


def pivot(profile: Profile, start: Start, function: str, old: PropagationType | None = None) -> Stage:
    """pivot_root(2), and the old root is put away; if it is made *old* before, its umount reaches nobody."""
    label, rootfs = start.label, start.config.rootfs
    calls: list[Operation] = [PivotRoot(label, rootfs, below(rootfs, PUT_OLD))]
    if old is not None:
        calls.append(SetPropagation(label, PUT_OLD, old, recursive=True))
    calls.append(Umount(label, PUT_OLD, lazy=True))
    for operation in calls:
        yield Step(profile.name, function, "pivot", operation)


def readonly_root(profile: Profile, start: Start, function: str, path: str) -> Stage:
    """The root filesystem, if it is to be read-only."""
    if start.config.readonly_root:
        errno = yield Step(profile.name, function, "after", Remount(start.label, path, ro=True), tolerated=("EPERM",))
        if errno is not None:
            now = start.top_at(path)
            flags = bind_flags(now.options) if now is not None else ()
            yield Step(profile.name, function, "after", Remount(start.label, path, ro=True, flags=flags))


def existing(start: Start, paths: Sequence[str]) -> Iterator[str]:
    """Those of *paths* that are there, as far as is known."""
    unknown = [path for path in paths if start.kind(path) is None]
    assumed = [path for path in paths if path in KERNEL and start.kind(path) != "missing" and not start.saw(path)]
    if unknown:
        start.doubt(f"whether the container has {', '.join(unknown)} is not known: it is taken not to")
    if assumed:
        start.doubt(f"as on most kernels, there are taken to be {', '.join(assumed)}")
    yield from (path for path in paths if start.kind(path) not in (None, "missing"))
