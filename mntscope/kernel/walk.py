"""A path gone name by name, as path_resolution(7) has it, by one who wants to see what it leads through.

The kernel follows a path in one go, wherever those want it to lead who may write to the directories on it. Here each
directory is held by a descriptor before the next name is looked up in it, and each link is shown before it is followed:
there is no moment between the look and the use. To be done in a child (:mod:`mntscope.kernel.worker`), as the server of
any filesystem on the way may never answer.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from mntscope.base.records import NamedTuple

MOST_LINKS = 40
"""As in the kernel (MAXSYMLINKS, include/linux/namei.h)."""

DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PLACE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Link(NamedTuple):
    """A symbolic link that was met."""

    place: str
    """Where it is, from where the walk began."""
    status: os.stat_result
    path: str
    """What is left to go: what the link says, and what follows it."""


class Walk:
    """A way down: the names, and a descriptor of what each leads to.

    *root* is a descriptor of the root directory, which neither an absolute link nor ``..`` leaves; *start* one of the
    directory from which a path that is not absolute counts, if that is another. Both are the walk's to close. *step*
    opens a name in a directory, and *passing* is called with each directory before a name is looked up in it.
    """

    def __init__(
        self,
        root: int,
        *,
        start: int | None = None,
        step: Callable[[int, str], int] | None = None,
        passing: Callable[[int, str], None] | None = None,
    ) -> None:
        self.names: list[str] = []
        self.last = ""
        """The name that was left to the caller: see :meth:`along`."""
        self._root = root
        self._fds = [os.dup(root) if start is None else start]
        self._below_root = start is None
        self._step = step or _step
        self._passing = passing
        self._links = 0

    @property
    def fd(self) -> int:
        """An O_PATH descriptor of what the last name led to; the walk's to close."""
        return self._fds[-1]

    @property
    def place(self) -> str:
        """The names, as a path: absolute, unless it began elsewhere."""
        return ("/" if self._below_root else "") + "/".join(self.names)

    def close(self) -> None:
        """Close all of its descriptors, for who walks often."""
        for fd in (*self._fds, self._root):
            os.close(fd)

    def along(self, path: str, *, to_the_last: bool = True) -> Link | None:
        """Go on along *path*, to the first link in it, or to its end.

        Without *to_the_last* the last name is left to the caller, in :attr:`last`, unless it is a link: nothing of that
        name may be there.

        :raises OSError: it leads nowhere; ELOOP: through too many links.
        """
        if path.startswith("/"):
            self._to_root()
        *names, last = path.split("/")
        self.last = "" if to_the_last else last
        for position, name in enumerate(names, 1):
            if link := self._go(name, [*names[position:], last]):
                return link
        if to_the_last:
            return self._go(last, [])
        if last not in ("", ".", ".."):
            return self._look(last)
        self._require_directory()
        return None

    def _go(self, name: str, rest: list[str]) -> Link | None:
        if name in ("", ".", ".."):
            self._require_directory()
            if name == "..":
                self._up()
        else:
            fd = self._open(name)
            if link := self._link(fd, name, rest):
                return link
            self.names.append(name)
            self._fds.append(fd)
        return None

    def _look(self, name: str) -> Link | None:
        """The link of that name, if there is one."""
        try:
            fd = self._open(name)
        except FileNotFoundError:
            return None
        if link := self._link(fd, name, []):
            return link
        os.close(fd)
        return None

    def _open(self, name: str) -> int:
        if self._passing:
            self._passing(self.fd, self.place)
        return self._step(self.fd, name)

    def _link(self, fd: int, name: str, rest: list[str]) -> Link | None:
        """What the link *fd* says; it is closed then."""
        try:
            # Of the very link that was opened (readlink(2)). Of anything else no server is asked for it.
            says = os.readlink("", dir_fd=fd)
        except OSError:
            return None
        status = os.fstat(fd)
        os.close(fd)
        self._links += 1
        if self._links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        return Link(os.path.join(self.place, name), status, "/".join([says, *rest]))

    def _require_directory(self) -> None:
        """What a slash follows is one (path_resolution(7))."""
        if self.names:
            os.close(os.open(".", DIRECTORY, dir_fd=self.fd))

    def _up(self) -> None:
        if self.names:
            self.names.pop()
            os.close(self._fds.pop())
        elif not self._below_root:
            self._fds.append(os.open("..", DIRECTORY, dir_fd=self.fd))
            os.close(self._fds.pop(0))

    def _to_root(self) -> None:
        while self._fds:
            os.close(self._fds.pop())
        self.names.clear()
        self._fds.append(os.dup(self._root))
        self._below_root = True


def _step(directory: int, name: str) -> int:
    try:
        # A directory is automounted, if it has to be; a mere place would not be.
        return os.open(name, DIRECTORY, dir_fd=directory)
    except NotADirectoryError:
        return os.open(name, _PLACE, dir_fd=directory)
