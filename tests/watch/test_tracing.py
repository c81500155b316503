"""The instance of tracefs: there while it is used, and not after whoever made it is gone."""

from __future__ import annotations

import os
import signal

import pytest

from mntscope.errors import AccessError
from mntscope.live.procfs import open_proc
from mntscope.watch.tracing import TraceSource
from tests.support.throwaway import in_fork

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may trace")


def test_the_instance_of_one_that_was_killed_is_taken_away_by_the_next() -> None:
    def begin_and_be_killed() -> str:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            with open_proc() as proc:
                source = TraceSource(proc)
                os.write(writer, source._name.encode())
                signal.pause()
        os.close(writer)
        name = os.read(reader, 100).decode()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return name

    def next_one() -> list[str]:
        with open_proc() as proc:
            source = TraceSource(proc)
            removed = source.removed
            source.close()
            return removed

    try:
        with open_proc() as proc:
            TraceSource(proc).close()
    except AccessError as error:
        pytest.skip(str(error))
    name = in_fork(begin_and_be_killed)
    assert name
    assert name in in_fork(next_one)
    assert in_fork(next_one) == []


def test_a_name_cannot_pretend_to_be_another_line() -> None:
    try:
        with open_proc() as proc:
            source = TraceSource(proc)
    except AccessError as error:
        pytest.skip(str(error))
    try:
        call = b"(dev_name: 0, dir_name: 0, type: 0, flags: %b, data: 0)"
        line = b"           mount-4712    [001] ..... 12.5: sys_mount" + call % b"40000"
        who, name = source._read(line)
        assert (who.pid, who.comm, name) == (4712, "mount", "mount")
        # 15 bytes are not enough for the beginning of another line.
        forged = b"  a-1 [0] x 1.0:-4711    [000] ..... 12.5: sys_mount" + call % b"0x40000"
        assert source._read(forged)[0].pid in (0, 4711)
        assert source._read(b"           mount-4712    [001] ..... 12.5: sys_mount" + call % b"0")[1] == ""
    finally:
        source.close()
