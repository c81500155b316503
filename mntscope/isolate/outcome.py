"""What comes of isolating, undoing and running, as it is shown: nothing that acts is loaded for it."""

from __future__ import annotations

from typing import ClassVar

from mntscope.analysis.plan import Plan
from mntscope.base.records import dataclass
from mntscope.errors import MntscopeError, RefusedError


@dataclass(frozen=True, slots=True)
class Isolation:
    """A plan, and whether it was carried out; not at all where it was only to be planned, or has no action in it."""

    plan: Plan
    applied: bool = False
    verified: bool = False
    """Every namespace shows what was predicted."""
    journal: str | None = None
    unread: tuple[str, ...] = ()
    """Namespaces that could not be read again."""
    attempts: int = 0
    irreversible: tuple[str, ...] = ()
    """What undo could not put back, one line each: it is done only where that is forced."""
    ended: tuple[str, ...] = ()
    """Of those that were not read again, the ones of which it is known that they ended meanwhile."""

    @property
    def not_verified(self) -> tuple[str, ...]:
        """The namespaces that may be there still, and were not read again."""
        return tuple(label for label in self.unread if label not in self.ended)


class IrreversibleError(RefusedError):
    """Undo could not put back what would be done, for at least one reason; nothing is done without being forced."""

    def __init__(self, plan: Plan, irreversible: tuple[str, ...], *, where: str) -> None:
        first, *others = irreversible
        more = f"; and {len(others)} more" if others else ""
        hint = "--force does it all the same, for good"
        super().__init__(f"undo could not put it back: {first}{more}", where=where, hint=hint)
        self.plan = plan
        self.irreversible = irreversible


@dataclass(frozen=True, slots=True)
class Undoing:
    """What a journal spoke of, put back."""

    journal: str
    done: tuple[str, ...]
    """What was put back, one line each; empty where nothing was left to do."""
    notes: tuple[str, ...] = ()
    """What is not quite as before, and why."""


@dataclass(frozen=True, slots=True)
class Running:
    """A command of ``run`` that is about to be executed: all has been verified."""

    pid: int
    """Of the process that is in the new mount namespace, or made it."""
    plan: Plan
    """With no action in it: nothing mounted at /proc reaches another namespace."""
    new_pids: bool


class RolledBackError(MntscopeError):
    """It was begun, could not be finished, and all is as it was; or not, and the text says so."""

    def __init__(self, what: str, journal: str, *, where: str = "", plan: Plan | None = None, clean: bool) -> None:
        outcome = "all was put back" if clean else "NOT all could be put back: try `mntscope undo` with the journal"
        super().__init__(f"{what}; {outcome}", where=where, hint=f"the journal is {journal}")
        self.journal = journal
        self.plan = plan
        self.clean = clean


class InterruptedIsolationError(RolledBackError):
    """The same, because of Ctrl-C."""

    exit_code: ClassVar[int] = 130


class TerminatedIsolationError(InterruptedIsolationError):
    """The same, because of SIGTERM."""

    exit_code: ClassVar[int] = 143
