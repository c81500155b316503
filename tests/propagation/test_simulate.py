"""What mounting, unmounting and retyping does elsewhere: the rules of mount_namespaces(7), one example each."""

from __future__ import annotations

from typing import Any

import pytest

from mntscope import Snapshot, TargetError, UsageError
from mntscope.propagation import Outcome, operation, simulate

SKELETON = {"dirs": ["a", "b", "a/x", "mnt", "proc"], "files": ["f", "a/f"]}


def machine(tables: dict[str, str], kernel: str | None = "6.18.0", **owners: int) -> Snapshot:
    """Namespaces from lines ``ID PARENT DEV ROOT MOUNTPOINT [TAG..]``; every filesystem holds SKELETON."""
    return Snapshot.from_mountinfo(
        {label: table(lines) for label, lines in tables.items()},
        user_namespaces=owners or None,
        fs_skeleton=SKELETON,
        kernel=kernel,
    )


def table(lines: str) -> bytes:
    text = ""
    for line in lines.strip().splitlines():
        number, parent, device, root, mount_point, *tags = line.split()
        text += f"{' '.join([number, parent, device, root, mount_point, 'rw', *tags])} - tmpfs fs{device[2:]} rw\n"
    return text.encode()


def do(snapshot: Snapshot, op: str, ns: str = "host", **fields: Any) -> Outcome:
    return simulate(snapshot, {"op": op, "ns": ns, **fields})


def mount(snapshot: Snapshot, target: str, ns: str = "host") -> Outcome:
    return do(snapshot, "mount", ns, fstype="tmpfs", source="new", target=target)


def types(outcome: Outcome, label: str) -> dict[str, str]:
    """Mount point -> propagation type, of the topmost mount there."""
    return {m.mount_point: m.propagation for m in outcome.snapshot.view(label).mounts}


SHARED_WITH_A_COPY = {"host": "1 0 0:1 / / shared:1", "box": "2 0 0:1 / / shared:1"}
SLAVE_OF_THE_HOST = {"host": "1 0 0:1 / / shared:1", "box": "2 0 0:1 / / master:1"}
PEERS_AND_A_SLAVE = SHARED_WITH_A_COPY | {"slave": "3 0 0:1 / / master:1"}
PRIVATE_COPY = {"host": "1 0 0:1 / / shared:1", "box": "2 0 0:1 / /"}


