"""SIGINT (Ctrl-C, a notebook's interrupt) and SIGTERM: what they end, and what is put back first.

Python raises KeyboardInterrupt between any two instructions of the main thread: also between the call that forks a
worker, or opens a descriptor, and the one that notes that it is there. What is held then is never let go of, which a
command does not mind, since it ends and its workers with it, but a notebook's kernel does. (Blocking the signal is of
no use where there are other threads: one of them gets it.)

So what only holds something is :func:`uninterrupted`, which in a command means nothing, and what changes something is
done :func:`to_the_end` everywhere. In a command (:func:`command_begins`) SIGTERM is an error as SIGINT is, so that
temporary files and a progress bar go away; but neither is one that can be lost.
"""

from __future__ import annotations

# The half of signal that is built into the interpreter: the other takes a millisecond to load.
import _signal as signal  # type: ignore[import-not-found]
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

PATIENCE = 0.6
"""Seconds that an interrupted command has to put things back."""

_BOTH = (signal.SIGINT, signal.SIGTERM)

_command: int | None = None
"""The pid of this process, where it is a command."""
_heard: int | None = None
"""The signal that has been raised."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, in a command: to whoever puts something back, the same as Ctrl-C."""


# In a command, which is the whole process


def command_begins() -> None:
    """From now on a signal that the process does not ignore is raised, once, in the main thread."""
    global _command  # noqa: PLW0603 - there is one process
    _command = os.getpid()
    for number in _BOTH:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _raise)


def command_ends() -> None:
    """What comes now comes too late: all is done, and said.

    :raises KeyboardInterrupt: one came before, and somebody has taken it for another error.
    """
    for number in _BOTH:
        signal.signal(number, signal.SIG_IGN)
    if _heard is not None:
        raise as_error(_heard)


def heard() -> bool:
    """Whether one has been raised, and what happens since may be its doing."""
    return _heard is not None


@contextmanager
def at_once() -> Iterator[None]:
    """Within what collects signals, in a command: here nothing is changed yet, so one is raised as it comes."""
    before = {number: signal.getsignal(number) for number in _BOTH}
    if _command != os.getpid() or not all(map(callable, before.values())):
        yield
        return
    try:
        for number in before:
            signal.signal(number, _raise)
        yield
    finally:
        if _heard is None:
            for number, handler in before.items():
                signal.signal(number, handler)


def as_error(number: int) -> KeyboardInterrupt:
    """The exception that a signal is raised as: SIGTERM too is a KeyboardInterrupt, but one that can be told apart."""
    return Terminated() if number == signal.SIGTERM else KeyboardInterrupt()


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """128 and the number of the signal, as a shell has it for a program that a signal ends."""
    number: int = signal.SIGTERM if isinstance(interrupt, Terminated) else signal.SIGINT
    return 128 + number


def _raise(number: int, _: FrameType | None) -> None:
    global _heard  # noqa: PLW0603 - as above

    def end(*_: Any) -> NoReturn:
        os._exit(128 + number)

    if os.getpid() != _command:
        # A fork that has not yet said what they mean to it.
        end()
    # A second one does not wait. Nor is this one lost: Python drops, and shows, what is raised where an object is
    # finalized; other people's code may catch whatever is raised, and make another error of it.
    _heard = number
    for each in _BOTH:
        signal.signal(each, end)
    sys.unraisablehook = end
    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    raise as_error(number)


# Anywhere


@contextmanager
def uninterrupted() -> Iterator[None]:
    """What holds something that must be let go of again is done to its end, and only then interrupted.

    In a command it is interrupted at once: what it holds goes with it.
    """
    if _command is not None:
        yield
        return
    with to_the_end():
        yield


@contextmanager
def to_the_end() -> Iterator[None]:
    """What is done here is done to its end, and only then interrupted; a second interrupt does not wait.

    In other threads than the main one, where nothing is ever interrupted, it does nothing. It may be used within
    itself, and where the signals are handled by somebody else: what was meant for the handler then reaches it
    afterwards. What the system does itself, to ignore them or to end the process, is left to it.
    """
    waiting: list[int] = []
    before: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def note(number: int, frame: FrameType | None) -> None:
        if waiting:
            before[number](number, frame)
        waiting.append(number)

    try:
        for number in _BOTH:
            handler = signal.getsignal(number)
            if callable(handler) and _set(number, note):
                before[number] = handler
        yield
    finally:
        for each, theirs in before.items():
            signal.signal(each, theirs)
        if waiting:
            signal.raise_signal(waiting[0])


def _set(number: int, handler: Callable[[int, FrameType | None], None]) -> bool:
    """Whether it could be: in other threads than the main one it cannot."""
    try:
        signal.signal(number, handler)
    except ValueError:
        return False
    return True
