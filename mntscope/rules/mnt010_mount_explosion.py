"""MNT010: mounts that multiply: each that is made once more makes as many as there are already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from mntscope.analysis.remedies import Command
from mntscope.base.counting import counted
from mntscope.base.paths import under
from mntscope.base.records import dataclass
from mntscope.graph import Member, MountTree, PeerGroup, Severity
from mntscope.model import Mount, View
from mntscope.propagation import Effect
from mntscope.propagation.operations import MountNew, Umount
from mntscope.rules.leaks import MOUNT_NAMESPACES, SHARED_SUBTREES
from mntscope.rules.machine import Machine
from mntscope.rules.rule import Evidence, Finding, Reference, Rule

IDENTICAL = 4
"""So many mounts of one directory on top of each other are no accident of two programs: cri-o makes two."""
ALIKE = 6
"""So many that only look alike (a tmpfs on a tmpfs) are one, as sandboxes in sandboxes make them."""
FAN_OUT = 8
"""In so many places at once one mount appears."""
MUCH = 16
"""From here on it is growing."""
MOST = 8
MOST_COMMANDS = 32

Alike = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Stack:
    """Mounts at one mount point that look alike."""

    mounts: tuple[Mount, ...]

    @property
    def path(self) -> str:
        """Where they lie."""
        return self.mounts[0].mount_point


def check(machine: Machine) -> Iterator[Finding]:
    """The stacks of each namespace that grow, as one finding; and each group of copies that lie in one another."""
    of_host = {_alike(stack): len(stack.mounts) for stack in _stacks(machine.host)}
    for view in (machine.host, *machine.others):
        own = view is machine.host
        # What is no higher than the host's was copied from it, or received.
        stacks = [stack for stack in _stacks(view) if own or len(stack.mounts) > of_host.get(_alike(stack), 0)]
        stacks = [stack for stack in stacks if _multiplies(machine, view, stack)]
        if stacks:
            yield _stacked(machine, view, stacks)
    yield from _fanned_out(machine)


def _stacks(view: View) -> list[Stack]:
    """Those worth telling, the highest first."""
    fewest = min(ALIKE, IDENTICAL)
    high = {path for path, height in Counter(mount.mount_point for mount in view.mounts).items() if height >= fewest}
    by_path: dict[tuple[str, Alike], list[Mount]] = {}
    for mount in view.mounts if high else ():
        if mount.mount_point not in high:
            continue
        by_path.setdefault((mount.mount_point, _looks(mount)), []).append(mount)
    found = []
    for mounts in by_path.values():
        identical = Counter((mount.device, mount.root) for mount in mounts) if len(mounts) >= IDENTICAL else Counter()
        if len(mounts) >= ALIKE or (identical and max(identical.values()) >= IDENTICAL):
            found.append(Stack(tuple(mounts)))
    return sorted(found, key=lambda stack: (-len(stack.mounts), stack.path))


def _multiplies(machine: Machine, view: View, stack: Stack) -> bool:
    """Whether one more mount at the path appears more than once in the namespace.

    It is attached to the topmost there, and received by each peer that shows the same directory. What is stacked
    without that grows by one each time, as many as somebody asked for.
    """
    top = machine.tree(view.label).containing(stack.path)
    group = None if top is None or top.peer_group is None else machine.graph.groups.get((top.device, top.peer_group))
    if top is None or group is None:
        return False
    showing = (member for member in group.members if member.label == view.label and under(top.root, member.mount.root))
    return len(list(islice(showing, 2))) == 2


def _looks(mount: Mount) -> Alike:
    return mount.fs_type, mount.source, mount.root


def _alike(stack: Stack) -> tuple[str, Alike]:
    return stack.path, _looks(stack.mounts[0])


def _stacked(machine: Machine, view: View, stacks: list[Stack]) -> Finding:
    worst = stacks[0]
    height = len(worst.mounts)
    effects = _effects(machine, view, worst.mounts[0])
    more = f", and so at {counted(len(stacks) - 1, 'more mount point')}" if len(stacks) > 1 else ""
    group = next((mount for mount in worst.mounts if mount.peer_group is not None), None)
    return RULE.finding(
        view.label,
        f"{machine.words(view.label)} has {height} mounts of the same on top of each other at {worst.path}{more}",
        (machine.name(view.label), "stacked", *sorted({stack.path for stack in stacks})),
        severity=_severity(height),
        path=worst.path,
        evidence=Evidence(
            mounts=tuple(Member(view.label, mount) for mount in worst.mounts[:MOST]),
            peer_group=None if group is None else (group.device, group.peer_group or 0),
            effects=effects[:MOST_COMMANDS],
            facts=(
                ("mounts at that path", str(height)),
                ("mounts in the namespace", str(len(view.mounts))),
                *((("one more mount there makes", str(len(effects))),) if effects else ()),
            ),
        ),
        commands=_unstack(machine, view, worst),
        advice="Find what mounts without unmounting: a service that binds at each start, or a container with an"
        " `rshared` or Bidirectional volume. Let it look first whether the path is a mount point, and make its binds"
        " private.",
    )


def _severity(count: int) -> Severity:
    return "medium" if count >= MUCH else "low"


def _effects(machine: Machine, view: View, mount: Mount) -> tuple[Effect, ...]:
    """What one more mount at the path does in the same namespace."""
    if mount.peer_group is None:
        return ()
    effects = machine.predicted_in_turn(MountNew(view.label, "tmpfs", "example", mount.mount_point))
    return tuple(effect for effect in effects if effect.change == "mount" and effect.namespace == view.label)


def _unstack(machine: Machine, view: View, stack: Stack) -> tuple[Command, ...]:
    """The umounts that leave one of them, as predicted: where mounts propagate, each removes several."""
    command = machine.command(view.label, "umount", stack.path)
    if command is None:
        return ()
    like = _looks(stack.mounts[0])
    commands: list[Command] = []
    for after in machine.repeated(Umount(view.label, stack.path)):
        left = sum(mount.mount_point == stack.path and _looks(mount) == like for mount in after.mounts)
        if left > 0:
            commands.append(command)
        if left <= 1 or len(commands) == MOST_COMMANDS:
            break
    return tuple(commands)


def _fanned_out(machine: Machine) -> Iterator[Finding]:
    label_of = {view.label: view for view in (machine.host, *machine.others)}
    for group in machine.graph.groups.values():
        counted = Counter((member.label, member.mount.root) for member in group.members if member.label in label_of)
        if not counted:
            continue
        (label, root), count = counted.most_common(1)[0]
        if count < FAN_OUT:
            continue
        members = [m for m in group.members if m.label == label and m.mount.root == root]
        # On top of each other they have been told of already.
        apart = len({member.mount.mount_point for member in members}) > count // 2
        if apart and _in_one_another(machine.tree(label), members):
            yield _fan_out(machine, label_of[label], group, members)


def _in_one_another(tree: MountTree, members: list[Member]) -> bool:
    """Whether one of some copies of a directory is mounted in another: only then the next copy is made in all of them.

    Binds of one directory beside each other are peers too, and as many as somebody made.
    """
    copies = {member.mount for member in members}
    return any(tree.parent(mount) in copies for mount in copies)


def _fan_out(machine: Machine, view: View, group: PeerGroup, members: list[Member]) -> Finding:
    first = min(members, key=lambda member: (len(member.mount.mount_point), member.mount.mount_point))
    count = len(members)
    return RULE.finding(
        view.label,
        f"a mount below {first.mount.mount_point} of {machine.words(view.label)} appears {count} times there: as many"
        f" mounts of that directory are peers, and lie in one another",
        (machine.name(view.label), "fan-out", first.mount.mount_point),
        severity=_severity(count),
        path=first.mount.mount_point,
        evidence=Evidence(
            mounts=(first, *(member for member in members if member is not first))[:MOST],
            peer_group=(group.device, group.number),
            lands_at=tuple((member.label, member.mount.mount_point) for member in members[:MOST]),
            effects=_effects(machine, view, first.mount)[:MOST_COMMANDS],
            facts=(("members with one root", str(count)),),
        ),
        advice="Make each copy private as soon as it is bound: `mount --bind --make-private SOURCE TARGET`. Those that"
        " exist: `mount --make-private TARGET`, for each but the first.",
    )


RULE = Rule(
    id="MNT010",
    name="mount-explosion",
    severity="medium",
    confidence="likely",
    summary="Mounts that multiply: the same over itself again and again, or copies of a directory in one another",
    why="""\
