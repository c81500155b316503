"""MNT013: mounts that receive from groups of which no view shows a member."""

from __future__ import annotations

from collections.abc import Iterator

from mntscope.base.counting import counted
from mntscope.graph import Member, PeerGroup
from mntscope.rules.leaks import MOUNT_NAMESPACES
from mntscope.rules.machine import Machine
from mntscope.rules.rule import Evidence, Finding, Reference, Rule

MOST = 8


def check(machine: Machine) -> Iterator[Finding]:
    """One finding for each namespace, with all such groups."""
    known = {view.label for view in (machine.host, *machine.others)}
    of: dict[str, list[tuple[PeerGroup, Member]]] = {}
    for group in machine.graph.groups.values():
        if group.external:
            for slave in group.slaves:
                if slave.label in known:
                    of.setdefault(slave.label, []).append((group, slave))
    for label, found in of.items():
        yield _finding(machine, label, found)


def _finding(machine: Machine, label: str, found: list[tuple[PeerGroup, Member]]) -> Finding:
    (group, first), *others = found
    more = f"; the same goes for {counted(len(others), 'more mount')}" if others else ""
    unread = len(machine.snapshot.not_seen)
    return RULE.finding(
        label,
        f"{first.mount.mount_point} of {machine.words(label)} receives mounts and umounts from peer group"
        f" {group.number}, of which no member was seen{more}",
        (machine.name(label), *sorted({slave.mount.mount_point for _, slave in found})),
        path=first.mount.mount_point,
        evidence=Evidence(
            mounts=tuple(slave for _, slave in found[:MOST]),
            peer_group=(group.device, group.number),
            facts=(
                ("groups without a member in sight", str(len({group.number for group, _ in found}))),
                ("gaps in the capture", str(unread)),
            ),
        ),
        advice="Capture as root, in the initial PID namespace, everything: the members are in a namespace that was not"
        " read, outside of the reader's root directory, or in a tree that was unmounted lazily and is still open.",
    )


RULE = Rule(
    id="MNT013",
    name="master-not-seen",
    severity="low",
    confidence="possible",
    summary="A mount receives events from a peer group of which no captured namespace shows a member",
    why="""\
`master:N` in mountinfo says that a mount receives the mounts and umounts of peer group N. The kernel dissolves a group
with its last member, so somewhere there is one: in a namespace that was not captured, outside of the root directory
through which a namespace was read, or in a tree that belongs to no namespace (unmounted with `umount --lazy` while in
use, or held by a descriptor of open_tree(2)). Whoever has it can mount and unmount in this namespace, and what this
report says about leaks is incomplete to that extent.""",
    fix="""\
Capture the whole machine as root and look again. If the group is still not seen, make the mount private where it need
not receive anything (`mount --make-private PATH` in the namespace), or look for a lazily unmounted tree: a process with
its working directory, root or an open file in it.""",
    references=(
        MOUNT_NAMESPACES,
        Reference("proc_pid_mountinfo(5), master:X", "https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html"),
        Reference("CRIU: external masters", "https://github.com/checkpoint-restore/criu/issues/1458"),
    ),
    check=check,
)
