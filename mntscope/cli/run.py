"""``mntscope run -- COMMAND``."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from mntscope.cli.output_options import add_against, add_output_options, page, write_output

if TYPE_CHECKING:
    from mntscope.isolate import Running

HELP = "run a command in a mount namespace of its own, from which nothing leaks"

EXAMPLES = (
    ("mntscope run --pid -- sh", "a shell that sees its own processes only, and whose mounts nobody else sees"),
    ("mntscope run -- mount -t tmpfs scratch /mnt", "harmless: what is mounted goes away with the command"),
)

EPILOG = """\
Every mount becomes a slave: what the command mounts stays inside, and what the host unmounts goes away inside too.
With --pid, an ordinary user gets a user namespace too, where the kernel allows that.
Before the command runs, every namespace is read, and it is not run if anything mounted at /proc could reach one.
Standard output is the command's: what was verified is only written with -o FILE.

Exit code: that of COMMAND; 128 and the number of the signal that ended it; 127 no such command, 126 not executable,
2 not run, for the reason given
"""

FORMATS = ("table", "json", "markdown", "html")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--pid", action="store_true", help="also in a new PID namespace, with a proc of its own")
    parser.add_argument(
        "--propagation",
        choices=["private", "slave"],
        default="private",
        help="what the mount that contains /proc becomes (default: private)",
    )
    add_against(parser)
    # As with subcommands, all that follows the first word is the command's.
    parser.add_argument("command", metavar="COMMAND", nargs=argparse.PARSER, help="what to run")
    add_output_options(parser, FORMATS)
    parser.epilog = EPILOG


def run(arguments: argparse.Namespace) -> int:
    """Run the command, whose exit status is that of mntscope; with ``-o`` say first what was verified."""
    from mntscope.cli.targets import resolve
    from mntscope.isolate.run import run_isolated
    from mntscope.output.isolate import RUN_FORMATS

    def report(running: Running) -> None:
        if arguments.output is not None:
            write_output(arguments, RUN_FORMATS[arguments.format](running, page(arguments)))

    return run_isolated(
        arguments.command[1:] if arguments.command[0] == "--" else arguments.command,
        capture=partial(resolve, against=arguments.against, everything=True),
        new_pids=arguments.pid,
        kind=arguments.propagation,
        report=report,
    )
