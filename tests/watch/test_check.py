"""What an act came to is compared with its prediction; where nobody can know what was before, nothing is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import inf
from pathlib import Path

import pytest

from mntscope.cli import main
from mntscope.model import Namespace
from mntscope.snapshot import Snapshot
from mntscope.watch.acts import Act, Change
from mntscope.watch.check import Prediction
from mntscope.watch.events import Event
from mntscope.watch.state import Machine
from tests.support.tables import at, view

HOST, TARGET = 1, 2
"""The keys of two namespaces; their inodes are a hundred more."""

PEERS = {
    HOST: "10 1 0:1 / / rw shared:1\n11 10 0:9 / /x rw",
    TARGET: "20 2 0:1 / / rw shared:1\n21 20 0:9 / /x rw",
}
"""Both with what is mounted on a root directory that they share."""


def checked(
    went_to: tuple[int, ...],
    *,
    file: str | None = None,
    inode: int = 0,
    since: float = 0.0,
    stale: Callable[[set[int]], bool] = lambda _: False,
) -> list[Event]:
    """What is told of a mount on /x of the host that was seen in these namespaces."""
    labels = {HOST: "host", TARGET: "target"}
    views = [
        view(
            labels[key],
            "\n".join(PEERS[key].splitlines()[: 2 if key in went_to else 1]),
            namespace=Namespace(100 + key),
        )
        for key in PEERS
    ]
    machine = Machine(Snapshot(tuple(views), "host"))
    for key, its in zip(PEERS, views, strict=True):
        machine.add(key, its, {mount.mount_id: mount for mount in its.mounts}).since = since
    mounts = {key: at(views[key - 1], "/x") for key in went_to}
    first, *others = (
        Change("mount", key, mount.mount_id, None, mount, parent=mount.parent_id, place=("0:1", "/x"))
        for key, mount in mounts.items()
    )
    act = Act(first, inode)
    for change in others:
        act.add(change)
    return Prediction(file).check(machine, [act], act.all, stale)


def test_what_went_where_it_was_predicted_to_go_is_not_told() -> None:
    assert checked((HOST, TARGET)) == []


def test_what_did_not_is_told_and_kept_for_the_self_test(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(tmp_path / "mismatches")
    (event,) = checked((HOST,), file=file)
    assert (event.kind, event.path, event.text) == (
        "unpredicted",
        "/x",
        "predicted, and not seen: target:/x (mount)",
    )
    assert main(["selftest", "--replay", file, "--format", "json"]) == 1
    replayed = json.loads(capsys.readouterr().out)
    assert (replayed["operations"], replayed["wrong"]) == (1, 1)
    (mismatch,) = replayed["mismatches"]
    assert mismatch["operation"]["target"] == "/x"


def test_nothing_is_told_where_the_machine_had_changed_unnoticed() -> None:
    asked: list[set[int]] = []

    def stale(namespaces: set[int]) -> bool:
        asked.append(namespaces)
        return True

    assert checked((HOST,), stale=stale) == []
    assert asked == [{HOST, TARGET}]
    # What goes where it should costs no reading.
    assert checked((HOST, TARGET), stale=stale) == []
    assert len(asked) == 1


def test_nothing_is_told_of_what_can_reach_a_namespace_that_was_just_read() -> None:
    assert checked((HOST,), since=inf) == []


def test_nothing_is_told_of_what_somebody_began_in_another_namespace() -> None:
    assert checked((HOST,), inode=100 + HOST)
    assert checked((HOST,), inode=100 + TARGET) == []
    assert checked((HOST,), inode=4711) == []
