"""Who carries a command out: the process, its root directory, and the namespaces that it may enter."""

from __future__ import annotations

import re

from mntscope.base.paths import relative, under
from mntscope.model import Process, View
from mntscope.parse.commands import Entered
from mntscope.snapshot import Snapshot

NAMESPACE_FILE = re.compile(r"/proc/([0-9]+|self|thread-self)/ns/([a-z]+?)(?:_for_children)?")
"""The link or file of a namespace in procfs: whose, and of which kind."""
NAMESPACE = re.compile(r"[a-z]+:\[[0-9]+\]")
"""What such a link says."""


def process_of(view: View, target: str) -> Process | None:
    """The process that acts, if it is known: the one asked for, or the one whose view it is."""
    return next((process for process in view.namespace.processes if str(process.pid) == target), view.process)


def root_of(process: Process | None, view: View) -> str:
    """The root directory of a process as a path of the view of its namespace; empty where they have the same."""
    if process is None or not process.root.startswith("/"):
        return ""
    seen_from = view.process.root if view.process and view.process.root.startswith("/") else "/"
    return relative(process.root, seen_from).rstrip("/") if under(process.root, seen_from) else ""


def entered(snapshot: Snapshot, of: str) -> Entered | None:
    """The namespace of a pid, or of the file at a path: in procfs, or where a mount keeps it."""
    file = NAMESPACE_FILE.fullmatch(of)
    pid = file[1] if file and file[2] == "mnt" else of
    if pid.isdecimal():
        for view in snapshot.views:
            process = next((one for one in view.namespace.processes if str(one.pid) == pid), None)
            if process is not None:
                return Entered(view.label, root_of(process, view) or "/")
            if pid == view.label:
                return Entered(view.label, "/")
        return None
    kept = next((mount.root for mount in snapshot.mounts if mount.mount_point == of and mount.fs_type == "nsfs"), "")
    labels = (view.label for view in snapshot.views if kept == f"mnt:[{view.namespace.inode}]")
    return next((Entered(label, "/") for label in labels), None)


def pids_of_the_host(host: View, process: Process | None) -> int | None:
    """The PID namespace whose processes the host knows itself by."""
    if host.process is None or host.process == process:
        # The host's only known process is the one that acts, which may live in another: its /proc tells.
        return host.proc_pid_namespace
    return host.process.pid_namespace
