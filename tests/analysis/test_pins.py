"""What namespaces keep of the host's filesystems: from tables, and as the umounts themselves would show."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import event, given
from hypothesis import strategies as st

from mntscope.analysis.holders import given_back, holders
from mntscope.analysis.pins import Pins, filesystem_of
from mntscope.graph import PeerGraph
from mntscope.model import Namespace, Process, View
from mntscope.propagation import simulate, simulate_all
from mntscope.rules import audit, by_id
from mntscope.snapshot import Snapshot
from tests.support.tables import hostile_views, view

HOST = """
    20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
    21 20 8:16 / /data rw shared:2 - ext4 /dev/sdb rw
"""


def kept(snapshot: Snapshot, label: str) -> dict[str, tuple[bool, str]]:
    """By its mount point each mount that a namespace keeps: whether the host still has it, and where on the host."""
    found = Pins(PeerGraph.of(snapshot.views), snapshot.host_label).of(snapshot.view(label))
    return {pinned.mount.mount_point: (pinned.host is not None, pinned.path) for pinned in found}


def machine(host: str, **others: str) -> Snapshot:
    return Snapshot((view("host", host), *(view(label, table) for label, table in others.items())), "host")


def test_a_private_copy_is_kept_and_a_slave_is_not() -> None:
    snapshot = machine(
        HOST,
        private="30 9 8:1 / / rw - ext4 a rw\n31 30 8:16 / /data rw - ext4 b rw",
        slave="40 9 8:1 / / rw master:1 - ext4 a rw\n41 40 8:16 / /data rw master:2 - ext4 b rw",
        occupied="""50 9 8:1 / / rw master:1 - ext4 a rw
            51 50 8:16 / /data rw master:2 - ext4 b rw
            52 51 0:9 / /data/sub rw""",
    )
    assert kept(snapshot, "private") == {"/data": (True, "/data")}
    assert kept(snapshot, "slave") == {}
    # A slave too, in which something stays.
    assert kept(snapshot, "occupied") == {"/data": (True, "/data")}


def test_a_second_place_of_the_host_that_does_not_pass_it_on() -> None:
    """A rescue chroot: the host shows the tree once more, as a slave, and services follow the first."""
    host = """20 1 8:1 / / rw shared:1 - ext4 a rw
        21 20 0:40 / /tree rw shared:3
        22 21 8:16 / /tree/data rw shared:2 - ext4 b rw"""
    steps: list[dict[str, object]] = [
        {"op": "bind", "ns": "host", "source": "/tree", "target": "/rescue", "recursive": True},
        {"op": "propagation", "ns": "host", "target": "/rescue", "type": "slave", "recursive": True},
        {"op": "clone_ns", "ns": "host", "new": "service"},
        {"op": "propagation", "ns": "service", "target": "/", "type": "slave", "recursive": True},
    ]
    world = simulate_all(machine(host), steps)[-1].snapshot
    assert sum(mount.device == "8:16" for mount in world.view("service").mounts) == 2
    assert kept(world, "service") == {}


def test_what_the_host_has_given_back() -> None:
    host = "20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw"
    private = "30 9 8:1 / / rw - ext4 a rw\n31 30 8:16 / /data rw - ext4 b rw\n32 31 8:17 / /data/sub rw - ext4 c rw"
    container = "40 9 0:50 / / rw - overlay o rw\n41 40 8:32 / /volume rw - ext4 d rw"
    agent = "50 9 0:51 / / rw - overlay o rw\n51 50 8:1 / /host rw - ext4 a rw\n52 51 8:16 / /host/data rw - ext4 b rw"
    snapshot = machine(host, private=private, container=container, agent=agent)
    assert kept(snapshot, "private") == {"/data": (False, "/data"), "/data/sub": (False, "/data/sub")}
    # A container's own volume, and another's copy of the host's tree.
    assert kept(snapshot, "container") == {}
    assert kept(snapshot, "agent") == {"/host/data": (False, "/data")}


def test_what_a_slave_mounted_itself_is_its_own() -> None:
    """The host's umount would have arrived: so it was never the host's."""
    own = "30 9 8:1 / / rw master:1 - ext4 a rw\n31 30 8:16 / /data rw - ext4 b rw"
    occupied = "30 9 8:1 / / rw master:1 - ext4 a rw\n31 30 8:16 / /data rw - ext4 b rw\n32 31 0:9 / /data/sub rw"
    left = "30 9 8:1 / / rw master:1 - ext4 a rw\n31 30 8:16 / /data rw master:2 - ext4 b rw\n32 31 0:9 / /data/sub rw"
    snapshot = machine("20 1 8:1 / / rw shared:1 - ext4 a rw", own=own, left=left, occupied=occupied)
    assert kept(snapshot, "own") == {}
    # Something is mounted in it, which keeps a slave: it loses its master when the last of its group goes.
    assert kept(snapshot, "occupied") == {"/data": (False, "/data")}
    assert kept(snapshot, "left") == {"/data": (False, "/data")}


def test_fuse_of_a_user_is_his_own() -> None:
    private = "30 9 8:1 / / rw - ext4 a rw\n31 30 0:40 / /mnt rw - fuse.sshfs b rw"
    host = view("host", "20 1 8:1 / / rw shared:1 - ext4 a rw", namespace=Namespace(user_namespace=1))
    for owner, expected in ((1, {"/mnt": (False, "/mnt")}), (2, {})):
        theirs = view("theirs", private, namespace=Namespace(user_namespace=owner))
        assert kept(Snapshot((host, theirs), "host"), "theirs") == expected


def test_network_namespaces_are_told_apart_by_their_inode() -> None:
    host = "20 1 0:9 / /run rw - tmpfs r rw\n21 20 0:4 net:[4026532001] /run/netns/a rw - nsfs nsfs rw"
    other = """30 1 0:9 / /run rw - tmpfs r rw
        31 30 0:4 net:[4026532001] /run/netns/a rw - nsfs nsfs rw
        32 30 0:4 net:[4026532002] /run/netns/b rw - nsfs nsfs rw
        33 30 0:4 mnt:[4026532003] /run/mnt rw - nsfs nsfs rw"""
    found = kept(machine(host, other=other), "other")
    assert found == {"/run/netns/a": (True, "/run/netns/a"), "/run/netns/b": (False, "/run/netns/b")}


def test_both_slaves_of_a_group_that_nobody_shows_are_told_by_its_members() -> None:
    """On a phone, seen from an app: init's mounts are not there, and its umounts reach both."""
    table = "{0}0 9 8:1 / / rw master:1 - ext4 a rw\n{0}1 {0}0 8:16 / /data rw master:2 - ext4 b rw"
    assert kept(machine(table.format(2), app=table.format(3)), "app") == {}