class TestMounting:
    def test_a_peer_gets_a_peer(self) -> None:
        outcome = mount(machine(SHARED_WITH_A_COPY), "/mnt", ns="box")
        here, there = outcome.snapshot.view("box").mounts[1], outcome.snapshot.host.mounts[1]
        assert (here.mount_point, there.mount_point) == ("/mnt", "/mnt")
        assert here.peer_group == there.peer_group is not None
        assert [effect.crosses for effect in outcome.effects] == [True, False]

    def test_a_slave_receives_and_does_not_send(self) -> None:
        world = machine(SLAVE_OF_THE_HOST)
        down = mount(world, "/mnt", ns="host")
        assert types(down, "box")["/mnt"] == "slave"
        up = mount(world, "/mnt", ns="box")
        assert "/mnt" not in types(up, "host")
        assert not any(effect.crosses for effect in up.effects)

    def test_a_private_copy_hears_nothing(self) -> None:
        outcome = mount(machine(PRIVATE_COPY), "/mnt", ns="host")
        assert "/mnt" not in types(outcome, "box")

    def test_what_is_mounted_on_a_private_mount_stays_private(self) -> None:
        assert types(mount(machine(PRIVATE_COPY), "/mnt", ns="box"), "box")["/mnt"] == "private"

    def test_a_mount_is_attached_to_the_mount_that_contains_it_not_to_its_path(self) -> None:
        # /proc is private, but a directory of / is not: DIR leaks although nothing is mounted there.
        world = machine(
            {
                "host": "1 0 0:1 / / shared:1\n3 1 0:3 / /proc shared:3",
                "box": "2 0 0:1 / / shared:1\n4 2 0:3 / /proc",
            }
        )
        assert not any(effect.crosses for effect in mount(world, "/proc", ns="box").effects)
        assert any(effect.crosses for effect in mount(world, "/mnt", ns="box").effects)

    def test_peers_whose_roots_do_not_overlap_exchange_nothing(self) -> None:
        world = machine(
            {"host": "1 0 0:9 / /\n5 1 0:1 /b /mnt shared:1", "box": "2 0 0:9 / /\n6 2 0:1 /a /mnt shared:1"}
        )
        assert not any(effect.crosses for effect in mount(world, "/mnt", ns="box").effects)

    def test_an_event_lands_relative_to_the_receivers_root(self) -> None:
        world = machine({"host": "1 0 0:9 / /\n5 1 0:1 /a /mnt shared:1", "box": "2 0 0:1 / / shared:1"})
        (crossing,) = [effect for effect in mount(world, "/a/x", ns="box").effects if effect.crosses]
        assert crossing.path == "/mnt/x"

    def test_a_copy_lands_beneath_what_the_receiver_has_there(self) -> None:
        world = machine(
            {"host": "1 0 0:1 / / shared:1\n3 1 0:3 / /mnt", "box": "2 0 0:1 / / shared:1"},
        )
        host = mount(world, "/mnt", ns="box").snapshot.host
        upper = next(m for m in host.mounts if m.mount_id == 3)
        lower = next(m for m in host.mounts if m.source == "new")
        assert (lower.parent_id, upper.parent_id) == (1, lower.mount_id)

    def test_a_chain_of_slaves_gets_a_chain_of_slaves(self) -> None:
        world = machine(
            {
                "host": "1 0 0:1 / / shared:1",
                "middle": "2 0 0:1 / / shared:2 master:1",
                "end": "3 0 0:1 / / master:2",
            }
        )
        after = mount(world, "/mnt").snapshot
        host, middle, end = (after.view(label).mounts[1] for label in ("host", "middle", "end"))
        assert (middle.master, end.master) == (host.peer_group, middle.peer_group)

    def test_a_receiver_that_does_not_see_the_place_still_hands_on(self) -> None:
        world = machine(
            {
                "host": "1 0 0:1 / / shared:1",
                "middle": "9 0 0:9 / /\n2 9 0:1 /b /b shared:2 master:1",
                "end": "3 0 0:1 / / master:2",
            }
        )
        after = mount(world, "/mnt").snapshot
        assert [m.mount_point for m in after.view("middle").mounts] == ["/", "/b"]
        # Nobody between got a copy, so the copy's master is the host's group itself.
        assert after.view("end").mounts[1].master == after.host.mounts[1].peer_group

    def test_the_root_directory_is_followed_to_the_top_as_a_target(self) -> None:
        world = machine({"host": "1 0 0:1 / /\n2 1 0:2 / / shared:2\n3 1 0:2 / /mnt shared:2"})
        outcome = mount(world, "/")
        assert {effect.path for effect in outcome.effects} == {"/", "/mnt"}

    def test_a_device_already_mounted_there_is_busy(self) -> None:
        world = machine({"host": "1 0 0:1 / /\n2 1 0:2 / /mnt"})
        fields = {"fstype": "sysfs", "source": "sysfs", "target": "/mnt"}
        assert do(world, "mount", device="0:2", **fields).errno == "EBUSY"
        assert do(world, "mount", device="0:3", **fields).errno is None

    @pytest.mark.parametrize(("target", "errno"), [("/nowhere", "ENOENT"), ("/f/x", "ENOTDIR"), ("/f", "ENOTDIR")])
    def test_a_target_must_be_a_directory(self, target: str, errno: str) -> None:
        world = machine(PRIVATE_COPY)
        outcome = mount(world, target)
        assert (outcome.errno, outcome.effects) == (errno, ())
        assert outcome.snapshot == world


