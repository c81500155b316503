"""MNT016: containers that can write to what the host is made of, or talk to what starts containers."""

from __future__ import annotations

from collections.abc import Iterator

from mntscope.analysis.remedies import Command
from mntscope.base.counting import counted
from mntscope.base.paths import under
from mntscope.base.records import dataclass
from mntscope.graph import Member, Severity
from mntscope.model import Mount, View
from mntscope.rules.host_paths import HostPaths, together
from mntscope.rules.machine import Machine
from mntscope.rules.rule import Evidence, Finding, Reference, Rule

SYSTEM = frozenset({
    "/", "/bin", "/boot", "/etc", "/etc/cron.d", "/etc/kubernetes", "/etc/kubernetes/manifests", "/etc/systemd",
    "/etc/systemd/system", "/lib", "/lib64", "/root", "/run", "/sbin", "/usr", "/usr/bin", "/usr/lib", "/usr/lib64",
    "/usr/local/bin", "/usr/sbin", "/var", "/var/lib", "/var/spool/cron",
})  # fmt: skip
"""Whoever writes there runs programs as root on the host."""
STATE = frozenset({
    "/run/containerd", "/run/crio", "/run/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/docker",
    "/var/lib/kubelet", "/var/lib/kubelet/pods",
})  # fmt: skip
"""What is there is other containers'."""
KUBELET = "/var/lib/kubelet"
SOCKETS = frozenset({
    "buildkitd.sock", "containerd.sock", "cri-dockerd.sock", "crio.sock", "docker.sock", "dockershim.sock",
    "podman.sock", "lxd/unix.socket", "incus/unix.socket",
})  # fmt: skip
"""Names of sockets through which one starts containers, with any right one likes."""


@dataclass(frozen=True, slots=True)
class Exposed:
    """A mount of a container, and what it is on the host."""

    mount: Mount
    path: str
    host: Mount
    severity: Severity
    socket: bool = False


def check(machine: Machine) -> Iterator[Finding]:
    """One finding for each topmost mount."""
    host_paths: HostPaths | None = None
    root = next((mount for mount in machine.tree(machine.host.label).roots if mount.mount_point == "/"), None)
    for view in machine.others:
        if machine.roles[view.label] not in ("container", "node-plugin") or _copy_of_the_host(machine, view):
            continue
        host_paths = host_paths or HostPaths(machine.tree(machine.host.label))
        exposed = _exposed(machine, view, host_paths, root)
        for mounts in together(machine.tree(view.label), exposed):
            yield _finding(machine, view, [exposed[mount] for mount in mounts])


def _copy_of_the_host(machine: Machine, view: View) -> bool:
    """Whether it is no container but the host as a user sees it: ``unshare --map-root-user --mount``.

    What may be written there the permissions of that user say, as they do on the host.
    """
    owner = view.namespace.owner
    of_a_runtime = owner is not None and owner.kind != "cgroup"
    return not machine.own_root(view.label) and (_own_users(machine, view) or not of_a_runtime)


def _own_users(machine: Machine, view: View) -> bool:
    """Whether it is known to belong to another user namespace than the host's: its root is no root there."""
    hosts, its = machine.host.namespace.user_namespace, view.namespace.user_namespace
    return None not in (hosts, its) and its != hosts


def _exposed(machine: Machine, view: View, host_paths: HostPaths, root: Mount | None) -> dict[Mount, Exposed]:
    tree = machine.tree(view.label)
    plugin = machine.roles[view.label] == "node-plugin"
    found = {}
    for mount in view.mounts:
        if tree.hidden(mount):
            continue
        exposed = _whole(mount, root) or next(
            (exposed for host, path in host_paths.of(mount) if (exposed := _judged(mount, host, path))), None
        )
        if exposed is not None and not (plugin and under(exposed.path, KUBELET)):
            found[mount] = exposed
    return found


def _whole(mount: Mount, root: Mount | None) -> Exposed | None:
    """The host's ``/`` in it, be it a subdirectory of the filesystem, as with ostree and btrfs."""
    inside = root is not None and mount.device == root.device and under(root.root, mount.root)
    return Exposed(mount, "/", root, "high") if inside and root is not None and _writable(mount) else None


