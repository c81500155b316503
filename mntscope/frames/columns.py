"""Columns of frames, of a type that depends on what they are about and never on what happens to be in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from mntscope.errors import UsageError
from mntscope.frames.escapes import escape_all
from mntscope.graph.severity import SEVERITIES
from mntscope.model import Process
from mntscope.parse.escapes import split_options

if TYPE_CHECKING:
    from pandas._typing import Dtype

PROPAGATIONS = ("private", "slave", "shared", "shared,slave", "unbindable")
MILDEST_FIRST = SEVERITIES[::-1]

_SEPARATORS = {"pids": ",", "unknown_tags": " "}


def text(names: Iterable[str | None]) -> pd.Series[Any]:
    """Names and other text: ``str``, Arrow-backed where pyarrow is installed. See :mod:`mntscope.frames.escapes`."""
    return pd.Series(escape_all(names), dtype="str")


def number(numbers: Iterable[int | None]) -> pd.Series[Any]:
    """Numbers of which some may be missing: ``Int64``."""
    numbers = list(numbers)
    # Larger ones than a kernel gives are in tables that it did not write, and the ids of namespaces have 64 bits.
    dtypes: tuple[Dtype, ...] = ("Int64", "UInt64", "object")
    for dtype in dtypes:
        try:
            return pd.Series(numbers, dtype=dtype)
        except OverflowError:
            continue
    raise AssertionError("an object column takes anything")


def truth(values: Iterable[bool | None]) -> pd.Series[Any]:
    """Answers to yes and no: ``bool``, or ``boolean`` where it is not known of some."""
    values = list(values)
    return pd.Series(values, dtype="boolean" if None in values else "bool")


def category(
    names: Iterable[str | None], categories: Sequence[str] | None = None, *, ordered: bool = False
) -> pd.Series[Any]:
    """Names of which there are few: ``category``, by default in the order in which they are first met."""
    names = list(names)
    known = list(dict.fromkeys(name for name in names if name is not None)) if categories is None else list(categories)
    at = {name: number for number, name in enumerate(known)}
    codes = [-1 if name is None else at[name] for name in names]
    index = pd.Index(escape_all(known), dtype="str")
    return pd.Series(pd.Categorical.from_codes(codes, categories=index, ordered=ordered))


def severity(severities: Iterable[str | None]) -> pd.Series[Any]:
    """Severities in their order: ``leaks.severity >= "high"``."""
    return category(severities, MILDEST_FIRST, ordered=True)


def pids(processes: Iterable[Process]) -> str:
    """Processes as the columns ``pids`` tell them; :func:`explode` makes rows of them."""
    return ",".join(str(process.pid) for process in processes)


def explode(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """*frame* with a row for each item of a *column* that holds lists: ``options``, ``super_options``, ``pids`` ..

    Rows keep their index, as with :meth:`pandas.DataFrame.explode`; an empty list leaves one row with a missing item.

    >>> frame = pd.DataFrame({"mount_point": ["/", "/srv"], "options": ["rw,nosuid", "ro"]})
    >>> explode(frame, "options").options.tolist()
    ['rw', 'nosuid', 'ro']

    :raises UsageError: the frame has no such column.
    """
    if column not in frame:
        raise UsageError(f"the frame has no column {column!r}", hint=f"it has {', '.join(map(str, frame.columns))}")
    separator = _SEPARATORS.get(column)
    known: dict[str, list[str]] = {}
    for written in frame[column].dropna().unique():
        if not written:
            known[written] = []
        elif separator is None:
            known[written] = list(split_options(written))
        else:
            known[written] = written.split(separator)
    items = frame[column].astype("object").map(known)
    exploded = frame.assign(**{column: items}).explode(column)
    exploded[column] = exploded[column].astype("Int64" if column == "pids" else "str")
    return exploded
