"""How far long work is. It is noted here, which costs nothing; a terminal shows it where somebody waits."""

from __future__ import annotations

_noted = ("", 0, 0)


def note(what: str, done: int = 0, total: int = 0) -> None:
    """From now on *what* is being done, *done* of *total* where that is known; ``""``: nothing that has a name."""
    global _noted  # noqa: PLW0603 - a process does one thing after the other
    _noted = what, done, total


def reading_namespaces(done: int, total: int) -> None:
    """As :func:`mntscope.live.capture` tells it."""
    note("reading mount namespaces", done, total)


def noted() -> str:
    """``reading mount namespaces, 120 of 5000``."""
    what, done, total = _noted
    count = f"{done} of {total}" if total else str(done or "")
    return ", ".join(filter(None, (what, count)))
