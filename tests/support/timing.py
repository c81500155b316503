"""How long something takes, on a machine that may be busy with other tests."""

from __future__ import annotations

import time
from collections.abc import Callable

TRIES = 5


def quickest(act: Callable[[], object], *, below: float) -> float:
    """The seconds that *act* takes, tried until it is quicker than *below*, five times at most.

    What waits for something is never quicker than that; what does not may be slow once, for another's sake.
    """
    best = float("inf")
    for _ in range(TRIES):
        begun = time.monotonic()
        act()
        best = min(best, time.monotonic() - begun)
        if best < below:
            break
    return best
