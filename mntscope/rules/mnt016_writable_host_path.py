"""MNT016: containers with what means power over the host: by writing, by reading, by talking to a socket."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from mntscope.analysis.remedies import Command
from mntscope.base.counting import counted
from mntscope.base.paths import under
from mntscope.base.records import dataclass
from mntscope.graph import Member
from mntscope.graph.severity import KERNEL_FILESYSTEMS, SEVERITIES
from mntscope.model import Mount, View
from mntscope.rules.host_paths import HostPaths, together
from mntscope.rules.host_power import KUBELET, Power, kernels_own, power_over, power_over_kernel
from mntscope.rules.machine import Machine
from mntscope.rules.rule import Evidence, Finding, Reference, Rule

SHOWN = 8


@dataclass(frozen=True, slots=True)
class Exposed:
    """A mount of a container, and what it lets root do to the host."""

    mount: Mount
    power: Power
    host: Mount | None
    """The host's mount of the same; ``None`` where the filesystem is the kernel's."""


def check(machine: Machine) -> Iterator[Finding]:
    """One finding for each topmost mount."""
    devices = kernels_own(machine.tree(machine.host.label))
    for view in machine.others:
        if machine.roles[view.label] not in ("container", "node-plugin") or _copy_of_the_host(machine, view):
            continue
        exposed = _exposed(machine, view, devices)
        for mounts in together(machine.tree(view.label), exposed):
            # Those that are alike stay in the order of the tree.
            found = sorted((exposed[mount] for mount in mounts), key=lambda one: SEVERITIES.index(one.power.severity))
            yield _finding(machine, view, found)


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


def _exposed(machine: Machine, view: View, devices: Collection[str]) -> dict[Mount, Exposed]:
    hosts, tree = machine.tree(machine.host.label), machine.tree(view.label)
    root = hosts.root_directory
    plugin = machine.roles[view.label] == "node-plugin"
    mapped = _own_users(machine, view)
    found = {}
    for mount in view.mounts:
        if tree.hidden(mount):
            continue
        if mount.fs_type in KERNEL_FILESYSTEMS:
            # They are root's, and a user namespace has none of the host's root.
            power = None if mapped else power_over_kernel(mount, tree, devices)
            exposed = None if power is None else Exposed(mount, power, None)
        else:
            shown = _shown(mount, root, machine.host_paths)
            powers = ((power, host) for path, host in shown if (power := power_over(path, mount, tree)))
            exposed = next((Exposed(mount, power, host) for power, host in powers), None)
        if exposed is None or (plugin and _work_of_a_plugin(exposed.power)):
            continue
        if not mapped or exposed.power.does != "read":
            found[mount] = exposed
    return found


def _shown(mount: Mount, root: Mount | None, host_paths: HostPaths) -> Iterator[tuple[str, Mount]]:
    """Which paths of the host a mount shows, each with the host's mount."""
    if root is not None and mount.device == root.device and under(root.root, mount.root):
        # Be the host's ``/`` a subdirectory of the filesystem, as with ostree and btrfs.
        yield "/", root
    for host, path in host_paths.of(mount):
        yield path, host


def _work_of_a_plugin(power: Power) -> bool:
    """Volumes, devices and networks of pods are what node plugins are there for."""
    return any(under(power.path, directory) for directory in (KUBELET, "/etc/cni", "/opt/cni"))


def _finding(machine: Machine, view: View, exposed: list[Exposed]) -> Finding:
    """Of mounts in one another, the worst first."""
    first, *others = exposed
    mapped = _own_users(machine, view)
    severity = first.power.severity
    more = f", and has {counted(len(others), 'more such path')}" if others else ""
    hosts = () if first.host is None else (Member(machine.host.label, first.host),)
    return RULE.finding(
        view.label,
        f"{machine.words(view.label)} can {first.power.does} {first.power.path} of the host, which it has at"
        f" {first.mount.mount_point}{more}",
        (machine.name(view.label), first.power.path, first.mount.mount_point),
        severity="medium" if mapped and severity == "high" else severity,
        confidence="possible" if mapped else "certain",
        path=first.mount.mount_point,
        evidence=Evidence(
            mounts=(Member(view.label, first.mount), *hosts),
            lands_at=tuple((machine.host.label, one.power.path) for one in exposed[:SHOWN]),
            facts=(
                ("path on the host", first.power.path),
                ("options", ",".join(first.mount.options)),
                *((("its users", "those of a user namespace of its own"),) if mapped else ()),
            ),
        ),
        commands=_commands(machine, view, exposed),
        advice="Start the container without that volume. If it only reads, mount it read-only (`-v PATH:PATH:ro`,"
        " `readOnly: true`), and only the directory it needs."
        + (" A socket is as good read-only: give it a proxy that allows few requests." if _talks(exposed) else "")
        + (" What is below is read-only only if it is asked for (`bind-recursive=readonly`)." if others else ""),
    )


