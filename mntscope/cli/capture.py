"""``mntscope capture``: the machine, once, into a file that every command reads."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from mntscope.base.progress import note, reading_namespaces
from mntscope.cli.output_options import (
    add_format_options,
    page,
    to_standard_output,
    write_standard_bytes,
    write_standard_output,
)
from mntscope.errors import UsageError

if TYPE_CHECKING:
    from mntscope.snapshot import Snapshot

HELP = "write what can be seen of this machine to a snapshot file"

EXAMPLES = (
    ("mntscope capture -o web-1.mntscope.json.gz", "all of this machine, to be looked at elsewhere"),
    ("mntscope capture 4711 --force -o 4711.mntscope.json.gz", "the host and one process, again"),
)

FORMATS = ("table", "json", "markdown", "html")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "pids", nargs="*", type=_pid, metavar="PID", help="only the host and these processes (default: every namespace)"
    )
    where = "where to (default: HOSTNAME-TIME.mntscope.json.gz); - is standard output, if that is no terminal"
    parser.add_argument("-o", "--output", metavar="FILE", help=where)
    parser.add_argument("--force", action="store_true", help="overwrite FILE if it exists")
    parser.add_argument("--redact", action="store_true", help="leave the machine's name out, wherever it stands")
    parser.add_argument("--with-secrets", action="store_true", help="keep passwords in mount options and sources")
    add_format_options(parser, FORMATS)
    parser.epilog = (
        "The file is read back as snapshot:FILE#LABEL, where LABEL is host or a pid, by --snapshot FILE, and by "
        "mntscope.load in Python. It holds mount tables, without passwords, who lives in which namespace, which kernel "
        "and which mount(8) there are, whose machine it is and of when (its machine id only as systemd tells one to "
        "programs), and no more.\n\nExit codes: 0 written, 2 trouble"
    )


def _pid(word: str) -> int:
    if not (word.isascii() and word.isdecimal()):
        is_file = "." in word or "/" in word
        hint = f"to write to it: -o {word}" if is_file else "give numbers of processes, or none, and all is captured"
        raise UsageError(f"{word!r} is no process", hint=hint)
    return int(word)


def run(arguments: argparse.Namespace) -> int:
    """Carry the command out; the exit code."""
    from mntscope.archive import pack, save
    from mntscope.live import capture
    from mntscope.live.mount_program import with_mount_programs
    from mntscope.output.capture import FORMATS as WRITERS
    from mntscope.output.capture import Captured

    piped = arguments.output is not None and to_standard_output(arguments)
    if piped and sys.stdout is not None and sys.stdout.isatty():
        raise UsageError("a snapshot is nothing for a terminal", hint="redirect standard output, or give -o FILE")
    secrets = arguments.with_secrets
    snapshot = capture(arguments.pids or None, progress=reading_namespaces, with_secrets=secrets, identify=True)
    note("looking for mount(8)")
    snapshot = with_mount_programs(snapshot)
    if arguments.redact:
        from mntscope.archive.nameless import nameless

        snapshot = nameless(snapshot)
    note("writing the file")
    if piped:
        write_standard_bytes(pack(snapshot))
        return 0
    file = arguments.output or _name(snapshot)
    save(snapshot, file, force=arguments.force)
    arguments.output = None
    write_standard_output(WRITERS[arguments.format](Captured(snapshot, file), page(arguments)))
    return 0


def _name(snapshot: Snapshot) -> str:
    """A file name that tells the machine and the moment."""
    name = (snapshot.origin.host_name or "machine").replace("/", "_")
    return f"{name}-{time.strftime('%Y%m%dT%H%M%S')}.mntscope.json.gz"
