"""``python -m tests.runtimes [RUNTIME ..]``: mntscope beside real containers and sandboxes; as root, on a Debian.

Each runtime gets a throwaway host. Nothing is installed on this machine, and nothing of what is started outlives this
program; what was downloaded is kept in a directory.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.runtimes import page, table
from tests.runtimes.all import ALL, FEW, NOT_IN_DEBIAN
from tests.runtimes.host import BUILD, Host, Unavailable, own_mounts
from tests.runtimes.packages import DEBIAN, install, make_images, versions
from tests.runtimes.scene import say
from tests.runtimes.target import Report, Row, Runtime


def main() -> int:
    """One after the other, and the table: 0 all is right, 1 something is not, 2 nothing could be had."""
    arguments = _arguments()
    if os.geteuid():
        sys.stderr.write("hosts are made of mount and PID namespaces: run it as root\n")
        return 2
    wanted = [ALL[name] for name in arguments.runtimes or (FEW if arguments.few else ALL)]
    began = time.monotonic()
    # As an exception, so that what was begun is ended and cleared away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        own_mounts()
        packages = [package for runtime in wanted for package in (*runtime.packages, "busybox-static")]
        images = [image for runtime in wanted for image in _images(runtime, few=arguments.few)]
        packages += ["mmdebstrap"] if DEBIAN in images and not DEBIAN.exists() else []
        say(f"installing {' '.join(dict.fromkeys(packages))}")
        absent = install(packages)
        unmade = make_images(list(dict.fromkeys(images)))
    except Unavailable as error:
        sys.stderr.write(f"runtimes cannot be had here: {error}\n")
        return 2
    say(f"installed in {time.monotonic() - began:.0f} s")
    reports = []
    for runtime in wanted:
        lacking = [f"{package}: {absent[package]}" for package in runtime.packages if package in absent]
        lacking += [f"an image: {unmade[image]}" for image in _images(runtime, few=arguments.few) if image in unmade]
        report = Report(runtime.name, why_not="; ".join(lacking)) if lacking else _report(runtime.name, arguments)
        report.version = versions(runtime.packages)
        reports.append(report)
        (BUILD / "results").mkdir(exist_ok=True)
        (BUILD / "results" / f"{runtime.name}.json").write_text(json.dumps(_plain(report), indent=1))
    if arguments.page:
        arguments.page.write_text(page.text(reports, os.uname().release, NOT_IN_DEBIAN))
    sys.stdout.write(table.text(reports))
    sys.stdout.write(f"All of it: {time.monotonic() - began:.0f} s\n")
    if not all(report.right for report in reports):
        return 1
    return 0 if any(report.had for report in reports) else 2


def _report(name: str, arguments: argparse.Namespace) -> Report:
    argv = [sys.executable, "-P", "-c", _INSIDE, name, *(["--few"] if arguments.few else [])]
    began = time.monotonic()
    say(f"{name} ..")
    try:
        with Host(name) as host:
            done = host.run(argv, arguments.minutes * 60, loud=arguments.verbose)
    except Unavailable as error:
        return Report(name, why_not=str(error))
    except subprocess.TimeoutExpired:
        return Report(name, failed=f"it was not over in {arguments.minutes:g} minutes")
    if done.returncode:
        return Report(name, failed=f"it ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    report = read(done.stdout)
    report.seconds = time.monotonic() - began
    say(table.text([report]))
    return report


def _images(runtime: Runtime, *, few: bool) -> tuple[Path, ...]:
    return (*runtime.images, *(() if few else runtime.more_images))


# The tree of the tests is the working directory there, and on the path, whatever PYTHONPATH says.
_INSIDE = "import os, sys; sys.path.insert(0, os.getcwd()); from tests.runtimes.inside import main; sys.exit(main())"


def read(text: str) -> Report:
    """A report from its JSON."""
    document = json.loads(text)
    return Report(**{**document, "rows": [Row(**row) for row in document["rows"]]})


def _plain(report: Report) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(report)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.runtimes", description=__doc__)
    parser.add_argument("runtimes", nargs="*", metavar="RUNTIME", help=f"of {', '.join(ALL)} (default: all)")
    parser.add_argument("--few", action="store_true", help="a few runtimes, and what differs most of their options")
    parser.add_argument("--minutes", type=float, default=20, help="that one runtime may take (default: 20)")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write what came of it as a page")
    parser.add_argument("--verbose", action="store_true", help="tell what is being done")
    arguments = parser.parse_args()
    unknown: Sequence[str] = [name for name in arguments.runtimes if name not in ALL]
    if unknown:
        parser.error(f"no such runtime: {', '.join(unknown)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
