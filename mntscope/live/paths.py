"""Paths as a running process would follow them: symbolic links included."""

from __future__ import annotations

import errno
import os
import re

from mntscope.base.paths import relative, under
from mntscope.base.signals import uninterrupted
from mntscope.errors import AccessError, TargetError

_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC

_OWN_NAMESPACE = re.compile(r"/proc/(?:self|thread-self)/ns/([a-z_]+)")
_NAMESPACE = re.compile(r"[a-z]{1,16}:\[[0-9]{1,20}\]")

_NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


def absolute(path: str) -> str:
    """*path* from the root directory on, where it is named from the current directory.

    :raises TargetError: that has been deleted.
    """
    try:
        return os.path.abspath(path)
    except FileNotFoundError as error:
        raise TargetError("the current directory is gone", where=path, hint="give the path from / on") from error


@uninterrupted()
def real_path(pid: int, path: str) -> str | None:
    """The absolute *path*, as process *pid* sees it, without symbolic links; ``None`` where nothing exists.

    What a link in ``/proc/PID/ns`` leads to has no path, and is given as the link says: ``net:[4026531840]``; that of
    ``/proc/self`` is the process's own.

    It is followed below the process's root directory, which an absolute link or ``..`` cannot leave; by a child, since
    whatever lies there may never answer.

    :raises AccessError: it may not be looked into.
    :raises TargetError: the process is gone.
    :raises NoAnswerError: a filesystem on the way does not answer.
    """
    from mntscope.kernel.worker import in_child

    process = f"process {pid}"
    # Nothing where nothing exists: a path has at least its slash.
    return os.fsdecode(in_child(lambda: os.fsencode(_real_path(pid, path)), where=f"{path} of {process}")) or None


def working_directory(pid: int) -> str | None:
    """Where process *pid* is, as a path below its root directory; ``None`` where that is not known, or elsewhere."""
    try:
        here, root = (os.readlink(f"/proc/{pid}/{link}") for link in ("cwd", "root"))
    except OSError:
        return None
    if not here.startswith("/") or here.endswith(" (deleted)") or not under(here, root):
        return None
    return relative(here, root) or "/"


def _real_path(pid: int, path: str) -> str:
    # Looked up only here, in the child: most commands follow no path.
    from mntscope.kernel.walk import Walk
    from mntscope.live.foreign import IN_ROOT, open_at

    process = f"process {pid}"
    if own := _OWN_NAMESPACE.fullmatch(path):
        try:
            return os.readlink(f"/proc/{pid}/ns/{own[1]}")
        except FileNotFoundError:
            return ""
        except OSError:
            raise AccessError("its namespaces may not be looked at", where=process) from None
    try:
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        raise AccessError("its root directory may not be looked into", where=process) from None
    except OSError as error:
        raise TargetError(f"its root directory cannot be opened ({error.strerror})", where=process) from None
    os.chdir("/proc")
    walk = Walk(root, step=lambda directory, name: open_at(directory, name, _STEP, IN_ROOT))
    rest = path
    try:
        while link := walk.along(rest):
            rest = link.path
            if _NAMESPACE.fullmatch(rest) and link.place.startswith("/proc/"):
                return rest
        return walk.place
    except OSError as error:
        if error.errno in _NOWHERE:
            return ""
        if error.errno == errno.EACCES:
            raise AccessError("it may not be looked into", where=f"{path} of {process}") from None
        raise TargetError(f"it cannot be followed ({error.strerror})", where=f"{path} of {process}") from None
