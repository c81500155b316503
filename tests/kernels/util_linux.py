"""``python -m tests.kernels.util_linux``: the mount(8)s of Debian's suites do what is predicted, or do not; as root.

Each command line of ``tests/analysis/test_predict_kernel.py`` is predicted, then run in its scene on this kernel, with
the mount, umount and unshare of one version first in PATH. They are unpacked beside the libraries of their suite, and
run by its loader: nothing of the machine's own is replaced.
"""

from __future__ import annotations

import argparse
import inspect
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mntscope.analysis.predict import predict_commands
from mntscope.errors import ParseError
from tests.analysis.test_predict_kernel import MORE, Scene, mismatches
from tests.kernels.debian import Debian, Unavailable
from tests.support.commands import FORMS, installed_program
from tests.support.repository import ROOT
from tests.support.throwaway import Host

SUITES = {"2.36": "bullseye", "2.38": "bookworm", "2.41": "trixie", "2.42": "sid"}
"""The versions that Debian's suites have: there is no 2.39 and no 2.40."""
BUSYBOX = {"busybox-1.30": "bullseye", "busybox-1.35": "bookworm", "busybox-1.37": "trixie", "busybox-1.38": "sid"}

PROGRAMS = ("mount", "umount", "unshare")
PACKAGES = ("mount", "util-linux", "libc6", "libmount1", "libblkid1", "libselinux1", "libpcre2-8-0", "libsmartcols1")

COMMANDS = (*(command for command, _ in FORMS), *MORE)


@dataclass(frozen=True, slots=True)
class Difference:
    """A command line that did not do what was predicted."""

    command: str
    lines: tuple[str, ...]
    uncertain: tuple[str, ...]
    """What the prediction itself says that it does not know."""
    not_predicted: str = ""
    """Why mntscope says nothing of it, if so."""


def programs(debian: Debian, version: str, directory: Path) -> Path:
    """A directory with the programs of *version*, to be put first in PATH.

    :raises Unavailable: no suite has that version now.
    """
    target = directory / version
    if (target / "bin/done").exists():
        return target / "bin"
    shutil.rmtree(target, ignore_errors=True)
    (target / "bin").mkdir(parents=True)
    suite = {**SUITES, **BUSYBOX}[version]
    for name in PACKAGES if version in SUITES else ("busybox-static",):
        package = debian.package(name, suite)
        if name in ("mount", "busybox-static") and f"{version.rpartition('-')[2]}." not in package.version:
            raise Unavailable(f"{suite} has {name} {package.version} now")
        debian.unpack(package, target / "root")
    for program in PROGRAMS:
        wrapper = target / "bin" / program
        wrapper.write_text(f'#!/bin/sh\nexec {_command(target / "root", program)} "$@"\n')
        wrapper.chmod(0o755)
    (target / "bin/done").touch()
    return target / "bin"


def _command(root: Path, program: str) -> str:
    """How *program* of the unpacked suite is run."""
    if (busybox := next(root.glob("**/bin/busybox"), None)) is not None:
        return f"{busybox} {program}"
    loader = next(root.glob("**/x86_64-linux-gnu/ld-linux-x86-64.so.2"))
    libraries = sorted({str(path.parent) for path in root.glob("**/x86_64-linux-gnu/lib*.so.*")})
    executable = next(path for path in root.glob(f"**/bin/{program}") if path.is_file())
    return f"{loader} --library-path {':'.join(libraries)} {executable}"


def differences(path: str, program: str | None, commands: tuple[str, ...], **environment: str) -> Iterator[Difference]:
    """Those of *commands* that do otherwise than predicted for *program*, with *path* as PATH."""
    for command in commands:
        with closing(Host()) as host:
            scene = Scene.on(host)
            before = scene.snapshot()
            try:
                prediction = predict_commands(before, "box", command, program=program)
            except ParseError as error:
                yield Difference(command, (), (), not_predicted=error.what)
                continue
            done = scene.run(command, PATH=path, **environment)
            lines = mismatches(before, prediction, scene.snapshot())
            said = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()][:1]
            # What the last of several commands returns tells nothing of the others.
            if ";" not in command and "\n" not in command and (prediction.failed is None) != (done.returncode == 0):
                foretold = "success" if prediction.failed is None else "failure"
                lines.insert(0, f"{foretold} was predicted, exit {done.returncode}: {' '.join(said)}")
            if lines:
                yield Difference(command, tuple(lines), tuple(prediction.uncertain))


def main() -> int:
    """Tries each version; exit code 1 where one does otherwise than predicted."""
    parser = argparse.ArgumentParser(prog="python -m tests.kernels.util_linux", description=inspect.getdoc(main))
    known = [*SUITES, *BUSYBOX, "own"]
    parser.add_argument("versions", nargs="*", choices=[*known, []], help="'own': what is installed; default: all")
    parser.add_argument("--command", action="append", help="this command line only; may be repeated")
    parser.add_argument(
        "--mount2", action="store_true", help="with LIBMOUNT_FORCE_MOUNT2, the system calls of mount(2)"
    )
    parser.add_argument("--where", action="store_true", help="only say where the programs are")
    parser.add_argument("--build", type=Path, default=ROOT / "build/kernels", help="where all of it is kept")
    arguments = parser.parse_args()
    if os.geteuid():
        sys.stderr.write("mounts are made, in throwaway namespaces: run it as root\n")
        return 2
    # Linux 6.18 numbers namespaces for each processor by itself, which decides whose files may be mounted where.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    debian = Debian(arguments.build.resolve() / "debian")
    commands = tuple(arguments.command or COMMANDS)
    environment = {"LIBMOUNT_FORCE_MOUNT2": "always"} if arguments.mount2 else {}
    wrong, read = 0, False
    for version in arguments.versions or known:
        path = os.environ["PATH"]
        try:
            if version != "own":
                if not (read or (debian.directory / "pkgcache.bin").exists()):
                    debian.update()
                read = True
                path = f"{programs(debian, version, debian.directory.parent / 'mount')}:{path}"
        except Unavailable as error:
            sys.stdout.write(f"{version}: not to be had: {error}\n")
            continue
        if arguments.where:
            sys.stdout.write(f"{version}: {path.partition(':')[0]}\n")
            continue
        program = "util-linux 2.38" if arguments.mount2 else installed_program(path)
        found = list(differences(path, program, commands, **environment))
        for difference in found:
            if difference.not_predicted:
                sys.stdout.write(f"{version}: {difference.command!r} is not predicted: {difference.not_predicted}\n")
                continue
            sys.stdout.write(f"{version}: {difference.command!r}\n")
            sys.stdout.writelines(f"    {line}\n" for line in difference.lines[:8])
            sys.stdout.writelines(f"    (uncertain: {reason})\n" for reason in difference.uncertain[:2])
        not_right = [difference for difference in found if not difference.not_predicted]
        silent = f", {len(found) - len(not_right)} not predicted" * (len(found) > len(not_right))
        sys.stdout.write(f"{version}: {len(not_right)} wrong of {len(commands)}{silent}\n")
        sys.stdout.flush()
        wrong += len(not_right)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
