"""Which views show one mount namespace."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mntscope.graph import first_of_namespace, same_namespace
from mntscope.model import Namespace, View
from tests.support.tables import hostile_views

NAMES = st.none() | st.integers(0, 3)


@st.composite
def named_views(draw: st.DrawFn) -> list[View]:
    """Views whose namespaces are all known by id, all by inode, or some by one or the other."""
    ids = draw(st.sampled_from([st.none(), st.integers(0, 3), NAMES]))
    inodes = draw(st.sampled_from([st.none(), st.integers(0, 3), NAMES]))
    tables = draw(st.lists(hostile_views("v"), max_size=6))
    return [View(str(number), table.mounts, Namespace(draw(inodes), draw(ids))) for number, table in enumerate(tables)]


def plainly_first(views: list[View]) -> list[int]:
    """The definition: whoever bears the same id or inode, or shows most of the same mounts, if it is the same."""
    first: list[int] = []
    for number, view in enumerate(views):
        before = views[:number]
        ids = [other.namespace.id for other in before]
        inodes = [other.namespace.inode for other in before]
        mine = view.namespace
        candidates = [ids.index(mine.id)] if mine.id is not None and mine.id in ids else []
        candidates += [inodes.index(mine.inode)] if mine.inode is not None and mine.inode in inodes else []
        showing = (
            next((at for at, other in enumerate(before) if mount.mount_id in ids_of(other)), None)
            for mount in view.mounts
        )
        candidates += [at for at, _ in Counter(at for at in showing if at is not None).most_common(1)]
        same = (first[at] for at in candidates if same_namespace(views[at], view))
        first.append(next(same, number))
    return first


def ids_of(view: View) -> set[int]:
    return {mount.mount_id for mount in view.mounts}


@given(named_views())
def test_the_first_view_of_each_namespace_is_found_whatever_is_known_of_them(views: list[View]) -> None:
    assert first_of_namespace(views) == plainly_first(views)


def test_where_all_bear_an_id_the_mounts_are_not_asked() -> None:
    views = [View(str(number), (), Namespace(inode=1, id=number % 2)) for number in range(4)]
    assert first_of_namespace(views) == [0, 1, 0, 1]