def test_an_app_on_a_phone_follows_what_init_mounts() -> None:
    """Storage is shown at several places, one of them in every app, as slaves: no app keeps it."""
    host = """20 1 8:1 / / ro shared:1 - ext4 /dev/block/dm-0 ro
        21 20 0:20 / /mnt/user rw shared:12 - tmpfs tmpfs rw
        22 20 0:21 / /storage rw shared:13 - tmpfs tmpfs rw
        23 22 0:40 / /storage/emulated rw shared:43 - fuse /dev/fuse rw
        24 21 0:40 / /mnt/user/0/emulated rw shared:43 - fuse /dev/fuse rw
        25 20 253:2 / /data rw shared:16 - f2fs /dev/block/dm-2 rw"""
    steps: list[dict[str, object]] = [
        {"op": "clone_ns", "ns": "host", "new": "app"},
        {"op": "propagation", "ns": "app", "target": "/", "type": "slave", "recursive": True},
        {"op": "bind", "ns": "app", "source": "/mnt/user/0", "target": "/storage", "recursive": True},
    ]
    world = simulate_all(machine(host), steps)[-1].snapshot
    assert sum(mount.device == "0:40" for mount in world.view("app").mounts) == 3
    assert kept(world, "app") == {}


def test_memory_is_listed_where_a_copy_of_the_host_has_it() -> None:
    host = "20 1 8:1 / / rw - ext4 a rw\n21 20 0:5 / /sys rw - sysfs s rw"
    snapshot = machine(
        host,
        forgotten="30 9 8:1 / / rw - ext4 a rw\n31 30 0:40 / /cache rw - tmpfs c rw",
        container="40 9 0:50 / / rw - overlay o rw\n41 40 0:5 / /sys rw - sysfs s rw\n42 41 0:60 / /sys/firmware rw",
    )
    assert given_back(snapshot).devices == ("0:40",)
    assert kept(snapshot, "forgotten") == {}


