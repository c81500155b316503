"""The peer graph as a picture: what is one box, what crosses, and that every format tells it harmlessly."""

import json
import re
import shutil
import subprocess
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mntscope.analysis.folding import DEEPEST, End, Links, Node, Senders, fold, nodes
from mntscope.base.paths import under
from mntscope.errors import TargetError
from mntscope.graph import PeerGraph
from mntscope.model import Mount, View
from mntscope.output.graph import FORMATS, Sharing, of_group, of_path, of_view, whole
from mntscope.output.graph.captions import LEAST, caption, rows, summary
from mntscope.output.graph.svg import svg
from mntscope.output.writers.page import Page
from mntscope.snapshot import Snapshot
from tests.support.sharing_worlds import World, hostile_world, large_world
from tests.support.strategies import views

PAGE = Page()


def outline(sharing: Sharing) -> list[tuple[int, str, tuple[str, ...]]]:
    """The boxes as they are drawn: depth, title, lines."""
    found = []

    def walk(siblings: list[Node] | tuple[Node, ...], depth: int) -> None:
        for row in rows(siblings, unfolded=sharing.everything):
            words = caption(row, sharing.names)
            found.append((depth, words.title, words.lines))
            if not row.several:
                walk(row.first.below, depth + 1)

    walk(sharing.folded.roots, 0)
    return found


# What is drawn


def test_groups_with_members_in_the_same_namespaces_are_one_box_below_that_of_their_masters() -> None:
    world = World("/", "/run", "/var")
    world.add("tool", "shared", only=["/", "/run"]).add("unit", "slave").add("snap", "shared,slave", only=["/var"])
    assert outline(whole(world.snapshot())) == [
        (0, "host, tool", ("2 groups: /, /run", "⇄ events pass both ways")),
        (1, "unit", ("2 slave mounts: /, /run", "→ only receives")),
        (0, "host", ("group 3: /var",)),
        (1, "unit", ("1 slave mount: /var", "→ only receives")),
        (1, "snap", ("group 4: /var", "→ only receives")),
    ]


def test_what_stays_within_one_namespace_is_counted_and_drawn_only_with_all() -> None:
    world = World("/", "/run").add("quiet", "private").snapshot()
    sharing = whole(world)
    assert sharing.folded.roots == ()
    assert sharing.folded.left_out == 2
    assert summary(sharing)[-2:] == [
        "No mount or umount passes from one namespace to another.",
        "2 groups stay within one namespace (--all).",
    ]
    assert outline(whole(world, everything=True)) == [(0, "host", ("2 groups: /, /run",))]


def test_the_summary_counts_who_shares_who_receives_and_who_neither() -> None:
    assert summary(whole(machine())) == [
        "5 mount namespaces, 4 peer groups.",
        "1 group in 2 namespaces passes mounts and umounts both ways: what one mounts there, the others see.",
        "2 namespaces receive the events of others.",
        "1 namespace exchanges nothing with any other.",
        "1 group stays within one namespace (--all).",
    ]


def test_peers_whose_roots_do_not_overlap_pass_nothing() -> None:
    world = World("/data").add("other", "shared", roots="/b")
    (host, other) = world.views
    apart = replace(host, mounts=(replace(host.mounts[0], root="/a"),))
    ((_, _, lines),) = outline(whole(Snapshot((apart, other), "host"), everything=True))
    assert lines == ("group 1: /data",)
    above = replace(host, mounts=(replace(host.mounts[0], root="/"),))
    ((_, _, lines),) = outline(whole(Snapshot((above, other), "host")))
    assert lines[-1] == "⇄ events pass both ways"


def test_a_slave_on_the_host_is_told_apart_from_one_in_a_container() -> None:
    world = World("/data")
    (host,) = world.views
    received = replace(host, mounts=(replace(host.mounts[0], peer_group=None, master=7),))
    sender = replace(world.add("csi", "shared").views[1], mounts=(replace(host.mounts[0], mount_id=99, peer_group=7),))
    sharing = whole(Snapshot((received, sender), "host"))
    assert outline(sharing) == [
        (0, "csi", ("group 7: /data",)),
        (1, "host", ("1 slave mount: /data", "⇥ the host receives its events")),
    ]
    assert "The host receives what is mounted in other namespaces." in summary(sharing)


