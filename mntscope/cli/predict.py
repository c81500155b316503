"""``mntscope predict TARGET -- COMMAND``."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from mntscope.base.records import replace
from mntscope.cli.output_options import TARGETS, add_against, add_output_options, add_snapshot, page, write_output
from mntscope.cli.targets import pid_of
from mntscope.errors import AccessError, NoAnswerError, UsageError

if TYPE_CHECKING:
    from mntscope.analysis.predict import Prediction
    from mntscope.cli.targets import Resolved

HELP = "what the kernel will do, in every namespace, if a command runs there"

EXAMPLES = (
    ("mntscope predict 4711 -- mount -t proc proc /proc", "would the host's /proc be covered, too?"),
    (
        'mntscope predict 4711 -- "mount --make-private /proc && mount -t proc proc /proc"',
        "and if it is made private first?",
    ),
)

EPILOG = """\
COMMAND is a command line of mount(8), umount(8), unshare(1), nsenter(1), chroot(8), pivot_root(8) or switch_root(8), as
words or as one quoted text, which may hold several. Its paths begin at the root directory of the process. Nothing is
carried out.
"""

FORMATS = ("table", "json", "markdown", "html")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "target", metavar="TARGET", type=_no_program, help="in whose mount namespace: a process, a file, ..."
    )
    # As with subcommands, all that follows the first word is the command's: its -o is not ours.
    parser.add_argument("command", metavar="COMMAND", nargs=argparse.PARSER, help="what would be run there")
    add_snapshot(parser, target=True)
    add_against(parser)
    parser.add_argument(
        "--util-linux",
        metavar="VERSION",
        help="predict for the mount(8) of this version, as 2.38, or for busybox (default: the one that TARGET has)",
    )
    parser.add_argument(
        "--kernel", metavar="RELEASE", help="predict for another kernel, as 5.10 or 6.1.192 (default: that of TARGET)"
    )
    parser.add_argument("--all", action="store_true", help="show long lists in full")
    add_output_options(parser, FORMATS)
    exit_codes = (
        "Exit codes: 0 nothing outside the target's namespace would change, 1 something would (or the target's is the "
        "host's), 2 trouble"
    )
    parser.epilog = f"{EPILOG}\n{TARGETS}\n{exit_codes}"


_PROGRAMS = ("mount", "umount", "unshare", "nsenter", "pivot_root", "chroot", "switch_root", "sudo", "sh")


def _no_program(target: str) -> str:
    """The word itself, unless it is the command, before which it is said where that would run."""
    if (words := target.split()) and words[0].rpartition("/")[2] in _PROGRAMS:
        shown = f'"{target}"' if words[1:] else f"{target} .."
        raise UsageError(f"{target!r} is no TARGET", hint=f"say where it would run: mntscope predict self -- {shown}")
    return target


def run(arguments: argparse.Namespace) -> int:
    """Read every mount namespace, predict the command, and say what it does."""
    from mntscope.output.predict import FORMATS as WRITERS

    prediction = result(arguments)
    write_output(arguments, WRITERS[arguments.format](prediction, page(arguments)))
    return 1 if prediction.found else 0


def result(arguments: argparse.Namespace) -> Prediction:
    """What it does."""
    from mntscope.analysis.predict import predict_commands
    from mntscope.cli.targets import resolve

    words = arguments.command[1:] if arguments.command[0] == "--" else arguments.command
    command = words[0] if len(words) == 1 else shlex.join(words)
    resolved = resolve(arguments.target, arguments.against, everything=True, file=arguments.snapshot)
    # A pid says more than the view of its namespace: in which PID namespace it lives, whose processes proc will show.
    asked = resolved.target if pid_of(arguments.target) is None else arguments.target
    snapshot = resolved.snapshot
    if arguments.kernel is not None:
        snapshot = replace(snapshot, kernel=_release(arguments.kernel), kernel_version=None)
    follow = _links_of(resolved, arguments.target) if arguments.snapshot is None else None
    here = _directory_of(arguments.target) if follow else None
    program = _program(arguments.util_linux) if arguments.util_linux is not None else None
    if program is None and follow:
        from mntscope.live.mount_program import with_mount_programs

        snapshot = with_mount_programs(snapshot, [resolved.target])
    return predict_commands(snapshot, asked, command, real_path=follow, directory=here, program=program)


def _program(text: str) -> str:
    """The mount(8) of a version of util-linux, or BusyBox's."""
    from mntscope.parse.mount_program import MountProgram

    program = MountProgram.of(text)
    if program.version is None and not program.busybox:
        hint = "give one such as 2.38 or 2.41, or busybox"
        raise UsageError(f"--util-linux {text}: it is no version of util-linux", hint=hint)
    return program.name


def _release(text: str) -> str:
    """A kernel's release, as it was given."""
    from mntscope.propagation.versions import Kernel

    if Kernel.of(text).number is None:
        raise UsageError(
            f"--kernel {text}: it is no release of Linux", hint="give one such as 5.10, 6.1.192 or `uname -r`"
        )
    return text


def _directory_of(target: str) -> str | None:
    """Where the process is that was asked for: paths that are not absolute begin there."""
    from mntscope.live.paths import working_directory

    pid = pid_of(target)
    return None if pid is None else working_directory(pid)


def _links_of(resolved: Resolved, target: str) -> Callable[[str], str | None] | None:
    """How the target's symbolic links are followed, where it is a process of this machine that may be looked into."""
    from mntscope.live.paths import real_path

    process = resolved.snapshot.view(resolved.target).process
    if process is None or target.startswith(("file:", "snapshot:", "ns:")):
        return None
    follow = partial(real_path, pid_of(target) or process.pid)
    try:
        follow("/")
    except (AccessError, NoAnswerError):
        return None
    return follow
