"""What a bad line is told: where, what was found, what was expected, and what may have happened."""

from __future__ import annotations

import pytest

from mntscope.errors import ParseError
from mntscope.parse import UnusualSpelling, format_mountinfo, parse_mountinfo

GOOD = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue"
SEPARATOR = "an optional field or the separator ' - '"
OPTIONS = "the mount options ('rw' or 'ro' first)"
SUPER_OPTIONS = "the super options ('rw' or 'ro' first)"
ORDER = "known tags once each, in the order shared, master, propagate_from (only behind a master), unbindable"
ESCAPE = "a backslash and three octal digits, as names are escaped"


def error_of(data: bytes) -> ParseError:
    with pytest.raises(ParseError) as caught:
        parse_mountinfo(data, file="x")
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()
    return caught.value


@pytest.mark.parametrize(
    ("line", "column", "found", "expected"),
    [
        (b"(a) 35 98:0 / / rw - a b c", 1, "'(a)'", "a mount ID (a decimal number)"),
        (b"3_6 35 98:0 / / rw - a b c", 2, "'3_6'", "a mount ID (a decimal number)"),
        (b"036 35 98:0 / / rw - a b c", 1, "'036'", "a mount ID (a decimal number)"),
        (b"-1 35 98:0 / / rw - a b c", 1, "'-1'", "a mount ID (a decimal number)"),
        ("٣ 35 98:0 / / rw - a b c".encode(), 1, "'\\xd9\\xa3'", "a mount ID (a decimal number)"),
        (b"99999999999999999999 35", 20, "'99999999999999999999'", "a mount ID (a decimal number)"),
        (b"36 (b) 98:0 / / rw - a b c", 4, "'(b)'", "the parent's mount ID (a decimal number)"),
        (b"36 35 980 / / rw - a b c", 7, "'980'", "a device (major:minor)"),
        (b"36 35 98:0:1 / / rw - a b c", 11, "'98:0:1'", "a device (major:minor)"),
        (b"36 35 98:0  / rw - a b c", 12, "a space", "the root of the mount"),
        (b"36 35 98:0 / relative rw - a b c", 14, "'relative'", "a mount point (an absolute path)"),
        (b"36 35 98:0 / /\xc4\x99 ", 18, "the end of the line", OPTIONS),
        (b"36 35 98:0 / / rw", 18, "the end of the line", SEPARATOR),
        (b"36 35 98:0 / / rw a b c", 24, "the end of the line", SEPARATOR),
        (b"36 35 98:0 / / rw x  - a b c", 21, "a space", SEPARATOR),
        (b"36 35 98:0 / / rw shared:abc - a b c", 26, "'shared:abc'", "the number of a peer group after 'shared:'"),
        (b"36 35 98:0 / / rw master:1x - a b c", 27, "'master:1x'", "the number of a peer group after 'master:'"),
        (b"36 35 98:0 / / rw shared:01 - a b c", 26, "'shared:01'", "the number of a peer group after 'shared:'"),
        (b"36 35 98:0 / / - x", 16, "'-'", OPTIONS),
        (b"36 35 98:0 / / rw -", 20, "the end of the line", "the filesystem type"),
        (b"36 35 98:0 / / rw - ", 21, "the end of the line", "the filesystem type"),
        (b"36 35 98:0 / / rw -  b c", 21, "a space", "the filesystem type"),
        (b"36 35 98:0 / / rw - a", 22, "the end of the line", "the source"),
        (b"36 35 98:0 / / rw - a ", 23, "the end of the line", "the source"),
        (b"36 35 98:0 / / rw - a b", 24, "the end of the line", SUPER_OPTIONS),
        (b"36 35 98:0 / / rw - a b ", 25, "the end of the line", SUPER_OPTIONS),
        (b"36 35 98:0 / / rw - a b  c", 25, "a space", SUPER_OPTIONS),
        (b"", 1, "an empty line", "a mount ID (a decimal number)"),
    ],
)
def test_the_place_and_what_should_be_there(line: bytes, column: int, found: str, expected: str) -> None:
    error = error_of(line + b"\n")
    assert (error.line, error.column) == (1, column)
    assert error.what == f"found {found}, expected {expected}"
    assert error.expected == expected
    assert error.text == line


