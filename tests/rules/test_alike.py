"""What was predicted of one namespace is told of those that are alike, and is what would be predicted of each."""

from __future__ import annotations

import random
from itertools import count
from typing import Any

import pytest

from mntscope.base.records import replace
from mntscope.model import Mount, Namespace, View
from mntscope.propagation.operations import MountNew, Operation, Umount
from mntscope.rules.alike import likeness
from mntscope.rules.machine import Machine
from mntscope.snapshot import Snapshot

COPIES = 6


def table(chance: random.Random) -> list[Mount]:
    """A host's mounts, in directories of each other; some are binds, some have peers, some a master."""
    mounts = [Mount(10, 1, "8:1", "/", "/", ("rw",), "ext4", "/dev/sda1", ("rw",), 1)]
    for number in range(11, 11 + chance.randrange(8)):
        on = chance.choice(mounts)
        of = chance.choice(mounts) if chance.random() < 0.4 else None
        mounts.append(
            Mount(
                number,
                on.mount_id,
                of.device if of else f"0:{number}",
                "/",
                f"{on.mount_point.removesuffix('/')}/{chance.choice('abc')}",
                ("rw",),
                "tmpfs",
                "tmpfs",
                ("rw",),
                chance.choice((of.peer_group if of else None, number, None)),
                chance.choice((100 + number, None, None)),
            )
        )
    return mounts


def copied(mounts: list[Mount], ids: count[int], chance: random.Random) -> list[Mount]:
    """A copy of them, which may be one of which something was changed since."""
    new = {mount.mount_id: next(ids) for mount in mounts} | {1: next(ids)}
    copies = [replace(mount, mount_id=new[mount.mount_id], parent_id=new[mount.parent_id]) for mount in mounts]
    if chance.random() < 0.3:
        at = chance.randrange(len(copies))
        changes: tuple[dict[str, Any], ...] = (
            {"peer_group": None}, {"options": ("ro",)}, {"unbindable": True}, {"master": 7}, {"mount_point": "/a"},
        )  # fmt: skip
        copies[at] = replace(copies[at], **chance.choice(changes))
    return copies


def machine(chance: random.Random) -> Snapshot:
    mounts, ids = table(chance), count(1000)
    views = [View("host", tuple(mounts), Namespace(inode=1, user_namespace=5))]
    for number in range(COPIES):
        owner = 5 if chance.random() < 0.9 else 6
        copies = tuple(copied(mounts, ids, chance))
        views.append(View(str(number), copies, Namespace(inode=2 + number, user_namespace=owner)))
    # Through whom it is that what a group sends gets to its slaves.
    between = [mount for view in views for mount in view.mounts if mount.master is not None]
    for number, mount in enumerate(chance.sample(between, min(2, len(between)))):
        root = Mount(next(ids), next(ids), "8:2", "/", "/", ("rw",), "ext4", "/dev/sdb1", ("rw",))
        member = replace(
            mount,
            mount_id=next(ids),
            parent_id=root.mount_id,
            mount_point="/m",
            peer_group=mount.master,
            master=chance.choice((None, 1)),
        )
        views.insert(
            chance.randrange(1, len(views)),
            View(f"m{number}", (root, member), Namespace(inode=90 + number, user_namespace=5)),
        )
    return Snapshot(tuple(views), "host", kernel="6.18.0")


def operations(snapshot: Snapshot) -> list[Operation]:
    views = [view for view in snapshot.views if view.label != "host"]
    paths = dict.fromkeys(mount.mount_point for view in views for mount in view.mounts)
    mounted = [MountNew(view.label, "tmpfs", "example", path) for path in paths for view in views]
    return [*mounted, *[Umount(view.label, path, lazy=True) for path in paths for view in views]]


@pytest.mark.parametrize("number", range(40))
def test_of_each_it_is_told_what_is_predicted_of_it_alone(seed: int, number: int) -> None:
    snapshot = machine(random.Random(seed + number))
    together = Machine(snapshot)
    for operation in operations(snapshot):
        assert together.predicted(operation) == Machine(snapshot).predicted(operation)


def test_copies_are_alike_and_what_they_create_is_numbered_apart() -> None:
    snapshot = machine(random.Random(1))
    host = snapshot.host
    twins = [
        View(label, tuple(copied(list(host.mounts), count(first), _Never())), replace(host.namespace, inode=first))
        for label, first in (("a", 500), ("b", 900))
    ]
    whole = snapshot.with_views([host, *twins])
    asked = [MountNew(twin.label, "tmpfs", "example", "/") for twin in twins]
    pairs = [whole.with_views([host, twin]) for twin in twins]
    assert likeness(pairs[0], asked[0]) == likeness(pairs[1], asked[1]) is not None
    (one,), (other,) = map(Machine(whole).predicted, asked)
    assert one.after is not None
    assert other.after is not None
    assert one.after.mount_id not in {mount.mount_id for mount in twins[0].mounts}
    assert other.after == replace(one.after, mount_id=one.after.mount_id + 400)


@pytest.mark.parametrize("owner", [6, None])
def test_where_locks_are_guessed_by_ids_nothing_is_alike(owner: int | None) -> None:
    snapshot = machine(random.Random(1))
    view = snapshot.views[1]
    alien = replace(view, namespace=replace(view.namespace, user_namespace=owner))
    assert likeness(snapshot.with_views([snapshot.host, alien]), MountNew(view.label, "tmpfs", "x", "/")) is None


class _Never(random.Random):
    """Changes nothing."""

    def random(self) -> float:
        return 1.0
