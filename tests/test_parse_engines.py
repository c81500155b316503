"""One grammar, two engines: Lark and the expression derived from it read every line alike."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mntscope.errors import ParseError
from mntscope.parse import derive, format_mountinfo, mountinfo_regex
from mntscope.parse.records import LINE_PATTERN, Fields, decode
from mntscope.parse.reference import FIELDS, read_line
from tests.strategies import bad_lines, mounts

GRAMMAR = resources.files("mntscope.grammar").joinpath("mountinfo.lark").read_text("ascii")
GOOD = [
    b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue",
    b"251 15 0:3573 / /mnt/point rw,relatime - aufs none rw",
    b"88 84 0:45 / /c rw,relatime shared:9 master:26 propagate_from:25 unbindable - tmpfs A rw",
    b"0 0 0:0 / / rw unbindable key:value sharedX:1 -x -- - tmpfs  rw",
    b"225 20 0:39 / /run rw  - tmpfs tmpfs rw",
    b"934 239 0:4 mnt:[4026532568] /run/a\\040b rw shared:0 - nsfs - rw,a - b  c",
    b"1 1 0:1 / /\r\x0b\xa0\xff\t rw unbindable: shared master - 9p \x85 rw,path=C:\\a b\r",
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
        b"9" * 18,
        b",",
        b"\\",
        b"\n",
    ),
    *(b"shared:", b"master:", b"propagate_from:", b"unbindable", b" shared:1", b" unbindable", b" unbindable:", b" x"),
]


def read_by_lark(line: bytes) -> Fields | None:
    try:
        return read_line(line, file="", number=1)
    except ParseError:
        return None


def read_by_expression(line: bytes) -> Fields | None:
    match = LINE_PATTERN.fullmatch(decode(line))
    return match.groups() if match else None


def altered(chance: random.Random, line: bytes) -> bytes:
    """*line* with a piece put in, taken out, doubled, or put in another's place."""
    start = chance.randrange(len(line) + 1)
    end = start + chance.choice((0, 0, 1, 1, 2, 5, len(line)))
    return line[:start] + chance.choice((b"", line[start:end] * 2, *chance.choices(PIECES, k=3))) + line[end:]


def test_the_generated_module_is_not_stale() -> None:
    assert Path(mountinfo_regex.__file__).read_text("ascii") == derive.module()


def test_both_engines_name_the_same_fields() -> None:
    assert [name.upper() for name in LINE_PATTERN.groupindex] == [name.upper() for name in FIELDS]


def test_lark_and_the_expression_read_20000_lines_alike(seed: int) -> None:
    chance = random.Random(seed)
    good = 0
    for _ in range(20_000):
        line = chance.choice(GOOD)
        for _ in range(chance.choice((0, 1, 2, 3, 4))):
            line = altered(chance, line)
        fields = read_by_lark(line)
        assert read_by_expression(line) == fields, line
        good += fields is not None
    # About half of them wrong, so that both verdicts are tried.
    assert 7_000 < good < 13_000


@given(mounts(unknown_tags=True).map(lambda mount: format_mountinfo([mount])[:-1]) | bad_lines() | st.binary())
def test_lark_and_the_expression_read_any_line_alike(line: bytes) -> None:
    assert read_by_expression(line) == read_by_lark(line)


OPTIONAL_FIELDS = {
    name: re.compile("".join(derive.expression(f"{GRAMMAR}\nonly: {name}\n", "only")))
    for name in ("SHARED", "MASTER", "PROPAGATE_FROM", "UNBINDABLE", "UNKNOWN_TAG")
}


@given(
    st.builds(
        "{}{}".format,
        st.sampled_from(["shared:", "master:", "propagate_from:", "unbindable", "shared", "-", ""]),
        st.text("-:019x\r\xa0") | st.integers(0),
    ).filter(bool)
)
def test_the_alternatives_of_an_optional_field_exclude_each_other(word: str) -> None:
    assert sum(pattern.fullmatch(word) is not None for pattern in OPTIONAL_FIELDS.values()) <= 1


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
        derive.expression(grammar, "line")
