"""What leaks between two namespaces, where it lands, and how bad that is."""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mntscope.base.paths import below, relative, under
from mntscope.base.records import replace
from mntscope.errors import KernelError
from mntscope.graph import Leak, MountTree, PeerGraph, leaks, leaks_in, leaks_to
from mntscope.graph.severity import CRITICAL
from mntscope.kernel import syscalls
from mntscope.model import Mount, Namespace, View
from tests.support import strategies
from tests.support.repository import DATA
from tests.support.tables import at, hostile_views, view
from tests.support.throwaway import Actor, Host, in_fork

T = TypeVar("T")
CONFORMANCE = DATA / "conformance"

HOST = view(
    "host",
    """
    20 1 8:1 / / rw shared:1
    21 20 0:5 / /proc rw shared:2 - proc proc rw
    22 20 0:6 / /srv/share rw shared:3
    """,
)


def only(found: tuple[Leak, ...]) -> Leak:
    (leak,) = found
    return leak


def target(table: str) -> View:
    return view("target", table)


def test_a_copy_of_a_shared_proc_leaks_both_ways_and_is_critical() -> None:
    leak = only(leaks(target("30 9 8:9 / / rw\n31 30 0:5 / /proc rw shared:2 - proc proc rw"), HOST))
    assert (leak.direction, leak.path, leak.lands_at, leak.via) == ("both", "/proc", ("/proc",), "peer")
    assert (leak.peer_group, leak.severity, leak.hidden, leak.covered) == (2, "critical", False, False)
    assert (leak.host_mounts, leak.mount.mount_id) == ((at(HOST, "/proc"),), 31)
    assert (leak.remedy, leak.remedy_path) == ("make-private", "/proc")
    assert leak.why == (
        "mounts and umounts at /proc reach /proc of the host (its peer in group 2); make-private stops that and cannot"
        " keep a device of the host busy, as proc has none"
    )


def test_a_slave_only_receives() -> None:
    leak = only(leaks(target("30 9 8:9 / / rw\n31 30 0:6 / /data rw master:3"), HOST))
    assert (leak.direction, leak.path, leak.lands_at, leak.via) == ("in", "/data", ("/srv/share",), "slave")
    assert (leak.peer_group, leak.severity, leak.remedy) == (3, "low", "make-private")
    assert "through group 3" in leak.why


def test_a_mount_whose_slave_is_on_the_host_leaks_out_only() -> None:
    host = view("host", "20 1 8:1 / / rw\n21 20 0:7 / /var/lib/x rw master:8")
    leak = only(leaks(target("30 9 8:9 / / rw\n31 30 0:7 / /x rw shared:8"), host))
    assert (leak.direction, leak.lands_at, leak.via, leak.peer_group) == ("out", ("/var/lib/x",), "slave", 8)


def test_private_mounts_do_not_leak() -> None:
    assert leaks(target("30 9 8:1 / / rw\n31 30 0:5 / /proc rw unbindable - proc proc rw"), HOST) == ()


def test_peers_with_roots_apart_exchange_nothing() -> None:
    host = view("host", "20 1 8:1 / / rw\n21 20 0:7 /b /mnt/b rw shared:5")
    assert leaks(target("30 9 8:9 / / rw\n31 30 0:7 /a /a rw shared:5"), host) == ()


def test_a_peer_rooted_deeper_receives_from_that_directory_down() -> None:
    host = view("host", "20 1 8:1 / / rw\n21 20 0:7 /a/x /mnt/x rw shared:5")
    seen = target("30 9 8:9 / / rw\n31 30 0:7 /a /a rw shared:5")
    leak = only(leaks(seen, host))
    assert (leak.path, leak.lands_at) == ("/a/x", ("/mnt/x",))
    assert leak.remedy_path == "/a", "the mount is made a slave, not the directory"
    assert only(leaks(seen, host, path="/a/x/deeper")).lands_at == ("/mnt/x/deeper",)
    assert leaks(seen, host, path="/a/y") == ()


