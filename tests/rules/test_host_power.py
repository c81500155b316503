"""What means power over the host: each path, each filesystem of the kernel, written or only read."""

from __future__ import annotations

import pytest

from mntscope.graph import MountTree
from mntscope.rules.host_power import Power, power_over, power_over_kernel
from tests.support.tables import view


def of(path: str, options: str = "rw") -> Power | None:
    """Of a bind of *path* at /x."""
    table = view("40", f"40 1 0:51 / / rw - overlay overlay rw\n41 40 8:1 {path} /x {options} - ext4 /dev/sda1 rw")
    return power_over(path, table.mounts[1], MountTree.of(table))


def of_kernel(line: str, *over: str, devices: frozenset[str] = frozenset({"0:5"})) -> Power | None:
    """Of the first mount; the host has a filesystem of its type on 0:5."""
    table = view("40", "\n".join(("40 1 0:51 / / rw - overlay overlay rw", f"41 40 {line}", *over)))
    return power_over_kernel(table.mounts[1], MountTree.of(table), devices)


@pytest.mark.parametrize(
    "path",
    [
        "/", "/etc", "/etc/passwd", "/etc/shadow", "/etc/group", "/etc/sudoers", "/etc/sudoers.d",
        "/etc/sudoers.d/admins", "/etc/crontab", "/etc/cron.d", "/etc/cron.daily/backup", "/etc/ld.so.preload",
        "/etc/systemd/system", "/etc/systemd/system/x.service", "/etc/pam.d", "/etc/profile.d", "/etc/udev/rules.d",
        "/etc/kubernetes/manifests", "/root", "/root/.ssh", "/root/.ssh/authorized_keys", "/root/.bashrc",
        "/lib/modules", "/lib/modules/6.1.0", "/usr/lib/modules", "/usr/lib/systemd/system", "/usr/local/bin",
        "/var/spool/cron", "/var/spool/cron/crontabs/root", "/boot", "/opt/cni/bin",
    ],
)  # fmt: skip
def test_who_may_write_it_is_root(path: str) -> None:
    assert of(path) == Power("write to", path, "high", curable=True)


@pytest.mark.parametrize("path", ["/home", "/home/kim", "/home/kim/.ssh", "/home/kim/.ssh/authorized_keys"])
def test_who_may_write_a_home_is_that_user(path: str) -> None:
    assert of(path) == Power("write to", path, "medium", curable=True)


@pytest.mark.parametrize(
    "path",
    [
        "/run/docker.sock", "/run/containerd/containerd.sock", "/run/crio/crio.sock", "/run/podman/podman.sock",
        "/run/user/1000/podman/podman.sock", "/run/k3s/containerd/containerd.sock", "/run/cri-dockerd.sock",
        "/run/systemd/private", "/run/dbus/system_bus_socket", "/var/lib/lxd/unix.socket",
    ],
)  # fmt: skip
@pytest.mark.parametrize("options", ["rw", "ro"])
def test_a_socket_is_as_good_read_only(path: str, options: str) -> None:
    assert of(path, options) == Power("talk to", path, "high")


@pytest.mark.parametrize("path", ["/run/systemd", "/run/dbus", "/run/podman", "/run/containerd", "/run/crio", "/run"])
def test_the_directory_of_a_socket_is_the_socket(path: str) -> None:
    power = of(path, "ro")
    assert power is not None
    assert (power.does, power.severity) == ("talk to", "high")
    assert power.path.startswith(f"{path}/")


def test_a_socket_that_something_lies_over_is_none() -> None:
    table = view(
        "40",
        """40 1 0:51 / / rw - overlay overlay rw
        41 40 8:1 /run/dbus /x ro - ext4 /dev/sda1 rw
        42 41 0:60 / /x/system_bus_socket rw - tmpfs tmpfs rw""",
    )
    assert power_over("/run/dbus", table.mounts[1], MountTree.of(table)) is None


@pytest.mark.parametrize(
    "path",
    [
        "/", "/etc", "/etc/shadow", "/etc/gshadow-", "/root/.ssh", "/root/.ssh/id_ed25519", "/home/kim/.ssh",
        "/etc/ssh/ssh_host_rsa_key", "/etc/kubernetes/admin.conf", "/etc/kubernetes/pki", "/var/lib/kubelet/pods",
    ],
)  # fmt: skip
def test_of_what_is_read_only_that_counts_which_need_only_be_read(path: str) -> None:
    assert of(path, "ro") == Power("read", path, "low")


@pytest.mark.parametrize("path", ["/etc/passwd", "/etc/sudoers", "/usr", "/lib/modules", "/boot", "/var/lib/docker"])
def test_what_must_be_written_does_nothing_read_only(path: str) -> None:
    assert of(path, "ro") is None


@pytest.mark.parametrize(
    "path",
    [
        "/etc/ssl", "/etc/passwd.d", "/etc/hosts", "/etc/resolv.conf", "/etc/localtime", "/home/kim/src", "/srv",
        "/var/log", "/run/x.sock", "/root/.sshx", "/usr/share/zoneinfo", "/var/lib/docker/volumes/x/_data",
        "/var/lib/docker/containers/1/hosts", "/dev/null", "/dev/fuse", "/tmp",
    ],
)  # fmt: skip
def test_other_paths_are_nobodys_business(path: str) -> None:
    assert of(path) is None


def test_a_device_opens_from_a_read_only_mount_too() -> None:
    assert of("/dev", "ro") == Power("open the devices in", "/dev", "medium")
    assert of("/dev", "rw,nodev") is None
    assert of_kernel("0:5 / /x ro - devtmpfs udev rw") == Power("open the devices in", "/dev", "medium")
    assert of_kernel("0:5 /null /x rw - devtmpfs udev rw") is None


def test_a_proc_of_the_host_is_told_from_the_containers_own() -> None:
    assert of_kernel("0:5 / /x rw - proc proc rw") == Power("write to", "/proc", "high", curable=True)
    assert of_kernel("0:5 /sys /x rw - proc proc rw") == Power("write to", "/proc/sys", "high", curable=True)
    assert of_kernel("0:5 / /x ro - proc proc rw") == Power("read", "/proc", "low")
    assert of_kernel("0:6 / /x rw - proc proc rw") is None


def test_a_proc_whose_settings_are_covered_can_only_be_read() -> None:
    covered = of_kernel("0:5 / /x rw - proc proc rw", "42 41 0:5 /sys /x/sys ro - proc proc rw")
    assert covered == Power("read", "/proc", "low")


def test_sysfs_is_the_same_for_everyone() -> None:
    assert of_kernel("0:5 / /sys rw - sysfs sysfs rw") == Power("write to", "/sys", "medium", curable=True)
    assert of_kernel("0:9 / /sys rw - sysfs sysfs rw") == Power("write to", "/sys", "low", curable=True)
    assert of_kernel("0:9 / /sys ro - sysfs sysfs rw") is None
    assert of_kernel("0:9 /devices/virtual/net /sys/devices/virtual/net rw - sysfs sysfs rw") is None


def test_the_root_of_the_hosts_cgroups_is_told_from_the_containers_own() -> None:
    assert of_kernel("0:5 / /c rw - cgroup2 cgroup2 rw") == Power("write to", "/sys/fs/cgroup", "medium", curable=True)
    assert of_kernel("0:5 / /c rw - cgroup cgroup rw") == Power("write to", "/sys/fs/cgroup", "high", curable=True)
    assert of_kernel("0:5 /docker-1.scope /c rw - cgroup2 cgroup2 rw") is None
    assert of_kernel("0:5 / /c ro - cgroup2 cgroup2 rw") is None
