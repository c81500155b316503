"""What a fleet is asked for: records, that are a table as well."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from mntscope.base.display import Frame

T_co = TypeVar("T_co", covariant=True)

EXAMPLES = 3
"""How many hosts are named as examples."""


class Found(tuple[T_co, ...]):
    """Several records of one *kind*: a tuple that has a frame, also where there are none."""

    kind: type

    def __new__(cls, records: Iterable[T_co], kind: type) -> Found[T_co]:
        """A tuple of the *records*."""
        made = super().__new__(cls, records)
        made.kind = kind
        return made

    def frame(self) -> Frame:
        """A data frame of pandas with a row for each, and a column for each field."""
        import pandas as pd

        names = list(self.kind.__annotations__)
        return pd.DataFrame([[getattr(one, name) for name in names] for one in self], columns=names)
