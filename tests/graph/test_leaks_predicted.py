"""What leaks is what is predicted to reach the host: two ways to one answer, for any two namespaces."""

from __future__ import annotations

from hypothesis import assume, given, settings

from mntscope.analysis.diff import diff
from mntscope.base.paths import below
from mntscope.graph import leaks
from mntscope.model import View
from mntscope.propagation import simulate
from mntscope.propagation.operations import MountNew
from mntscope.snapshot import Snapshot
from tests.support import strategies


def lands(snapshot: Snapshot, path: str) -> set[str] | None:
    """Where a mount at *path* in the target lands on the host, if the prediction holds it possible."""
    outcome = simulate(snapshot, MountNew("target", "tmpfs", "none", path))
    if outcome.errno is not None:
        return None
    return {effect.path for effect in outcome.effects if effect.namespace == "host" and effect.change == "mount"}


def sound(view: View) -> bool:
    """Whether a kernel could have it: at one place of a mount, there is at most one other."""
    return len({(mount.parent_id, mount.mount_point) for mount in view.mounts}) == len(view.mounts)


@settings(max_examples=50)
@given(strategies.views(("host", "target", "third")))
def test_a_mount_at_any_path_lands_where_the_focused_question_says(views: tuple[View, ...]) -> None:
    assume(all(map(sound, views)))
    snapshot = Snapshot(views, "host")
    for mount in snapshot.view("target").mounts:
        for path in (mount.mount_point, below(mount.mount_point, "/a"), below(mount.mount_point, "/a/b")):
            expected = lands(snapshot, path)
            found = diff(snapshot, "target", path).leaks
            if expected is not None:
                assert {place for leak in found if leak.direction != "in" for place in leak.lands_at} == expected, path


@settings(max_examples=50)
@given(strategies.views(("host", "target", "third")))
def test_a_mount_at_the_path_of_a_leak_lands_where_it_says(views: tuple[View, ...]) -> None:
    assume(all(map(sound, views)))
    host, target, third = views
    snapshot = Snapshot(views, "host")
    for leak in leaks(target, host, [third]):
        if not leak.hidden:
            expected = lands(snapshot, leak.path)
            assert expected is None or expected == (set() if leak.direction == "in" else set(leak.lands_at))


@given(strategies.views(("host", "target")))
def test_what_the_host_mounts_arrives_where_something_leaks_in(views: tuple[View, ...]) -> None:
    assume(all(map(sound, views)))
    host, target = views
    snapshot = Snapshot(views, "host")
    for path in {place for leak in leaks(target, host) if leak.direction == "in" for place in leak.lands_at}:
        outcome = simulate(snapshot, MountNew("host", "tmpfs", "none", path))
        arrived = {effect.path for effect in outcome.effects if effect.namespace == "target"}
        assert arrived == {
            place for leak in leaks(host, target, path=path) if leak.direction != "in" for place in leak.lands_at
        }
