"""``mntscope``: which command is asked for, and what becomes of its result or its error."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from mntscope.cli.common import TARGETS, columns, write_standard_output
from mntscope.errors import MntscopeError, ParseError, UsageError
from mntscope.report.text import visible

COMMANDS = {
    "diff": "what a process sees that the host does not, and what leaks between them",
    "ns": "every mount namespace: whose it is, and what it shares with the host",
    "tree": "the mount tree, with the peers and the master of each mount by name",
    "graph": "who shares with whom: peer groups, their members and masters, across namespaces",
    "holders": "who still has a filesystem mounted, how it got there, and what frees it",
    "audit": "is this machine sound? findings, with evidence and remedy",
    "explain": "what a rule looks for, why it matters, and what to do about it",
    "predict": "what the kernel will do, in every namespace, if a command runs there",
    "isolate": "stop what is mounted at a path from reaching other namespaces: verified, and undoable",
    "undo": "put back what isolate changed, the peer group included",
    "run": "run a command in a mount namespace of its own, from which nothing leaks",
    "capture": "write what can be seen of this machine to a snapshot file",
    "lab": "the whole story of a leaking mount on this kernel, act by act, harmlessly",
    "selftest": "compare predictions with this kernel, in throwaway namespaces",
}

OVERVIEW = "Shows which mounts leak between mount namespaces, why, and the command that stops it."

EXIT_CODES = """\
Exit codes:
  0  nothing found
  1  found: a leak, a finding, what would stay mounted, or a change outside the target
  2  trouble: bad input, no permission, a process that is gone; one line on standard error says what to do
"""


class Help(argparse.RawDescriptionHelpFormatter):
    """As wide as the terminal. argparse would import shutil to find out, for each option of a command."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=columns(otherwise=80) - 2)


class Parser(argparse.ArgumentParser):
    """Reports what it does not understand as one line, like every other error."""

    def error(self, message: str) -> NoReturn:
        """Where argparse would print its usage and exit."""
        raise UsageError(message, hint=f"try {self.prog} --help")

    def print_help(self, file: object = None) -> None:  # noqa: ARG002
        """Where argparse would ignore that it cannot be written."""
        write_standard_output(self.format_help())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv* (by default that of the process, which ends with it); the exit code."""
    if argv is None:
        # Collecting garbage is for programs that last: of what a command loads and reads nothing becomes garbage.
        gc.set_threshold(100_000)
    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    except MntscopeError as error:
        _complain(str(error))
        if isinstance(error, ParseError) and sys.stderr is not None and sys.stderr.isatty():
            sys.stderr.write(f"{error.caret()}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (head, less) has seen enough. As a shell has it for one that SIGPIPE ends.
        return 141
    except Exception as error:
        if os.environ.get("MNTSCOPE_DEBUG"):
            raise
        _complain(
            f"internal error: {type(error).__name__}: {error}; please report it, with what MNTSCOPE_DEBUG=1 prints"
        )
        return 2
    finally:
        if argv is None:
            # Nor need all of it be looked through once more at the end.
            gc.freeze()


def command_parser(name: str) -> argparse.ArgumentParser:
    """The parser of one command; its ``run`` default is the function that carries the command out."""
    # As importlib.import_module has it, but for what importlib itself would load.
    module = __import__(f"mntscope.cli.{name}", fromlist=["run"])
    parser = Parser(
        prog=f"mntscope {name}",
        description=module.HELP,
        formatter_class=Help,
        allow_abbrev=False,
    )
    module.configure(parser)
    parser.set_defaults(run=module.run)
    return parser


def overview() -> argparse.ArgumentParser:
    """The parser of what comes before the command, and the text of ``mntscope --help``."""
    width = max(map(len, COMMANDS))
    commands = "".join(f"  {name:{width}}  {help_line}\n" for name, help_line in COMMANDS.items())
    parser = Parser(
        prog="mntscope",
        usage="mntscope COMMAND [ARGUMENT ...]",
        description=OVERVIEW,
        epilog=f"Commands (mntscope COMMAND --help says more):\n{commands}\n{TARGETS}\n{EXIT_CODES}",
        formatter_class=Help,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    return parser


def _run(argv: list[str]) -> int:
    start = next((index for index, word in enumerate(argv) if not word.startswith("-")), len(argv))
    try:
        if start and overview().parse_args(argv[:start]).version:
            return _show_version()
        if start == len(argv):
            raise UsageError("no command", hint=f"there are {', '.join(COMMANDS)}; try mntscope --help")
        name = argv[start]
        if name not in COMMANDS:
            import difflib

            near = difflib.get_close_matches(name, COMMANDS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
            raise UsageError(f"no command {name!r}", hint=hint)
        arguments = parse(command_parser(name), argv[start + 1 :])
    except SystemExit as shown:
        # --help has been printed.
        return int(shown.code or 0)
    code: int = arguments.run(arguments)
    if sys.stdout is not None:
        write_standard_output("")
    return code


def parse(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    """The arguments of a command; its options may stand before, between and behind the others."""
    # Where there are no options the plain way does the same, and does not begin by writing the usage.
    if "--" not in words and any(word.startswith("-") for word in words):
        # TypeError: it ends in the command line of another program, whose options are not ours.
        with suppress(TypeError):
            return parser.parse_intermixed_args(words)
    return parser.parse_args(words)


def _show_version() -> int:
    # Looked up only here: importlib.metadata takes longer to import than the rest of the program.
    from importlib.metadata import version

    write_standard_output(f"mntscope {version('mntscope')}\n")
    return 0


def _complain(message: str) -> None:
    # Where standard error is closed, sys.stderr is None; there as on a full disk there is nobody to tell.
    if sys.stderr is not None:
        with suppress(OSError):
            sys.stderr.write(f"mntscope: {visible(message)}\n")
            sys.stderr.flush()