class TestBinding:
    def test_a_bind_of_a_shared_mount_is_its_peer(self) -> None:
        outcome = do(machine(PRIVATE_COPY), "bind", source="/a", target="/mnt")
        first, second = outcome.snapshot.host.mounts
        assert (second.root, second.peer_group) == ("/a", first.peer_group)

    def test_recursion_takes_along_what_is_mounted_below_but_not_the_unbindable(self) -> None:
        world = machine({"host": "1 0 0:1 / /\n2 1 0:2 / /a\n3 2 0:3 / /a/x\n4 1 0:4 / /b unbindable\n5 1 0:5 / /mnt"})
        outcome = do(world, "bind", source="/", target="/mnt", recursive=True)
        made = [effect.path for effect in outcome.effects]
        assert made == ["/mnt", "/mnt/a", "/mnt/a/x", "/mnt/mnt"]

    def test_an_unbindable_mount_cannot_be_the_source(self) -> None:
        world = machine({"host": "1 0 0:1 / /\n2 1 0:2 / /a unbindable"})
        assert do(world, "bind", source="/a", target="/b").errno == "EINVAL"

    def test_a_file_goes_only_onto_a_file(self) -> None:
        world = machine(PRIVATE_COPY)
        assert do(world, "bind", source="/f", target="/a").errno == "ENOTDIR"
        assert do(world, "bind", source="/f", target="/a/f").errno is None

    def test_the_file_of_a_mount_namespace_does_not_propagate(self) -> None:
        tables = {
            "host": b"1 0 0:1 / / rw shared:1 - tmpfs a rw\n2 1 0:4 mnt:[4026532568] /f rw - nsfs nsfs rw\n",
            "box": b"3 0 0:1 / / rw shared:1 - tmpfs a rw\n",
        }
        world = Snapshot.from_mountinfo(tables)
        assert do(world, "bind", source="/f", target="/g").errno == "EINVAL"


class TestMoving:
    def test_what_is_below_goes_along(self) -> None:
        world = machine({"host": "1 0 0:1 / /\n2 1 0:2 / /a\n3 2 0:3 / /a/x"})
        outcome = do(world, "move", source="/a", target="/mnt")
        assert [m.mount_point for m in outcome.snapshot.host.mounts] == ["/", "/mnt", "/mnt/x"]
        assert [(effect.change, effect.path) for effect in outcome.effects] == [("move", "/mnt")]

    @pytest.mark.parametrize(
        ("lines", "source", "target", "errno"),
        [
            ("1 0 0:1 / / shared:1\n2 1 0:2 / /a", "/a", "/mnt", "EINVAL"),  # the parent is shared
            ("1 0 0:1 / /\n2 1 0:2 / /a", "/b", "/mnt", "EINVAL"),  # not a mount
            ("1 0 0:1 / /\n2 1 0:2 / /a", "/a", "/a/b", "ELOOP"),
            ("1 0 0:1 / /\n2 1 0:2 / /a unbindable\n3 1 0:3 / /mnt shared:3", "/a", "/mnt", "EINVAL"),
        ],
    )
    def test_refusals(self, lines: str, source: str, target: str, errno: str) -> None:
        assert do(machine({"host": lines}), "move", source=source, target=target).errno == errno

    def test_beneath_the_covering_mount_takes_its_place_on_top(self) -> None:
        world = machine({"host": "1 0 0:1 / /\n2 1 0:2 / /a\n3 1 0:3 / /mnt"})
        host = do(world, "move_beneath", source="/a", target="/mnt").snapshot.host
        assert {m.mount_id: m.parent_id for m in host.mounts} == {1: host.mounts[0].parent_id, 2: 1, 3: 2}

    def test_beneath_needs_a_kernel_that_can(self) -> None:
        world = machine({"host": "1 0 0:1 / /\n2 1 0:2 / /a\n3 1 0:3 / /mnt"}, kernel="6.1.0")
        assert do(world, "move_beneath", source="/a", target="/mnt").errno == "EINVAL"


