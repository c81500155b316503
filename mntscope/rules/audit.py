"""Asking the rules about a machine, and sorting what they find."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date
from itertools import islice

from mntscope.base.display import Framed, Records, Shown
from mntscope.base.records import dataclass, replace
from mntscope.graph.severity import SEVERITIES
from mntscope.model import Problem
from mntscope.rules.catalogue import RULES
from mntscope.rules.machine import Machine
from mntscope.rules.policy import Policy, Waiver
from mntscope.rules.rule import CONFIDENCES, Finding, Rule
from mntscope.snapshot import Snapshot

BOUND = 10_000
"""A rule is asked for no more findings than these, of which a policy reports some."""


@dataclass(frozen=True, slots=True)
class Waived:
    """A finding that is accepted, and why."""

    finding: Finding
    waiver: Waiver


@dataclass(frozen=True, slots=True)
class Audit(Framed, Shown):
    """What the rules found."""

    machine: Machine
    """With the snapshot, and what was worked out from it."""
    rules: tuple[Rule, ...]
    """Those that were asked."""
    findings: Records[Finding]
    """What is to be acted on, the worst first, and of these what has happened."""
    waived: tuple[Waived, ...]
    """What a waiver accepts."""
    known: tuple[Finding, ...]
    """What the baseline has already."""
    left_out: tuple[tuple[Rule, int], ...]
    """Rules that found more than is reported, and how many more at least."""
    expired: tuple[Waiver, ...]
    """Waivers that would accept a finding, had they not expired."""
    unused: tuple[Waiver, ...]
    """Waivers for which there was no finding."""
    not_seen: tuple[Problem, ...]
    """What the capture did not see, and rules that failed."""

    @property
    def snapshot(self) -> Snapshot:
        """What was audited."""
        return self.machine.snapshot


def audit(
    snapshot: Snapshot,
    rules: Iterable[Rule] = RULES,
    policy: Policy = Policy(),  # noqa: B008 - frozen
    *,
    today: date | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Audit:
    """Ask each of the *rules* about a machine. *today* (by default it is) decides which waivers have expired.

    *progress* is called before each rule with how many are done and how many there are, and once at the end. A rule
    that raises costs its own findings only, and is told of in ``not_seen``.
    """
    rules = tuple(rules)
    today = today or date.today()  # noqa: DTZ011 - the date where the machine's administrator lives
    machine = Machine(snapshot, policy.roles)
    found: list[Finding] = []
    left_out: list[tuple[Rule, int]] = []
    not_seen = [*snapshot.not_seen, *_problems(snapshot)]
    for done, rule in enumerate(rules):
        if progress is not None:
            progress(done, len(rules))
        try:
            its = list(islice(rule.check(machine), BOUND))
        except Exception as error:  # noqa: BLE001 - one rule's fault must not cost the findings of the others
            not_seen.append(Problem(f"the rule failed ({error!r}): what it would have found is not known", rule.id))
            continue
        its = sorted((replace(one, severity=policy.severity(one)) for one in _distinct(its)), key=_worst_first)
        found += its[: policy.most]
        if len(its) > policy.most:
            left_out.append((rule, len(its) - policy.most))
    if progress is not None:
        progress(len(rules), len(rules))
    return _sorted_out(machine, rules, policy, today, sorted(found, key=_worst_first), left_out, not_seen)


def _sorted_out(
    machine: Machine,
    rules: tuple[Rule, ...],
    policy: Policy,
    today: date,
    found: list[Finding],
    left_out: list[tuple[Rule, int]],
    not_seen: list[Problem],
) -> Audit:
    open_, known, waived = [], [], []
    used: set[Waiver] = set()
    for finding in found:
        fitting = [waiver for waiver in policy.waivers if waiver.fits(finding)]
        used.update(fitting)
        waiver = next((waiver for waiver in fitting if not waiver.expired(today)), None)
        if waiver is not None:
            waived.append(Waived(finding, waiver))
        elif finding.fingerprint in policy.baseline:
            known.append(finding)
        else:
            open_.append(finding)
    return Audit(
        machine=machine,
        rules=rules,
        findings=Records(open_, Finding),
        waived=tuple(waived),
        known=tuple(known),
        left_out=tuple(left_out),
        expired=tuple(waiver for waiver in policy.waivers if waiver in used and waiver.expired(today)),
        unused=tuple(waiver for waiver in policy.waivers if waiver not in used),
        not_seen=tuple(not_seen),
    )


def _distinct(findings: Iterable[Finding]) -> list[Finding]:
    """Each finding once; where two namespaces bear one name (two processes ``sleep``), their findings are numbered."""
    distinct: dict[tuple[str, tuple[str, ...]], Finding] = {}
    for finding in findings:
        distinct.setdefault((finding.subject, finding.key), finding)
    met: Counter[tuple[str, ...]] = Counter()
    numbered = []
    for finding in distinct.values():
        met[finding.key] += 1
        number = met[finding.key]
        numbered.append(finding if number == 1 else replace(finding, key=(*finding.key, f"#{number}")))
    return numbered


def _worst_first(finding: Finding) -> tuple[int, bool, int, str]:
    # What is broken before what could be. Those that are alike stay as the rule gave them.
    at = SEVERITIES.index(finding.severity), CONFIDENCES.index(finding.confidence)
    return at[0], not finding.present, at[1], finding.rule.id


def _problems(snapshot: Snapshot) -> list[Problem]:
    return [
        problem if problem.where else replace(problem, where=view.label)
        for view in snapshot.views
        for problem in view.problems
    ]