@pytest.mark.parametrize(
    ("line", "column", "found", "expected"),
    [
        (b"36 35 98:0 / /a\0b rw - a b rw", 16, "'/a\\x00b'", "text without NUL bytes"),
        (b"36 35 98:0 / / rw x\0 - a b rw", 20, "'x\\x00'", "text without NUL bytes"),
        (b"36 35 98:0 / / rw - a b rw,c\0", 29, "'rw,c\\x00'", "text without NUL bytes"),
        (b"36 35 98:0 / / rw shared:1 shared:2 - a b rw", 28, "'shared:2'", ORDER),
        (b"36 35 98:0 / / rw shared:1 x shared:1 - a b rw", 30, "'shared:1'", ORDER),
        (b"36 35 98:0 / / rw master:1 shared:2 - a b rw", 28, "'shared:2'", ORDER),
        (b"36 35 98:0 / / rw propagate_from:2 - a b rw", 19, "'propagate_from:2'", ORDER),
        (b"36 35 98:0 / / rw shared:1 propagate_from:2 - a b rw", 28, "'propagate_from:2'", ORDER),
        (b"36 35 98:0 / / rw unbindable shared:1 - a b rw", 30, "'shared:1'", ORDER),
        (b"36 35 98:0 / / rw unbindable unbindable - a b rw", 30, "'unbindable'", ORDER),
        (b"36 35 98:0 / / rw shared:0 - a b rw", 26, "'shared:0'", "the number of a peer group after 'shared:'"),
        (b"36 35 98:0 / / rw master:0 - a b rw", 26, "'master:0'", "the number of a peer group after 'master:'"),
        (b"36 35 98:0 / / rw  - a b rw", 19, "a space", SEPARATOR),
        (b"36 35 98:0 / / rw : - a b rw", 19, "':'", SEPARATOR),
        (b"36 35 98:0 / /a\\9 rw - a b rw", 16, "'/a\\\\9'", ESCAPE),
        (b"36 35 98:0 /a\\04 / rw - a b rw", 14, "'/a\\\\04'", ESCAPE),
        (b"36 35 98:0 / / rw - a\\ b rw", 22, "'a\\\\'", ESCAPE),
        (b"36 35 98:0 / / rw - a b\\400 rw", 24, "'b\\\\400'", ESCAPE),
        (b"36 35 98:0 / / nosuid,rw - a b rw", 16, "'nosuid,rw'", OPTIONS),
        (b"36 35 98:0 / / rwx - a b rw", 16, "'rwx'", OPTIONS),
        (b"36 35 98:0 / / rw - a b size=4k", 25, "'size=4k'", SUPER_OPTIONS),
    ],
)
def test_what_no_kernel_prints_is_refused_and_kept_if_reading_is_lenient(
    line: bytes, column: int, found: str, expected: str
) -> None:
    error = error_of(GOOD + b"\n" + line + b"\n")
    assert isinstance(error, UnusualSpelling)
    assert (error.line, error.column, error.text) == (2, column, line)
    assert error.what == f"found {found}, expected {expected}"
    assert "strict=False" in error.hint
    table = parse_mountinfo(GOOD + b"\n" + line + b"\n", strict=False, file="x")
    assert len(table) == 2
    assert [str(problem) for problem in table.problems] == [str(error)]
    assert format_mountinfo(table) == GOOD + b"\n" + line + b"\n"


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"tmpfs on /run type tmpfs (rw,nosuid)\n", "mount(8)"),
        (b"proc /proc proc rw,nosuid,relatime 0 0\n", "/proc/mounts"),
        (b"device proc mounted on /proc with fstype proc\n", "mountstats"),
        (b"TARGET  SOURCE FSTYPE OPTIONS\n", "findmnt(8)"),
        ("├─/proc proc proc rw\n".encode(), "findmnt(8)"),
        (b"Filesystem     1K-blocks\n", "df(1)"),
        (b'{"schema": 1}\n', "snapshot:PATH"),
        (b"\x1f\x8b\x08\x00", "compressed"),
        (GOOD.decode().encode("utf-16"), "plain bytes"),
        (b"\xef\xbb\xbf" + GOOD, "byte order mark"),
        (b"    " + GOOD, "indented"),
        (b"\t" + GOOD, "indented"),
        (b"/proc/1/mountinfo:" + GOOD, "grep"),
        (b"12:" + GOOD, "grep"),
        (GOOD.replace(b" ", b"\t"), "single spaces"),
        (GOOD.replace(b" ", b"  "), "single spaces"),
        (GOOD.replace(b" ", "\xa0".encode()), "single spaces"),
        (GOOD.replace(b" /mnt2", b"  /mnt2"), "single spaces"),
        (GOOD + b"\n\n" + GOOD, "no empty lines"),
        (b"# a comment\n" + GOOD, "no comments"),
        ((GOOD + b"\r\n") * 2 + b"\r\n", "Windows line ends"),
        (GOOD + b"\n" + GOOD[:30], "the text ends within this line"),
        (GOOD[:20] + b"\n" + GOOD, "cut off or wrapped"),
        (GOOD.replace(b" -", b"") + b"\n", "the separator ' - ' before the filesystem type is missing"),
        (GOOD.replace(b"98:0", b"98") + b"\n", "altered"),
        (b"hello\n", "this is no mountinfo: take the text of /proc/PID/mountinfo"),
    ],
)
def test_the_usual_mistakes_are_recognised(data: bytes, hint: str) -> None:
    assert hint in error_of(data).hint


