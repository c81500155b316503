"""CSV as RFC 4180 has it, one row a line, with a header.

A spreadsheet runs a cell that begins like a formula, also behind what it may take for the end of a cell. There a ``'``
is put before it (https://owasp.org/www-community/attacks/CSV_Injection); :func:`original` takes it away again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from mntscope.output.escape import visible
from mntscope.output.writers.page import Page


def csv_text(header: Sequence[str], rows: Iterable[Sequence[str]], page: Page) -> str:
    """The table. Cells are exact, bytes that are not UTF-8 included, but for the ``'`` that keeps them from being run.

    A terminal gets them visible; where the page is ``exact`` there is no ``'``.
    """
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        cells = [visible(cell) for cell in row] if page.terminal else row
        writer.writerow(cells if page.exact else map(harmless, cells))
    return text.getvalue()


# Where a cell begins, or a program that splits lines otherwise takes it to; what is a formula, or a blank that hides
# one. What has a "'" already gets another, so that it can be told which was there.
_FORMULA = r"(?='*\s*[=+\-@\uff1d\uff0b\uff0d\uff20])"
_HARMFUL = rf"(\A|[;\t\r\n]){_FORMULA}|(\A)(?='*[\t\r\n])"


def harmless(cell: str) -> str:
    """The cell, as no spreadsheet runs it."""
    return re.sub(_HARMFUL, r"\1'", cell)


def original(cell: str) -> str:
    """The inverse of :func:`harmless`."""
    return re.sub(rf"(\A|[;\t\r\n])'{_FORMULA}|(\A)'(?='*[\t\r\n])", r"\1", cell)
