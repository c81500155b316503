"""Paths as a running process would follow them: symbolic links included."""

from __future__ import annotations

import errno
import os

from mntscope.errors import AccessError, TargetError
from mntscope.interrupts import uninterrupted

MOST_LINKS = 40
"""As in the kernel (MAXSYMLINKS, include/linux/namei.h)."""

_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


@uninterrupted()
def real_path(pid: int, path: str) -> str | None:
    """The absolute *path*, as process *pid* sees it, without symbolic links; ``None`` where nothing exists.

    It is followed below the process's root directory, which an absolute link or ``..`` cannot leave.

    :raises AccessError: its root directory may not be looked into.
    :raises TargetError: the process is gone.
    """
    try:
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        raise AccessError("its root directory may not be looked into", where=f"process {pid}") from None
    except OSError as error:
        raise TargetError(f"its root directory cannot be opened ({error.strerror})", where=f"process {pid}") from None
    walk = _Walk(root)
    try:
        return walk.to(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
            return None
        if error.errno == errno.EACCES:
            raise AccessError("it may not be looked into", where=f"{path} of process {pid}") from None
        raise TargetError(f"it cannot be followed ({error.strerror})", where=f"{path} of process {pid}") from None
    finally:
        walk.close()


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
            fd = os.open(name, _STEP, dir_fd=self.fds[-1])
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

    def up(self) -> None:
        if self.names:
            self.names.pop()
            os.close(self.fds.pop())

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)
