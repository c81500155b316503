"""MNT018: namespaces whose mount table takes the kernel quadratic time to print."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mntscope.base.counting import counted
from mntscope.base.records import dataclass
from mntscope.graph import Member, PeerGroup
from mntscope.model import Mount, View
from mntscope.rules.machine import Machine
from mntscope.rules.rule import Evidence, Finding, Reference, Rule

NOTICEABLE, SLOW = 1_000_000, 10_000_000
"""Steps of one reading. Linux 6.18 took 0.005 s for a million, 0.07 s for 16 million; where the mounts are spread over
memory, 0.5 s for a million have been measured. And programs read the table many times."""

GroupKey = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Cost:
    """What reading a namespace's table costs."""

    view: View
    steps: int
    slaves: int
    worst: Mount
    """The mount that costs most,"""
    group: PeerGroup
    """and the group that is searched for it."""


def check(machine: Machine) -> Iterator[Finding]:
    """One finding for the machine: the namespace that costs most, and how many others cost too much."""
    largest = max((len(group.members) for group in machine.graph.groups.values()), default=0)
    costs = []
    for view in machine.others:
        if largest * len(view.mounts) >= NOTICEABLE:
            cost = _cost(machine, view)
            if cost is not None and cost.steps >= NOTICEABLE:
                costs.append(cost)
    if costs:
        yield _finding(machine, costs)


def _cost(machine: Machine, view: View) -> Cost | None:
    """As fs/pnode.c, get_dominating_id(), searches: for each slave the members of its master group and those above."""
    groups = machine.graph.groups
    own = {(mount.device, mount.peer_group) for mount in view.mounts if mount.peer_group is not None}
    known: dict[GroupKey, int] = {}
    slaves = steps = most = 0
    worst: Mount | None = None
    for mount in view.mounts:
        if mount.master is None:
            continue
        price = _price((mount.device, mount.master), groups, own, known)
        slaves += 1
        steps += price
        if price > most:
            most, worst = price, mount
    if worst is None or worst.master is None:
        return None
    return Cost(view, steps, slaves, worst, groups[worst.device, worst.master])


def _price(key: GroupKey, groups: Mapping[GroupKey, PeerGroup], own: set[GroupKey], known: dict[GroupKey, int]) -> int:
    """The members met on the way from a group upwards, to the first group that the namespace itself has a member of."""
    way: list[GroupKey] = []
    at: GroupKey | None = key
    while at is not None and at not in known and at in groups:
        way.append(at)
        master = groups[at].master
        at = None if at in own or master is None else (at[0], master)
    price = known.get(at, 0) if at is not None else 0
    for passed in reversed(way):
        price += len(groups[passed].members)
        known[passed] = price
    return price


def _finding(machine: Machine, costs: list[Cost]) -> Finding:
    cost = max(costs, key=lambda cost: cost.steps)
    more = f"; so it is in {counted(len(costs) - 1, 'more namespace')}" if len(costs) > 1 else ""
    members = cost.group.members
    first = min(members, key=lambda member: (len(member.mount.mount_point), member.mount.mount_point))
    return RULE.finding(
        cost.view.label,
        f"reading the mount table of {machine.words(cost.view.label)} takes the kernel {cost.steps} steps: it has"
        f" {cost.slaves} slaves, and their largest master group has {len(members)} members{more}",
        ("host", first.mount.mount_point),
        severity="medium" if cost.steps >= SLOW else "low",
        path=cost.worst.mount_point,
        evidence=Evidence(
            mounts=(Member(cost.view.label, cost.worst), *members[:8]),
            peer_group=(cost.group.device, cost.group.number),
            facts=(
                ("steps for one reading", str(cost.steps)),
                ("slaves", str(cost.slaves)),
                ("members of the master group", str(len(members))),
                ("namespaces concerned", str(len(costs))),
            ),
        ),
        advice="Give the copies groups of their own: `mount --make-private TARGET` on the host for those that need not"
        " be shared (`mount --make-shared TARGET` afterwards for those that must). Programs are spared if they list"
        " mounts with listmount(2) (libmount since util-linux 2.41).",
    )


RULE = Rule(
    id="MNT018",
    name="quadratic-mountinfo",
    severity="medium",
    confidence="likely",
    summary="A namespace of slaves whose master groups are so large that every reading of its mount table is slow",
    why="""\
For each slave that it prints in mountinfo, the kernel looks for `propagate_from`: it goes through every member of the
master group, and of the groups above that, until it meets one that the reader can see. Where a namespace has n slaves
of a group with n members (n binds of one shared filesystem, copied into a namespace with `MS_SLAVE`), one reading takes
n² steps. systemd reads the table dozens of times while it sets up a service with `ProtectSystem=` or `PrivateTmp=`;
with a thousand such mounts services have missed their start timeouts, and every monitoring agent, `df` and kubelet pays
as well.

Reported from a million steps on, medium from ten million.""",
    fix="""\
Make the group smaller: binds that nobody mounts anything in need not be shared (`mount --bind --make-private`). Or have
fewer mounts: one bind of the directory above instead of one for each below. Newer programs list mounts with
listmount(2) and statmount(2), which do not search.""",
    references=(
        Reference(
            "systemd 43318: O(mounts x peers) for each reading of mountinfo",
            "https://github.com/systemd/systemd/pull/43318",
        ),
        Reference(
            "systemd 42375: services that time out with many mounts", "https://github.com/systemd/systemd/issues/42375"
        ),
        Reference(
            "firejail 5293: get_dominating_id takes the time", "https://github.com/netblue30/firejail/issues/5293"
        ),
        Reference(
            "proc_pid_mountinfo(5), propagate_from:X", "https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html"
        ),
    ),
    check=check,
    present=True,
)
