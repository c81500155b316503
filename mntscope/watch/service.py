"""What a watch that runs as a service does beside watching: it tells systemd, answers for its metrics, runs a command.

Nothing here waits: not for systemd, not for who asks for metrics, not for the command.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

from mntscope.errors import AccessError, UsageError
from mntscope.watch.events import Event

MOST_COMMANDS = 8
"""Commands that run at a time; what is told while as many run is told to none."""
COMMAND_SECONDS = 60.0
"""Seconds for which one may run."""

_MOST_ASKING = 8
_LONGEST_REQUEST = 4096
_REQUEST_SECONDS = 5.0


def notify(state: str) -> None:
    """sd_notify(3): tell the service manager, if there is one that wants to be told (``READY=1``)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.setblocking(False)
        sender.sendto(state.encode(), address)


class Commands:
    """Runs a command for each leak, with the event as JSON on its standard input, and does not wait for it.

    :raises UsageError: it is no command line.
    """

    def __init__(self, command: str) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise UsageError(f"--exec {command!r}: {error}", hint="quote it as for a shell") from None
        if not self._words:
            raise UsageError("--exec: no command", hint="give a program, and its arguments")
        self._running: list[tuple[subprocess.Popen[bytes], float]] = []
        self.skipped = self.failed = 0
        """Events for which it was not run, since too many ran; and for which it could not be run."""

    def run(self, event: Event) -> None:
        """For this event."""
        self.reap()
        if len(self._running) >= MOST_COMMANDS:
            self.skipped += 1
            return
        # A file in memory: a pipe would have to be written to when the command reads.
        text = os.memfd_create("event", os.MFD_CLOEXEC)
        try:
            os.write(text, json.dumps(event.to_dict()).encode() + b"\n")
            os.lseek(text, 0, os.SEEK_SET)
            started = subprocess.Popen(
                self._words, stdin=text, stdout=subprocess.DEVNULL, start_new_session=True, close_fds=True
            )
            self._running.append((started, time.monotonic() + COMMAND_SECONDS))
        except OSError:
            self.failed += 1
        finally:
            os.close(text)

    def reap(self) -> None:
        """Note which have ended; those that take too long are killed."""
        now = time.monotonic()
        still = []
        for process, until in self._running:
            if process.poll() is None:
                if now > until:
                    process.kill()
                still.append((process, until))
        self._running = still

    def close(self) -> None:
        """They may go on alone."""
        self.reap()
        for process, _ in self._running:
            # It is no longer ours to wait for.
            process.returncode = 0
        self._running.clear()


class Metrics:
    """Answers HTTP requests for ``/metrics`` on the loopback interface, between two rounds.

    :raises AccessError: the port cannot be had.
    """

    def __init__(self, port: int) -> None:
        self._server = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._server.bind(("127.0.0.1", port))
            self._server.listen(_MOST_ASKING)
        except (OSError, OverflowError) as error:
            self._server.close()
            raise AccessError(f"it cannot be listened on ({error})", where=f"port {port}") from None
        self._server.setblocking(False)
        self.port: int = self._server.getsockname()[1]
        self._asking: dict[socket.socket, tuple[bytes, float]] = {}

    @property
    def descriptor(self) -> int:
        """It can be read when somebody asks."""
        return self._server.fileno()

    @property
    def waiting(self) -> bool:
        """Whether somebody has not said all that he asks."""
        return bool(self._asking)

    def answer(self, text: Callable[[], str]) -> None:
        """Give those who have asked what *text* returns."""
        with suppress(OSError):
            while len(self._asking) < _MOST_ASKING:
                asking, _ = self._server.accept()
                asking.setblocking(False)
                self._asking[asking] = b"", time.monotonic() + _REQUEST_SECONDS
        for asking, (before, given) in list(self._asking.items()):
            said, until = before, given
            try:
                said += asking.recv(_LONGEST_REQUEST)
            except BlockingIOError:
                pass
            except OSError:
                until = 0.0
            done = b"\r\n\r\n" in said or b"\n\n" in said or len(said) >= _LONGEST_REQUEST
            if done:
                with suppress(OSError):
                    # As much as fits: the buffer of a socket holds more than there is to say.
                    asking.send(_response(said, text()))
            if done or time.monotonic() > until:
                asking.close()
                del self._asking[asking]
            else:
                self._asking[asking] = said, until

    def close(self) -> None:
        """Nobody is answered any more."""
        for asking in self._asking:
            asking.close()
        self._asking.clear()
        self._server.close()


def _response(request: bytes, text: str) -> bytes:
    found = request.split(b" ", 2)[:2] in ([b"GET", b"/metrics"], [b"GET", b"/"])
    body = text.encode() if found else b"there is /metrics\n"
    status = b"200 OK" if found else b"404 Not Found"
    head = b"HTTP/1.0 %b\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    return head + body
