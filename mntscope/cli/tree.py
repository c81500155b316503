"""``mntscope tree [TARGET] [PATH]``."""

from __future__ import annotations

import argparse

from mntscope.cli.output_options import (
    TARGETS,
    add_against,
    add_output_options,
    add_snapshot,
    add_table_options,
    columns_of,
    page,
    write_output,
)
from mntscope.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mntscope.analysis.listing import Listing

HELP = "the mount tree, with the peers and the master of each mount by name"

EXAMPLES = (
    ("mntscope tree 4711 --only leaking", "those mounts that process 4711 shares with the host"),
    ("mntscope tree /srv", "the host's mount that contains /srv, and all below it"),
)

FORMATS = ("table", "json", "csv", "markdown", "html")
ONLY = ("leaking", "shared", "slave", "private", "unbindable", "hidden")

COLUMNS = """\
Columns (those marked * if they have something to tell; a narrow terminal goes without SOURCE and FSTYPE):
  TARGET SOURCE FSTYPE PROPAGATION
  PEERS*         who else is in the mount's peer group: namespaces, with the path where it is another
  MASTER*        the peer group it receives events from, by its best known member
  STATE*         overmounted: something is mounted on its root; hidden: on a directory above it
  LEAKS*         how bad it is that what is mounted in it lands on the host, with the path there where it is another;
                 of the host's mounts, whose lands in them
  ID PARENT MAJ:MIN ROOT OPTIONS SUPER-OPTIONS GROUP MASTER-GROUP   as in mountinfo
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("target", metavar="TARGET", nargs="?", default="host", help="whose mounts (default: host)")
    parser.add_argument("path", metavar="PATH", nargs="?", help="the mount that contains it, and those below it, only")
    parser.add_argument(
        "--only", choices=ONLY, action="append", default=[], help="mounts of this kind; may be repeated"
    )
    add_table_options(parser, "csv: all by default")
    add_snapshot(parser, target=True)
    add_against(parser)
    parser.add_argument("--all", action="store_true", help="show long lists in full")
    add_output_options(parser, FORMATS)
    parser.epilog = f"{COLUMNS}\n{TARGETS}\nExit codes: 0 listed, 2 trouble"


def run(arguments: argparse.Namespace) -> int:
    """Read the machine, and show the tree of one namespace of it."""
    from mntscope.output import tree

    columns = columns_of(arguments, tree.COLUMNS, (*tree.DEFAULT, *tree.TELLING))
    write_output(arguments, tree.FORMATS[arguments.format](result(arguments), page(arguments, columns)))
    return 0


def result(arguments: argparse.Namespace) -> Listing:
    """What there is to show."""
    from mntscope.analysis.listing import listing
    from mntscope.cli.targets import of_one, refuse_path_first

    target, path = arguments.target, arguments.path
    refuse_path_first("tree", target, [path] if path else [])
    if target.startswith("/") and path is None:
        # No TARGET begins like this.
        target, path = "host", target
    if path is not None and not path.startswith("/"):
        raise UsageError(f"PATH {path!r} does not begin with /", hint="give it as the target sees it")
    resolved = of_one(target, arguments.against, arguments.snapshot)
    return listing(resolved.snapshot, resolved.target, path, arguments.only)
