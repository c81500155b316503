"""The mounts and paths that managers give to every container, as data."""

from __future__ import annotations

from collections.abc import Sequence

from mntscope.analysis.preview.config import ConfigMount
from mntscope.base.records import NamedTuple

KUBELET = "/var/lib/kubelet/pods"


class Standard(NamedTuple):
    """A mount that containers have unless they ask for another at its place."""

    destination: str
    type: str
    source: str
    options: tuple[str, ...]


_PROC = Standard("/proc", "proc", "proc", ("nosuid", "noexec", "nodev"))
_DEV = Standard("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k"))
_PTS = Standard(
    "/dev/pts", "devpts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")
)
_MQUEUE = Standard("/dev/mqueue", "mqueue", "mqueue", ("nosuid", "noexec", "nodev"))
_SYS = Standard("/sys", "sysfs", "sysfs", ("nosuid", "noexec", "nodev", "ro"))

STANDARD_MOUNTS = (_PROC, _DEV, _PTS, _MQUEUE, _SYS)
"""containerd's and podman's, which add cgroup, and /dev/shm as a bind."""

DOCKER_MOUNTS = (
    _PROC,
    _DEV,
    _PTS,
    _SYS,
    Standard("/sys/fs/cgroup", "cgroup", "cgroup", ("ro", "nosuid", "noexec", "nodev")),
    _MQUEUE,
    Standard("/dev/shm", "tmpfs", "shm", ("nosuid", "noexec", "nodev", "mode=1777", "size=67108864")),  # noqa: S108
)
"""dockerd's, with IPC of the container's own."""

MASKED = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
"""containerd's."""

DOCKER_MASKED = (*MASKED, "/proc/interrupts")

READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

PODMAN_MASKED = (
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/dev/block",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
)
PODMAN_READONLY = ("/proc/asound", *READONLY)


def default_mounts(standard: Sequence[Standard], by: str, *, writable: bool) -> list[ConfigMount]:
    """The mounts of *standard*, /sys and cgroup *writable* as for who is privileged."""
    return [
        ConfigMount(
            each.destination,
            each.type,
            each.source,
            tuple("rw" if word == "ro" and writable else word for word in each.options),
            by,
        )
        for each in standard
    ]


def cgroup(by: str, mode: str, *first: str) -> ConfigMount:
    """The mount of /sys/fs/cgroup."""
    options = (*first, "nosuid", "noexec", "nodev", "relatime", mode)
    return ConfigMount("/sys/fs/cgroup", "cgroup", "cgroup", options, by)
