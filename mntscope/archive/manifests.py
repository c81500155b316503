"""Files that start containers, read from where they lie."""

from __future__ import annotations

import os

from mntscope.analysis.preview.preview import Preview
from mntscope.analysis.preview.preview import preview as preview_of
from mntscope.archive.files import content
from mntscope.parse.manifests.read import read_manifest
from mntscope.snapshot import Snapshot


def preview(snapshot: Snapshot | None, what: str | bytes | os.PathLike[str], *, runtime: str | None = None) -> Preview:
    """What the containers of a file would mount, receive and pin on the host of *snapshot*, before they start.

    *what* is the path of a file, or its text: a Kubernetes manifest, a compose file, a bundle's config.json, a command
    line of ``docker run`` or ``podman run``, a unit. A string of one line that names a file is a path. Without a
    *snapshot*, a host is assumed on which systemd has made all mounts shared. *runtime* is ``runc``, ``crun``, or with
    a version ``runc=1.1``; by default what starts the containers there.

    :raises UsageError: a runtime that is not known.
    :raises MntscopeError: the file cannot be read, or the host's tables claim more than can be followed.
    """
    if isinstance(what, bytes):
        return preview_of(snapshot, [read_manifest(what, "-")], runtime=runtime)
    path = os.fspath(what)
    if isinstance(what, str) and ("\n" in path or not os.path.lexists(path)):
        return preview_of(snapshot, [read_manifest(path.encode("utf-8", "surrogateescape"), "-")], runtime=runtime)
    manifest = read_manifest(content(path), path)
    return preview_of(snapshot, [manifest], runtime=runtime, directory=os.getcwd())
