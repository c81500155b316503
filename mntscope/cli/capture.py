"""``mntscope capture``: the machine, once, into a file that every command reads."""

from __future__ import annotations

import argparse
import os
import time

from mntscope.cli.output_options import add_format_options, page, progress, write_standard_output

HELP = "write what can be seen of this machine to a snapshot file"

EXAMPLES = (
    ("mntscope capture -o web-1.mntscope.json.gz", "all of this machine, to be looked at elsewhere"),
    ("mntscope capture 4711 --force -o 4711.mntscope.json.gz", "the host and one process, again"),
)

FORMATS = ("table", "json", "markdown", "html")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "pids", nargs="*", type=int, metavar="PID", help="only the host and these processes (default: every namespace)"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="where to (default: HOSTNAME-TIME.mntscope.json.gz)")
    parser.add_argument("--force", action="store_true", help="overwrite FILE if it exists")
    parser.add_argument("--with-secrets", action="store_true", help="keep passwords in mount options and sources")
    add_format_options(parser, FORMATS)
    parser.epilog = (
        "The file is read back as snapshot:FILE#LABEL, where LABEL is host or a pid, by --snapshot FILE, and by "
        "mntscope.load in Python. It holds mount tables, without passwords, who lives in which namespace, which kernel "
        "and which mount(8) there are, and no more.\n\nExit codes: 0 written, 2 trouble"
    )


def run(arguments: argparse.Namespace) -> int:
    """Carry the command out; the exit code."""
    from mntscope.archive import save
    from mntscope.live import capture
    from mntscope.live.mount_program import with_mount_programs
    from mntscope.output.capture import FORMATS as WRITERS
    from mntscope.output.capture import Captured

    with progress("reading mount namespaces") as told_of:
        snapshot = capture(arguments.pids or None, progress=told_of, with_secrets=arguments.with_secrets)
    snapshot = with_mount_programs(snapshot)
    file = arguments.output or f"{os.uname().nodename}-{time.strftime('%Y%m%dT%H%M%S')}.mntscope.json.gz"
    save(snapshot, file, force=arguments.force)
    arguments.output = None
    write_standard_output(WRITERS[arguments.format](Captured(snapshot, file), page(arguments)))
    return 0
