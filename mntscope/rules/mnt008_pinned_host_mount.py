"""MNT008: copies of the host's mounts that the host's umount does not reach."""

from __future__ import annotations

from collections.abc import Iterator

from mntscope.analysis.pins import Pinned
from mntscope.analysis.remedies import Command
from mntscope.analysis.umounts import unmount
from mntscope.base.counting import counted
from mntscope.graph import Member
from mntscope.model import View
from mntscope.propagation.operations import Umount
from mntscope.rules.leaks import MOUNT_NAMESPACES
from mntscope.rules.machine import Machine
from mntscope.rules.rule import Evidence, Finding, Reference, Rule

MOST = 16
"""So many mounts are named, and unmounted by the commands given."""


def check(machine: Machine) -> Iterator[Finding]:
    """One finding for each namespace that pins something; a namespace without processes is MNT015's."""
    for view in machine.others:
        if view.namespace.processes or view.process is not None or view.namespace.inode is None:
            pinned = machine.pins.of(view)
            if pinned:
                yield _finding(machine, view, pinned)


def _finding(machine: Machine, view: View, pinned: list[Pinned]) -> Finding:
    # What is only on its way matters less than what keeps something now.
    first = next((pin for pin in pinned if pin.host is None), pinned[0])
    others = len(pinned) - 1
    return RULE.finding(
        view.label,
        f"{machine.words(view.label)} keeps {_keeps(first)}{_more(first, others)}",
        (machine.name(view.label), *sorted({pin.path for pin in pinned})),
        # Nothing but its place says that the host has ever had it.
        confidence="likely" if any(pin.host for pin in pinned) else "possible",
        path=first.mount.mount_point,
        present=first.host is None,
        evidence=Evidence(
            mounts=tuple(member for pin in pinned[:MOST] for member in evidence(machine, view, pin)),
            effects=machine.predicted(Umount(machine.host.label, first.path, lazy=True)) if first.host else (),
            facts=(("mounts kept", str(len(pinned))),),
        ),
        commands=unmounts(machine, view.label, pinned),
        advice="Unmount them there, or stop the program. For good: start it with `unshare --mount --propagation slave`,"
        " or mount the volume `rslave` (Docker) or with `mountPropagation: HostToContainer` (Kubernetes). Changing the"
        " type of a copy that exists does not bring back what it was cut off from.",
    )


def _keeps(pin: Pinned) -> str:
    source, copy = pin.mount.source or pin.mount.fs_type, pin.mount.mount_point
    if pin.mount.fs_type == "nsfs":
        source = pin.mount.root
    if pin.host is None:
        return (
            f"{source} in use, which the host does not have mounted at {pin.path} any more: its copy at {copy} stayed"
        )
    return f"{source} in use after the host unmounts {pin.path}: its copy at {copy} does not receive the umount"


def _more(first: Pinned, others: int) -> str:
    if not others:
        return ""
    if first.host is None:
        return f", as do {counted(others, 'more mount')}" if others > 1 else ", as does 1 more mount"
    return f", nor {'does' if others == 1 else 'do'} {counted(others, 'more mount')} of the host"


def evidence(machine: Machine, view: View, pin: Pinned) -> Iterator[Member]:
    """The copy, and the host's mount where there still is one."""
    yield Member(view.label, pin.mount)
    if pin.host is not None:
        yield Member(machine.host.label, pin.host)


def unmounts(machine: Machine, label: str, pinned: list[Pinned]) -> tuple[Command, ...]:
    """What releases them, the deepest first, one after the other; nothing where there is no way to name one."""
    tree = machine.tree(label)
    if len(pinned) > MOST or any(tree.named_by(pin.mount.mount_point) is not pin.mount for pin in pinned):
        return ()
    if not (simulation := machine.simulation_of(label)):
        return machine.commands(label, "umount", *((pin.mount.mount_point,) for pin in reversed(pinned)))
    # What goes with another, or is mounted in one, is known when that has been carried out.
    each = (unmount(simulation, label, pin.mount) for pin in reversed(pinned))
    return machine.commands(label, "umount", *(words for words in each if words))


RULE = Rule(
    id="MNT008",
    name="pinned-host-mount",
    severity="medium",
    confidence="likely",
    summary="A namespace keeps filesystems of the host's in use, out of the reach of the host's umounts",
    why="""\
A mount namespace begins as a copy of another, and a recursive bind mount copies all that is mounted below. Where these
copies are private, nothing tells them that the host has unmounted the original: `umount` succeeds, findmnt shows
nothing more, and still the device cannot be removed, formatted or checked, the NFS server stays in use, the volume
cannot be detached. It is the classic cause of "device or resource busy": a monitoring agent with `-v /:/rootfs:ro`, or
a service whose namespace is private, keeps every volume that was mounted when it started. A slave receives umounts, and
keeps a mount all the same if something is mounted in it.

Reported are block devices, network filesystems, FUSE and named network namespaces, below a directory that the namespace
has copied from the host: while the host has them mounted, and when it does not any more (`possible`, as no table tells
what the host has had). Not reported: a copy that the host's umount takes along, from any of the places where the host
shows the directory; a volume that was given to a container as such, which is meant to use it; tmpfs, overlay and the
kernel's filesystems, which nothing waits for; the filesystem of the host's own `/`.""",
    fix="""\
Unmount the copies in the namespace that holds them (`umount --namespace PID PATH`), or restart the program in it. So
that it does not come back, let the copies be slaves, which receive umounts: `unshare --propagation slave`,
`-v /:/rootfs:ro,rslave`, `mountPropagation: HostToContainer`, `PrivateMounts=yes` instead of `MountFlags=private`.
`mntscope holders PATH` shows everyone who holds a filesystem, and `mntscope holders` all that the host has unmounted
and others keep.""",
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
