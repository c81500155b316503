"""How bad it is when an event lands at a path of the host, and what stops it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

Severity: TypeAlias = "Literal['critical', 'high', 'medium', 'low']"
SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low")
"""The worst first."""
Remedy: TypeAlias = "Literal['make-private', 'make-slave']"

CRITICAL = ("/", "/proc", "/sys", "/dev", "/run")
"""Where a mount on top breaks the host as a whole: no process finds its devices, its sockets or itself."""
SYSTEM = (
    "/bin", "/boot", "/etc", "/home", "/lib", "/lib32", "/lib64", "/opt", "/root", "/sbin", "/srv", "/usr", "/var",
)  # fmt: skip
"""The other directories of the Filesystem Hierarchy Standard that hold what a host is made of, and its data."""

_SERIOUS = (*CRITICAL[1:], *SYSTEM)
_BELOW_SERIOUS = tuple(f"{directory}/" for directory in _SERIOUS)

KERNEL_FILESYSTEMS = frozenset({
    "binder", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs",
    "fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "resctrl", "rpc_pipefs", "securityfs", "selinuxfs",
    "smackfs", "sysfs", "tracefs",
})  # fmt: skip
"""Filesystems that nobody unmounts to free a device."""


def severity_at(path: str, *, whole: bool, visible: bool) -> Severity:
    """How bad a mount or umount at *path* of the host is.

    *critical* at one of :data:`CRITICAL`; *high* below one of these (but ``/``), at or below one of :data:`SYSTEM`,
    or if the *whole* of a mount of the host is covered; otherwise *medium*. What lands beneath another mount, and so
    is not *visible*, is medium.
    """
    if not visible:
        return "medium"
    if path in CRITICAL:
        return "critical"
    if whole or path in _SERIOUS or path.startswith(_BELOW_SERIOUS):
        return "high"
    return "medium"


def worst(severities: Collection[Severity]) -> Severity:
    """The worst of them; *low* if there is none."""
    for severity in SEVERITIES:
        if severity in severities:
            return severity
    return "low"


def at_least(severity: Severity, least: Severity | None) -> bool:
    """Whether *severity* is *least* or worse; nothing is where that is ``None``."""
    return least is not None and SEVERITIES.index(severity) <= SEVERITIES.index(least)


def tally(severities: Iterable[Severity]) -> dict[Severity, int]:
    """How many there are of each, the worst first; those without left out."""
    found = Counter(severities)
    return {severity: found[severity] for severity in SEVERITIES if found[severity]}


def remedy_for(fs_type: str) -> Remedy:
    """What keeps the events of a mount from leaving it.

    A slave still receives: where a filesystem may be unmounted by the host, a private copy of the mount would keep it
    busy. Kernel filesystems are not unmounted, and the host's new mounts in them are none of the target's.
    """
    return "make-private" if fs_type in KERNEL_FILESYSTEMS else "make-slave"
