"""What kubelet, and containerd's CRI, make of a container of a pod.

Read in containerd 1.7 to 2.1 (internal/cri/opts/spec_linux_opts.go), and compared with pods that 1.6 has started.
"""

from __future__ import annotations

from collections.abc import Iterator

from mntscope.analysis.preview.config import ConfigMount
from mntscope.analysis.preview.defaults import (
    KUBELET,
    MASKED,
    READONLY,
    STANDARD_MOUNTS,
    cgroup,
    default_mounts,
)
from mntscope.analysis.preview.manager import (
    Host,
    Prepared,
    beside,
    by_parts,
    configuration,
    first,
    not_shared,
    overlay,
    own_namespaces,
    slug,
)
from mntscope.analysis.preview.steps import Refused, Step
from mntscope.base.paths import below, normal
from mntscope.parse.manifests.containers import PROPAGATIONS, ContainerSpec, MountSpec
from mntscope.propagation.operations import Bind, MountNew


def kubelet(spec: ContainerSpec, label: str, host: Host) -> Prepared:
    """The configuration that containerd hands to the runtime, and what both mount before."""
    name, here = slug(label), host.view.label
    pod = f"{KUBELET}/{slug(spec.group or label)}"
    doubts = [f"the directories of the pod and the container bear numbers; here they are called {pod} and {name}"]
    if not spec.privileged and any(mount.propagation == "Bidirectional" for mount in spec.mounts):
        says = "Bidirectional mount propagation is available only to privileged containers"
        doubts.append(f"the API server does not admit {label}, and only a runtime would start it: {says}")
    before: list[Step] = []
    asked: list[ConfigMount] = []
    for number, mount in enumerate(spec.mounts):
        asked.append(_of_pod(mount, number, pod, name, here, before, host))
    asked += _kubelet_files(spec, pod, name, before, host)
    sandboxes = f"io.containerd.grpc.v1.cri/sandboxes/{slug(spec.group or label)}"
    kept, sandbox = f"/var/lib/containerd/{sandboxes}", f"/run/containerd/{sandboxes}"
    if "ipc" in own_namespaces(spec):
        shm = MountNew(here, "tmpfs", "shm", f"{sandbox}/shm", ("rw", "nosuid", "nodev", "noexec", "relatime"))
        _once(Step("containerd", "setupSandboxFiles", "before", shm), before, host)
    tasks = "/run/containerd/io.containerd.runtime.v2.task/k8s.io"
    _once(overlay("containerd", "RunPodSandbox", here, f"{tasks}/{slug(spec.group or label)}/rootfs"), before, host)
    read_only = ("ro",) if spec.readonly_root else ("rw",)
    own_files = [
        *(
            ConfigMount(f"/etc/{file}", "bind", f"{kept}/{file}", ("rbind", "rprivate", *read_only), "containerd")
            for file in ("hostname", "resolv.conf")
        ),
        ConfigMount(
            "/dev/shm",  # noqa: S108 - a container's
            "bind",
            f"{sandbox}/shm" if "ipc" in own_namespaces(spec) else "/dev/shm",  # noqa: S108
            ("rbind", "rprivate", "rw"),
            "containerd",
        ),
    ]
    asked = sorted([*asked, *beside(own_files, asked)], key=by_parts)
    mode = "rw" if spec.privileged else "ro"
    standard = [*default_mounts(STANDARD_MOUNTS, "containerd", writable=spec.privileged), cgroup("containerd", mode)]
    mounts = (*beside(standard, asked), *asked)
    rootfs = f"{tasks}/{name}/rootfs"
    before.append(overlay("containerd", "mount.All", here, rootfs))
    config = configuration(spec, label, rootfs, mounts, "rshared", MASKED, READONLY)
    refused = first(_host_path_refused(mount, host) for mount in asked)
    refused = refused or first(not_shared(mount, host, "containerd", quoted=True) for mount in asked)
    return Prepared(config, tuple(before), refused, tuple(doubts))


