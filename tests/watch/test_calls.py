"""Calls that were traced: whose tables are read for them, and when."""

from __future__ import annotations

from math import inf

from mntscope.model import Namespace
from mntscope.snapshot import Snapshot
from mntscope.watch.calls import LONGEST, SHARE, Calls
from mntscope.watch.events import Who
from mntscope.watch.source import Call
from mntscope.watch.state import Machine
from tests.support.tables import view

FIRST, SECOND, STRANGER = Who(1, "mount"), Who(2, "umount"), Who(3)


def machine() -> Machine:
    """The host and ``peer`` share a root directory; ``alone`` shares with nobody. Their keys are 1, 2 and 3."""
    tables = {"host": "10 1 0:1 / / rw shared:1", "peer": "20 2 0:1 / / rw shared:1", "alone": "30 3 0:2 / / rw"}
    views = [view(label, table, namespace=Namespace(100 + key)) for key, (label, table) in enumerate(tables.items(), 1)]
    found = Machine(Snapshot(tuple(views), "host"))
    for key, its in enumerate(views, 1):
        found.add(key, its, {mount.mount_id: mount for mount in its.mounts})
    return found


def test_the_callers_namespace_is_read_and_what_shares_with_it() -> None:
    calls = Calls(machine())
    calls.add([Call("mount", FIRST, 101)])
    assert calls.taken() == {1: FIRST, 2: FIRST}


def test_what_changed_in_a_namespace_is_put_down_to_who_called_there() -> None:
    calls = Calls(machine())
    calls.add([Call("mount", FIRST, 101), Call("mount", SECOND, 102)])
    assert calls.taken() == {1: FIRST, 2: SECOND}


def test_all_are_read_where_nobody_knows_where_it_was_called() -> None:
    calls = Calls(machine())
    calls.add([Call("mount", STRANGER), Call("mount", FIRST, 103)])
    assert calls.taken() == {1: STRANGER, 2: STRANGER, 3: FIRST}


def test_a_call_is_followed_at_once_unless_the_last_was_dear() -> None:
    calls = Calls(machine())
    assert calls.due == inf
    calls.add([Call("mount", FIRST, 101)])
    assert calls.due <= 0
    calls.taken()
    assert calls.due == inf
    calls.took(0.001, now=100.0)
    calls.add([Call("mount", FIRST, 101)])
    assert calls.due == 100.0 + 0.001 / SHARE
    # However dear: what it is about is told within a second.
    calls.took(60.0, now=100.0)
    assert calls.due == 100.0 + LONGEST
