"""Whom a process or a mount namespace belongs to: from cgroups(7), from what holds it, from its mounts, from names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mntscope.model import Hold, Mount, Owner, Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Runtimes(Protocol):
        """What container runtimes know of their containers."""

        def started(self, process: Process, /) -> Owner | None:
            """The container whose first process this is."""
            ...

        def named(self, owner: Owner, /) -> Owner:
            """The same container with the name that people gave it, where its runtime knows one."""
            ...


_HEX = "[0-9a-f]{64}"
_UUID = "[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}"
_ID = rf"({_HEX}|[0-9a-f]{{32}}-[0-9]+)"
_END = r"(?=/|$)"

# How each names the cgroup of what it runs. Of several that fit the innermost is meant, and of two at one place the
# first. (A container's monitor, as in crio-conmon-ID.scope, is not the container. What systemd-machined registers
# has a "payload" only if nspawn made it.) Before each what its pattern begins with: where that does not occur the
# pattern is not even compiled, which takes longer than all else here.
_PATTERNS = (
    ("docker", "/docker-", rf"/docker-{_ID}(?:\.scope)?"),
    ("docker", "/docker/", rf"/docker/{_ID}(?:\.scope)?"),
    ("docker", "/actions_job/", rf"/actions_job/{_ID}(?:\.scope)?"),
    ("podman", "/libpod-", rf"/libpod-(?:payload-)?{_ID}(?:\.scope)?"),
    ("cri-o", "/crio-", rf"/crio-{_ID}(?:\.scope)?"),
    ("containerd", "cri-containerd", rf"[/:]cri-containerd[-:]{_ID}(?:\.scope)?"),
    ("kubernetes", "/pod", rf"/pod[^/]+/({_HEX}|{_UUID})"),
    ("ecs", "/ecs/", rf"/ecs/(?:[^/]+/)*{_ID}"),
    ("runc", "/runc-", r"/runc-([^/]+)\.scope"),
    ("crun", "/crun-", r"/crun-([^/]+)\.scope"),
    ("lxc", "/lxc", r"/lxc(?:\.payload[./]|/)([^/]+)"),
    ("nspawn", "/machine-", r"/machine-([^/]+)\.scope(?=/(?:payload|supervisor))"),
    ("nspawn", "/systemd-nspawn@", r"/systemd-nspawn@([^/]+)\.service"),
    ("machine", "/machine-", r"/machine-([^/]+)\.scope"),
    ("garden", "/garden/", r"/garden/([^/]+)"),
    # The namespace is the snap's, whichever of its applications runs there.
    ("snap", "/snap.", r"/snap\.([a-z0-9-]+(?:_[a-z0-9]+)?)(?:\.[^/]+)?"),
    ("flatpak", "flatpak-", r"/(?:app-)?flatpak-([^/]+)-[0-9]+\.scope"),
)
# A container's monitor, in slices in which only root makes units.
_MONITOR = rf"/(?:machine|system)\.slice/(?:libpod|crio)-conmon-({_HEX})\.scope"
_WITH_IDS = frozenset(["docker", "podman", "cri-o", "containerd", "kubernetes", "ecs", "runc", "crun", "garden"])
_POD = rf"[/-]pod({_UUID}|[0-9a-f]{{32}})(?=[./:]|$)"
_UNITS = (".service", ".scope")
_ESCAPED = r"(?:\\x[0-9a-f]{2})+"

# Units in which people run what they like: that one of these is where it was started says little of a namespace.
_SESSION = r"init\.scope|session-.*\.scope|user@.*\.service|(?:vte|tmux)-spawn-.*\.scope"

# What the mounts of a container tell: by mount point, the part of the mount's root that names it.
_DOCKER = ("docker", rf"/containers/({_HEX})/host(?:name|s)")
_PODMAN = ("podman", rf"-containers/({_HEX})/userdata/\.containerenv")
_CRI_O = ("cri-o", rf"-containers/({_HEX})/userdata/hostname")
_CRI = ("containerd", rf"/io\.containerd\.grpc\.v1\.cri/sandboxes/({_HEX})/hostname")
_NSPAWN = ("nspawn", "/systemd/nspawn/propagate/([^/]+)")
_SNAP = ("snap", r"/snap\.([a-z0-9-]+(?:_[a-z0-9]+)?)/tmp")
_PRIVATE_TMP = ("unit", r"/systemd-private-[0-9a-f]{32}-(.+\.service)-[^/-]+/tmp")
_BINDS = {
    "/etc/hostname": (_DOCKER, _CRI_O, _CRI),
    "/etc/hosts": (_DOCKER,),
    "/run/.containerenv": (_PODMAN,),
    "/run/host/incoming": (_NSPAWN,),
    "/run/systemd/nspawn/incoming": (_NSPAWN,),
    "/app": (("flatpak", "/flatpak/app/([^/]+)/.*"),),
    "/tmp": (_SNAP, _PRIVATE_TMP),  # noqa: S108 - compared only
    "/var/tmp": (_PRIVATE_TMP,),  # noqa: S108
}
_IN_POD = rf"/pods/({_UUID}|[0-9a-f]{{32}})/containers/([^/]+)/[^/]+$"
_LAYERS = (
    ("podman", "/containers/storage/overlay/"),
    ("containerd", "/io.containerd."),
    ("docker", "/docker/overlay2/"),
)
_SANDBOXES = ("bwrap", "firejail")
_SNAPS = r"/run/snapd/ns/([a-z0-9-]+(?:_[a-z0-9]+)?)(?:\.[0-9]+)?\.mnt$"


def owner_of(cgroup: str) -> Owner | None:
    """The owner that the paths of a /proc/PID/cgroup text name, containers before units."""
    paths = _paths(cgroup)
    return _container(paths) or _unit(paths)


def owner_of_namespace(
    processes: Sequence[Process], holds: Sequence[Hold], mounts: Sequence[Mount], runtimes: Runtimes | None = None
) -> Owner | None:
    """Whom a mount namespace belongs to, as its oldest process tells, or what holds it, or else its mounts.

    In this order: a snap whose namespace snapd keeps; a container that the cgroup names; what *runtimes* know; a
    container that the mounts name; a sandbox; the monitor of a container, by that container's name; a unit of systemd
    that is not a login session; the layers of a container without a name; the cgroup's own name; the process's name.
    The host's namespace is like any other.
    """
    threads = [hold.process for hold in holds if hold.kind == "thread" and hold.process]
    found = _kept_by_snapd(holds)
    if found is None:
        residents = sorted(processes, key=_age) or threads
        found = _resident(residents, mounts, runtimes) if residents else _from_mounts(mounts)
    return runtimes.named(found) if found and runtimes else found


def _age(process: Process) -> tuple[float, int]:
    return (float("inf") if process.start_time is None else process.start_time, process.pid)


def _resident(residents: Sequence[Process], mounts: Sequence[Mount], runtimes: Runtimes | None) -> Owner | None:
    oldest = residents[0]
    paths = _paths(oldest.cgroup)
    unit = _unit(paths)
    if found := (
        _container(paths)
        or (runtimes.started(oldest) if runtimes else None)
        or _from_mounts(mounts)
        or _sandbox(residents)
        or _monitor(paths)
    ):
        return found
    if unit and not re.fullmatch(_SESSION, unit.name):
        return unit
    group = _own_group(oldest.cgroup)
    if layers := _layers(mounts):
        return Owner(layers, group.rpartition("/")[2] or oldest.comm)
    if group:
        return Owner("cgroup", group)
    return Owner("process", oldest.comm) if oldest.comm else unit


# From cgroups


def _paths(cgroup: str) -> list[str]:
    # In most hierarchies a process has the same.
    return list(dict.fromkeys(path for _, path in _hierarchies(cgroup)))


def _hierarchies(cgroup: str) -> Iterator[tuple[str, str]]:
    """The controllers (empty: the unified hierarchy) and the path of each line."""
    for line in cgroup.split("\n"):
        if line.count(":") >= 2:
            _, controllers, path = line.split(":", 2)
            # A process may outlive its cgroup.
            yield controllers, path.removesuffix(" (deleted)")


def _container(paths: Sequence[str]) -> Owner | None:
    in_pod = None
    for path in paths:
        fits = [
            (match.start(1), -rank, kind, match[1])
            for rank, (kind, beginning, pattern) in enumerate(_PATTERNS)
            if beginning in path
            for match in re.finditer(pattern + _END, path)
        ]
        pods = re.findall(_POD, path) if "pod" in path else []
        pod = pods[-1].replace("_", "-") if pods else ""
        if fits:
            _, _, kind, text = max(fits)
            name = _unescaped(text)
            return Owner(kind, name, id=name if kind in _WITH_IDS else "", pod=pod)
        if pod:
            in_pod = Owner("kubernetes", pod, pod=pod)
    return in_pod


def _unit(paths: Sequence[str]) -> Owner | None:
    for path in paths:
        if units := [part for part in path.split("/")[1:] if part.endswith(_UNITS) and part not in _UNITS]:
            return Owner("unit", _unescaped(units[-1]))
    return None


def _monitor(paths: Sequence[str]) -> Owner | None:
    found = next(filter(None, (re.fullmatch(_MONITOR, path) for path in paths)), None)
    return Owner("conmon", found[1], id=found[1]) if found else None


def _own_group(cgroup: str) -> str:
    """The path of a cgroup that is not systemd's: without its first slash, empty for the root."""
    for controllers, path in _hierarchies(cgroup):
        name = path.strip("/")
        if name and controllers in ("", "name=systemd") and not re.search(r"\.(slice|service|scope)(/|$)|/\.\.", path):
            return name
    return ""


