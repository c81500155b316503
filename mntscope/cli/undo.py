"""``mntscope undo JOURNAL``."""

from __future__ import annotations

import argparse
from functools import partial

from mntscope.cli.common import add_output_options, page, write_output

HELP = "put back what isolate changed, the peer group included"

FORMATS = ("table", "json")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("journal", metavar="JOURNAL", help="the file that isolate named")
    add_output_options(parser, FORMATS)
    parser.epilog = "Exit codes: 0 all is as it was before (a second time too), 2 it cannot be, and why"


def run(arguments: argparse.Namespace) -> int:
    """Put back, and say so."""
    from mntscope.cli.targets import resolve
    from mntscope.isolate import put_back
    from mntscope.report.plan import UNDO_FORMATS

    undoing = put_back(arguments.journal, look=partial(resolve, everything=True))
    write_output(arguments, UNDO_FORMATS[arguments.format](undoing, page(arguments)))
    return 0
