"""MNT014: what runtimes mounted on the host for a container that is gone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from mntscope.analysis.remedies import Command
from mntscope.base.records import dataclass
from mntscope.graph import Member
from mntscope.model import Mount
from mntscope.rules.machine import Machine
from mntscope.rules.rule import Evidence, Finding, Reference, Rule

MOST = 16

_ID = "([0-9a-f]{64})"
_UID = "([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32})"

Whose = Literal["container", "layer", "pod"]
# Where each runtime mounts what a container needs. A layer is named by its own id: only its use tells whose it is.
_PLACES: tuple[tuple[Whose, re.Pattern[str]], ...] = (
    ("container", re.compile(rf"/containers/{_ID}/(?:mounts/)?shm$")),
    ("container", re.compile(rf"/overlay-containers/{_ID}/userdata/shm$")),
    ("container", re.compile(rf"/io\.containerd\.grpc\.v1\.cri/sandboxes/{_ID}/shm$")),
    ("container", re.compile(r"/io\.containerd\.runtime\.v[12]\.[a-z]+/[^/]+/([^/]+)/rootfs$")),
    ("layer", re.compile(rf"/(?:overlay2|overlay|aufs/mnt|btrfs/subvolumes|devicemapper/mnt)/{_ID}(?:/merged)?$")),
    ("pod", re.compile(rf"/kubelet/pods/{_UID}/")),
)
_IN_CGROUP = re.compile("[0-9a-f]{64}|[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Remnant:
    """What is left of one container, layer or pod."""

    whose: Whose
    id: str
    mounts: list[Mount]


def check(machine: Machine) -> Iterator[Finding]:
    """One finding for each container, layer or pod that nobody knows any more."""
    if not any(process.cgroup for process in machine.host.namespace.processes):
        # Without the processes of the machine, nothing says who is gone.
        return
    remnants = _remnants(machine)
    if not remnants:
        return
    alive = _alive(machine)
    used = _used(machine)
    for remnant in remnants:
        its = {(mount.device, mount.mount_point) for mount in remnant.mounts}
        if remnant.id not in alive and not any(_elsewhere(path, used.get(device, ())) for device, path in its):
            yield _finding(machine, remnant)


def _remnants(machine: Machine) -> list[Remnant]:
    found: dict[tuple[Whose, str], Remnant] = {}
    for mount in machine.host.mounts:
        for whose, place in _PLACES:
            if match := place.search(mount.mount_point):
                found.setdefault((whose, match[1]), Remnant(whose, match[1], [])).mounts.append(mount)
                break
    return list(found.values())


def _alive(machine: Machine) -> set[str]:
    """Every id that an owner or a cgroup of a process names."""
    names: set[str] = set()
    for view in (machine.host, *machine.others):
        owner = view.namespace.owner
        names.update((owner.name, owner.id, owner.pod) if owner else ())
        for process in view.namespace.processes:
            for path in process.cgroup.split("\n"):
                names.update(path.split("/"))
            names.update(found.replace("_", "-") for found in _IN_CGROUP.findall(process.cgroup))
    return names


def _used(machine: Machine) -> dict[str, set[str]]:
    """Where each superblock is mounted, in any namespace."""
    places: dict[str, set[str]] = {}
    for view in (machine.host, *machine.others):
        for mount in view.mounts:
            places.setdefault(mount.device, set()).add(mount.mount_point)
    return places


def _elsewhere(path: str, places: Iterable[str]) -> bool:
    """Whether it has another place too: in the container, or on the host, which so hands it to a virtual machine.

    Copies of the host's tree, and volumes that show all of it, have it at the same place below.
    """
    return any(not place.endswith(path) for place in places)


def _finding(machine: Machine, remnant: Remnant) -> Finding:
    first = remnant.mounts[0]
    more = f" and {len(remnant.mounts) - 1} more" if len(remnant.mounts) > 1 else ""
    # Of 64 digits, as tools show them.
    short = remnant.id[:12] if len(remnant.id) == 64 else remnant.id
    # `podman mount` and image builders mount layers on purpose.
    sure = remnant.whose != "layer" and not machine.snapshot.not_seen
    return RULE.finding(
        machine.host.label,
        f"the host still has {first.mount_point}{more} of {remnant.whose} {short}, which no process or"
        f" namespace belongs to",
        ("host", remnant.whose, remnant.id),
        severity="medium" if sure else "low",
        confidence="likely" if sure else "possible",
        path=first.mount_point,
        evidence=Evidence(
            mounts=tuple(Member(machine.host.label, mount) for mount in remnant.mounts[:MOST]),
            facts=((f"{remnant.whose} id", remnant.id), ("mounts left", str(len(remnant.mounts)))),
        ),
        commands=_commands(machine, remnant),
        advice="First ask the runtime (`docker ps --all`, `crictl ps --all`, `podman ps --all --external`): it knows"
        " containers that are being made or removed at this moment.",
    )


def _commands(machine: Machine, remnant: Remnant) -> tuple[Command, ...]:
    if len(remnant.mounts) > MOST:
        return ()
    return machine.commands(machine.host.label, "umount", *((mount.mount_point,) for mount in reversed(remnant.mounts)))


RULE = Rule(
    id="MNT014",
    name="leftover-mount",
    severity="medium",
    confidence="likely",
    summary="The host has a mount of a container or pod that does not exist any more",
    why="""\
A runtime mounts a container's root filesystem, its shared memory and its volumes on the host, and unmounts them when
the container ends. If it is killed, or the umount fails because somebody else holds the mount, they stay: removing the
container fails with "device or resource busy", the volume cannot be attached elsewhere, a pod stays `Terminating`, and
the number of mounts grows with each restart.

Reported are mounts at the places that Docker, containerd, cri-o, Podman and kubelet use, whose id neither an owner of
a namespace nor a cgroup of a process names, and whose filesystem no other namespace and no other path of the host
has. A layer's id is not its container's, and tools mount layers on purpose (`podman mount`): that is low.""",
    fix="""\
Ask the runtime whether it knows the container; if not, `umount` what is listed. If that fails with EBUSY,
`mntscope holders PATH` tells who holds it. If it happens again, look for namespaces that pin mounts (MNT008) and for
runtimes that are killed instead of stopped.""",
    references=(
        Reference(
            "moby 40344: overlay2 mounts not unmounted when docker stops", "https://github.com/moby/moby/issues/40344"
        ),
        Reference(
            "moby 17902: shm mounts that keep containers from removal", "https://github.com/moby/moby/issues/17902"
        ),
        Reference("umount(2)", "https://man7.org/linux/man-pages/man2/umount.2.html"),
    ),
    check=check,
    present=True,
)
