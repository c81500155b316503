"""How a self-test came out: for a person, and for a program."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mntscope.output.escape import visible
from mntscope.output.formats import Format
from mntscope.output.writers.json import json_text
from mntscope.output.writers.page import Page
from mntscope.propagation.operations import Operation
from mntscope.selftest.replay import Result
from mntscope.selftest.run import Case, Tally

RESULTS: tuple[Result, ...] = ("exact", "uncertain", "wrong")


def table(tally: Tally, _: Page) -> str:
    """The counts; then the smallest sequence of operations that was predicted wrongly, if one was."""
    return "".join(f"{visible(line)}\n" for line in _lines(tally))


def json(tally: Tally, _: Page) -> str:
    """The document ``mntscope.selftest/1``."""
    return json_text(
        "selftest",
        {
            "traces": tally.traces,
            "operations": tally.operations,
            **{result: tally.results[result] for result in RESULTS},
            "modes": {mode: {result: counts[result] for result in RESULTS} for mode, counts in tally.by_mode.items()},
            "seed": tally.seed,
            "kernel": tally.kernel,
            "uncertain_operations": dict(tally.reasons.most_common()),
            "mismatches": [_case_json(case) for case in tally.cases],
        },
    )


FORMATS: dict[str, Format[Tally]] = {"table": table, "json": json}


def _lines(tally: Tally) -> Iterator[str]:
    live = f" on Linux {tally.kernel}, seed {tally.seed}" if tally.kernel else ""
    yield f"{tally.operations} operations in {tally.traces} traces{live}"
    yield ""
    yield f"{'':14}{''.join(f'{result:>11}' for result in RESULTS)}"
    for mode, counts in (*tally.by_mode.items(), ("operations", tally.results)):
        yield f"{mode:14}{''.join(f'{counts[result]:>11}' for result in RESULTS)}"
    yield ""
    if tally.reasons:
        kinds = ", ".join(f"{count} {name}" for name, count in tally.reasons.most_common())
        yield f"Uncertain, as they hang on what no table shows, and said so: {kinds}."
    if not tally.cases:
        yield "No prediction was wrong."
        return
    yield f"WRONG: {tally.results['wrong']} operations. The smallest sequence found:"
    yield ""
    yield from _case_lines(min(tally.cases, key=lambda case: len(case.operations)))


def _case_lines(case: Case) -> Iterator[str]:
    yield f"trace {case.trace}, step {case.step}, predicted {case.judgement.mode}"
    yield ""
    yield from (f"  {_spelled(op)}" for op in case.operations)
    yield ""
    yield "before the last of them:"
    for view in case.before.views:
        yield f"  {view.label}"
        yield from (f"    {line}" for line in _mountinfo(case, view.label))
    yield ""
    yield "what differs after it (- as predicted, + as it is):"
    for mismatch in case.judgement.mismatches:
        yield from (f"  {line}" for line in mismatch.lines())


def _case_json(case: Case) -> dict[str, Any]:
    return {
        "trace": case.trace,
        "step": case.step,
        "mode": case.judgement.mode,
        "operation": case.judgement.operation.to_dict(),
        "differences": [mismatch.lines() for mismatch in case.judgement.mismatches],
        "before": {view.label: _mountinfo(case, view.label) for view in case.before.views},
        "operations": [op.to_dict() for op in case.operations],
        "shrunk": case.shrunk,
    }


def _mountinfo(case: Case, label: str) -> list[str]:
    return case.before.mountinfo(label).decode("utf-8", "surrogateescape").split("\n")[:-1]


def _spelled(op: Operation) -> str:
    """``A: bind source=/a target=/b recursive``."""
    words = []
    for name, value in op.to_dict().items():
        if value is True:
            words.append(name)
        elif value and name not in ("op", "ns"):
            words.append(f"{name}={value}")
    return f"{op.ns}: {op.op} {' '.join(words)}"
