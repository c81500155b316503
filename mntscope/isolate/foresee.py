"""What undo could not put back, asked before anything is done: the steps that undo would take are prepared, not taken.

The same code looks at the same things as when the journal is undone, in the world that is predicted; so what is said
beforehand is what undo would say, as long as nothing else changes.
"""

from __future__ import annotations

from functools import cache

from mntscope.analysis.plan import Plan
from mntscope.isolate.journal import Journal
from mntscope.isolate.sources import Prepared, Sources
from mntscope.isolate.steps import Rejoin, Steps
from mntscope.isolate.target import Target
from mntscope.kernel.mount_ids import unique_ids
from mntscope.live.namespaces import lists_all
from mntscope.live.procfs import Proc


def irreversible(proc: Proc, at: Target, plan: Plan, journal: Journal) -> tuple[str, ...]:
    """What could not be put back once *plan* is carried out, one line each; nothing is changed.

    *journal* is the one that would be written; it is not to be used any more.
    """
    label = plan.target.label
    before = {mount.mount_id for mount in plan.target.mounts}
    # Without what is mounted by the plan, which undo unmounts first.
    now = {mount.mount_id: mount for mount in plan.after.view(label).mounts if mount.mount_id in before}
    for entry in journal.entries:
        entry.state = "done"
    steps = Steps(journal, plan.after, label, cache(unique_ids))
    sources = Sources(proc, {view.label: view for view in plan.snapshot.views}, at.fds.mnt)
    # Where all namespaces are listed, a group without another member has none.
    unseen = "" if lists_all(proc) else "; ".join(map(str, plan.snapshot.not_seen[:1]))
    found: list[str] = []
    for _, needed in steps.find(now):
        for step in needed:
            prepared = sources.prepare(step)
            if isinstance(prepared, Prepared):
                prepared.close()
            else:
                found.append(prepared.what)
            if isinstance(step, Rejoin) and not step.members and unseen:
                place, group = step.mount.mount_point, step.group
                found.append(f"{place} cannot rejoin peer group {group}: no other member of it was seen ({unseen})")
    return tuple(dict.fromkeys([*steps.lost, *found]))
