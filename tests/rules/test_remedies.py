"""Remedies are worked out when somebody looks at them, and are then what they would have been at once."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import pytest

from mntscope.analysis.remedies import Command
from mntscope.output.audit import FORMATS
from mntscope.output.writers.page import Page
from mntscope.rules import Deferred, audit, by_id
from tests.support.audits import found, machine, made_up, report

COMMAND: Command = ("umount", "/mnt")


class Work:
    """Gives one command, and counts how often it was asked to."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> tuple[Command, ...]:
        self.times += 1
        return (COMMAND,)


@pytest.fixture
def work() -> Work:
    return Work()


def test_a_remedy_is_worked_out_once_when_it_is_looked_at(work: Work) -> None:
    finding = found(commands=Deferred(work))
    assert work.times == 0
    assert list(finding.commands) == [COMMAND]
    assert finding.commands[0] is finding.commands[-1]
    assert work.times == 1


@pytest.mark.parametrize("form", ["prometheus", "table", "json"])
def test_who_only_counts_needs_no_remedy(work: Work, form: str) -> None:
    made = report(rules=[made_up(found(commands=Deferred(work)))])
    assert made.failing
    FORMATS[form](made, Page())
    assert work.times == (0 if form == "prometheus" else 1)


def test_the_table_works_out_what_it_shows(work: Work) -> None:
    findings = [found(str(number), commands=Deferred(work)) for number in range(50)]
    FORMATS["table"](report(rules=[made_up(*findings)]), Page())
    assert work.times == 5


def test_it_is_compared_copied_and_shown_as_the_commands_that_it_is(work: Work) -> None:
    deferred = Deferred(work)
    assert deferred == (COMMAND,) == deferred == Deferred(work)
    assert deferred != ()
    assert hash(deferred) == hash((COMMAND,))
    assert repr(deferred) == repr((COMMAND,))
    assert found(commands=deferred) == found(commands=(COMMAND,))
    for other in (pickle.loads(pickle.dumps(deferred)), copy.deepcopy(deferred)):
        assert type(other) is tuple
        assert other == (COMMAND,)


def test_a_remedy_that_cannot_be_worked_out_costs_no_report() -> None:
    made = report(rules=[made_up(found(commands=Deferred(lambda: 1 / 0), advice="Look yourself."))])  # type: ignore[arg-type, return-value]
    assert "Look yourself." in FORMATS["table"](made, Page())


def test_a_remedy_is_the_same_whichever_is_looked_at_first() -> None:
    def remedies(*, backwards: bool) -> Iterator[tuple[str, tuple[Command, ...]]]:
        findings = audit(machine(), [by_id("MNT001"), by_id("MNT002")]).findings
        for finding in reversed(findings) if backwards else findings:
            yield finding.message, tuple(finding.commands)

    assert dict(remedies(backwards=True)) == dict(remedies(backwards=False))
    assert all(commands for _, commands in remedies(backwards=True))
