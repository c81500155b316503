"""What is to be said of a container that was started on the model of its host."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from mntscope.analysis.pins import Pins
from mntscope.analysis.preview.config import Config, ConfigMount
from mntscope.analysis.preview.manager import Host
from mntscope.analysis.preview.play import Played
from mntscope.analysis.preview.steps import Refused
from mntscope.base.counting import counted
from mntscope.base.display import Shown
from mntscope.base.paths import under
from mntscope.base.records import dataclass
from mntscope.graph import PeerGraph, leaks_in
from mntscope.graph.severity import CRITICAL, Severity
from mntscope.parse.manifests.containers import PROPAGATIONS, Kind, Where

FindingKind = Literal["mounts-on-host", "receives-nothing", "refused", "pins", "changes-host"]

FEW = 3
"""Paths that a sentence names."""


@dataclass(frozen=True, slots=True)
class PreviewFinding(Shown):
    """One thing that a container could do to its host, or the host not to it, and which line says so."""

    kind: FindingKind
    severity: Severity
    container: str
    """The label of its view."""
    message: str
    """One sentence. It quotes names as they are: not yet fit for a terminal."""
    where: Where
    """The line to change: of the propagation, where one is written, else of the mount, else of the container."""
    path: str
    """In the container; ``/`` where it is about all of it."""
    at: tuple[str, ...] = ()
    """Paths of the host: where it could mount, what it pins, what it mounts when it starts."""
    said_by: str = ""
    said: str = ""
    """The program that refuses, and its words."""
    remedy: str = ""
    """What to write instead."""


def of_container(
    config: Config, played: Played | None, refused: Refused | None, host: Host, graph: PeerGraph | None
) -> tuple[PreviewFinding, ...]:
    """All findings of one container: played on the host that *host* was before, *graph* is that of the world after.

    *refused* is what its manager says instead of starting it.
    """
    found: list[PreviewFinding] = []
    refusal = refused or (played.refused if played is not None else None)
    for mount in config.mounts:
        found += _receives_nothing(config, mount, host, refused)
    if refusal is not None and not any(each.said for each in found):
        found.append(_refused(config, refusal))
    if played is not None:
        found += _changes_host(config, played)
    if played is not None and played.started and graph is not None:
        found += _mounts_on_host(config, graph, host.view.label)
        found += _pins(config, graph, host.view.label)
    return tuple(found)


# ---- it can mount on the host ----


def _mounts_on_host(config: Config, graph: PeerGraph, host: str) -> Iterator[PreviewFinding]:
    """From which of its mounts events reach the host; those of one line of the file together."""
    by_mount: dict[ConfigMount | None, list[tuple[str, tuple[str, ...], Severity]]] = defaultdict(list)
    for leak in leaks_in(graph, config.label, host):
        if leak.direction != "in":
            by_mount[asked_for(config, leak.path)].append((leak.path, leak.lands_at, leak.severity))
    others = _others(graph, config.label, host)
    for mount, leaks in by_mount.items():
        at = tuple(dict.fromkeys(path for _, lands, _ in leaks for path in lands))
        path = mount.destination if mount is not None else leaks[0][0]
        severe: Severity = "critical" if {*CRITICAL} & {*at} else "high"
        message = f"{config.label} can mount on the host at {listed(at)}: what it mounts below {path} lands there"
        reached = sorted(others.get(path, ()))
        if reached:
            message += f", and in {listed(reached)}"
        if not may_mount(config):
            severe = "low"
            message += "; it has no CAP_SYS_ADMIN, without which it cannot"
        yield PreviewFinding(
            "mounts-on-host",
            severe,
            config.label,
            message,
            place(config, mount),
            path,
            at,
            remedy=_not_shared_remedy(config, mount),
        )


def _others(graph: PeerGraph, label: str, host: str) -> Mapping[str, set[str]]:
    """By mount point, which other namespaces than the host's receive from the container."""
    found: dict[str, set[str]] = defaultdict(set)
    view = next(view for view in graph.views if view.label == label)
    for mount in view.mounts:
        if mount.peer_group is not None:
            receivers = {receiver.label for receiver in graph.receivers(label, mount)}
            found[mount.mount_point] |= {
                each
                for each in receivers - {label, host}
                if not graph.same_namespace(each, host) and not graph.same_namespace(each, label)
            }
    return found


def may_mount(config: Config) -> bool:
    """Whether its processes may mount at all: with CAP_SYS_ADMIN over the namespace, which its root has in its own."""
    return config.spec.privileged or config.spec.sys_admin


def _not_shared_remedy(config: Config, mount: ConfigMount | None) -> str:
    if mount is None or mount.spec is None:
        word = config.rootfs_propagation
        return f"leave rootfsPropagation {word} away, or write rslave" if word else ""
    if mount.spec.propagation is None:
        return "write a propagation type: rslave, or rprivate"
    return _words(config.spec.kind)["less"]


# ---- it will receive nothing ----