def test_a_peer_rooted_higher_receives_in_its_subdirectory() -> None:
    host = view("host", "20 1 8:1 / / rw\n21 20 0:7 / /mnt/x rw shared:5\n22 20 0:7 /a /also rw shared:5")
    leak = only(leaks(target("30 9 8:9 / / rw\n31 30 0:7 /a /a rw shared:5"), host))
    assert (leak.path, leak.lands_at) == ("/a", ("/also", "/mnt/x/a"))


def test_a_file_can_leak() -> None:
    """As crun 1.8 did for masked paths: /dev/null of the host's devtmpfs, bound over /proc/keys, stayed shared."""
    host = view("host", "20 1 8:1 / / rw\n21 20 0:6 / /dev rw shared:7 - devtmpfs devtmpfs rw")
    leak = only(leaks(target("30 9 8:9 / / rw\n31 30 0:6 /null /proc/keys ro shared:7 - devtmpfs devtmpfs rw"), host))
    assert (leak.path, leak.lands_at, leak.severity) == ("/proc/keys", ("/dev/null",), "high")


def test_events_that_only_deeper_reach_what_the_host_needs_are_a_leak_of_their_own() -> None:
    """An image-based host: /sysroot shows the whole disk, / a subdirectory of it."""
    host = view("host", "20 1 8:1 /deploy / rw shared:1\n21 20 8:1 / /sysroot rw shared:1")
    whole, root = leaks(target("30 9 8:9 / / rw\n31 30 8:1 / /disk rw shared:1"), host)[::-1]
    assert (whole.path, whole.lands_at, whole.severity) == ("/disk", ("/sysroot",), "high")
    assert (root.path, root.lands_at, root.severity) == ("/disk/deploy", ("/", "/sysroot/deploy"), "critical")


def test_severity_is_that_of_the_worst_landing_place() -> None:
    def severity(*places: str, root: str = "/dir") -> str:
        mounts = "\n".join(f"{40 + i} 20 0:7 {root} {place} rw shared:5" for i, place in enumerate(places))
        found = leaks(
            target("30 9 8:9 / / rw\n31 30 0:7 /dir /x rw shared:5"), view("host", f"20 1 8:1 / / rw\n{mounts}")
        )
        return only(found).severity

    assert severity("/run") == "critical"
    assert severity("/run/user") == "high"
    assert severity("/etc", root="/") == "high", "/etc/dir"
    assert severity("/mnt") == "high", "the whole of a mount of the host would be covered"
    assert severity("/mnt", root="/") == "medium", "/mnt/dir"
    assert severity("/mnt", "/dev") == "critical"


def test_what_lands_beneath_another_mount_of_the_host_is_no_worse_than_medium() -> None:
    host = view("host", "20 1 8:1 / / rw\n21 20 0:5 / /proc rw shared:2\n22 21 0:9 / /proc rw")
    leak = only(leaks(target("30 9 8:9 / / rw\n31 30 0:5 / /proc rw shared:2"), host))
    assert (leak.covered, leak.severity) == (True, "medium")
    assert "beneath another mount" in leak.why


def test_a_hidden_mount_leaks_as_what_hides_it_can_be_unmounted() -> None:
    seen = target("30 9 8:9 / / rw\n31 30 0:5 / /proc rw shared:2 - proc proc rw\n32 31 0:50 / /proc rw - proc proc rw")
    leak = only(leaks(seen, HOST))
    assert (leak.mount.mount_id, leak.hidden, leak.severity) == (31, True, "low")
    assert leak.remedy_path is None, "no path leads to it"
    assert leaks(seen, HOST, path="/proc") == (), "a mount at /proc is attached to the private one on top"


def test_a_root_that_is_mounted_over_still_leaks_below_its_root_directory() -> None:
    seen = target("30 9 8:1 / / rw shared:1\n31 30 0:50 / / rw")
    leak = only(leaks(seen, HOST))
    assert (leak.hidden, leak.severity, leak.remedy_path) == (True, "critical", "/")
    assert leaks(seen, HOST, path="/") == ()
    assert only(leaks(seen, HOST, path="/etc")).lands_at == ("/etc",)


