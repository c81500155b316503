"""A prediction for programs; its text for people is in :mod:`mntscope.output.foretold`."""

from __future__ import annotations

from typing import Any

from mntscope.analysis.predict import Prediction, StepPrediction
from mntscope.output.foretold import as_table
from mntscope.output.formats import Format
from mntscope.output.writers.json import effect_json, json_text, problems_json
from mntscope.output.writers.page import Page


def as_json(prediction: Prediction, page: Page) -> str:  # noqa: ARG001
    """The document ``mntscope.predict/1``; of a sequence, the operation is the one that fails, else the last."""
    outcome = prediction.outcome
    return json_text(
        "predict",
        {
            "host": prediction.before.host_label,
            "target": prediction.target,
            "command": prediction.command,
            "outside": len(prediction.outside),
            "operation": outcome.operation.to_dict() if outcome else None,
            "errno": outcome.errno if outcome else None,
            "effects": [effect_json(effect) for effect in prediction.effects],
            "uncertain": list(prediction.uncertain),
            "steps": [_step_json(step) for step in prediction.steps],
            "not_seen": problems_json(prediction.before.not_seen),
        },
    )


FORMATS: dict[str, Format[Prediction]] = {"table": as_table, "json": as_json}


def _step_json(step: StepPrediction) -> dict[str, Any]:
    return {
        "command": step.step.text,
        "line": step.step.line,
        "column": step.step.column,
        "depth": step.depth,
        "skipped": step.skipped,
        "errno": step.failed.errno if step.failed else None,
        "operations": [{**outcome.operation.to_dict(), "errno": outcome.errno} for outcome in step.outcomes],
        "effects": [effect_json(effect) for effect in step.effects],
    }
