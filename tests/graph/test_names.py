"""What namespaces and peer groups are called."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given

from mntscope.graph import GroupNames, PeerGraph
from mntscope.graph.names import listed, namespace_name, namespace_names, process_name
from mntscope.model import Namespace, Owner, Process, View
from tests.support import strategies
from tests.support.tables import at, hostile_views, view


def container(
    label: str, name: str, table: str = "", kind: str = "docker", comm: str = "sleep", known_as: str = ""
) -> View:
    sleeping = Process(int(label), comm=comm)
    namespace = Namespace(processes=(sleeping,), owner=Owner(kind, name, known_as) if kind else None)
    return view(label, table, namespace=namespace, process=sleeping)


def names(*views: View, host: str = "host") -> GroupNames:
    return GroupNames(PeerGraph.of(views), host)


HOST = view("host", "20 1 8:1 / / rw shared:1\n21 20 8:1 /srv /srv rw shared:1\n22 20 0:6 / /data rw shared:3")


def test_a_namespace_is_called_as_its_owner() -> None:
    known = names(
        HOST,
        container("100", "web-1"),
        container("101", "f" * 64, kind="containerd", known_as="f" * 64),
        container("102", "udevd.service", kind="unit"),
        container("103", "sleep", kind="process"),
        container("104", "", kind="", comm="vim"),
        View("mnt:[4026532568]", ()),
    )
    assert known.view("host") == "host"
    assert known.view("100") == "web-1 (docker)"
    assert known.view("101") == "ffffffffffff (containerd)"
    assert known.view("102") == "udevd.service"
    assert known.view("103") == "103 (sleep)"
    assert known.view("104") == "104 (vim)"
    assert known.view("mnt:[4026532568]") == "mnt:[4026532568]"


def test_a_namespace_has_the_same_name_where_no_other_is_known() -> None:
    views = (
        container("100", "web-1"),
        container("101", "f" * 64, kind="containerd", known_as="f" * 64),
        container("102", "udevd.service", kind="unit"),
        container("103", "sleep", kind="process"),
        View("mnt:[4026532568]", ()),
    )
    known = names(HOST, *views)
    assert [namespace_name(each) for each in views] == [known.view(each.label) for each in views]


def test_the_host_is_called_the_host_in_sentences() -> None:
    known = names(HOST, container("100", "web-1"))
    assert [known.in_words("host"), known.in_words("100")] == ["the host", "web-1 (docker)"]
    assert namespace_name(HOST) == "the host"


def test_the_names_of_a_snapshot_need_no_graph() -> None:
    views = HOST, container("100", "bwrap", kind="bwrap"), container("101", "bwrap", kind="bwrap")
    known = names(*views)
    assert namespace_names(views, "host") == {each.label: known.in_words(each.label) for each in views}


def test_a_process_is_called_by_its_pid_and_its_command() -> None:
    assert process_name(Process(4711, comm="sleep")) == "4711 (sleep)"
    assert process_name(Process(4711)) == "4711"


def test_those_that_are_called_alike_are_told_apart() -> None:
    known = names(
        HOST,
        container("100", "bwrap", kind="bwrap"),
        container("101", "bwrap", kind="bwrap"),
        container("102", "a.service", kind="unit"),
        container("103", "a.service", kind="unit"),
        container("104", "host", kind="unit"),
        container("105", "bwrap (bwrap, 100)", kind="unit"),
    )
    assert [known.view(str(pid)) for pid in range(100, 106)] == [
        "bwrap (bwrap, 100)",
        "bwrap (bwrap, 101)",
        "a.service (102)",
        "a.service (103)",
        "host (104)",
        "bwrap (bwrap, 100, 105)",
    ]


def test_two_views_of_one_namespace_have_one_name() -> None:
    one, other = (View(label, HOST.mounts, Namespace(7)) for label in ("1", "77"))
    known = names(one, other, container("100", "x"), host="77")
    assert known.view("1") == known.view("77") == "host"


def test_who_plays_the_host_is_called_so_unless_another_view_is() -> None:
    assert names(HOST, container("100", "web-1"), host="100").view("100") == "web-1 (docker)"
    assert names(HOST, container("100", "web-1"), host="100").view("host") == "host"
    assert names(view("a", ""), view("b", ""), host="b").view("b") == "host"


def test_a_group_is_called_as_the_hosts_member() -> None:
    known = names(container("100", "web-1", "30 9 8:1 / /all rw shared:1\n31 30 0:9 / /own rw shared:9"), HOST)
    assert known.group(("8:1", 1)) == "host:/"
    assert known.group(("0:9", 9)) == "web-1 (docker):/own"
    assert known.group(("0:9", 77)) == "group 77 (no member shown)"


def test_peers_are_named_by_namespace_and_by_path_where_it_differs() -> None:
    web = container("100", "web-1", "30 9 8:1 / / rw shared:1\n31 30 0:6 / /mnt rw shared:3")
    known = names(web, HOST)
    assert known.peers("100", at(web, "/")) == "host"
    assert known.peers("100", at(web, "/mnt")) == "host:/data"
    assert known.peers("host", at(HOST, "/")) == "web-1 (docker), /srv"
    assert known.peers("host", at(HOST, "/data")) == "web-1 (docker):/mnt"


def test_a_mount_that_shares_with_no_other_has_no_peers() -> None:
    alone = view("host", "20 1 8:1 / / rw shared:1\n21 20 0:6 / /a rw\n22 20 0:7 / /b rw master:3")
    assert [names(alone).peers("host", mount) for mount in alone.mounts] == ["", "", ""]


def test_a_mount_point_without_a_name_is_named_too() -> None:
    table = HOST.mounts[0], replace(HOST.mounts[0], mount_id=21, mount_point="")
    assert names(View("host", table)).peers("host", table[0]) == "(no path)"


def test_many_are_counted() -> None:
    assert listed("abcd", 4) == "a, b, c, d"
    assert listed("abcde", 5) == "a, b, c and 2 more"
    many = [container(str(100 + n), f"web-{n}", f"{1000 + n} 9 8:1 / / rw shared:1") for n in range(40)]
    known = names(HOST, *many)
    assert known.peers("100", many[0].mounts[0]) == "host, web-1 (docker), web-2 (docker) and 37 more"


@given(strategies.views(("host", "a", "b")))
def test_a_mount_has_as_many_peers_as_names_are_counted(views: tuple[View, ...]) -> None:
    graph = PeerGraph.of(views)
    known = GroupNames(graph, "host")
    for each in views:
        for mount in each.mounts:
            others = {
                m.label for m in (graph.groups[mount.device, mount.peer_group].members if mount.peer_group else ())
            }
            assert known.count(each.label, mount) >= len(others - {each.label})
            assert bool(known.peers(each.label, mount)) == bool(known.count(each.label, mount))


@given(hostile_views("host"), hostile_views("a"), hostile_views("b"))
def test_no_tables_break_it(host: View, one: View, other: View) -> None:
    views = (host, one, other)
    known = GroupNames(PeerGraph.of(views), "host")
    assert len({known.view(each.label) for each in views}) <= len(views)
    for each in views:
        for mount in each.mounts:
            assert len(list(known.members(each.label, mount))) >= known.count(each.label, mount)
            assert bool(known.peers(each.label, mount)) == bool(known.count(each.label, mount))
            known.group((mount.device, mount.master or 0))