def test_a_master_without_a_visible_member_is_drawn_as_not_seen() -> None:
    world = World("/")
    world.add("box", "slave")
    box = world.views[1]
    sharing = whole(Snapshot((world.views[0], replace(box, mounts=(replace(box.mounts[0], master=77),))), "host"))
    assert outline(sharing)[0] == (0, "not seen", ("1 group of which no view shows a member: 77",))
    assert outline(sharing)[1][2][-1] == "→ only receives"


def test_two_views_of_one_namespace_are_one() -> None:
    world = World("/")
    world.add("tool", "shared")
    again = replace(world.views[1], label="tool's chroot")
    sharing = whole(Snapshot((*world.views, again), "host"))
    assert [title for _, title, _ in outline(sharing)] == ["host, tool"]
    assert len(sharing.namespaces) == 2


def test_of_many_that_are_alike_some_are_shown_and_the_rest_is_one_box() -> None:
    world = World("/", "/run")
    for number in range(500):
        world.add(f"unit-{number}", "slave", only=["/"] if number % 2 else None)
    world.add("tool", "shared")
    titles = [title for _, title, _ in outline(whole(world.snapshot()))]
    assert titles[0] == "host, tool"
    assert len(titles) == 1 + LEAST + 1
    assert titles[-1] == f"and {500 - LEAST} more"
    assert outline(whole(world.snapshot()))[-1][2][1] == "slave mounts: 1 to 2 each"
    assert len(outline(whole(world.snapshot(), everything=True))) == 1 + 500


@given(views(("host", "a", "b")))
def test_every_group_and_every_slave_is_drawn_once(seen: tuple[View, ...]) -> None:
    graph = PeerGraph.of(seen)
    drawn = list(nodes(fold(graph, "host", within=True)))
    assert Counter(key for node in drawn if node.kind != "slaves" for key in node.groups) == Counter(
        graph.groups.keys()
    )
    lone = [
        (key, slave) for key, group in graph.groups.items() for slave in group.slaves if slave.mount.peer_group is None
    ]
    assert Counter((key, member) for node in drawn for key, member in node.slaves) == Counter(lone)


@given(views(("host", "a", "b")))
def test_what_passes_between_namespaces_is_what_the_graph_says_is_received(seen: tuple[View, ...]) -> None:
    graph = PeerGraph.of(seen)
    links = Links(graph, "host")
    for group in graph.groups.values():
        received = [
            (receiver.via, receiver.mount)
            for member in group.members
            for receiver in graph.receivers(member.label, member.mount)
            if links.namespace(receiver.label) != links.namespace(member.label)
        ]
        senders = Senders(links.ends(group.members))
        assert any(map(senders.reach, links.ends(group.members))) == any(via == "peer" for via, _ in received)
        for slave in group.slaves:
            reached = any(map(senders.reach, links.ends([slave])))
            assert reached == any(via == "slave" and mount == slave.mount for via, mount in received)


_ROOT = st.lists(st.sampled_from(["a", "b", "a\1", "a\U0010ffff", "-"]), max_size=3).map(
    lambda names: "/" + "/".join(names)
)
_ENDS = st.lists(st.builds(End, st.integers(0, 2), _ROOT | st.just("mnt:[4026531832]")), max_size=6)


@given(_ENDS, _ENDS)
def test_events_pass_between_roots_one_of_which_is_under_the_other(sending: list[End], receiving: list[End]) -> None:
    senders = Senders(sending)
    for end in receiving:
        assert senders.reach(end) == any(
            sender.namespace != end.namespace and (under(sender.root, end.root) or under(end.root, sender.root))
            for sender in sending
        )


@given(views(("host", "a", "b")))
def test_every_format_can_draw_any_machine(seen: tuple[View, ...]) -> None:
    for sharing in (whole(Snapshot(seen, "host")), whole(Snapshot(seen, "a"), everything=True)):
        for write in FORMATS.values():
            assert write(sharing, PAGE).endswith("\n")


