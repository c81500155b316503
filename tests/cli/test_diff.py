"""``mntscope diff`` on this kernel, and on files."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mntscope.cli import main
from mntscope.kernel import syscalls
from tests.support.throwaway import NOBODY, Host, Mode

HOST = b"""\
20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
21 20 0:5 / /proc rw shared:12 - proc proc rw
"""
TARGET = b"""\
40 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
41 40 0:5 / /proc rw shared:12 - proc proc rw
"""


@pytest.fixture
def tables(tmp_path: Path) -> tuple[str, str]:
    """Two tables as TARGETs: the host's, and that of a process which leaks."""
    (tmp_path / "host").write_bytes(HOST)
    (tmp_path / "target").write_bytes(TARGET)
    return f"file:{tmp_path / 'host'}", f"file:{tmp_path / 'target'}"


def asked(host: Host, *words: object) -> tuple[int, Any]:
    """The exit code and the JSON of ``mntscope diff WORDS..`` in the host."""
    done = host.mntscope("diff", *words, "--format", "json")
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


# Verdicts on real namespaces


def test_a_copied_namespace_leaks_and_proc_is_critical(machine: Host) -> None:
    target = machine.unshare("unchanged")
    code, found = asked(machine, target.inner)
    assert (code, found["schema"], found["verdict"]) == (1, "mntscope.diff/1", "leaks")
    (proc,) = [leak for leak in found["leaks"] if leak["path"] == "/proc"]
    assert proc["direction"] in ("out", "both")
    assert proc["lands_at"] == ["/proc"]
    assert proc["severity"] == "critical"
    printed = re.search(rb"^.* /proc .* shared:(\d+) .*$", machine.mountinfo(target), re.MULTILINE)
    assert printed is not None
    assert proc["peer_group"] == int(printed[1])


@pytest.mark.parametrize(
    ("propagation", "verdict"), [("slave", "receives"), ("private", "isolated"), ("unbindable", "isolated")]
)
def test_a_namespace_of_slaves_or_private_mounts_is_fine(machine: Host, propagation: Mode, verdict: str) -> None:
    code, found = asked(machine, machine.unshare(propagation).inner)
    assert (code, found["verdict"]) == (0, verdict)
    assert not [leak for leak in found["leaks"] if leak["direction"] != "in"]


def test_a_process_without_a_namespace_of_its_own_is_told_so_under_its_own_name(machine: Host) -> None:
    target = machine.spawn()
    code, found = asked(machine, target.inner)
    assert (code, found["verdict"], found["changes"], found["leaks"]) == (1, "same-namespace", [], [])
    assert (found["target"]["label"], found["target"]["pid"]) == (str(target.inner), target.inner)
    assert found["target"]["mount_namespace"] == found["host"]["mount_namespace"]
    shown = machine.mntscope("diff", target.inner).stdout
    assert re.match(rf"SAME NAMESPACE  {target.inner} \(\w+\) lives in the mount namespace of the host\.\n", shown)


@pytest.mark.parametrize("word", ["host", "1", "self"])
def test_the_host_compared_with_itself(machine: Host, word: str) -> None:
    code, found = asked(machine, word)
    assert (code, found["verdict"]) == (1, "same-namespace")


def test_against_says_who_plays_the_host(machine: Host) -> None:
    one = machine.unshare("slave")
    other = machine.unshare("private")
    code, found = asked(machine, one.inner, "--against", other.inner)
    assert (code, found["verdict"]) == (0, "isolated")
    assert found["host"]["label"] == str(other.inner)
    shown = machine.mntscope("diff", one.inner, "--against", other.inner).stdout
    assert re.search(rf"between {one.inner} \(\w+\) and {other.inner} \(\w+\), the host\. ", " ".join(shown.split()))


