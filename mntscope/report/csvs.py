"""CSV as RFC 4180 has it, one row a line, with a header."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mntscope.report.page import Page
from mntscope.report.text import visible


def csv_text(header: Sequence[str], rows: Iterable[Sequence[str]], page: Page) -> str:
    """The table. Cells are exact, bytes that are not UTF-8 included, except on a terminal, which gets them visible."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([visible(cell) for cell in row] if page.terminal else row)
    return text.getvalue()
