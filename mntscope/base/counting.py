"""Numbers of things, in sentences: the one place that knows how English counts."""

from __future__ import annotations

from collections.abc import Iterable

_SIBILANTS = ("s", "x", "z", "ch", "sh")


def counted(number: int, noun: str) -> str:
    """``1 mount``, ``2 more processes``; *noun* is given in the singular, its last word takes the plural."""
    return f"{number} {noun if number == 1 else plural(noun)}"


def counted_each(numbers: Iterable[tuple[str, int]]) -> str:
    """``1 critical, 2 low``."""
    return ", ".join(f"{number} {what}" for what, number in numbers)


def plural(noun: str) -> str:
    """Of a regular noun: ``mounts``, ``processes``, ``copies``."""
    if noun.endswith(_SIBILANTS):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def agreeing(number: int, one: str, several: str, noun: str = "") -> str:
    """The number, with its noun where one is given, and the verb that goes with it: ``1 is``, ``3 more lines are``."""
    return f"{counted(number, noun) if noun else number} {one if number == 1 else several}"
