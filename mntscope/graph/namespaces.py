"""Which views show one mount namespace: the same mounts, seen by several processes or from several roots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

from mntscope.model import View


def same_namespace(one: View, other: View) -> bool:
    """Whether two views show one mount namespace.

    Its id or inode tells, where both are known. Otherwise the mounts do: a mount ID belongs to one namespace at a
    time, so the views of two namespaces share none (but by chance, when they are not of one moment).
    """
    named = _named_alike(one, other)
    return _shown_alike(_identities(one), other) if named is None else named


def _named_alike(one: View, other: View) -> bool | None:
    """Whether id or inode say so; ``None`` where they say nothing."""
    if one is other:
        return True
    for mine, its in ((one.namespace.id, other.namespace.id), (one.namespace.inode, other.namespace.inode)):
        if mine is not None and its is not None:
            return mine == its
    return None


def _identities(view: View) -> dict[int, tuple[str, str, str]]:
    return {mount.mount_id: (mount.device, mount.root, mount.fs_type) for mount in view.mounts}


def _shown_alike(known: dict[int, tuple[str, str, str]], other: View) -> bool:
    """Whether most mounts with an ID that is known elsewhere are the ones known there."""
    shared = [mount for mount in other.mounts if mount.mount_id in known]
    agreeing = sum(known[mount.mount_id] == (mount.device, mount.root, mount.fs_type) for mount in shared)
    return 2 * agreeing > len(shared)


def first_of_namespace(views: Sequence[View]) -> list[int]:
    """For each view the index of the first one that shows the same mount namespace."""
    ids = [view.namespace.id for view in views]
    inodes = [view.namespace.inode for view in views]
    if None not in ids:
        return _first_of_equals(ids)
    if None not in inodes and set(ids) == {None}:
        return _first_of_equals(inodes)
    first: list[int] = []
    by_name: dict[tuple[str, int], int] = {}
    by_mount: dict[int, int] = {}
    identities = cache(lambda at: _identities(views[at]))

    def alike(at: int, view: View) -> bool:
        named = _named_alike(views[at], view)
        return _shown_alike(identities(at), view) if named is None else named

    for number, view in enumerate(views):
        names = [("id", view.namespace.id), ("inode", view.namespace.inode)]
        named = [(kind, name) for kind, name in names if name is not None]
        sharing = Counter(by_mount[mount.mount_id] for mount in view.mounts if mount.mount_id in by_mount)
        candidates = [by_name[name] for name in named if name in by_name]
        if sharing:
            candidates.append(max(sharing, key=sharing.__getitem__))
        first.append(next((first[at] for at in candidates if alike(at, view)), number))
        for name in named:
            by_name.setdefault(name, number)
        for mount in view.mounts:
            by_mount.setdefault(mount.mount_id, number)
    return first


def by_namespace(views: Sequence[View]) -> list[list[View]]:
    """*views*, those of one mount namespace together."""
    together: dict[int, list[View]] = {}
    for view, first in zip(views, first_of_namespace(views), strict=True):
        together.setdefault(first, []).append(view)
    return list(together.values())


def host_first(host: View, views: Iterable[View]) -> list[list[View]]:
    """The *views* of each mount namespace together, those of the *host*'s first; detached trees are in none."""
    return by_namespace([host, *(view for view in views if view is not host and not view.detached)])


def _first_of_equals(names: Sequence[int | None]) -> list[int]:
    """For each name the index of the first that is equal."""
    first: dict[int | None, int] = {}
    return [first.setdefault(name, number) for number, name in enumerate(names)]
