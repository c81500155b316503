"""Every runtime, by name."""

from __future__ import annotations

from tests.runtimes import alike, containerd, docker, lxc, podman, sandboxes
from tests.runtimes.nspawn import NSPAWN
from tests.runtimes.target import Runtime
from tests.runtimes.units import UNITS

ALL: dict[str, Runtime] = {
    runtime.name: runtime
    for runtime in (
        docker.DOCKER,
        docker.DIND,
        podman.PODMAN,
        podman.ROOTLESS,
        containerd.CONTAINERD,
        containerd.PODS,
        lxc.LXC,
        lxc.LXD,
        NSPAWN,
        UNITS,
        sandboxes.BUBBLEWRAP,
        sandboxes.UNSHARE,
        sandboxes.FIREJAIL,
        sandboxes.SCHROOT,
        sandboxes.CHARLIECLOUD,
        sandboxes.FLATPAK,
        sandboxes.BUILDAH,
        alike.ALIKE,
    )
}
"""In the order in which they are looked at."""

FEW = ("podman", "containerd", "nspawn", "units", "bubblewrap", "unshare")
"""Those of ``--few``."""

NOT_IN_DEBIAN = {
    "cri-o": "Debian 12 has no package",
    "kubelet": "Debian 12 has no package; its part of the CRI is played",
    "k3s": "Debian has no package",
    "incus": "Debian 12 has no package; it comes with 13",
    "apptainer": "Debian 12 has no package",
    "nerdctl": "Debian 12 has no package",
    "snap": "snaps come from a store, and are mounted from loop devices",
}
"""What is not looked at, and why."""
