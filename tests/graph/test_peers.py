"""Peer groups across views: members, masters, and who receives whose events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mntscope.base.paths import below, relative, under
from mntscope.graph import PeerGraph, same_namespace
from mntscope.model import Mount, Namespace, View
from tests.support import strategies
from tests.support.tables import at, hostile_views, view

HOST = view("host", "20 1 8:1 / / rw shared:1\n21 20 0:5 / /srv rw shared:2\n22 20 0:5 /b /b rw shared:2")


def test_a_group_has_its_members_of_all_views_and_its_slaves() -> None:
    target = view(
        "target", "30 9 8:1 / / rw shared:1\n31 30 0:5 / /srv rw master:2\n32 30 0:5 / /s rw shared:3 master:2"
    )
    groups = PeerGraph.of([HOST, target]).groups
    assert [(group.number, group.depth, group.master) for group in groups.values()] == [
        (1, 0, None),
        (2, 0, None),
        (3, 1, 2),
    ]
    members = [(member.label, member.mount.mount_id) for member in groups["8:1", 1].members]
    assert members == [("host", 20), ("target", 30)]
    assert [member.mount.mount_id for member in groups["0:5", 2].slaves] == [31, 32]


def test_a_master_that_no_view_shows_is_a_group_too() -> None:
    group = PeerGraph.of([view("target", "30 9 8:1 / / rw master:7")]).groups["8:1", 7]
    assert group.external
    assert [member.mount.mount_id for member in group.slaves] == [30]


def test_propagate_from_tells_what_lies_above_a_group_without_members() -> None:
    host = view("host", "20 1 8:1 / / rw shared:1")
    target = view("target", "30 9 8:1 / / rw master:7 propagate_from:1")
    graph = PeerGraph.of([host, target])
    assert graph.groups["8:1", 7].master == 1
    assert [r.mount.mount_id for r in graph.receivers("host", at(host, "/"))] == [30]


def test_events_reach_peers_and_slaves_and_slaves_of_slaves_but_never_masters() -> None:
    table = """
        20 1 8:1 / / rw shared:1
        21 20 8:1 / /peer rw shared:1
        22 20 8:1 / /slave rw shared:2 master:1
        23 20 8:1 / /slave/of/slave rw master:2
        24 20 8:1 / /other rw shared:9
    """
    seen = view("host", table)
    graph = PeerGraph.of([seen])
    reached = {
        mount.mount_point: [(r.mount.mount_point, r.via) for r in graph.receivers("host", mount)]
        for mount in seen.mounts
    }
    assert reached == {
        "/": [("/peer", "peer"), ("/slave", "slave"), ("/slave/of/slave", "slave")],
        "/peer": [("/", "peer"), ("/slave", "slave"), ("/slave/of/slave", "slave")],
        "/slave": [("/slave/of/slave", "slave")],
        "/slave/of/slave": [],
        "/other": [],
    }


def test_an_event_lands_where_the_receiver_shows_the_same_place() -> None:
    graph = PeerGraph.of([HOST])
    srv, b = at(HOST, "/srv"), at(HOST, "/b")
    assert [r.lands_at for r in graph.receivers("host", srv, "/srv/b/x")] == ["/b/x"]
    assert [r.lands_at for r in graph.receivers("host", b, "/b/x")] == ["/srv/b/x"]
    assert graph.receivers("host", srv, "/srv/c") == ()
    assert graph.receivers("host", srv, "/elsewhere") == ()
    (any_place,) = graph.receivers("host", srv)
    assert (any_place.path, any_place.lands_at) == ("/srv/b", "/b")


def test_roots_that_do_not_overlap_exchange_nothing_but_a_slave_beyond_them_may() -> None:
    seen = view(
        "host",
        """
        20 1 8:1 / / rw
        21 20 0:5 /a /a rw shared:2
        22 20 0:5 /b /b rw shared:3 master:2
        23 20 0:5 /a/x /x rw master:3
        """,
    )
    (receiver,) = PeerGraph.of([seen]).receivers("host", at(seen, "/a"))
    assert (receiver.mount.mount_point, receiver.path, receiver.lands_at) == ("/x", "/a/x", "/x")


def test_one_number_on_two_filesystems_is_two_groups() -> None:
    seen = view("host", "20 1 8:1 / / rw shared:1\n21 20 8:2 / /a rw shared:1")
    assert PeerGraph.of([seen]).receivers("host", at(seen, "/")) == ()


def test_detached_trees_pass_events_on_but_receive_none() -> None:
    host = view("host", "20 1 8:1 / / rw shared:1\n22 20 8:1 / /far rw master:5")
    tree = view("fd", "40 40 8:1 / / rw shared:5 master:1", detached=True)
    assert [r.mount.mount_point for r in PeerGraph.of([host, tree]).receivers("host", at(host, "/"))] == ["/far"]


def test_nothing_lands_in_a_removed_directory() -> None:
    seen = view("host", "20 1 8:1 / / rw shared:1\n21 20 8:1 /d//deleted /d rw shared:1")
    graph = PeerGraph.of([seen])
    assert graph.receivers("host", at(seen, "/")) == ()
    assert graph.receivers("host", at(seen, "/d")) == ()


def test_roots_above_the_readers_cgroup_namespace_are_compared_from_the_top() -> None:
    """cgroup_namespaces(7): a root outside of the reader's namespace begins with as many /.. as it takes."""
    host = view("host", "20 1 8:1 / / rw\n21 20 0:29 /../.. /sys/fs/cgroup rw shared:5 - cgroup2 cgroup2 rw")
    target = view("target", "30 1 8:2 / / rw\n31 30 0:29 / /sys/fs/cgroup rw shared:5 - cgroup2 cgroup2 rw")
    graph = PeerGraph.of([host, target])
    (receiver,) = graph.receivers("target", at(target, "/sys/fs/cgroup"))
    assert receiver.lands_at == "/sys/fs/cgroup/*/*", "two directories whose names this reader is not shown"
    sibling = view("sibling", "40 1 8:2 / / rw\n41 40 0:29 /../pod /cg rw shared:5 - cgroup2 cgroup2 rw")
    reached = PeerGraph.of([host, target, sibling]).receivers("sibling", at(sibling, "/cg"))
    assert [(r.label, r.lands_at) for r in reached] == [("host", "/sys/fs/cgroup/*/pod")]


