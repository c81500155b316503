"""MNT015: mount namespaces in which nobody lives."""

from __future__ import annotations

from collections.abc import Iterator

from mntscope.analysis.pins import Pinned
from mntscope.analysis.remedies import Command
from mntscope.base.counting import counted
from mntscope.graph import Severity
from mntscope.graph.names import process_name
from mntscope.model import Hold, View
from mntscope.rules.machine import Machine
from mntscope.rules.mnt008_pinned_host_mount import evidence
from mntscope.rules.rule import Confidence, Evidence, Finding, Reference, Rule

MOST = 8
SNAPD = "/run/snapd/ns/"
"""Where snapd keeps the namespaces of snaps that are not running, to use them again."""


def check(machine: Machine) -> Iterator[Finding]:
    """One finding for each."""
    for view in machine.others:
        if _empty(view) and not _meant(view):
            yield _finding(machine, view, machine.pins.of(view))


def _empty(view: View) -> bool:
    """Whether it is known that no process and no thread lives there: not so of a table from a file."""
    namespace = view.namespace
    lived_in = namespace.processes or view.process or any(hold.kind == "thread" for hold in namespace.holds)
    # Of a file that was asked for alone, nobody has looked who lives there.
    return not lived_in and namespace.inode is not None and not view.label.startswith("ns:")


def _meant(view: View) -> bool:
    owner = view.namespace.owner
    by_snapd = (hold.kind == "mount" and hold.where.startswith(SNAPD) for hold in view.namespace.holds)
    return (owner is not None and owner.kind == "snap") or any(by_snapd)


def _finding(machine: Machine, view: View, pinned: list[Pinned]) -> Finding:
    holds = view.namespace.holds
    keeps = f"; it keeps {_listed([pin.path for pin in pinned])} of the host in use" if pinned else ""
    severity: Severity = "medium" if pinned else "low"
    # A descriptor is held by somebody who may want it; and what was not seen may live there.
    forgotten = holds and all(hold.kind == "mount" for hold in holds) and not machine.snapshot.not_seen
    confidence: Confidence = "likely" if forgotten else "possible"
    inode = view.namespace.inode
    return RULE.finding(
        view.label,
        f"no process lives in mount namespace {inode}, which {_holders(machine, holds)}{keeps}",
        (machine.name(view.label), *sorted(_stable(hold) for hold in holds)),
        severity=severity,
        confidence=confidence,
        path=pinned[0].mount.mount_point if pinned else None,
        evidence=Evidence(
            mounts=tuple(member for pin in pinned[:MOST] for member in evidence(machine, view, pin)),
            facts=(
                ("mounts", str(len(view.mounts))),
                ("mounts of the host that it keeps", str(len(pinned))),
                *(("kept by", _held(machine, hold)) for hold in holds[:MOST]),
            ),
        ),
        commands=_commands(machine, holds),
        advice="Close it if nobody is to enter it again: unmount the file that keeps it, or end the process that holds"
        " it open. `mntscope tree ns:FILE` shows what is in it.",
    )


def _holders(machine: Machine, holds: tuple[Hold, ...]) -> str:
    if not holds:
        return "is kept by something that was not found"
    first, *others = holds
    more = f" and {len(others)} more" if others else ""
    return f"is kept by {_held(machine, first)}{more}"


def _held(machine: Machine, hold: Hold) -> str:
    if hold.kind == "mount":
        where = f" of {machine.words(hold.label)}" if _known(machine, hold.label) else ""
        return f"a mount of its file at {hold.where}{where}"
    by = f" of process {process_name(hold.process)}" if hold.process else ""
    return f"descriptor {hold.where.rpartition('/')[2]}{by}"


def _stable(hold: Hold) -> str:
    """What names a hold in every capture."""
    return hold.where if hold.kind == "mount" else f"fd of {hold.process.comm if hold.process else 'a process'}"


def _commands(machine: Machine, holds: tuple[Hold, ...]) -> tuple[Command, ...]:
    """The umounts of its file, where mounts are all that keeps it."""
    if not holds or len(holds) > MOST:
        return ()
    commands: list[Command] = []
    for hold in holds:
        if hold.kind != "mount" or not _known(machine, hold.label):
            return ()
        command = machine.command(hold.label, "umount", hold.where)
        if command is None:
            return ()
        commands.append(command)
    return tuple(commands)


def _known(machine: Machine, label: str) -> bool:
    return any(view.label == label for view in machine.snapshot.views)


def _listed(paths: list[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{paths[0]} and {counted(len(paths) - 1, 'more mount')}"


RULE = Rule(
    id="MNT015",
    name="namespace-without-process",
    severity="medium",
    confidence="likely",
    summary="A mount namespace exists in which no process lives",
    why="""\
A mount namespace lives as long as a process is in it, its file (`/proc/PID/ns/mnt`) is bind-mounted somewhere, or a
descriptor of it is open. One that nobody is in is easily forgotten: neither `ps` nor `lsns` of older util-linux shows
it, and its mounts are in no `/proc/*/mountinfo`. Private copies of the host's mounts in it keep their devices busy for
ever; shared ones still pass on events.

Medium where it keeps a device or network filesystem of the host in use, else low. Not reported: the namespaces that
snapd keeps for snaps in `/run/snapd/ns`.""",
    fix="""\
Find out what it was for (`mntscope tree ns:FILE`). If nothing: `umount FILE` where a bind mount keeps it, or
restart the program that holds the descriptor. Programs that persist namespaces (`unshare --mount=FILE`) should make
them slaves, so that the host's umounts arrive.""",
    references=(
        Reference("namespaces(7), namespace lifetime", "https://man7.org/linux/man-pages/man7/namespaces.7.html"),
        Reference("unshare(1), persistent namespaces", "https://man7.org/linux/man-pages/man1/unshare.1.html"),
        Reference(
            "util-linux 1881: lsns, namespaces that only mounts keep",
            "https://github.com/util-linux/util-linux/issues/1881",
        ),
        Reference(
            "snap-discard-ns(8): namespaces that snapd keeps",
            "https://manpages.ubuntu.com/manpages/noble/man8/snap-discard-ns.8.html",
        ),
    ),
    check=check,
    present=True,
)
