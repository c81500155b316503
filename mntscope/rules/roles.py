"""What a mount namespace is there for: what is a fault in a container is a runtime's daily work."""

from __future__ import annotations

import re
from typing import Literal, get_args

from mntscope.model import Mount, View

Role = Literal["host", "runtime", "node-plugin", "container", "unit", "sandbox", "other"]
"""``host``: the namespace that is protected. ``runtime``: what starts containers, and mounts for them. ``node-plugin``:
a container of Kubernetes that mounts for others, as drivers of storage and networks do. ``unit``: a service of systemd
with mounts of its own. ``sandbox``: an application that is confined (snap, flatpak, bubblewrap). ``other``: nothing is
known."""
ROLES: tuple[Role, ...] = get_args(Role)

RUNTIMES = frozenset({
    "buildkitd", "conmon", "containerd", "containerd-shim", "containerd-shim-runc-v2", "cri-dockerd", "crio", "docker",
    "dockerd", "k0s", "k3s", "k3s-agent", "k3s-server", "kubelet", "lxcfs", "lxd", "incusd", "podman", "rke2", "snapd",
    "systemd-nspawn",
})  # fmt: skip
"""Programs, and units (without ``.service``), that start containers."""

_OF_RUNTIMES = re.compile(r"(libpod-conmon|crio-conmon|podman-pause)-[0-9a-f]+\.scope$")
"""Units for one container each, of its runtime: its monitor, and what keeps the namespaces of Podman without root."""

SANDBOXES = frozenset({"bwrap", "firejail", "flatpak", "snap"})

_FOR_OTHERS = re.compile(r"(^|/)(kubelet(/(pods|plugins|plugins_registry))?|netns)$")
"""Ends the root of a mount through which a node plugin passes on volumes, or a network plugin network namespaces."""


def role_of(view: View) -> Role:
    """The role of a namespace that is not the host's, from its owner, its processes and its mounts."""
    owner = view.namespace.owner
    if owner is None or owner.kind in ("", "process"):
        comms = {process.comm for process in view.namespace.processes}
        if comms & RUNTIMES:
            return "runtime"
        return "sandbox" if comms & SANDBOXES else "other"
    if owner.kind == "unit":
        runtime = re.sub(r"\.(service|scope)$", "", owner.name) in RUNTIMES or _OF_RUNTIMES.match(owner.name)
        return "runtime" if runtime else "unit"
    if owner.kind == "conmon":
        return "runtime"
    if owner.kind in SANDBOXES:
        return "sandbox"
    kubernetes = bool(owner.pod) or owner.kind in ("containerd", "cri-o", "kubernetes")
    return "node-plugin" if kubernetes and any(map(_for_others, view.mounts)) else "container"


def _for_others(mount: Mount) -> bool:
    """Whether it is shared as those of node plugins are: for storage, or for a network made of BPF programs."""
    bpf = mount.fs_type == "bpf" or (mount.fs_type == "sysfs" and mount.root == "/fs")
    return mount.peer_group is not None and (bpf or _FOR_OTHERS.search(mount.root) is not None)