def test_a_path_that_is_no_mount_point_leaks_as_the_mount_that_contains_it() -> None:
    seen = target("30 9 8:9 / / rw\n31 30 0:6 / /data rw shared:3\n32 31 0:60 / /data/own rw")
    leak = only(leaks(seen, HOST, path="/data/new/dir/"))
    assert (leak.path, leak.lands_at, leak.mount.mount_id) == ("/data/new/dir", ("/srv/share/new/dir",), 31)
    assert leaks(seen, HOST, path="/data/own/dir") == ()


def test_a_real_filesystem_becomes_a_slave_so_that_the_hosts_umounts_arrive() -> None:
    leak = only(leaks(target("30 9 8:9 / / rw\n31 30 0:6 / /my\\040data rw shared:3"), HOST))
    assert (leak.remedy, leak.remedy_path) == ("make-slave", "/my data")
    assert "lets the host's umounts in" in leak.why


def test_a_third_namespace_relays() -> None:
    host = view("host", "20 1 8:1 / / rw\n21 20 0:7 / /x rw master:6")
    seen = target("30 9 8:9 / / rw\n31 30 0:7 / /x rw shared:5")
    relay = view("relay", "40 9 8:9 / / rw\n41 40 0:7 /elsewhere /r rw shared:6 master:5")
    assert leaks(seen, host) == ()
    assert only(leaks(seen, host, [relay])).direction == "out"


def test_within_one_namespace_nothing_leaks() -> None:
    assert leaks(HOST, HOST) == ()
    assert leaks(View("again", HOST.mounts), HOST) == ()


def paths_of(seen: View) -> set[str]:
    paths = {"/"} | {mount.mount_point for mount in seen.mounts}
    return paths | {below(path, "/a") for path in paths} | {below(path, "/a/b") for path in paths}


@given(strategies.views(("host", "target")))
def test_a_leak_is_what_receivers_receive(views: tuple[View, ...]) -> None:
    host, seen = views
    graph, tree = PeerGraph.of(views), MountTree.of(seen)
    found = leaks(seen, host)
    for path in paths_of(seen):
        mount = tree.containing(path)
        assert mount is not None
        landed = {r.lands_at for r in graph.receivers("target", mount, path) if r.label == "host"}
        at_path = [leak for leak in leaks(seen, host, path=path) if leak.direction != "in"]
        assert {place for leak in at_path for place in leak.lands_at} == landed, path
        outward = [leak for leak in found if leak.mount == mount and leak.direction != "in"]
        assert any(under(path, leak.path) for leak in outward) == bool(landed), path
    for leak in found:
        if not leak.hidden:
            assert leak in leaks(seen, host, path=leak.path)


@given(strategies.views(("host", "target")))
def test_what_comes_in_is_what_goes_out_seen_from_the_other_side(views: tuple[View, ...]) -> None:
    host, seen = views

    there, back = leaks(seen, host), leaks(host, seen)
    assert any(leak.direction != "in" for leak in there) == any(leak.direction != "out" for leak in back)
    assert all(leak.direction == "both" for leak in there if leak.via == "peer"), "peers leak both ways"
    assert any(leak.via == "peer" for leak in there) == any(leak.via == "peer" for leak in back)


def plain_leaks(graph: PeerGraph, target: View, host: View) -> set[tuple[str, int, str, tuple[str, ...]]]:
    """The definition: direction, mount ID, path and where it lands of each.

    These are, of each mount, the shallowest places from which an event goes out, and comes in, and deeper ones where
    one would land on what the host cannot do without.
    """
    tree = graph.tree("host")
    found = set()
    for mount in target.mounts:
        mine = graph.root(mount)
        out = {r.mount.mount_id: r.mount for r in graph.receivers(target.label, mount) if r.label == "host"}
        coming = {
            sender.mount_id: sender
            for sender in host.mounts
            if any(
                r.mount.mount_id == mount.mount_id for r in graph.receivers("host", sender) if r.label == target.label
            )
        }
        if mine is None:
            continue

        def around(others: dict[int, Mount], place: str) -> list[Mount]:
            return [other for other in others.values() if under(place, graph.root(other) or "")]

        def shallowest(others: dict[int, Mount], mine: str) -> list[str]:
            places = {mine, *(root for other in others.values() if under(root := graph.root(other) or "", mine))}
            wanted = {place for place in places if around(others, place)}
            return [place for place in wanted if not any(under(place, other) for other in wanted - {place})]

        outward = set(shallowest(out, mine))
        for place in list(outward):
            if any(
                graph.landing(other, place) in CRITICAL and visible(tree, other, place) for other in around(out, place)
            ):
                continue
            vital = {i: m for i, m in out.items() if m.mount_point in CRITICAL and tree.leads_into(m, m.mount_point)}
            below_it = {root for other in vital.values() if (root := graph.root(other) or "") != place}
            deeper = {root for root in below_it if under(root, place)}
            outward |= {root for root in deeper if not any(under(root, other) for other in deeper - {root})}
        for place in outward | {place for place in shallowest(coming, mine) if place not in outward}:
            landing = around(out, place) or around(coming, place)
            direction = ("both" if around(coming, place) else "out") if around(out, place) else "in"
            path = below(mount.mount_point, relative(place, mine))
            lands_at = tuple(sorted({graph.landing(other, place) for other in landing}))
            found.add((direction, mount.mount_id, path, lands_at))
    return found


