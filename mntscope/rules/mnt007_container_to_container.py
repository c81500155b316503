"""MNT007: a peer group of several namespaces, none of which is the host's."""

from __future__ import annotations

from collections.abc import Iterator

from mntscope.analysis.remedies import Command
from mntscope.graph import Member, PeerGroup, Severity
from mntscope.graph.names import listed
from mntscope.model import Mount
from mntscope.rules.leaking_tree import MOST, outward
from mntscope.rules.leaks import MOUNT_NAMESPACES, SHARED_SUBTREES
from mntscope.rules.machine import Machine
from mntscope.rules.rule import Evidence, Finding, Rule


def check(machine: Machine) -> Iterator[Finding]:
    """One finding for each set of namespaces that share with each other, and not with the host."""
    known = {view.label for view in machine.others}
    reported = {label: {leak.mount for leak in outward(leaks)} for label, leaks in machine.leaks.items()}
    shared: dict[tuple[str, ...], list[PeerGroup]] = {}
    for group in machine.graph.groups.values():
        labels = tuple(sorted({member.label for member in group.members}))
        others = tuple(label for label in labels if label in known)
        if len(others) < 2 or machine.host.label in labels:
            continue
        if not any(member.mount in reported.get(member.label, ()) for member in group.members):
            shared.setdefault(others, []).append(group)
    for labels, groups in shared.items():
        yield _finding(machine, labels, groups)


def _finding(machine: Machine, labels: tuple[str, ...], groups: list[PeerGroup]) -> Finding:
    # The oldest first: that the others were copied from it is the likely story.
    labels = tuple(sorted(labels, key=lambda label: (_age(machine, label), machine.name(label))))
    mine = [_topmost(group, labels[0]) for group in groups]
    group, top = min(zip(groups, mine, strict=True), key=lambda pair: (len(pair[1].mount_point), pair[1].mount_point))
    its = _topmost(group, labels[1])
    others = [member for member in group.members if member.mount is not top]
    names = listed(map(machine.words, labels), len(labels))
    many = len(groups) > 1
    what = f"{len(groups)} mounts, {top.mount_point} among them, are each in" if many else f"{top.mount_point} is in"
    return RULE.finding(
        labels[0],
        f"{names} change each other's mounts: {what} a peer group of all of them",
        (machine.name(labels[0]), top.mount_point, *sorted(machine.name(label) for label in labels[1 : MOST + 1])),
        severity=_severity(machine, labels),
        path=top.mount_point,
        evidence=Evidence(
            mounts=(Member(labels[0], top), *others[:MOST]),
            peer_group=(group.device, group.number),
            lands_at=tuple((member.label, member.mount.mount_point) for member in group.members[:MOST]),
            facts=(("namespaces", str(len(labels))), ("peer groups", str(len(groups)))),
        ),
        commands=_commands(machine, labels, its, recursive=len(groups) > 1),
        advice="A namespace made from a container's is its peer, as one made from the host's is the host's: make its"
        " mounts slaves or private when it is made (`unshare --mount`). The commands leave the oldest as it is.",
    )


def _commands(machine: Machine, labels: tuple[str, ...], its: Mount, *, recursive: bool) -> tuple[Command, ...]:
    tree = machine.tree(labels[1])
    if tree.named_by(its.mount_point) is not its:
        return ()
    # Without a master, there is nobody whose umounts a slave would have to receive.
    kind = f"--make-{'r' if recursive else ''}{'private' if its.master is None else 'slave'}"
    found = [machine.command(label, "mount", kind, its.mount_point) for label in labels[1 : MOST + 1]]
    return tuple(command for command in found if command is not None)


def _severity(machine: Machine, labels: tuple[str, ...]) -> Severity:
    """Low where they belong together: to one pod, one owner, or to a runtime and what it runs."""
    owners = {machine.view(label).namespace.owner for label in labels}
    pods = {owner.pod for owner in owners if owner is not None}
    # A process's name says nothing about whose it is.
    known = all(owner is not None and owner.kind not in ("process", "") for owner in owners)
    together = known and (len(owners) == 1 or (len(pods) == 1 and pods != {""}))
    nested = any(machine.roles[label] in ("runtime", "node-plugin") for label in labels)
    return "low" if together or nested else "medium"


def _topmost(group: PeerGroup, label: str) -> Mount:
    mounts = (member.mount for member in group.members if member.label == label)
    return min(mounts, key=lambda mount: (len(mount.mount_point), mount.mount_point, mount.mount_id))


def _age(machine: Machine, label: str) -> tuple[bool, int, int]:
    process = machine.first_process(label)
    return (process is None, (process.start_time or 0) if process else 0, process.pid if process else 0)


RULE = Rule(
    id="MNT007",
    name="container-to-container",
    severity="medium",
    confidence="likely",
    summary="Namespaces that share mounts with each other, though not with the host",
    why="""\
A peer group joins whoever is in it. Two containers, or a container and what was unshared from it, that are members of
one group change each other's mounts: what one mounts hides files of the other, what one unmounts the other loses. The
host is not concerned, so nothing that looks at the host sees it.

Not reported: slaves of one common master, which only receive. *Low*: namespaces of one pod or one owner, and what a
runtime that lives in a container shares with its own containers.""",
    fix="""\
Leave the group in all namespaces but one: `mount --make-rslave` where the mounts have a master whose umounts should
arrive, `--make-rprivate` where not. Slaves still receive from the one that stays.""",
    references=(MOUNT_NAMESPACES, SHARED_SUBTREES),
    check=check,
)
