"""Tables of real systems, and single lines with the handling that is expected of them."""

from __future__ import annotations

import base64
import json
import sys

import pytest

from mntscope.errors import ParseError
from mntscope.parse import UnusualSpelling, format_mountinfo, parse_mountinfo
from tests.support.corpus import CORPUS, OWN, Table


@pytest.mark.parametrize("table", [pytest.param(table, id=name) for name, table in OWN.items()])
def test_a_table_comes_back_byte_for_byte(table: Table) -> None:
    data = table.read()
    mounts = parse_mountinfo(data, file=table.name)
    assert len(mounts) == table.lines
    assert format_mountinfo(mounts) == data
    assert parse_mountinfo(data, strict=False).problems == ()


def test_edge_lines_are_handled_as_expected(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = 0
    report = [f"{'edge line':28}{'expected':18}{'handled':10}note"]
    lines = json.loads((CORPUS / "edge-lines.json").read_text("utf-8"))
    for line in lines:
        data = base64.b64decode(line["b64"]) + b"\n"
        handled, note = "accept", ""
        try:
            table = parse_mountinfo(data, file=line["id"])
        except ParseError as error:
            handled, note = "error", str(error)
            if isinstance(error, UnusualSpelling):
                handled, table = "keep", parse_mountinfo(data, strict=False)
                assert format_mountinfo(table) == data
        else:
            assert format_mountinfo(table) == data
            if table[0].spelling is not None:
                note = "not as a kernel spells it"
        if handled not in line["expected"].split("-or-"):
            wrong += 1
            note = f"WRONG {note}"
        report.append(f"{line['id']:28}{line['expected']:18}{handled:10}{note}")
    report.append(f"{len(lines)} edge lines, {wrong} handled otherwise than expected")
    # The table is part of every run's output.
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(report) + "\n")
    assert not wrong
