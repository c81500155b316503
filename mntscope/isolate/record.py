"""What a plan would change, as a journal keeps it: enough to find it all again, and to know it from something else."""

from __future__ import annotations

import time
from itertools import islice

from mntscope.analysis.plan import Plan
from mntscope.errors import RefusedError
from mntscope.isolate.journal import Changed, Entry, Journal, Member
from mntscope.isolate.target import Target
from mntscope.isolate.undo import boot_id
from mntscope.kernel.mount_ids import unique_ids
from mntscope.live.procfs import Proc
from mntscope.model import Mount
from mntscope.parse import format_mountinfo
from mntscope.propagation.operations import SetPropagation

MOST_PEERS = 64
"""Peers of a mount that a journal remembers; one that still exists is enough."""


def new_journal(
    proc: Proc, at: Target, plan: Plan, path: str, directory: int, *, in_host_namespace: bool = False
) -> Journal:
    """The journal of a plan that is about to be carried out, not yet written; *directory* is where it goes.

    *in_host_namespace*: it was asked for even if that namespace is the host's.

    :raises RefusedError: what would change could not be told from other mounts later.
    """
    return Journal(
        path=path,
        boot_id=boot_id(proc),
        time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        pid=at.pid,
        start_time=at.start_time,
        namespace=at.namespace.inode or 0,
        namespace_id=at.namespace.id,
        entries=_entries(plan),
        directory=directory,
        in_host_namespace=in_host_namespace,
    )


def _entries(plan: Plan) -> list[Entry]:
    ids = {view.label: unique_ids(view.namespace.id) for view in plan.snapshot.views}
    label = plan.target.label
    if not ids[label] and any(ids.values()):
        # Undo would not believe it: see there.
        raise RefusedError(
            "the kernel does not give the unique ids of its mounts, by which undo would find them",
            where=label,
            hint="run mntscope as root",
        )
    entries = []
    for action in plan.actions:
        operation = action.operation
        if isinstance(operation, SetPropagation):
            mounts = [
                effect.before
                for effect in action.effects
                if effect.namespace == label and effect.change == "propagation" and effect.before is not None
            ]
            # The one that is named comes first, the others are below it.
            mounts.sort(key=lambda mount: mount != action.before)
            changed = [
                Changed(mount.mount_id, ids[label].get(mount.mount_id), _line(mount), _peers(plan, mount, ids))
                for mount in mounts
            ]
            entries.append(Entry("propagation", action.path, operation.type, operation.recursive, changed=changed))
        else:
            entries.append(Entry("mount", action.path))
    return entries


def _peers(plan: Plan, mount: Mount, ids: dict[str, dict[int, int]]) -> list[Member]:
    group = mount.peer_group if mount.peer_group is not None else mount.master
    views = sorted(plan.snapshot.views, key=lambda view: view.label != plan.snapshot.host_label)
    found = (
        Member(peer.mount_id, ids[view.label].get(peer.mount_id))
        for view in views
        for peer in view.mounts
        if group is not None and (peer.peer_group, peer.device) == (group, mount.device) and peer != mount
    )
    return list(islice(found, MOST_PEERS))


def _line(mount: Mount) -> str:
    return format_mountinfo([mount]).decode("utf-8", "surrogateescape").removesuffix("\n")
