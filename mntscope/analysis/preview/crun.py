"""What crun does to mounts: the stages of its start, in the words of libcrun (linux.c).

Read in crun 1.8 to 1.29.1, and compared with the tables of containers that 1.8.1, 1.21 and 1.28 have started.
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
)
from mntscope.analysis.preview.steps import Part, Refused, Stage, Start, Step
from mntscope.analysis.preview.words import Words, bind_flags, new_options, typed
from mntscope.propagation.operations import (
    FLAGS,
    Attach,
    Bind,
    MountNew,
    OpenTree,
    PropagationType,
    Remount,
    SetAttributes,
    SetHandlePropagation,
    SetPropagation,
)


def _root_word(start: Start) -> str:
    return start.config.rootfs_propagation or "rprivate"


def _descriptors(profile: Profile, start: Start) -> Stage:
    """prepare_and_send_mounts(): on the host, before anything is made private, trees are opened for the container.

    So they are peers of the host's mounts, and receive and pass on whatever happens there.
    """
    for number, mount in enumerate(start.config.mounts):
        words = Words.of(mount.options)
        mapped = bool(words.idmap or mount.uids)
        source = start.files.real(mount.source)
        if mount.type != "bind" or not (mapped or "user" in start.config.own):
            continue
        if mount.is_missing(start.files):
            continue
        recursive = words.recursive and profile.since(1, 9)
        attributes = ("idmapped",) if mapped else ()
        function = "maybe_get_idmapped_mount" if mapped else "get_bind_mount"
        handle = _handle(start, number)
        operation = OpenTree(start.host, source, handle, recursive=recursive, attributes=attributes)
        yield Step("crun", function, "before", operation, mount, tolerated=() if mapped else ("EINVAL",))
        if not mapped and profile.since(1, 27, 1):
            word = start.config.rootfs_propagation or "private"
            kind, _ = typed(word)
            yield Step("crun", function, "before", SetHandlePropagation(start.host, handle, kind, recursive), mount)


def _handle(start: Start, number: int) -> str:
    return f"{start.label}#{number}"


def _namespace(profile: Profile, start: Start) -> Stage:
    yield from new_namespace(profile, start, "libcrun_run_linux_container")


def _root(profile: Profile, start: Start) -> Stage:
    yield from root_propagation(profile, start, "libcrun_set_mounts", _root_word(start))


def _parent(profile: Profile, start: Start) -> Stage:
    yield from parent_private(profile, start, "make_parent_mount_private")


def _bind_root(_: Profile, start: Start) -> Stage:
    rootfs = start.config.rootfs
    yield Step("crun", "libcrun_set_mounts", "root", Bind(start.label, rootfs, rootfs, recursive=True))
    operation = SetPropagation(start.label, rootfs, "private", recursive=True)
    yield Step("crun", "libcrun_set_mounts", "root", operation)


def _mounts(profile: Profile, start: Start) -> Stage:
    for number, mount in enumerate(start.config.mounts):
        yield from _mount(profile, start, mount, number)


def _mount(profile: Profile, start: Start, mount: ConfigMount, number: int) -> Stage:
    words = Words.of(mount.options)
    target = start.on_rootfs(start.destination(mount.destination))
    types: set[PropagationType] = {typed(word)[0] for word in words.propagations}
    if mount.type == "cgroup":
        yield from cgroup_mount(profile, start, mount, target, words)
        return
    source = start.files.real(mount.source)
    # One flag, MS_REC, is both "the whole tree" of a bind and the r of a propagation type.
    whole = words.recursive or any(typed(word)[1] for word in words.propagations)
    handle = _handle(start, number)
    if mount.type == "bind" and handle in start.handles:
        yield Step("crun", "fs_move_mount_to", "mounts", Attach(start.label, handle, target), mount)
        yield from map_tree(profile, start, "maybe_get_idmapped_mount", mount, target, words)
    elif mount.type == "bind":
        if mount.is_missing(start.files):
            yield Refused("crun", "do_mounts", "No such file or directory", mount)
            return
        yield Step("crun", "do_mount", "mounts", Bind(start.label, source, target, recursive=whole), mount)
    else:
        operation = new_filesystem(start, mount, target, words.asked - {"ro"})
        yield Step("crun", "do_mount", "mounts", operation, mount)
    if len(types) > 1:
        yield Refused("crun", "do_mount", "set propagation: Invalid argument", mount)
        return
    for kind in types:
        yield Step("crun", "do_mount", "mounts", SetPropagation(start.label, target, kind, whole), mount)
    flags = words.asked | {*words.tree_set}
    attached = mount.type == "bind" and handle in start.handles
    if "ro" not in flags and mount.type == "bind" and not attached:
        yield from _remount(start, "do_remount", mount, target, flags)
    yield from attribute_tree(profile, start, "do_mount_setattr", mount, target, words)


def _remount(start: Start, function: str, mount: ConfigMount | None, target: str, flags: frozenset[str]) -> Stage:
    """do_remount(): with these flags alone; if that is refused, with those the mount has as well."""
    part: Part = "mounts" if mount is not None else "after"
    operation = Remount(start.label, target, ro="ro" in flags, flags=bind_flags(flags))
    errno = yield Step("crun", function, part, operation, mount, ("EPERM",))
    if errno is None:
        return
    now = start.top_at(target)
    options = frozenset(now.options if now is not None else ()) & {"nosuid", "nodev", "noexec", "ro"}
    again = Remount(start.label, target, ro="ro" in flags | options, flags=bind_flags(flags | options))
    yield Step("crun", function, part, again, mount)


def _devices(_: Profile, start: Start) -> Stage:
    for path, target in device_binds(start):
        yield Step("crun", "libcrun_create_dev", "devices", Bind(start.label, path, target))
        yield Step("crun", "libcrun_create_dev", "devices", SetPropagation(start.label, target, "private"))
        yield from _remount(start, "libcrun_create_dev", None, target, frozenset({"nosuid", "noexec"}))


def _masked_paths(profile: Profile, start: Start) -> Stage:
    """Before pivot_root(2): /dev/null is the host's."""
    function = "do_masked_or_readonly_path"
    # Whoever may not open the directory of its masks has one for each.
    shared = profile.since(1, 24) and "user" not in start.config.own
    for path in existing(start, start.config.masked_paths):
        target = start.on_rootfs(path)
        if start.kind(path) == "file":
            yield from _mask(profile, start, function, "/dev/null", target)
        elif shared:
            yield from _mask(profile, start, "mount_masked_dir", EMPTY_DIRECTORY, target)
        else:
            yield Step("crun", function, "paths", MountNew(start.label, "tmpfs", "tmpfs", target, new_options(())))
            yield from _remount(start, function, None, target, frozenset({"ro"}))


