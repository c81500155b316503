"""``mntscope ns``."""

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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mntscope.analysis.namespaces import NamespaceList

HELP = "every mount namespace: whose it is, and what it shares with the host"

EXAMPLES = (
    ("mntscope ns", "every mount namespace of this machine, and which of them leak"),
    (
        "mntscope ns --snapshot web-1.mntscope.json.gz --format csv",
        "the same of a machine that was captured, for a spreadsheet",
    ),
)

COLUMNS = """\
Columns:
  NAMESPACE   its container, unit or sandbox; otherwise a process of it, or its inode
  KEPT-BY     its first process; where it has none, the mount or file descriptor that keeps it alive
  SHARED      in how many peer groups both it and the host have mounts
  VERDICT     leaks: what it mounts or unmounts reaches the host; receives: the host's reaches it; isolated: neither
  WORST-LEAK  how bad, and where in the namespace; `mntscope diff` says more
  LABEL       of a capture: what stands behind the # of snapshot:FILE#LABEL, as any of the names here may
  ID USER-NAMESPACE OWNER POD LEAKS-OUT LEAKS-IN   where they are asked for
"""

FORMATS = ("table", "json", "csv", "markdown", "html")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_snapshot(parser)
    add_against(parser)
    add_table_options(parser)
    parser.add_argument("--all", action="store_true", help="show long lists in full")
    add_output_options(parser, FORMATS)
    parser.epilog = f"{COLUMNS}\n{TARGETS}\nExit codes: 0 listed, 2 trouble"


def run(arguments: argparse.Namespace) -> int:
    """Read every mount namespace, compare each with the host's, and list them."""
    from mntscope.output import namespaces as output

    usual = output.USUAL if arguments.snapshot is None else output.OF_CAPTURES
    columns = columns_of(arguments, output.NAMES, usual)
    write_output(arguments, output.FORMATS[arguments.format](result(arguments), page(arguments, columns)))
    return 0


def result(arguments: argparse.Namespace) -> NamespaceList:
    """What there is to list."""
    from mntscope.analysis.namespaces import namespaces
    from mntscope.cli.targets import whole

    return namespaces(whole(arguments.snapshot, arguments.against))
