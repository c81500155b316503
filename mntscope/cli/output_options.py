"""What the commands share: their options, and how a report leaves the program."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mntscope.errors import AccessError, UsageError

if TYPE_CHECKING:
    from rich.progress import Progress

    from mntscope.output.writers.page import Page

TARGETS = """\
A TARGET is one of
  1234, self           a process
  host                 the mount namespace of pid 1
  ns:PATH              a namespace file, such as /run/docker/netns or /proc/1234/ns/mnt
  file:PATH            a mountinfo text; file:- is standard input
  snapshot:PATH#LABEL  a view of a captured snapshot or sosreport
  container:NAME       a container, by name or id
  web                  whatever mntscope calls it: web (docker), web.service, an inode, mnt:[4026532568]
"""


def add_output_options(parser: argparse.ArgumentParser, formats: Iterable[str]) -> None:
    """As :func:`add_format_options`, and ``-o FILE``."""
    add_format_options(parser, formats)
    parser.add_argument("-o", "--output", metavar="FILE", help="write to FILE (all of it, or nothing) instead")


def add_format_options(parser: argparse.ArgumentParser, formats: Iterable[str]) -> None:
    """``--format`` (*formats* by name, the first by default), ``--json`` and ``--color``."""
    names = list(formats)
    parser.add_argument(
        "--format", choices=names, default=names[0], help=f"how to write the result (default: {names[0]})"
    )
    parser.add_argument("-J", "--json", action="store_const", const="json", dest="format", help="as --format json")
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="whether a table has colours (default: auto, on a terminal; NO_COLOR and FORCE_COLOR are heeded)",
    )
    if "csv" in names:
        parser.add_argument(
            "--csv-exact", action="store_true", help="in CSV, no ' before what a spreadsheet would take for a formula"
        )


def add_table_options(parser: argparse.ArgumentParser, note: str = "") -> None:
    """What util-linux has for a table that a script will read; *note* is on the columns of other formats."""
    of_others = f" ({note})" if note else ""
    parser.add_argument(
        "--columns", metavar="A,B", help=f"these columns, or with + before them these as well{of_others}"
    )
    parser.add_argument("--noheadings", action="store_true", help="the rows of the table, and no more")
    parser.add_argument(
        "--raw", action="store_true", help="cells with one blank between them; in them it is \\x20; an empty one is -"
    )


def columns_of(arguments: argparse.Namespace, known: Iterable[str], usual: Iterable[str]) -> tuple[str, ...] | None:
    """The columns that ``--columns`` asks for; ``None`` where it asks for none.

    :raises UsageError: there is no such column.
    """
    from mntscope.output.chosen import columns_chosen

    known = list(known)
    try:
        return columns_chosen(arguments.columns or "", known, usual) or None
    except KeyError as error:
        raise UsageError(f"no column {error.args[0]!r}", hint=f"there are {', '.join(known)}") from None


def add_against(parser: argparse.ArgumentParser) -> None:
    """``--against TARGET``."""
    parser.add_argument(
        "--against", metavar="TARGET", default="host", help="who plays the host (default: host, pid 1's namespace)"
    )


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """What to call with how much is done, and of how much: a bar on the terminal once it takes more than a moment."""
    bar: Progress | None = None
    started = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal bar
        if bar is None and time.monotonic() - started > 0.5 and sys.stderr is not None and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()
            bar = Progress(*columns, console=Console(stderr=True, force_jupyter=False), transient=True)
            bar.add_task(what)
            bar.start()
        if bar is not None:
            bar.update(bar.task_ids[0], completed=done, total=total)

    try:
        yield show
    finally:
        if bar is not None:
            bar.stop()


def page(arguments: argparse.Namespace) -> Page:
    """The page the report will be read on: the terminal, or plain text for a file or a pipe."""
    from mntscope.output.writers.page import Page

    terminal = _to_standard_output(arguments) and sys.stdout is not None and sys.stdout.isatty()
    no_headings = bool(getattr(arguments, "noheadings", False))
    colour = _coloured(getattr(arguments, "color", "auto"), terminal=terminal)
    return Page(
        width=columns(otherwise=100),
        # Where there is colour, it ends on a terminal, if only behind a pager.
        terminal=terminal or colour,
        colour=colour,
        ascii=_ascii_alone(),
        everything=bool(getattr(arguments, "all", False)),
        rows="raw" if getattr(arguments, "raw", False) else "aligned" if no_headings else "",
        headings=not no_headings,
        exact=bool(getattr(arguments, "csv_exact", False)),
    )


def _coloured(wanted: str, *, terminal: bool) -> bool:
    """Whether there are colours: as *wanted*, else as no-color.org and force-color.org have it."""
    if wanted != "auto":
        return wanted == "always"
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (terminal and os.environ.get("TERM") != "dumb")


def _ascii_alone() -> bool:
    """Whether the locale's characters are those of ASCII: Python itself takes UTF-8 all the same (PEP 540)."""
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG") or "C"
    return locale in ("C", "POSIX")


def columns(otherwise: int) -> int:
    """How wide the terminal is, or as COLUMNS says; *otherwise* where there is neither.

    As shutil.get_terminal_size has it, which takes longer to import than all of this file.
    """
    with suppress(ValueError):
        wanted = int(os.environ.get("COLUMNS", ""))
        if wanted > 0:
            return wanted
    with suppress(OSError):
        return os.get_terminal_size().columns or otherwise
    return otherwise


def write_output(arguments: argparse.Namespace, text: str) -> None:
    """Write the finished report where ``-o`` says, or to standard output.

    :raises AccessError: it cannot be written there.
    :raises RefusedError: somebody else has put there what is there.
    """
    if _to_standard_output(arguments):
        write_standard_output(text)
    else:
        from mntscope.cli.files import write

        write(arguments.output, text.encode("utf-8", "surrogateescape"))


def write_standard_output(text: str) -> None:
    """Write *text*, and what is still buffered, now.

    A terminal gets its own encoding; a file or a pipe gets UTF-8, with the bytes that were not UTF-8 put back.

    :raises AccessError: it cannot be written.
    :raises BrokenPipeError: nobody reads any more.
    """
    if sys.stdout is None:
        raise AccessError("cannot write: it is closed", where="standard output")
    if sys.stdout.isatty():
        data = text.encode(sys.stdout.encoding, "backslashreplace")
    else:
        data = text.encode("utf-8", "surrogateescape")
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        # What could not be written must not be tried again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise AccessError(f"cannot write: {error.strerror}", where="standard output") from error


def _to_standard_output(arguments: argparse.Namespace) -> bool:
    return arguments.output in (None, "-", "/dev/stdout")