class TestUnmounting:
    def test_the_peers_lose_their_copies(self) -> None:
        world = mount(machine(SHARED_WITH_A_COPY), "/mnt").snapshot
        outcome = do(world, "umount", "box", target="/mnt")
        assert [(e.namespace, e.change, e.crosses) for e in outcome.effects] == [
            ("host", "umount", True),
            ("box", "umount", False),
        ]

    def test_an_unrelated_mount_at_the_same_place_goes_too(self) -> None:
        world = machine(
            {"host": "1 0 0:1 / / shared:1\n3 1 0:3 / /mnt", "box": "2 0 0:1 / / shared:1\n4 2 0:4 / /mnt"},
        )
        assert "/mnt" not in types(do(world, "umount", "box", target="/mnt"), "host")

    def test_a_copy_with_something_on_it_stays(self) -> None:
        world = machine(
            {
                "host": "1 0 0:1 / / shared:1\n3 1 0:3 / /mnt\n5 3 0:5 / /mnt/a",
                "box": "2 0 0:1 / / shared:1\n4 2 0:3 / /mnt",
            }
        )
        assert "/mnt" in types(do(world, "umount", "box", target="/mnt"), "host")

    def test_what_covers_a_copy_slides_down(self) -> None:
        world = machine(
            {
                "host": "1 0 0:1 / / shared:1\n3 1 0:3 / /mnt\n5 3 0:5 / /mnt",
                "box": "2 0 0:1 / / shared:1\n4 2 0:3 / /mnt",
            }
        )
        host = do(world, "umount", "box", target="/mnt").snapshot.host
        assert [(m.mount_id, m.parent_id) for m in host.mounts[1:]] == [(5, 1)]

    @pytest.mark.parametrize(
        ("target", "errno"), [("/a", "EBUSY"), ("/b", "EINVAL"), ("/nowhere", "ENOENT"), ("/a/x", None)]
    )
    def test_refusals(self, target: str, errno: str | None) -> None:
        world = machine({"host": "1 0 0:1 / /\n2 1 0:2 / /a\n3 2 0:3 / /a/x"})
        assert do(world, "umount", target=target).errno == errno

    def test_lazily_the_whole_tree_goes(self) -> None:
        world = machine({"host": "1 0 0:1 / /\n2 1 0:2 / /a\n3 2 0:3 / /a/x"})
        assert list(types(do(world, "umount", target="/a", lazy=True), "host")) == ["/"]

    def test_the_slaves_of_a_group_that_ends_go_to_its_master(self) -> None:
        world = machine(
            {
                "host": "1 0 0:1 / /\n2 1 0:2 / /a shared:1\n3 1 0:2 / /b shared:2 master:1",
                "box": "4 0 0:1 / /\n5 4 0:2 / /a master:2",
            }
        )
        assert do(world, "umount", target="/b").snapshot.view("box").mounts[1].master == 1

    def test_the_root_of_the_process_only_becomes_read_only(self) -> None:
        outcome = do(machine(PRIVATE_COPY), "umount", target="/")
        assert outcome.errno is None
        assert {m.super_options for view in outcome.snapshot.views for m in view.mounts} == {("ro",)}

    def test_what_covers_the_root_goes_first(self) -> None:
        world = machine({"host": "1 0 0:1 / /\n2 1 0:2 / /"})
        uncovered = do(world, "umount", target="/").snapshot
        assert [m.device for m in uncovered.host.mounts] == ["0:1"]
        assert do(uncovered, "umount", target="/", lazy=True).snapshot.host.mounts == ()

    def test_where_open_files_are_not_known_success_is_not_certain(self) -> None:
        world = Snapshot.from_mountinfo({"host": table("1 0 0:1 / /\n2 1 0:2 / /a")})
        (reason,) = do(world, "umount", target="/a").uncertain
        assert "busy" in reason
        assert do(world, "umount", target="/a", lazy=True).uncertain == ()


