"""MNT019: a user namespace in which nobody may mount proc or sysfs, as it has no whole one."""

from __future__ import annotations

from collections.abc import Iterator

from mntscope.base.counting import counted
from mntscope.base.records import dataclass
from mntscope.graph import Member, MountTree
from mntscope.model import Mount, View
from mntscope.rules.leaks import MOUNT_NAMESPACES
from mntscope.rules.machine import Machine
from mntscope.rules.rule import Evidence, Finding, Reference, Rule

EMPTY = {
    "proc": frozenset({"/fs/nfsd", "/openprom", "/sys/fs/binfmt_misc", "/xen"}),
    "sysfs": frozenset({
        "/firmware/efi/efivars", "/fs/bpf", "/fs/cgroup", "/fs/fuse/connections", "/fs/pstore", "/fs/resctrl",
        "/fs/selinux", "/fs/smackfs", "/hypervisor/s390", "/kernel/config", "/kernel/debug", "/kernel/security",
        "/kernel/tracing",
    }),
}  # fmt: skip
"""Directories that the kernel makes to be mounted on, and that stay empty: what lies over these hides nothing
(proc_create_mount_point(), register_sysctl_mount_point() and sysfs_create_mount_point())."""
MOST = 8
MOST_LOOKED_AT = 64
"""So many namespaces with the same filesystem are looked at: what came with it most of them have."""

Cover = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Copy:
    """A whole proc or sysfs that was copied from a namespace of other users, and what of it was copied along."""

    mount: Mount
    covers: tuple[Mount, ...]
    """What hides a part of it: locked, as the namespace may not see what it was not to see."""

    @property
    def flags(self) -> tuple[str, ...]:
        """What a new one must be mounted with too: these are locked (mnt_already_visible() in fs/namespace.c)."""
        read_only = "ro" in self.mount.options or "ro" in self.mount.super_options
        # Unless told otherwise, relatime is what a new mount has.
        other_times = "relatime" not in self.mount.options
        noatime = "noatime" if "noatime" in self.mount.options else "strictatime"
        return (*(["ro"] if read_only else []), *([noatime] if other_times else []))

    @property
    def whole(self) -> bool:
        """Whether it lets the kernel believe that a new one shows nothing else."""
        return not self.covers and not self.flags


def check(machine: Machine) -> Iterator[Finding]:
    """One finding for each of the two filesystems in each namespace of users of its own."""
    whole = _whole_ones(machine)
    for view in machine.others:
        users = view.namespace.user_namespace
        if None in (users, machine.host.namespace.user_namespace) or users == machine.host.namespace.user_namespace:
            continue
        if any(True for _ in machine.residents(view.label)):
            for fs_type in EMPTY:
                copies = _copies(machine, view, fs_type, whole)
                if copies and not any(copy.whole for copy in copies):
                    yield _finding(machine, view, fs_type, copies)


def _whole_ones(machine: Machine) -> dict[str, list[Member]]:
    """Every mount of the root of a proc or a sysfs, by its device."""
    found: dict[str, list[Member]] = {}
    for view in (machine.host, *machine.others):
        for mount in view.mounts:
            if mount.fs_type in EMPTY and mount.root == "/":
                found.setdefault(mount.device, []).append(Member(view.label, mount))
    return found


def _copies(machine: Machine, view: View, fs_type: str, whole: dict[str, list[Member]]) -> list[Copy]:
    """Every whole one there; none where one is its own, of which the table does not tell what is locked."""
    tree = machine.tree(view.label)
    found = []
    for mount in view.mounts:
        if mount.fs_type != fs_type or mount.root != "/":
            continue
        copied = _covered_elsewhere(machine, view, whole[mount.device])
        if copied is None:
            return []
        over = [child for child in tree.children(mount) if _place(tree, child) not in EMPTY[fs_type]]
        found.append(Copy(mount, tuple(child for child in over if _what(tree, child) in copied)))
    return found