def _mask(profile: Profile, start: Start, function: str, source: str, target: str) -> Stage:
    """A bind that is read-only: since 1.27 before it is attached, so that its copies are so, too."""
    if not profile.since(1, 27):
        yield Step("crun", function, "paths", Bind(start.label, source, target))
        yield from _remount(start, function, None, target, frozenset({"ro"}))
        return
    handle = f"{start.label}#{target}"
    yield Step("crun", "get_bind_mount", "paths", OpenTree(start.label, source, handle, attributes=("ro",)))
    if profile.since(1, 27, 1):
        yield Step("crun", "get_bind_mount", "paths", SetHandlePropagation(start.label, handle, "private"))
    yield Step("crun", "fs_move_mount_to", "paths", Attach(start.label, handle, target))


EMPTY_DIRECTORY = "/run/crun/.empty-directory"
"""What masks directories since 1.24, below the directory that ``--root`` names."""


def _readonly_paths(profile: Profile, start: Start) -> Stage:
    function = "do_masked_or_readonly_path"
    for path in existing(start, start.config.readonly_paths):
        target = start.on_rootfs(path)
        yield Step("crun", function, "paths", Bind(start.label, target, target, recursive=True))
        yield Step("crun", function, "paths", SetPropagation(start.label, target, "private", recursive=True))
        now = start.top_at(target)
        kept = frozenset(now.options if now is not None and profile.since(1, 8, 2) else ())
        yield from _remount(start, function, None, target, frozenset({"ro"}) | kept - {"rw"})


def _finalize(profile: Profile, start: Start) -> Stage:
    """finalize_mounts(): what is to be read-only, the last first."""
    for mount in reversed(start.config.mounts):
        words = Words.of(mount.options)
        flags = words.asked | {*words.tree_set}
        if "ro" not in flags or mount.type == "cgroup":
            continue
        target = start.on_rootfs(start.destination(mount.destination))
        if profile.since(1, 27):
            # By mount_setattr(2), which leaves the other options alone.
            operation = SetAttributes(start.label, target, tuple(sorted(flags & {*FLAGS, "ro"})))
            yield Step("crun", "finalize_mounts", "after", operation, mount)
        else:
            yield from _remount(start, "finalize_mounts", mount, target, flags)


def _readonly_root(profile: Profile, start: Start) -> Stage:
    yield from readonly_root(profile, start, "finalize_mounts", start.config.rootfs)


def _pivot(profile: Profile, start: Start) -> Stage:
    yield from pivot(profile, start, "do_pivot", "private")


def _root_again(profile: Profile, start: Start) -> Stage:
    yield from root_propagation(profile, start, "libcrun_do_pivot_root", _root_word(start))


STAGES: tuple[Callable[[Profile, Start], Stage], ...] = (
    _descriptors,
    _namespace,
    _root,
    _parent,
    _bind_root,
    _mounts,
    _devices,
    _masked_paths,
    _readonly_paths,
    _finalize,
    _readonly_root,
    _pivot,
    _root_again,
)
"""libcrun_set_mounts() and libcrun_do_pivot_root(), in their order."""


def profile(version: Version) -> Profile:
    """That of a version."""
    return Profile("crun", version, STAGES)
