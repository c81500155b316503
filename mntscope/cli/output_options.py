"""What the commands share: their options, and how a report leaves the program."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress

from mntscope.base.progress import note
from mntscope.base.suggestion import did_you_mean
from mntscope.cli.progress import hide
from mntscope.errors import AccessError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mntscope.graph.severity import Severity
    from mntscope.output.writers.page import Made, Page

FILED = ("markdown", "html")
"""The formats of documents that are filed, and say how they came to be."""

TARGETS = """\
A TARGET is one of
  1234, self           a process
  host                 the mount namespace of pid 1
  ns:PATH              a namespace file, such as /run/docker/netns or /proc/1234/ns/mnt
  file:PATH            a mountinfo text; file:- is standard input
  snapshot:PATH#LABEL  a view of a captured snapshot or sosreport
  container:NAME       a container, by name or id
  web                  whatever mntscope calls it: web (docker), web.service, an inode, mnt:[4026532568];
                       of a capture behind the #, or with --snapshot
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


def columns_of(arguments: argparse.Namespace, known: Iterable[str], usual: Iterable[str]) -> tuple[str, ...]:
    """The columns that ``--columns`` asks for; empty where it asks for none.

    :raises UsageError: there is no such column.
    """
    from mntscope.output.chosen import columns_chosen

    known = list(known)
    try:
        return columns_chosen(arguments.columns or "", known, usual)
    except KeyError as error:
        hint = did_you_mean(error.args[0], known) or f"there are {', '.join(known)}"
        raise UsageError(f"no column {error.args[0]!r}", hint=hint) from None


def add_against(parser: argparse.ArgumentParser) -> None:
    """``--against TARGET``."""
    parser.add_argument(
        "--against", metavar="TARGET", default="host", help="who plays the host (default: host, pid 1's namespace)"
    )


def add_fail_on(parser: argparse.ArgumentParser, default: str | None = "medium") -> None:
    """``--fail-on SEVERITY``; where *default* is none, something else says what it is unless it is said."""
    # Where only few commands need it: it takes a moment to load.
    from mntscope.graph.severity import SEVERITIES

    parser.add_argument(
        "--fail-on",
        choices=[*SEVERITIES, "never"],
        default=default,
        help="the least severity that makes the exit code 1 (default: medium)",
    )


def fail_on_of(arguments: argparse.Namespace) -> Severity | None:
    """What ``--fail-on`` says; ``None``: never."""
    from mntscope.graph.severity import SEVERITIES

    return next((severity for severity in SEVERITIES if severity == arguments.fail_on), None)


def add_snapshot(parser: argparse.ArgumentParser, *, target: bool = False) -> None:
    """``--snapshot FILE``; whether TARGET then is a view of it."""
    of_it = "of this snapshot or sosreport; TARGET is a view of it"
    whole = "a captured snapshot or sosreport, not the running machine"
    parser.add_argument("--snapshot", metavar="FILE", help=of_it if target else whole)


def page(arguments: argparse.Namespace, columns: tuple[str, ...] = ()) -> Page:
    """The page the report will be read on: the terminal, or plain text for a file or a pipe. *columns* are chosen."""
    from mntscope.output.writers.page import Page

    note("writing the report")
    terminal = to_standard_output(arguments) and sys.stdout is not None and sys.stdout.isatty()
    no_headings = bool(getattr(arguments, "noheadings", False))
    colour = _coloured(getattr(arguments, "color", "auto"), terminal=terminal)
    return Page(
        width=terminal_width(otherwise=100),
        # Where there is colour, it ends on a terminal, if only behind a pager.
        terminal=terminal or colour,
        colour=colour,
        ascii=_ascii_alone(),
        everything=bool(getattr(arguments, "all", False)),
        rows="raw" if getattr(arguments, "raw", False) else "aligned" if no_headings else "",
        headings=not no_headings,
        columns=columns,
        labels=getattr(arguments, "snapshot", None) is not None,
        exact=bool(getattr(arguments, "csv_exact", False)),
        made=_made(arguments) if arguments.format in FILED else None,
    )


def _made(arguments: argparse.Namespace) -> Made | None:
    """How the document comes to be; ``None`` where it was asked for by no command line."""
    words: tuple[str, ...] | None = getattr(arguments, "command_line", None)
    if words is None:
        return None
    from mntscope.base.redaction import redact
    from mntscope.model import Origin
    from mntscope.output.head import this_machine
    from mntscope.output.shell import shell
    from mntscope.output.writers.page import Made

    system = os.uname()
    here = Origin(host_name=system.nodename or None, time=int(time.time()))
    # Passwords may be in the options of a mount command that was asked about.
    told = [redact(os.fsencode(word)) for word in words]
    return Made(shell(tuple(map(os.fsdecode, told))), this_machine(here, system.release, system.version))


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


def terminal_width(otherwise: int) -> int:
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
    if to_standard_output(arguments):
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
    if sys.stdout is not None and sys.stdout.isatty():
        write_standard_bytes(text.encode(sys.stdout.encoding, "backslashreplace"))
    else:
        write_standard_bytes(text.encode("utf-8", "surrogateescape"))


def write_standard_bytes(data: bytes) -> None:
    """Write *data*, and what is still buffered, to standard output now.

    :raises AccessError: it cannot be written.
    :raises BrokenPipeError: nobody reads any more.
    """
    if sys.stdout is None:
        raise AccessError("cannot write: it is closed", where="standard output")
    hide()
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


def to_standard_output(arguments: argparse.Namespace) -> bool:
    """Whether ``-o`` says, or does not say otherwise, that it goes to standard output."""
    return arguments.output in (None, "-", "/dev/stdout")
