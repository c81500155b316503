"""``mntscope``: which command is asked for, and what becomes of its result or its error."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress

from mntscope.base import signals
from mntscope.base.suggestion import did_you_mean
from mntscope.cli.output_options import TARGETS, write_standard_output
from mntscope.cli.parser import COMMANDS, Help, Parser, command_parser, commands_text, examples, parse
from mntscope.cli.progress import shown
from mntscope.cli.targets import is_target
from mntscope.errors import MntscopeError, ParseError, UsageError
from mntscope.output.escape import visible

OVERVIEW = "Shows which mounts leak between mount namespaces, why, and the command that stops it."

EXAMPLES = (
    ("mntscope ns", "every mount namespace of this machine, and which of them leak"),
    ("mntscope predict 4711 -- mount -t proc proc /proc", "would the host's /proc be covered, too?"),
)

EXIT_CODES = """\
Exit codes:
  0  nothing found
  1  found: a leak, a finding, what would stay mounted, or a change outside the target
  2  trouble: bad input, no permission, a process that is gone; one line on standard error says what to do
  130, 143  interrupted (SIGINT), or told to end (SIGTERM); nothing is left half done
"""


WITH_A_PROGRAM = ("run", "lab")
"""The commands that give the terminal to another program: they show no progress."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv*; the exit code. Without, it is that of the process, which ends with it, here."""
    if argv is not None:
        try:
            return _outcome(list(argv))
        except KeyboardInterrupt as interrupt:
            return signals.exit_code(interrupt)
    try:
        signals.command_begins()
        code = _outcome(sys.argv[1:])
        signals.command_ends()
    except KeyboardInterrupt as interrupt:
        # What was to be put back has been; what is still buffered would only make more of half a report.
        os._exit(signals.exit_code(interrupt))
    if os.environ.get("MNTSCOPE_DEBUG"):
        # Who profiles it is still to have a word.
        return code
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError, ValueError):
                stream.flush()
    # Python would take all that was loaded apart first, piece by piece: a tenth of what a small answer takes.
    os._exit(code)


def overview() -> argparse.ArgumentParser:
    """The parser of what comes before the command, and the text of ``mntscope --help``."""
    below = f"{TARGETS}\n{EXIT_CODES}\n{examples(EXAMPLES)}"
    parser = Parser(
        prog="mntscope",
        usage="mntscope COMMAND [ARGUMENT ...]",
        description=OVERVIEW,
        epilog=f"{commands_text()}\n{below}",
        formatter_class=Help,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    return parser


def _outcome(argv: list[str]) -> int:
    """The exit code of a command, whose error has been told."""
    try:
        return _run(argv)
    except MntscopeError as error:
        _complain(str(error))
        if isinstance(error, ParseError) and sys.stderr is not None and sys.stderr.isatty():
            sys.stderr.write(f"{error.caret()}\n")
        return error.exit_code
    except BrokenPipeError:
        # The reader (head, less) has seen enough. As a shell has it for one that SIGPIPE ends.
        return 141
    except Exception as error:
        if signals.heard():
            # That is what it was: command_ends() says so.
            return 2
        if os.environ.get("MNTSCOPE_DEBUG"):
            raise
        _complain(
            f"internal error: {type(error).__name__}: {error}; please report it, with what MNTSCOPE_DEBUG=1 prints"
        )
        return 2


def _run(argv: list[str]) -> int:
    start = next((index for index, word in enumerate(argv) if not word.startswith("-")), len(argv))
    try:
        if start and _before_command(argv, start).version:
            return _show_version()
        if start == len(argv):
            write_standard_output(f"{OVERVIEW}\n\n{commands_text()}")
            return 0
        name, rest = argv[start], argv[start + 1 :]
        if name == "help":
            name, rest = (rest[0], ["--help"]) if rest else ("", [])
            if not name:
                overview().print_help()
                return 0
        if name not in COMMANDS:
            raise UsageError(f"no command {name!r}", hint=_command_meant(name, argv))
        arguments = parse(command_parser(name), rest)
        arguments.command_line = ("mntscope", name, *rest)
    except SystemExit as ended:
        # --help has been printed.
        return int(ended.code or 0)
    with nullcontext() if name in WITH_A_PROGRAM else shown(f"mntscope {name}"):
        code: int = arguments.run(arguments)
    if sys.stdout is not None:
        write_standard_output("")
    return code


def _before_command(argv: list[str], start: int) -> argparse.Namespace:
    try:
        return overview().parse_args(argv[:start])
    except UsageError as error:
        if any(word in COMMANDS for word in argv[start:]):
            raise UsageError(error.what, hint=_command_meant("", argv)) from None
        raise


def _command_meant(word: str, argv: Sequence[str]) -> str:
    """What to write in place of *argv*, where a *word* is that is no command."""
    command = next((each for each in argv if each in COMMANDS), None)
    if command is not None and argv[0] != "help":
        others = [each for each in argv if each != command]
        return f"the command comes first: mntscope {command} {' '.join(others)}"
    if is_target(word):
        return f"a command comes first, as in mntscope diff {word}"
    return did_you_mean(word, [*COMMANDS, "help"]) or f"there are {', '.join(COMMANDS)}"


def _show_version() -> int:
    from mntscope.base.own_version import VERSION

    write_standard_output(f"mntscope {VERSION}\n")
    return 0


def _complain(message: str) -> None:
    # Where standard error is closed, sys.stderr is None; there as on a full disk there is nobody to tell.
    if sys.stderr is not None:
        with suppress(OSError):
            sys.stderr.write(f"mntscope: {visible(message)}\n")
            sys.stderr.flush()
