"""What systemd mounts for a unit before it starts its programs: setup_namespace(), in the words of its namespace.c.

The calls are those that systemd 252 makes, and the tables were compared with those of units that it has started. It
moves the new root over the old one, which stays mounted where no path leads; others pivot, as is played here: no table
shows the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from mntscope.analysis.preview.config import ConfigMount
from mntscope.analysis.preview.profile import Profile, Version
from mntscope.analysis.preview.stages import new_namespace, pivot, root_propagation
from mntscope.analysis.preview.steps import Refused, Stage, Start, Step
from mntscope.analysis.preview.units import DEVICES, INACCESSIBLE, INCOMING, Unit
from mntscope.analysis.preview.words import typed
from mntscope.base.paths import under
from mntscope.propagation.operations import (
    Bind,
    MountNew,
    SetAttributes,
    SetPropagation,
    Umount,
)


def _namespace(profile: Profile, start: Start) -> Stage:
    yield from new_namespace(profile, start, "setup_namespace")


def _slave(profile: Profile, start: Start) -> Stage:
    yield from root_propagation(profile, start, "setup_namespace", "rslave")


def _bind_root(_: Profile, start: Start) -> Stage:
    root = start.config.mounts[0]
    yield Step(
        "systemd", "setup_namespace", "root", Bind(start.label, root.source, start.config.rootfs, recursive=True)
    )


def _mounts(_: Profile, start: Start) -> Stage:
    for mount in start.config.mounts[1:]:
        target = start.on_rootfs(mount.destination)
        if mount.type in ("inaccessible", "tmpfs", "private-dev", "mqueue"):
            yield from _umount_all(start, target, mount)
        if mount.type == "inaccessible":
            kind = "reg" if start.files.kind(mount.destination) == "file" else "dir"
            kind = "chr" if kind == "reg" and under(mount.destination, "/dev") else kind
            cover = Bind(start.label, f"{INACCESSIBLE}/{kind}", target, recursive=True)
            yield Step("systemd", "apply_one_mount", "mounts", cover, mount)
        elif mount.type in ("tmpfs", "proc", "private-dev", "mqueue"):
            options = ("rw", *(option for option in mount.options if option != "ro"))
            operation = MountNew(start.label, mount.source, mount.source, target, options)
            yield Step("systemd", "apply_one_mount", "mounts", operation, mount)
            for path in DEVICES if mount.type == "private-dev" else ():
                if start.top_at(path) is not None:
                    bound = Bind(start.label, path, start.on_rootfs(path))
                    yield Step("systemd", "mount_private_dev", "mounts", bound, mount)
        elif mount.type == "bind":
            yield from _bind(start, mount, target)
        elif start.top_at(target) is None:
            # A path for which flags are to be changed becomes a mount point.
            yield Step("systemd", "apply_one_mount", "mounts", Bind(start.label, target, target, recursive=True), mount)


def _bind(start: Start, mount: ConfigMount, target: str) -> Stage:
    if mount.is_missing(start.files):
        if mount.spec is None or mount.spec.source_type != "optional":
            yield Refused("systemd", "apply_one_mount", "Failed to set up mount namespacing", mount)
        return
    operation = Bind(start.label, mount.source, target, recursive="rbind" in mount.options)
    yield Step("systemd", "apply_one_mount", "mounts", operation, mount)


def _umount_all(start: Start, target: str, mount: ConfigMount) -> Stage:
    """umount_recursive(): what is mounted there gives way."""
    mounted = [each.mount_point for each in start.simulation.view(start.label).mounts]
    for path in sorted((path for path in mounted if under(path, target)), key=len, reverse=True):
        yield Step("systemd", "umount_recursive", "mounts", Umount(start.label, path), mount, ("EBUSY", "EINVAL"))


def _flags(_: Profile, start: Start) -> Stage:
    """make_read_only(), make_noexec(): the flags of whole trees, but for those that have an entry of their own."""
    mounts = {start.on_rootfs(mount.destination): mount for mount in start.config.mounts[1:]}
    points = _by_entry(mounts, [mount.mount_point for mount in start.simulation.view(start.label).mounts])
    for target, mount in mounts.items():
        read_only = mount.type in ("read-only", "inaccessible") or "ro" in mount.options
        noexec = mount.type in ("inaccessible", "noexec") or (mount.type == "bind" and "noexec" in mount.options)
        wanted = (*(("ro",) if read_only else ()), *(("noexec",) if noexec else ()))
        for path in points.get(target, ()) if wanted else ():
            if path == target or mount.type != "private-dev":
                function = "make_read_only" if read_only else "make_noexec"
                yield Step("systemd", function, "after", SetAttributes(start.label, path, wanted), mount)
    unit = Unit(start.config.spec.settings)
    if unit.word("NoNewPrivileges") != "no" or unit.word("DynamicUser") != "no":
        nosuid = SetAttributes(start.label, start.config.rootfs, ("nosuid",), recursive=True)
        yield Step("systemd", "make_nosuid", "after", nosuid)


def _by_entry(entries: Collection[str], points: Sequence[str]) -> Mapping[str, list[str]]:
    """Of which entry each mount point is: the deepest that it lies in."""
    found: dict[str, list[str]] = {}
    for point in dict.fromkeys(points):
        outer = point
        while outer not in entries and outer != "/":
            outer = outer.rpartition("/")[0] or "/"
        found.setdefault(outer, []).append(point)
    return found


def _switch_root(profile: Profile, start: Start) -> Stage:
    yield from pivot(profile, start, "mount_switch_root")


def _types(_: Profile, start: Start) -> Stage:
    """The types that MountFlags= asks for: what was cut off from the host stays so."""
    kind, _whole = typed(start.config.rootfs_propagation)
    function = "setup_namespace"
    yield Step("systemd", function, "after", SetPropagation(start.label, "/", kind, recursive=True))
    yield Step("systemd", function, "after", SetPropagation(start.label, INCOMING, "slave"))


STAGES: tuple[Callable[[Profile, Start], Stage], ...] = (
    _namespace,
    _slave,
    _bind_root,
    _mounts,
    _flags,
    _switch_root,
    _types,
)

PROFILE = Profile("systemd", Version(252, 0), STAGES)
