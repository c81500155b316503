"""``mntscope undo JOURNAL``."""

from __future__ import annotations

import argparse
from functools import partial

from mntscope.cli.output_options import add_output_options, page, write_output
from mntscope.errors import UsageError

HELP = "put back what isolate changed, the peer group included"

EXAMPLES = (
    ("mntscope undo --list", "what can be put back"),
    ("mntscope undo srv.journal", "put back what this journal tells of"),
)

EPILOG = """\
A journal commands whoever obeys it: it must be a file of yours that nobody else can write, in a directory where nobody
else can put another in its place. What it says is compared with what is there before anything is done.

Exit codes: 0 all is as it was before (a second time too), or listed; 2 it cannot be, and why
"""

FORMATS = ("table", "json", "markdown", "html")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("journal", metavar="JOURNAL", nargs="?", help="the file that isolate named")
    parser.add_argument(
        "--list", action="store_true", help="show the journals in the default directory, and what each is good for"
    )
    parser.add_argument(
        "--in-host-namespace", action="store_true", help="even in the host's own namespace, if isolate was told so too"
    )
    add_output_options(parser, FORMATS)
    parser.epilog = EPILOG


def run(arguments: argparse.Namespace) -> int:
    """Put back, and say so; or list the journals."""
    if bool(arguments.journal) == arguments.list:
        raise UsageError("undo takes a JOURNAL or --list", hint="isolate says where it wrote the journal")
    if arguments.list:
        from mntscope.isolate.undo import journals
        from mntscope.output.undo import LIST_FORMATS

        write_output(arguments, LIST_FORMATS[arguments.format](journals(), page(arguments)))
        return 0
    from mntscope.cli.targets import resolve
    from mntscope.isolate.undo import put_back
    from mntscope.output.undo import FORMATS as WRITERS

    capture = partial(resolve, everything=True)
    undoing = put_back(arguments.journal, capture=capture, in_host_namespace=arguments.in_host_namespace)
    write_output(arguments, WRITERS[arguments.format](undoing, page(arguments)))
    return 0
