"""The rules on tables of real systems: every recorded leak is found, and what is normal is quiet."""

from __future__ import annotations

import sys

import pytest

from mntscope.rules import Audit, audit
from mntscope.snapshot import Snapshot
from tests.support.corpus import OWN, Table, machine, pairs

LEAK_RULES = {"MNT001", "MNT002", "MNT004", "MNT006"}
PAIRS = [pytest.param(host, table, id=table.name) for host, table in pairs(OWN)]
TABLES = [pytest.param(table, id=name) for name, table in OWN.items()]


def loud(result: Audit) -> list[str]:
    """What is found above *low*."""
    return [f"{one.rule.id} {one.severity}: {one.message}" for one in result.findings if one.severity != "low"]


@pytest.mark.parametrize(("host", "table"), PAIRS)
def test_a_pair_is_loud_if_it_leaks_and_else_quiet(host: Table, table: Table) -> None:
    result = audit(machine(host, table))
    assert not [problem for problem in result.not_seen if problem.where.startswith("MNT")]
    leaks = [one for one in result.findings if one.rule.id in LEAK_RULES and one.severity != "low"]
    if table.leak:
        assert leaks, "the recorded leak is not found"
        assert len(result.findings) <= 12, [one.message for one in result.findings]
    else:
        assert loud(result) == []


@pytest.mark.parametrize("table", TABLES)
def test_a_table_alone_is_quiet(table: Table) -> None:
    """Whoever it is of, nothing is seen that it could harm."""
    assert loud(audit(machine(table))) == []


@pytest.mark.parametrize("table", TABLES)
def test_no_rule_fails_on_any_table(table: Table) -> None:
    result = audit(Snapshot((table.view("host", 1), table.view("copy", 2)), "host"))
    assert not [problem for problem in result.not_seen if problem.where.startswith("MNT")]


def test_what_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"{'container':46}{'leak':7}{'found':40}"]
    for host, table in pairs(OWN):
        found = [f"{one.rule.id} {one.severity} {one.path or ''}" for one in audit(machine(host, table)).findings]
        lines.append(f"{table.name:46}{table.leak!s:7}{'; '.join(found) or '-'}")
    # The table is part of every run's output.
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")
