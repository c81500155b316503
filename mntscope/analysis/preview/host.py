"""The host that is taken where nobody gives one: as systemd sets it up."""

from __future__ import annotations

from mntscope.snapshot import Snapshot

_TABLE = b"""\
20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
21 20 0:20 / /proc rw,nosuid,nodev,noexec,relatime shared:2 - proc proc rw
22 20 0:21 / /sys rw,nosuid,nodev,noexec,relatime shared:3 - sysfs sysfs rw
23 22 0:22 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate
24 20 0:5 / /dev rw,nosuid,relatime shared:5 - devtmpfs udev rw,mode=755
25 24 0:23 / /dev/pts rw,nosuid,noexec,relatime shared:6 - devpts devpts rw,gid=5,mode=620,ptmxmode=000
26 24 0:24 / /dev/shm rw,nosuid,nodev shared:7 - tmpfs tmpfs rw
27 24 0:19 / /dev/mqueue rw,nosuid,nodev,noexec,relatime shared:8 - mqueue mqueue rw
28 20 0:25 / /run rw,nosuid,nodev,noexec,relatime shared:9 - tmpfs tmpfs rw,mode=755
"""

SAID = "no host is given: one is assumed on which systemd has made all mounts shared, and nothing more is mounted"


def default_host() -> Snapshot:
    """One filesystem, and what systemd mounts, all shared (``mount --make-rshared /``: systemd's mount_setup())."""
    return Snapshot.from_mountinfo({"host": _TABLE})
