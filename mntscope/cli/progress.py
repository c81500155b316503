"""What a terminal shows of a command that takes longer than a moment: one line, which goes before the answer comes.

A timer's signal draws it: a thread would be in the way of forking, and every step would have to look at the clock. What
is forked has no timer. A pipe, a file and a dumb terminal get nothing.
"""

from __future__ import annotations

# As mntscope.base.signals has it.
import _signal as signal  # type: ignore[import-not-found]
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from mntscope.base.progress import note, noted

AFTER = 0.5
"""Seconds until it is worth a line, and"""
EVERY = 0.2
"""until the line is drawn again."""

_shower: Callable[..., None] | None = None
"""What draws, as long as it is to."""
_drawn = False


@contextmanager
def shown(command: str) -> Iterator[None]:
    """Shows what is noted while *command* is at work, until :func:`hide` or the end."""
    note("")
    if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        yield
        return
    began, process = time.monotonic(), os.getpid()

    def draw(*_: object) -> None:
        if os.getpid() == process and _shower is draw:
            what = f"{command}: {noted()}" if noted() else command
            _draw(f"{what}, {time.monotonic() - began:.0f} s")

    global _shower  # noqa: PLW0603 - there is one terminal
    try:
        signal.signal(signal.SIGALRM, draw)
    except ValueError:
        # In another thread than the main one there are no signals.
        yield
        return
    signal.siginterrupt(signal.SIGALRM, False)
    _shower = draw
    signal.setitimer(signal.ITIMER_REAL, AFTER, EVERY)
    try:
        yield
    finally:
        hide()


def hide() -> None:
    """No more of it, and nothing is left of what was drawn: here comes the answer."""
    global _shower, _drawn  # noqa: PLW0603 - as above
    # Who is interrupted has the timer for something else.
    if _shower is not None and signal.getsignal(signal.SIGALRM) is _shower:
        signal.setitimer(signal.ITIMER_REAL, 0)
    _shower = None
    if _drawn:
        _drawn = False
        _write("\r\x1b[K")


def _draw(text: str) -> None:
    global _drawn  # noqa: PLW0603 - as above
    from mntscope.output.escape import visible

    width = 80
    with suppress(OSError):
        width = os.get_terminal_size(2).columns or width
    _drawn = True
    _write(f"\r{visible(text)[: width - 1]}\x1b[K")


def _write(text: str) -> None:
    with suppress(OSError):
        # Not through sys.stderr, in the midst of which the signal may have come.
        os.write(2, text.encode("ascii", "backslashreplace"))
