"""Paths as a running process would follow them: symbolic links included."""

from __future__ import annotations

import errno
import os

from mntscope.base.signals import uninterrupted
from mntscope.errors import AccessError, TargetError

MOST_LINKS = 40
"""As in the kernel (MAXSYMLINKS, include/linux/namei.h)."""

_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC

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


def _real_path(pid: int, path: str) -> str:
    process = f"process {pid}"
    try:
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        raise AccessError("its root directory may not be looked into", where=process) from None
    except OSError as error:
        raise TargetError(f"its root directory cannot be opened ({error.strerror})", where=process) from None
    os.chdir("/proc")
    try:
        return _Walk(root).to(path)
    except OSError as error:
        if error.errno in _NOWHERE:
            return ""
        if error.errno == errno.EACCES:
            raise AccessError("it may not be looked into", where=f"{path} of {process}") from None
        raise TargetError(f"it cannot be followed ({error.strerror})", where=f"{path} of {process}") from None


class _Walk:
    """A way down from a root directory: the names, and a descriptor of what each leads to."""

    def __init__(self, root: int) -> None:
        self.names: list[str] = []
        self.fds = [root]

    def to(self, path: str) -> str:
        pending = path.split("/")[::-1]
        links = 0
        while pending:
            name = pending.pop()
            if name in ("", "."):
                continue
            if name == "..":
                self.up()
                continue
            fd = self._step(name)
            try:
                target = os.readlink("", dir_fd=fd)
            except OSError:
                # ENOENT: what an O_PATH descriptor of anything but a link says.
                self.names.append(name)
                self.fds.append(fd)
                continue
            os.close(fd)
            links += 1
            if links > MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            if target.startswith("/"):
                while self.names:
                    self.up()
            pending += target.split("/")[::-1]
        return "/" + "/".join(self.names)

    def _step(self, name: str) -> int:
        # Looked up only here: most commands follow no path.
        from mntscope.live.foreign import IN_ROOT, open_at

        return open_at(self.fds[-1], name, _STEP, IN_ROOT)

    def up(self) -> None:
        if self.names:
            self.names.pop()
            os.close(self.fds.pop())
