"""Tables of real systems, and single lines with the handling that is expected of them."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from mntscope.errors import ParseError
from mntscope.parse import UnusualSpelling, format_mountinfo, parse_mountinfo

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"


def described(name: str) -> list[dict[str, Any]]:
    path = CORPUS / name
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.exists() else []
    return found


TABLES = described("manifest.json")
LINES = described("edge-lines.json")

pytestmark = pytest.mark.skipif(not TABLES, reason="the corpus of real tables (../shared/corpus) is not here")


@pytest.mark.parametrize("table", [pytest.param(table, id=table["file"]) for table in TABLES if table["valid"]])
def test_a_valid_table_comes_back_byte_for_byte(table: dict[str, Any]) -> None:
    data = (CORPUS / table["file"]).read_bytes()
    mounts = parse_mountinfo(data, file=table["file"])
    assert len(mounts) == table["lines"]
    assert format_mountinfo(mounts) == data
    assert parse_mountinfo(data, strict=False).problems == ()


@pytest.mark.parametrize("table", [pytest.param(table, id=table["file"]) for table in TABLES if not table["valid"]])
def test_every_bad_line_of_a_table_is_named(table: dict[str, Any]) -> None:
    data = (CORPUS / table["file"]).read_bytes()
    mounts = parse_mountinfo(data, strict=False, file=table["file"])
    assert [problem.line for problem in mounts.problems] == table["bad_lines"]
    left_out = [problem for problem in mounts.problems if not isinstance(problem, UnusualSpelling)]
    assert len(mounts) == table["lines"] - len(left_out)
    if left_out:
        with pytest.raises(ParseError) as caught:
            parse_mountinfo(data, file=table["file"])
        assert str(caught.value) == str(left_out[0])
    else:
        assert format_mountinfo(parse_mountinfo(data)) == data


def test_edge_lines_are_handled_as_expected(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = 0
    report = [f"{'edge line':28}{'expected':18}{'handled':10}note"]
    for line in LINES:
        data = base64.b64decode(line["b64"]) + b"\n"
        handled, note = "accept", ""
        try:
            table = parse_mountinfo(data, file=line["id"])
        except ParseError as error:
            handled, note = "error", str(error)
        else:
            assert format_mountinfo(table) == data
            if table[0].spelling is not None:
                note = "not as a kernel spells it"
        if handled not in line["expected"].split("-or-"):
            wrong += 1
            note = f"WRONG {note}"
        report.append(f"{line['id']:28}{line['expected']:18}{handled:10}{note}")
    report.append(f"{len(LINES)} edge lines, {wrong} handled otherwise than expected")
    # The table is part of every run's output.
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(report) + "\n")
    assert not wrong
