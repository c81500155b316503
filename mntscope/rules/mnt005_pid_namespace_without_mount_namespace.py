"""MNT005: a PID namespace whose processes mount where the host does."""

from __future__ import annotations

from collections.abc import Iterator

from mntscope.graph import Member
from mntscope.graph.names import process_name
from mntscope.model import Process
from mntscope.rules.leaks import PID_NAMESPACES
from mntscope.rules.machine import Machine
from mntscope.rules.rule import Evidence, Finding, Reference, Rule

PROC = "/proc"


def check(machine: Machine) -> Iterator[Finding]:
    """One finding for each PID namespace that has processes in the host's mount namespace."""
    own = machine.host_pid_namespace
    if own is None:
        return
    host = machine.host
    by_namespace: dict[int, list[Process]] = {}
    for process in machine.residents(host.label):
        if process.pid_namespace is not None and machine.beneath(process.pid_namespace):
            by_namespace.setdefault(process.pid_namespace, []).append(process)
    mount = machine.tree(host.label).containing(PROC)
    for number, processes in sorted(by_namespace.items()):
        first = min(processes, key=lambda process: (process.start_time or 0, process.pid))
        more = f" (and {len(processes) - 1} more)" if len(processes) > 1 else ""
        yield RULE.finding(
            host.label,
            f"process {process_name(first)}{more} has a PID namespace of its own, but the host's mounts: its /proc"
            " shows the host's processes, and a proc that it mounts covers the host's",
            (machine.name(host.label), first.comm),
            path=PROC,
            evidence=Evidence(
                mounts=() if mount is None else (Member(host.label, mount),),
                facts=(
                    ("its PID namespace", str(number)),
                    ("the host's", str(own)),
                    ("processes", str(len(processes))),
                ),
            ),
            advice="Nothing can be done from outside: a process enters a mount namespace by itself only. Start it anew"
            " with `unshare --pid --fork --mount --mount-proc`, or with `mntscope run`.",
        )


RULE = Rule(
    id="MNT005",
    name="pid-namespace-without-mount-namespace",
    severity="high",
    confidence="likely",
    summary="Processes with a PID namespace of their own in the host's mount namespace",
    why="""\
A PID namespace needs a proc of its own to be of use, and a mount namespace to mount it in. `unshare --pid --fork`
without `--mount` has none: until proc is mounted, `ps` shows the host's processes under the host's numbers; as soon as
it is, the host's `/proc` is covered, and no propagation type protects from that, since it is one and the same mount
namespace.

Not reported: processes with another root directory or user namespace (the sandboxes of browsers), which can mount
nothing here.""",
    fix="""\
Give it a mount namespace when it is started: `unshare --pid --fork --mount --mount-proc`.""",
    references=(
        PID_NAMESPACES,
        Reference("unshare(1), --mount-proc", "https://man7.org/linux/man-pages/man1/unshare.1.html"),
    ),
    check=check,
)
