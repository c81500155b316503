"""Numbers of things, in sentences."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """``1 mount``, ``2 mounts``; *noun* is given in the singular, and its last word takes the plural."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