def _covered_elsewhere(machine: Machine, view: View, same: list[Member]) -> frozenset[Cover] | None:
    """What lies over *same* in namespaces of other users; ``None`` where none of these has it."""
    users = view.namespace.user_namespace
    elsewhere = [one for one in same if machine.view(one.label).namespace.user_namespace not in (None, users)]
    if not elsewhere:
        return None
    trees = ((machine.tree(one.label), one.mount) for one in elsewhere[:MOST_LOOKED_AT])
    return frozenset(_what(tree, child) for tree, mount in trees for child in tree.children(mount))


def _place(tree: MountTree, child: Mount) -> str:
    place = tree.mounted_on(child)
    return "" if place is None else place.path


def _what(tree: MountTree, child: Mount) -> Cover:
    """What a copy of *child* has in common with it: where it lies in the filesystem below, and what it shows."""
    return _place(tree, child), child.device, child.root


def _finding(machine: Machine, view: View, fs_type: str, copies: list[Copy]) -> Finding:
    # That which is nearest to being whole.
    copy = min(copies, key=lambda copy: (len(copy.covers), len(copy.flags)))
    path = copy.mount.mount_point
    options = ",".join(copy.flags)
    if copy.covers:
        first = copy.covers[0]
        more = f" and {counted(len(copy.covers) - 1, 'more mount')}" if len(copy.covers) > 1 else ""
        why = f"{first.mount_point}{more} hides a part of the one that it was given, and may not be taken away there"
    else:
        why = f"the one that it was given at {path} is so"
    only = "" if copy.covers else f" but with {options}"
    return RULE.finding(
        view.label,
        f"in {machine.words(view.label)} nobody may mount a {fs_type}{only} (EPERM): {why}",
        (machine.name(view.label), fs_type, path),
        path=path,
        evidence=Evidence(
            mounts=tuple(Member(view.label, mount) for mount in (copy.mount, *copy.covers[:MOST])),
            facts=(
                ("user namespace", str(view.namespace.user_namespace)),
                ("mounts that hide a part", str(len(copy.covers))),
                ("options that a new one must have", options or "none"),
            ),
        ),
        advice="Give the sandbox what is there (`bwrap --ro-bind /proc /proc`), or have the container around it show"
        " its /proc whole: `--security-opt systempaths=unconfined` (Docker), `--security-opt unmask=ALL` (Podman),"
        " `procMount: Unmasked` (Kubernetes, with users of its own). One proc mounted elsewhere around it, with nothing"
        " over it, is enough.",
    )


RULE = Rule(
    id="MNT019",
    name="proc-refused",
    severity="low",
    confidence="certain",
    summary="A user namespace in which mounting proc or sysfs is refused, as the one that it was given is not whole",
    why="""\
In a user namespace of its own, anyone may mount a proc, but none that shows more than was to be seen: the kernel looks
for one that is whole in the mount namespace (mount_too_revealing() in fs/namespace.c), and else says EPERM. One is not
whole if a mount that came with it hides a part, as runtimes hide `/proc/kcore` and `/proc/sys`; if it is read-only, and
the new one is not; or if its access times are kept otherwise. So a sandbox in a container fails ("bwrap: Can't mount
proc on /newroot/proc: Operation not permitted"), and so does a build, a test or a unit with PrivateUsers= there, though
every privilege seems to be given.

What lies over the empty directories that the kernel makes for it (`/proc/sys/fs/binfmt_misc`, `/sys/kernel/debug`)
hides nothing. What the namespace mounted itself it may take away again, and it is no obstacle: reported is only what it
has from a namespace of other users, which the tables must show. A new sysfs takes a network namespace of the own users,
too.""",
    fix="""\
Bind the `/proc` that is there instead of mounting one, or have the container around it show a whole one: the kernel
looks at every proc in the namespace, and one is enough.""",
    references=(
        MOUNT_NAMESPACES,
        Reference("user_namespaces(7)", "https://man7.org/linux/man-pages/man7/user_namespaces.7.html"),
        Reference(
            "Linux 1b852bceb0d1: a new mount must not reveal more",
            "https://github.com/torvalds/linux/commit/1b852bceb0d111e510d1a15826ecc4a19358d512",
        ),
        Reference("bubblewrap 707: no proc in a container", "https://github.com/containers/bubblewrap/issues/707"),
        Reference("systemd 39362: no proc in a nested sandbox", "https://github.com/systemd/systemd/issues/39362"),
    ),
    check=check,
)
