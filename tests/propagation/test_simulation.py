"""Several operations on one machine: asked in between, in any order, with failures among them."""

from __future__ import annotations

import doctest
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mntscope.propagation
from mntscope import MntscopeError, Snapshot, TargetError, UsageError
from mntscope.model import Namespace, Skeleton
from mntscope.propagation import Simulation, simulate
from mntscope.propagation.operations import Umount
from mntscope.propagation.reconstruct import reconstruct
from mntscope.propagation.tables import write_snapshot
from tests.propagation.test_properties import WORLDS, operations
from tests.support.tables import view

SHARED = "1 0 0:1 / / rw shared:1\n2 1 0:2 / /a rw shared:2\n3 2 0:3 / /a/b rw shared:3"
COPY = "11 0 0:1 / / rw shared:1\n12 11 0:2 / /a rw shared:2\n13 12 0:3 / /a/b rw"


def machine(**tables: str) -> Snapshot:
    return Snapshot(tuple(view(label, table) for label, table in tables.items()), "host", kernel="6.18.0")


def test_the_example_of_the_package_runs() -> None:
    results = doctest.testmod(mntscope.propagation)
    assert results.attempted > 5
    assert results.failed == 0


class TestGoingOn:
    def test_each_operation_starts_from_what_the_one_before_left(self) -> None:
        simulation = Simulation(machine(host=SHARED, box=COPY))
        first = simulation.run({"op": "umount", "ns": "host", "target": "/a/b", "lazy": True})
        second = simulation.run(Umount("host", "/a", lazy=True))
        assert [effect.before.mount_id for effect in first.effects if effect.before] == [3, 13]
        assert [effect.before.mount_id for effect in second.effects if effect.before] == [2, 12]
        assert simulation.snapshot == second.snapshot
        assert [len(each.mounts) for each in simulation.snapshot.views] == [1, 1]

    def test_a_failure_is_an_errno_and_changes_nothing(self) -> None:
        before = machine(host=SHARED)
        simulation = Simulation(before)
        assert simulation.carry_out(Umount("host", "/a")) == "EBUSY"
        assert simulation.snapshot is before

    def test_who_has_lost_the_root_directory_still_has_what_is_mounted(self) -> None:
        covered = "12 11 0:2 / {} rw shared:2\n14 12 0:4 / {} rw"
        box = "11 0 0:1 / / rw shared:1\n" + covered.format("/a", "/a")
        simulation = Simulation(machine(host=SHARED, box=box, jail=covered.format("/", "/")))
        assert simulation.carry_out(Umount("host", "/a", lazy=True)) is None
        assert simulation.view("jail").mounts == ()
        assert [simulation.is_mounted("jail", number) for number in (12, 14)] == [False, True]

    def test_however_often_it_is_looked_at_it_goes_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mntscope.propagation.world.MOST_STEPS", 1000)
        simulation = Simulation(machine(host=SHARED, box=COPY))
        for kind in ("private", "shared") * 20:
            assert simulation.carry_out({"op": "propagation", "ns": "box", "target": "/a/b", "type": kind}) is None
            assert (simulation.view("host"), len(simulation.snapshot.views)) == (simulation.snapshot.host, 2)
        for _ in range(20):
            assert simulation.run(Umount("box", "/a")).errno == "EBUSY"
            assert simulation.run({"op": "propagation", "ns": "box", "target": "/a", "type": "shared"}).errno is None

    def test_a_new_namespace_can_act(self) -> None:
        simulation = Simulation(machine(host=SHARED))
        simulation.run({"op": "clone_ns", "ns": "host", "new": "box"})
        outcome = simulation.run(Umount("box", "/a/b", lazy=True))
        assert {effect.namespace for effect in outcome.effects} == {"host", "box"}

    def test_who_is_not_there_is_an_error(self) -> None:
        simulation = Simulation(machine(host=SHARED, box=COPY))
        assert simulation.carry_out({"op": "exit_ns", "ns": "box"}) is None
        for label in ("box", "nobody"):
            with pytest.raises(TargetError, match=label):
                simulation.carry_out(Umount(label, "/a"))


class TestAsking:
    def test_what_is_mounted_at_a_path_and_in_a_mount(self) -> None:
        snapshot = machine(host=SHARED)
        simulation = Simulation(snapshot)
        (_, a, b), ask = snapshot.host.mounts, simulation.mounted_at
        assert (ask("host", "/a"), ask("host", "/a/b"), ask("host", "/a/b/c")) == (2, 3, None)
        assert list(simulation.mounted_in("host", a)) == ["/a/b"]
        simulation.carry_out(Umount("host", "/a/b", lazy=True))
        assert (ask("host", "/a"), ask("host", "/a/b"), list(simulation.mounted_in("host", a))) == (2, None, [])
        assert [simulation.is_mounted("host", mount.mount_id) for mount in (a, b)] == [True, False]
        with pytest.raises(UsageError, match="absolute"):
            ask("host", "a")

    def test_one_view_is_written_down_without_the_others(self) -> None:
        simulation = Simulation(machine(host=SHARED, box=COPY))
        simulation.carry_out(Umount("host", "/a/b", lazy=True))
        assert simulation.view("box") == simulation.snapshot.view("box")
        assert len(simulation.view("box").mounts) == 2

    @pytest.mark.parametrize(("assume_locked", "errno"), [(False, None), (True, "EINVAL")])
    def test_a_lock_that_nobody_knows_is_as_assumed(self, assume_locked: bool, errno: str | None) -> None:
        host = view("host", SHARED, namespace=Namespace(user_namespace=1))
        box = view("box", COPY, namespace=Namespace(user_namespace=2))
        simulation = Simulation(Snapshot((host, box), "host"), assume_locked=assume_locked)
        assert (simulation.is_locked("box", 13), simulation.lock_doubts) == (None, ())
        assert simulation.carry_out(Umount("box", "/a/b", lazy=True)) == errno
        (doubt,) = simulation.lock_doubts
        assert "mount 13 (/a/b) is locked cannot be read" in doubt


