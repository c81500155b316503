"""Stop what a process mounts from reaching other namespaces: planned, shown, carried out, verified, undoable."""

from __future__ import annotations

from mntscope.analysis.plan import Action, Kind, Plan, make_plan
from mntscope.isolate.apply import InterruptedIsolationError, Isolation, RolledBackError, isolate
from mntscope.isolate.run import Running, run_isolated
from mntscope.isolate.undo import Look, Undoing, put_back

__all__ = [
    "Action",
    "InterruptedIsolationError",
    "Isolation",
    "Kind",
    "Look",
    "Plan",
    "RolledBackError",
    "Running",
    "Undoing",
    "isolate",
    "make_plan",
    "put_back",
    "run_isolated",
]