def test_a_path_is_answered_by_the_mount_that_contains_it(machine: Host) -> None:
    def only_proc_is_private() -> None:
        syscalls.mount(None, "/proc", None, syscalls.MS_PRIVATE)

    target = machine.unshare("unchanged", only_proc_is_private)
    assert asked(machine, target.inner)[0] == 1
    code, found = asked(machine, target.inner, "/proc/sys")
    assert (code, found["verdict"], found["path"]) == (0, "isolated", "/proc/sys")
    code, found = asked(machine, target.inner, "/usr")
    assert [(leak["path"], leak["lands_at"]) for leak in found["leaks"]] == [("/usr", ["/usr"])]


def test_changes_are_those_that_were_made(machine: Host) -> None:
    def change() -> None:
        syscalls.mount("none", "/mnt", "tmpfs", 0)
        syscalls.mount(None, "/proc", None, syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY)

    found = asked(machine, machine.unshare("private", change).inner)[1]
    kinds = {(change["kind"], change["path"]) for change in found["changes"]}
    assert {("added", "/mnt"), ("remounted", "/proc")} <= kinds


@pytest.mark.parametrize(
    ("host_root", "landings"), [("b", []), ("a/x", [("/srv/x", ["/opt"])]), ("a", [("/srv", ["/opt"])])]
)
def test_binds_of_directories_leak_where_they_overlap(
    machine: Host, host_root: str, landings: list[tuple[str, list[str]]]
) -> None:
    """One tmpfs, one peer group: the target keeps only its directory a, the host only *host_root*."""

    def mount_binds() -> None:
        syscalls.mount("none", "/mnt", "tmpfs", 0)
        os.makedirs("/mnt/a/x")
        os.makedirs("/mnt/b")
        syscalls.mount("/mnt/a", "/srv", None, syscalls.MS_BIND)
        syscalls.mount(f"/mnt/{host_root}", "/opt", None, syscalls.MS_BIND)

    def keep_srv() -> None:
        # So that umounts of either stay where they are.
        syscalls.mount(None, "/", None, syscalls.MS_PRIVATE)
        syscalls.umount2("/mnt", 0)
        syscalls.umount2("/opt", 0)

    def keep_opt() -> None:
        syscalls.umount2("/mnt", 0)
        syscalls.umount2("/srv", 0)

    machine.call(mount_binds)
    target = machine.unshare("unchanged", keep_srv)
    machine.call(keep_opt)
    found = asked(machine, target.inner)[1]
    leaks = [(leak["path"], leak["lands_at"]) for leak in found["leaks"] if leak["path"].startswith("/srv")]
    assert leaks == landings
    assert asked(machine, target.inner, "/srv/x")[0] == (1 if landings else 0)


def test_the_command_that_is_shown_stops_the_leak(machine: Host) -> None:
    target = machine.unshare("unchanged")
    (leak,) = asked(machine, target.inner, "/proc")[1]["leaks"]
    assert machine.run(["sh", "-c", leak["command"]]).returncode == 0
    assert asked(machine, target.inner, "/proc")[0] == 0


def test_the_command_for_all_stops_every_leak(machine: Host) -> None:
    target = machine.unshare("unchanged")
    lines = machine.mntscope("diff", target.inner).stdout.splitlines()
    assert lines[-2] == "  To stop all of them, and still let the host's umounts in:"
    assert machine.run(["sh", "-c", lines[-1]]).returncode == 0
    assert asked(machine, target.inner)[1]["verdict"] == "receives"


def test_the_command_that_is_shown_reaches_into_a_chroot(machine: Host) -> None:
    def chroot() -> None:
        syscalls.mount("/", "/mnt", None, syscalls.MS_BIND | syscalls.MS_REC)
        os.chroot("/mnt")

    target = machine.unshare("unchanged", chroot)
    (leak,) = asked(machine, target.inner, "/proc")[1]["leaks"]
    assert "/mnt/proc" in leak["lands_at"]
    assert machine.run(["sh", "-c", leak["command"]]).returncode == 0
    assert asked(machine, target.inner, "/proc")[0] == 0


