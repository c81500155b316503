"""Calls that were traced, and wait for their namespaces to be read."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from mntscope.watch.events import Who
from mntscope.watch.source import Call
from mntscope.watch.state import Machine

SHARE = 0.05
"""The part of a processor that reading may take which calls ask for: on a machine with many, it comes less often."""
LONGEST = 0.5
"""Seconds that a call waits at most."""


class Calls:
    """Gathers calls; mostly one, whose namespaces are read at once."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._waiting: list[Call] = []
        self._not_before = 0.0

    @property
    def due(self) -> float:
        """When their namespaces are to be read (CLOCK_MONOTONIC); never while there are none."""
        return self._not_before if self._waiting else inf

    def add(self, calls: Iterable[Call]) -> None:
        """Calls that were made just now."""
        self._waiting += calls

    def callers(self) -> dict[int, Who]:
        """The namespaces in which something may have changed, and by whom: the caller's, and what shares with it."""
        machine = self._machine
        callers: dict[int, Who] = {}
        beside: dict[int, Who] = {}
        for call in self._waiting:
            key = machine.key_of(call.inode)
            if key is not None:
                callers.setdefault(key, call.who)
            for other in machine.namespaces if key is None else machine.around(key):
                beside.setdefault(other, call.who)
        return {**beside, **callers}

    def taken(self) -> dict[int, Who]:
        """The same, and none waits any more."""
        callers = self.callers()
        self._waiting.clear()
        return callers

    def took(self, seconds: float, now: float) -> None:
        """That much of the processor it took to read them."""
        self._not_before = now + min(LONGEST, seconds / SHARE)
