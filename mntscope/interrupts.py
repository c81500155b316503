"""Ctrl-C, and a notebook's interrupt, while something is held that must be let go of again.

Python raises KeyboardInterrupt between any two instructions of the main thread: also between the call that forks a
worker, or opens a descriptor, and the one that notes that it is there. What is held then is never let go of, which a
command does not mind, since it ends, but a notebook's kernel does. (Blocking the signal is of no use where there are
other threads: one of them gets it.)
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def uninterrupted() -> Iterator[None]:
    """What is done here is done to its end, and only then interrupted; a second interrupt does not wait.

    In other threads than the main one, where nothing is ever interrupted, it does nothing. It may be used within
    itself, and where SIGINT is handled by somebody else: what was meant for the handler then reaches it afterwards.
    """
    before = signal.getsignal(signal.SIGINT)
    waiting = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal waiting
        if waiting:
            signal.default_int_handler(number, frame)
        waiting = True

    if before in (None, signal.SIG_IGN) or not _set(note):
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if waiting:
            signal.raise_signal(signal.SIGINT)


def _set(handler: Callable[[int, FrameType | None], None]) -> bool:
    """Whether it could be: in other threads than the main one it cannot."""
    try:
        signal.signal(signal.SIGINT, handler)
    except ValueError:
        return False
    return True
