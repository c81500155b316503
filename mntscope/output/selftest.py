"""How a self-test came out: the counts; then the smallest sequence of operations that was predicted wrongly, if any."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mntscope.base.counting import counted, counted_each
from mntscope.output.document import Block, Document, Heading, Items, Paragraph, Table, Verdict, name
from mntscope.output.formats import Format, documents, table
from mntscope.output.writers.json import json_text
from mntscope.output.writers.page import Page
from mntscope.propagation.operations import Operation
from mntscope.selftest.replay import Result
from mntscope.selftest.run import Case, Tally

RESULTS: tuple[Result, ...] = ("exact", "uncertain", "wrong")


def document(tally: Tally, page: Page) -> Document:  # noqa: ARG001 - as any document
    """Whether the kernel did what was predicted, and where it did not."""
    return Document("Predictions compared with the kernel", tuple(_blocks(tally)))


def _blocks(tally: Tally) -> Iterator[Block]:
    live = f" on Linux {tally.kernel}, seed {tally.seed}" if tally.kernel else ""
    extent = f"{counted(tally.operations, 'operation')} in {counted(tally.traces, 'trace')}{live}"
    if tally.cases:
        yield Verdict("WRONG", "critical", f"{counted(tally.results['wrong'], 'prediction')}; {extent}.")
    else:
        yield Verdict("RIGHT", "good", f"no prediction was wrong; {extent}.")
    counts = (*tally.by_mode.items(), ("operations", tally.results))
    rows = tuple((mode, *(str(results[result]) for result in RESULTS)) for mode, results in counts)
    yield Table(("", *RESULTS), rows, right=RESULTS)
    if tally.reasons:
        kinds = counted_each(tally.reasons.most_common())
        yield Paragraph(f"Uncertain, as they hang on what no table shows, and said so: {kinds}.")
    if tally.refused:
        copies = counted(tally.refused, "copied namespace")
        yield Paragraph(f"Left out: a user namespace for {copies}; none may be made here (in a chroot, or by a limit).")
    if tally.cases:
        yield from _case(min(tally.cases, key=lambda case: len(case.operations)))


def _case(case: Case) -> Iterator[Block]:
    yield Heading("The smallest sequence that was predicted wrongly")
    yield Paragraph(f"Trace {case.trace}, step {case.step}, predicted {case.judgement.mode}.")
    yield Items(tuple(name(_spelled(op)) for op in case.operations))
    for view in case.before.views:
        yield Heading(f"Before the last of them: {view.label}")
        yield Items(tuple(map(name, _mountinfo(case, view.label))))
    yield Heading("What differs after it: - as predicted, + as it is")
    yield Items(tuple(name(line) for mismatch in case.judgement.mismatches for line in mismatch.lines()))


# ---- for programs ----


def as_json(tally: Tally, page: Page) -> str:  # noqa: ARG001
    """The document ``mntscope.selftest/1``."""
    return json_text(
        "selftest",
        {
            "traces": tally.traces,
            "operations": tally.operations,
            **{result: tally.results[result] for result in RESULTS},
            "modes": {mode: {result: counts[result] for result in RESULTS} for mode, counts in tally.by_mode.items()},
            "refused_user_namespaces": tally.refused,
            "seed": tally.seed,
            "kernel": tally.kernel,
            "uncertain_operations": dict(tally.reasons.most_common()),
            "mismatches": [_case_json(case) for case in tally.cases],
        },
    )


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
    for field, value in op.to_dict().items():
        if value is True:
            words.append(field)
        elif value and field not in ("op", "ns"):
            words.append(f"{field}={value}")
    return f"{op.ns}: {op.op} {' '.join(words)}"


FORMATS: dict[str, Format[Tally]] = {"table": table(document), "json": as_json, **documents(document, here=True)}
