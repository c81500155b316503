"""The commands that stop a leak, ready to be pasted into a root shell."""

from __future__ import annotations

from mntscope.difference import Diff
from mntscope.graph import Leak
from mntscope.model import View
from mntscope.report.text import shell_word


def command(leak: Leak, diff: Diff) -> str | None:
    """What stops one leak; ``None`` where no path names its mount."""
    if leak.remedy_path is None:
        return None
    return f"{_enter(diff.target)}mount --{leak.remedy} {shell_word(leak.remedy_path)}"


def command_for_all(diff: Diff) -> str | None:
    """What stops every leak out of the target, and lets the host's umounts in; ``None`` where ``/`` is no mount."""
    if all(mount.mount_point != "/" for mount in diff.target.mounts):
        return None
    return f"{_enter(diff.target)}mount --make-rslave /"


def pid_of(view: View) -> int | None:
    """The process that was asked about, or through which the view was read."""
    if view.label.isdecimal():
        return int(view.label)
    return view.process.pid if view.process else None


def _enter(view: View) -> str:
    """How to run a command in the target; nothing for a view from elsewhere."""
    if view.label.startswith("ns:"):
        return f"nsenter --mount={shell_word(view.label.removeprefix('ns:'))} "
    if view.process is None:
        return ""
    if view.process.root not in ("", "/"):
        # The paths are as this process sees them, below its root directory.
        return f"nsenter -t {view.process.pid} -m -r "
    return f"nsenter -t {pid_of(view)} -m "
