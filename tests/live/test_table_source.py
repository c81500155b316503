"""What one reading of a mount table is worth, on the real kernel: pages of it are of different moments."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest

from mntscope.kernel import syscalls
from mntscope.live import table_source
from mntscope.live.table_source import Mountinfo
from tests.support.throwaway import Scratch


class ChangesBetweenPages:
    """The module os, but that all mounts change to and fro whenever a piece of a table has been read."""

    SEEK_SET, lseek, close = os.SEEK_SET, os.lseek, os.close

    def __init__(self) -> None:
        self.pieces = 0

    def read(self, fd: int, size: int) -> bytes:
        syscalls.mount(None, "/", None, syscalls.MS_REC | (syscalls.MS_SHARED, syscalls.MS_PRIVATE)[self.pieces % 2])
        self.pieces += 1
        return os.read(fd, size)


def many_mounts(directory: Path) -> None:
    for number in range(150):
        place = directory / str(number)
        place.mkdir()
        syscalls.mount("none", str(place), "tmpfs", 0)


def test_two_torn_readings_do_not_agree(scratch: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def body() -> list[bytes]:
        many_mounts(tmp_path)
        source = Mountinfo(os.open("/proc/self/mountinfo", os.O_RDONLY))
        tables = []
        for _ in range(4):
            # Each reading begins as the one before did.
            monkeypatch.setattr(table_source, "os", ChangesBetweenPages())
            tables.append(source.read())
        return tables

    tables = scratch(body)
    for table in tables:
        kinds = {b"shared:" in line for line in table.splitlines()[-150:]}
        assert kinds == {True, False}, "this reading is not torn"
    assert all(first != second for first, second in pairwise(tables))


def test_readings_of_what_holds_still_agree(scratch: Scratch, tmp_path: Path) -> None:
    def body() -> tuple[list[bytes], bytes]:
        many_mounts(tmp_path)
        source = Mountinfo(os.open("/proc/self/mountinfo", os.O_RDONLY))
        return [source.read() for _ in range(5)], Path("/proc/self/mountinfo").read_bytes()

    tables, table = scratch(body)
    assert tables == [table] * 5
