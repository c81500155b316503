"""What runc does to mounts: the stages of its start, in the words of libcontainer (rootfs_linux.go, nsexec.c).

Read in runc 1.0.3 to 1.5.1, and compared with the tables of containers that 1.1.5, 1.1.15 and 1.3.6 have started.
"""

from __future__ import annotations

from collections.abc import Callable

from mntscope.analysis.preview.config import ConfigMount
from mntscope.analysis.preview.profile import Profile, Version
from mntscope.analysis.preview.stages import (
    attribute_tree,
    cgroup_mount,
    device_binds,
    existing,
    map_tree,
    new_filesystem,
    new_namespace,
    parent_private,
    pivot,
    readonly_root,
    root_propagation,
    set_types,
)
from mntscope.analysis.preview.steps import Refused, Stage, Start, Step
from mntscope.analysis.preview.words import Words, bind_flags, new_options, typed
from mntscope.base.paths import under
from mntscope.propagation.operations import Bind, MountNew, Remount, SetPropagation

PROC_MOUNTS = frozenset(
    f"/proc/{name}"
    for name in (
        "cpuinfo",
        "diskstats",
        "loadavg",
        "meminfo",
        "slabinfo",
        "stat",
        "swaps",
        "sys/kernel/ns_last_pid",
        "uptime",
    )
)
"""What checkProcMount() lets be mounted inside of /proc, in every version."""


def _says(function: str, why: str, mount: ConfigMount | None = None) -> Refused:
    return Refused("runc", function, why, mount)


def _namespace(profile: Profile, start: Start) -> Stage:
    yield from new_namespace(profile, start, "nsexec")


def _prepare_root(profile: Profile, start: Start) -> Stage:
    yield from root_propagation(profile, start, "prepareRoot", start.config.rootfs_propagation or "rslave")


def _parent(profile: Profile, start: Start) -> Stage:
    if profile.since(1, 1, 15):
        yield from parent_private(profile, start, "rootfsParentMountPrivate")
        return
    parent = start.containing(start.config.rootfs)
    if parent is not None and parent.peer_group is not None:
        operation = SetPropagation(start.label, parent.mount_point, "private")
        yield Step("runc", "rootfsParentMountPrivate", "root", operation)


def _bind_root(_: Profile, start: Start) -> Stage:
    rootfs = start.config.rootfs
    yield Step("runc", "prepareRoot", "root", Bind(start.label, rootfs, rootfs, recursive=True))


def _mounts(profile: Profile, start: Start) -> Stage:
    for mount in start.config.mounts:
        yield from _mount(profile, start, mount)


def _mount(profile: Profile, start: Start, mount: ConfigMount) -> Stage:
    words = Words.of(mount.options)
    destination = start.destination(mount.destination)
    target = start.on_rootfs(destination)
    if refusal := _check_proc(profile, start, mount, destination):
        yield refusal
        return
    if mount.type == "cgroup":
        yield from cgroup_mount(profile, start, mount, target, words)
        return
    if mount.type == "bind":
        yield from _bind(profile, start, mount, target, words)
        return
    # mountPropagate(): what is written to later is not made read-only yet.
    flags = words.flags - {"ro"} if mount.type == "tmpfs" or destination == "/dev" else words.flags
    yield Step("runc", "mountPropagate", "mounts", new_filesystem(start, mount, target, flags), mount)
    yield from set_types(profile, start, "mountPropagate", mount, target, words.propagations)


def _bind(profile: Profile, start: Start, mount: ConfigMount, target: str, words: Words) -> Stage:
    source = start.files.real(mount.source)
    if mount.is_missing(start.files):
        yield _says("prepareBindMount", "no such file or directory", mount)
        return
    mapped = bool(words.idmap or mount.uids)
    if mapped and not profile.since(1, 2):
        # What it does not know is data, which a bind ignores.
        start.doubt(f"runc {profile.version} does not map ids: {mount.destination} shows those of the host")
        mapped = False
    attributes = ("idmapped",) if mapped else ()
    operation = Bind(start.label, source, target, recursive=words.recursive, attributes=attributes)
    yield Step("runc", "mountFd" if mapped else "mountPropagate", "mounts", operation, mount)
    if mapped:
        yield from map_tree(profile, start, "mountFd", mount, target, words)
    yield from set_types(profile, start, "mountPropagate", mount, target, words.propagations)
    cleared = words.cleared if profile.since(1, 2) else frozenset[str]()
    if words.flags - {"remount"} or cleared:
        yield from _remount(profile, start, mount, target, words)
    yield from attribute_tree(profile, start, "setRecAttr", mount, target, words)


