"""MNT011: a namespace that is about to be full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mntscope.model import View
from mntscope.rules.machine import Machine
from mntscope.rules.rule import Evidence, Finding, Reference, Rule

DEFAULT = 100_000
"""fs.mount-max where nobody has changed it (fs/namespace.c); assumed of captures that do not say."""
MANY, FULL = 0.8, 0.95
"""Parts of it from which on a namespace is told of, and from which on it is urgent."""
MOST = 5


def check(machine: Machine) -> Iterator[Finding]:
    """One finding for each namespace."""
    limit = machine.snapshot.mount_max or DEFAULT
    for view in (machine.host, *machine.others):
        if len(view.mounts) >= MANY * limit:
            yield _finding(machine, view, limit)


def _finding(machine: Machine, view: View, limit: int) -> Finding:
    count = len(view.mounts)
    receives = any(leak.direction != "out" for leak in machine.leaks.get(view.label, ()))
    host = " and, as it receives the host's mounts, so does every mount there" if receives else ""
    points = Counter(mount.mount_point for mount in view.mounts).most_common(MOST)
    return RULE.finding(
        view.label,
        f"{machine.words(view.label)} has {count} of {limit} mounts: at the limit, mount fails with ENOSPC{host}",
        (machine.name(view.label),),
        severity="high" if count >= FULL * limit else "medium",
        confidence="certain" if machine.snapshot.mount_max else "likely",
        evidence=Evidence(
            facts=(
                ("mounts", str(count)),
                ("fs.mount-max", str(limit) if machine.snapshot.mount_max else f"{limit} (not recorded, the default)"),
                *((f"mounts at {path}", str(times)) for path, times in points if times > 1),
            ),
        ),
        advice="See what there is most of (`findmnt --list`, and MNT010), unmount it, and stop what makes it. Until"
        " then `sysctl fs.mount-max=N` raises the limit for all namespaces.",
    )


RULE = Rule(
    id="MNT011",
    name="near-mount-max",
    severity="high",
    confidence="certain",
    summary="A mount namespace holds almost as many mounts as the kernel allows",
    why="""\
The kernel allows each mount namespace fs.mount-max mounts, 100,000 unless changed. At the limit mount(2) fails with
ENOSPC, "no space left on device": containers do not start, volumes are not attached, services with a namespace of their
own fail. It is enough that one *receiver* is full: a mount on the host fails if a namespace that would receive it has
no room. And long before that all that reads mount tables (systemd, udisks, kubelet) is slow.

Reported from 80 per cent on, urgently from 95.""",
    fix="""\
Unmount what is too many and stop what makes it (see MNT010). Raise the limit in the meantime:
`sysctl fs.mount-max=200000`. It counts for every namespace and costs memory only for mounts that exist.""",
    references=(
        Reference("Linux kernel, sysctl fs.mount-max", "https://docs.kernel.org/admin-guide/sysctl/fs.html#mount-max"),
        Reference(
            "Linux d29216842a85: a limit on the number of mounts",
            "https://github.com/torvalds/linux/commit/d29216842a85c7970c536108e093963f02714498",
        ),
        Reference("mount(2), ENOSPC", "https://man7.org/linux/man-pages/man2/mount.2.html"),
    ),
    check=check,
)
