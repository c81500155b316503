"""``mntscope capture``: the machine, once, into a file that every command reads."""

from __future__ import annotations

import argparse
import os
import sys
import time

HELP = "write what can be seen of this machine to a snapshot file"


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "pids", nargs="*", type=int, metavar="PID", help="only the host and these processes (default: every namespace)"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="where to (default: HOSTNAME-TIME.mntscope.json.gz)")
    parser.add_argument("--force", action="store_true", help="overwrite FILE if it exists")


def run(arguments: argparse.Namespace) -> int:
    """Carries the command out; the exit code."""
    from mntscope.archive import save
    from mntscope.live import capture
    from mntscope.report.text import visible

    snapshot = capture(arguments.pids or None)
    path = arguments.output or f"{os.uname().nodename}-{time.strftime('%Y%m%dT%H%M%S')}.mntscope.json.gz"
    save(snapshot, path, force=arguments.force)
    mounts = sum(len(view.mounts) for view in snapshot.views)
    sys.stdout.write(f"{visible(path)}: {len(snapshot.views)} mount namespaces, {mounts} mounts\n")
    for problem in snapshot.not_seen:
        sys.stdout.write(f"not seen: {visible(str(problem))}\n")
    return 0