def test_damage_that_is_done_is_told_and_its_repair_repairs_it(machine: Host) -> None:
    target = machine.unshare("unchanged", lambda: syscalls.mount("proc", "/proc", "proc", 0), new_pids=True)
    assert machine.mountinfo().count(b" - proc ") == 2
    done = machine.mntscope("diff", "host")
    assert done.returncode == 1
    assert "\nDAMAGE  the host's /proc is covered by the proc of another PID namespace" in done.stdout.replace(
        "\n\n", "\n"
    )
    assert machine.run(["umount", "/proc"]).returncode == 0
    assert "DAMAGE" not in machine.mntscope("diff", target.inner).stdout


# Trouble: exit 2, one line


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("mntscope: ")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("mntscope: ").removesuffix("\n")


def test_a_process_that_does_not_exist(machine: Host) -> None:
    assert "999999" in one_line(machine.mntscope("diff", 999999))


def test_a_process_that_was_killed(machine: Host) -> None:
    target = machine.unshare("private")
    machine.kill(target)
    assert str(target.inner) in one_line(machine.mntscope("diff", target.inner))


def test_a_process_that_is_dead_but_not_yet_waited_for(machine: Host) -> None:
    code = (
        "import os, sys; pid = os.fork()\nif not pid: os._exit(0)\nos.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)\n"
    )
    code += "os.execv(sys.executable, [sys.executable, '-m', 'mntscope', 'diff', str(pid)])"
    said = one_line(machine.run([sys.executable, "-c", code]))
    assert "process" in said


@pytest.mark.parametrize("word", ["{pid}", "ns:/proc/{pid}/ns/mnt"])
def test_a_process_of_another_user_is_told_by_its_table(open_machine: Host, word: str) -> None:
    target, inside = open_machine.unshare("unchanged"), open_machine.spawn()
    words = [word.format(pid=pid) for pid in (target.inner, inside.inner)]
    as_root, as_nobody = (
        json.loads(open_machine.mntscope("diff", words[0], "--format", "json", uid=uid).stdout) for uid in (0, NOBODY)
    )
    assert as_nobody["verdict"] == as_root["verdict"] == "leaks"
    assert as_nobody["leaks"] == [leak | {"command": leak["command"]} for leak in as_root["leaks"]]
    assert "may not be read" in json.dumps(as_nobody["not_seen"])
    same = open_machine.mntscope("diff", words[1], "--format", "json", uid=NOBODY)
    assert (same.returncode, json.loads(same.stdout)["verdict"]) == (1, "same-namespace")
    for command in (["tree", words[0]], ["graph", words[0]], ["predict", words[0], "--", "umount", "/proc"]):
        done = open_machine.mntscope(*command, uid=NOBODY)
        assert (done.returncode in (0, 1), done.stderr) == (True, "")


# PATH


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("proc", "as in '/proc'"),
        ("./proc", "as in '/proc'"),
        ("34", "to compare two targets: mntscope diff 1 --against 34"),
        ("host", "to compare two targets: mntscope diff 1 --against host"),
        ("file:/x", "to compare two targets: mntscope diff 1 --against file:/x"),
    ],
)
def test_a_path_is_absolute(machine: Host, path: str, hint: str) -> None:
    said = one_line(machine.mntscope("diff", 1, path))
    assert f"'{path}' is no absolute path" in said
    assert hint in said


def test_what_umount_would_do_is_said_as_predict_says_it(machine: Host) -> None:
    """What is mounted at the path is private, and the mount below it a peer: umount is an event of the latter."""
    machine.call(syscalls.mount, "inner", "/mnt", "tmpfs", 0)
    target = machine.unshare("unchanged", lambda: syscalls.mount(None, "/mnt", None, syscalls.MS_PRIVATE))
    code, found = asked(machine, target.inner, "/mnt")
    assert (code, found["verdict"]) == (0, "isolated")
    assert found["umount"]["command"] == "umount /mnt"
    assert (found["umount"]["errno"], found["umount"]["outside"]) == (None, 1)
    shown = machine.mntscope("diff", target.inner, "/mnt").stdout
    predicted = machine.mntscope("predict", target.inner, "--", "umount", "/mnt").stdout
    assert "ISOLATED  no mount at /mnt crosses" in shown
    for line in ("CHANGES THE HOST  1 mount there.", "/mnt (tmpfs) would be unmounted"):
        assert line in shown
        assert line in predicted
    before = machine.mountinfo()
    assert machine.run(["nsenter", "-t", str(target.inner), "-m", "umount", "/mnt"]).returncode == 0
    assert len(before.splitlines()) - len(machine.mountinfo().splitlines()) == 1


