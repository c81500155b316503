"""MNT002: the next mount of proc in a PID namespace of its own covers the host's."""

from __future__ import annotations

from collections.abc import Iterator

from mntscope.graph import leaks_in
from mntscope.propagation.operations import MountNew
from mntscope.rules.leaking_tree import LeakingTree
from mntscope.rules.leaks import MOUNT_NAMESPACES, PID_NAMESPACES, remedy
from mntscope.rules.machine import Machine
from mntscope.rules.rule import Evidence, Finding, Rule

PROC = "/proc"


def check(machine: Machine) -> Iterator[Finding]:
    """Namespaces with PID namespaces of their own, whose ``/proc`` passes on mounts to the host's."""
    for view in machine.others:
        own = [number for number in machine.pid_namespaces(view.label) if machine.beneath(number)]
        if not own:
            continue
        for leak in leaks_in(machine.graph, view.label, machine.host.label, path=PROC):
            if leak.direction != "in" and PROC in leak.lands_at:
                from mntscope.analysis.plan import PROC_OPTIONS

                leaking = LeakingTree((leak,))
                yield RULE.finding(
                    view.label,
                    f"{machine.words(view.label)} has a PID namespace of its own, and a proc that it mounts at {PROC}"
                    " covers the host's: no program of the host would find itself there any more",
                    (machine.name(view.label), PROC),
                    path=PROC,
                    evidence=Evidence(
                        mounts=leaking.members(view.label, machine.host.label),
                        peer_group=(leak.mount.device, leak.peer_group),
                        lands_at=tuple((machine.host.label, path) for path in leak.lands_at),
                        effects=machine.predicted(MountNew(view.label, "proc", "proc", PROC, PROC_OPTIONS)),
                        facts=(("its PID namespace", str(min(own))), ("the host's", str(machine.host_pid_namespace))),
                    ),
                    commands=remedy(machine, view.label, leaking),
                    advice="Then mount its proc: `mntscope isolate PID --mount-proc` does both, and proves that the"
                    " host is unharmed. Start it with `unshare --pid --fork --mount --mount-proc`, which makes all"
                    " mounts private first.",
                )


RULE = Rule(
    id="MNT002",
    name="proc-would-cover-host",
    severity="critical",
    confidence="certain",
    summary="A PID namespace of its own whose next mount of proc lands on the host's /proc",
    why="""\
Whoever makes a new PID namespace mounts a proc next, since the old one still lists the processes of the host. If
`/proc` is a peer of the host's, that mount happens on the host as well: there, `/proc` then shows a PID namespace in
which the host's programs are not. `/proc/self` dangles; `ps`, `sudo`, `systemctl`, shells and language runtimes
fail. Only `umount /proc` helps, where it can still be run.""",
    fix="""\
Make `/proc` private in the namespace *before* mounting proc there: `mount --make-private /proc`. Nothing is lost by
private here: proc has no device that a copy could keep busy.""",
    references=(MOUNT_NAMESPACES, PID_NAMESPACES),
    check=check,
)
