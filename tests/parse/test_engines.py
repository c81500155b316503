"""One grammar, three engines: Lark, the expression derived from it, and the columns read every line alike.

``MNTSCOPE_FUZZ=500000`` tries that many lines; without it there are fewer.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import resources
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lark import Lark, UnexpectedInput

from mntscope.errors import ParseError
from mntscope.parse import UnusualSpelling, derive_pattern, format_mountinfo, parse_mountinfo
from mntscope.parse import pattern as mountinfo_regex
from mntscope.parse.columns import NONE, parse_columns
from mntscope.parse.lark_line import FIELDS, read_line
from mntscope.parse.pattern import FIELDS as EXPRESSIONS
from mntscope.parse.records import (
    Fields,
    common_fields,
    decode,
    fields_of_line,
    kept_fields_of_line,
    kept_pattern,
    line_pattern,
)
from tests.support.strategies import bad_lines, mounts

FUZZ = int(os.environ.get("MNTSCOPE_FUZZ") or 20_000)
TABLE = 500
"""How many lines are put into one table; of more than a thousand bad ones not all are named."""
GOOD = [
    b"5 1 0:1 /a\\134b /\\040 ro x shared:7 y master:8 z propagate_from:9 unbindable w - a\\040b \\134 ro\r",
    b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue",
    b"251 15 0:3573 / /mnt/point rw,relatime - aufs none rw",
    b"88 84 0:45 / /c rw,relatime shared:9 master:26 propagate_from:25 unbindable - tmpfs A rw",
    b"0 0 0:0 / / rw unbindable key:value sharedX:1 -x -- - tmpfs  rw",
    b"225 20 0:39 / /run rw - tmpfs tmpfs rw",
    b"934 239 0:4 mnt:[4026532568] /run/a\\040b rw shared:1 - nsfs - rw,a - b  c",
    b"1 1 0:1 / /\r\x0b\xa0\xff\t rw unbindable: shared master - 9p \x85 rw,path=C:\\a b\r",
    b"123456789012345678 1234567890123456789 259:1048575 / /m rw shared:123456789 master:1234567890123456789 - t s rw",
    b"12345678 123456789 1234567890:123456789012 /a /b rw a b c d shared:1 e f master:3 - t s rw",
]
PIECES = [
    *(bytes((byte,)) for byte in range(256)),
    *(
        b" ",
        b" ",
        b" ",
        b"  ",
        b"-",
        b" -",
        b"- ",
        b" - ",
        b"/",
        b":",
        b"0",
        b"1",
        b"01",
        b"9" * 7,
        b"9" * 18,
        b",",
        b"\\",
        b"\n",
    ),
    *(b"shared:", b"master:", b"propagate_from:", b"unbindable", b" shared:1", b" unbindable", b" unbindable:", b" x"),
    *(b"\\9", b"\\040", b"rw", b"ro", b"rw,", b" master:2", b" propagate_from:3", b" shared:0", b" :"),
]


def read_by_lark(line: bytes) -> Fields | None:
    try:
        return read_line(line, file="", number=1)
    except ParseError:
        return None


@cache
def kept_parser() -> Lark:
    grammar = resources.files("mntscope.grammar").joinpath("mountinfo.lark").read_text("ascii")
    return Lark(grammar, start="kept", parser="lalr", lexer="contextual", keep_all_tokens=True)


def kept_by_lark(line: bytes) -> bool:
    """Whether the line is understood, printed by a kernel or not."""
    try:
        kept_parser().parse(line.decode("latin-1"))
    except UnexpectedInput:
        return False
    return True


def read_by_expression(line: bytes) -> Fields | None:
    return fields_of_line(decode(line))


def read_by_columns(table: bytes) -> list[Fields | None]:
    """What each line of *table* is to the columns, which must be the table that the rows are.

    A line that no kernel prints must be kept, and named, if it is understood.
    """
    columns, mounts = parse_columns(table, strict=False), parse_mountinfo(table, strict=False)
    assert list(columns) == mounts
    assert list(map(str, columns.problems)) == list(map(str, mounts.problems))
    assert columns.unlisted == mounts.unlisted == 0
    lines = table.removesuffix(b"\n").split(b"\n") if table else []
    good = [read_by_lark(line) for line in lines]
    windows = bool(mounts.problems) and "carriage return at the end" in mounts.problems[0].what
    assert [problem.line for problem in mounts.problems[windows:]] == [
        number for number, fields in enumerate(good, 1) if fields is None
    ]
    for name in ("mount_id", "parent_id", "peer_group", "master", "propagate_from"):
        numbers = [NONE if number is None else number for mount in mounts for number in [getattr(mount, name)]]
        assert columns.ids(name).tolist() == numbers
    assert columns.unbindable.tolist() == [mount.unbindable for mount in mounts]
    cut = ([decode(table[begin:end]) for begin, end in zip(*columns.spans(name), strict=True)] for name in EXPRESSIONS)
    read = zip(*cut, strict=True)
    bad = {problem.line for problem in columns.problems if not isinstance(problem, UnusualSpelling)}
    every = [None if number in bad else next(read) for number in range(1, len(bad) + len(columns) + 1)]
    assert [fields is not None for fields in every] == [kept_by_lark(line) for line in lines]
    assert every == [kept_fields_of_line(decode(line)) for line in lines]
    return [fields if good[number] else None for number, fields in enumerate(every)]


def altered(chance: random.Random, line: bytes) -> bytes:
    """*line* with a piece put in, taken out, doubled, or put in another's place."""
    start = chance.randrange(len(line) + 1)
    end = start + chance.choice((0, 0, 1, 1, 2, 5, len(line)))
    return line[:start] + chance.choice((b"", line[start:end] * 2, *chance.choices(PIECES, k=3))) + line[end:]