def _receives_nothing(
    config: Config, mount: ConfigMount, host: Host, refused: Refused | None
) -> Iterator[PreviewFinding]:
    """A mount that is to exchange events with the host, of a source where the host exchanges none."""
    word = next((PROPAGATIONS[word] for word in reversed(mount.options) if word in PROPAGATIONS), "")
    if mount.type != "bind" or mount.spec is None or not word.endswith(("slave", "shared")):
        return
    containing = host.containing(mount.source)
    shared = word.endswith("shared")
    if containing is None or containing.peer_group is not None or (containing.master is not None and not shared):
        return
    said = refused if refused is not None and refused.mount == mount else None
    what = "will receive nothing of what the host mounts there"
    if shared:
        what = "will receive nothing of what the host mounts there, nor the host of what it mounts"
        if containing.master is not None:
            what = "mounts for itself alone: the host will receive nothing of it"
    message = (
        f"{config.label} {what}: {mount.destination} is to be {word}, but its source {mount.source} is on"
        f" {containing.mount_point}, which is {containing.propagation} on the host"
    )
    if said is not None:
        message += f"; {said.by} does not start it: {said.why}"
    yield PreviewFinding(
        "receives-nothing",
        "high",
        config.label,
        message,
        place(config, mount),
        mount.destination,
        (containing.mount_point,),
        said_by=said.by if said is not None else "",
        said=said.why if said is not None else "",
        remedy=f"on the host: mount --make-rshared {containing.mount_point}, before it starts and after each boot; or"
        f" {_words(config.spec.kind)['none']}",
    )


def _refused(config: Config, refusal: Refused) -> PreviewFinding:
    mount = refusal.mount
    path = mount.destination if mount is not None else "/"
    source = f" (source {mount.source})" if mount is not None and mount.source else ""
    return PreviewFinding(
        "refused",
        "high",
        config.label,
        f"{config.label} does not start: at {path}{source} {refusal.by} says: {refusal.why}",
        place(config, mount),
        path,
        said_by=refusal.by,
        said=refusal.why,
    )


# ---- it will pin ----


def _pins(config: Config, graph: PeerGraph, host: str) -> Iterator[PreviewFinding]:
    """What it keeps of the host's mounts below its sources, when the host unmounts them."""
    by_mount: dict[ConfigMount, list[str]] = defaultdict(list)
    view = next(view for view in graph.views if view.label == config.label)
    for pinned in Pins(graph, host).of(view):
        mount = asked_for(config, pinned.mount.mount_point)
        if mount is not None and mount.spec is not None and pinned.host is not None:
            by_mount[mount].append(pinned.path)
    for mount, paths in by_mount.items():
        at = tuple(dict.fromkeys(paths))
        yield PreviewFinding(
            "pins",
            "medium",
            config.label,
            f"{config.label} will pin what the host has mounted at {listed(at)}: {mount.destination} has copies that"
            " the host's umounts do not reach, so their filesystems stay in use",
            place(config, mount),
            mount.destination,
            at,
            remedy=_words(config.spec.kind)["slave"],
        )


# ---- it changes the host when it starts ----


def _changes_host(config: Config, played: Played) -> Iterator[PreviewFinding]:
    """What the runtime mounts for the container inside a mount that is shared with the host."""
    by_mount: dict[ConfigMount | None, list[str]] = defaultdict(list)
    how: dict[ConfigMount | None, str] = {}
    for mount, step in played.on_host:
        cause = step.mount
        by_mount[cause].append(mount.mount_point)
        how[cause] = f"{step.by}'s {step.function}"
    for cause, paths in by_mount.items():
        at = tuple(dict.fromkeys(paths))
        path = cause.destination if cause is not None else "a masked or read-only path"
        yield PreviewFinding(
            "changes-host",
            "critical" if {*CRITICAL} & {*at} else "high",
            config.label,
            f"{config.label} changes the host at its start: what {how[cause]} mounts for {path} is mounted on the host"
            f" as well, at {listed(at)}, and stays there when the container is gone",
            place(config, cause),
            cause.destination if cause is not None else "/",
            at,
            remedy="mount nothing inside of what is shared with the host: choose another destination, or"
            f" {_words(config.spec.kind)['less']}",
        )


# ---- words and places ----


def asked_for(config: Config, path: str) -> ConfigMount | None:
    """The mount of the configuration that *path* of the container lies in; of several, the last and deepest."""
    over = [mount for mount in config.mounts if under(path, mount.destination)]
    return max(reversed(over), key=lambda mount: len(mount.destination), default=None)


def place(config: Config, mount: ConfigMount | None) -> Where:
    """The line to change."""
    if mount is not None and mount.spec is not None:
        return mount.spec.propagation_where or mount.spec.where
    return config.spec.rootfs_propagation_where or config.spec.where


def listed(paths: Iterable[str]) -> str:
    """A few paths in a sentence."""
    known = list(paths)
    more = f" and {counted(len(known) - FEW, 'more place')}" if len(known) > FEW else ""
    return ", ".join(known[:FEW]) + more


_KUBERNETES = {
    "less": "leave mountPropagation: Bidirectional away; HostToContainer, if it is to see what the host mounts",
    "none": "leave mountPropagation away",
    "slave": "write mountPropagation: HostToContainer, or name a directory below which the host mounts nothing",
}
_OTHERS = {
    "less": "write rslave instead, if it is to see what the host mounts, else nothing",
    "none": "leave the propagation type away",
    "slave": "write rslave, or name a directory below which the host mounts nothing",
}


_SYSTEMD = {
    "less": "leave MountFlags away",
    "none": "leave MountFlags away",
    "slave": "write MountFlags=slave, or leave MountFlags away",
}


def _words(kind: Kind) -> Mapping[str, str]:
    """How it is said in the file's language."""
    return {"kubernetes": _KUBERNETES, "systemd": _SYSTEMD}.get(kind, _OTHERS)
