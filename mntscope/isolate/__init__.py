"""Stop what a process mounts from reaching other namespaces: planned, shown, carried out, verified, undoable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mntscope.analysis.plan import Action, Kind, Plan, make_plan
from mntscope.isolate.outcome import (
    InterruptedIsolationError,
    IrreversibleError,
    Isolation,
    RolledBackError,
    Running,
    Undoing,
)

if TYPE_CHECKING:
    from mntscope.isolate.apply import isolate
    from mntscope.isolate.run import run_isolated
    from mntscope.isolate.target import Capture
    from mntscope.isolate.undo import put_back

__all__ = [
    "Action",
    "Capture",
    "InterruptedIsolationError",
    "IrreversibleError",
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

_HOMES = {"Capture": "target", "isolate": "apply", "put_back": "undo", "run_isolated": "run"}
"""What acts, and where it is: loaded when it is asked for."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
