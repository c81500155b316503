"""``propagate_from``: the nearest group above a mount's master that its namespace shows, as mountinfo has it.

It follows from the tables of all namespaces together, and changes with those of others: so where tables are kept up to
date mount by mount, it is worked out when they are shown.
"""

from __future__ import annotations

from collections.abc import Iterable

from mntscope.base.records import replace
from mntscope.model import Mount, View


def with_dominants(views: Iterable[View]) -> tuple[View, ...]:
    """*views* with the ``propagate_from`` that the kernel would print (fs/pnode.c, get_dominating_id).

    Of a master of which no view shows a member it stays as it was.
    """
    every = tuple(views)
    above: dict[tuple[str, int], int | None] = {}
    for view in every:
        for mount in view.mounts:
            if mount.peer_group is not None:
                above[mount.device, mount.peer_group] = mount.master
    return tuple(_shown(view, above) for view in every)


def _shown(view: View, above: dict[tuple[str, int], int | None]) -> View:
    slaves = [mount for mount in view.mounts if mount.master is not None or mount.propagate_from is not None]
    if not slaves:
        return view
    here: set[tuple[str, int | None]] = {
        (mount.device, mount.peer_group) for mount in view.mounts if mount.peer_group is not None
    }
    changed = False
    mounts: list[Mount] = []
    for mount in view.mounts:
        dominant = mount.propagate_from
        if mount.master is None or (mount.device, mount.master) in here:
            dominant = None
        elif (mount.device, mount.master) in above:
            dominant = _dominant(mount.device, mount.master, above, here)
        changed |= dominant != mount.propagate_from
        mounts.append(mount if dominant == mount.propagate_from else replace(mount, propagate_from=dominant))
    return replace(view, mounts=tuple(mounts)) if changed else view


def _dominant(
    device: str, master: int, above: dict[tuple[str, int], int | None], here: set[tuple[str, int | None]]
) -> int | None:
    seen = {master}
    number = above.get((device, master))
    while number is not None and number not in seen:
        if (device, number) in here:
            return number
        seen.add(number)
        number = above.get((device, number))
    return None
