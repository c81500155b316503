"""The frame of a table that was read as columns: the same as that of its mounts."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mntscope import frames
from mntscope.model import Mount, View
from mntscope.parse import format_mountinfo, parse_mountinfo
from mntscope.parse.columns import parse_columns
from tests.support.strategies import mounts

ODD = b"""\
22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw,errors=remount-ro
23 22 0:21 / /proc rw,nosuid shared:12 master:4 - proc proc rw
24 22 00:5 / /dev rw,nosuid master:2 propagate_from:1 later - devtmpfs udev rw,size=4k
25 22 0:22 /a\\040b /a\\040b rw unbindable - tmpfs a\\040b\\043 rw
26 22 0:23 / /caf\xc3\xa9/\xff\x1b/\xe2\x80\xae rw key:value unbindable - tmpfs  rw,relatime
27 22 0:24 mnt:[4026532568] /r\\101 rw - fuse.\xff nsfs rw,x=\t
4294967296 22 0:24 / / rw shared:9223372036854775808 - x y ro,z
"""


def same(data: bytes) -> pd.DataFrame:
    """The frame, after it was found to be the same as that of the mounts."""
    frame = frames.table(parse_columns(data))
    rows = View("x", tuple(parse_mountinfo(data))).frame()
    pd.testing.assert_frame_equal(frame, rows.loc[:, "mount_id":"propagation"])
    return frame


@pytest.fixture(params=["with pyarrow", "without"])
def pyarrow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without":
        import sys

        monkeypatch.setitem(sys.modules, "pyarrow", None)


@pytest.mark.usefixtures("pyarrow")
@pytest.mark.parametrize("data", [b"", ODD, ODD.splitlines(keepends=True)[0], ODD[:-1], ODD * 300])
def test_it_is_the_frame_of_the_mounts(data: bytes) -> None:
    same(data)


@given(st.lists(mounts(unknown_tags=True)))
def test_of_any_mounts(given: list[Mount]) -> None:
    same(format_mountinfo(given))


def test_lines_that_are_no_mounts_have_no_row() -> None:
    frame = frames.table(parse_columns(b"\xff bad\n" + ODD + b"bad\n", strict=False))
    pd.testing.assert_frame_equal(frame, same(ODD))


def test_it_owes_nothing_to_the_table() -> None:
    columns = parse_columns(ODD * 10)
    frame = frames.table(columns)
    changes: dict[str, Any] = {"mount_point": "/elsewhere", "peer_group": 7, "unbindable": True}
    for column, value in changes.items():
        frame.loc[0, column] = value
        assert frame[column][0] == value
    assert list(columns) == parse_mountinfo(ODD * 10)
