"""Where the mount table of a namespace comes from: mountinfo, or what statmount(2) says.

Either is opened once and can be read again and again; both give the same lines.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_right
from contextlib import suppress
from itertools import pairwise

from mntscope.errors import AccessError, NoAnswerError
from mntscope.kernel.worker import inside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Source(Protocol):
        """A way to read the mount table of one namespace again and again."""

        def read(self) -> bytes:
            """The table as it is now.

            :raises OSError: it cannot be read any more.
            :raises AccessError: the same.
            """
            ...

        def close(self) -> None:
            """Close all of :attr:`descriptors`; it cannot be read again."""
            ...

        @property
        def descriptors(self) -> tuple[int, ...]:
            """The descriptors that it keeps open as long as it can be read again."""
            ...


PATIENCE = 0.005
"""Seconds of this thread's processor time for which mountinfo is read before anybody asks what it costs."""

DEAR = 25e-6
"""Seconds for one mount from which on mountinfo is given up. A line takes 1.5 microseconds, by statmount(2) 10; of a
slave among thousands of peers 100 and more. So at worst, giving up costs as much again as was spent before."""

_BLOCK = 1 << 16
"""Bytes: more than the kernel gives at once."""


class Mountinfo:
    """A descriptor of a mountinfo file: it goes on showing that namespace, whatever becomes of the process.

    A read(2) returns a page at most (seq_read_iter() in fs/seq_file.c), and the table may change between two of them:
    a table is certain when two consecutive readings agree. Mounts that change to and fro, all at once, could do so
    between the same two lines in both; so each reading pauses in the midst of what the one before read in one piece.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._pauses: list[int] = []
        """Up to which bytes of the table the next reading goes in one piece."""

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The file."""
        return (self.fd,)

    def read(self) -> bytes:
        """The whole table, however long that takes."""
        table = self._read(limited=False)
        assert table is not None
        return table

    def read_if_cheap(self) -> bytes | None:
        """The whole table, unless that turns out to be too dear."""
        return self._read(limited=True)

    def _read(self, *, limited: bool) -> bytes | None:
        os.lseek(self.fd, 0, os.SEEK_SET)
        # The first clock costs next to nothing, the second a system call; and no processor time without time.
        begun, spent_before = time.monotonic(), time.thread_time() if limited else 0.0
        pages = []
        ends = [0]
        lines = 0
        while page := os.read(self.fd, self._until_pause(ends[-1])):
            pages.append(page)
            ends.append(ends[-1] + len(page))
            lines += page.count(b"\n")
            if limited and time.monotonic() - begun > PATIENCE:
                spent = time.thread_time() - spent_before
                if spent > PATIENCE and spent > DEAR * lines:
                    return None
        # What was read in one piece is of one moment.
        self._pauses = [(start + end) // 2 for start, end in pairwise(ends)] if len(pages) > 1 else []
        return b"".join(pages)

    def _until_pause(self, begin: int) -> int:
        """How many bytes from *begin* are asked for at once."""
        at = bisect_right(self._pauses, begin)
        return self._pauses[at] - begin if at < len(self._pauses) else _BLOCK

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)


class Statmount:
    """A namespace, and the root directory to see it from: a worker goes there and asks for each mount."""

    def __init__(self, namespace: int, root: int | None = None) -> None:
        self._namespace = namespace
        self._root = root
        self._known = self._table = b""
        """What the last reading was told by, and what it told."""

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The namespace, and the root directory."""
        return (self._namespace,) if self._root is None else (self._namespace, self._root)

    def read(self) -> bytes:
        """The table of the namespace.

        :raises AccessError: it may not be entered, or the kernel does not tell enough (before Linux 6.15).
        """
        from mntscope.live import statmount

        answer, _ = inside(self._namespace, lambda: (statmount.read(self._known), []), root=self._root)
        if answer != self._known:
            self._known, self._table = answer[: statmount.FINGERPRINT], answer[statmount.FINGERPRINT :]
        return self._table

    def close(self) -> None:
        """Close both."""
        for fd in self.descriptors:
            os.close(fd)


def first_reading(mountinfo: int, namespace: int | None, process: int | None = None) -> tuple[Source, bytes]:
    """The mount table behind the descriptor *mountinfo*, by whichever way is quicker, and that way.

    *namespace* is a descriptor of the mount namespace, *process* of the /proc/PID directory of the process whose
    root directory counts. *mountinfo* is closed unless the source keeps it; the others are not touched.
    """
    text = Mountinfo(mountinfo)
    try:
        table = text.read_if_cheap()
        if table is not None:
            return text, table
        with suppress(OSError, AccessError, NoAnswerError):
            return _asked(text, namespace, process)
        return text, text.read()
    except BaseException:
        text.close()
        raise


def _asked(text: Mountinfo, namespace: int | None, process: int | None) -> tuple[Source, bytes]:
    if namespace is None:
        raise AccessError("its namespace may not be opened")
    from mntscope.live.foreign import root_directory

    root = None if process is None else root_directory(process)
    source = Statmount(os.dup(namespace), root)
    try:
        table = source.read()
    except BaseException:
        source.close()
        raise
    text.close()
    return source, table