def test_a_chain_of_masters_deeper_than_any_machine_has_is_drawn_flat() -> None:
    tables: dict[str, list[Mount]] = {"host": [], "other": []}
    first = World("/").views[0].mounts[0]
    for number in range(1, 5000):
        mount = replace(first, mount_id=number, peer_group=number, master=number - 1 or None, device="0:1")
        tables["other" if number % 2 else "host"].append(mount)
    sharing = whole(Snapshot(tuple(View(label, tuple(mounts)) for label, mounts in tables.items()), "host"))
    drawn = list(nodes(sharing.folded))
    assert max(node.depth for node in drawn) == DEEPEST
    assert sum(len(node.groups) for node in drawn) == 4999
    for write in FORMATS.values():
        write(sharing, PAGE)


# What was asked about


def machine() -> Snapshot:
    world = World("/", "/run", "/var")
    world.add("tool", "shared", only=["/run"]).add("unit", "slave", only=["/", "/run"])
    return world.add("snap", "shared,slave", only=["/run"]).add("quiet", "private").snapshot()


def test_of_a_target_what_it_shares_what_it_receives_and_what_it_passes_on() -> None:
    sharing = of_view(machine(), "tool")
    assert outline(sharing) == [
        (0, "host, tool", ("group 2: /run", "⇄ events pass both ways")),
        (1, "unit", ("1 slave mount: /run", "→ only receives")),
        (1, "snap", ("group 4: /run", "→ only receives")),
    ]
    assert summary(sharing)[0] == "5 mount namespaces, 2 peer groups around the mounts of tool."


def test_of_a_target_that_only_receives_its_siblings_are_left_out() -> None:
    assert [title for _, title, _ in outline(of_view(machine(), "snap"))] == ["host, tool", "snap"]


def test_a_group_is_drawn_with_its_masters_and_its_slaves() -> None:
    sharing = of_group(machine(), 4)
    assert [title for _, title, _ in outline(sharing)] == ["host, tool", "snap"]
    assert [node.namespaces for node in nodes(sharing.folded) if node.marked] == [("snap",)]


def test_a_path_leads_to_the_group_of_the_mount_that_contains_it() -> None:
    assert of_path(machine(), "unit", "/run/user/1000").marked == {("0:2", 2)}
    with pytest.raises(TargetError, match=r"/var: it is private in quiet: it is in no peer group"):
        of_path(machine(), "quiet", "/var")
    with pytest.raises(TargetError, match="no mount of tool"):
        of_path(machine(), "tool", "/etc")


def test_an_unknown_group_is_refused_with_those_there_are() -> None:
    with pytest.raises(TargetError, match=r"there is no peer group 9; there are 1, 2, 3, 4"):
        of_group(machine(), 9)


# The formats


def test_json_has_every_group_with_every_member() -> None:
    document = json.loads(FORMATS["json"](whole(machine()), PAGE))
    assert document["schema"] == "mntscope.graph/1"
    assert [view["label"] for view in document["namespaces"]] == ["host", "tool", "unit", "snap", "quiet"]
    groups = {group["peer_group"]: group for group in document["groups"]}
    assert list(groups) == [1, 2, 4, 3]
    assert groups[2]["crosses"] == "both ways"
    assert groups[2]["namespaces"] == ["host", "tool"]
    assert [slave["namespace"] for slave in groups[2]["slaves"]] == ["unit"]
    assert (groups[4]["master"], groups[4]["depth"], groups[4]["crosses"]) == (2, 1, "one way")
    assert groups[3]["crosses"] is None


def test_graphml_links_namespaces_and_groups() -> None:
    root = ET.fromstring(FORMATS["graphml"](whole(machine()), PAGE))
    space = {"g": "http://graphml.graphdrawing.org/xmlns"}
    kinds = Counter(node.findtext("g:data[@key='node-kind']", "", space) for node in root.iterfind(".//g:node", space))
    assert kinds == {"namespace": 5, "group": 4}
    edges = root.findall(".//g:edge", space)
    relations = Counter(edge.findtext("g:data[@key='edge-relation']", "", space) for edge in edges)
    assert relations == {"member": 5, "slave": 2, "master": 1}
    known = {node.get("id") for node in root.iterfind(".//g:node", space)}
    assert {edge.get(end) for edge in edges for end in ("source", "target")} <= known


