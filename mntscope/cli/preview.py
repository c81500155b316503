"""``mntscope preview FILE..``."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from mntscope.base.records import replace
from mntscope.cli.output_options import TARGETS, add_fail_on, add_output_options, fail_on_of, page, write_output
from mntscope.errors import ParseError, UsageError

if TYPE_CHECKING:
    from mntscope.analysis.preview.files import Files
    from mntscope.analysis.preview.preview import Preview
    from mntscope.parse.manifests.containers import Manifest, Remark
    from mntscope.rules import Audit
    from mntscope.snapshot import Snapshot

HELP = "what containers would mount, receive and pin, before they start"

EXAMPLES = (
    ("kustomize build overlays/prod | mntscope preview -", "on a host as systemd sets it up"),
    (
        "mntscope preview ds.yaml --snapshot node-1.mntscope.json.gz --format sarif -o preview.sarif",
        "on a node that was captured, for code scanning",
    ),
)

FORMATS = ("table", "json", "markdown", "html", "sarif", "junit")

EPILOG = f"""\
FILE is a Kubernetes manifest, a compose file, a bundle's config.json, a Quadlet or systemd unit, or a text with command
lines of docker run or podman run; - is standard input. Nothing is started: the system calls that the runtime would make
are carried out on a model of the host. Without --snapshot and --against, a host is assumed on which systemd has made
all mounts shared.

{TARGETS}
Exit codes: 0 nothing found at or above --fail-on, 1 found, 2 trouble"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="what starts the containers; - is standard input")
    hosts = parser.add_mutually_exclusive_group()
    hosts.add_argument("--snapshot", metavar="FILE", help="on the host of FILE, a snapshot or sosreport")
    hosts.add_argument("--against", metavar="TARGET", help="on this machine, on which TARGET plays the host")
    parser.add_argument(
        "--runtime",
        metavar="NAME[=VERSION]",
        help="runc or crun, of a version (default: what starts such containers, and what the other does differently)",
    )
    parser.add_argument(
        "--rootfs", metavar="DIR", help="what is in the containers' root filesystem is looked up in DIR"
    )
    parser.add_argument("--steps", action="store_true", help="each system call, and the function that makes it")
    add_fail_on(parser)
    parser.add_argument("--all", action="store_true", help="show long lists in full")
    add_output_options(parser, FORMATS)
    parser.epilog = EPILOG


def run(arguments: argparse.Namespace) -> int:
    """Read the files and the host, start the containers on its model, and say what came of it."""
    from datetime import datetime

    from mntscope.output.preview import FORMATS as WRITERS
    from mntscope.output.preview import PreviewReport

    previewed = result(arguments)
    wrong = next((remark for remark in previewed.remarks if remark.kind == "error"), None)
    if wrong is not None and not previewed.containers:
        raise _error(wrong)
    report = PreviewReport(
        previewed,
        _audit(previewed),
        subject=", ".join(arguments.files[:3]) + (" .." if arguments.files[3:] else ""),
        when=datetime.now().astimezone(),
        fail_on=fail_on_of(arguments),
        steps=arguments.steps,
    )
    write_output(arguments, WRITERS[arguments.format](report, page(arguments)))
    if wrong is not None:
        raise _error(wrong)
    return 1 if report.failing else 0


def result(arguments: argparse.Namespace) -> Preview:
    """What came of it."""
    from mntscope.analysis.preview.preview import preview
    from mntscope.parse.manifests.read import read_manifest

    if arguments.files.count("-") > 1:
        raise UsageError("standard input can be read once", hint="give - once")
    manifests = [read_manifest(_read(file), file) for file in arguments.files]
    here = os.getcwd()
    return preview(
        _host(arguments),
        manifests,
        runtime=arguments.runtime,
        files=_files(manifests, here, live=arguments.against is not None),
        rootfs_files=_rootfs_files(manifests, here, arguments),
        directory=here,
        compare=arguments.runtime is None,
    )


def _read(file: str) -> bytes:
    from mntscope.cli.files import read
    from mntscope.parse.manifests.yaml_documents import LARGEST

    # What is too long is told by who reads it.
    return read("/dev/stdin" if file == "-" else file, LARGEST)


def _host(arguments: argparse.Namespace) -> Snapshot | None:
    from mntscope.cli.targets import whole

    if arguments.snapshot is not None:
        return whole(arguments.snapshot)
    return whole(None, arguments.against) if arguments.against is not None else None


def _files(manifests: list[Manifest], here: str, *, live: bool) -> Files:
    """What is at the paths of this machine that matter, if it is the host."""
    from mntscope.analysis.preview.files import NOTHING_KNOWN

    if not live:
        return NOTHING_KNOWN
    from mntscope.analysis.preview.manager import absolute
    from mntscope.analysis.preview.wanted import of_host
    from mntscope.live.files import look

    return look(
        path
        for manifest in manifests
        for spec in manifest.containers
        for path in of_host(spec, absolute(spec.where.file.rpartition("/")[0] or ".", here))
    )


def _rootfs_files(manifests: list[Manifest], here: str, arguments: argparse.Namespace) -> Files:
    """What is at the paths of the root filesystem: of ``--rootfs``, or of a bundle of this machine."""
    from mntscope.analysis.preview.files import NOTHING_KNOWN

    specs = [spec for manifest in manifests for spec in manifest.containers]
    root: str | None = arguments.rootfs
    if root is None and arguments.against is not None and len(specs) == 1 and specs[0].rootfs:
        from mntscope.analysis.preview.manager import absolute

        folder = absolute(specs[0].where.file.rpartition("/")[0] or ".", here)
        root = absolute(specs[0].rootfs, folder)
    if root is None:
        return NOTHING_KNOWN
    from mntscope.analysis.preview.wanted import of_rootfs
    from mntscope.live.files import look

    if arguments.rootfs is not None and not os.path.isdir(root):
        raise UsageError(f"--rootfs {root}: it is no directory", hint="name where an image is unpacked or mounted")
    return look((path for spec in specs for path in of_rootfs(spec)), root)


def _audit(previewed: Preview) -> Audit:
    """What the rules say of the containers, on the host with them in it."""
    from mntscope.base.display import Records
    from mntscope.rules import audit

    labels = {container.label for container in previewed.containers}
    found = audit(previewed.snapshot)
    mine = (finding for finding in found.findings if finding.subject in labels)
    return replace(found, findings=Records(mine, found.findings.kind))


def _error(remark: Remark) -> ParseError:
    where = remark.where
    return ParseError(remark.what, file=where.file, line=where.line, column=where.column, text=b"")
