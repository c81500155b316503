"""What stops a leak, or frees a filesystem: commands as lists of words, for a report to quote and a shell to run."""

from __future__ import annotations

from mntscope.graph import Remedy
from mntscope.model import Hold, View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

Command = tuple[str, ...]
"""The words of a command, the program first; unquoted, so they may hold anything."""


def pid_of(view: View) -> int | None:
    """The process that was asked about, or through which the view was read."""
    if view.label.isdecimal():
        return int(view.label)
    return view.process.pid if view.process else None


def enter(view: View) -> Command:
    """What runs a command in the namespace of *view*: a prefix of it, empty for a view from elsewhere.

    The program is one of that namespace's: for mount(8) and umount(8), see :func:`run_in`.
    """
    if view.label.startswith("ns:"):
        return ("nsenter", f"--mount={view.label.removeprefix('ns:')}")
    if view.process is None:
        return _through(view)
    if view.process.root not in ("", "/"):
        # The paths are as this process sees them, below its root directory.
        return ("nsenter", "-t", str(view.process.pid), "-m", "-r")
    return ("nsenter", "-t", str(pid_of(view)), "-m")


def run_in(view: View, program: Literal["mount", "umount"], *words: str) -> Command | None:
    """The host's own mount(8) or umount(8) at work in the namespace of *view*; ``None`` where there is no way in.

    nsenter(1) would run, as root, a program of the namespace that it enters: one that nobody need trust, and that a
    container may not have. ``--namespace`` takes util-linux 2.35. umount's ``--recursive`` does not go with it: it
    reads /proc/self there, which may show others.
    """
    match enter(view):
        case ():
            return None
        case ("nsenter", "-t", pid, "-m"):
            return (program, "--namespace", pid, *words)
        case ("nsenter", file) if file.startswith("--mount="):
            return (program, "--namespace", file.removeprefix("--mount="), *words)
        case prefix:
            # With another root directory: mount(8) has no option for it.
            return (*prefix, program, *words)


def change_type(view: View, remedy: Remedy, path: str) -> Command:
    """The command that changes the propagation type of the mount at *path* of *view*.

    Of a view from elsewhere, it is to be run in that namespace.
    """
    return run_in(view, "mount", f"--{remedy}", path) or ("mount", f"--{remedy}", path)


def stop_all(view: View) -> Command | None:
    """What stops every leak out of *view*, and lets the host's umounts in; ``None`` where ``/`` is no mount."""
    if all(mount.mount_point != "/" for mount in view.mounts):
        return None
    return run_in(view, "mount", "--make-rslave", "/") or ("mount", "--make-rslave", "/")


def file_of(hold: Hold) -> str | None:
    """The path by which the host's processes reach the namespace that is held, if one does."""
    if hold.kind == "fd":
        return hold.where
    if hold.kind == "thread":
        return f"/proc/{hold.where}/ns/mnt"
    if hold.label == "host":
        return hold.where
    # Its own paths lead there below the root directory of a process that sees them.
    return f"/proc/{hold.label}/root{hold.where}" if hold.label.isdecimal() else None


def _through(view: View) -> Command:
    """The way into a namespace through one of its processes, else through what keeps it."""
    if view.namespace.processes:
        return ("nsenter", "-t", str(view.namespace.processes[0].pid), "-m")
    # A thread or a mount lasts longer than a descriptor.
    for hold in sorted(view.namespace.holds, key=lambda hold: hold.kind == "fd"):
        path = file_of(hold)
        if path is not None:
            return ("nsenter", f"--mount={path}")
    return ()
