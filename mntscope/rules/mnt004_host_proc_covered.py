"""MNT004: something that is not the host's lies over its /proc."""

from __future__ import annotations

from collections.abc import Iterator

from mntscope.graph import Member
from mntscope.model import Mount
from mntscope.propagation.operations import Umount
from mntscope.rules.leaking_tree import MOST
from mntscope.rules.leaks import MOUNT_NAMESPACES, PID_NAMESPACES
from mntscope.rules.machine import Machine
from mntscope.rules.rule import Confidence, Evidence, Finding, Rule

PROC = "/proc"


def check(machine: Machine) -> Iterator[Finding]:
    """The host's own proc, covered."""
    tree, host = machine.tree(machine.host.label), machine.host
    *beneath, cover = tree.stack(PROC) or (None,)
    own = next((mount for mount in reversed(beneath) if mount is not None and mount.fs_type == "proc"), None)
    if cover is None or own is None or cover.device == own.device or tree.containing(PROC) is not cover:
        return
    confidence = _confidence(machine, cover)
    if confidence is None:
        return
    whose = "a proc of another PID namespace" if cover.fs_type == "proc" else f"a {cover.fs_type}"
    sharing = [
        Member(view.label, mount)
        for view in machine.others
        for mount in machine.tree(view.label).stack(PROC)
        if mount.device == cover.device
    ]
    also = f"; {machine.words(sharing[0].label)} has the same one" if sharing else ""
    yield RULE.finding(
        host.label,
        f"the host's {PROC} is covered by {whose}: its programs do not find themselves there{also}",
        (machine.name(host.label), PROC, cover.fs_type),
        confidence=confidence,
        path=PROC,
        evidence=Evidence(
            mounts=(Member(host.label, cover), Member(host.label, own), *sharing[:MOST]),
            peer_group=None if cover.peer_group is None else (cover.device, cover.peer_group),
            effects=machine.predicted(Umount(host.label, PROC)),
            facts=(
                ("PID namespace that /proc shows", str(host.proc_pid_namespace or "not known")),
                ("the host's", str(machine.host_pid_namespace or "not known")),
            ),
        ),
        commands=machine.commands(host.label, "umount", (PROC,)),
        advice="That also takes the proc away from whoever mounted it, if it is a peer: isolate it then"
        " (`mntscope isolate PID --mount-proc`). If umount finds it busy, `umount --lazy /proc`.",
    )


def _confidence(machine: Machine, cover: Mount) -> Confidence | None:
    """How sure it is that the cover is wrong; ``None`` where it is right: a second proc with other options."""
    if cover.fs_type != "proc":
        return "certain"
    shown, own = machine.host.proc_pid_namespace, machine.host_pid_namespace
    if shown is not None and own is not None:
        return None if shown == own else "certain"
    # From tables alone: the proc that covers the host's is mounted at another namespace's /proc as well.
    its = (machine.tree(view.label).containing(PROC) for view in machine.others)
    return "likely" if any(mount is not None and mount.device == cover.device for mount in its) else None


RULE = Rule(
    id="MNT004",
    name="host-proc-covered",
    severity="critical",
    confidence="certain",
    summary="The host's own /proc is covered by a proc of another PID namespace, or by something else",
    why="""\
What MNT002 warns of has happened: a mount at `/proc` of some namespace propagated to the host. Programs of the host
look up their own numbers in a table of other processes: `/proc/self` dangles or belongs to a stranger. `ps`, `top`,
`sudo`, `systemctl`, debuggers and many language runtimes fail or lie, and what signals by number hits the wrong
process. The host's own proc is intact underneath.""",
    fix="""\
`umount /proc` on the host uncovers its own. It propagates too: the namespace from which the mount came loses its proc,
and must be isolated before it mounts another (MNT001, MNT002).""",
    references=(MOUNT_NAMESPACES, PID_NAMESPACES),
    check=check,
    present=True,
)