def _talks(exposed: list[Exposed]) -> bool:
    return any(one.power.does == "talk to" for one in exposed)


def _commands(machine: Machine, view: View, exposed: list[Exposed]) -> tuple[Command, ...]:
    """Making them read-only where they are, if that puts an end to it; what can be read then is another finding."""
    tree = machine.tree(view.label)
    worse = [one for one in exposed if one.power.does != "read"]
    if not all(one.power.curable and tree.named_by(one.mount.mount_point) is one.mount for one in worse):
        return ()
    each = []
    for one in worse[:16]:
        flags = ",".join(flag for flag in one.mount.options if flag not in ("rw", "ro"))
        each.append(("-o", f"remount,bind,ro,{flags}".rstrip(","), one.mount.mount_point))
    return machine.commands(view.label, "mount", *each)


RULE = Rule(
    id="MNT016",
    name="writable-host-path",
    severity="high",
    confidence="certain",
    summary="A container has what means power over the host: its system directories, its sockets, its keys",
    why="""\
Root in a container that can write to the host's `/etc`, `/usr` or `/root`, or to one file such as `/etc/passwd`,
`/etc/sudoers` or `/root/.ssh/authorized_keys`, is root on the host at the next login or cron job. The socket of Docker,
containerd, cri-o or Podman is the same: who can talk to it starts a container with the host's `/`; so are systemd's own
socket and that of D-Bus, which start units. `/proc/sys` of the host's `/proc` names programs that the kernel runs as
root, and so does a cgroup hierarchy of the first version. These are high.

Medium: `/var/lib/docker` or `/var/lib/kubelet`, with every other container's files and secrets; a home; the host's
`/sys`; the root of its cgroups, with the limits and the life of all its programs; the devices in `/dev`. Low: a
writable sysfs of a privileged container's own, and what need only be read, as `/etc/shadow`, private keys, the tokens
of pods, or the host's processes in its `/proc`.

Judged by what the mount is, not by how it was given: whatever its path in the container, the directory it shows is
looked up among the host's mounts. Only containers are looked at. Not reported: subdirectories such as `/etc/ssl`, a
proc or cgroups of the container's own, what a node plugin of Kubernetes has of kubelet's and CNI's directories, and a
user's own view of the host (`unshare --map-root-user`), in which that user may write what it may write anyway. In a
user namespace of its own, root is another user on the host: then it is medium, and kernel settings and keys are out of
reach.""",
    fix="""\
Take the volume away, or mount only the directory that is needed, read-only. `mount --namespace PID -o remount,bind,ro
PATH` makes it read-only at once, until the container is started again; a socket stays open to it, and a read-only bind
leaves the mounts below it writable unless it is recursive. Kubernetes can forbid `hostPath` volumes (Pod Security
Standards, Baseline).""",
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
            "Kubescape C-0048: hostPath mounts; C-0045: writable ones; C-0074: the socket of a container runtime",
            "https://kubescape.io/docs/controls/",
        ),
        Reference(
            "Falco rules: sensitive mounts of containers (/proc, /var/run/docker.sock, /, /root, /etc)",
            "https://github.com/falcosecurity/rules",
        ),
        Reference("proc_sys_kernel(5), core_pattern", "https://man7.org/linux/man-pages/man5/proc_sys_kernel.5.html"),
        Reference(
            "cgroups(7), release_agent of the first version", "https://man7.org/linux/man-pages/man7/cgroups.7.html"
        ),
        Reference(
            "Docker, protect the Docker daemon socket", "https://docs.docker.com/engine/security/protect-access/"
        ),
    ),
    check=check,
)
