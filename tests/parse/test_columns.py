"""A table as columns: what they give, how large they are, and that they are the table that the rows are."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mntscope.errors import ParseError
from mntscope.model import Mount
from mntscope.parse import MountTable, format_mountinfo, parse_mountinfo, pattern, scan
from mntscope.parse import columns as module
from mntscope.parse.columns import NONE, Columns, parse_columns, parse_tables
from tests.support.corpus import OWN
from tests.support.strategies import bad_lines, mounts

TABLE = b"""\
22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw,errors=remount-ro
23 22 0:21 / /proc rw,nosuid shared:12 master:4 - proc proc rw
24 22 0:5 / /dev rw,nosuid master:2 propagate_from:1 - devtmpfs udev rw,size=4k
25 22 0:22 /a\\040b /a\\040b rw unbindable - tmpfs a\\040b\\043 rw
26 22 0:23 / /x rw key:value - tmpfs  rw,relatime
27 22 00:24 mnt:[4026532568] /r\xff rw - nsfs nsfs rw
"""


@pytest.fixture
def short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STRETCH", 40)


def as_rows(data: bytes, *, strict: bool = False) -> MountTable:
    """What :func:`parse_mountinfo` gives, after the columns were found to be the same in all respects."""
    rows, columns = parse_mountinfo(data, strict=strict), parse_columns(data, strict=strict)
    assert list(columns) == rows
    assert [mount.spelling for mount in columns] == [mount.spelling for mount in rows]
    assert columns.unterminated == rows.unterminated
    assert columns.unlisted == rows.unlisted
    assert [(type(problem), str(problem)) for problem in columns.problems] == [
        (type(problem), str(problem)) for problem in rows.problems
    ]
    return rows


def test_a_table_as_columns() -> None:
    columns = parse_columns(TABLE)
    assert len(columns) == 6
    assert columns.ids("mount_id").tolist() == [22, 23, 24, 25, 26, 27]
    assert columns.ids("parent_id").tolist() == [1, 22, 22, 22, 22, 22]
    assert columns.ids("peer_group").tolist() == [1, 12, NONE, NONE, NONE, NONE]
    assert columns.ids("master").tolist() == [NONE, 4, 2, NONE, NONE, NONE]
    assert columns.ids("propagate_from").tolist() == [NONE, NONE, 1, NONE, NONE, NONE]
    assert columns.unbindable.tolist() == [False, False, False, True, False, False]
    assert columns.text("mount_point") == ["/", "/proc", "/dev", "/a b", "/x", "/r\udcff"]
    assert columns.text("source") == ["/dev/nvme0n1p2", "proc", "udev", "a b#", "", "nsfs"]
    assert columns.text("device", np.array([0, 3])) == ["259:2", "0:22"]
    assert columns.text("optional_fields")[1:5] == [
        " shared:12 master:4",
        " master:2 propagate_from:1",
        " unbindable",
        " key:value",
    ]


def test_a_mount_is_made_when_it_is_asked_for() -> None:
    columns, rows = parse_columns(TABLE), as_rows(TABLE)
    assert columns[1] == rows[1]
    assert columns[-1] == rows[-1]
    assert columns[1:5:2] == rows[1:5:2]
    assert columns.mounts([4, 0]) == [rows[4], rows[0]]
    assert rows[2] in columns
    with pytest.raises(IndexError):
        columns[6]


def test_a_made_mount_is_a_mount() -> None:
    made = parse_columns(TABLE)[1]
    given = Mount(23, 22, "0:21", "/", "/proc", ("rw", "nosuid"), "proc", "proc", ("rw",), 12, 4)
    assert (type(made), made, hash(made), repr(made)) == (Mount, given, hash(given), repr(given))
    with pytest.raises(AttributeError):
        made.mount_id = 1  # type: ignore[misc]


def test_devices_are_numbers_where_they_are_written_as_one() -> None:
    devices = parse_columns(TABLE).devices()
    assert devices.tolist() == [259 << 32 | 2, 21, 5, 22, 23, NONE]
    wide = b"".join(b"1 1 %b / / rw - t s rw\n" % device for device in (b"1:2147483648", b"1048575:12345", b"0:010"))
    assert parse_columns(wide).devices().tolist() == [NONE, 1048575 << 32 | 12345, NONE]


def test_texts_that_occur_often_have_numbers() -> None:
    codes, texts = parse_columns(TABLE).coded("options")
    assert codes.tolist() == [0, 1, 1, 2, 2, 2]
    assert texts == ["rw,relatime", "rw,nosuid", "rw"]


@given(st.lists(st.sampled_from(["", "a", "b", "a\\040b", "12345678", "123456789", "y" * 40, "z"]) | st.text("ab")))
def test_texts_are_numbered_as_they_are_first_met(sources: list[str]) -> None:
    columns = parse_columns("".join(f"1 1 0:1 / / rw - t {source} rw\n" for source in sources).encode())
    codes, texts = columns.coded("source")
    assert [texts[code] for code in codes.tolist()] == columns.text("source")
    assert texts == list(dict.fromkeys(columns.text("source")))


@pytest.mark.parametrize("special", [b"\\040", b"\xc3\xa9", b"\x7f", b"\r", b"\t", b"\0"])
def test_what_names_are_is_printed_but_in_some_lines(special: bytes) -> None:
    line = b"1 1 0:1 / /a rw - tmpfs x#~ rw\n"
    assert parse_columns(line).unprintable().tolist() == []
    odd = line.replace(b"/a", b"/a" + special * 2)
    assert parse_columns(line + odd + line + odd, strict=False).unprintable().tolist() == [1, 3]
    bad = b"bad" + special + b"\n"
    assert parse_columns(bad + odd + bad + line + bad, strict=False).unprintable().tolist() in ([0], [0, 1])


@given(st.lists(mounts(unknown_tags=True)))
def test_unknown_optional_fields(rows: list[Mount]) -> None:
    columns = parse_columns(format_mountinfo(rows))
    assert columns.unknown_tags() == {row: mount.unknown_tags for row, mount in enumerate(rows) if mount.unknown_tags}


def test_no_data_is_an_empty_table() -> None:
    columns = parse_columns(b"")
    assert len(columns) == len(columns.devices()) == len(columns.unprintable()) == len(columns.unknown_tags()) == 0
    assert columns.coded("root")[1] == columns.text("root") == []
    assert as_rows(b"") == []


def test_numbers_are_as_wide_as_they_must_be() -> None:
    line = b"%d 1 0:1 / / rw shared:%d - a b rw\n"
    assert parse_columns(line % (2**31 - 1, 1)).ids("mount_id").dtype == np.int32
    table = line % (7, 1) + line % (2**31, 10**19 - 1) + line % (8, 2)
    columns = parse_columns(table)
    assert [columns.ids(name).dtype for name in ("mount_id", "peer_group", "master")] == [np.int64, object, np.int32]
    assert columns.ids("mount_id").tolist() == [7, 2**31, 8]
    assert columns.ids("peer_group").tolist() == [1, 10**19 - 1, 2]


@pytest.mark.usefixtures("short_stretches")
def test_wide_numbers_may_come_late_and_early() -> None:
    numbers = [1, 2**40, 10**18, 10**19 - 1, 5, 2**31, 2**63, 6]
    table = b"".join(b"%d 1 0:1 / / rw - a b rw\n" % number for number in numbers)
    assert parse_columns(table).ids("mount_id").tolist() == numbers


def test_65_bytes_a_mount_are_kept() -> None:
    columns = parse_columns(TABLE * 1000)
    ids = sum(columns.ids(name).nbytes for name in ("mount_id", "parent_id", "peer_group", "master", "propagate_from"))
    places = columns.spans("root")[1].itemsize * (len(pattern.FIELDS) + 1)
    assert ids / len(columns) + places + columns.unbindable.itemsize == 65


# The same as rows


@given(st.lists(mounts(unknown_tags=True).map(lambda mount: format_mountinfo([mount])) | bad_lines(), max_size=8))
def test_columns_hold_what_rows_hold(lines: list[bytes]) -> None:
    as_rows(b"\n".join(lines))
    rows = as_rows(b"".join(line.removesuffix(b"\n") + b"\n" for line in lines))
    columns = parse_columns(format_mountinfo(rows), strict=False)
    for name in ("device", "root", "mount_point", "fs_type", "source"):
        assert columns.text(name) == [getattr(mount, name) for mount in rows]
    for name in ("options", "super_options"):
        assert columns.text(name) == [",".join(getattr(mount, name)) for mount in rows]


@pytest.mark.usefixtures("short_stretches")
@pytest.mark.parametrize(
    "tail", [b"", b"hello", b"hello\n", b"1 1 0:1 / / rw - a b c", b"\n", b"1 1 0:1 / / rw  - a b c"]
)
def test_stretches_do_not_show(tail: bytes) -> None:
    for table in (TABLE, TABLE + b"x\n" + TABLE, b"\n" + TABLE):
        as_rows(table + tail)


def test_recorded_tables() -> None:
    for table in OWN.values():
        as_rows(table.read())


@pytest.mark.parametrize("data", [b"hello", TABLE + b"hello\nyou\n", TABLE[:-9], TABLE.replace(b"\n", b"\r\n")])
def test_strict_reading_raises_the_same_error(data: bytes) -> None:
    def error(parse: object) -> tuple[str, int, bytes]:
        assert callable(parse)
        with pytest.raises(ParseError) as caught:
            parse(data, file="x")
        return str(caught.value), caught.value.column, caught.value.text

    assert error(parse_columns) == error(parse_mountinfo)


HEAD, TAIL = b"36 35 98:0 / /m rw", b" - ext3 /dev/root rw\n"


@pytest.mark.parametrize(
    ("before", "repeated", "times", "after"),
    [
        (HEAD, b" a", 100_000, TAIL),
        (HEAD, b" -", 100_000, b"\n"),
        (HEAD, b" shared:1", 9, TAIL),
        (HEAD, b" unbindable", 3, TAIL),
        (b"", b"1", 1_000_000, b"\n"),
        (b"", b"1 ", 500_000, b"\n"),
        (b"36 35 ", b"9", 1_000_000, b":0 / /m rw" + TAIL),
        (b"36 35 98:0 / /", b"m", 3_000_000, b" rw" + TAIL),
        (b"", b"\0", 100_000, b""),
        (b"", b" ", 100_000, b""),
        (b"", b"\n", 100_000, b""),
    ],
)
def test_hostile_lines(before: bytes, repeated: bytes, times: int, after: bytes) -> None:
    line = before + repeated * times + after
    as_rows(line)
    as_rows(TABLE + line + b"\n" + TABLE)


# Several tables


def test_several_tables_at_once() -> None:
    first, second = TABLE.splitlines(keepends=True)[:2]
    columns, tables = parse_tables({"a": first, "none": b"", "b": TABLE[:-1], "c": second})
    assert tables.tolist() == [0, 2, 2, 2, 2, 2, 2, 3]
    assert list(columns) == [*as_rows(first), *as_rows(TABLE), *as_rows(second)]
    assert [len(parse_tables(nothing)[0]) for nothing in ({}, {"a": b""})] == [0, 0]


@pytest.mark.parametrize("bad", [TABLE + b"hello\n", TABLE[:-9], TABLE.replace(b"\n", b"\r\n")])
def test_the_error_says_in_which_table(bad: bytes) -> None:
    with pytest.raises(ParseError) as alone:
        parse_mountinfo(bad, file="b")
    with pytest.raises(ParseError) as caught:
        parse_tables({"a": TABLE, "b": bad, "c": TABLE})
    assert str(caught.value) == str(alone.value)


def test_windows_line_ends_of_one_line_each_are_none() -> None:
    # Of one line it cannot be told; of two it could be.
    line = b"1 1 0:1 / /a rw - tmpfs x rw\r\n"
    columns, _ = parse_tables({"a": line, "b": line})
    assert [mount.super_options for mount in columns] == [("rw\r",)] * 2


# How it is built


def test_rows_are_read_without_numpy() -> None:
    script = (
        "import sys, mntscope.parse; mntscope.parse.parse_mountinfo(b'1 1 0:1 / / rw - a b rw'); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    assert not {"numpy", "lark", "mntscope.parse.lark_line"} & set(loaded)


def test_a_field_of_another_language_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        with monkeypatch.context() as changed:
            changed.setitem(pattern.FIELDS, "options", "(?:ro|rw)(?:,[a-z]+)*")
            with pytest.raises(AssertionError):
                importlib.reload(scan)
    finally:
        importlib.reload(scan)


def test_most_lines_are_recognised_together() -> None:
    # The others cost thirty times as much.
    known = scan.scan(TABLE).known.tolist()
    assert known == [True] * 6
    own = Path("/proc/self/mountinfo").read_bytes()
    assert scan.scan(own).known.mean() > 0.9
    assert isinstance(parse_columns(own), Columns)
