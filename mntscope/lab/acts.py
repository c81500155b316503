"""The story in five acts: why a mount of proc reaches the host, and what stops it; and how it runs.

An act is data: the commands, in order, that a process of the throwaway host runs, what undoes them, and what
mount_namespaces(7) and pid_namespaces(7) say will come of it. A run of it measures what does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from mntscope.analysis.diff import Diff, Verdict, diff
from mntscope.base.signals import uninterrupted
from mntscope.graph import MountTree
from mntscope.lab.scene import ProcView, Scene
from mntscope.live import capture
from mntscope.model import Mount, View

PROC = "/proc"
"""The path that the story is about, and that ``diff`` is asked about."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The four facts by which an act is judged, as they are after one of its commands."""

    host_broken: bool
    """The host's ``init`` does not find itself in its own /proc: ``/proc/self`` dangles, or names another."""
    host_changed: bool
    """The host's mountinfo differs from that before the act."""
    sees_host_processes: bool
    """The target's /proc lists processes of the host."""
    verdict: Verdict
    """Of ``mntscope diff TARGET /proc``, the throwaway host playing the host."""


@dataclass(frozen=True, slots=True)
class Act:
    """Commands to be run on a fresh throwaway host, and what the manual pages say will come of them."""

    number: int
    title: str
    commands: tuple[str, ...]
    why: str
    """One sentence that explains the facts, provided they are as *documented*."""
    documented: Facts
    undo: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """What the host and the target saw after a command, in their /proc and in their mount tables."""

    command: str
    """The command that led here; empty for the beginning of the act."""
    facts: Facts
    host: ProcView
    target: ProcView
    host_mount: Mount
    """The mount that the host finds at /proc."""
    target_mount: Mount
    diff: Diff
    """About /proc."""


@dataclass(frozen=True, slots=True)
class Run:
    """An act as it went on this kernel."""

    act: Act
    beginning: Reading
    steps: tuple[Reading, ...]
    """One a command of the act."""
    undone: tuple[Reading, ...]
    """One a command that undoes it."""

    @property
    def outcome(self) -> Reading:
        """What the act shows: the moment after its last command, before anything is undone."""
        return self.steps[-1]

    @property
    def surprises(self) -> tuple[str, ...]:
        """In which this kernel does otherwise than the manual pages say; empty: in nothing."""
        measured, documented = asdict(self.outcome.facts), asdict(self.act.documented)
        differing = [
            f"{name} is {measured[name]}, not {documented[name]}"
            for name in measured
            if measured[name] != documented[name]
        ]
        if self.undone and self.undone[-1].facts.host_broken:
            differing.append(f"host_broken is True after {self.undone[-1].command}")
        return tuple(differing)


@dataclass(frozen=True, slots=True)
class Kept:
    """Actors that are left as an act leaves them before anything is undone; pids are as the machine sees them."""

    act: int
    host: int
    target: int
    commands: tuple[str, ...]
    """What to run on them, as one would type it."""


@dataclass(frozen=True, slots=True)
class Story:
    """The acts that were run on one kernel, in order."""

    kernel: str
    """``uname -r``."""
    runs: tuple[Run, ...]
    kept: Kept | None = None


NEW_PIDS = "unshare --pid --fork"
NEW_PIDS_AND_MOUNTS = "unshare --pid --fork --mount --propagation unchanged"