def test_the_svg_element_is_empty_where_there_is_nothing_to_draw() -> None:
    graph = PeerGraph.of(machine().views)
    assert svg(graph, "host", chosen=[]) == ""
    assert ">host, tool</text>" in svg(graph, "host", chosen=[("0:2", 2)])
    assert 'class="both marked"' in svg(graph, "host", marked=[("0:2", 2)])


@pytest.mark.parametrize("make", [machine, hostile_world, lambda: large_world(500)], ids=["small", "hostile", "large"])
def test_no_box_of_the_svg_lies_over_another_and_none_outside(make: Callable[[], Snapshot]) -> None:
    root = ET.fromstring(FORMATS["svg"](whole(make()), PAGE))
    _, _, width, height = map(float, root.get("viewBox", "").split())
    frames = []
    for group in root.iterfind("{*}g"):
        rectangle = group.findall("{*}rect")[-1]
        left, top, wide, high = (float(rectangle.get(name, "")) for name in ("x", "y", "width", "height"))
        assert left + wide <= width
        assert top + high <= height
        frames.append((left, top, left + wide, top + high))
    frames.sort()
    for number, (_, top, right, bottom) in enumerate(frames):
        for other in frames[number + 1 :]:
            assert other[0] >= right or other[1] >= bottom or other[3] <= top


# Names that would do something if anything obeyed them


@pytest.fixture(scope="module")
def hostile() -> Sharing:
    return whole(hostile_world(), everything=True)


@pytest.mark.parametrize("name", FORMATS)
def test_hostile_names_are_shown_and_not_obeyed(hostile: Sharing, name: str) -> None:
    text = FORMATS[name](hostile, Page(terminal=True))
    text.encode()
    categories = {unicodedata.category(character) for character in text.replace("\n", "")}
    assert not categories & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    if name not in ("json", "graphml"):
        # Those are for programs, which get names whole.
        assert len(text) < 1_000_000


def test_a_hostile_svg_holds_drawing_and_text_only(hostile: Sharing) -> None:
    root = ET.fromstring(FORMATS["svg"](hostile, PAGE))
    tags = {element.tag.removeprefix("{http://www.w3.org/2000/svg}") for element in root.iter()}
    assert tags == {"svg", "style", "g", "title", "rect", "path", "text"}
    assert not any(name.startswith("on") or "href" in name for element in root.iter() for name in element.attrib)


def test_hostile_graphml_is_well_formed(hostile: Sharing) -> None:
    root = ET.fromstring(FORMATS["graphml"](hostile, PAGE))
    assert {element.tag.rpartition("}")[2] for element in root.iter()} == {
        "graphml",
        "graph",
        "key",
        "node",
        "edge",
        "data",
    }


def test_hostile_mermaid_has_no_character_that_means_anything_in_a_label(hostile: Sharing) -> None:
    head, *lines = FORMATS["mermaid"](hostile, PAGE).splitlines()
    assert head == "flowchart LR"
    label = r'n\d+\["(?:<b>|</b>|<br/>|#\d+;|[\w /.,:()-])*"\]:::\w+'
    for line in lines:
        assert re.fullmatch(rf"  (?:{label}|n\d+ --> n\d+|classDef [\w :#;.,-]+)", line), line[:200]


@pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz, which reads DOT, is not installed")
@pytest.mark.parametrize("make", [machine, hostile_world], ids=["small", "hostile"])
def test_graphviz_reads_the_dot_and_sees_the_boxes_that_are_drawn(make: Callable[[], Snapshot]) -> None:
    sharing = whole(make())
    plain = subprocess.run(
        ["dot", "-Tplain"], input=FORMATS["dot"](sharing, PAGE), capture_output=True, text=True, check=True, timeout=60
    )
    assert plain.stderr == ""
    kinds = Counter(line.split(" ", 1)[0] for line in plain.stdout.splitlines())
    boxes = outline(sharing)
    assert kinds["node"] == len(boxes)
    assert kinds["edge"] == sum(depth > 0 for depth, _, _ in boxes)