def visible(tree: MountTree, mount: Mount, place: str) -> bool:
    return tree.leads_into(mount, below(mount.mount_point, relative(place, mount.root)))


@given(strategies.views(("host", "target", "other")))
def test_leaks_are_those_of_the_plain_definition(views: tuple[View, ...]) -> None:
    graph = PeerGraph.of(views)
    found = leaks_in(graph, "target", "host")
    told = {(leak.direction, leak.mount.mount_id, leak.path, leak.lands_at) for leak in found}
    assert told == plain_leaks(graph, views[1], views[0])
    assert len(told) == len(found)


@given(strategies.views(("a", "host", "b", "c")))
def test_all_namespaces_at_once_leak_as_each_alone(views: tuple[View, ...]) -> None:
    graph = PeerGraph.of(views)
    assert leaks_to(graph, "host") == {label: leaks_in(graph, label, "host") for label in ("a", "b", "c")}


@given(strategies.views(("host", "target")), st.lists(st.sampled_from(("host", "target")), max_size=3), st.data())
def test_copies_leak_as_each_alone(views: tuple[View, ...], copied: list[str], data: st.DataObject) -> None:
    """A copy has mount IDs of its own, in whatever order, and may differ from what it is a copy of in one mount."""
    host, target = views
    copies = []
    for number, label in enumerate(copied, 1):
        mounts = (host if label == "host" else target).mounts
        new_ids = data.draw(st.permutations(range(1000 * number, 1000 * number + len(mounts))))
        names = dict(zip([mount.mount_id for mount in mounts], new_ids, strict=True))
        copy = [replace(m, mount_id=names[m.mount_id], parent_id=names.get(m.parent_id, 1)) for m in mounts]
        at = data.draw(st.integers(0, len(copy)))
        if at < len(copy):
            copy[at] = replace(copy[at], peer_group=None, master=copy[at].peer_group)
        copies.append(View(f"copy {number}", tuple(copy)))
    graph = PeerGraph.of([*views, *copies])
    together = leaks_to(graph, "host")
    assert together.keys() == {"target", *(copy.label for copy in copies)}
    for label, found in together.items():
        assert found == leaks_in(PeerGraph.of([*views, *copies]), label, "host")


def test_a_namespace_that_two_views_show_is_compared_once() -> None:
    seen = target("30 9 8:9 / / rw\n31 30 0:5 / /proc rw shared:2")
    again = View("again", seen.mounts)
    found = leaks_to(PeerGraph.of([View("host, too", HOST.mounts), HOST, seen, again]), "host")
    assert {label: [leak.path for leak in each] for label, each in found.items()} == {"target": ["/proc"]}


def test_a_tree_in_no_namespace_is_not_compared() -> None:
    held = View("fd", target("30 9 0:5 / / rw shared:2").mounts, detached=True)
    assert leaks_to(PeerGraph.of([HOST, held]), "host") == {}


