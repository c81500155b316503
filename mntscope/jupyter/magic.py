"""Running a command, and completing one, for IPython."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from mntscope.base.search_path import without_current_directory
from mntscope.base.signals import uninterrupted
from mntscope.cli.completer import completions
from mntscope.cli.parser import COMMANDS, command_parser, parse
from mntscope.errors import MntscopeError
from mntscope.output.escape import visible

if TYPE_CHECKING:
    from argparse import Namespace

    from IPython.core.completer import CompletionContext, SimpleMatcherResult

_MAGIC = re.compile(r"(.*=)?\s*%%?mntscope\s")
"""At the beginning of a line, or behind what its result is given to."""

PATIENCE = 60.0
"""Seconds that a program has to put back what it was changing, when it is interrupted."""


@without_current_directory()
def magic(line: str, cell: str | None = None) -> Any:
    """Run the command in *line*; *cell* is its last argument or, if there is no command, holds one in each line."""
    words = _words(line)
    if cell is None:
        return run(words)
    if words:
        return run([*words, cell.strip()])
    for each in cell.splitlines():
        if (words := _words(each)) and (result := run(words)) is not None:
            from IPython.display import display

            display(result)  # type: ignore[no-untyped-call]
    return None


def run(words: list[str]) -> Any:
    """The result of a command, or ``None`` where it has shown it already.

    :raises IPython.core.error.UsageError: the command failed; its one line says why.
    """
    try:
        asked = _asked(words)
        if asked is not None:
            return importlib.import_module(f"mntscope.cli.{words[0]}").result(asked)
    except MntscopeError as error:
        raise _complaint(str(error)) from None
    _run_program(words)
    return None


@without_current_directory()
def completed(context: CompletionContext) -> SimpleMatcherResult:
    """How the word at the cursor may go on: what IPython asks its matchers."""
    from IPython.core.completer import SimpleCompletion

    found = _MAGIC.match(context.text_until_cursor)
    if found is None:
        return {"completions": []}
    *before, word = _before_cursor(context.text_until_cursor[found.end() :])
    return {
        "completions": [SimpleCompletion(each) for each in completions(before, word)],
        "matched_fragment": word,
        "ordered": True,
        # Nothing that Python has to offer is of use there.
        "suppress": True,
    }


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise _complaint(f"{line.strip()!r} cannot be read: {error}") from None


def _before_cursor(typed: str) -> list[str]:
    """The words before the cursor, the last of them as far as it is typed."""
    try:
        words = shlex.split(typed)
    except ValueError:
        words = typed.split()
    return [*words, ""] if not words or typed[-1:].isspace() else words


def _asked(words: list[str]) -> Namespace | None:
    """The arguments of a command whose result is an object; ``None`` where it is to be written."""
    if not words or words[0] not in COMMANDS or not {"-h", "--help"}.isdisjoint(words):
        return None
    if not hasattr(importlib.import_module(f"mntscope.cli.{words[0]}"), "result"):
        return None
    parser = command_parser(words[0])
    arguments = parse(parser, words[1:])
    written = arguments.output is not None or arguments.format != parser.get_default("format")
    return None if written else arguments


def _run_program(words: list[str]) -> None:
    # -P: what lies in the current directory is not loaded.
    command = [sys.executable, "-P", "-m", "mntscope", *words]
    pipe = subprocess.PIPE
    with uninterrupted():
        # In a session of its own: an interrupt of the kernel is passed on here, and no terminal is asked for anything.
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, start_new_session=True)
    try:
        output, complaints = process.communicate()
    except BaseException:
        with uninterrupted():
            _end(process)
        raise
    sys.stdout.write(_text(output))
    if process.returncode not in (0, 1):
        raise _complaint(_text(complaints).strip().removeprefix("mntscope: ") or f"exit code {process.returncode}")
    sys.stderr.write(_text(complaints))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt it as Ctrl-C would, with all that it runs; kill it if that does not help."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _complaint(message: str) -> Exception:
    """What IPython shows as one line, without a traceback."""
    from IPython.core.error import UsageError as Complaint

    return Complaint(f"mntscope: {visible(message)}")