def test_views_are_of_one_namespace_if_its_inode_or_else_their_mounts_say_so() -> None:
    table = "20 1 8:1 / / rw shared:1"
    inside_chroot = view("chroot", "20 1 8:1 / / rw shared:1\n25 20 0:7 / /x rw")
    assert same_namespace(HOST, inside_chroot)
    assert not same_namespace(HOST, view("copy", "30 1 8:1 / / rw shared:1"))
    known, other = Namespace(inode=1), Namespace(inode=2)
    assert same_namespace(view("a", table, namespace=known), view("b", "30 1 8:1 / / rw", namespace=known))
    assert not same_namespace(view("a", table, namespace=known), view("b", table, namespace=other))
    assert same_namespace(view("a", table, namespace=known), view("b", table))
    by_id = Namespace(inode=1, id=5), Namespace(inode=1, id=6)
    assert not same_namespace(view("a", table, namespace=by_id[0]), view("b", table, namespace=by_id[1]))


def test_a_mount_does_not_receive_from_itself_through_a_second_view() -> None:
    again = View("again", HOST.mounts)
    graph = PeerGraph.of([HOST, again])
    assert graph.same_namespace("host", "again")
    reached = {r.mount.mount_id for r in graph.receivers("host", at(HOST, "/srv"))}
    assert reached == {22}


def naive_receivers(views: tuple[View, ...], mount: Mount, path: str) -> set[tuple[str, int, str]]:
    """The definition, word for word."""
    reached = {(mount.device, mount.peer_group)} - {(mount.device, None)}
    place = below(mount.root, relative(path, mount.mount_point))
    members = [(view, other) for view in views for other in view.mounts]
    while (
        more := {
            (other.device, other.peer_group)
            for _, other in members
            if (other.device, other.master) in reached and other.peer_group is not None
        }
        - reached
    ):
        reached |= more
    return {
        (view.label, other.mount_id, below(other.mount_point, relative(place, other.root)))
        for view, other in members
        if other is not mount and under(place, other.root)
        if (other.device, other.peer_group) in reached or (other.device, other.master) in reached
    }


@given(strategies.views(("a", "b", "c")), st.data())
def test_receivers_are_what_the_definition_says(views: tuple[View, ...], data: st.DataObject) -> None:
    seen = data.draw(st.sampled_from(views))
    mount = data.draw(st.sampled_from(seen.mounts))
    path = below(mount.mount_point, data.draw(st.sampled_from(["", "/a", "/a/b", "/b"])))
    found = PeerGraph.of(views).receivers(seen.label, mount, path)
    assert {(r.label, r.mount.mount_id, r.lands_at) for r in found} == naive_receivers(views, mount, path)


@given(hostile_views("a"), hostile_views("b"))
def test_no_tables_confuse_the_graph(one: View, other: View) -> None:
    graph = PeerGraph.of([one, other])
    assert len(graph.groups) == len({(group.device, group.number) for group in graph.groups.values()})
    for seen in (one, other):
        for mount in seen.mounts:
            for receiver in graph.receivers(seen.label, mount):
                assert receiver.mount.device == mount.device
