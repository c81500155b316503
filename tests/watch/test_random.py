"""While random operations are carried out, what is known of a machine, and recorded, is what it comes to be.

``MNTSCOPE_WATCHED=100`` gives so many scripts; a few are tried otherwise.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mntscope.archive import replay
from mntscope.selftest.compare import tables as known_tables
from mntscope.selftest.execute import World
from mntscope.selftest.generate import Generator
from mntscope.selftest.traces import SKELETON, snapshot_of
from mntscope.watch.check import Prediction
from mntscope.watch.choice import ByWhat
from mntscope.watch.events import Event
from mntscope.watch.recording import Recorder
from mntscope.watch.watcher import Round, Watcher
from tests.support.watching import tables

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may watch other namespaces")

SCRIPTS = int(os.environ.get("MNTSCOPE_WATCHED", "6"))
SEED = int(os.environ.get("MNTSCOPE_SEED", "20260501"))


@pytest.mark.parametrize("number", range(SCRIPTS))
@pytest.mark.parametrize("by", ["auto", "poll"])
def test_what_was_watched_is_what_there_is(by: ByWhat, number: int, tmp_path: Path) -> None:
    generator = Generator.of(SEED, number)
    kernel = os.uname()
    file = str(tmp_path / "recording")
    checker = Prediction()
    with World() as world, Watcher(by=by, sweep=1e5, checker=checker) as watcher:
        recorder = Recorder(file, watcher.machine)
        told: list[Event] = []

        def note(done: Round) -> list[Event]:
            recorder.write(done)
            return done.events

        while True:
            state = world.state()
            operation = generator.next(known_tables(snapshot_of(state, SKELETON, kernel.release, kernel.version)))
            if operation is None:
                break
            generator.learn(operation, world.perform(operation))
            told += note(watcher.step(0.0))
        told += note(watcher.finish())
        recorder.close()
        # Of the script's own namespaces: others change as well while a test runs.
        inodes = {_inode(world, label): table.mountinfo for label, table in world.state().items()}
        assert tables(watcher.snapshot, set(inodes)) == inodes
        assert tables(replay(file).at(), set(inodes)) == inodes
    assert [event for event in told if event.kind == "unpredicted"] == []


def _inode(world: World, label: str) -> int:
    return os.stat(f"/proc/{world._inhabitants[label].pid}/ns/mnt").st_ino
