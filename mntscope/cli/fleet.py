"""``mntscope fleet add | report | diff``."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from mntscope.base.progress import note
from mntscope.cli.output_options import (
    add_fail_on,
    add_format_options,
    add_output_options,
    fail_on_of,
    page,
    write_output,
)
from mntscope.errors import UsageError

if TYPE_CHECKING:
    from datetime import date

HELP = "snapshots of many hosts as one data set: what is found on how many, what is odd or has changed"

EXAMPLES = (
    ("mntscope fleet add *.mntscope.json.gz -o fleet", "all of them; again tomorrow, and only what is new is read"),
    ("mntscope fleet report fleet --format html -o fleet.html", "the state of all hosts, with plots"),
)

ADD_FORMATS = ("table", "json")
REPORT_FORMATS = ("table", "html", "json", "sarif", "prometheus")
DIFF_FORMATS = ("table", "json", "markdown", "html")

EPILOG = """\
Paths may be URLs: s3://, gs://, abfs://, https:// (what fsspec needs for each is to be installed). This takes
`pip install 'mntscope[fleet]'`, and --scheduler `mntscope[fleet-dask]`. `mntscope fleet ACTION --help` says more.

Exit codes: 0 added, nothing found, no difference; 1 found, or an input that could not be added; 2 trouble"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, said, configured in (
        ("add", "put snapshots into a data set", _configure_add),
        ("report", "the state of all hosts", _configure_report),
        ("diff", "what changed between two days", _configure_diff),
    ):
        configured(
            actions.add_parser(
                name, help=said, description=said, formatter_class=parser.formatter_class, allow_abbrev=False
            )
        )
    parser.epilog = EPILOG


def _configure_add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sources", metavar="SRC", nargs="+", help="snapshots, sosreports, directories, globs or URLs")
    parser.add_argument("-o", "--into", metavar="DATASET", required=True, help="a directory or URL, made if need be")
    parser.add_argument(
        "--scheduler", metavar="URL", help="have a Dask cluster do it: tls://HOST:PORT, tcp://HOST:PORT"
    )
    parser.add_argument("--workers", metavar="N", type=int, help="processes (default: one a processor)")
    add_format_options(parser, ADD_FORMATS)


def _configure_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET", help="what `fleet add` has made")
    parser.add_argument(
        "--cohort", metavar="REGEX", help="what of a host's name says which it is like (default: up to the first digit)"
    )
    parser.add_argument("--since", metavar="DAY", help="leave out what is older, as 2026-01-31")
    add_fail_on(parser)
    parser.add_argument("--all", action="store_true", help="show long lists in full")
    add_output_options(parser, REPORT_FORMATS)


def _configure_diff(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET", help="what `fleet add` has made")
    parser.add_argument("before", metavar="DAY1", help="as 2026-01-30")
    parser.add_argument("after", metavar="DAY2")
    parser.add_argument("--all", action="store_true", help="show long lists in full")
    add_output_options(parser, DIFF_FORMATS)


def run(arguments: argparse.Namespace) -> int:
    """Add, report or compare."""
    return {"add": _add, "report": _report, "diff": _diff}[arguments.action](arguments)


def _add(arguments: argparse.Namespace) -> int:
    from mntscope.fleet import add
    from mntscope.output.fleet import ADDED

    if arguments.workers is not None and arguments.workers < 1:
        raise UsageError("--workers takes a number of processes", hint="1 or more")
    result = add(
        arguments.sources,
        arguments.into,
        scheduler=arguments.scheduler,
        workers=arguments.workers,
        progress=partial(note, "adding snapshots"),
    )
    arguments.output = None
    write_output(arguments, ADDED[arguments.format](result, page(arguments)))
    return 1 if result.bad_inputs else 0


def _report(arguments: argparse.Namespace) -> int:
    from datetime import datetime

    from mntscope.fleet import open as opened
    from mntscope.fleet import report
    from mntscope.fleet.dataset import COHORT
    from mntscope.output.fleet import REPORTS

    since = _day(arguments.since)
    with opened(arguments.dataset, since=since, cohort=arguments.cohort or COHORT) as fleet:
        result = report(fleet, when=datetime.now().astimezone(), fail_on=fail_on_of(arguments))
    write_output(arguments, REPORTS[arguments.format](result, page(arguments)))
    return 1 if result.failing else 0


def _diff(arguments: argparse.Namespace) -> int:
    from mntscope.fleet import between
    from mntscope.fleet import open as opened
    from mntscope.output.fleet import DRIFTS

    with opened(arguments.dataset) as fleet:
        result = between(fleet, arguments.before, arguments.after)
    write_output(arguments, DRIFTS[arguments.format](result, page(arguments)))
    return 1 if result.drift else 0


def _day(text: str | None) -> date | None:
    from datetime import date

    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no day", hint="write it as 2026-01-31") from None