class TestRemounting:
    @pytest.mark.parametrize(
        ("before", "ro", "flags", "after"),
        [
            ("rw,relatime", True, (), "ro,relatime"),
            ("rw,nosuid,nodev,noatime", True, (), "ro,noatime"),  # what is not given is cleared, but for atime
            ("rw,noatime", False, ("nosuid", "relatime"), "rw,nosuid,relatime"),
            ("ro,relatime", True, ("strictatime",), "ro"),
            ("rw,relatime,idmapped", False, ("nodiratime",), "rw,nodiratime,relatime,idmapped"),
        ],
    )
    def test_the_options_become_those_given(self, before: str, ro: bool, flags: tuple[str, ...], after: str) -> None:
        world = Snapshot.from_mountinfo({"host": f"1 0 0:1 / / {before} - tmpfs x rw\n".encode()})
        remounted = do(world, "remount", target="/", ro=ro, flags=flags).snapshot.host.mounts[0]
        assert ",".join(remounted.options) == after

    def test_what_a_user_namespace_may_not_loosen_it_cannot(self) -> None:
        world = Snapshot.from_mountinfo({"host": b"1 0 0:1 / / rw,nosuid,relatime shared:1 - tmpfs x rw\n"})
        world = do(world, "clone_ns", new="box", new_userns=True).snapshot
        assert do(world, "remount", "box", target="/", ro=True).errno == "EPERM"
        assert do(world, "remount", "box", target="/", ro=True, flags=("nosuid",)).errno is None
        assert do(world, "remount", "box", target="/", ro=True, flags=("nosuid", "noatime")).errno == "EPERM"


class TestChangingTheType:
    @pytest.mark.parametrize(
        ("kind", "own", "slaves_master"),
        [("private", (None, None), 1), ("slave", (None, 1), 1), ("shared", (1, None), 1)],
    )
    def test_a_peer_leaves_and_the_others_keep_the_slaves(
        self, kind: str, own: tuple[int | None, int | None], slaves_master: int
    ) -> None:
        after = do(machine(PEERS_AND_A_SLAVE), "propagation", "box", target="/", type=kind).snapshot
        mine, slave = after.view("box").mounts[0], after.view("slave").mounts[0]
        assert (mine.peer_group, mine.master, slave.master) == (*own, slaves_master)

    def test_the_last_member_leaves_its_slaves_alone(self) -> None:
        world = machine({"host": "1 0 0:1 / / shared:1", "box": "2 0 0:1 / / master:1"})
        assert types(do(world, "propagation", target="/", type="private"), "box") == {"/": "private"}

    def test_unbindable_is_private_and_shared_clears_it(self) -> None:
        unbindable = do(machine(PRIVATE_COPY), "propagation", target="/", type="unbindable")
        assert types(unbindable, "host") == {"/": "unbindable"}
        assert types(do(unbindable.snapshot, "propagation", target="/", type="shared"), "host") == {"/": "shared"}

    def test_only_a_mount_has_a_type(self) -> None:
        assert do(machine(PRIVATE_COPY), "propagation", target="/a", type="private").errno == "EINVAL"

    def test_a_mount_returns_to_its_group(self) -> None:
        world = do(machine(SHARED_WITH_A_COPY), "bind", "box", source="/", target="/mnt").snapshot
        world = do(world, "propagation", "box", target="/mnt", type="private").snapshot
        after = do(world, "set_group", "box", source="/", target="/mnt").snapshot
        assert [m.peer_group for m in after.view("box").mounts] == [1, 1]


