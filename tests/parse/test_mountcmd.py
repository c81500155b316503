"""Command lines, read as the system calls they make; what is not understood is named, with its place."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mntscope.errors import MntscopeError, ParseError, UsageError
from mntscope.parse.commands import Call, Step
from mntscope.parse.mount_program import BEFORE_THE_NEW_CALLS, CHANGES, NEWEST, PRIVATE_EXCUSED, MountProgram
from mntscope.parse.mountcmd import DEEPEST, parse_commands
from mntscope.parse.shell import LONGEST, Text, commands
from tests.support.commands import FORMS, brief


def calls_of(steps: Sequence[Step]) -> Iterator[Call]:
    for step in steps:
        yield from step.calls
        yield from calls_of(step.inside)


def in_words(call: Call) -> str:
    words = brief(call.operation)
    if call.after_shown is not None:
        words = words.replace(" /", ",.. /")
    if call.whole_tree:
        head, _, path = words.rpartition(" ")
        return f"{head} -R {path}"
    return words


@pytest.mark.parametrize(("command", "calls"), FORMS, ids=[command for command, _ in FORMS])
def test_a_command_is_the_calls_it_makes(command: str, calls: list[str]) -> None:
    steps = parse_commands(command, "A", program=BEFORE_THE_NEW_CALLS)
    assert [in_words(call) for call in calls_of(steps)] == [call.strip("()") for call in calls]


@pytest.mark.parametrize("program", ["sudo ", "sudo -nE -- ", "/usr/bin/", "sh -c ", "sudo bash -c "])
def test_a_command_may_be_run_by_another(program: str) -> None:
    command = "mount --make-slave /a"
    whole = program + (shlex.quote(command) if program.endswith("-c ") else command)
    assert [in_words(call) for call in calls_of(parse_commands(whole, "A"))] == ["make-slave /a"]


MISUNDERSTOOD = [
    # what, where (column, or line and column), and a part of the reason
    ("mount --blah", 7, "option '--blah' is not understood"),
    ("mount --make-privat /x", 7, "did you mean --make-private?"),
    ("mount --make-p /x", 7, "did you mean --make-private?"),
    ("mount --bind=yes /a /b", 7, "'--bind' takes no value"),
    ("mount -nx /a", 9, "option '-x' is not understood"),
    ("mount -a", 8, "option '-a' is not understood"),
    ("mount /a /b -o", 13, "option '-o' needs a value"),
    ("mount /a /b --types", 13, "option '--types' needs a value"),
    ("mount", 1, "mount of nothing"),
    ("mount /x", 7, "/etc/fstab"),
    ("mount --bind /x", 14, "/etc/fstab"),
    ("mount --target /x", 16, "/etc/fstab"),
    ("mount /a /b /c", 13, "'/c' is one word too many"),
    ("mount --target /a /b /c", 22, "'/c' is one word too many"),
    ("mount --bind a /b", 14, "'a' is not an absolute path"),
    ("mount --bind /a b", 17, "'b' is not an absolute path"),
    ("mount -t proc proc proc", 20, "'proc' is not an absolute path"),
    ("mount proc /proc", 7, "the filesystem type of 'proc' is not given"),
    ("mount -t ext4,xfs /dev/x /mnt", 10, "not one filesystem type"),
    ("mount -t nonfs /dev/x /mnt", 10, "not one filesystem type"),
    ("mount --bind --move /a /b", 14, "exclude each other"),
    ("mount -o move,rbind /a /b", 15, "exclude each other"),
    ("mount -t tmpfs --bind /a /b", 8, "refuses --types beside --bind"),
    ("mount --bind --source /a --target /b", 14, "refuses --source beside --bind"),
    ("mount -o bind,frobnicate /a /b", 15, "option 'frobnicate' is not understood"),
    ("mount -o bind,ro=recursive /a /b", 15, "option 'ro=recursive' is not understood"),
    ("mount -o 'bind,a=\"b' /a /b", 16, "option 'a=\"b' is not understood"),
    ("mount --make-private -o noexec /a", 32, "takes no other options"),
    ("mount --make-private --make-rprivate /a", 22, "private is given twice"),
    ("mount -o remount,ro /x", 10, "remount changes the filesystem wherever it is mounted"),
    ("mount -o remount,bind /x", 10, "remount,bind without ro or rw"),
    ("umount", 1, "umount of nothing"),
    ("umount -l", 1, "umount of nothing"),
    ("umount -a", 9, "option '-a' is not understood"),
    ("umount x", 8, "'x' is not an absolute path"),
    ("umount ''", 8, "'' is not an absolute path"),
    ("unshare --propagation some", 23, "no propagation 'some'"),
    ("unshare --mount-proc= sh", 9, "option '--mount-proc' needs a value"),
    ("unshare --fork=/run/ns sh", 9, "'--fork' takes no value"),
    ("unshare --mount=ns sh", 17, "'ns' is not an absolute path"),
    ("nsenter -m mount --make-shared /", 1, "nsenter into what?"),
    ("nsenter -t 12 -m umount /a", 12, "the mount namespace of '12' is not known"),
    ("mount --beneath --make-shared /", 1, "--beneath is for what is mounted"),
    ("pivot_root /a", 14, "pivot_root of nothing"),
    ("unshare -m mount --blah", 18, "option '--blah' is not understood"),
    ("unshare -m sh -c 'mount --bind a /b'", 32, "'a' is not an absolute path"),
    ("sudo", 5, "sudo of nothing"),
    ("sudo -u me mount /a", 7, "option '-u' is not understood"),
    ("ls", 1, "'ls' is not predicted; mount, umount, unshare and nsenter are"),
    ("umount /a && ls", 14, "'ls' is not predicted"),
    ("sudo ls", 6, "'ls' is not predicted"),
    ("./mount /a /b", 1, "'./mount' is not predicted"),
    ("bash script", 1, "'bash' is not predicted"),
    ("sudo " * DEEPEST + "mount", 81, "too many programs run one another"),
    # what a shell would do more than split words
    ("", 1, "no command"),
    (" \n ", 1, "no command"),
    ("# umount /a", 1, "what follows a # is a comment"),
    ("umount '/a", 8, "the quote ' is never closed"),
    ('umount "/a', 8, 'the quote " is never closed'),
    ("umount /a\\", 10, "a backslash with nothing behind it"),
    ("umount /a &&", 13, "a command is missing after &&"),
    ("&& umount /a", 1, "a command is missing before &&"),
    ("umount /a;; umount /b", 11, "a command is missing before ;"),
    ("umount /a || umount /b", 11, "a pipe or || is not predicted"),
    ("umount /a | cat", 11, "a pipe or || is not predicted"),
    ("umount /a &", 11, "a command in the background"),
    ("umount /a > /b", 11, "a redirection"),
    ("(umount /a)", 1, "a subshell"),
    ("umount $a", 8, "a variable or substitution is not expanded"),
    ('umount "/a$b"', 11, "a variable or substitution is not expanded"),
    ("umount `a`", 8, "a command substitution is not expanded"),
    ("umount /a*", 10, "a wildcard is not expanded"),
    ("umount /{a,b}", 9, "braces are not expanded"),
    ("umount ~/a", 8, "'~/a' is not an absolute path"),
    ("umount /a\x01", 10, r"a command cannot hold '\x01'"),
    ("umount '/a\0'", 8, "never closed"),
    ("umount '/é' b", 14, "'b' is not an absolute path"),
    ("umount '/\udcff' b", 13, "'b' is not an absolute path"),
    ("umount /a\n\n  umount --b\\\nlah", (3, 10), "option '--blah' is not understood"),
]


@pytest.mark.parametrize(("command", "place", "reason"), MISUNDERSTOOD, ids=[case[0] for case in MISUNDERSTOOD])
def test_what_is_not_understood_is_named_with_its_place(
    command: str, place: int | tuple[int, int], reason: str
) -> None:
    with pytest.raises(ParseError) as caught:
        parse_commands(command, "A")
    assert (caught.value.line, caught.value.column) == (place if isinstance(place, tuple) else (1, place))
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_long_word_is_not_repeated_in_full() -> None:
    error = error_of("umount " + "a" * 10_000)
    assert len(str(error)) < 200


@pytest.mark.parametrize("command", ["umount /" + "a" * LONGEST, "umount /\ud800"])
def test_what_cannot_be_a_command_line_is_refused(command: str) -> None:
    with pytest.raises(UsageError):
        parse_commands(command, "A")


def test_steps_say_what_was_written_where_and_what_joins_them() -> None:
    steps = parse_commands("umount '/a b' && umount /c\n  umount /d; # end", "A")
    assert [(step.joint, step.text, step.line, step.column) for step in steps] == [
        (";", "umount '/a b'", 1, 1),
        ("&&", "umount /c", 1, 18),
        (";", "umount /d", 2, 3),
    ]


def test_what_a_program_runs_stands_inside_its_step() -> None:
    (step,) = parse_commands("unshare -m sh -c 'umount /a && ps; umount \"/b\"'", "A")
    (shell,) = step.inside
    assert shell.text == "sh -c 'umount /a && ps; umount \"/b\"'"
    assert [(inner.joint, inner.text, inner.column, inner.unpredicted) for inner in shell.inside] == [
        (";", "umount /a", 19, None),
        ("&&", "ps", 32, "ps"),
        (";", 'umount "/b"', 36, None),
    ]


def test_unshare_acts_in_a_namespace_of_its_own_and_what_follows_does_not() -> None:
    steps = parse_commands("unshare -m umount /a; umount /b; unshare --mount-proc umount /c", "4711")
    assert [call.operation["ns"] for call in calls_of(steps)] == [
        "4711", "unshare:1", "unshare:1", "4711", "4711", "unshare:2", "unshare:2", "unshare:2",
    ]  # fmt: skip
    assert [step.ends for step in steps] == ["unshare:1", None, "unshare:2"]
    assert [call.operation["ns"] for call in calls_of(parse_commands("unshare -p umount /a", "4711"))] == ["4711"]


def test_labels_that_are_taken_are_left_alone() -> None:
    (step,) = parse_commands("unshare -m true", "A", taken=["unshare:1"])
    assert step.ends == "unshare:2"


@pytest.mark.parametrize(
    ("command", "program"), [("unshare -m", "a shell"), ("unshare -m bash -l", "bash"), ("unshare -m ps aux", "ps")]
)
def test_a_program_that_is_not_predicted_is_reported(command: str, program: str) -> None:
    (step,) = parse_commands(command, "A")
    assert [step.unpredicted, *(inside.unpredicted for inside in step.inside)][-1] == program


def test_a_new_user_namespace_may_change_no_mounts_but_its_own() -> None:
    assert [call.errno for call in calls_of(parse_commands("unshare -U umount /a", "A"))] == ["EPERM"]
    assert [call.errno for call in calls_of(parse_commands("unshare -U unshare -m umount /a", "A"))] == [None] * 3


@pytest.mark.parametrize(
    ("command", "errno"),
    [
        ("unshare -rm mount -t proc p /a", "EPERM"),
        ("unshare -rmp mount -t proc p /a", "EPERM"),
        ("unshare -rmpf mount -t proc p /a", None),
        ("unshare -rm mount -t sysfs p /a", "EPERM"),
        ("unshare -rmn mount -t sysfs p /a", None),
        ("unshare -rm mount -t tmpfs p /a", None),
        ("unshare -m mount -t proc p /a", None),
    ],
)
def test_only_its_owner_mounts_what_shows_a_namespace(command: str, errno: str | None) -> None:
    assert [call.errno for call in calls_of(parse_commands(command, "A"))][-1] == errno


@pytest.mark.parametrize(
    ("command", "doubt"),
    [
        ("mount -t tmpfs -o size=1m,prviate x /a", "what tmpfs makes of the option 'prviate'"),
        ("mount -t ext4 -o data=journal /dev/x /a", "what ext4 makes of the option 'data=journal'"),
        ("unshare -rm mount -t ext4 /dev/x /a", "EPERM if ext4 may not be mounted"),
        ("unshare -rmpf mount -t proc p /a", "EPERM if mounts cover parts of every proc"),
    ],
)
def test_what_the_command_line_cannot_tell_is_said(command: str, doubt: str) -> None:
    (found,) = [doubt for call in calls_of(parse_commands(command, "A")) for doubt in call.doubts]
    assert doubt in found


def test_a_failing_call_ends_a_command_unless_it_goes_on() -> None:
    (proc,) = parse_commands("unshare --propagation unchanged --mount-proc=/a true", "A")
    assert [call.excused for call in proc.calls] == [False, True, False]
    (several,) = parse_commands("umount /a /b", "A")
    assert several.keeps_going


SOUP = """mount umount unshare sudo sh -c -- -m -rm -o bind,ro -oro --bind -B --move --make-rslave --make-private=x
 -t tmpfs proc /a /b '' a --source --target --mount-proc --mount-proc=/x --propagation slave -lR remount,bind ; &&
 # | 'a "b\\ \\ $x"""


