"""``mntscope isolate TARGET [PATH...]``."""

from __future__ import annotations

import argparse
import sys
from functools import partial

from mntscope.cli.output_options import add_against, add_output_options, page, write_output
from mntscope.errors import MntscopeError, RefusedError, UsageError

HELP = "stop what is mounted at a path from reaching other namespaces: verified, and undoable"

EXAMPLES = (
    (
        "mntscope isolate 4711 --mount-proc --dry-run",
        "what it would take to mount /proc there, harmlessly; nothing is done",
    ),
    (
        "mntscope isolate 4711 /srv --type slave --journal srv.journal",
        "nothing mounted below /srv gets out any more; the host's umounts still get in",
    ),
)

EPILOG = """\
TARGET is a process (1234, self, container:NAME) or a namespace file (ns:PATH). For each PATH the mount that contains it
leaves its peer group, so that what is mounted there stays there. Nothing is done that cannot be done completely; what
undo could not put back on this kernel is told beforehand, and takes --force. With --recursive, mounts that others cover
keep their propagation: no path leads there.

Exit codes: 0 applied and verified, nothing to do, or --dry-run; 2 refused, or all put back; 130 or 143 interrupted,
and all put back, or told that it had been applied
"""

FORMATS = ("table", "json", "markdown", "html")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("target", metavar="TARGET", help="whose mounts: a process or a namespace file")
    parser.add_argument(
        "paths", metavar="PATH", nargs="*", default=["/proc"], help="where, as the target sees it (default: /proc)"
    )
    parser.add_argument(
        "--mount-proc", action="store_true", help="then mount a proc there that shows the target's own processes"
    )
    parser.add_argument(
        "--type",
        dest="kind",
        choices=["private", "slave"],
        help="what the mount becomes (default: private for kernel filesystems, else slave: the host's umounts arrive); "
        "private: nothing arrives any more, so that slaves, which send nothing, are changed, too",
    )
    parser.add_argument("--recursive", action="store_true", help="also what is mounted below it")
    parser.add_argument("--dry-run", action="store_true", help="show the plan, and change nothing")
    parser.add_argument("--force", action="store_true", help="even where it harms, or could not be undone")
    parser.add_argument(
        "--in-host-namespace", action="store_true", help="even if the target lives in the host's own namespace"
    )
    parser.add_argument("--journal", metavar="FILE", help="where to write the journal (default: in /run/mntscope)")
    add_against(parser)
    parser.add_argument("--all", action="store_true", help="show long lists in full")
    add_output_options(parser, FORMATS)
    parser.epilog = EPILOG


def run(arguments: argparse.Namespace) -> int:
    """Isolate, and write what came of it; also of what was refused or rolled back, where a program reads it."""
    from mntscope.cli.targets import resolve
    from mntscope.isolate.apply import isolate
    from mntscope.isolate.outcome import IrreversibleError, RolledBackError
    from mntscope.output.escape import visible
    from mntscope.output.isolate import FORMATS as WRITERS
    from mntscope.output.isolate import Isolating

    try:
        done = isolate(
            _target(arguments),
            arguments.paths or ["/proc"],
            capture=partial(resolve, against=arguments.against, everything=True),
            mount_proc=arguments.mount_proc,
            kind=arguments.kind,
            recursive=arguments.recursive,
            force=arguments.force,
            in_host_namespace=arguments.in_host_namespace,
            dry_run=arguments.dry_run,
            journal=arguments.journal,
        )
    except (RefusedError, RolledBackError) as error:
        refused = Isolating(
            arguments.target,
            refused=str(error),
            plan=error.plan if isinstance(error, RolledBackError | IrreversibleError) else None,
            irreversible=error.irreversible if isinstance(error, IrreversibleError) else (),
            journal=error.journal if isinstance(error, RolledBackError) else None,
        )
        if arguments.format != "table":
            write_output(arguments, WRITERS[arguments.format](refused, page(arguments)))
        raise
    try:
        report = Isolating(arguments.target, done, dry_run=arguments.dry_run)
        write_output(arguments, WRITERS[arguments.format](report, page(arguments)))
    except (MntscopeError, BrokenPipeError) as error:
        if not done.applied:
            raise
        # It is done: what cannot be written must not read as if it were not.
        raise MntscopeError(f"applied, but {error}", hint=f"the journal is {done.journal}") from error
    except KeyboardInterrupt:
        if done.applied and sys.stderr is not None:
            sys.stderr.write(f"mntscope: applied, but interrupted; the journal is {visible(str(done.journal))}\n")
        raise
    return 0


def _target(arguments: argparse.Namespace) -> int | str:
    """A pid, or the path of a namespace file."""
    from mntscope.cli.targets import parse_target, refuse_path_first

    refuse_path_first("isolate", arguments.target, arguments.paths)
    other = UsageError(
        f"{arguments.target!r} cannot be isolated",
        hint="give a process (1234, self, container:NAME) or a namespace (ns:PATH) of this machine",
    )
    try:
        name = parse_target(arguments.target)
    except UsageError as error:
        if error.hint.startswith("did you mean"):
            raise
        raise other from error
    if name.kind == "process":
        return name.pid
    if name.kind == "ns":
        return name.path
    if name.kind == "host":
        if arguments.in_host_namespace:
            return 1
        raise RefusedError(
            "a mount made private in the host's own mount namespace is a change of the host",
            where=name.text,
            hint="name a process that has a namespace of its own (mntscope run -- COMMAND makes one)",
        )
    raise other
