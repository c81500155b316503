"""The tables of peer groups, of who is in them, of namespaces, and of processes."""

from __future__ import annotations

from itertools import chain

import pandas as pd

from mntscope.analysis.namespaces import VERDICTS, NamespaceList, NamespaceStatus, namespaces
from mntscope.frames.columns import category, number, pids, severity, text, truth
from mntscope.graph import GroupNames, Member, PeerGraph, PeerGroup
from mntscope.snapshot import Snapshot


def peer_groups_of(graph: PeerGraph, host: str) -> pd.DataFrame:
    """The frame that :func:`mntscope.frames.peer_groups` gives; it says what the columns are."""
    names = GroupNames(graph, host)
    first = dict(zip((view.label for view in graph.views), graph.first, strict=True))
    keys, groups = list(graph.groups), list(graph.groups.values())
    spaces = [{first[member.label] for member in group.members} for group in groups]
    reaches = [graph.reach_of(key) for key in keys]
    return pd.DataFrame(
        {
            "device": text(group.device for group in groups),
            "peer_group": number(group.number for group in groups),
            "name": text(map(names.group, keys)),
            "fs_type": category(_fs_type(group) for group in groups),
            "master": number(group.master for group in groups),
            "depth": number(group.depth for group in groups),
            "members": number(len(group.members) for group in groups),
            "slaves": number(len(group.slaves) for group in groups),
            "reached": number(reach.high - reach.low for reach in reaches),
            "namespaces": number(map(len, spaces)),
            "of_host": truth(first[host] in its for its in spaces),
            "external": truth(group.external for group in groups),
        }
    )


def _fs_type(group: PeerGroup) -> str | None:
    return next((member.mount.fs_type for member in chain(group.members, group.slaves)), None)


def edges_of(graph: PeerGraph, host: str) -> pd.DataFrame:
    """The frame that :func:`mntscope.frames.edges` gives; it says what the columns are."""
    names = GroupNames(graph, host)
    rows: list[tuple[PeerGroup, str, str, Member]] = []
    for key, group in graph.groups.items():
        name = names.group(key)
        rows += [(group, name, "member", member) for member in group.members]
        rows += [(group, name, "slave", member) for member in group.slaves]
    return pd.DataFrame(
        {
            "device": text(group.device for group, _, _, _ in rows),
            "peer_group": number(group.number for group, _, _, _ in rows),
            "name": text(name for _, name, _, _ in rows),
            "relation": category((relation for _, _, relation, _ in rows), ("member", "slave")),
            "namespace": category(names.view(member.label) for _, _, _, member in rows),
            "view": category(member.label for _, _, _, member in rows),
            "mount_id": number(member.mount.mount_id for _, _, _, member in rows),
            "root": text(member.mount.root for _, _, _, member in rows),
            "mount_point": text(member.mount.mount_point for _, _, _, member in rows),
            "own_group": number(member.mount.peer_group for _, _, _, member in rows),
        }
    )


def namespaces_of(found: NamespaceList) -> pd.DataFrame:
    """The frame that :func:`mntscope.frames.namespaces` gives; it says what the columns are."""
    statuses: tuple[NamespaceStatus, ...] = found.namespaces
    owners = [status.view.namespace.owner for status in statuses]
    spaces = [status.view.namespace for status in statuses]
    return pd.DataFrame(
        {
            "namespace": category(status.name for status in statuses),
            "view": category(status.view.label for status in statuses),
            "inode": number(space.inode for space in spaces),
            "id": number(space.id for space in spaces),
            "user_namespace": number(space.user_namespace for space in spaces),
            "owner": category(None if owner is None else str(owner) for owner in owners),
            "kind": category(None if owner is None else owner.kind for owner in owners),
            "container": text((owner.id or None) if owner else None for owner in owners),
            "pod": category((owner.pod or None) if owner else None for owner in owners),
            "processes": number(len(status.processes) for status in statuses),
            "pids": category(pids(status.processes) for status in statuses),
            "holds": number(len(space.holds) for space in spaces),
            "mounts": number(len(status.view.mounts) for status in statuses),
            "shared_groups": number(status.shared_groups for status in statuses),
            "verdict": category((status.verdict for status in statuses), VERDICTS),
            "severity": severity(status.severity for status in statuses),
        }
    )


def processes_of(snapshot: Snapshot) -> pd.DataFrame:
    """The frame that :func:`mntscope.frames.processes` gives; it says what the columns are."""
    rows = [(status, process) for status in namespaces(snapshot).namespaces for process in status.processes]
    everyone = [process for _, process in rows]
    return pd.DataFrame(
        {
            "namespace": category(status.name for status, _ in rows),
            "view": category(status.view.label for status, _ in rows),
            "pid": number(process.pid for process in everyone),
            "start_time": number(process.start_time for process in everyone),
            "comm": text(process.comm for process in everyone),
            "root": text(process.root for process in everyone),
            "pid_namespace": number(process.pid_namespace for process in everyone),
            "user_namespace": number(process.user_namespace for process in everyone),
            "cgroup": text(process.cgroup for process in everyone),
        }
    )