@given(st.lists(st.sampled_from(SOUP.split(" "))).map(" ".join) | st.text() | st.text("mount-bdo \n'\"\\;&#/"))
@example("sh -c 'sh -c \"sh -c mount\"'")
@settings(max_examples=400)
def test_any_text_is_understood_or_an_error_of_one_line(text: str) -> None:
    error = error_of(text)
    assert "\n" not in str(error)
    if isinstance(error, ParseError):
        lines = text.encode("utf-8", "surrogateescape").split(b"\n")
        assert error.text == lines[error.line - 1]
        assert 1 <= error.column <= len(error.text) + 1


def error_of(text: str) -> MntscopeError | None:
    try:
        assert parse_commands(text, "A")
    except MntscopeError as error:
        return error
    return None


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1))
def test_quoted_words_come_through_unchanged(words: list[str]) -> None:
    (command,) = commands(Text.of(shlex.join(words)))
    assert [word.chars for word in command.words] == words


@given(st.text("ab '\"\\\n#\t;&"))
@settings(max_examples=150)
def test_words_are_those_of_a_real_shell(text: str) -> None:
    with contextlib.suppress(ParseError):
        found = commands(Text.of(f"printf '%s\\0' {text}"))
        if len(found) == 1:
            shell = subprocess.run(["sh", "-c", f"printf '%s\\0' {text}"], capture_output=True, check=True)
            # printf prints its format once where it is given nothing to print.
            assert ([word.chars for word in found[0].words[2:]] or [""]) == shell.stdout.decode().split("\0")[:-1]