def _judged(mount: Mount, host: Mount, path: str) -> Exposed | None:
    if not SOCKETS.isdisjoint(("/".join(path.split("/")[-2:]), path.rpartition("/")[2])):
        return Exposed(mount, path, host, "high", socket=True)
    if not _writable(mount):
        return None
    if path in SYSTEM:
        return Exposed(mount, path, host, "high")
    return Exposed(mount, path, host, "medium") if path in STATE else None


def _writable(mount: Mount) -> bool:
    return "ro" not in mount.options and "ro" not in mount.super_options


def _finding(machine: Machine, view: View, exposed: list[Exposed]) -> Finding:
    first, *others = exposed
    does = "can talk to" if first.socket else "can write to"
    more = f", and to {counted(len(others), 'more such path')} below it" if others else ""
    mapped = _own_users(machine, view)
    return RULE.finding(
        view.label,
        f"{machine.words(view.label)} {does} {first.path} of the host, which it has at {first.mount.mount_point}{more}",
        (machine.name(view.label), first.path, first.mount.mount_point),
        severity="medium" if mapped else first.severity,
        confidence="possible" if mapped else "certain",
        path=first.mount.mount_point,
        evidence=Evidence(
            mounts=(Member(view.label, first.mount), Member(machine.host.label, first.host)),
            lands_at=tuple((machine.host.label, one.path) for one in exposed[:8]),
            facts=(
                ("path on the host", first.path),
                ("options", ",".join(first.mount.options)),
                *((("its users", "those of a user namespace of its own"),) if mapped else ()),
            ),
        ),
        commands=_commands(machine, view, exposed),
        advice="Start the container without that volume. If it only reads, mount it read-only (`-v PATH:PATH:ro`,"
        " `readOnly: true`), and only the directory it needs."
        + (" A socket is as good read-only: give it a proxy that allows few requests." if first.socket else ""),
    )


def _commands(machine: Machine, view: View, exposed: list[Exposed]) -> tuple[Command, ...]:
    """Making them read-only where they are; nothing helps against a socket but to take it away."""
    tree = machine.tree(view.label)
    if any(one.socket or tree.named_by(one.mount.mount_point) is not one.mount for one in exposed):
        return ()
    each = []
    for one in exposed[:16]:
        flags = ",".join(flag for flag in one.mount.options if flag not in ("rw", "ro"))
        each.append(("-o", f"remount,bind,ro,{flags}".rstrip(","), one.mount.mount_point))
    return machine.commands(view.label, "mount", *each)


RULE = Rule(
    id="MNT016",
    name="writable-host-path",
    severity="high",
    confidence="certain",
    summary="A container can write to a directory that the host is made of, or reach the socket of a container runtime",
    why="""\
Root in a container that can write to the host's `/etc`, `/usr` or `/root` is root on the host at the next login or
cron job. The socket of Docker, containerd, cri-o or Podman is the same: who can talk to it starts a container with the
host's `/`. A volume of `/var/lib/docker` or `/var/lib/kubelet` opens every other container's files and secrets.

Judged by what the mount is, not by how it was given: whatever its path in the container, the directory it shows is
looked up among the host's mounts. Only containers are looked at. Not reported: read-only mounts (sockets excepted, as
read-only does not keep from connecting), subdirectories such as `/etc/ssl`, the kernel's filesystems (for `/proc` see
MNT003), and what a node plugin of Kubernetes has of kubelet's directory. In a user namespace of its own, root is
another user on the host: then it is medium.""",
    fix="""\
Take the volume away, or mount only the directory that is needed, read-only. `mount --namespace PID -o remount,bind,ro
PATH` makes it read-only at once, until the container is started again; a socket stays open to it. Kubernetes can forbid
`hostPath` volumes (Pod Security Standards, Baseline).""",
    references=(
        Reference(
            "CIS Docker Benchmark 1.6.0, 5.6: sensitive host system directories are not mounted on containers",
            "https://www.tenable.com/audits/items/CIS_Docker_v1.6.0_L1_Docker_Linux.audit:15c09ec0321a6cb273ef92ad3808dee3",
        ),
        Reference(
            "CIS Docker Benchmark: the Docker socket is not mounted inside any containers",
            "https://www.cisecurity.org/benchmark/docker",
        ),
        Reference(
            "Kubernetes, Pod Security Standards: hostPath volumes",
            "https://kubernetes.io/docs/concepts/security/pod-security-standards/",
        ),
        Reference(
            "Docker, protect the Docker daemon socket", "https://docs.docker.com/engine/security/protect-access/"
        ),
    ),
    check=check,
)
