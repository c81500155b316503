"""What the rules about leaks share: leaks put together that are one fault, and what stops them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mntscope.analysis.remedies import Command
from mntscope.base.counting import counted
from mntscope.errors import MntscopeError
from mntscope.propagation.operations import SetPropagation
from mntscope.rules.leaking_tree import LeakingTree
from mntscope.rules.machine import Machine
from mntscope.rules.rule import Deferred, Reference

if TYPE_CHECKING:
    from mntscope.analysis.plan import Kind

MOUNT_NAMESPACES = Reference(
    "mount_namespaces(7), Shared subtrees", "https://man7.org/linux/man-pages/man7/mount_namespaces.7.html"
)
SHARED_SUBTREES = Reference("Linux kernel, Shared Subtrees", "https://docs.kernel.org/filesystems/sharedsubtree.html")
PID_NAMESPACES = Reference(
    "pid_namespaces(7), /proc and PID namespaces", "https://man7.org/linux/man-pages/man7/pid_namespaces.7.html"
)


PLAN = 6
"""About as many predictions go into a plan."""


def leaking_trees(machine: Machine, label: str) -> list[LeakingTree]:
    """What a namespace leaks to the host, one for each topmost mount that does, the worst first.

    Without the :func:`hidden_leaking_trees`, of which another rule tells.
    """
    return [leaking for leaking in machine.leaking_trees[label] if not _unseen(machine, label, leaking)]


def hidden_leaking_trees(machine: Machine, label: str) -> list[LeakingTree]:
    """Those that no path leads to, at a place where what is seen does not leak."""
    return [leaking for leaking in machine.leaking_trees[label] if _unseen(machine, label, leaking)]


def _unseen(machine: Machine, label: str, leaking: LeakingTree) -> bool:
    if not leaking.top.hidden:
        return False
    seen = machine.tree(label).containing(leaking.top.path)
    return seen is not None and all(leak.mount is not seen for leak in leaking.leaks)


def remedy(machine: Machine, label: str, leaking: LeakingTree) -> Sequence[Command]:
    """The commands that stop a leak, as the planner of `isolate` gives them; none where it refuses.

    With leaks below, all mounts below become slaves: what each of them is for, nobody here knows.
    """
    leak = leaking.top
    kind: Kind = "slave" if leaking.below or leak.remedy == "make-slave" else "private"
    if leak.remedy_path is None:
        return ()
    unproven = SetPropagation(label, leak.remedy_path, kind, recursive=leaking.below > 0)
    # The time that it takes is set aside now: which remedies are proven must not depend on which are looked at.
    proven = machine.may_simulate(times=PLAN)

    def work_out() -> tuple[Command, ...]:
        changes = _planned(machine, leak.path, unproven, kind) if proven else [unproven]
        words = [(f"--make-{'r' if change.recursive else ''}{change.type}", change.target) for change in changes]
        return machine.commands(label, "mount", *words)

    return Deferred(work_out)


def _planned(machine: Machine, path: str, change: SetPropagation, kind: Kind) -> list[SetPropagation]:
    """What the planner makes of a *change* that is to stop what leaks at *path*."""
    # Looked up only here: most who audit a machine only count.
    from mntscope.analysis.plan import make_plan

    recursive = change.recursive
    try:
        # By force: it refuses to change covered mounts, which undo could not reach. Here they are to change.
        plan = make_plan(machine.snapshot, change.ns, [path], kind=kind, recursive=recursive, force=recursive)
    except MntscopeError:
        return []
    # A slave elsewhere that loses its master receives less: that is no harm. Anything else would be.
    effects = (effect for action in plan.actions for effect in action.effects)
    if any(effect.crosses and effect.change != "propagation" for effect in effects):
        return []
    operations = (action.operation for action in plan.actions)
    return [operation for operation in operations if isinstance(operation, SetPropagation)]


def somewhere(paths: tuple[str, ...]) -> str:
    """The first path, and how many more there are."""
    return paths[0] if len(paths) == 1 else f"{paths[0]} and {counted(len(paths) - 1, 'more path')}"
