"""The table of mounts that were read as columns: no record is made of any."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

from mntscope.frames.columns import PROPAGATIONS, category, number, text
from mntscope.frames.escapes import escape_all
from mntscope.parse.columns import NONE, Columns

_COLUMNS = (
    "mount_id", "parent_id", "device", "root", "mount_point", "options", "fs_type", "source", "super_options",
    "peer_group", "master", "propagate_from", "unbindable", "unknown_tags", "propagation",
)  # fmt: skip


def table(columns: Columns) -> pd.DataFrame:
    """Mounts that were read by :func:`mntscope.parse.columns.parse_columns`, in the order of their table.

    The columns are those of :func:`mntscope.frames.mounts` from ``mount_id`` to ``propagation``, which are what a table
    tells by itself; what they hold and of which type they are is the same. Where pyarrow is installed text is cut by
    Arrow, and it takes about as long as it took to read the table.
    """
    texts = _Texts(columns)
    made: dict[str, Any] = {name: texts(name) for name in ("device", "root", "mount_point", "options", "source")}
    made["super_options"] = texts("super_options")
    made["fs_type"] = _coded(texts("fs_type"))
    for name in ("mount_id", "parent_id", "peer_group", "master", "propagate_from"):
        made[name] = _numbers(columns.ids(name))
    made["unbindable"] = columns.unbindable.copy()
    made["unknown_tags"] = _unknown_tags(columns)
    made["propagation"] = _propagation(columns)
    return pd.DataFrame({name: made[name] for name in _COLUMNS}, copy=False)


class _Texts:
    """Cuts fields out of the table: all at once, and those of lines that are not printed as they are one by one."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.unprintable = columns.unprintable()
        self.arrow: Any = None
        with suppress(ImportError):
            self.arrow = import_module("pyarrow")

    def __call__(self, name: str) -> Any:
        """The field *name* of every mount, as an array of text for pandas: Arrow's where pyarrow is installed."""
        pa = self.arrow
        if pa is None or not len(self.columns):
            return text(self.columns.text(name))
        # To Arrow a table is one text after the other, in turns a field and what is between it and the next line's.
        starts, ends = self.columns.spans(name)
        places = pa.py_buffer(np.stack((starts, ends), axis=1))
        kind = pa.StringArray if starts.dtype == np.int32 else pa.LargeStringArray
        both = kind.from_buffers(2 * len(starts) - 1, places, pa.py_buffer(self.columns.data))
        fields = pd.array(both.take(pa.array(np.arange(0, len(both), 2))), dtype="str")
        if len(self.unprintable):
            fields[self.unprintable] = escape_all(self.columns.text(name, self.unprintable))
        return fields


def _coded(texts: Any) -> pd.Categorical:
    codes, values = pd.factorize(texts)
    return pd.Categorical.from_codes(codes, pd.Index(values, dtype="str"))


def _numbers(ids: np.ndarray[Any, Any]) -> Any:
    if ids.dtype == object:
        return number(None if one == NONE else one for one in ids.tolist())
    return pd.arrays.IntegerArray(ids.astype(np.int64), ids == NONE)


def _unknown_tags(columns: Columns) -> Any:
    found = columns.unknown_tags()
    if not found:
        return pd.Categorical.from_codes(np.zeros(len(columns), np.int8), pd.Index([""][: len(columns)], dtype="str"))
    return category(" ".join(found.get(row, ())) for row in range(len(columns)))


def _propagation(columns: Columns) -> pd.Categorical:
    """By the order in which :data:`PROPAGATIONS` names them."""
    codes = (columns.ids("master") != NONE) + 2 * (columns.ids("peer_group") != NONE).astype(np.int8)
    codes[(codes == 0) & columns.unbindable] = 4
    return pd.Categorical.from_codes(codes, pd.Index(PROPAGATIONS, dtype="str"))
