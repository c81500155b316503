"""What of a machine could not be seen, gathered while it is read: one sentence for all that is of a kind."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from mntscope.base.counting import agreeing, counted
from mntscope.model import Problem

MOST_NAMED = 8
"""How many are named of those that a sentence is about."""


class NotSeen:
    """What one capture could not see, by kind: an attribute of its own for each of which there may be many."""

    def __init__(self) -> None:
        self.others: list[Problem] = []
        """Those that are one of a kind."""
        self.unidentified: list[int] = []
        """Processes whose table could be read, but not which namespace it is of."""
        self.unreadable: list[int] = []
        """Processes of which not even the table could be read."""
        self.not_entered: set[int] = set()
        """Inodes of namespaces that are known to be there, but could not be entered."""
        self.unanswered: list[str] = []
        """Labels of namespaces of which nobody answered in time whose processes their /proc shows."""
        self.read_once = 0
        """Tables that could not be read a second time."""

    def add(self, what: str, where: str = "") -> None:
        """A gap that is one of a kind."""
        self.others.append(Problem(what, where))

    def problems(self) -> Iterator[Problem]:
        """One sentence for each kind, with its number and the first few names, and what to do about it."""
        yield from self.others
        as_root = "; run mntscope as root" if os.geteuid() else ""
        if len(self.unidentified) == 1:
            what = f"its inode and owner may not be read, its table tells which it is{as_root}"
            yield Problem(what, where=f"the mount namespace of process {self.unidentified[0]}")
        elif self.unidentified:
            where = f"the mount namespaces of {len(self.unidentified)} processes ({_named(self.unidentified)})"
            what = f"their inodes and owners may not be read, their tables tell which they are{as_root}"
            yield Problem(what, where=where)
        if self.unreadable:
            whose = f"{counted(len(self.unreadable), 'process')} may not be read ({_named(self.unreadable)})"
            yield Problem(f"the mounts of {whose}; run mntscope as root")
        if self.not_entered:
            which = f"{counted(len(self.not_entered), 'more mount namespace')} ({_named(sorted(self.not_entered))})"
            yield Problem(f"{which} could not be entered{as_root or '; that takes CAP_SYS_ADMIN and CAP_SYS_CHROOT'}")
        if self.unanswered:
            where = f"{counted(len(self.unanswered), 'mount namespace')} ({_named(self.unanswered)})"
            yield Problem(f"which processes /proc shows in {where}: the filesystem on the way to it did not answer")
        if self.read_once:
            tables = agreeing(self.read_once, "was", "were", "mount table")
            what = f"{tables} read only once: they may be of different moments"
            yield Problem(f"{what}; raise the limit of open files (ulimit -n)")


def _named(numbers: Iterable[int | str]) -> str:
    listed = list(map(str, numbers))
    return ", ".join(listed[:MOST_NAMED]) + (", .." if len(listed) > MOST_NAMED else "")
