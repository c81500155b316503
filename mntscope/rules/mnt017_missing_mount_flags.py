"""MNT017: a container's copy of a host's mount without the flags that protect the host's."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mntscope.analysis.remedies import Command
from mntscope.base.counting import counted
from mntscope.base.records import dataclass
from mntscope.graph import Member
from mntscope.model import Mount, View
from mntscope.rules.host_paths import together
from mntscope.rules.machine import Machine
from mntscope.rules.rule import Evidence, Finding, Reference, Rule

FLAGS = ("nosuid", "nodev", "noexec")
MOST = 16
OWN = re.compile(r"/(sandboxes/[^/]+|containers/[0-9a-f]{64}/mounts|overlay-containers/[0-9a-f]{64}/userdata)/")
"""Where containerd, Docker, Podman and CRI-O have what they made for one container: nobody chose flags for that."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A mount, and the flags that it has not, but each of the host's mounts of its directory has."""

    mount: Mount
    flags: tuple[str, ...]
    host: Mount
    path: str
    """Where the host has it."""

    @property
    def grave(self) -> bool:
        """Whether what is written through it can become root or a device elsewhere."""
        return "ro" not in self.mount.options and self.flags != ("noexec",)


def check(machine: Machine) -> Iterator[Finding]:
    """One finding for each topmost mount that can be reached."""
    for view in machine.others:
        if machine.roles[view.label] not in ("container", "node-plugin", "sandbox"):
            continue
        lost = _lost(machine, view)
        for mounts in together(machine.tree(view.label), lost):
            yield _finding(machine, view, [lost[mount] for mount in mounts])


def _lost(machine: Machine, view: View) -> dict[Mount, Lost]:
    tree = machine.tree(view.label)
    found = {}
    for mount in view.mounts:
        lacking = [flag for flag in FLAGS if flag not in mount.options]
        known = machine.host_paths.of(mount) if lacking else ()
        shown = [(host, path) for host, path in known if not OWN.search(path)]
        flags = tuple(flag for flag in lacking if shown and all(flag in host.options for host, _ in shown))
        if flags and not tree.hidden(mount):
            found[mount] = Lost(mount, flags, *shown[0])
    return found


def _finding(machine: Machine, view: View, lost: list[Lost]) -> Finding:
    first, *others = sorted(lost, key=lambda one: not one.grave)
    more = f"; so it is with {counted(len(others), 'more mount')} below it" if others else ""
    return RULE.finding(
        view.label,
        f"{first.mount.mount_point} of {machine.words(view.label)} is {first.path} of the host, but without"
        f" {', '.join(first.flags)}, with which the host mounts it{more}",
        (machine.name(view.label), first.path, first.mount.mount_point),
        severity="medium" if first.grave else "low",
        path=first.mount.mount_point,
        evidence=Evidence(
            mounts=(Member(view.label, first.mount), Member(machine.host.label, first.host)),
            lands_at=tuple((machine.host.label, one.path) for one in lost[:MOST]),
            facts=(
                ("flags of the host", _of(first.host)),
                ("flags of the copy", _of(first.mount)),
                ("mounts without them", str(len(lost))),
            ),
        ),
        commands=_commands(machine, view, lost),
        advice="Name the flags with the volume: `-v PATH:PATH:ro,nosuid,nodev,noexec` (Podman),"
        " `docker volume create -o type=none -o o=bind,nosuid,nodev -o device=PATH NAME`, the options of an OCI mount.",
    )


def _of(mount: Mount) -> str:
    return ",".join(flag for flag in FLAGS if flag in mount.options) or "none"


def _commands(machine: Machine, view: View, lost: list[Lost]) -> tuple[Command, ...]:
    tree = machine.tree(view.label)
    if len(lost) > MOST or any(tree.named_by(one.mount.mount_point) is not one.mount for one in lost):
        return ()
    each = (
        ("-o", ",".join(("remount", "bind", *one.mount.options, *one.flags)), one.mount.mount_point) for one in lost
    )
    return machine.commands(view.label, "mount", *each)


RULE = Rule(
    id="MNT017",
    name="missing-mount-flags",
    severity="medium",
    confidence="certain",
    summary="A container has a directory of the host without the nosuid, nodev or noexec with which the host mounts it",
    why="""\
An administrator who mounts `/home`, `/tmp` or a data disk `nosuid,nodev,noexec` means that nothing there is to become
root, a device or a program. These flags belong to the mount, not to the filesystem: a bind mount begins with those of
its source, and a *remount* (to make it read-only, for instance) replaces them all. So a container can have the same
directory without them. A setuid file that a user of the host puts there works in the container, and a device node opens
the device if the container may use it; what the container writes, other copies without the flags run.

Compared are all of the host's mounts that show the directory: a flag is missing if each of them has it. Not reported:
what the runtime itself made for the container, such as its `/dev/shm`. Medium where the copy is writable and nosuid or
nodev is missing, else low.""",
    fix="""\
Remount the copy with the flags (`mount --namespace PID -o remount,bind,nosuid,nodev PATH`), and name them where the
volume is configured, together with `ro`.""",
    references=(
        Reference(
            "mount(2), MS_REMOUNT | MS_BIND replaces the flags of a mount",
            "https://man7.org/linux/man-pages/man2/mount.2.html",
        ),
        Reference("moby 36821: noexec is lost with a read-only bind", "https://github.com/moby/moby/issues/36821"),
        Reference("runc 1222: a remount must repeat the flags", "https://github.com/opencontainers/runc/pull/1222"),
        Reference(
            "Kubernetes KEP 5855: noexec, nodev, nosuid of volume mounts",
            "https://www.kubernetes.dev/resources/keps/5855/",
        ),
    ),
    check=check,
)