def test_the_generated_module_is_not_stale() -> None:
    assert Path(mountinfo_regex.__file__).read_text("ascii") == derive_pattern.module()


def test_both_engines_name_the_same_fields() -> None:
    assert [name.upper() for name in line_pattern().groupindex] == [name.upper() for name in FIELDS]
    assert list(line_pattern().groupindex) == list(mountinfo_regex.FIELDS)
    assert [name.removeprefix("kept_") for name in kept_pattern().groupindex] == list(mountinfo_regex.FIELDS)


def altered_lines(chance: random.Random) -> Iterator[bytes]:
    """About half of them wrong, so that both verdicts are tried."""
    while True:
        line = chance.choice(GOOD)
        for _ in range(chance.choice((0, 1, 2, 3, 4))):
            line = altered(chance, line)
        # A line with a newline in it is several.
        yield from line.split(b"\n")


def test_all_three_read_thousands_of_lines_alike(seed: int) -> None:
    lines = altered_lines(random.Random(seed))
    good = 0
    for _ in range(0, FUZZ, TABLE):
        some = list(islice(lines, TABLE))
        by_lark = [read_by_lark(line) for line in some]
        for line, fields in zip(some, by_lark, strict=True):
            assert read_by_expression(line) == fields, line
        assert read_by_columns(b"".join(line + b"\n" for line in some)) == by_lark
        good += TABLE - by_lark.count(None)
    assert 0.2 * FUZZ < good < 0.65 * FUZZ


def as_common(lines: list[bytes]) -> bool:
    """Whether these are read as common lines; then it must be as what a kernel prints."""
    text = decode(b"".join(line + b"\n" for line in lines))
    fields = common_fields(text)
    assert fields is None or fields == [fields_of_line(line) for line in text.split("\n")[:-1]], text
    return fields is not None


def test_what_is_read_as_common_lines_is_read_alike(seed: int) -> None:
    lines = altered_lines(random.Random(seed))
    # Two, as what goes wrong at the end of one line may be made good by the next.
    common = [as_common(list(islice(lines, number))) for number in (1, 2) for _ in range(FUZZ // 2)]
    assert common.count(True) > 0.05 * len(common)
    assert common.count(False) > 0.05 * len(common)


@given(st.lists(mounts().map(lambda mount: format_mountinfo([mount])[:-1]) | bad_lines() | st.binary(), max_size=3))
def test_any_lines_read_as_common_ones_are_read_alike(lines: list[bytes]) -> None:
    as_common(lines)


@given(mounts(unknown_tags=True).map(lambda mount: format_mountinfo([mount])[:-1]) | bad_lines() | st.binary())
def test_all_three_read_any_line_alike(line: bytes) -> None:
    assert read_by_expression(line) == read_by_lark(line)
    assert read_by_columns(line + b"\n") == [read_by_lark(piece) for piece in line.split(b"\n")]


@given(st.lists(mounts(unknown_tags=True).map(lambda mount: format_mountinfo([mount])) | bad_lines(), max_size=6))
def test_the_columns_end_a_table_as_the_rows_do(lines: list[bytes]) -> None:
    for table in (b"".join(lines), b"\n".join(lines)):
        columns, mounts = parse_columns(table, strict=False), parse_mountinfo(table, strict=False)
        assert list(columns) == mounts
        assert columns.unterminated == mounts.unterminated
        assert list(map(str, columns.problems)) == list(map(str, mounts.problems))


OPTIONAL_FIELDS = [re.compile(expression) for expression in mountinfo_regex.OPTIONAL_FIELDS.values()]


@given(
    st.builds(
        "{}{}".format,
        st.sampled_from(["shared:", "master:", "propagate_from:", "unbindable", "shared", "-", ""]),
        st.text("-:019x\r\xa0") | st.integers(0),
    ).filter(bool)
)
def test_the_alternatives_of_an_optional_field_exclude_each_other(word: str) -> None:
    assert sum(pattern.fullmatch(word) is not None for pattern in OPTIONAL_FIELDS) <= 1


def test_good_tables_are_read_without_lark() -> None:
    script = """
import sys
from mntscope.parse import format_mountinfo, parse_mountinfo
table = open("/proc/self/mountinfo", "rb").read()
assert format_mountinfo(parse_mountinfo(table)) == table
assert "lark" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("grammar", "reason"),
    [
        ('line: "(" line? ")"', "not regular"),
        ('line: a "x"\na: b\nb: a', "not regular"),
        ('line: "a" "b"~2', "no regular expression"),
        ("%import common.INT\nline: INT INT", "no regular expression for %import"),
        ("line: /a/i /b/", "flags"),
        ('line: "a" | "b"', "not one sequence"),
    ],
)
def test_a_grammar_that_is_no_plain_regular_one_is_refused(grammar: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        derive_pattern.expression(grammar, "line")


def test_a_rule_without_names_has_no_parts() -> None:
    with pytest.raises(ValueError, match="uses no names"):
        derive_pattern.parts('tag: "x"\n', "tag")