def test_a_path_at_which_nothing_is_mounted_has_no_umount(machine: Host) -> None:
    target = machine.unshare("private")
    assert asked(machine, target.inner, "/usr/lib")[1]["umount"] is None


def test_what_is_stacked_and_alike_is_said_once(machine: Host) -> None:
    def stack() -> None:
        for _ in range(3):
            syscalls.mount("same", "/mnt", "tmpfs", 0)

    shown = machine.mntscope("diff", machine.unshare("private", stack).inner).stdout
    said = [line.split() for line in shown.splitlines() if "added" in line and "/mnt" in line]
    assert said == [["added", "/mnt", "tmpfs", "same,", "hidden,", "2", "times"], ["added", "/mnt", "tmpfs", "same"]]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["file:/dev/null"], "file:/dev/null: it is empty"),
        (["file:/no/such/file"], "/no/such/file"),
        (["file:/"], "/"),
        (["nonsense"], "'nonsense' is no TARGET"),
        (["-5"], "'-5' is no TARGET"),
        (["1", "--wrong"], "unrecognized arguments: --wrong; try mntscope diff --help"),
        ([], "the following arguments are required: TARGET; as in mntscope diff 4711"),
        (["1", "/", "extra"], "unrecognized arguments: extra"),
        (["1", "--format", "yaml"], "argument --format: invalid choice: 'yaml'"),
        (["self", "--against", "file:/dev/null"], "file:/dev/null"),
        (["ns:/etc/passwd"], "/etc/passwd"),
        (["99999999999999999999"], "no such process"),
        (["\x1b[2J"], r"\x1b[2J"),
        (["file:/\udcff"], r"/\xff"),
    ],
)
def test_a_target_that_is_none_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", *words]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert shown.err.startswith("mntscope: ")
    assert said in shown.err


@pytest.mark.parametrize("garbage", [b"garbage\n", b"\0" * 1000, os.urandom(4096), b"1 2 3:4 / / rw", b"\x1b[2J\n"])
def test_a_file_of_garbage_is_one_line(garbage: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_bytes(garbage)
    assert main(["diff", f"file:{tmp_path / 'file'}"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert f"{tmp_path / 'file'}" in shown.err
    assert "internal error" not in shown.err


# Files, and where the result goes


def test_two_files_are_compared(tables: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    host, target = tables
    assert main(["diff", target, "--against", host]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.startswith(f"LEAKS all 2 mounts in {target} propagate to {host}, the host. ")


def test_standard_input_is_a_file_too(tables: tuple[str, str]) -> None:
    command = [sys.executable, "-m", "mntscope", "diff", "file:-", "--against", tables[0], "--format", "json"]
    done = subprocess.run(command, input=TARGET, capture_output=True, check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["verdict"] == "leaks"


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_a_file_gets_what_a_pipe_gets(
    form: str, tables: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host, target = tables
    words = ["diff", target, "--against", host, "--format", form]
    assert main(words) == 1
    assert main([*words, "-o", str(tmp_path / "out")]) == 1
    assert (tmp_path / "out").read_text() == capsys.readouterr().out


def test_a_file_that_cannot_be_written_is_trouble(tables: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", tables[1], "--against", tables[0], "-o", "/no/such/directory/out"]) == 2
    assert capsys.readouterr().err == "mntscope: /no/such/directory/out: cannot write: No such file or directory\n"


def test_a_diff_loads_no_data_frames(tables: tuple[str, str]) -> None:
    program = (
        "import sys; from mntscope.cli import main; main(sys.argv[1:]);"
        " print(*sorted({'pandas', 'numpy', 'lark'} & set(sys.modules)), file=sys.stderr)"
    )
    command = [sys.executable, "-c", program, "diff", tables[1], "--against", tables[0]]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == "\n"