def _unescaped(name: str) -> str:
    """A unit's name as it was before systemd-escape(1)."""

    def decoded(match: re.Match[str]) -> str:
        return bytes.fromhex(match[0].replace("\\x", "")).decode("utf-8", "surrogateescape")

    return re.sub(_ESCAPED, decoded, name) if "\\x" in name else name


# From holds and mounts


def _kept_by_snapd(holds: Sequence[Hold]) -> Owner | None:
    for hold in holds:
        if hold.kind == "mount" and (match := re.search(_SNAPS, hold.where)):
            return Owner("snap", match[1])
    return None


def _from_mounts(mounts: Sequence[Mount]) -> Owner | None:
    found: Owner | None = None
    pod = name = ""
    for mount in mounts:
        if mount.mount_point == "/dev/termination-log" and (match := re.search(_IN_POD, mount.root)):
            pod, name = match.groups()
        elif mount.fs_type in ("cgroup", "cgroup2") and mount.mount_point.startswith("/sys/fs/cgroup"):
            found = found or _container([mount.root])
    found = found or _from_binds(mounts)
    if name:
        # The id that /etc/hostname shows is that of the pod's sandbox, and cri-o keeps its containers as podman does.
        kind = found.kind if found else "kubernetes"
        return Owner("cri-o" if kind == "podman" else kind, name, pod=pod)
    return found


def _from_binds(mounts: Sequence[Mount]) -> Owner | None:
    found = None
    for mount in mounts:
        for kind, root in _BINDS.get(mount.mount_point, ()):
            if match := re.search(f"{root}$", mount.root):
                owner = Owner(kind, match[1], id=match[1] if kind in _WITH_IDS else "")
                # Podman keeps its containers where cri-o does, and gives each a .containerenv as well.
                if kind != "cri-o":
                    return owner
                found = found or owner
    return found


def _layers(mounts: Sequence[Mount]) -> str:
    """The runtime that made the root filesystem of layers."""
    for mount in mounts:
        if mount.mount_point == "/" and mount.fs_type == "overlay":
            for option in mount.super_options:
                for kind, part in _LAYERS:
                    if option.startswith("upperdir=") and part in option:
                        return kind
    return ""


def _sandbox(residents: Sequence[Process]) -> Owner | None:
    kind = residents[0].comm
    if kind not in _SANDBOXES:
        return None
    return Owner(kind, next((process.comm for process in residents if process.comm != kind), str(residents[0].pid)))
