"""``mntscope selftest``."""

from __future__ import annotations

import argparse
import os
from contextlib import nullcontext
from datetime import date
from functools import partial
from pathlib import Path

from mntscope.base.progress import note
from mntscope.cli.output_options import add_output_options, page, write_output
from mntscope.errors import UsageError
from mntscope.output.selftest import FORMATS

HELP = "compare predictions with this kernel, in throwaway namespaces"

EXAMPLES = (
    ("mntscope selftest --operations 200 --seed 7", "two hundred operations, the same each time"),
    ("mntscope selftest --versions", "where kernels and versions of mount(8) differ"),
)

OPERATIONS = 2000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--operations",
        type=_count,
        metavar="N",
        help=f"how many random operations to carry out (default: {OPERATIONS})",
    )
    parser.add_argument(
        "--seed", type=_count, metavar="S", help="what they are drawn from (default: today's date, YYYYMMDD)"
    )
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the traces to FILE (.gz: compressed)")
    parser.add_argument(
        "--replay", type=Path, nargs="+", metavar="FILE", help="check recorded traces instead of this kernel"
    )
    parser.add_argument(
        "--versions",
        action="store_true",
        help="tell where kernels differ, and what is predicted for this one; test nothing",
    )
    add_output_options(parser, FORMATS)
    parser.epilog = (
        "Nothing of the machine is touched: every operation runs in namespaces made for it, which hold one tmpfs.\n"
        "Each is predicted first and compared after, in every namespace, but for the names that the kernel hands out.\n"
        "\n"
        "Exit codes: 0 no prediction was wrong, 1 one was, 2 trouble"
    )


def run(arguments: argparse.Namespace) -> int:
    """Test the model, and say how it did."""
    from mntscope.selftest.run import run_live, run_recorded
    from mntscope.selftest.traces import TraceWriter

    given = [name for name in ("operations", "seed", "record") if getattr(arguments, name) is not None]
    if arguments.versions:
        return _versions(arguments, given)
    if arguments.replay and given:
        raise UsageError(f"--{given[0]} is for a run on this kernel", hint="leave it out, or leave out --replay")
    if arguments.replay:
        tally = run_recorded(arguments.replay, progress=partial(note, "replaying operations"))
    else:
        operations = arguments.operations or OPERATIONS
        seed = int(f"{date.today():%Y%m%d}") if arguments.seed is None else arguments.seed  # noqa: DTZ011
        recording = TraceWriter(arguments.record) if arguments.record else nullcontext()
        with recording as record:
            tally = run_live(operations, seed, record=record, progress=partial(_done, operations))
    write_output(arguments, FORMATS[arguments.format](tally, page(arguments)))
    return 1 if tally.results["wrong"] else 0


def _versions(arguments: argparse.Namespace, given: list[str]) -> int:
    from mntscope.output.versions import FORMATS as WRITERS
    from mntscope.propagation.versions import Kernel

    if given or arguments.replay:
        raise UsageError("--versions tests nothing", hint=f"leave out --{(given or ['replay'])[0]}")
    kernel = os.uname()
    write_output(arguments, WRITERS[arguments.format](Kernel.of(kernel.release, kernel.version), page(arguments)))
    return 0


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return int(text)


def _done(operations: int, done: int) -> None:
    note("operations", done, operations)