def _once(step: Step, before: list[Step], host: Host) -> None:
    """What is mounted for the pod, unless it was for one of its containers before."""
    assert isinstance(step.operation, MountNew)
    path = step.operation.target
    done = {each.operation.target for each in before if isinstance(each.operation, MountNew)}
    if path not in done and all(mount.mount_point != path for mount in host.view.mounts):
        before.append(step)


def _of_pod(
    mount: MountSpec,
    number: int,
    pod: str,
    name: str,
    here: str,
    before: list[Step],
    host: Host,
) -> ConfigMount:
    """A volumeMount: where kubelet has the volume, and what it does on the host so that it is there."""
    source = host.absolute(mount.source) if mount.kind == "bind" and mount.source else None
    if source is None:
        folder = {"empty-dir": "kubernetes.io~empty-dir", "files": "kubernetes.io~projected"}.get(
            mount.kind, "kubernetes.io~csi"
        )
        source = f"{pod}/volumes/{folder}/{slug(mount.volume or str(number))}"
        in_memory = (mount.kind == "empty-dir" and mount.fs_type == "tmpfs") or mount.kind in ("files", "claim")
        if in_memory:
            kind = "csi" if mount.kind == "claim" else "tmpfs"
            operation = MountNew(here, kind, kind, source, ("rw", "relatime"))
            _once(Step("kubelet", "SetUpAt", "before", operation), before, host)
    if mount.sub_path:
        inside = host.absolute(below(source, f"/{mount.sub_path}"))
        source = f"{pod}/volume-subpaths/{slug(mount.volume or 'volume')}/{name}/{number}"
        before.append(Step("kubelet", "doBindSubPath", "before", Bind(here, inside, source)))
    word = PROPAGATIONS.get(mount.propagation or "None", "rprivate")
    access = "rro" if mount.read_only_recursive else "ro" if mount.read_only else "rw"
    return ConfigMount(
        normal(mount.destination),
        "bind",
        source,
        ("rbind", word, access),
        "the file",
        mount,
        created=mount.source_type not in HOST_PATH_CHECKS,
    )


HOST_PATH_CHECKS = {
    "Directory": "a directory",
    "File": "a file",
    "Socket": "a socket file",
    "CharDevice": "a character device",
    "BlockDevice": "a block device",
}
"""Types of a hostPath that have to be there, in the words in which kubelet says that they are not."""


def _host_path_refused(mount: ConfigMount, host: Host) -> Refused | None:
    """What kubelet says of a hostPath that is not there; containerd makes a directory of those without a type."""
    kind = HOST_PATH_CHECKS.get(mount.spec.source_type) if mount.spec is not None else None
    if kind is None or not mount.is_missing(host.files):
        return None
    return Refused("kubelet", "checkTypeInternal", f"hostPath type check failed: {mount.source} is not {kind}", mount)


def _kubelet_files(spec: ContainerSpec, pod: str, name: str, before: list[Step], host: Host) -> Iterator[ConfigMount]:
    taken = {normal(mount.destination) for mount in spec.mounts}
    token = "/var/run/secrets/kubernetes.io/serviceaccount"
    if spec.service_account_token and token not in taken:
        source = f"{pod}/volumes/kubernetes.io~projected/kube-api-access"
        operation = MountNew(host.view.label, "tmpfs", "tmpfs", source, ("rw", "relatime"))
        _once(Step("kubelet", "SetUpAt", "before", operation), before, host)
        yield ConfigMount(token, "bind", source, ("rbind", "rprivate", "ro"), "kubelet")
    if "/etc/hosts" not in taken:
        yield ConfigMount("/etc/hosts", "bind", f"{pod}/etc-hosts", ("rbind", "rprivate", "rw"), "kubelet")
    log = f"{pod}/containers/{name}/termination-log"
    yield ConfigMount("/dev/termination-log", "bind", log, ("rbind", "rprivate", "rw"), "kubelet")
