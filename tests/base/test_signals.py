"""Interrupts wait until what is held has been let go of."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from types import FrameType

import pytest

from mntscope.base.signals import uninterrupted


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def test_an_interrupt_waits_for_the_end() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt):
        with uninterrupted():
            interrupt()
            done.append("all of it")
        done.append("more")
    assert done == ["all of it"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_one_does_not_wait() -> None:
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        interrupt()
        interrupt()
        pytest.fail("it went on")


def test_one_within_the_other_ends_with_the_outer() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        with uninterrupted():
            interrupt()
        done.append("the outer")
    assert done == ["the outer"]


def test_an_error_is_not_lost() -> None:
    with pytest.raises(KeyboardInterrupt) as caught, uninterrupted():
        interrupt()
        raise ValueError("what was wrong")
    assert isinstance(caught.value.__context__, ValueError)


def test_a_function_is_interrupted_when_it_has_returned() -> None:
    done = []

    @uninterrupted()
    def act() -> None:
        interrupt()
        done.append("all of it")

    with pytest.raises(KeyboardInterrupt):
        act()
    assert done == ["all of it"]


def test_who_handles_interrupts_gets_them_afterwards() -> None:
    heard = []

    def handler(number: int, _: FrameType | None) -> None:
        heard.append(number)

    before = signal.signal(signal.SIGINT, handler)
    try:
        with uninterrupted():
            interrupt()
            assert heard == []
        assert heard == [signal.SIGINT]
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with uninterrupted():
            interrupt()
            interrupt()
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_are_left_alone() -> None:
    seen = []

    def act() -> None:
        with uninterrupted():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=act)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


# In a command


IN_A_COMMAND = """
import os, signal, sys, time
from mntscope.base import signals
from mntscope.base.signals import at_once, to_the_end, uninterrupted

def interrupt(number=signal.SIGINT):
    signal.raise_signal(number)

signals.command_begins()
try:
    {body}
    signals.command_ends()
except KeyboardInterrupt as interrupt:
    os._exit(signals.exit_code(interrupt))
"""


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("interrupt()", 130, ""),
        ("interrupt(signal.SIGTERM)", 143, ""),
        # What only holds something goes with the process; what changes something is done to the end.
        ("with uninterrupted(): interrupt(); print('on')", 130, ""),
        ("with to_the_end(): interrupt(signal.SIGTERM); print('on')", 143, "on\n"),
        ("with to_the_end(), at_once(): interrupt(); print('on')", 130, ""),
        # Somebody loses it, or makes another error of it, or does not end in time.
        ("exec('try: interrupt()\\nexcept KeyboardInterrupt: pass'); print('on')", 130, "on\n"),
        ("type('Lost', (), {'__del__': lambda self: interrupt()})(); print('on')", 130, ""),
        ("exec('try: interrupt()\\nexcept KeyboardInterrupt: time.sleep(60)')", 130, ""),
        # A fork is no command; a second signal does not wait; after the end it is too late.
        ("os.fork() or interrupt(); print('on', os.wait()[1] >> 8)", 0, "on 130\n"),
        ("exec('try: interrupt()\\nfinally: interrupt(signal.SIGTERM)')", 130, ""),
        ("signals.command_ends(); interrupt(); print('on')", 0, "on\n"),
    ],
)
def test_in_a_command_a_signal_is_raised_once_and_not_lost(body: str, code: int, said: str) -> None:
    program = IN_A_COMMAND.format(body=body)
    done = subprocess.run(
        [sys.executable, "-u", "-c", program], capture_output=True, text=True, check=False, timeout=10
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, said, "")


def test_what_was_ignored_stays_ignored() -> None:
    command = [
        "sh",
        "-c",
        'trap \'\' INT TERM; exec "$0" -c "$1"',
        sys.executable,
        IN_A_COMMAND.format(body="interrupt()"),
    ]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
