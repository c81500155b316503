"""The mount tree of one view: parents, stacks, what is hidden, and which mount holds a path."""

from __future__ import annotations

import os
import time
from pathlib import Path

from hypothesis import given

from mntscope.base.paths import below, under
from mntscope.graph import MountTree, Place, path_at, place_at
from mntscope.kernel import syscalls
from mntscope.model import Mount, View
from mntscope.parse import parse_mountinfo
from tests.support import strategies
from tests.support.tables import at, hostile_views, view
from tests.support.throwaway import Scratch

HOST = view(
    "host",
    """
    20 1 8:1 / / rw
    21 20 0:20 / /proc rw - proc proc rw
    22 20 0:21 / /sys rw
    23 22 0:22 / /sys/fs/cgroup rw
    24 20 8:1 /srv/data /mnt/data rw
    """,
)


def ids(mounts: tuple[Mount, ...]) -> list[int]:
    return [mount.mount_id for mount in mounts]


def test_children_come_in_table_order_below_their_parents() -> None:
    tree = MountTree.of(HOST)
    assert ids(tree.roots) == [20]
    assert ids(tree.children(at(HOST, "/"))) == [21, 22, 24]
    assert tree.parent(at(HOST, "/sys/fs/cgroup")) == at(HOST, "/sys")
    assert [(depth, mount.mount_id) for depth, mount in tree.walk()] == [(0, 20), (1, 21), (1, 22), (2, 23), (1, 24)]


def test_a_path_belongs_to_the_nearest_mount_above_it() -> None:
    tree = MountTree.of(HOST)
    for path, mount_point in {
        "/": "/",
        "/etc/passwd": "/",
        "/proc": "/proc",
        "/proc/1/ns": "/proc",
        "/process": "/",
        "/sys/fs": "/sys",
        "/sys/fs/cgroup/x": "/sys/fs/cgroup",
        "/mnt/data/../other": "/",
    }.items():
        assert tree.containing(path) == at(HOST, mount_point), path


def test_a_place_is_where_a_path_lies_in_the_filesystem_and_back() -> None:
    data = at(HOST, "/mnt/data")
    assert place_at(data, "/mnt/data/x") == Place("8:1", "/srv/data/x")
    assert path_at(data, "/srv/data/x") == "/mnt/data/x"
    assert place_at(data, "/mnt") is None
    assert path_at(data, "/srv") is None
    assert MountTree.of(HOST).mounted_on(data) == Place("8:1", "/mnt/data")
    assert MountTree.of(HOST).mounted_on(at(HOST, "/")) is None


def test_the_topmost_of_a_stack_is_found_and_the_others_are_hidden() -> None:
    seen = view("v", "1 0 8:1 / / rw\n2 1 0:2 / /a rw\n3 2 0:3 / /a rw\n4 3 0:4 / /a rw\n5 2 0:5 / /a/b rw")
    tree = MountTree.of(seen)
    assert ids(tree.stack("/a")) == [2, 3, 4]
    assert [mount.mount_id for mount in seen.mounts if tree.hidden(mount)] == [2, 3, 5]
    assert tree.over(seen.mounts[1]) == seen.mounts[2]
    assert tree.top(seen.mounts[1]) == seen.mounts[3]
    # Mount 5 is mounted in 2, at /a/b; who goes there now ends up in 4.
    assert tree.containing("/a/b") == seen.mounts[3]


def test_a_mount_at_a_directory_above_hides_what_is_mounted_below() -> None:
    seen = view("v", "1 0 8:1 / / rw\n2 1 0:2 / /a/b rw\n3 1 0:3 / /a rw\n4 3 0:4 / /a/b rw")
    tree = MountTree.of(seen)
    assert [mount.mount_id for mount in seen.mounts if tree.hidden(mount)] == [2]
    assert ids(tree.stack("/a/b")) == [2, 4]
    assert tree.containing("/a/b/c") == seen.mounts[3]


def test_lookups_begin_below_what_is_mounted_over_the_root() -> None:
    seen = view("v", "1 0 8:1 / / rw\n2 1 0:2 / / rw\n3 1 0:3 / /proc rw\n4 2 0:4 / /proc rw")
    tree = MountTree.of(seen)
    assert tree.containing("/") == seen.mounts[1], "a mount at / is attached to the top of the stack"
    assert tree.containing("/etc") == seen.mounts[0], "but the way to /etc begins at the bottom of it"
    assert tree.containing("/proc") == seen.mounts[2]
    assert [mount.mount_id for mount in seen.mounts if tree.hidden(mount)] == [4]
    assert tree.named_by("/") == seen.mounts[0], "which is also what `mount --make-private /` changes"
    assert not tree.shows(seen.mounts[0], "/")
    assert tree.leads_into(seen.mounts[0], "/")