class TestNamespaces:
    def test_a_copy_of_a_namespace_is_all_peers(self) -> None:
        world = machine({"host": "1 0 0:1 / / shared:1\n2 1 0:2 / /a master:7\n3 1 0:3 / /b"})
        copied = do(world, "clone_ns", new="box").snapshot.view("box").mounts
        assert [(m.peer_group, m.master) for m in copied] == [(1, None), (None, 7), (None, None)]

    def test_in_a_new_user_namespace_all_are_slaves_and_locked(self) -> None:
        world = machine({"host": "1 0 0:1 / / shared:1\n2 1 0:2 / /a shared:2"})
        outcome = do(world, "clone_ns", new="box", new_userns=True)
        assert [(m.peer_group, m.master) for m in outcome.snapshot.view("box").mounts] == [(None, 1), (None, 2)]
        assert do(outcome.snapshot, "umount", "box", target="/a").errno == "EINVAL"

    def test_unbindable_is_not_copied_since_6_17(self) -> None:
        table = {"host": "1 0 0:1 / /\n2 1 0:2 / /a unbindable"}
        for kernel, copied in (("6.18.0", "private"), ("6.16.9", "unbindable")):
            assert types(do(machine(table, kernel), "clone_ns", new="box"), "box")["/a"] == copied

    def test_the_end_of_a_namespace_is_no_event(self) -> None:
        outcome = do(machine(SHARED_WITH_A_COPY), "exit_ns", "box")
        assert [view.label for view in outcome.snapshot.views] == ["host"]
        assert {effect.namespace for effect in outcome.effects} == {"box"}

    def test_pivot_root_exchanges_the_root(self) -> None:
        world = machine({"host": "1 0 0:1 / /\n2 1 0:2 / /a"})
        host = do(world, "pivot_root", new_root="/a", put_old="/a/b").snapshot.host
        assert {m.mount_point: m.device for m in host.mounts} == {"/": "0:2", "/b": "0:1"}


class TestDetachedTrees:
    def test_a_clone_is_a_peer_before_it_is_attached(self) -> None:
        opened = do(machine(SHARED_WITH_A_COPY), "open_tree", source="/", handle="tree")
        tree = opened.snapshot.view("tree")
        assert (tree.detached, tree.mounts[0].peer_group) == (True, 1)
        attached = do(opened.snapshot, "attach", handle="tree", target="/mnt")
        assert types(attached, "box")["/mnt"] == "shared"
        assert [view.label for view in attached.snapshot.views] == ["host", "box"]

    def test_it_goes_with_its_descriptor(self) -> None:
        opened = do(machine(PRIVATE_COPY), "fsmount", handle="tree").snapshot
        assert [view.label for view in do(opened, "close_handle", handle="tree").snapshot.views] == ["host", "box"]


class TestWhatIsNotKnown:
    def test_a_lock_that_decides_is_named(self) -> None:
        world = machine(SLAVE_OF_THE_HOST | {"box": "2 0 0:1 / / master:1\n3 2 0:2 / /a"}, host=4026531837, box=7)
        (reason,) = do(world, "umount", "box", target="/a").uncertain
        assert "locked" in reason

    def test_a_lock_that_decides_nothing_is_not(self) -> None:
        world = machine(SLAVE_OF_THE_HOST | {"box": "2 0 0:1 / / master:1\n3 2 0:2 / /a"}, host=4026531837, box=7)
        assert mount(world, "/a", ns="box").uncertain == ()

    def test_a_group_without_visible_members_on_the_way_is_named(self) -> None:
        world = machine({"host": "1 0 0:1 / / shared:1", "box": "2 0 0:1 / /\n3 2 0:1 / /a master:5 propagate_from:1"})
        outcome = mount(world, "/mnt")
        assert "/a/mnt" in types(outcome, "box")
        assert "peer group 5" in outcome.uncertain[0]

    def test_a_root_directory_that_is_no_mount_is_named(self) -> None:
        world = machine({"host": "1 0 0:1 / / shared:1", "jail": "3 9 0:3 / /proc"})
        (reason,) = mount(world, "/a", ns="jail").uncertain
        assert "no view shows" in reason

    def test_an_umount_before_its_rewrite_lets_what_covered_a_mount_slide_down_as_well(self) -> None:
        tables = {
            "host": "1 0 0:1 / / shared:1\n3 1 0:3 / /mnt\n5 3 0:5 / /mnt",
            "box": "2 0 0:1 / / shared:1\n4 2 0:3 / /mnt",
        }
        for kernel in ("6.18.0", "6.12.5"):
            outcome = do(machine(tables, kernel), "umount", "box", target="/mnt")
            assert outcome.uncertain == ()
            assert [(mount.mount_id, mount.parent_id) for mount in outcome.snapshot.host.mounts] == [(1, 0), (5, 1)]


