"""Interrupts wait until what is held has been let go of."""

from __future__ import annotations

import signal
import threading
from types import FrameType

import pytest

from mntscope.interrupts import uninterrupted


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
