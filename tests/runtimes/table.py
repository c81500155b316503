"""The table: a row for each runtime and option, and below it what was not right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mntscope.output.escape import visible
from tests.runtimes.target import Report, Row

_HEADS = ("runtime", "option", "mounts", "diff", "kernel", "checks", "predict", "isolate/undo", "preview", "names")


def text(reports: Sequence[Report]) -> str:
    """The table, then the exceptions, then the sums."""
    rows = [_HEADS, *(_cells(row) for report in reports for row in report.had)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[1] = min(widths[1], 72)
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, *_below(reports), "", *_sums(reports)]) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    names = str(row.names) if not row.names_wrong else f"{len(row.names_wrong)} wrong"
    if not row.says:
        return (row.runtime, visible(row.option)[:72], "", "", "", "", "", "", "", names)
    wrong = len(row.predict_wrong)
    predict = f"{wrong} wrong" if wrong else f"{row.predict_doubts} doubted" if row.predict_doubts else "exact"
    isolated = "WRONG" if row.isolate_wrong else row.isolated if len(row.isolated) < 25 else "refused"
    return (
        row.runtime,
        visible(row.option)[:72],
        str(row.mounts),
        row.says if not row.diff_wrong else f"{row.says} WRONG",
        row.kernel,
        str(row.checks),
        predict,
        isolated,
        f"{len(row.preview_wrong)} wrong" if row.preview_wrong else row.previewed,
        names,
    )


def _below(reports: Sequence[Report]) -> Iterator[str]:
    for report in reports:
        for row in report.had:
            reason = [f"isolate: {row.isolated}"] if len(row.isolated) >= 25 else []
            wrong = [
                *row.diff_wrong,
                *row.predict_wrong[:5],
                *row.isolate_wrong,
                *row.preview_wrong[:8],
                *row.names_wrong,
            ]
            if wrong or reason:
                yield f"\n{row.runtime} {visible(row.option)}:"
                yield from (f"  {visible(line)[:400]}" for line in (*wrong, *reason))
        missing = [row for row in report.rows if row.why_not]
        if report.why_not or report.failed or missing or report.left:
            yield f"\n{report.runtime}:"
        if report.failed:
            yield f"  FAILED: {visible(report.failed)}"
        if report.why_not:
            yield f"  {visible(report.why_not)}"
        yield from (f"  not to be had: {visible(row.option)}: {visible(row.why_not)}" for row in missing)
        yield from (f"  left: {visible(line)}" for line in report.left)


def _sums(reports: Sequence[Report]) -> Iterator[str]:
    rows = [row for report in reports for row in report.had if row.says]
    every = [row for report in reports for row in report.had]
    yield (
        f"{len(rows)} targets of {len([report for report in reports if report.had])} runtimes: "
        f"diff as the kernel on {sum(not row.diff_wrong for row in rows)}, "
        f"predict on {sum(not row.predict_wrong and not row.predict_doubts for row in rows)} "
        f"(with a doubt on {sum(bool(row.predict_doubts) and not row.predict_wrong for row in rows)} more), "
        f"isolate and undo exact on {sum(row.isolated == 'exact' for row in rows)}, "
        f"nothing to isolate on {sum(row.isolated in ('nothing to do', _HOSTS) for row in rows)}; "
        f"previewed {sum(bool(row.previewed) for row in rows)}: "
        f"exact {sum(row.previewed == 'exact' and not row.preview_wrong for row in rows)}, "
        f"doubted {sum(row.previewed == 'doubted' and not row.preview_wrong for row in rows)}; "
        f"{sum(row.names for row in every)} names tried, {sum(len(row.names_wrong) for row in every)} wrong; "
        f"{sum(row.checks for row in rows)} mounts made and predicted."
    )
    yield "Seconds: " + ", ".join(f"{report.runtime} {report.seconds:.0f}" for report in reports)


_HOSTS = "the host's own namespace"
