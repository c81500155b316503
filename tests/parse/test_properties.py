"""Parsing and printing are inverses of each other, whatever the bytes."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mntscope.errors import ParseError
from mntscope.model import Mount, View
from mntscope.parse import (
    MountTable,
    RecordReader,
    UnusualSpelling,
    format_mountinfo,
    parse_mountinfo,
    read_table,
)
from mntscope.parse.escapes import NAME_SPECIAL, PATH_SPECIAL, escape, split_options, unescape
from tests.support.strategies import bad_lines, mounts, tables, views

# Bytes that matter, so that random text is often nearly a line.
NEARLY = st.lists(
    st.sampled_from(
        [b"36 35 98:0 / / rw", b" - ext3 x rw", b"\n", b" ", b" shared:1", b"/", b"-", b"\r", b"\\040", b"\xff"]
    )
).map(b"".join)


@given(mounts(unknown_tags=True))
def test_any_mount_a_kernel_can_print_is_read_back(mount: Mount) -> None:
    table = parse_mountinfo(format_mountinfo([mount]))
    assert table == [mount]
    # As a kernel would print it, so without a spelling of its own.
    assert table[0].spelling is None
    assert all(getattr(table[0], field.name) == getattr(mount, field.name) for field in fields(Mount))


@given(st.lists(mounts(unknown_tags=True), max_size=4))
def test_any_table_a_kernel_can_print_is_printed_again(table: list[Mount]) -> None:
    # Every line ending in a carriage return is the mark of a file from Windows; no kernel has such a table.
    printed = format_mountinfo([*table, Mount(1, 1, "0:1", "/", "/", ("rw",), "proc", "proc", ("rw",))])
    assert format_mountinfo(parse_mountinfo(printed)) == printed


@given(tables())
def test_trees_are_read_back(table: list[Mount]) -> None:
    assert parse_mountinfo(format_mountinfo(table)) == table


@given(st.lists(st.lists(mounts(unknown_tags=True), max_size=4), max_size=3), st.data())
def test_tables_that_are_read_one_after_the_other_say_what_each_says_alone(
    some: list[list[Mount]], data: st.DataObject
) -> None:
    """They may be copies of each other, spelled otherwise, or no tables at all."""
    copies = [[replace(mount, mount_id=mount.mount_id + 7, parent_id=8) for mount in table] for table in some]
    texts = [format_mountinfo(table) for table in (*some, *copies)]
    texts += [text.replace(b" - ", b" tag - ").replace(b" rw ", b" RW ") for text in texts] + [b"\n", b"01 1 0:1 / /"]
    reader = RecordReader(remember=True)
    for text in data.draw(st.permutations(texts)):
        alone = parse_mountinfo(text, strict=False)
        after = read_table(text, reader, strict=False, file="<mountinfo>")
        assert [facts_of(mount) for mount in after] == [facts_of(mount) for mount in alone]
        assert (after.unterminated, after.unlisted) == (alone.unterminated, alone.unlisted)
        assert list(map(str, after.problems)) == list(map(str, alone.problems))


def facts_of(mount: Mount) -> list[object]:
    return [getattr(mount, field.name) for field in fields(Mount)]


@given(views())
def test_views_are_read_back(two: tuple[View, ...]) -> None:
    for view in two:
        assert tuple(parse_mountinfo(format_mountinfo(view.mounts))) == view.mounts


def strictly(data: bytes) -> MountTable | ParseError:
    try:
        return parse_mountinfo(data)
    except ParseError as error:
        return error


@given(st.binary() | NEARLY)
def test_any_bytes_are_read_or_refused_with_a_parse_error(data: bytes) -> None:
    read, lenient = strictly(data), parse_mountinfo(data, strict=False)
    if isinstance(read, ParseError):
        assert str(read) in [str(problem) for problem in lenient.problems]
        assert 1 <= read.column <= len(read.text) + 1
        assert read.caret()
    else:
        assert read == lenient
        assert format_mountinfo(read) == data


@given(st.lists(bad_lines() | mounts().map(lambda mount: format_mountinfo([mount])[:-1]), max_size=6))
def test_lenient_reading_keeps_what_strict_reading_takes_and_names_the_rest_line_by_line(lines: list[bytes]) -> None:
    table = parse_mountinfo(b"".join(line + b"\n" for line in lines), strict=False)
    alone = [strictly(line + b"\n") for line in lines]
    kept = [parse_mountinfo(line + b"\n", strict=False) for line in lines]
    assert table == [mount for read in kept for mount in read]
    assert all(read in kept for read in alone if isinstance(read, MountTable))
    bad = [number for number, read in enumerate(alone, 1) if isinstance(read, ParseError)]
    assert [problem.line for problem in table.problems] == bad
    unusual = [number for number, read in enumerate(alone, 1) if isinstance(read, UnusualSpelling)]
    assert [problem.line for problem in table.problems if isinstance(problem, UnusualSpelling)] == unusual


@given(bad_lines())
def test_bad_lines_are_bad(line: bytes) -> None:
    with pytest.raises(ParseError):
        parse_mountinfo(line + b"\n")


@given(
    mounts(peer_group=None, master=None, propagate_from=None, unbindable=False),
    mounts(),
    st.sets(st.sampled_from([field.name for field in fields(Mount) if field.compare])),
)
def test_a_changed_mount_is_printed_as_it_is_now(mount: Mount, other: Mount, changed: set[str]) -> None:
    # The first hyphen between spaces is the separator, as this mount has no optional fields.
    unusual = format_mountinfo([mount]).replace(b" - ", b"  - ", 1)
    (spelled,) = parse_mountinfo(unusual, strict=False)
    assert format_mountinfo([spelled]) == unusual
    now = replace(spelled, **{name: getattr(other, name) for name in changed})
    # Such as a mount with a `propagate_from` and no master can be written, though no kernel writes it.
    assert parse_mountinfo(format_mountinfo([now]), strict=False) == [now]


@given(st.text(), st.sampled_from([PATH_SPECIAL, NAME_SPECIAL]))
def test_escapes_are_undone(text: str, special: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    escaped = escape(text, special)
    assert unescape(escaped) == text
    assert not set(special) - {"\\"} & set(escaped)


@given(st.text('",=ab '))
def test_options_join_to_what_they_were_split_from(text: str) -> None:
    assert ",".join(split_options(text)) == text
