"""MNT008: copies of the host's mounts that the host's umount does not reach."""

from __future__ import annotations

from collections.abc import Iterator

from mntscope.analysis.remedies import Command
from mntscope.base.counting import counted
from mntscope.graph import Member
from mntscope.model import View
from mntscope.propagation.operations import Umount
from mntscope.rules.leaks import MOUNT_NAMESPACES
from mntscope.rules.machine import Machine
from mntscope.rules.pins import Pinned, Pins
from mntscope.rules.rule import Evidence, Finding, Reference, Rule

MOST = 16
"""So many mounts are named, and unmounted by the commands given."""


def check(machine: Machine) -> Iterator[Finding]:
    """One finding for each namespace that pins something; a namespace without processes is MNT015's."""
    pins = Pins(machine)
    for view in machine.others:
        if view.namespace.processes or view.process is not None or view.namespace.inode is None:
            pinned = pins.of(view)
            if pinned:
                yield _finding(machine, view, pinned)


def _finding(machine: Machine, view: View, pinned: list[Pinned]) -> Finding:
    first = pinned[0]
    others = len(pinned) - 1
    do = "does" if others == 1 else "do"
    more = f", nor {do} {counted(others, 'more mount')} of the host" if others else ""
    there = first.host.mount_point
    return RULE.finding(
        view.label,
        f"{machine.words(view.label)} keeps {first.host.source or first.host.fs_type} in use after the"
        f" host unmounts {there}: its copy at {first.mount.mount_point} does not receive the umount{more}",
        (machine.name(view.label), *sorted({pin.host.mount_point for pin in pinned})),
        path=first.mount.mount_point,
        evidence=Evidence(
            mounts=tuple(
                member
                for pin in pinned[:MOST]
                for member in (Member(view.label, pin.mount), Member(machine.host.label, pin.host))
            ),
            effects=machine.predicted(Umount(machine.host.label, first.host.mount_point, lazy=True)),
            facts=(("mounts kept", str(len(pinned))),),
        ),
        commands=unmounts(machine, view.label, pinned),
        advice="Unmount them there, or stop the program. For good: start it with `unshare --mount --propagation slave`,"
        " or mount the volume `rslave` (Docker) or with `mountPropagation: HostToContainer` (Kubernetes). Changing the"
        " type of a copy that exists does not bring back what it was cut off from.",
    )


def unmounts(machine: Machine, label: str, pinned: list[Pinned]) -> tuple[Command, ...]:
    """What releases them, the deepest first; nothing where one cannot be named by a path, or there is no way in."""
    tree = machine.tree(label)
    if len(pinned) > MOST or any(tree.named_by(pin.mount.mount_point) is not pin.mount for pin in pinned):
        return ()
    return machine.commands(label, "umount", *((pin.mount.mount_point,) for pin in reversed(pinned)))


RULE = Rule(
    id="MNT008",
    name="pinned-host-mount",
    severity="medium",
    confidence="likely",
    summary="A namespace holds copies of the host's mounts that do not receive the host's umounts",
    why="""\
A mount namespace begins as a copy of another, and a recursive bind mount copies all that is mounted below. Where these
copies are private, nothing tells them that the host has unmounted the original: `umount` succeeds, findmnt shows
nothing more, and still the device cannot be removed, formatted or checked, the NFS server stays in use, the volume
cannot be detached. It is the classic cause of "device or resource busy": a monitoring agent with `-v /:/rootfs:ro`, or
a service whose namespace is private, keeps every volume that was mounted when it started.

Reported are block devices, network filesystems and FUSE, below a directory that the namespace has copied from the host.
Not reported: a volume that was given to a container as such, which is meant to use it; tmpfs, overlay and the kernel's
filesystems, which nothing waits for; the filesystem of the host's own `/`.""",
    fix="""\
Unmount the copies in the namespace that holds them (`umount --namespace PID PATH`), or restart the program in it. So
that it does not come back, let the copies be slaves, which receive umounts: `unshare --propagation slave`,
`-v /:/rootfs:ro,rslave`, `mountPropagation: HostToContainer`, `PrivateMounts=yes` instead of `MountFlags=private`.
`mntscope holders PATH` shows everyone who holds a filesystem.""",
    references=(
        MOUNT_NAMESPACES,
        Reference(
            "Docker, bind mounts: configure bind propagation",
            "https://docs.docker.com/engine/storage/bind-mounts/#configure-bind-propagation",
        ),
        Reference(
            "Kubernetes, Volumes: mount propagation",
            "https://kubernetes.io/docs/concepts/storage/volumes/#mount-propagation",
        ),
        Reference(
            "node_exporter 602: an agent keeps removed containers busy",
            "https://github.com/prometheus/node_exporter/issues/602",
        ),
        Reference(
            "moby 27381: device is busy, held by a service's namespace", "https://github.com/moby/moby/issues/27381"
        ),
    ),
    check=check,
)
