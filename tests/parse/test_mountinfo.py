"""What one line says, what a table keeps, and how both are written back."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import pytest

from mntscope.errors import ParseError, UsageError
from mntscope.model import Mount
from mntscope.parse import MountTable, UnusualSpelling, format_mountinfo, parse_mountinfo
from mntscope.parse.mountinfo import MOST_PROBLEMS

GOOD = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"


def one(line: bytes, *, strict: bool = True) -> Mount:
    """The mount of a line, which must come back as it was."""
    (mount,) = table = parse_mountinfo(line, strict=strict)
    assert format_mountinfo(table) == line
    return mount


def test_the_example_of_the_man_page() -> None:
    assert one(GOOD) == Mount(
        mount_id=36,
        parent_id=35,
        device="98:0",
        root="/mnt1",
        mount_point="/mnt2",
        options=("rw", "noatime"),
        master=1,
        fs_type="ext3",
        source="/dev/root",
        super_options=("rw", "errors=continue"),
    )


def test_all_the_optional_fields_there_are() -> None:
    mount = one(b"88 84 0:45 / /c rw shared:9 master:26 propagate_from:25 unbindable - tmpfs A rw\n")
    assert (mount.peer_group, mount.master, mount.propagate_from, mount.unbindable) == (9, 26, 25, True)
    assert mount.unknown_tags == ()


@pytest.mark.parametrize(
    "tag",
    ["x", "key:value", "-x", "--", "shared", "sharedX:1", "mas\\040ter:1", "unbindable:1", "unbindables", "a\rb\xa0"],
)
def test_unknown_tags_are_kept_as_printed(tag: str) -> None:
    mount = one(f"1 1 0:1 / /a rw {tag} shared:5 - tmpfs x rw\n".encode())
    assert mount.unknown_tags == (tag,)
    assert mount.peer_group == 5


def test_of_repeated_tags_the_first_counts_and_none_is_lost() -> None:
    mount = one(b"7 5 0:6 / /c rw shared:7 unbindable shared:8 unbindable shared:9 - cgroup cgroup rw\n", strict=False)
    assert mount.peer_group == 7
    assert mount.unbindable
    assert mount.unknown_tags == ("shared:8", "unbindable", "shared:9")


def test_the_first_lone_hyphen_separates() -> None:
    mount = one(b"36 35 98:0 / / rw -x -- - 9p - rw,a=b - c - d\n")
    assert mount.unknown_tags == ("-x", "--")
    assert (mount.fs_type, mount.source, mount.super_options) == ("9p", "-", ("rw", "a=b - c - d"))


def test_an_empty_source_is_two_spaces() -> None:
    assert one(b"279 23 0:108 / /tmp/bb rw - tmpfs  rw\n").source == ""


def test_only_newlines_and_single_spaces_separate() -> None:
    mount = one(
        b"92 83 0:52 / /cr\rvt\x0bff\x0cfs\x1cnel\xc2\x85nbsp\xc2\xa0ls\xe2\x80\xa8raw\xff rw - tmpfs s\x85\xa0 rw\r\n"
    )
    assert mount.mount_point == "/cr\rvt\x0bff\x0cfs\x1cnel\x85nbsp\xa0ls\u2028raw\udcff"
    assert mount.source == "s\udc85\udca0"
    assert mount.super_options == ("rw\r",)


def test_names_are_unescaped() -> None:
    mount = one(b"1 1 0:1 /a\\040b /a\\011b\\012c\\134d rw - fuse.a\\043b a\\040b\\043 rw\n")
    assert (mount.root, mount.mount_point) == ("/a b", "/a\tb\nc\\d")
    assert (mount.fs_type, mount.source) == ("fuse.a#b", "a b#")
    assert mount.spelling is None


def test_names_are_unescaped_once() -> None:
    assert one(b"1 1 0:1 / /a\\134040b rw - t\\134\\040 s\\134134 rw\n").mount_point == "/a\\040b"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (b"/a\\222", "/a\udc92"),
        (b"/a\\000b", "/a\0b"),
        (b"/a\\303\\251", "/aé"),
        (b"/a\xc3\\251", "/aé"),
        (b"/a\\101", "/aA"),
        (b"/a\\04", "/a\\04"),
        (b"/a\\", "/a\\"),
        (b"/a\\400", "/a\\400"),
        (b"/a\\x41\\08\\9", "/a\\x41\\08\\9"),
        (b"/a\tb", "/a\tb"),
    ],
)
def test_unusual_escapes_are_decoded_if_complete_and_come_back_as_written(written: bytes, name: str) -> None:
    line = b"1 1 0:1 / %b rw - tmpfs x rw\n" % written
    mount = one(line, strict=False)
    assert mount.mount_point == name
    assert mount.spelling == line[:-1]


def test_options_are_kept_as_printed() -> None:
    mount = one(b"1 1 0:1 / / rw,a\\040b - 9p x rw,path=C:\\Program Files\\x;y,lowerdir=/l\\054m,,\n")
    assert mount.options == ("rw", "a\\040b")
    assert mount.super_options == ("rw", "path=C:\\Program Files\\x;y", "lowerdir=/l\\054m", "", "")


@pytest.mark.parametrize(
    ("written", "options"),
    [
        ('rw,context="u:o:r:s0:c1,c2",x', ("rw", 'context="u:o:r:s0:c1,c2"', "x")),
        ('rw,context="a,b",defcontext="c,d"', ("rw", 'context="a,b"', 'defcontext="c,d"')),
        ('rw,lowerdir=/a"b,upperdir=/c"d,x', ("rw", 'lowerdir=/a"b', 'upperdir=/c"d', "x")),
        ('rw,context="open,x', ("rw", 'context="open', "x")),
        ('rw,a="b"c,d="e",', ("rw", 'a="b"c', 'd="e"', "")),
        ("rw,,", ("rw", "", "")),
    ],
)
def test_commas_in_quoted_values_do_not_separate_super_options(written: str, options: tuple[str, ...]) -> None:
    assert one(f"1 1 0:1 / / rw - x y {written}\n".encode()).super_options == options


@pytest.mark.parametrize("root", ["mnt:[4026532568]", "net:[4026531993]", "/../../..", "/f1//deleted", "x"])
def test_a_root_need_not_be_a_path(root: str) -> None:
    assert one(f"934 239 0:4 {root} /run/ns rw - nsfs nsfs rw\n".encode()).root == root


def test_large_numbers() -> None:
    mount = one(b"2147483648 9999999999999999999 1000999:110999 / / rw shared:4294967296 - a b rw\n")
    assert (mount.mount_id, mount.parent_id) == (2**31, 10**19 - 1)
    assert mount.device == "1000999:110999"


def test_a_line_of_any_length() -> None:
    lower = b":".join(b"/var/lib/containers/overlay/l/%026d" % layer for layer in range(50_000))
    mount = one(b"1 1 0:1 / / rw - overlay overlay rw,lowerdir=%b,index=off\n" % lower)
    assert len(mount.super_options[1]) > 1_000_000


# Tables


def test_no_data_is_an_empty_table() -> None:
    assert parse_mountinfo(b"") == []
    assert format_mountinfo([]) == b""


def test_a_missing_last_newline_is_remembered() -> None:
    table = parse_mountinfo(GOOD + GOOD[:-1])
    assert len(table) == 2
    assert table.unterminated
    assert format_mountinfo(table) == GOOD + GOOD[:-1]
    assert format_mountinfo(list(table)) == GOOD + GOOD


def test_equal_options_are_one_object() -> None:
    first, second = parse_mountinfo(GOOD + GOOD)
    assert first.options is second.options
    assert first.super_options is second.super_options


def test_strict_reading_raises_at_the_first_bad_line() -> None:
    with pytest.raises(ParseError) as caught:
        parse_mountinfo(GOOD + b"hello\n" + b"44 44\n", file="/tmp/x")
    error = caught.value
    assert (error.file, error.line, error.column, error.text) == ("/tmp/x", 2, 1, b"hello")
    assert str(error).startswith("/tmp/x:2:1: found 'hello', expected a mount ID")


def test_lenient_reading_keeps_the_good_lines_and_names_the_bad_ones() -> None:
    table = parse_mountinfo(b"hello\n" + GOOD + b"\n" + GOOD + b"44 44", strict=False)
    assert table == parse_mountinfo(GOOD + GOOD)
    assert [problem.line for problem in table.problems] == [1, 3, 5]
    assert not table.unterminated
    assert format_mountinfo(table) == GOOD + GOOD


def test_good_tables_have_no_problems() -> None:
    table = parse_mountinfo(GOOD, strict=False)
    assert (table.problems, table.unlisted) == ((), 0)


def test_a_space_in_place_of_no_optional_fields_is_kept_and_remarked() -> None:
    line = b"225 20 0:39 / /run/\xc4\x99 rw  - tmpfs tmpfs rw\n"
    assert one(line, strict=False).propagation == "private"
    table = parse_mountinfo(GOOD + line, strict=False)
    assert len(table) == 2
    (problem,) = table.problems
    assert isinstance(problem, UnusualSpelling)
    assert (problem.line, problem.column) == (2, line.index(b"  - ") + 2)
    assert problem.caret().endswith("\n" + " " * (problem.column - 1) + "^")


def test_two_spaces_before_another_hyphen_are_no_remark() -> None:
    table = parse_mountinfo(b"1 1 0:1 / / rw - 9p x rw,a  - b\n", strict=False)
    assert (len(table), table.problems) == (1, ())


def test_windows_line_ends_are_an_error_of_the_table() -> None:
    crlf = GOOD.replace(b"\n", b"\r\n")
    with pytest.raises(ParseError, match=r"carriage return at the end of every line.*Windows"):
        parse_mountinfo(crlf + crlf)
    table = parse_mountinfo(crlf + crlf, strict=False)
    assert len(table) == 2
    assert [type(problem) for problem in table.problems] == [UnusualSpelling]
    assert format_mountinfo(table) == crlf + crlf
    # Of one line it cannot be told: the kernel leaves a carriage return raw.
    assert one(crlf).super_options == ("rw", "errors=continue\r")
    assert len(parse_mountinfo(crlf + GOOD)) == 2


def test_problems_are_bounded_and_all_counted() -> None:
    table = parse_mountinfo(b"hello\n" * (MOST_PROBLEMS + 5) + GOOD + b"1 1 0:1 / / rw  - a b c\n" * 2, strict=False)
    assert len(table) == 3
    assert len(table.problems) == MOST_PROBLEMS
    assert table.unlisted == 7


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda table: pickle.loads(pickle.dumps(table))])
def test_tables_can_be_copied_and_sent(duplicate: object) -> None:
    assert callable(duplicate)
    table = parse_mountinfo(b"hello\n1 1 0:1 / /a\\04 rw - tmpfs x rw", strict=False)
    # Libraries that send tracebacks along (tblib, which Dask brings) find none.
    assert {(problem.__traceback__, problem.__context__) for problem in table.problems} == {(None, None)}
    again = duplicate(table)
    assert isinstance(again, MountTable)
    assert again == table
    assert again.unterminated
    assert again[0].spelling == table[0].spelling
    assert [str(problem) for problem in again.problems] == [str(problem) for problem in table.problems]


# Writing


def test_names_are_escaped_as_the_kernel_does() -> None:
    special = " \t\n\\#\r\xa0\udcff"
    mount = Mount(1, 2, "0:1", f"/{special}", f"/{special}", ("rw",), special, special, ("rw",))
    path, name = b"/\\040\\011\\012\\134#\r\xc2\xa0\xff", b"\\040\\011\\012\\134\\043\r\xc2\xa0\xff"
    assert format_mountinfo([mount]) == b"1 2 0:1 %b %b rw - %b %b rw\n" % (path, path, name, name)


def test_the_spelling_is_kept_until_the_mount_is_changed() -> None:
    (mount,) = parse_mountinfo(b"1 1 0:1 / /a rw master:2 shared:1 - nfs4 host:/#x rw\n", strict=False)
    assert format_mountinfo([mount]) == b"1 1 0:1 / /a rw master:2 shared:1 - nfs4 host:/#x rw\n"
    changed = replace(mount, peer_group=None)
    assert format_mountinfo([changed]) == b"1 1 0:1 / /a rw master:2 - nfs4 host:/\\043x rw\n"


@pytest.mark.parametrize("spelling", [b"", b"hello", b"1 1 0:1 / /b rw - a b c", b"1 1 0:1 / /a rw - a b c\nhello"])
def test_a_spelling_that_says_something_else_is_not_written(spelling: bytes) -> None:
    mount = Mount(1, 1, "0:1", "/", "/a", ("rw",), "a", "b", ("c",), spelling=spelling)
    assert format_mountinfo([mount]) == b"1 1 0:1 / /a rw - a b c\n"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mount_id", -1),
        ("parent_id", 10**19),
        ("device", "x"),
        ("root", ""),
        ("mount_point", "relative"),
        ("options", ()),
        ("options", ("rw shared:1",)),
        ("unknown_tags", ("-",)),
        ("unknown_tags", ("shared:x",)),
        ("unknown_tags", ("a\nb",)),
        ("fs_type", ""),
        ("super_options", ("rw\n1 1 0:1 / /evil rw - a b c",)),
        ("super_options", ()),
        ("source", "\ud800"),
    ],
)
def test_what_no_line_can_say_is_refused(field: str, value: object) -> None:
    good = Mount(7, 1, "0:1", "/", "/a", ("rw",), "a", "b", ("c",))
    given: dict[str, object] = {field: value}
    name = {"unknown_tags": "optional_fields"}.get(field, field)
    with pytest.raises(UsageError, match=name):
        format_mountinfo([replace(good, **given)])  # type: ignore[arg-type]
