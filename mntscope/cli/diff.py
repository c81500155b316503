"""``mntscope diff TARGET [PATH]``, and ``mntscope diff BEFORE AFTER`` of two captures."""

from __future__ import annotations

import argparse
import os
from contextlib import suppress

from mntscope.base.records import NamedTuple
from mntscope.cli.output_options import TARGETS, add_against, add_output_options, add_snapshot, page, write_output
from mntscope.cli.targets import is_target, refuse_path_first
from mntscope.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mntscope.analysis.diff import Diff
    from mntscope.cli.targets import Resolved
    from mntscope.model import View

HELP = "what a process sees that the host does not, and what leaks between them"

EXAMPLES = (
    ("mntscope diff 4711", "what process 4711 sees that the host does not, and what leaks between them"),
    (
        "mntscope diff monday.mntscope.json.gz tuesday.mntscope.json.gz",
        "what has changed on a machine from one capture to the next",
    ),
)

FORMATS = ("table", "json", "csv", "markdown", "html")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("target", metavar="TARGET", help="whose mounts: a process, a file, ...; or an earlier capture")
    parser.add_argument(
        "path",
        metavar="PATH",
        nargs="?",
        help="ask about this path only, as the target sees it; or a later capture of the same machine",
    )
    add_snapshot(parser, target=True)
    add_against(parser)
    parser.add_argument("--all", action="store_true", help="show long lists in full")
    add_output_options(parser, FORMATS)
    parser.epilog = (
        f"{TARGETS}\nA capture is FILE, or FILE#LABEL for one view of it: a snapshot, a sosreport, a directory.\n"
        "Exit codes: 0 isolated or receives, 1 leaks or same-namespace, 2 trouble;"
        "\n            of two captures 0 nothing differs, 1 something does"
    )


def run(arguments: argparse.Namespace) -> int:
    """Read both views, or both captures, compare them, and say so."""
    captures = _captures(arguments.target, arguments.path) if arguments.snapshot is None else None
    if captures:
        return _before_and_after(arguments, *captures)
    from mntscope.output.diff import FORMATS as WRITERS

    found = result(arguments)
    write_output(arguments, WRITERS[arguments.format](found, page(arguments)))
    return 1 if found.found else 0


def result(arguments: argparse.Namespace) -> Diff:
    """What there is to say of a target."""
    from mntscope.analysis.diff import diff
    from mntscope.base.records import replace
    from mntscope.cli.targets import resolve

    _refuse_no_path(arguments.target, arguments.path)
    resolved = resolve(arguments.target, arguments.against, file=arguments.snapshot)
    found = diff(resolved.snapshot, _as_asked(resolved, arguments.target), arguments.path)
    return replace(found, not_seen=(*resolved.snapshot.not_seen, *found.not_seen))


def _refuse_no_path(target: str, path: str | None) -> None:
    """Refuse a second word that is no absolute path, before anything is read."""
    refuse_path_first("diff", target, [path] if path else [])
    if path is None or path.startswith("/"):
        return
    if is_target(path):
        hint = f"to compare two targets: mntscope diff {target} --against {path}"
    else:
        hint = f"give it from the target's root on, as in {'/' + path.removeprefix('./')!r}"
    raise UsageError(f"{path!r} is no absolute path", hint=hint)


# ---- two captures ----


class Capture(NamedTuple):
    """A file with a whole machine, or a view of it."""

    file: str
    label: str | None


def _captures(before: str, after: str | None) -> tuple[Capture, Capture] | None:
    """The two captures that the words mean; ``None`` where they mean a target, and perhaps a path in it."""
    if after is None or not all(word.startswith("snapshot:") or not is_target(word) for word in (before, after)):
        return None
    if before.startswith("snapshot:") and not after.startswith("snapshot:"):
        return None
    if after.startswith("/") and not before.startswith("snapshot:") and not _is_file(_capture(before).file):
        # A namespace by name, or by its file, and a path in it.
        return None
    return _capture(before), _capture(after)


def _is_file(path: str) -> bool:
    """Whether there is such a file or directory, and none of a namespace.

    :raises NoAnswerError: the filesystem that it is on does not answer.
    """
    from mntscope.kernel.worker import in_child

    def of_another_kind() -> bytes:
        return b"+" if os.stat(path).st_dev != os.stat("/proc/self/ns/mnt").st_dev else b""

    with suppress(OSError, ValueError):
        return bool(in_child(of_another_kind, where=path))
    return False


def _capture(word: str) -> Capture:
    file, hash_sign, label = word.removeprefix("snapshot:").rpartition("#")
    return Capture(file, label) if hash_sign and file and label else Capture(word.removeprefix("snapshot:"), None)


def _before_and_after(arguments: argparse.Namespace, before: Capture, after: Capture) -> int:
    from mntscope.analysis.diff_captures import compare
    from mntscope.archive import load
    from mntscope.output.diff_captures import FORMATS as WRITERS

    if arguments.against != "host":
        raise UsageError("--against: each of two captures has a host of its own", hint="leave it out")
    if arguments.format not in WRITERS:
        raise UsageError(f"--format {arguments.format}: not of two captures", hint=f"choose of {', '.join(WRITERS)}")
    found = compare(load(before.file), load(after.file), before_view=before.label, after_view=after.label)
    write_output(arguments, WRITERS[arguments.format](found, page(arguments)))
    return 1 if found.found else 0


# ---- a target ----


def _as_asked(resolved: Resolved, target: str) -> View:
    """The target's view, named as it was asked for also where it is the host's: a namespace has one view."""
    from mntscope.base.records import replace

    view = resolved.snapshot.view(resolved.target)
    asked = target.rpartition("#")[2] if target.startswith("snapshot:") else target
    if resolved.target != resolved.snapshot.host_label or asked in (resolved.target, "host"):
        return view
    pid = os.getpid() if target == "self" else int(target) if target.isdecimal() else None
    process = next((process for process in view.namespace.processes if process.pid == pid), None)
    return replace(view, label=target, process=process)
