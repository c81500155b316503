"""A worker that is asked one thing after the other: what the two processes say, and how the one begins and ends.

They talk by a socket that keeps messages apart (SOCK_SEQPACKET, unix(7)): a message is an object of JSON, with
descriptors, or an error that the other side met, which is raised where it is received. The kernel closes the socket of
a process that is gone, so neither side waits for one that was killed; and mntscope gives up one that is stuck.

What a worker does when mntscope is gone is its own affair: one that has changed mounts puts them back first
(:mod:`mntscope.isolate.actions`), others die with their parent (:func:`~mntscope.kernel.process.dies_with`).
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from mntscope.errors import MntscopeError
from mntscope.kernel.process import end, fork
from mntscope.kernel.worker import WorkerLostError, error_in_bytes, raise_error

LONGEST = 1 << 16
"""Bytes of a message: a path of 4096 bytes, escaped, is well below, and so are the ids of a few thousand mounts."""

MOST_DESCRIPTORS = 16

_CREDENTIALS = struct.Struct("3i")
"""``struct ucred``: pid, uid, gid (unix(7))."""

_ERROR = b"!"
"""What a message begins with that is an error."""


@dataclass(slots=True)
class Message:
    """What one side says to the other, if it is no error: an object of JSON and at most 16 descriptors."""

    values: dict[str, Any] = field(default_factory=dict)
    fds: Sequence[int] = ()
    """Descriptors, which are the receiver's to close."""
    sender: int = 0
    """The pid of who said it, as the receiver's PID namespace has it; 0 where nobody asked for it."""


class Channel:
    """One end. *who* is at the other end, in errors: ``the worker``."""

    def __init__(self, line: socket.socket, who: str) -> None:
        self._line = line
        self._who = who

    def fileno(self) -> int:
        """The descriptor of the socket, for who closes all others."""
        return self._line.fileno()

    def close(self) -> None:
        """Hang up: the other side's next :meth:`receive` raises, and its :meth:`requests` end."""
        self._line.close()

    def send(self, message: Message | None = None) -> None:
        """Say it; by default, that all is well. That the other side is gone shows when its answer fails to come."""
        message = message or Message()
        self._send(json.dumps(message.values).encode(), message.fds)

    def receive(self) -> Message:
        """What the other side says next.

        :raises WorkerLostError: nothing: it is gone, or says nothing for too long.
        :raises MntscopeError: it has met an error.
        :raises OSError: the same.
        """
        try:
            message, sent, _, _ = self._line.recvmsg(LONGEST, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
        except TimeoutError:
            raise WorkerLostError(f"{self._who} does not answer") from None
        except ConnectionResetError:
            # It had not read what it was told last.
            message, sent = b"", []
        if not message:
            raise WorkerLostError(f"{self._who} ended unexpectedly")
        if message.startswith(_ERROR):
            raise_error(message.removeprefix(_ERROR), "")
        fds: list[int] = []
        sender = 0
        for level, kind, data in sent:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds += struct.unpack(f"{len(data) // 4}i", data)
            elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                sender, _, _ = _CREDENTIALS.unpack(data)
        return Message(json.loads(message), fds, sender)

    def requests(self) -> Iterator[dict[str, Any]]:
        """What the other side asks for, one after the other, until it hangs up."""
        with suppress(WorkerLostError):
            while True:
                yield self.receive().values

    def answer(self, act: Callable[[], Message]) -> bool:
        """Say what *act* gives, or the error that it raises; whether it raised none."""
        with self.errors_told():
            self.send(act())
            return True
        return False

    @contextmanager
    def errors_told(self) -> Iterator[None]:
        """Until the end of the ``with``: an error ends it, and is the other side's."""
        try:
            yield
        except (MntscopeError, OSError) as error:
            self._send(_ERROR + error_in_bytes(error), ())

    def _send(self, message: bytes, fds: Sequence[int]) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"{len(fds)}i", *fds))] if fds else []
        with suppress(BrokenPipeError, ConnectionResetError):
            self._line.sendmsg([message], rights)


_ANCILLARY = socket.CMSG_SPACE(4 * MOST_DESCRIPTORS) + socket.CMSG_SPACE(_CREDENTIALS.size)


def channel(who: str, *, patience: float | None = None, senders: bool = False) -> tuple[Channel, Channel]:
    """Both ends of a channel; the first is mntscope's.

    It waits *patience* seconds for a message, and hears with it who said it if *senders* is set. *who* is the other
    side in errors.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(patience)
    if senders:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return Channel(ours, who), Channel(theirs, "mntscope")


class Worker:
    """A process that lives *live* with its end of a channel, as mntscope sees it; *who* and *patience* as above."""

    def __init__(
        self, live: Callable[[Channel], int | None], *, who: str = "the worker", patience: float | None = None
    ) -> None:
        self.channel, theirs = channel(who, patience=patience)
        self._ended = False

        def body() -> int | None:
            self.channel.close()
            return live(theirs)

        try:
            self.pid = fork(body)
        except BaseException:
            self.channel.close()
            raise
        finally:
            theirs.close()

    def ask(self, request: str, **values: object) -> Message:
        """Have it do something, and wait for the answer.

        :raises MntscopeError: as :meth:`Channel.receive`.
        """
        self.channel.send(Message({"do": request, **values}))
        return self.channel.receive()

    def end(self, *, seconds: float = 0.0, patience: float = 0.2) -> None:
        """Hang up, and end it if it has not ended of itself within so many *seconds*: see :func:`process.end`."""
        if not self._ended:
            self._ended = True
            self.channel.close()
            end(self.pid, seconds=seconds, patience=patience)
