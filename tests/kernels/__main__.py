"""``python -m tests.kernels``: mntscope on the kernels of Debian's suites, booted under qemu; as root.

Packages are downloaded into a directory of their own, and kept there. Nothing of the machine changes, but that qemu and
debootstrap are installed where they are missing.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.kernels import table
from tests.kernels.debian import Debian, Unavailable
from tests.kernels.guest import INTERPRETER, TREE, Guest
from tests.kernels.kernel import WANTED, find
from tests.kernels.machine import boot
from tests.kernels.own import enter
from tests.kernels.steps import STEPS
from tests.support.repository import ROOT

PROGRAMS = {"qemu-system-x86_64": "qemu-system-x86", "debootstrap": "debootstrap", "mke2fs": "e2fsprogs"}
"""What is run here, and the package that brings it."""

GUESTS = {"3.11": "bookworm", "3.13": "trixie", "3.14": "sid"}
"""The suite that has each version of Python."""

OWN = "own"
"""Instead of a version: the kernel at hand."""

FEW = ("--seeds", "1", "--operations", "300")
"""Of what takes long, where it is to be over soon."""


def main() -> int:
    """Boots one after the other, and prints the table; see :func:`tests.kernels.table.exit_code`."""
    arguments = _arguments()
    if os.geteuid():
        sys.stderr.write("the guest's disk is made by chroot: run it as root\n")
        return 2
    build, steps = arguments.build.resolve(), arguments.steps
    try:
        _install()
        debian = Debian(build / "debian")
        debian.update()
        guest = Guest(GUESTS[arguments.python], arguments.python, build / "guests")
        _told("the guest's disk")
        guest.write_disk()
    except Unavailable as error:
        sys.stderr.write(f"other kernels cannot be booted here: {error}\n")
        return 2
    booted = []
    end = time.monotonic() + arguments.minutes * 60
    for wanted in arguments.kernels:
        started = time.monotonic()
        if end - started < 60:
            booted.append(table.Booted(wanted, why_not=f"the {arguments.minutes:g} minutes are over"))
            continue
        _told(wanted)
        results = build / "results" / wanted
        script = _script(steps, (*(FEW if arguments.few else ()), *arguments.more))
        try:
            if wanted == OWN:
                in_time = enter(guest.root, TREE, _BROUGHT_ALREADY + script, results, end - started)
            else:
                kernel = find(debian, wanted, build / "images")
                disk, busybox, most = guest.disk, guest.busybox, end - started
                in_time = boot(kernel, disk, busybox, _BRING + script, results, most, arguments.cpus)
        except Unavailable as error:
            booted.append(table.Booted(wanted, why_not=f"not to be had: {' '.join([str(error), *debian.complaints])}"))
            continue
        booted.append(table.read(wanted, results, steps, time.monotonic() - started, in_time=in_time))
        _told(table.text(booted[-1:], steps))
    sys.stdout.write(table.text(booted, steps))
    return table.exit_code(booted)


def _script(steps: Sequence[str], more: Sequence[str]) -> str:
    """What the guest runs: results are brought after each step, so that one that never ends takes none with it."""
    lines = ["mkdir -p /out", "uname -r > /out/release", "uname -v > /out/version", "bring"]
    for step in steps:
        argv = shlex.join([f"/{INTERPRETER}", "-m", "tests.kernels.steps", "/out", step, *more])
        lines += [f"echo {step}; {argv}", "bring"]
    return "\n".join([*lines, ""])


_BRING = "bring() { tar -cf /dev/vdc -C /out . && sync; }\n"
_BROUGHT_ALREADY = "bring() { :; }\n"


def _install() -> None:
    missing = [package for program, package in PROGRAMS.items() if not shutil.which(program)]
    if not missing:
        return
    _told(f"installing {' '.join(missing)}")
    for argv in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *missing]):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(["apt-get", *argv], env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"apt-get {argv[0]}: {done.stderr.strip().splitlines()[-1:]}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.kernels", description=__doc__)
    parser.add_argument(
        "kernels",
        nargs="*",
        metavar="KERNEL",
        help=f"beginnings of versions, or {OWN}: the one at hand (default: {WANTED})",
    )
    parser.add_argument("--steps", nargs="+", choices=STEPS, metavar="STEP", help=f"of {', '.join(STEPS)}")
    parser.add_argument("--few", action="store_true", help="fewer random operations")
    parser.add_argument("--minutes", type=float, default=600, help="after so many, no further one is begun or goes on")
    parser.add_argument("--python", choices=GUESTS, default="3.11", help="the guest's (default: 3.11)")
    parser.add_argument("--cpus", type=int, default=1, help="of each guest (default: 1)")
    parser.add_argument("--build", type=Path, default=ROOT / "build/kernels", help="where all of it is kept")
    parser.add_argument("--more", nargs=argparse.REMAINDER, default=[], help="for `python -m tests.kernels.steps`")
    arguments = parser.parse_args()
    arguments.kernels = arguments.kernels or list(WANTED)
    arguments.steps = arguments.steps or list(STEPS)
    return arguments


def _told(what: str) -> None:
    sys.stderr.write(f"{what} ..\n" if "\n" not in what else what)
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
