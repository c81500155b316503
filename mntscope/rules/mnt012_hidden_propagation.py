"""MNT012: what lies hidden beneath another mount leaks, and what is seen there does not."""

from __future__ import annotations

from collections.abc import Iterator

from mntscope.analysis.remedies import Command
from mntscope.graph import Leak, Member
from mntscope.model import Mount, View
from mntscope.propagation import Effect
from mntscope.propagation.operations import MountNew, Umount
from mntscope.rules.leaking_tree import LeakingTree
from mntscope.rules.leaks import MOUNT_NAMESPACES, hidden_leaking_trees, somewhere
from mntscope.rules.machine import MOST_EFFECTS, Machine
from mntscope.rules.rule import Evidence, Finding, Reference, Rule


def check(machine: Machine) -> Iterator[Finding]:
    """One finding for each topmost mount that leaks and that no path leads to; the others are MNT001's and MNT006's."""
    for view in machine.others:
        for leaking in hidden_leaking_trees(machine, view.label):
            seen = machine.tree(view.label).containing(leaking.top.path)
            if seen is not None:
                yield _finding(machine, view, leaking, seen)


def _finding(machine: Machine, view: View, leaking: LeakingTree, seen: Mount) -> Finding:
    leak = leaking.top
    return RULE.finding(
        view.label,
        f"{machine.words(view.label)} shows a {seen.propagation} mount at {leak.path}, but the one hidden there is"
        f" shared with the host: once it is uncovered, mounts and umounts at {leak.path} also happen at"
        f" {somewhere(leak.lands_at)} of the host",
        (machine.name(view.label), leak.path),
        severity="low" if machine.roles[view.label] in ("runtime", "node-plugin") else "medium",
        path=leak.path,
        evidence=Evidence(
            mounts=(
                Member(view.label, leak.mount),
                Member(view.label, seen),
                *(Member(machine.host.label, mount) for mount in leak.host_mounts[:8]),
            ),
            peer_group=(leak.mount.device, leak.peer_group),
            lands_at=tuple((machine.host.label, path) for path in leak.lands_at),
            effects=_effects(machine, view, leak, seen),
            facts=(("hidden by", f"{seen.fs_type} at {seen.mount_point} ({seen.propagation})"),),
        ),
        commands=_commands(machine, view, leak),
        advice="A recursive change of the mount above reaches what is hidden; `mount --make-private` of the path itself"
        " changes what covers it.",
    )


def _effects(machine: Machine, view: View, leak: Leak, seen: Mount) -> tuple[Effect, ...]:
    """What a mount there does to others once what is seen has been unmounted."""
    uncover = Umount(view.label, seen.mount_point, lazy=True)
    effects = machine.predicted_in_turn(uncover, MountNew(view.label, "tmpfs", "example", leak.path))
    return tuple(effect for effect in effects if effect.crosses)[:MOST_EFFECTS]


def _commands(machine: Machine, view: View, leak: Leak) -> tuple[Command, ...]:
    """Making slaves of the nearest mount above that a path leads to, and of all below it, hidden or not."""
    tree, above = machine.tree(view.label), leak.mount
    while (parent := tree.parent(above)) is not None:
        above = parent
        if tree.named_by(above.mount_point) is above:
            return machine.commands(view.label, "mount", ("--make-rslave", above.mount_point))
    return ()


RULE = Rule(
    id="MNT012",
    name="hidden-propagation",
    severity="medium",
    confidence="likely",
    summary="A mount that another one hides is shared with the host, while the one that is seen there is not",
    why="""\
findmnt, `df` and `mount --make-private PATH` speak of the topmost mount at a path. What lies beneath, or below a
directory that is covered, keeps its own propagation type: a check of what is seen says "private" while a peer of the
host's waits underneath. Unmounting what covers it is enough to be back in it, and a process whose working directory or
root is inside has never left. `unshare --mount-proc=DIR` and scripts that make a path private *after* covering it leave
namespaces like this.""",
    fix="""\
Change the type recursively from a mount above (`mount --make-rslave /`): that reaches every mount of the tree, hidden
or not. In scripts, change the type before mounting over a path.""",
    references=(
        MOUNT_NAMESPACES,
        Reference("proc_pid_mountinfo(5)", "https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html"),
        Reference(
            "mount(8), shared subtree operations",
            "https://man7.org/linux/man-pages/man8/mount.8.html#SHARED_SUBTREE_OPERATIONS",
        ),
    ),
    check=check,
)