def _remount(profile: Profile, start: Start, mount: ConfigMount, target: str, words: Words) -> Stage:
    function = "mountToRootfs" if profile.since(1, 2) else "remount"
    ro = "ro" in words.flags
    tolerated = ("EPERM",)
    operation = Remount(start.label, target, ro=ro, flags=bind_flags(words.flags))
    errno = yield Step("runc", function, "mounts", operation, mount, tolerated)
    if errno is None:
        return
    # Locked flags of another user namespace: again, with those that are set now (1.1: with ro alone, if that is set).
    now = start.top_at(target)
    options = now.options if now is not None else ()
    kept = bind_flags(options) if profile.since(1, 2) else ()
    again = Remount(start.label, target, ro=ro or "ro" in options, flags=(*bind_flags(words.flags), *kept))
    yield Step("runc", function, "mounts", again, mount)


def _check_proc(profile: Profile, start: Start, mount: ConfigMount, destination: str) -> Refused | None:
    """checkProcMount(): nothing but proc on /proc, and little inside of it."""
    if not under(destination, "/proc") or mount.type in ("proc", "sysfs"):
        return None
    if destination == "/proc":
        source = start.files.real(mount.source)
        shown = start.containing(source) if mount.type == "bind" else None
        if shown is not None and shown.fs_type == "proc":
            return None
        return _says("checkProcMount", "cannot be mounted because it is not of type proc", mount)
    fips = destination == "/proc/sys/crypto/fips_enabled" and profile.since(1, 1, 13)
    net = destination == "/proc/net/dev" and not profile.since(1, 2, 7)
    if fips or net or destination in PROC_MOUNTS:
        return None
    return _says("checkProcMount", "cannot be mounted because it is inside /proc", mount)


def _devices(_: Profile, start: Start) -> Stage:
    for path, target in device_binds(start):
        yield Step("runc", "bindMountDeviceNode", "devices", Bind(start.label, path, target))


def _pivot(profile: Profile, start: Start) -> Stage:
    yield from pivot(profile, start, "pivotRoot", "slave")


def _apply_root(profile: Profile, start: Start) -> Stage:
    """The type of ``/`` once more, unless it is private: since 1.2.7, but not in 1.3.0."""
    word = start.config.rootfs_propagation
    again = profile.since(1, 2, 7) and not (profile.since(1, 3) and not profile.since(1, 3, 1))
    if again and word and not word.endswith("private"):
        kind, recursive = typed(word)
        yield Step("runc", "prepareRootfs", "after", SetPropagation(start.label, "/", kind, recursive))


def _finalize(_: Profile, start: Start) -> Stage:
    for mount in start.config.mounts:
        words = Words.of(mount.options)
        if "ro" in words.flags and (mount.type == "tmpfs" or mount.destination == "/dev"):
            operation = Remount(start.label, mount.destination, ro=True, flags=bind_flags(words.flags))
            yield Step("runc", "remountReadonly", "after", operation, mount)


def _readonly_root(profile: Profile, start: Start) -> Stage:
    yield from readonly_root(profile, start, "setReadonly", "/")


def _readonly_paths(_: Profile, start: Start) -> Stage:
    for path in existing(start, start.config.readonly_paths):
        yield Step("runc", "readonlyPath", "paths", Bind(start.label, path, path, recursive=True))
        now = start.top_at(path)
        kept = [flag for flag in ("nosuid", "nodev", "noexec") if now is not None and flag in now.options]
        yield Step("runc", "readonlyPath", "paths", Remount(start.label, path, ro=True, flags=tuple(kept)))


def _masked_paths(profile: Profile, start: Start) -> Stage:
    first: str | None = None
    shared = profile.since(1, 4, 3) or (1, 3, 6) <= profile.number < (1, 4)
    done: set[str] = set()
    for path in existing(start, start.config.masked_paths):
        if path in done and shared:
            continue
        done.add(path)
        if start.kind(path) == "file":
            yield Step("runc", "maskPath", "paths", Bind(start.label, "/dev/null", path))
        elif shared and first is not None:
            # Directories share one tmpfs: the second mask is a bind of the first.
            yield Step("runc", "maskPaths", "paths", Bind(start.label, first, path))
        else:
            operation = MountNew(start.label, "tmpfs", "tmpfs", path, new_options(("ro",)))
            yield Step("runc", "maskDir" if shared else "maskPath", "paths", operation)
            first = path


STAGES: tuple[Callable[[Profile, Start], Stage], ...] = (
    _namespace,
    _prepare_root,
    _parent,
    _bind_root,
    _mounts,
    _devices,
    _pivot,
    _apply_root,
    _finalize,
    _readonly_root,
    _readonly_paths,
    _masked_paths,
)
"""linuxStandardInit.Init(), in its order."""


def profile(version: Version) -> Profile:
    """That of a version."""
    return Profile("runc", version, STAGES)
