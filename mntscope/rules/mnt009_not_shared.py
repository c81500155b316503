"""MNT009: a mount of the host that others rely on being shared, and that is private."""

from __future__ import annotations

from collections.abc import Iterator

from mntscope.base.paths import under
from mntscope.graph import Member, Severity
from mntscope.model import Mount
from mntscope.rules.leaks import SHARED_SUBTREES
from mntscope.rules.machine import INITIAL_PID_NAMESPACE, Machine
from mntscope.rules.rule import Confidence, Evidence, Finding, Reference, Rule

KUBELET = "/var/lib/kubelet"

RUNTIMES = frozenset({
    "conmon", "containerd", "cri-dockerd", "crio", "dockerd", "k0s", "k3s", "k3s-agent", "k3s-server", "kubelet",
    "podman", "rke2",
})  # fmt: skip
"""Programs that start containers with volumes, and look first whether their propagation can be what was asked for."""
STORES = {
    "/run/containerd": "containerd", "/run/containers/storage": "Podman", "/run/crio": "CRI-O",
    "/run/docker": "Docker", "/run/k3s/containerd": "k3s", "/var/lib/containerd": "containerd",
    "/var/lib/containers/storage": "Podman", "/var/lib/docker": "Docker", "/var/lib/rancher": "k3s",
    f"{KUBELET}/pods": "kubelet",
}  # fmt: skip
"""Below these each mounts what its running containers are made of."""
OF_CONTAINERS = frozenset({"aufs", "fuse.fuse-overlayfs", "nsfs", "overlay"})
"""Of such types. What else is there, a runtime leaves when it has ended: a bind of its directory on itself."""


def check(machine: Machine) -> Iterator[Finding]:
    """The root of a host on which systemd or a container runtime runs, and where kubelet mounts volumes."""
    tree = machine.tree(machine.host.label)
    root = tree.named_by("/")
    wrong = None
    if root is not None and not _passes_on(root):
        if _started_by_systemd(machine):
            wrong = root
            yield _finding(machine, root, "/", "systemd makes it shared when it starts", ("--make-rshared", "/"))
        elif (runtime := _runtime(machine)) is not None:
            # On purpose, or not known better: it harms only who asks for such volumes.
            why = f"{runtime} runs there and refuses volumes that are to be shared or slaves"
            yield _finding(machine, root, "/", why, ("--make-rshared", "/"), severity="low", confidence="likely")
    kubelet = tree.containing(KUBELET)
    if kubelet is None or kubelet is wrong or _passes_on(kubelet) or not _has_kubelet(machine):
        return
    # Where it is no mount of its own, it is made into one, so that nothing else changes.
    bind = [("--rbind", KUBELET, KUBELET)] if tree.named_by(KUBELET) is not kubelet else []
    why = "kubelet and node plugins pass on volumes there"
    yield _finding(machine, kubelet, KUBELET, why, *bind, ("--make-rshared", KUBELET))


def _finding(
    machine: Machine,
    mount: Mount,
    path: str,
    why: str,
    *words: tuple[str, ...],
    severity: Severity | None = None,
    confidence: Confidence | None = None,
) -> Finding:
    host = machine.host.label
    # Old ones did not; and from a table alone, nobody knows who plays the host.
    known = machine.first_process(host) is not None and machine.host_pid_namespace is not None
    contains = "" if mount.mount_point == path else f" (in the mount at {mount.mount_point})"
    return RULE.finding(
        host,
        f"the host's {path}{contains} is {mount.propagation}, but {why}: volumes and umounts do not reach the"
        " containers",
        (machine.name(host), path),
        severity=severity or ("high" if path == KUBELET else "medium" if known else "low"),
        confidence=confidence or ("certain" if path == KUBELET else "likely" if known else "possible"),
        path=path,
        evidence=Evidence(mounts=(Member(host, mount),), facts=(("propagation", mount.propagation),)),
        commands=machine.commands(host, "mount", *words),
        advice="Containers that are running keep what they were started with: restart them. Look for what made it"
        " private (a boot script, a unit with MountFlags=, an installer's `mount --make-private`).",
    )


def _passes_on(mount: Mount) -> bool:
    return mount.peer_group is not None


def _started_by_systemd(machine: Machine) -> bool:
    """Whether the host is a machine, and systemd its pid 1: in a container it leaves the mounts as it finds them."""
    if machine.host_pid_namespace not in (None, INITIAL_PID_NAMESPACE):
        return False
    first = machine.first_process(machine.host.label)
    if first is not None and first.comm:
        return first.comm == "systemd" and first.pid == 1
    # From the table alone: no autofs but systemd's has this source, and a container gets none.
    return any(mount.fs_type == "autofs" and mount.source == "systemd-1" for mount in machine.host.mounts)


def _runtime(machine: Machine) -> str | None:
    """A container runtime that runs in the host's namespace: by its process, or by the mounts of its containers."""
    for process in machine.host_processes:
        if process.comm in RUNTIMES:
            return process.comm
    mounts = (mount for mount in machine.host.mounts if mount.fs_type in OF_CONTAINERS)
    return next((name for mount in mounts for store, name in STORES.items() if under(mount.mount_point, store)), None)


def _has_kubelet(machine: Machine) -> bool:
    runs = any(process.comm == "kubelet" for process in machine.host_processes)
    return runs or any(under(mount.mount_point, f"{KUBELET}/pods") for mount in machine.host.mounts)


RULE = Rule(
    id="MNT009",
    name="not-shared",
    severity="high",
    confidence="certain",
    summary="A mount of the host that is private, where containers or units rely on its being shared",
    why="""\
The opposite fault: nothing leaks, and nothing arrives either. Where `/` is private, a new namespace gets copies that
never hear of the host again: a disk that is unmounted stays busy there, a volume that is mounted later is missing.
Container runtimes refuse volumes with `rshared` or `rslave` ("path is mounted on / but it is not a shared or slave
mount"), whatever the first process is called: where that is all, it is low. Where `/var/lib/kubelet` is private,
volumes that a node plugin mounts never reach the pods: these write to the empty directory beneath, and the data is lost
with the pod, without an error.""",
    fix="""\
`mount --make-rshared` on the mount, early at boot and before the runtimes start; systemd does so for `/` by itself.
Directories that a runtime keeps private on purpose (`/var/lib/docker`, `/var/lib/containers/storage/overlay`) are not
reported.""",
    references=(
        SHARED_SUBTREES,
        Reference(
            "Kubernetes, Volumes: Mount propagation",
            "https://kubernetes.io/docs/concepts/storage/volumes/#mount-propagation",
        ),
        Reference("systemd.exec(5), MountFlags=", "https://man7.org/linux/man-pages/man5/systemd.exec.5.html"),
    ),
    check=check,
)
