"""A fleet for other programs: the documents ``mntscope.fleet/1``. Fields are added over time, never renamed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC
from typing import TYPE_CHECKING, Any

from mntscope.output.writers.json import json_text
from mntscope.output.writers.page import Page

if TYPE_CHECKING:
    from mntscope.fleet import Added, Bad, Drift, FleetDrift, FleetReport, Outlier


def added_json(result: Added, page: Page) -> str:  # noqa: ARG001
    """What was added."""
    return json_text(
        "fleet",
        {
            "dataset": result.dataset,
            "added": result.added,
            "known": result.known,
            "parts": result.parts,
            "bad_inputs": _bad(result.bad_inputs),
        },
    )


def report_json(result: FleetReport, page: Page) -> str:  # noqa: ARG001
    """The state of a fleet."""
    return json_text(
        "fleet",
        {
            "dataset": result.dataset,
            "time": result.when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "since": result.since and f"{result.since}",
            "hosts": result.hosts,
            "namespaces": result.namespaces,
            "mounts": result.mounts,
            "cohorts": result.cohorts,
            "days": [{**_record(one), "day": f"{one.day}"} for one in result.days],
            "findings": [
                {**_record(one), "cohort": one.cohort, "examples": list(one.examples)} for one in result.findings
            ],
            "outliers": [_compared(one) for one in result.outliers],
            "drift": [],
            "unseen": [{**_record(one), "last": f"{one.last}"} for one in result.unseen],
            "propagation": [_record(one) for one in result.propagation],
            "bad_inputs": _bad(result.bad_inputs),
        },
    )


def drift_json(result: FleetDrift, page: Page) -> str:  # noqa: ARG001
    """The drift between two days."""
    return json_text(
        "fleet",
        {
            "dataset": result.dataset,
            "before": f"{result.before}",
            "after": f"{result.after}",
            "hosts": result.hosts,
            "only_before": list(result.only_before),
            "only_after": list(result.only_after),
            "findings": [],
            "outliers": [],
            "drift": [_compared(one) for one in result.drift],
            "bad_inputs": [],
        },
    )


def _compared(one: Outlier | Drift) -> dict[str, Any]:
    found = _record(one)
    owner, path = found.pop("app"), found.pop("place")
    return {"owner": owner, "path": path, **found, "examples": list(one.examples)}


def _bad(bad: Iterable[Bad]) -> list[dict[str, str]]:
    return [{"source": one.source, "why": one.why} for one in bad]


def _record(record: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}
