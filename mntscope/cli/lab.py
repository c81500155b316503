"""``mntscope lab``."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from errno import EACCES, ENOENT
from shutil import which

from mntscope.base.records import replace
from mntscope.cli.output_options import add_output_options, page, write_output
from mntscope.errors import UsageError
from mntscope.lab import ACTS, LEAKING, Scene, Story, keep, tell
from mntscope.output.lab import FORMATS

HELP = "the whole story of a leaking mount on this kernel, act by act, harmlessly"

EXAMPLES = (
    ("mntscope lab --act 3", "how the host's /proc breaks"),
    ("mntscope lab -- mntscope diff {pid} --against {host}", "what mntscope says of the namespace that broke it"),
)

_ACTS = "".join(f"  {act.number}  {act.title}\n" for act in ACTS)

EPILOG = f"""\
Acts:
{_ACTS}
A COMMAND after -- is run while the actors stand as --keep leaves them; {{pid}} is the target and {{host}} its host.

Exit codes: 0 every act as the manual pages say, 1 this kernel does otherwise, 2 trouble; after -- that of COMMAND
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--act",
        dest="acts",
        metavar="N",
        type=int,
        action="append",
        choices=[act.number for act in ACTS],
        help="tell this act only (may be repeated)",
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help=f"leave the actors as the last --act (by default act {LEAKING.number}) leaves them, and print their pids;"
        " until Enter, end of input or Ctrl-C",
    )
    parser.add_argument("command", metavar="COMMAND", nargs="*", help="what to run on the kept actors")
    add_output_options(parser, FORMATS)
    parser.epilog = EPILOG


def run(arguments: argparse.Namespace) -> int:
    """Tell the story; keep the last scene where asked to."""
    if arguments.command and which(arguments.command[0]) is None:
        # Before the story, not after it.
        raise _cannot_run(arguments.command[0], EACCES if os.path.exists(arguments.command[0]) else ENOENT)
    chosen = [ACTS[number - 1] for number in arguments.acts or ()]
    story = tell(chosen or ACTS)
    if not (arguments.keep or arguments.command):
        return _report(story, arguments)
    with Scene() as scene:
        kept = keep(chosen[-1] if chosen else LEAKING, scene)
        names = {"{pid}": str(kept.target), "{host}": str(kept.host)}
        command = [re.sub(r"{pid}|{host}", lambda name: names[name[0]], word) for word in arguments.command]
        if command:
            kept = replace(kept, commands=(shlex.join(command),))
        code = _report(replace(story, kept=kept), arguments)
        if command:
            code = _exit_code_of(command)
        if arguments.keep:
            _wait()
    return code


def _report(story: Story, arguments: argparse.Namespace) -> int:
    write_output(arguments, FORMATS[arguments.format](story, page(arguments)))
    return 1 if any(run.surprises for run in story.runs) else 0


def _cannot_run(program: str, number: int) -> UsageError:
    return UsageError(f"cannot run {program!r}: {os.strerror(number)}")


def _exit_code_of(command: list[str]) -> int:
    try:
        status = subprocess.run(command, check=False).returncode
    except OSError as error:
        raise _cannot_run(command[0], error.errno or ENOENT) from error
    # As a shell has it, where a signal ended the command.
    return status if status >= 0 else 128 - status


def _wait() -> None:
    """Until Enter or end of input; Ctrl-C ends the lab as it ends any command."""
    if sys.stdin is None:
        return
    if sys.stdin.isatty():
        sys.stderr.write("\nEnter ends them. ")
        sys.stderr.flush()
    sys.stdin.buffer.readline()
