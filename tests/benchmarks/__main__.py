"""``python -m tests.benchmarks``: mntscope beside its peers, on real mounts, in throwaway namespaces; as root."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import growth, installed, peers
from tests.benchmarks.limit import WORSE
from tests.benchmarks.parts import PARTS, Bench, versions
from tests.benchmarks.results import Book, earlier_ratios
from tests.support.repository import ROOT
from tests.support.throwaway import WorkerFailed

PEERS = (["findmnt", "--version"], ["go", "version"], ["cargo", "--version"])


def main() -> int:
    """Measures, prints tables, and writes the JSON file."""
    arguments = _arguments()
    if os.geteuid():
        sys.stderr.write("the benchmark makes real mounts, in namespaces of its own: run it as root\n")
        return 2
    book = Book()
    wanted = arguments.only or (["limit"] if arguments.check or arguments.baseline else [*PARTS, "growth"])
    programs: dict[str, peers.Peer] = {}
    if wanted != ["limit"]:
        if not arguments.no_install and (missing := peers.install()):
            book.notes.append(missing)
        # Rust's and Go's builds are kept from run to run.
        programs, missing_peers = peers.build(arguments.build / "peers")
        book.notes += missing_peers
    with tempfile.TemporaryDirectory(prefix="mntscope-bench-") as scratch:
        bench = Bench(
            book=book,
            installed=installed.install(arguments.build / "venv"),
            peers=programs,
            scratch=Path(scratch),
            runs=arguments.runs,
            sizes=(1_000, 10_000) if arguments.quick else (1_000, 10_000, 50_000),
        )
        for name, measure in PARTS.items():
            if name in wanted:
                _told(name)
                try:
                    measure(bench)
                except (OSError, RuntimeError, WorkerFailed) as error:
                    book.notes.append(f"{name}: ended early: {error}")
    if "growth" in wanted:
        book.growth = growth.measure(tuple(growth.COMMANDS), 2, _told)
    earlier = earlier_ratios(arguments.compare) if arguments.compare else None
    sys.stdout.write(book.text(earlier))
    if arguments.json:
        document = book.document() | {"peers": versions(PEERS)}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")
    if arguments.baseline:
        arguments.baseline.write_text(json.dumps(book.baseline(), indent=1) + "\n")
    if arguments.check:
        worsened = book.worsened(earlier_ratios(arguments.check), WORSE)
        sys.stderr.writelines(f"worse than in {arguments.check}: {line}\n" for line in worsened)
        return 1 if worsened or not book.ratios else 0
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=[*PARTS, "growth"], help="this part; may be repeated")
    parser.add_argument("--runs", type=int, default=7, help="rounds (default: 7); whole commands take fewer")
    parser.add_argument("--quick", action="store_true", help="without 50,000 mounts, where findmnt takes minutes")
    parser.add_argument("--no-install", action="store_true", help="only the peers that are here")
    parser.add_argument("--build", type=Path, default=ROOT / "build/benchmarks", help="where peers are built")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all of it there")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="with the JSON of an earlier run")
    parser.add_argument("--baseline", type=Path, metavar="FILE", help="write there what --check compares with")
    parser.add_argument(
        "--check",
        type=Path,
        metavar="FILE",
        help="only times the limit; exit code 1 where one is worse by a third than in the baseline",
    )
    arguments = parser.parse_args()
    arguments.build = arguments.build.resolve()
    return arguments


def _told(what: str) -> None:
    sys.stderr.write(f"{what} ..\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
