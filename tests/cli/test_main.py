"""The command line as a whole: overview, errors, exit codes, where a report goes."""

import argparse
import errno
import importlib
import json
import os
import pty
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

from mntscope.cli import main
from mntscope.cli.files import write as write_file
from mntscope.cli.main import OVERVIEW
from mntscope.cli.output_options import add_output_options, page, write_output
from mntscope.cli.parser import COMMANDS, GROUPS, command_parser, parse
from mntscope.errors import AccessError, KernelError, MntscopeError, ParseError, TargetError


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A command ``diff`` that does what a test tells it to."""
    module = ModuleType("mntscope.cli.diff")
    module.HELP = "a command"  # type: ignore[attr-defined]
    module.EXAMPLES = ()  # type: ignore[attr-defined]
    module.configure = lambda parser: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mntscope.cli.diff", module)
    return module


def failing(module: ModuleType, error: BaseException) -> None:
    def run(arguments: argparse.Namespace) -> int:
        raise error

    module.run = run  # type: ignore[attr-defined]


def test_overview_names_every_command_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert OVERVIEW in shown
    for name, help_line in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(help_line)}$", shown, re.MULTILINE)
    assert "file:PATH" in shown
    assert "2  trouble" in shown
    assert max(map(len, shown.splitlines())) <= 110


def test_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"mntscope {version('mntscope')}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_of_itself_what_the_overview_says(name: str) -> None:
    module = importlib.import_module(f"mntscope.cli.{name}")
    assert module.HELP == COMMANDS[name]


# What completion writes is for a shell, which knows no other form.
@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "completion"])
def test_every_command_has_a_format_json_and_an_output(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    # A fleet's options are those of its actions.
    main([*((name, "report") if name == "fleet" else (name,)), "--help"])
    usage = capsys.readouterr().out
    assert "--format" in usage
    assert "json" in usage
    assert "--output" in usage


def test_starting_loads_nothing_heavy() -> None:
    program = "import sys, mntscope.cli; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pandas", "numpy", "lark", "rich", "dask"} & set(loaded)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["dif"], "mntscope: no command 'dif'; did you mean diff?"),
        (["fsck"], "mntscope: no command 'fsck'; there are diff, "),
        (["--wrong"], "mntscope: unrecognized arguments: --wrong; try mntscope --help"),
        (["\x1b[2J"], r"mntscope: no command '\x1b[2J'; there are diff, "),
    ],
)
def test_a_wrong_command_line_is_one_line(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(line)
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (TargetError("no such process", where="4711", hint="see ps"), "mntscope: 4711: no such process; see ps\n"),
        (
            KernelError("setns", errno.EPERM, where="ns:/x"),
            "mntscope: ns:/x: setns: EPERM (Operation not permitted)\n",
        ),
        (MntscopeError("bad\nname \x1b[31m\udcff"), "mntscope: bad\\x0aname \\x1b[31m\\xff\n"),
        (ParseError("no", file="f", line=1, column=2, text=b"abc"), "mntscope: f:1:2: no\n"),
    ],
)
def test_an_error_is_one_line_on_standard_error(
    error: MntscopeError, line: str, command: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(command, error)
    assert main(["diff"]) == 2
    assert capsys.readouterr() == ("", line)


def test_a_bug_is_one_line_that_says_so(command: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    failing(command, ZeroDivisionError("one\ntwo"))
    assert main(["diff"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("mntscope: internal error: ZeroDivisionError: one\\x0atwo; please report it")
    assert said.count("\n") == 1


def test_a_bug_shows_its_traceback_where_asked_to(command: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNTSCOPE_DEBUG", "1")
    failing(command, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main(["diff"])


def test_what_profiles_a_command_tells_of_it_where_asked_to() -> None:
    # A command ends its process, and would end that with it.
    command = [sys.executable, "-m", "cProfile", "-m", "mntscope", "--version"]
    done = subprocess.run(
        command, env={**os.environ, "MNTSCOPE_DEBUG": "1"}, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"mntscope {version('mntscope')}\n")
    assert "function calls" in done.stdout


def test_an_interrupt_is_silent(command: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    failing(command, KeyboardInterrupt())
    assert main(["diff"]) == 130
    assert capsys.readouterr() == ("", "")


# A buffered standard output is the harder case: the interpreter would flush it once more at its end.
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
TABLE = "1 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
WORDS = pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["diff", "--help"], ["diff", "file:-"]], ids=" ".join
)


@WORDS
def test_a_reader_that_has_seen_enough_is_no_error(words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as pipe:
        command = [sys.executable, "-m", "mntscope", *words]
        done = subprocess.run(
            command, input=TABLE, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False, env=BUFFERED
        )
    assert (done.returncode, done.stderr) == (141, "")


@WORDS
def test_a_full_disk_is_one_line(words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "mntscope", *words]
        done = subprocess.run(
            command, input=TABLE, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=BUFFERED
        )
    line = "mntscope: standard output: cannot write: No space left on device\n"
    assert (done.returncode, done.stderr) == (2, line)


@WORDS
def test_a_closed_output_is_one_line(words: list[str]) -> None:
    command = ["sh", "-c", 'exec "$0" -m mntscope "$@" >&-', sys.executable, *words]
    done = subprocess.run(command, input=TABLE, capture_output=True, text=True, check=False, env=BUFFERED)
    assert (done.returncode, done.stderr) == (2, "mntscope: standard output: cannot write: it is closed\n")


def test_a_closed_output_does_not_matter_to_a_file(tmp_path: Path) -> None:
    command = ["sh", "-c", 'exec "$0" -m mntscope diff file:- -o "$1" >&-', sys.executable, str(tmp_path / "out")]
    done = subprocess.run(command, input=TABLE, capture_output=True, text=True, check=False, env=BUFFERED)
    assert done.stderr == ""
    assert done.returncode in (0, 1)
    assert (tmp_path / "out").read_text()


def test_trouble_that_nobody_hears_still_has_its_exit_code() -> None:
    command = ["sh", "-c", 'exec "$0" -m mntscope no-such-command 2>&- >&-', sys.executable]
    assert subprocess.run(command, check=False, env=BUFFERED).returncode == 2


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_output_options(parser, ["table", "json"])
    return parser.parse_args(arguments)


def test_a_report_keeps_the_bytes_of_its_paths(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    write_output(options(), os.fsdecode(b"/\xff/\xc3\xa9\n"))
    assert capfdbinary.readouterr().out == b"/\xff/\xc3\xa9\n"


def test_output_goes_to_a_file_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_output(options("-o", str(out)), os.fsdecode(b"/\xff\n"))
    assert out.read_bytes() == b"/\xff\n"
    assert os.listdir(tmp_path) == ["out"]


def test_output_replaces_a_file_and_keeps_its_mode_and_its_links(tmp_path: Path) -> None:
    out, link = tmp_path / "out", tmp_path / "link"
    out.write_bytes(b"before, and longer")
    out.chmod(0o600)
    link.symlink_to(out)
    write_file(str(link), b"after")
    assert link.is_symlink()
    assert out.read_bytes() == b"after"
    assert out.stat().st_mode & 0o777 == 0o600


def test_output_to_a_device_leaves_the_device(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    write_file(str(fifo), b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert fifo.is_fifo()


def test_output_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="cannot write: No such file or directory"):
        write_file(str(tmp_path / "no" / "file"), b"")
    with pytest.raises(AccessError, match="cannot write: Is a directory"):
        write_file(str(tmp_path), b"")
    with pytest.raises(AccessError, match="/dev/full: cannot write: No space left"):
        write_file("/dev/full", b"x")


def test_a_pipe_and_a_file_get_neither_colour_nor_a_terminals_escapes(tmp_path: Path) -> None:
    drawn = page(options("-o", str(tmp_path / "x")))
    assert not drawn.colour
    assert not drawn.terminal


def on_a_terminal(program: str, **environment: str) -> str:
    """What *program* (Python source) writes when its standard output is a terminal."""
    leader, follower = pty.openpty()
    env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    subprocess.run([sys.executable, "-c", program], stdout=follower, check=True, env={**env, **environment})
    os.close(follower)
    said = os.read(leader, 65536).decode()
    os.close(leader)
    return said


PAGE = """
import argparse, json
from mntscope.cli.output_options import add_output_options, page
parser = argparse.ArgumentParser()
add_output_options(parser, ["table"])
drawn = page(parser.parse_args([]))
print(json.dumps([drawn.width, drawn.terminal, drawn.colour]))
"""


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TERM": "xterm", "COLUMNS": "40"}, [40, True, True]),
        ({"TERM": "xterm", "COLUMNS": "140", "NO_COLOR": "1"}, [140, True, False]),
        ({"TERM": "dumb", "COLUMNS": "80"}, [80, True, False]),
    ],
)
def test_a_terminal_is_used_as_it_is(environment: dict[str, str], expected: list[object]) -> None:
    assert json.loads(on_a_terminal(PAGE, **environment)) == expected


def test_options_may_stand_between_the_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    sandbox = "snapshot:fixtures/sandbox.mntscope.json#4711"
    together, apart = (["diff", sandbox, "/proc", "--all"], ["diff", sandbox, "--all", "/proc"])
    assert main(together) == main(apart) == 1
    shown = capsys.readouterr().out
    assert shown[: len(shown) // 2] * 2 == shown


def test_options_behind_two_dashes_belong_to_another_program() -> None:
    arguments = parse(command_parser("lab"), ["--act", "2", "--", "diff", "{pid}", "--against", "{host}"])
    assert (arguments.acts, arguments.command) == ([2], ["diff", "{pid}", "--against", "{host}"])
    assert parse(command_parser("isolate"), ["4711", "--dry-run"]).paths == ["/proc"]


def test_alone_it_tells_of_its_commands_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    told = capsys.readouterr().out
    assert re.findall(r"^([A-Z][\w, ]+)$", told, re.MULTILINE) == list(GROUPS)
    assert re.findall(r"^  (\w+)  ", told, re.MULTILINE) == list(COMMANDS)


def test_help_is_a_command_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help"]) == 0
    assert "Exit codes:" in capsys.readouterr().out
    assert main(["help", "ns"]) == main(["ns", "--help"]) == 0
    first, second = capsys.readouterr().out.split("usage: mntscope ns")[1:]
    assert first == second


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["diff", "self", "--fromat", "json"], "did you mean --format?"),
        (["ns", "--snapshto=x"], "did you mean --snapshot?"),
        (["help", "holder"], "did you mean holders?"),
        (["predict", "mount", "-t", "proc", "proc", "/proc"], "mntscope predict self -- mount .."),
        (["predict", "/usr/bin/unshare", "-m"], "mntscope predict self -- /usr/bin/unshare .."),
        (["explain", "leak"], "did you mean leak-to-host?"),
        (["explain", "leek-to-host"], "did you mean leak-to-host?"),
        (["ns", "--columns", "namespace,wurst-leak"], "did you mean WORST-LEAK?"),
        (["ns", "--columns", "namespace,nothing"], "there are NAMESPACE, INODE,"),
    ],
)
def test_a_slip_is_told_what_was_meant(words: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert hint in complaint
