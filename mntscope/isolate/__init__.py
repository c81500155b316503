"""Stop what a process mounts from reaching other namespaces: planned, shown, carried out, verified, undoable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mntscope.analysis.plan import Action, Kind, Plan, make_plan
    from mntscope.isolate.apply import Isolation, isolate
    from mntscope.isolate.attempt import InterruptedIsolationError, RolledBackError
    from mntscope.isolate.run import Running, run_isolated
    from mntscope.isolate.target import Capture
    from mntscope.isolate.undo import Undoing, put_back

__all__ = [
    "Action",
    "Capture",
    "InterruptedIsolationError",
    "Isolation",
    "Kind",
    "Plan",
    "RolledBackError",
    "Running",
    "Undoing",
    "isolate",
    "make_plan",
    "put_back",
    "run_isolated",
]

_HOMES = {
    "mntscope.analysis.plan": ("Action", "Kind", "Plan", "make_plan"),
    "mntscope.isolate.apply": ("Isolation", "isolate"),
    "mntscope.isolate.attempt": ("InterruptedIsolationError", "RolledBackError"),
    "mntscope.isolate.run": ("Running", "run_isolated"),
    "mntscope.isolate.target": ("Capture",),
    "mntscope.isolate.undo": ("Undoing", "put_back"),
}
"""Loaded when they are asked for: who plans loads nothing that acts, and who acts not how to undo or to run."""


def __getattr__(name: str) -> Any:
    from importlib import import_module

    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
