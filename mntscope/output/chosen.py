"""Which columns of a table are shown: all of ``A,B``, or the usual ones and those of ``+A,B``."""

from __future__ import annotations

from collections.abc import Iterable


def columns_chosen(text: str, known: Iterable[str], usual: Iterable[str]) -> tuple[str, ...]:
    """The columns that *text* asks for, of those *known*, whose names are in capitals; each once.

    :raises KeyError: there is no such column; its argument is the name.
    """
    names = set(known)
    columns = [column.upper() for column in text.removeprefix("+").split(",") if column]
    for column in columns:
        if column not in names:
            raise KeyError(column)
    return tuple(dict.fromkeys((*(usual if text.startswith("+") else ()), *columns)))