def test_many_namespaces_share_the_bound_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["mntscope.graph.leaks"], "BOUND", 60)
    mounts = "".join(f"{40 + n} 20 0:7 /{n} /{n} rw shared:5\n" for n in range(50))
    host = view("host", f"20 1 8:1 / / rw\n{mounts}")
    seen = [
        view(f"v{n}", f"{100 + 2 * n} 9 8:9 / / rw\n{101 + 2 * n} {100 + 2 * n} 0:7 / /x rw shared:5") for n in range(5)
    ]
    found = leaks_to(PeerGraph.of([host, *seen]), "host")
    assert {len(leaks) for leaks in found.values()} == {16}
    assert not any(leak.complete for leaks in found.values() for leak in leaks)


@given(hostile_views("host"), hostile_views("target"))
def test_no_tables_break_it(host: View, seen: View) -> None:
    for leak in leaks(seen, host):
        assert leak.lands_at
        assert leak.why
    leaks(seen, host, path="/a/b")


def recorded(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """The steps of a recording that mounted something: the operation, and the tables before and after."""
    with gzip.open(CONFORMANCE / f"{name}.jsonl.gz", "rt") as lines:
        for line in lines:
            trace = json.loads(line)
            for step in trace["steps"]:
                if step["errno"] is None and step["op"]["op"] in ("mount", "bind") and not step["op"].get("recursive"):
                    yield step["op"], trace["states"][step["before"]], trace["states"][step["after"]]


@pytest.mark.parametrize("name", ["core", "userns", "extended"])
def test_leaks_land_where_the_kernel_put_them(name: str) -> None:
    """Every mount and bind ever recorded, for every other namespace there was."""

    def views(state: dict[str, Any]) -> list[View]:
        return [
            view(
                label,
                os.fsencode("".join(f"{line}\n" for line in table["mountinfo"])),
                namespace=Namespace(table["mntns"]),
            )
            for label, table in state.items()
        ]

    landed = 0
    for operation, before, after in recorded(name):
        graph = PeerGraph.of(views(before))
        for seen in views(after):
            if seen.label == operation["ns"]:
                continue
            old = set(before[seen.label]["unique"])
            new = zip(seen.mounts, after[seen.label]["unique"], strict=True)
            expected = sorted({mount.mount_point for mount, unique in new if unique not in old})
            found = leaks_in(graph, operation["ns"], seen.label, path=operation["target"])
            assert [p for leak in found if leak.direction != "in" for p in leak.lands_at] == expected, operation
            landed += bool(expected)
    assert landed > 20, "the recordings hold none of what this is about"


def inside(actor: Actor, function: Callable[..., T], *arguments: object) -> T:
    """Runs a function in the mount namespace of an actor."""

    def body() -> T:
        descriptor = os.open(f"/proc/{actor.pid}/ns/mnt", os.O_RDONLY)
        syscalls.setns(descriptor, syscalls.CLONE_NEWNS)
        os.close(descriptor)
        return function(*arguments)

    return in_fork(body)


def live(host: Host, actor: Actor) -> tuple[View, View]:
    return view("host", host.mountinfo()), view("target", host.mountinfo(actor))


def between(host: Host, actor: Actor) -> tuple[Leak, ...]:
    ours, its = live(host, actor)
    return leaks(its, ours)


def mount_points(table: bytes) -> set[str]:
    return {mount.mount_point for mount in view("v", table).mounts}


@pytest.mark.parametrize(("root", "lands"), [("b", False), ("a/x", True)])
def test_a_subdirectory_bind_leaks_on_this_kernel_as_foretold(
    host: Host, tmp_path: Path, root: str, lands: bool
) -> None:
    disk, there, peer = (str(tmp_path / name) for name in ("disk", "there", "peer"))

    def set_up() -> None:
        # In a group of its own, so that it does not hang on what /tmp is where the tests run.
        syscalls.mount(str(tmp_path), str(tmp_path), None, syscalls.MS_BIND)
        for propagation in (syscalls.MS_PRIVATE, syscalls.MS_SHARED):
            syscalls.mount(None, str(tmp_path), None, propagation)
        for path in (disk, there, peer):
            os.mkdir(path)
        syscalls.mount("none", disk, "tmpfs", 0)
        for path in ("a/x/deep", "a/deep", "b/deep"):
            os.makedirs(f"{disk}/{path}")
        syscalls.mount(f"{disk}/a", there, None, syscalls.MS_BIND)
        syscalls.mount(f"{disk}/{root}", peer, None, syscalls.MS_BIND)

    def keep(path: str) -> None:
        """Of the three mounts of the disk, one is left, without the other namespace noticing."""
        syscalls.mount(None, str(tmp_path), None, syscalls.MS_PRIVATE)
        for other in {disk, there, peer} - {path}:
            syscalls.umount2(other, syscalls.MNT_DETACH)

    host.call(set_up)
    actor = host.unshare("unchanged", lambda: keep(there))
    host.call(keep, peer)
    ours, its = live(host, actor)
    assert at(ours, peer).peer_group == at(its, there).peer_group is not None

    found = [leak for leak in leaks(its, ours) if leak.mount.mount_point == there]
    if not lands:
        assert found == []
        inside(actor, syscalls.mount, "none", f"{there}/deep", "tmpfs", 0)
        assert mount_points(host.mountinfo()) == {mount.mount_point for mount in ours.mounts}
        return
    leak = only(tuple(found))
    assert (leak.path, leak.lands_at) == (f"{there}/x", (peer,))
    inside(actor, syscalls.mount, "none", f"{there}/deep", "tmpfs", 0)
    assert mount_points(host.mountinfo()) == {mount.mount_point for mount in ours.mounts}, "not from outside of it"
    (deeper,) = leaks(its, ours, path=f"{there}/x/deep")
    inside(actor, syscalls.mount, "none", f"{there}/x/deep", "tmpfs", 0)
    assert mount_points(host.mountinfo()) - {mount.mount_point for mount in ours.mounts} == set(deeper.lands_at)


def test_proc_leaks_on_this_kernel_as_foretold(host: Host) -> None:
    actor = host.unshare("unchanged")
    ours, its = live(host, actor)
    leak = next(leak for leak in leaks(its, ours) if leak.path == "/proc" and not leak.hidden)
    assert (leak.direction, leak.lands_at, leak.severity) == ("both", ("/proc",), "critical")
    assert f"shared:{leak.peer_group} ".encode() in host.mountinfo(actor)
    before = len(view("v", host.mountinfo()).mounts)
    inside(actor, syscalls.mount, "proc", "/proc", "proc", 0)
    assert len(view("v", host.mountinfo()).mounts) == before + 1
    covered = next(leak for leak in between(host, actor) if leak.path == "/proc" and not leak.hidden)
    assert covered.peer_group != leak.peer_group, "the two new mounts are peers of each other"
    inside(actor, syscalls.umount2, "/proc", 0)
    assert len(view("v", host.mountinfo()).mounts) == before


def test_the_remedy_stops_it_on_this_kernel(host: Host, tmp_path: Path) -> None:
    os.mkdir(tmp_path / "data")
    data = str(tmp_path / "data")
    host.call(syscalls.mount, "none", data, "tmpfs", 0)
    actor = host.unshare("unchanged")
    leak = next(leak for leak in between(host, actor) if leak.path == data)
    done = host.run(["nsenter", "-t", actor.pid, "-m", "mount", f"--{leak.remedy}", leak.remedy_path])
    assert done.returncode == 0, done.stderr
    assert [found.direction for found in between(host, actor) if found.path == data] == ["in"]


def test_nothing_can_be_mounted_in_a_removed_directory_on_this_kernel(host: Host, tmp_path: Path) -> None:
    kept, gone = str(tmp_path / "kept"), str(tmp_path / "gone")

    def set_up() -> str:
        os.mkdir(kept)
        os.mkdir(gone)
        syscalls.mount(gone, kept, None, syscalls.MS_BIND)
        os.rmdir(gone)
        with pytest.raises(KernelError) as raised:
            syscalls.mount("none", kept, "tmpfs", 0)
        return raised.value.errno_name

    assert host.call(set_up) == "ENOENT"
    actor = host.unshare("unchanged")
    ours, its = live(host, actor)
    assert at(its, kept).root.endswith("//deleted")
    assert [leak for leak in leaks(its, ours) if leak.mount.mount_point == kept] == []
