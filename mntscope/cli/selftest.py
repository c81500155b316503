"""``mntscope selftest``."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import date
from pathlib import Path

from mntscope.cli.output_options import add_output_options, page, write_output
from mntscope.errors import UsageError
from mntscope.output.selftest import FORMATS
from mntscope.selftest.run import Progress

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
        with _progress(None) as progress:
            tally = run_recorded(arguments.replay, progress=progress)
    else:
        operations = arguments.operations or OPERATIONS
        seed = int(f"{date.today():%Y%m%d}") if arguments.seed is None else arguments.seed  # noqa: DTZ011
        recording = TraceWriter(arguments.record) if arguments.record else nullcontext()
        with recording as record, _progress(operations) as progress:
            tally = run_live(operations, seed, record=record, progress=progress)
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


@contextmanager
def _progress(total: int | None) -> Iterator[Progress]:
    """A progress bar on the terminal, of *total* operations where known; nothing where there is no terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("operations"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Refreshed by hand: a thread that refreshes would be in the way of forking.
    with Bar(*columns, console=Console(stderr=True, force_jupyter=False), auto_refresh=False, transient=True) as bar:
        task = bar.add_task("operations", total=total)
        drawn = 0.0

        def show(done: int) -> None:
            nonlocal drawn
            now = time.monotonic()
            if now - drawn > 0.1:
                drawn = now
                bar.update(task, completed=done, refresh=True)

        yield show
