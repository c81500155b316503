"""``mntscope graph [TARGET]``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mntscope.cli.output_options import TARGETS, add_against, add_output_options, add_snapshot, page, write_output
from mntscope.errors import UsageError

if TYPE_CHECKING:
    from mntscope.output.graph import Sharing

HELP = "who shares with whom: peer groups, their members and masters, across namespaces"

EXAMPLES = (
    ("mntscope graph --format html -o graph.html", "one page for a browser, to search and to zoom"),
    ("mntscope graph 4711 --format mermaid", "what concerns process 4711, to be put into Markdown"),
)

FORMATS = ("table", "json", "dot", "mermaid", "graphml", "svg", "html")

_NOTES = """\
Without TARGET: the peer groups of the whole machine, except those that stay within one namespace.
table, dot, mermaid, svg and html draw groups with members in the same namespaces as one box, below that of their
masters; json and graphml have every group with every member.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("target", metavar="TARGET", nargs="?", help="only what this namespace shares and receives")
    parser.add_argument("--group", metavar="N", type=_number, help="only this peer group, its masters and its slaves")
    parser.add_argument(
        "--path", metavar="PATH", help="only the group of the mount that contains PATH of TARGET (default: the host)"
    )
    parser.add_argument("--all", action="store_true", help="everything, one by one: within one namespace too")
    add_snapshot(parser, target=True)
    add_against(parser)
    add_output_options(parser, FORMATS)
    parser.epilog = f"{_NOTES}\n{TARGETS}\nExit codes: 0 drawn, 2 trouble"


def run(arguments: argparse.Namespace) -> int:
    """Read the views, find what was asked for, and draw it."""
    from mntscope.output.graph import FORMATS as WRITERS

    write_output(arguments, WRITERS[arguments.format](result(arguments), page(arguments)))
    return 0


def result(arguments: argparse.Namespace) -> Sharing:
    """What there is to draw."""
    from mntscope.cli.targets import capture_of, of_one, whole
    from mntscope.output import graph

    if arguments.group is not None and (arguments.target or arguments.path):
        raise UsageError("--group names a peer group of the whole machine", hint="leave out TARGET and --path")
    file, target = arguments.snapshot, arguments.target
    if file is None and target is not None and (capture := capture_of(target)):
        file, target = capture, None
    if target is None:
        snapshot = whole(file, arguments.against)
        label = snapshot.host_label
    else:
        snapshot, label = of_one(target, arguments.against, file)
    everything = arguments.all
    if arguments.group is not None:
        return graph.of_group(snapshot, arguments.group, everything=everything)
    if arguments.path is not None:
        return graph.of_path(snapshot, label, arguments.path, everything=everything)
    if target is not None:
        return graph.of_view(snapshot, label, everything=everything)
    return graph.whole(snapshot, everything=everything)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of a peer group, as 12 of shared:12")
    return int(text)