def test_make_private_names_mount_points_only() -> None:
    tree = MountTree.of(HOST)
    assert tree.named_by("/proc") == at(HOST, "/proc")
    assert tree.named_by("/proc/1") is None


def test_in_a_chroot_the_mount_of_the_root_directory_is_not_shown() -> None:
    seen = view("v", "84 83 0:44 / /proc rw shared:25 - proc proc rw")
    tree = MountTree.of(seen)
    assert ids(tree.roots) == [84]
    assert tree.containing("/proc/self") == seen.mounts[0]
    assert tree.containing("/") is None
    assert tree.containing("/etc") is None


def test_the_initial_rootfs_is_its_own_parent() -> None:
    seen = view("v", "51 51 0:1 / / ro master:1 - rootfs rootfs ro\n53 51 0:12 / /dev rw")
    tree = MountTree.of(seen)
    assert ids(tree.roots) == [51]
    assert tree.parent(seen.mounts[0]) is None
    assert tree.containing("/dev/null") == seen.mounts[1]
    assert tree.containing("/x") == seen.mounts[0]


def test_a_mount_whose_parent_is_missing_from_the_table_is_found_by_its_path() -> None:
    tree = MountTree.of(view("v", "1 0 8:1 / / rw\n9 7 0:9 / /sys/fs/cgroup rw"))
    found = tree.containing("/sys/fs/cgroup/x")
    assert found is not None
    assert found.mount_id == 9


def test_a_circle_of_parents_is_cut_above_its_first_mount() -> None:
    seen = view("v", "1 0 8:1 / / rw\n5 6 0:5 / /a rw\n6 7 0:6 / /a/b rw\n7 5 0:7 / /a/b/c rw")
    tree = MountTree.of(seen)
    assert ids(tree.roots) == [1, 5]
    assert sorted(mount.mount_id for _, mount in tree.walk()) == [1, 5, 6, 7]


def test_the_path_tree_nests_mount_points_and_keeps_stacks_together() -> None:
    tree = MountTree.of(
        view("v", "1 0 8:1 / / rw\n2 1 0:2 / /a/b rw\n3 1 0:3 / /ab rw\n4 2 0:4 / /a/b rw\n5 4 0:5 / /a/b/c rw")
    )
    assert [(node.depth, node.path, ids(node.mounts)) for node in tree.path_tree()] == [
        (0, "/", [1]),
        (1, "/a/b", [2, 4]),
        (2, "/a/b/c", [5]),
        (1, "/ab", [3]),
    ]


def naive_containing(seen: View, path: str) -> Mount | None:
    """Path lookup as it reads in a textbook: one component at a time, from the process's root mount."""
    start = next((mount for mount in seen.mounts if mount.mount_point == "/" and mount.parent_id == 1), None)
    here, walked = start, "/"

    def cross(mount: Mount | None) -> Mount | None:
        while mount is not None:
            upon = next(
                (
                    m
                    for m in seen.mounts
                    if m.parent_id == mount.mount_id and m.mount_point == walked and m is not start
                ),
                None,
            )
            if upon is None:
                return mount
            mount = upon
        return None

    for name in path.split("/"):
        if name:
            walked = below(walked, f"/{name}")
            here = cross(here)
    return cross(here) if path == "/" else here


@given(strategies.views(("v",), max_size=10))
def test_containing_is_what_a_walk_along_the_path_finds(views: tuple[View, ...]) -> None:
    (seen,) = views
    tree = MountTree.of(seen)
    paths = {"/"} | {mount.mount_point for mount in seen.mounts}
    paths |= {below(path, "/a") for path in paths} | {below(path, "/new") for path in paths}
    found = {path: tree.containing(path) for path in paths}
    for path, mount in found.items():
        assert mount == naive_containing(seen, path), path
        for other in seen.mounts:
            assert tree.shows(other, path) == (other is mount), (other, path)
    reached = set(found.values())
    assert all(tree.hidden(mount) == (mount not in reached) for mount in seen.mounts)


