"""Every rule on the machines of its cases, and what becomes of what it finds."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path

import pytest

import mntscope
from mntscope.rules import RULES, Finding, Rule, audit, by_id
from mntscope.snapshot import Snapshot
from tests.support.repository import ROOT
from tests.support.rule_cases import Case, Maker, Scene, cases, module_of, quiet
from tests.support.throwaway import Host

CASES = [pytest.param(rule, case, id=f"{rule.id}: {case.name}") for rule, case in cases()]


def look(case: Case, make: Maker, rules: list[Rule], path: Path) -> tuple[list[Finding], Snapshot]:
    """What the rules find on a machine of the case."""
    with ExitStack() as stack:
        # Live cases only: what a case mounts on its machine must not be there in the next.
        machine = stack.enter_context(closing(Host(own_pids=True))) if case.live else None
        path.mkdir()
        snapshot = make(Scene(machine, path, stack))  # type: ignore[arg-type]
        result = audit(snapshot, rules)
    assert not [problem for problem in result.not_seen if "the rule failed" in problem.what], result.not_seen
    return list(result.findings), snapshot


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_a_case(rule: Rule, case: Case, namespaces: None, tmp_path: Path) -> None:
    findings, snapshot = look(case, case.wrong, [rule], tmp_path / "wrong")
    assert findings, "not found"
    if case.check is not None:
        case.check(findings, snapshot)
    findings, _ = look(case, case.right, [rule], tmp_path / "right")
    assert not findings, f"found on the twin: {[finding.message for finding in findings]}"


REMEDIES = [each for each in CASES if each.values[1].live and each.values[1].ends]  # type: ignore[union-attr]


@pytest.mark.parametrize(("rule", "case"), REMEDIES)
def test_the_commands_of_a_finding_end_it(rule: Rule, case: Case, namespaces: None, tmp_path: Path) -> None:
    with ExitStack() as stack:
        scene = Scene(stack.enter_context(closing(Host(own_pids=True))), tmp_path, stack)
        findings = audit(case.wrong(scene), [rule]).findings
        commands = [command for finding in findings for command in finding.commands]
        if not commands:
            assert all(finding.advice for finding in findings), "neither a command nor advice"
            return
        for command in commands:
            done = scene.run(command)
            assert done.returncode == 0, f"{command}: {done.stderr}"
        assert scene.look_again is not None, "a live case looks by scene.seen or scene.seen_from_outside"
        left = audit(scene.look_again(), [rule]).findings
        assert [finding.message for finding in left if finding.commands] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_has_a_case_of_a_real_machine(rule: Rule) -> None:
    assert any(case.live or case.real for case in module_of(rule).CASES), f"{rule.id} has no live case and no real one"


def test_every_file_of_a_rule_is_in_the_catalogue() -> None:
    files = sorted(file.stem for file in (ROOT / "mntscope/rules").glob("mnt*.py"))
    assert files == [rule.check.__module__.rpartition(".")[2] for rule in RULES]
    assert [file[:6].upper() for file in files] == [rule.id for rule in RULES]


@pytest.mark.parametrize(("rule", "case"), [each for each in CASES if str(each.id)[:6] in ("MNT001", "MNT006")])
def test_what_leaks_to_the_host_is_told_by_one_rule(rule: Rule, case: Case, namespaces: None, tmp_path: Path) -> None:
    told = [by_id(each) for each in ("MNT001", "MNT006", "MNT007", "MNT012")]
    assert {finding.rule.id for finding in look(case, case.wrong, told, tmp_path / "wrong")[0]} == {rule.id}


def test_a_quiet_machine_is_quiet() -> None:
    result = audit(quiet(None))
    assert [finding.message for finding in result.findings] == []
    assert not result.not_seen


def test_what_has_happened_comes_before_what_could() -> None:
    """The third act of the lab: MNT001 is as critical, and comes before MNT004 by its number."""
    findings = audit(mntscope.load(ROOT / "fixtures/lab-act-3.mntscope.json.gz")).findings
    assert [(finding.rule.id, finding.present) for finding in findings if finding.severity == "critical"] == [
        ("MNT004", True),
        ("MNT001", False),
        ("MNT002", False),
    ]


def test_a_rule_says_whether_what_it_finds_has_happened_and_a_finding_may_say_otherwise() -> None:
    rule = by_id("MNT008")
    assert [rule.finding("host", "", ()).present, rule.finding("host", "", (), present=True).present] == [False, True]
