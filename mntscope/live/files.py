"""What is at paths of this machine, looked at before somebody needs it: directories, files, where links lead."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterable

from mntscope.analysis.preview.files import FileKind, Files
from mntscope.base.paths import normal
from mntscope.errors import MntscopeError
from mntscope.kernel.walk import Walk
from mntscope.kernel.worker import in_child

MOST = 4096
"""Paths that are looked at."""

_NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EACCES)


def look(paths: Iterable[str], root: str = "/") -> Files:
    """What is at each of *paths*, below the directory *root*, which links do not leave.

    A child looks, and is killed in time: what it lies on may never answer. Then nothing is known of any.
    """
    wanted = sorted({normal(path) for path in paths})[:MOST]
    if not wanted:
        return Files()
    try:
        answer = in_child(lambda: _looked(wanted, root), where=root)
    except (MntscopeError, OSError):
        return Files()
    kinds, links = json.loads(answer)
    return Files(kinds, links)


def _looked(paths: list[str], root: str) -> bytes:
    kinds: dict[str, FileKind] = {}
    links: dict[str, str] = {}
    for path in paths:
        real, kind = _real(path, root)
        if real != path:
            links[path] = real
        kinds[real] = kind
    return json.dumps([kinds, links]).encode()


def _real(path: str, root: str) -> tuple[str, FileKind]:
    """*path* without links, and what is there; what is behind a name that is not there is taken as it stands."""
    walk = Walk(os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    begin, rest = "/", path
    try:
        while link := walk.along(rest):
            begin, rest = walk.place, link.path
    except OSError as error:
        if error.errno not in _NOWHERE:
            raise
        return normal(rest if rest.startswith("/") else f"{begin}/{rest}"), "missing"
    else:
        return walk.place, "directory" if stat.S_ISDIR(os.fstat(walk.fd).st_mode) else "file"
    finally:
        walk.close()
