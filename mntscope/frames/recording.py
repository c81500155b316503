"""The table of a recording: a row for each event, in the order in which they were told."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mntscope.archive.recording import Recording
from mntscope.frames.columns import category, number, severity, text, truth


def events_of(recording: Recording) -> pd.DataFrame:
    """The table of :func:`mntscope.frames.events`."""
    rows = list(recording.events)

    def each(name: str) -> list[Any]:
        return [row.get(name) for row in rows]

    def who(name: str) -> list[Any]:
        return [row["who"].get(name) if isinstance(row.get("who"), dict) else None for row in rows]

    known = ("critical", "high", "medium", "low")
    return pd.DataFrame(
        {
            "time": pd.to_datetime([float(value or 0) for value in each("time")], unit="s", utc=True),
            "kind": category(_texts(each("kind"))),
            "namespace": category(_texts(each("namespace"))),
            "path": text(_texts(each("path"))),
            "pid": number(value if isinstance(value, int) else None for value in who("pid")),
            "comm": category(_texts(who("comm"))),
            "owner": category(_texts(who("owner"))),
            "also": text(", ".join(_place(place) for place in value or ()) for value in each("also")),
            "reached": number(len(value or ()) for value in each("also")),
            "fs_type": category(_texts(each("fs_type"))),
            "source": text(_texts(each("source"))),
            "was": text(_texts(each("was"))),
            "now": text(_texts(each("now"))),
            "severity": severity(value if value in known else None for value in each("severity")),
            "known": truth(bool(value) for value in each("known")),
        }
    )


def _texts(values: list[Any]) -> list[str | None]:
    return [value if isinstance(value, str) else None for value in values]


def _place(place: Any) -> str:
    return f"{place.get('namespace', '')}:{place.get('path') or '?'}" if isinstance(place, dict) else ""