class TestTwoViewsOfOneNamespace:
    def test_both_show_what_one_of_them_does(self) -> None:
        tables = {"host": "1 0 0:1 / / shared:1\n2 1 0:2 / /a shared:2\n3 2 0:3 / /a/x", "jail": "3 2 0:3 / /x"}
        outcome = mount(machine(tables), "/b", ns="jail")
        assert types(outcome, "host")["/a/b"] == "shared"
        assert types(outcome, "jail")["/b"] == "shared"
        assert not any(effect.crosses for effect in outcome.effects)


class TestPaths:
    WORLD = "1 0 0:1 / /\n2 1 0:2 / /\n3 1 0:3 / /a\n4 3 0:4 / /a/b"

    @pytest.mark.parametrize(
        ("path", "device"),
        [
            ("/", "0:1"),  # a lookup begins below what covers the root,
            ("/..", "0:2"),  # and ".." steps onto it
            ("/a/..", "0:2"),
            ("/a", "0:3"),
            ("/a/b", "0:4"),
            ("/a/b/..", "0:3"),
            ("/a//./b/", "0:4"),
        ],
    )
    def test_where_a_path_leads(self, path: str, device: str) -> None:
        bound = do(machine({"host": self.WORLD}), "bind", source=path, target="/b").snapshot.host.mounts[-1]
        assert bound.device == device

    @pytest.mark.parametrize(
        ("path", "errno"), [("/nope/../a", "ENOENT"), ("/f/../a", "ENOTDIR"), ("/f/", "ENOTDIR"), ("/f/.", "ENOTDIR")]
    )
    def test_every_step_must_be_a_directory(self, path: str, errno: str) -> None:
        assert do(machine(PRIVATE_COPY), "bind", source=path, target="/b").errno == errno


class TestOperations:
    def test_a_record_and_its_dict_are_the_same(self) -> None:
        described = {"op": "bind", "ns": "A", "source": "/a", "target": "/b", "recursive": True}
        assert operation(described).to_dict() == described

    @pytest.mark.parametrize(
        ("described", "wrong"),
        [
            ({"op": "teleport", "ns": "A"}, "teleport"),
            ({"op": "umount", "ns": "A"}, "'target' is missing"),
            ({"op": "umount", "ns": "A", "target": "/", "lasy": True}, "'lasy' is not known"),
        ],
    )
    def test_what_is_wrong_with_a_dict_is_said(self, described: dict[str, Any], wrong: str) -> None:
        with pytest.raises(UsageError, match=wrong):
            operation(described)

    def test_a_namespace_that_is_not_there_is_an_error(self) -> None:
        with pytest.raises(TargetError, match="nobody"):
            mount(machine(PRIVATE_COPY), "/mnt", ns="nobody")

    def test_a_relative_path_is_an_error(self) -> None:
        with pytest.raises(UsageError, match="not an absolute path"):
            mount(machine(PRIVATE_COPY), "mnt")


def test_a_table_that_disagrees_on_masters_is_predicted_all_the_same() -> None:
    relay = "3 1 0:2 /x /b shared:2\n4 1 0:2 /x /c shared:2 master:1"
    world = machine({"host": f"1 0 0:1 / /\n2 1 0:2 / /a shared:1\n{relay}\n5 1 0:2 / /mnt master:2"})
    assert "/mnt/b" in types(mount(world, "/a/b"), "host")