@given(strategies.views(("v",), max_size=10).map(lambda views: views[0]) | hostile_views("v"))
def test_what_is_asked_at_once_is_what_is_asked_one_by_one(seen: View) -> None:
    tree = MountTree.of(seen)
    for mount in seen.mounts:
        for path in (mount.mount_point, below(mount.mount_point, "/a")):
            named = tree.named_by(mount.mount_point) is mount
            assert tree.seen(mount, path) == (tree.shows(mount, path), tree.leads_into(mount, path), named)
    states = [(depth, mount) for depth, mount, _, _ in tree.walk_states()]
    assert states == list(tree.walk())
    for _, mount, covered, hidden in tree.walk_states():
        if seen.mounts.count(mount) == 1:
            assert (covered, hidden) == (tree.over(mount) is not None, tree.hidden(mount))


@given(strategies.views(("v",), max_size=10).map(lambda views: views[0]))
def test_hidden_is_what_no_path_leads_into(seen: View) -> None:
    tree = MountTree.of(seen)
    paths = {mount.mount_point for mount in seen.mounts}
    paths |= {below(path, "/new") for path in paths}
    found = {id(naive_containing(seen, path)) for path in paths}
    assert [mount for mount in seen.mounts if not tree.hidden(mount) and id(mount) not in found] in (
        [],
        [seen.mounts[0]],
    )
    assert [mount for mount in seen.mounts if tree.hidden(mount) and id(mount) in found] == []


@given(hostile_views("v"))
def test_no_table_confuses_the_tree(seen: View) -> None:
    tree = MountTree.of(seen)
    assert sorted(map(id, seen.mounts)) == sorted(id(mount) for _, mount in tree.walk())
    assert sorted(map(id, seen.mounts)) == sorted(id(mount) for node in tree.path_tree() for mount in node.mounts)
    for path in ("/", "/a/b/c/d", "/proc", "/x//y"):
        found = tree.containing(path)
        assert found is None or not tree.hidden(found) or seen.mounts.count(found) > 1
        assert found is None or under(path, found.mount_point)
    for mount in seen.mounts:
        assert tree.top(mount).mount_point == mount.mount_point
        tree.mounted_on(mount)
        tree.named_by(mount.mount_point)


def test_ten_thousand_stacked_or_nested_mounts_take_no_time() -> None:
    def mount(number: int, parent: int, mount_point: str) -> Mount:
        return Mount(number, parent, f"0:{number}", "/", mount_point, ("rw",), "tmpfs", "", ("rw",))

    begun = time.monotonic()
    stacked = [mount(1, 0, "/"), *(mount(i, i - 1, "/x") for i in range(2, 10_001))]
    tree = MountTree.of(View("v", tuple(stacked)))
    assert [tree.containing("/x/y") for _ in range(10_000)][-1] is stacked[-1]
    assert tree.stack("/x") == tuple(stacked[1:])
    nested = [mount(1, 0, "/"), *(mount(i, i - 1, "/a" * i) for i in range(2, 1_001))]
    tree = MountTree.of(View("v", tuple(nested)))
    assert tree.containing("/a" * 2_000) is nested[-1]
    assert time.monotonic() - begun < 10


def test_the_kernel_finds_the_same_mount_at_every_path(scratch: Scratch, tmp_path: Path) -> None:
    """statx(2) tells the ID of the mount at which a path ends; fdinfo shows it too."""
    top = str(tmp_path)
    paths = [top, f"{top}/a", f"{top}/a/b", f"{top}/a/b/c", f"{top}/x"]

    def body() -> tuple[bytes, dict[str, int]]:
        def new(path: str) -> None:
            syscalls.mount("none", path, "tmpfs", 0)
            for directory in ("a/b/c", "b/c", "c", "x"):
                os.makedirs(f"{path}/{directory}", exist_ok=True)

        new(top)
        for path in (f"{top}/a/b", f"{top}/a", f"{top}/a/b", f"{top}/a/b", f"{top}/x"):
            new(path)
        # A new lower mount at /a/b hides nothing, a bind shows what lies beneath.
        syscalls.mount(f"{top}/a", f"{top}/x", None, syscalls.MS_BIND)
        found = {}
        for path in paths:
            descriptor = os.open(path, os.O_PATH)
            lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
            found[path] = next(int(line.split()[1]) for line in lines if line.startswith("mnt_id:"))
            os.close(descriptor)
        return Path("/proc/self/mountinfo").read_bytes(), found

    table, found = scratch(body)
    tree = MountTree.of(View("here", tuple(parse_mountinfo(table))))
    for path, mount_id in found.items():
        mount = tree.containing(path)
        assert mount is not None
        assert mount.mount_id == mount_id, path