class TestFailures:
    """What was copied or taken away before a call fails is as it was."""

    @pytest.mark.parametrize(
        ("described", "errno"),
        [
            ({"op": "bind", "source": "/file", "target": "/dir"}, "ENOTDIR"),
            ({"op": "bind", "source": "/ns", "target": "/file"}, "EINVAL"),
            ({"op": "bind", "source": "/private", "target": "/dir", "recursive": True}, "EPERM"),
            ({"op": "move", "source": "/private/ns", "target": "/file"}, "EINVAL"),
        ],
    )
    def test_nothing_is_left_of_it(self, described: dict[str, Any], errno: str) -> None:
        lines = [
            "1 0 0:1 / / rw shared:1",
            "4 1 0:9 mnt:[4026532568] /ns rw - nsfs nsfs rw",
            "5 1 0:5 / /private rw master:7",
            "6 5 0:9 mnt:[4026532569] /private/ns rw - nsfs nsfs rw",
            "7 5 0:6 / /private/dir rw shared:6",
            "8 5 0:7 / /private/locked rw unbindable",
        ]
        host = view("host", "\n".join(lines), namespace=Namespace(user_namespace=1))
        peer = view("peer", "11 0 0:1 / / rw shared:1", namespace=Namespace(user_namespace=2))
        dirs = frozenset(("dir", "private", "private/dir", "private/locked"))
        # The roots of namespace files are no paths, but files they are.
        files = frozenset(("file", "ns", "private/ns", "nt:[4026532568]", "nt:[4026532569]"))
        skeleton = Skeleton(dirs, files)
        before = Snapshot((host, peer), "host", kernel="6.18.0", skeleton=skeleton)
        simulation = Simulation(before, assume_locked=errno == "EPERM")
        groups = _members(simulation)
        assert simulation.carry_out({"ns": "host", **described}) == errno
        assert write_snapshot(simulation._world) == before
        assert _members(simulation) == groups


@given(WORLDS, st.lists(operations(), max_size=6))
def test_a_failing_operation_leaves_no_trace(world: Snapshot, sequence: list[dict[str, Any]]) -> None:
    simulation = Simulation(write_snapshot(reconstruct(world)))
    for described in sequence:
        with suppress(TargetError, UsageError):
            before, groups = simulation.snapshot, _members(simulation)
            if simulation.carry_out(described) is not None:
                assert write_snapshot(simulation._world) == before
                assert _members(simulation) == groups


def _members(simulation: Simulation) -> dict[int, tuple[int, ...]]:
    """By group its members and slaves, by mount ID; groups that are not in use are left out."""
    groups = {
        group.number: tuple(mount.record.mount_id for mount in (*group.members, *group.slaves))
        for group in simulation._world.groups.values()
    }
    return {number: mounts for number, mounts in groups.items() if mounts}


@given(WORLDS, operations())
def test_one_operation_is_what_simulate_says(world: Snapshot, operation: dict[str, Any]) -> None:
    with suppress(MntscopeError):
        assert Simulation(world).run(operation) == simulate(world, operation)


@pytest.mark.parametrize(
    ("described", "errno"),
    [
        ({"op": "move", "source": "/", "target": "/"}, "ENOENT"),
        ({"op": "move_beneath", "source": "/", "target": "/"}, "ENOENT"),
        ({"op": "bind", "source": "/", "target": "/"}, "ENOENT"),
        ({"op": "mount", "fstype": "tmpfs", "source": "z", "target": "/"}, "ENOENT"),
        ({"op": "umount", "target": "/"}, "EINVAL"),
        ({"op": "propagation", "target": "/", "type": "slave"}, "EINVAL"),
        ({"op": "remount", "target": "/", "ro": True}, "EINVAL"),
        ({"op": "set_group", "source": "/", "target": "/"}, "EINVAL"),
        ({"op": "open_tree", "source": "/", "handle": "h"}, "EINVAL"),
    ],
)
def test_in_a_root_that_was_unmounted_lazily_nothing_can_be_done(described: dict[str, Any], errno: str) -> None:
    """Each as Linux 6.18 does it."""
    line = b"%d 1 0:1 / / rw,relatime shared:1 - tmpfs none rw\n"
    simulation = Simulation(Snapshot.from_mountinfo({"A": line % 10, "B": line % 20}, kernel="6.18.0"))
    assert simulation.carry_out({"op": "umount", "ns": "A", "target": "/", "lazy": True}) is None
    assert simulation.carry_out({"ns": "A", **described}) == errno