def test_the_caret_stands_under_the_column() -> None:
    drawn, mark = error_of(GOOD.replace(b"/mnt2", b"mnt2")).caret().split("\n")
    assert drawn[mark.index("^") :].startswith("mnt2 ")


def test_hostile_text_reaches_no_terminal() -> None:
    error = error_of(b"\x1b[31m\x07\xe2\x80\xaeevil 1 1:1\n")
    assert error.what == "found '\\x1b[31m\\x07\\xe2\\x80\\xaeevil', expected a mount ID (a decimal number)"
    assert error.caret().replace("\n", "").isprintable()


HEAD, TAIL = b"36 35 98:0 / /m rw", b" - ext3 /dev/root rw\n"


def long_line(before: bytes, repeated: bytes, after: bytes) -> bytes:
    """Five million bytes: made when they are needed, since what tests are given stays in memory until the last one."""
    return before + repeated * (5_000_000 // len(repeated)) + after


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param((b"", b" ", b""), id="spaces"),
        pytest.param((b"", b"\\", b""), id="backslashes"),
        pytest.param((b"", b"- ", b""), id="hyphens"),
        pytest.param((b"", b",", b""), id="commas"),
        pytest.param((b"", b"1", b""), id="digits"),
        pytest.param((b"", b"\0", b""), id="nuls"),
        pytest.param((HEAD, b" ", b""), id="spaces after a good beginning"),
        pytest.param((HEAD, b" a", b""), id="optional fields and no separator"),
        pytest.param((b"36 35 98:0 / / -", b" a", b""), id="a hyphen for options"),
        pytest.param((HEAD, b" a", b" shared:x" + TAIL), id="optional fields and a bad one"),
        pytest.param((b"36 35 98:0 / ", b"a", b" rw" + TAIL), id="a mount point without a slash"),
        pytest.param((b"", b"x on /y ", b""), id="nearly mount(8)"),
    ],
)
def test_hostile_lines_are_refused_in_linear_time_and_one_short_line(parts: tuple[bytes, bytes, bytes]) -> None:
    # Quadratic work would take days here.
    assert len(str(error_of(long_line(*parts)))) < 500


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param((HEAD, b" a", TAIL), id="optional fields"),
        pytest.param((HEAD, b" -", b"\n"), id="hyphens"),
        pytest.param((b"36 35 98:0 / /", b"\\", b" rw" + TAIL), id="backslashes"),
        pytest.param((b"36 35 98:0 / /", b"\\040", b" rw" + TAIL), id="escapes"),
        pytest.param((b"36 35 98:0 / / ", b",", TAIL), id="commas"),
        pytest.param((HEAD + b" - a b ", b'k="', b"\n"), id="quotes"),
        pytest.param((HEAD + b" - a b ", b'k="a,', b"\n"), id="quotes and commas"),
        pytest.param((HEAD + b" - a b r", b" ", b"\n"), id="spaces"),
    ],
)
def test_hostile_but_good_lines_are_read_in_linear_time(parts: tuple[bytes, bytes, bytes]) -> None:
    assert len(parse_mountinfo(long_line(*parts), strict=False)) == 1


def test_millions_of_bad_lines_are_counted_in_little_memory() -> None:
    table = parse_mountinfo(b"\n" * 1_000_000, strict=False)
    assert len(table.problems) + table.unlisted == 1_000_000
