"""MNT006: a directory of the host that a container can mount over."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mntscope.graph import Severity
from mntscope.propagation.operations import MountNew
from mntscope.rules.leaking_tree import MOST, LeakingTree
from mntscope.rules.leaks import MOUNT_NAMESPACES, SHARED_SUBTREES, leaking_trees, remedy, somewhere
from mntscope.rules.machine import Machine
from mntscope.rules.rule import Evidence, Finding, Reference, Rule

_FOR_OTHERS = re.compile(r"/kubelet(/|$)|^/run/(k3s|containerd|crio|docker|netns)(/|$)|^/sys/fs(/|$)")
"""Where it is the work of a runtime, or of a plugin for storage or networks, to mount for others."""
_BY_KIND = {"snap": re.compile(r"^/(media|run/netns)(/|$)"), "docker": re.compile(r"^/var/lib/docker/plugins/")}
"""By the kind of owner: what snap-confine shares with every snap, both ways; and Docker with its volume plugins."""


def check(machine: Machine) -> Iterator[Finding]:
    """One finding for each topmost mount through which a container changes the host."""
    for view in machine.others:
        if machine.own_root(view.label):
            for leaking in leaking_trees(machine, view.label):
                yield _finding(machine, view.label, leaking)


def _finding(machine: Machine, label: str, leaking: LeakingTree) -> Finding:
    leak = leaking.top
    there = somewhere(leak.lands_at)
    inside = [below.path for below in leaking.leaks if below.mount is not leak.mount]
    already = f"; {somewhere(tuple(inside))} in it {'is' if len(inside) == 1 else 'are'} shared too" if inside else ""
    return RULE.finding(
        label,
        f"{machine.words(label)} can mount over the host's {there}: its volume {leak.path} is shared both"
        f" ways{already}",
        (machine.name(label), leak.path, leak.lands_at[0]),
        severity=_severity(machine, label, leaking),
        path=leak.path,
        evidence=Evidence(
            mounts=leaking.members(label, machine.host.label),
            peer_group=(leak.mount.device, leak.peer_group),
            lands_at=tuple((machine.host.label, path) for path in leak.lands_at[:MOST]),
            effects=machine.predicted(MountNew(label, "tmpfs", "example", leak.path)),
            facts=(("role", machine.roles[label]), ("mounts that leak", str(1 + leaking.below))),
        ),
        commands=remedy(machine, label, leaking),
        advice="For good: `rslave` instead of `rshared` in the container's volume (Kubernetes: mountPropagation:"
        " HostToContainer instead of Bidirectional), unless mounting for the host is what it is there for.",
    )


def _severity(machine: Machine, label: str, leaking: LeakingTree) -> Severity:
    """Low where it is meant: for runtimes and node plugins where mounts come and go; else what all of a kind get."""
    role = machine.roles[label]
    owner = machine.view(label).namespace.owner
    meant = _FOR_OTHERS if role in ("runtime", "node-plugin") else _BY_KIND.get(owner.kind if owner else "")
    if meant is not None and all(meant.search(path) for leak in leaking.leaks for path in leak.lands_at):
        return "low"
    return leaking.severity


RULE = Rule(
    id="MNT006",
    name="bidirectional-volume",
    severity="critical",
    confidence="likely",
    summary="A container with a volume that is shared with the host both ways: what it mounts there, the host has too",
    why="""\
A volume with the propagation `rshared` (Kubernetes: `Bidirectional`) is a peer of the directory of the host that it was
bound from. What the container mounts in it appears on the host, and hides what was there; what it unmounts is
unmounted on the host; and what it leaves behind when it ends stays, once more at each start. Only privileged containers
may mount, and of these one that is taken over can put its own files before the host's: over `/etc`, where programs
are found, or where the runtime keeps its sockets.

It is meant for node plugins, which mount volumes (or BPF file systems) for others. For these, and for runtimes, a
finding is *low* as long as all that is reached lies where such mounts come and go; so is what snapd shares with every
snap, and Docker with its volume plugins.""",
    fix="""\
Share one way (`rslave`, `HostToContainer`): the container still sees what the host mounts. The command does so for the
running container, the volume's definition for the next.""",
    references=(
        MOUNT_NAMESPACES,
        SHARED_SUBTREES,
        Reference(
            "CIS Docker Benchmark 5.20 (5.19 before 1.6), Ensure mount propagation mode is not set to shared",
            "https://www.cisecurity.org/benchmark/docker",
        ),
        Reference(
            "Kubernetes, Volumes: Mount propagation",
            "https://kubernetes.io/docs/concepts/storage/volumes/#mount-propagation",
        ),
    ),
    check=check,
)
