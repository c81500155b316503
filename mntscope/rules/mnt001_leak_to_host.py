"""MNT001: a copy of the host's mounts that is still their peer."""

from __future__ import annotations

from collections.abc import Iterator

from mntscope.base.counting import counted
from mntscope.propagation.operations import MountNew
from mntscope.rules.leaking_tree import LeakingTree
from mntscope.rules.leaks import MOUNT_NAMESPACES, SHARED_SUBTREES, leaking_trees, remedy, somewhere
from mntscope.rules.machine import Machine
from mntscope.rules.rule import Evidence, Finding, Rule


def check(machine: Machine) -> Iterator[Finding]:
    """One finding for each topmost mount that leaks, with all that leaks below it."""
    for view in machine.others:
        if machine.own_root(view.label):
            continue
        for leaking in leaking_trees(machine, view.label):
            yield _finding(machine, view.label, leaking)


def _finding(machine: Machine, label: str, leaking: LeakingTree) -> Finding:
    leak = leaking.top
    others = f"; the same goes for {counted(leaking.below, 'mount')} below it" if leaking.below else ""
    return RULE.finding(
        label,
        f"{machine.words(label)} can change the host's mounts: what is mounted or unmounted at {leak.path} also is at"
        f" {somewhere(leak.lands_at)} of the host{others}",
        (machine.name(label), leak.path),
        severity="low" if machine.roles[label] == "runtime" else leaking.severity,
        path=leak.path,
        evidence=Evidence(
            mounts=leaking.members(label, machine.host.label),
            peer_group=(leak.mount.device, leak.peer_group),
            lands_at=tuple((machine.host.label, path) for path in leak.lands_at),
            effects=machine.predicted(MountNew(label, "tmpfs", "example", leak.path)),
            facts=(("mounts that leak", str(1 + leaking.below)),),
        ),
        commands=remedy(machine, label, leaking),
        advice="Start it with `unshare --mount` (private), with `unshare --mount --propagation slave`, or with"
        " PrivateMounts=yes in its unit; `mntscope run` does so.",
    )


RULE = Rule(
    id="MNT001",
    name="leak-to-host",
    severity="critical",
    confidence="certain",
    summary="A mount namespace that is a copy of the host's, whose mounts and umounts happen on the host too",
    why="""\
A new mount namespace is a copy of the one it was made from, and a copied mount stays in the peer group of the mount
it was copied from (`shared:N` in mountinfo). Peers pass on every mount and umount to each other. So a program that
believes to be alone in its namespace covers or removes what the host uses: `mount -t proc proc /proc` in a new PID
namespace takes away the host's `/proc`, `umount -R /mnt` the host's volumes. Nothing is logged, and the host's programs
fail where they stand.

Low where the namespace is a runtime's own, as that which Podman makes for the monitor of a container with `--uidmap`:
nothing of the container runs in it, and who rules the runtime rules the host.

Not reported: the slaves that `unshare --propagation slave`, systemd and container runtimes make, which only receive;
the cgroups of a container, in which it can reach nothing but its own.""",
    fix="""\
Make the mounts slaves (`mount --make-rslave /` in the namespace): the host's umounts still arrive, and nothing goes
back. Make them private (`--make-rprivate`) where nothing of the host is to arrive either; then what the host unmounts
stays in use there. `mntscope isolate PID PATH` does it for one path, proves that the host is unharmed, and can undo
it.""",
    references=(MOUNT_NAMESPACES, SHARED_SUBTREES),
    check=check,
)
