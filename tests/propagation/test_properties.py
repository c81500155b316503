"""What holds for every operation on every table, those included that no kernel ever wrote."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mntscope import MntscopeError, Snapshot
from mntscope.model import View
from mntscope.propagation import Outcome, operation, simulate, simulate_all
from mntscope.propagation.reconstruct import reconstruct
from mntscope.propagation.tables import write_snapshot
from mntscope.propagation.world import INITIAL_USER_NAMESPACE
from tests.support.strategies import views
from tests.support.tables import hostile_views

PATHS = st.sampled_from(["/", "/a", "/a/b", "/b", "/proc", "/nowhere/at/all"])
TYPES = st.sampled_from(["shared", "slave", "private", "unbindable"])
FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "mount": {"fstype": st.just("tmpfs"), "source": st.just("new"), "target": PATHS},
    "bind": {"source": PATHS, "target": PATHS, "recursive": st.booleans()},
    "move": {"source": PATHS, "target": PATHS},
    "move_beneath": {"source": PATHS, "target": PATHS},
    "umount": {"target": PATHS, "lazy": st.booleans()},
    "propagation": {"target": PATHS, "type": TYPES, "recursive": st.booleans()},
    "remount": {"target": PATHS, "ro": st.booleans()},
    "clone_ns": {"new": st.just("new"), "new_userns": st.booleans()},
    "exit_ns": {},
    "set_group": {"source": PATHS, "target": PATHS},
    "pivot_root": {"new_root": PATHS, "put_old": PATHS},
    "open_tree": {"source": PATHS, "handle": st.just("h"), "recursive": st.booleans()},
    "fsmount": {"handle": st.just("h")},
}
LABELS = ("host", "box", "other")
WORLDS = views(LABELS).map(lambda seen: Snapshot(seen, "host", kernel="6.18.0"))
HOSTILE = st.tuples(*map(hostile_views, LABELS)).map(lambda seen: Snapshot(tuple(seen), "host", kernel="6.18.0"))


@st.composite
def operations(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(st.sampled_from(sorted(FIELDS)))
    ns = draw(st.sampled_from(LABELS))
    return {"op": name, "ns": ns} | {field: draw(value) for field, value in FIELDS[name].items()}


@given(WORLDS | HOSTILE, st.lists(operations(), max_size=6))
def test_any_sequence_is_predicted_or_refused_but_never_a_crash(
    world: Snapshot, sequence: list[dict[str, Any]]
) -> None:
    for described in sequence:
        try:
            outcome = simulate(world, described)
        except MntscopeError:
            continue
        if outcome.errno is not None:
            assert (outcome.effects, outcome.snapshot) == ((), world)
        world = outcome.snapshot


@given(WORLDS)
def test_a_world_in_which_nothing_was_done_is_the_snapshot_it_was_made_of(world: Snapshot) -> None:
    again = write_snapshot(reconstruct(world))
    for before, after in zip(world.views, again.views, strict=True):
        # propagate_from follows from the peer groups; a made-up table may claim otherwise.
        assert [_without_origin(before, n) for n in range(len(before.mounts))] == [
            _without_origin(after, n) for n in range(len(after.mounts))
        ]


def _without_origin(view: View, number: int) -> tuple[object, ...]:
    mount = view.mounts[number]
    return mount.mount_id, mount.parent_id, mount.mount_point, mount.root, mount.peer_group, mount.master


@given(WORLDS, operations())
def test_what_crosses_does_not_happen_to_the_one_who_acts(world: Snapshot, operation: dict[str, Any]) -> None:
    try:
        outcome = simulate(world, operation)
    except MntscopeError:
        return
    assert all(effect.namespace != operation["ns"] for effect in outcome.effects if effect.crosses)


@given(WORLDS, operations())
def test_a_view_without_effects_is_the_same_object(world: Snapshot, operation: dict[str, Any]) -> None:
    try:
        outcome = simulate(world, operation)
    except MntscopeError:
        return
    touched = {effect.namespace for effect in outcome.effects}
    before = {view.label: view for view in world.views}
    for view in outcome.snapshot.views:
        if view.label in before and view.label not in touched:
            assert [m.mount_id for m in view.mounts] == [m.mount_id for m in before[view.label].mounts]


@given(HOSTILE, st.lists(operations(), max_size=8))
def test_operations_in_turn_are_predicted_or_refused_but_never_a_crash(
    world: Snapshot, sequence: list[dict[str, Any]]
) -> None:
    with suppress(MntscopeError):
        outcomes = simulate_all(world, [operation(described) for described in sequence])
        assert all(outcome.errno is None for outcome in outcomes[:-1])


def owned(world: Snapshot, owners: tuple[int | None, ...]) -> Snapshot:
    """The same, with namespaces that belong to these user namespaces: of which mounts are locked is not known then."""
    return world.with_views(
        replace(view, namespace=replace(view.namespace, user_namespace=owner))
        for view, owner in zip(world.views, owners, strict=True)
    )


OWNERS = st.tuples(*[st.sampled_from([None, INITIAL_USER_NAMESPACE, 4026532000])] * len(LABELS))


@given(st.builds(owned, WORLDS, OWNERS), st.lists(operations(), max_size=4), st.lists(operations(), max_size=8))
def test_operations_in_turn_are_simulated_one_after_the_other(
    world: Snapshot, before: list[dict[str, Any]], sequence: list[dict[str, Any]]
) -> None:
    # What is mounted and shared first makes worlds in which umounts reach further.
    for described in before:
        with suppress(MntscopeError):
            world = simulate(world, described).snapshot
    # A table that claims what does not follow from its peer groups is set right by the first operation.
    world = write_snapshot(reconstruct(world))
    mounts = world.view("host").mounts if "host" in {view.label for view in world.views} else ()
    umounts = [{"op": "umount", "ns": "host", "target": m.mount_point, "lazy": bool(m.mount_id % 2)} for m in mounts]
    for asked in (sequence, umounts[::-1], [*umounts[::-1], *sequence]):
        try:
            expected = _one_after_the_other(world, asked)
        except MntscopeError:
            continue
        told = simulate_all(world, [operation(described) for described in asked])
        assert [replace(outcome, snapshot=world) for outcome in told] == [
            replace(outcome, snapshot=world) for outcome in expected
        ]
        assert not told or told[-1].snapshot == expected[-1].snapshot


def _one_after_the_other(world: Snapshot, sequence: list[dict[str, Any]]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for described in sequence:
        outcomes.append(simulate(world, described))
        world = outcomes[-1].snapshot
        if outcomes[-1].errno:
            break
    return outcomes