# Random worlds


PATHS = ("/", "/data", "/data/sub", "/again")


@st.composite
def worlds(draw: st.DrawFn) -> Snapshot:
    """A host with two disks, which it may show twice, and namespaces made of it, each of which changes a few things."""
    host = "20 1 8:1 / / rw shared:1 - ext4 a rw\n21 20 8:16 / /data rw shared:2 - ext4 b rw"
    if draw(st.booleans()):
        host += "\n22 21 8:32 / /data/sub rw shared:3 - ext4 c rw"
    world = machine(host)
    names = ["host"]

    def change(here: str) -> dict[str, object]:
        at = {"ns": here, "target": draw(st.sampled_from(PATHS))}
        kind = draw(st.sampled_from(["private", "slave", "shared"]))
        recursive = draw(st.booleans())
        steps: list[dict[str, object]] = [
            {"op": "propagation", "type": kind, "recursive": recursive, **at},
            {"op": "umount", "lazy": True, "ns": here, "target": "/data/sub"},
        ]
        # Once each: what is mounted over itself in several namespaces multiplies.
        taken = {mount.mount_point for each in world.views for mount in each.mounts}
        if "/data/in" not in taken:
            steps.append({"op": "mount", "fstype": "tmpfs", "source": "none", "ns": here, "target": "/data/in"})
        if "/again" not in taken:
            steps.append({"op": "bind", "source": "/data", "recursive": recursive, "ns": here, "target": "/again"})
        return draw(st.sampled_from(steps))

    for number in range(draw(st.integers(1, 4))):
        for _ in range(draw(st.integers(0, 2))):
            world = simulate(world, change("host")).snapshot
        origin, here = draw(st.sampled_from(names)), f"n{number}"
        world = simulate(world, {"op": "clone_ns", "ns": origin, "new": here}).snapshot
        for _ in range(draw(st.integers(0, 3))):
            world = simulate(world, change(here)).snapshot
        names.append(here)
    return world


def inhabited(world: Snapshot) -> Snapshot:
    """With a process in every namespace."""

    def with_process(each: View, pid: int) -> View:
        process = Process(pid, comm="sleep")
        return replace(each, process=process, namespace=Namespace(inode=pid, processes=(process,)))

    return world.with_views(with_process(each, pid) for pid, each in enumerate(world.views, start=1))


@given(worlds())
def test_it_is_what_the_umounts_would_leave(world: Snapshot) -> None:
    """What an audit says of a filesystem of the host is what `holders` says, of all that is where the host has it."""
    snapshot = inhabited(world)
    graph = PeerGraph.of(snapshot.views)
    pins, host = Pins(graph, "host"), graph.tree("host")
    own = {filesystem_of(mount) for mount in snapshot.host.mounts if not mount.device.startswith("0:")} - {("8:1", "")}
    for filesystem in own:
        places = {host.mounted_on(mount) for mount in snapshot.host.mounts if filesystem_of(mount) == filesystem}
        expected = {
            (each.view.label, each.mount.mount_id)
            for each in holders(snapshot, filesystem[0]).staying
            if each.via != "host" and graph.tree(each.view.label).mounted_on(each.mount) in places
        }
        found = {
            (each.label, pinned.mount.mount_id)
            for each in snapshot.views
            if not graph.same_namespace(each.label, "host")
            for pinned in pins.of(each)
            if pinned.host is not None and filesystem_of(pinned.mount) == filesystem
        }
        event(f"{len(found)} kept")
        assert found == expected
    kept_by = {finding.subject for finding in audit(snapshot, [by_id("MNT008")]).findings}
    assert kept_by == {each.label for each in snapshot.views if each.label != "host" and pins.of(each)}


@given(hostile_views("host"), hostile_views("a"))
def test_any_tables_have_an_answer(host: View, other: View) -> None:
    snapshot = Snapshot((host, other), "host")
    pins = Pins(PeerGraph.of(snapshot.views), "host", count=lambda _mount: True)
    assert all(pinned.mount in other.mounts for pinned in pins.of(other))
    list(pins.given_back())