# Since util-linux 2.39

NEWER = [
    ("mount -o bind,ro /a /b", [{"op": "bind", "source": "/a", "target": "/b", "attributes": ("ro",)}]),
    ("mount -o rbind,nodev,nosuid /a /b", [{"op": "bind", "recursive": True, "attributes": ("nosuid", "nodev")}]),
    ("mount -o bind,noatime,relatime /a /b", [{"op": "bind", "attributes": ("relatime",)}]),
    ("mount -o bind,rw /a /b", [{"op": "bind", "attributes": None}]),
    ("mount --bind /a /b", [{"op": "bind", "attributes": None}]),
    ("mount -o bind,ro,private /a /b", [{"op": "bind", "attributes": ("ro",)}, {"op": "propagation"}]),
    ("mount -o move,ro /a /b", [{"op": "remount", "target": "/a", "ro": True}, {"op": "move"}]),
    ("mount -t tmpfs -o noatime,strictatime x /b", [{"op": "mount", "options": ("rw",), "again": True}]),
    ("mount -o remount,bind,ro /a", [{"op": "remount", "ro": True}]),
]


@pytest.mark.parametrize(("command", "calls"), NEWER, ids=[command for command, _ in NEWER])
def test_what_newer_programs_do_otherwise(command: str, calls: list[dict[str, object]]) -> None:
    found = calls_of(parse_commands(command, "A", program=MountProgram.of("util-linux 2.41.1")))
    assert [
        {key: call.operation.get(key) for key in wanted} for call, wanted in zip(found, calls, strict=True)
    ] == calls


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("util-linux 2.38.1", (2, 38)),
        ("2.41", (2, 41)),
        ("util-linux 2.42-rc1", None),
        ("BusyBox 1.36.1", None),
        ("2", None),
        (None, None),
    ],
)
def test_the_version_of_a_program(name: str | None, version: tuple[int, int] | None) -> None:
    assert MountProgram.of(name).version == version


def test_programs_that_are_not_known_are_taken_for_the_newest_and_doubted_where_they_differ() -> None:
    assert all(NEWEST.has(change) for change in CHANGES)
    assert [change for change in CHANGES if BEFORE_THE_NEW_CALLS.has(change)] == [PRIVATE_EXCUSED]
    assert NEWEST.doubts(differs=False) == ()
    assert "util-linux 2.39 or later" in NEWEST.doubts(differs=True)[0]
    assert MountProgram.of("BusyBox 1.36.1").doubts(differs=True) == ()
    assert "BusyBox 1.99.1" in MountProgram.of("BusyBox 1.99.1").doubts(differs=True)[0]


@pytest.mark.parametrize(("program", "excused"), [("util-linux 2.36.1", [False]), ("util-linux 2.38.1", [])])
def test_an_older_unshare_fails_where_proc_has_no_mount_point(program: str, excused: list[bool]) -> None:
    steps = parse_commands("unshare -fp --mount-proc=/x true", "A", program=MountProgram.of(program))
    private = [call for call in calls_of(steps) if call.operation["op"] == "propagation"]
    assert [call.excused for call in private if call.operation["target"] == "/x"] == excused
