"""The parent's end of a worker: a forked process that acts in the target's namespaces (:mod:`hands`)."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from contextlib import suppress

from mntscope.errors import KernelError, RefusedError
from mntscope.isolate.actions import Answer, Change, Entrance, Hands, Hook, live, no_hook, receive
from mntscope.isolate.journal import Journal
from mntscope.kernel.worker import WorkerLostError, end

PATIENCE = 20.0
"""Seconds after which a worker that does not answer is taken to be stuck, and killed."""

_LAST = 5.0
"""Seconds in which one puts back what it was not told to keep."""


class Worker:
    """The parent's end.

    *changes* are those of a worker before it, which this one may have to put back. *journal* is what it writes when
    it puts things back on its own.
    """

    def __init__(
        self,
        entrance: Entrance,
        *,
        changes: Sequence[Change] = (),
        journal: Journal | None = None,
        hook: Hook | None = None,
    ) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            live(Hands(entrance, list(changes), hook or no_hook), theirs, journal)
        theirs.close()
        ours.settimeout(PATIENCE)
        self._line = ours
        try:
            self.answer()
        except BaseException:
            self.end()
            raise

    def ask(self, request: str, **values: object) -> Answer:
        """Have it do something, and wait for the answer.

        :raises KernelError: a system call failed.
        :raises MntscopeError: it was killed, or is stuck.
        """
        with suppress(BrokenPipeError, ConnectionResetError):
            self._line.send(json.dumps({"do": request, **values}).encode())
        return self.answer()

    def answer(self) -> Answer:
        """The next answer."""
        try:
            message, fds = receive(self._line)
        except TimeoutError:
            raise WorkerLostError("the worker in the target's namespace does not answer") from None
        except ConnectionResetError:
            message, fds = b"", []
        if not message:
            raise WorkerLostError("the worker in the target's namespace was killed")
        values = json.loads(message)
        if "refused" in values:
            raise RefusedError(values["refused"], where=values["where"])
        if "errno" in values:
            raise KernelError(values["call"], values["errno"], where=values["where"])
        return Answer(values, fds)

    def end(self) -> None:
        """Let it go: it puts back what it was not told to keep, and ends."""
        self._line.close()
        end(self.pid, seconds=_LAST)

    def kill(self) -> None:
        """End it at once."""
        self._line.close()
        end(self.pid)
