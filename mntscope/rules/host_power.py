"""Which files of a host, in a container, mean power over the host: by writing, by reading, by talking to a socket."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal

from mntscope.base.paths import below, under
from mntscope.base.records import dataclass
from mntscope.graph import MountTree, Severity, path_at
from mntscope.model import Mount

Does = Literal["write to", "talk to", "read", "open the devices in"]

SYSTEM = re.compile(
    r"""
    / | /bin | /boot | /lib | /lib64 | /run | /sbin | /var | /var/lib
    | /etc(/ ( passwd | shadow | gshadow | group | subuid | subgid | sudoers (\.d(/[^/]+)?)?
             | anacrontab | cron([a-z]+|\.[a-z]+(/[^/]+)?) | init\.d | rc\.local | inittab
             | ld\.so\.(preload|conf|conf\.d) | environment | profile(\.d)? | bash\.bashrc
             | pam\.d | security | ssh(/sshd_config(\.d)?)? | modprobe\.d | modules-load\.d | udev(/rules\.d)?
             | kubernetes(/manifests)? | cni(/net\.d)? | containerd | docker(/daemon\.json)?
             | systemd(/(system|user)(/[^/]+)?)?
             ))?
    | /root(/\.ssh(/authorized_keys2?)?|/\.(bashrc|bash_profile|profile|zshrc))?
    | /opt/cni(/bin)?
    | /usr(/(bin|sbin|lib|lib64|libexec|local(/(s?bin|lib))?))? | (/usr)?/lib/(modules(/[^/]+)?|systemd(/system)?|udev)
    | /var/spool(/(ana)?cron(/(crontabs|root|crontabs/root))?)?
    """,
    re.VERBOSE,
)
"""Whoever writes there has programs run as root on the host: at the next login, job, boot or call."""

HOMES = re.compile(r"/home|/home/[^/]+(/\.ssh(/authorized_keys2?)?|/\.(bashrc|bash_profile|profile|zshrc))?")
"""Whoever writes there is that user of the host at the next login."""

STATE = re.compile(
    r"/run/(containerd|containers(/storage)?|crio|docker|k3s(/containerd)?)"
    r"|/var/lib/(containerd|containers(/storage)?|crio|docker|etcd|lxc|lxd|incus|machines|rancher|kubelet(/pods)?)"
)
"""Whoever writes there changes what other containers are made of."""

SOCKETS = re.compile(
    r"""
    .*/( buildkitd | containerd | cri-dockerd | crio | docker | dockershim | podman )\.sock
    | .*/( lxd | incus )/unix\.socket
    | /run/systemd/private | /run/dbus/system_bus_socket
    """,
    re.VERBOSE,
)
"""Through which root has programs started with any right it likes: by a container runtime, by systemd, by D-Bus."""

HOLD_SOCKETS = {
    "/run": "systemd/private", "/run/buildkit": "buildkitd.sock", "/run/containerd": "containerd.sock",
    "/run/crio": "crio.sock", "/run/dbus": "system_bus_socket", "/run/k3s/containerd": "containerd.sock",
    "/run/podman": "podman.sock", "/run/systemd": "private", "/var/lib/incus": "unix.socket",
    "/var/lib/lxd": "unix.socket", "/var/snap/lxd/common/lxd": "unix.socket",
}  # fmt: skip
"""Directories in which such a socket lies, and its path there."""

PLACES = {
    "cgroup": "/sys/fs/cgroup", "cgroup2": "/sys/fs/cgroup", "devtmpfs": "/dev", "proc": "/proc", "sysfs": "/sys",
}  # fmt: skip
"""Where a host has each filesystem of the kernel."""

KUBELET = "/var/lib/kubelet"
DEVICE_PLUGINS = re.compile(rf"{KUBELET}/(device-plugins|pod-resources)(/kubelet\.sock)?")
"""Where kubelet listens to who offers devices to every pod."""

SECRETS = re.compile(
    rf"""
    / | /etc | /etc/g?shadow-? | /home | (/root|/home/[^/]+)(/\.ssh(/id_[a-z0-9_]+)?)?
    | /etc/ssh(/ssh_host_[a-z0-9]+_key)? | /etc/kubernetes(/([a-z-]+\.conf|pki))? | {KUBELET}(/(pki|pods))?
    """,
    re.VERBOSE,
)
"""Who reads these is somebody else afterwards: hashes of passwords, private keys, tokens."""


@dataclass(frozen=True, slots=True)
class Power:
    """What a mount of a container lets root do to the host."""

    does: Does
    path: str
    """To what of the host."""
    severity: Severity
    curable: bool = False
    """Whether it is over once the mount is read-only."""


def power_over(path: str, mount: Mount, tree: MountTree) -> Power | None:
    """What a *mount* of *tree* that shows *path* of the host lets root of the host do; ``None``: nothing of note."""
    return _named_socket(path) or _written(path, mount) or _socket_in(path, mount, tree) or _read(path)


def power_over_kernel(mount: Mount, tree: MountTree, devices: Collection[str]) -> Power | None:
    """The same of a *mount* of a filesystem of the kernel; the host has those of *devices*.

    The settings in a sysfs are the machine's, whoever mounted it; that one of its own is writable was asked for with
    all other privileges. A proc or a cgroup hierarchy of the container's own is what a runtime gives to each.
    """
    if mount.fs_type == "sysfs":
        writes = _writable(mount) and _shows(tree, mount, "/kernel/uevent_helper")
        hosts = mount.device in devices
        return Power("write to", "/sys", "medium" if hosts else "low", curable=True) if writes else None
    if mount.device not in devices:
        return None
    if mount.fs_type == "proc":
        if _writable(mount) and _shows(tree, mount, "/sys/kernel/core_pattern"):
            return Power("write to", "/proc" if mount.root == "/" else f"/proc{mount.root}", "high", curable=True)
        return Power("read", "/proc", "low") if mount.root == "/" and _shows(tree, mount, "/1") else None
    if mount.fs_type in ("cgroup", "cgroup2") and mount.root == "/" and _writable(mount):
        # In the first version, the release_agent is a program that the kernel runs as root.
        return Power("write to", "/sys/fs/cgroup", "high" if mount.fs_type == "cgroup" else "medium", curable=True)
    return _devices(f"/dev{mount.root}".rstrip("/"), mount) if mount.fs_type == "devtmpfs" else None


def kernels_own(hosts: MountTree) -> frozenset[str]:
    """The devices of the filesystems of the kernel that a host has where they belong."""
    return frozenset(
        mount.device
        for mount in hosts.mounts
        if mount.root == "/" and mount.fs_type in PLACES and under(mount.mount_point, PLACES[mount.fs_type])
    )


def _named_socket(path: str) -> Power | None:
    """A socket is as good read-only."""
    if SOCKETS.fullmatch(path):
        return Power("talk to", path, "high")
    return Power("talk to", path, "low") if DEVICE_PLUGINS.fullmatch(path) else None


def _written(path: str, mount: Mount) -> Power | None:
    if _writable(mount):
        if SYSTEM.fullmatch(path):
            return Power("write to", path, "high", curable=path not in HOLD_SOCKETS)
        if STATE.fullmatch(path) and path not in HOLD_SOCKETS:
            return Power("write to", path, "medium", curable=True)
        if HOMES.fullmatch(path):
            return Power("write to", path, "medium", curable=True)
    return _devices(path, mount)


def _devices(path: str, mount: Mount) -> Power | None:
    """A device opens from a read-only mount too; which ones may be opened, its cgroup says."""
    if path in ("/dev", "/dev/kmem", "/dev/mem", "/dev/port") and "nodev" not in mount.options:
        return Power("open the devices in" if path == "/dev" else "write to", path, "medium")
    return None


def _socket_in(path: str, mount: Mount, tree: MountTree) -> Power | None:
    socket = HOLD_SOCKETS.get(path)
    if socket is None or not tree.shows(mount, below(mount.mount_point, f"/{socket}")):
        return None
    return Power("talk to", f"{path}/{socket}", "high")


def _read(path: str) -> Power | None:
    return Power("read", path, "low") if SECRETS.fullmatch(path) else None


def _writable(mount: Mount) -> bool:
    return "ro" not in mount.options and "ro" not in mount.super_options


def _shows(tree: MountTree, mount: Mount, place: str) -> bool:
    """Whether a *place* of the mount's filesystem can be reached through it, and nothing lies over it."""
    path = path_at(mount, place)
    return path is not None and tree.shows(mount, path)
