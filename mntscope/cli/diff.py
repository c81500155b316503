"""``mntscope diff TARGET [PATH]``."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from mntscope.cli.output_options import TARGETS, add_against, add_output_options, page, write_output

if TYPE_CHECKING:
    from mntscope.analysis.diff import Diff
    from mntscope.cli.targets import Resolved
    from mntscope.model import View

HELP = "what a process sees that the host does not, and what leaks between them"

FORMATS = ("table", "json", "csv", "markdown", "html")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("target", metavar="TARGET", help="whose mounts: a process, a file, ...")
    parser.add_argument("path", metavar="PATH", nargs="?", help="ask about this path only, as the target sees it")
    add_against(parser)
    parser.add_argument("--all", action="store_true", help="show long lists in full")
    add_output_options(parser, FORMATS)
    parser.epilog = f"{TARGETS}\nExit codes: 0 isolated or receives, 1 leaks or same-namespace, 2 trouble"


def run(arguments: argparse.Namespace) -> int:
    """Read both views, compare them, and say so."""
    from mntscope.output.diff import FORMATS as WRITERS

    found = result(arguments)
    write_output(arguments, WRITERS[arguments.format](found, page(arguments)))
    return 1 if found.found else 0


def result(arguments: argparse.Namespace) -> Diff:
    """What there is to say."""
    from mntscope.analysis.diff import diff
    from mntscope.base.records import replace
    from mntscope.cli.targets import resolve

    resolved = resolve(arguments.target, arguments.against)
    found = diff(resolved.snapshot, _as_asked(resolved, arguments.target), arguments.path)
    return replace(found, not_seen=(*resolved.snapshot.not_seen, *found.not_seen))


def _as_asked(resolved: Resolved, target: str) -> View:
    """The target's view, named as it was asked for also where it is the host's: a namespace has one view."""
    from mntscope.base.records import replace

    view = resolved.snapshot.view(resolved.target)
    asked = target.rpartition("#")[2] if target.startswith("snapshot:") else target
    if resolved.target != resolved.snapshot.host_label or asked in (resolved.target, "host"):
        return view
    pid = os.getpid() if target == "self" else int(target) if target.isdecimal() else None
    process = next((process for process in view.namespace.processes if process.pid == pid), None)
    return replace(view, label=target, process=process)