ACTS = (
    Act(
        number=1,
        title="A new PID namespace alone: ps still lists the host's processes",
        commands=(NEW_PIDS,),
        why="A /proc shows the PID namespace of the process that mounted it, and the target still looks at the host's.",
        documented=Facts(host_broken=False, host_changed=False, sees_host_processes=True, verdict="same-namespace"),
    ),
    Act(
        number=2,
        title="A new mount namespace as well: still the host's /proc, and a leak waiting to happen",
        commands=(NEW_PIDS_AND_MOUNTS,),
        why="The new namespace has copies of the host's mounts, and each copy is a peer of the mount it was made from.",
        documented=Facts(host_broken=False, host_changed=False, sees_host_processes=True, verdict="leaks"),
    ),
    Act(
        number=3,
        title="Mount proc there: the target sees only itself, and the host's /proc breaks",
        commands=(NEW_PIDS_AND_MOUNTS, "mount -t proc proc /proc"),
        undo=("umount /proc",),
        why="The copied /proc is in the host's peer group, so the mount propagates back and covers the host's /proc "
        "with one of a PID namespace that the host's processes are not in; the umount propagates too.",
        documented=Facts(host_broken=True, host_changed=True, sees_host_processes=False, verdict="leaks"),
    ),
    Act(
        number=4,
        title="Make /proc private first: the target sees only itself, and the host is as it was",
        commands=(NEW_PIDS_AND_MOUNTS, "mount --make-private /proc", "mount -t proc proc /proc"),
        why="A private mount is in no peer group: what happens on the target's /proc reaches nobody.",
        documented=Facts(host_broken=False, host_changed=False, sees_host_processes=False, verdict="isolated"),
    ),
    Act(
        number=5,
        title="Make /proc private, but without a mount namespace: it is the host's own /proc",
        commands=(NEW_PIDS, "mount --make-private /proc", "mount -t proc proc /proc"),
        undo=("umount /proc", "mount --make-shared /proc"),
        why="Without a new mount namespace there is no copy: every command here changes the host's own mounts, "
        "and no propagation type protects it from that.",
        documented=Facts(host_broken=True, host_changed=True, sees_host_processes=False, verdict="same-namespace"),
    ),
)

LEAKING = ACTS[1]
"""The act whose end is worth keeping: nothing has happened yet, and ``diff`` tells what would."""


@uninterrupted()
def tell(acts: Iterable[Act] = ACTS) -> Story:
    """Perform the acts on the running kernel, each on a throwaway host of its own.

    :raises AccessError: the kernel does not let this user make the namespaces.
    """
    runs = []
    for act in acts:
        with Scene() as scene:
            runs.append(perform(act, scene))
    return Story(kernel=os.uname().release, runs=tuple(runs))


def perform(act: Act, scene: Scene) -> Run:
    """Perform one act on a fresh scene, and undo it."""
    before = _measure(scene)
    return Run(
        act=act,
        beginning=before,
        steps=tuple(_after(command, scene, before) for command in act.commands),
        undone=tuple(_after(command, scene, before) for command in act.undo),
    )


def keep(act: Act, scene: Scene) -> Kept:
    """Run the commands of an act on a fresh scene, for others to look at."""
    for command in act.commands:
        scene.run(command)
    host, target = scene.host.pid, scene.target.pid
    return Kept(
        act=act.number,
        host=host,
        target=target,
        commands=(
            f"mntscope diff {target} --against {host}",
            f"mntscope predict {target} --against {host} -- mount -t proc proc /proc",
        ),
    )


def _after(command: str, scene: Scene, before: Reading) -> Reading:
    scene.run(command)
    return _measure(scene, command, before)


def _measure(scene: Scene, command: str = "", before: Reading | None = None) -> Reading:
    host, target = scene.host.look(), scene.target.look()
    snapshot = capture([scene.host.pid, scene.target.pid])
    result = diff(snapshot, scene.target.pid, PROC, against=scene.host.pid)
    return Reading(
        command=command,
        facts=Facts(
            host_broken=host.proc_self != host.pid,
            host_changed=before is not None and before.diff.host.mounts != result.host.mounts,
            sees_host_processes=not scene.host_processes.isdisjoint(target.processes),
            verdict=result.verdict,
        ),
        host=host,
        target=target,
        host_mount=_at_proc(result.host),
        target_mount=_at_proc(result.target),
        diff=result,
    )


def _at_proc(view: View) -> Mount:
    mount = MountTree.of(view).containing(PROC)
    assert mount is not None, "a scene has /"
    return mount