A mount in a shared mount is made once for each peer in which the place exists. If the new mount is itself a peer, or
lies in a copy of the directory it was made from, the next one finds twice as many receivers: `mount --bind /a /b`,
twenty times in a shared mount, makes a million mounts (CVE-2016-6213). So a container with a `shared` volume that is
started and stopped, or a service that binds a directory at each start, doubles the host's mount table until everything
that reads it is slow, and at fs.mount-max nothing can be mounted any more.

Reported are four or more mounts of one directory on top of each other, or six or more that only look alike, where one
more would appear more than once; and eight or more peers with one root in one namespace, where one lies in another.
Twenty binds of a directory beside each other, or twenty private ones in a heap, are as many as somebody made: the next
is one more, and nothing is said of them.""",
    fix="""\
Unmount what is too many, from the top (`umount PATH`; where they are peers each umount takes several). Then stop the
growth: look whether the path is mounted before mounting it, make binds private, give a container `rslave` instead of
`rshared` volumes.""",
    references=(
        MOUNT_NAMESPACES,
        SHARED_SUBTREES,
        Reference(
            "Linux d29216842a85: a limit on the number of mounts (CVE-2016-6213)",
            "https://github.com/torvalds/linux/commit/d29216842a85c7970c536108e093963f02714498",
        ),
        Reference(
            "moby 48305: mounts double at each start of a container", "https://github.com/moby/moby/issues/48305"
        ),
        Reference(
            "bpfman-operator 468: bidirectional volumes that multiply mounts",
            "https://github.com/bpfman/bpfman-operator/issues/468",
        ),
    ),
    check=check,
    present=True,
)
