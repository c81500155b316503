"""MNT003: a /proc that lists the processes of another PID namespace."""

from __future__ import annotations

from collections.abc import Iterator

from mntscope.analysis.remedies import Command
from mntscope.graph import Member
from mntscope.graph.names import process_name
from mntscope.model import Process, View
from mntscope.rules.leaks import PID_NAMESPACES
from mntscope.rules.machine import Machine
from mntscope.rules.rule import Evidence, Finding, Reference, Rule

PROC = "/proc"


def check(machine: Machine) -> Iterator[Finding]:
    """Namespaces with a process that its own /proc does not list."""
    for view in machine.others:
        stranger = _stranger(machine, view)
        if stranger is None:
            continue
        mount = machine.tree(view.label).containing(PROC)
        hosts = view.proc_pid_namespace == machine.host_pid_namespace
        whose = "the host's" if hosts else "another's"
        yield RULE.finding(
            view.label,
            f"{machine.words(view.label)} has a PID namespace of its own, but its {PROC} shows {whose}: ps and kill"
            " take other processes' numbers for its own",
            (machine.name(view.label), PROC),
            severity="medium" if hosts else "low",
            path=PROC,
            evidence=Evidence(
                mounts=() if mount is None else (Member(view.label, mount),),
                facts=(
                    ("its PID namespace", str(stranger.pid_namespace)),
                    ("the one that /proc shows", str(view.proc_pid_namespace)),
                    ("process", process_name(stranger)),
                ),
            ),
            commands=_fresh_proc(stranger),
            advice="The command makes /proc private and mounts a proc there. Where the process is started, give it one:"
            " `unshare --pid --fork --mount-proc`, `bwrap --proc /proc`.",
        )


def _stranger(machine: Machine, view: View) -> Process | None:
    """A process that lives in neither the PID namespace that /proc shows nor the host's.

    One of the host's is a visitor (`nsenter --mount`). What has another root directory, or another user namespace, is
    confined on purpose, as browsers do with their parts: it could not mount a proc here.
    """
    shown = view.proc_pid_namespace
    if shown is None:
        return None
    others = (
        process
        for process in machine.residents(view.label)
        if process.pid_namespace != shown and machine.beneath(process.pid_namespace)
    )
    return min(others, key=lambda process: process.pid, default=None)


def _fresh_proc(stranger: Process) -> tuple[Command, ...]:
    return (("mntscope", "isolate", str(stranger.pid), "--mount-proc"),)


RULE = Rule(
    id="MNT003",
    name="foreign-proc",
    severity="medium",
    confidence="certain",
    summary="A /proc that shows another PID namespace than that of the processes that use it",
    why="""\
A proc shows the PID namespace of the process that mounted it, for good. After `unshare --pid` without `--mount-proc`,
`/proc` still is the host's: `ps` lists all processes of the host with their command lines and, for root, their
environments; `/proc/self` leads nowhere, since the process has no number there; and `kill`, `pidof` and supervisors
take the number of a stranger for that of their own child.""",
    fix="""\
Make `/proc` private, then mount a proc of the own PID namespace over it; `mntscope isolate PID --mount-proc` does both,
in this order.""",
    references=(
        PID_NAMESPACES,
        Reference("unshare(1), --mount-proc", "https://man7.org/linux/man-pages/man1/unshare.1.html"),
    ),
    check=check,
    present=True,
)
