"""The state of a fleet: the last snapshot of each host, taken together."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from mntscope.base.display import Shown
from mntscope.base.records import dataclass
from mntscope.fleet.dataset import Dataset
from mntscope.fleet.drift import Drift, drift
from mntscope.fleet.found import EXAMPLES, Found
from mntscope.fleet.outliers import Outlier, outliers
from mntscope.fleet.sources import Bad
from mntscope.graph.severity import SEVERITIES, Severity, at_least, worst
from mntscope.rules import RULES

PLACES = (
    "/", "/run", "/sys", "/proc", "/dev", "/tmp", "/home", "/mnt", "/var",  # noqa: S108 - mount points
    "/var/lib/kubelet", "/var/lib/containerd",
    "/var/lib/containers", "/var/lib/docker", "/run/containerd", "/run/netns",
)  # fmt: skip
"""Mounts of the host whose propagation type decides what reaches containers."""


@dataclass(frozen=True, slots=True)
class FleetFinding:
    """What a rule finds on several hosts, of one application at one place."""

    rule: str
    name: str
    severity: Severity
    """The worst of them."""
    owner: str
    """The application (:mod:`mntscope.fleet.keys`)."""
    path: str | None
    """The place: a path with ``*`` for each id in it."""
    lands_at: str | None
    hosts: int
    cohorts: dict[str, int]
    """How many hosts of each cohort, most first."""
    examples: tuple[str, ...]
    """Names of some of the hosts."""
    message: str
    """What the rule says on the first of these."""

    @property
    def cohort(self) -> str | None:
        """The cohort that all of these hosts are of, if there is one."""
        return next(iter(self.cohorts)) if len(self.cohorts) == 1 else None


@dataclass(frozen=True, slots=True)
class Unseen:
    """A host of which there is no snapshot of the newest day."""

    host: str
    cohort: str
    last: date


@dataclass(frozen=True, slots=True)
class Propagations:
    """On how many hosts a place of the host's own is mounted with which propagation type."""

    place: str
    types: dict[str, int]
    """By type, the most frequent first."""


@dataclass(frozen=True, slots=True)
class Day:
    """What there was on one day."""

    day: date
    hosts: int
    mounts: int
    leaks: int
    findings: int


@dataclass(frozen=True, slots=True)
class FleetReport(Shown):
    """What there is to say of a fleet."""

    dataset: str
    when: datetime
    since: date | None
    fail_on: Severity | None
    """The least severity of a finding that counts as found; ``None``: none does."""
    hosts: int
    namespaces: int
    mounts: int
    days: tuple[Day, ...]
    cohorts: dict[str, int]
    """How many hosts each has, most first."""
    findings: Found[FleetFinding]
    outliers: Found[Outlier]
    unseen: tuple[Unseen, ...]
    propagation: tuple[Propagations, ...]
    bad_inputs: tuple[Bad, ...]

    @property
    def failing(self) -> bool:
        """Whether there is a finding that counts."""
        return any(at_least(finding.severity, self.fail_on) for finding in self.findings)


@dataclass(frozen=True, slots=True)
class FleetDrift(Shown):
    """The drift between two days."""

    dataset: str
    before: date
    after: date
    hosts: int
    """How many were seen on both."""
    only_before: tuple[str, ...]
    """Names of those that were seen on the first day only;"""
    only_after: tuple[str, ...]
    """and on the second."""
    drift: Found[Drift]


def report(dataset: Dataset, *, when: datetime, fail_on: Severity | None = "medium") -> FleetReport:
    """All of it. *when* is now."""
    ((hosts, namespaces, mounts),) = dataset.ask(
        "select count(*), coalesce(sum(namespaces), 0)::bigint, coalesce(sum(mounts), 0)::bigint from current"
    )
    return FleetReport(
        dataset=dataset.url,
        when=when,
        since=dataset.since,
        fail_on=fail_on,
        hosts=hosts,
        namespaces=namespaces,
        mounts=mounts,
        days=_days(dataset),
        cohorts=dict(dataset.ask("select cohort, count(*) from current group by all order by 2 desc, 1")),
        findings=findings(dataset),
        outliers=outliers(dataset),
        unseen=_unseen(dataset),
        propagation=_propagation(dataset),
        bad_inputs=dataset.bad_inputs,
    )


def findings(dataset: Dataset) -> Found[FleetFinding]:
    """What the rules find on the last snapshot of each host: the worst first, and of these what most hosts have."""
    rows = dataset.ask(
        f"""
        with found as (
            select findings.*, host, cohort from findings join current using (snapshot)
        ),
        counted as (
            select rule, app, place, lands_at, cohort, count(distinct host_id) as hosts
            from found group by all
        )
        select rule, list(distinct severity), app, place, lands_at, count(distinct host_id),
               list_sort(list(distinct host))[:{EXAMPLES}], arg_min(message, host),
               (select list((cohort, hosts) order by hosts desc, cohort) from counted
                where counted.rule = found.rule and counted.app = found.app
                and counted.place is not distinct from found.place
                and counted.lands_at is not distinct from found.lands_at)
        from found group by rule, app, place, lands_at
        """  # noqa: S608 - our own number
    )
    names = {rule.id: rule.name for rule in RULES}
    found = [_finding(names, *row) for row in rows]
    found.sort(
        key=lambda one: (
            SEVERITIES.index(one.severity), -one.hosts, one.rule, one.owner, one.path or "", one.lands_at or "",
        )
    )  # fmt: skip
    return Found(found, FleetFinding)


def _finding(
    names: dict[str, str],
    rule: str,
    severities: list[str],
    owner: str,
    place: str | None,
    lands_at: str | None,
    hosts: int,
    examples: list[str],
    message: str,
    cohorts: list[Any],
) -> FleetFinding:
    severity = worst([one for one in SEVERITIES if one in severities])
    by_cohort = {name: count for name, count in cohorts}  # noqa: C416 - of what DuckDB has for pairs
    return FleetFinding(
        rule, names.get(rule, ""), severity, owner, place, lands_at, hosts, by_cohort, tuple(examples), message
    )


def between(dataset: Dataset, before: date | str, after: date | str) -> FleetDrift:
    """The drift between two days, and the hosts of which nothing can be said.

    :raises UsageError: there is no snapshot of such a day.
    """
    first, second = dataset.day(before), dataset.day(after)
    alone = "select host from hosts where day = $1 and host_id not in (select host_id from hosts where day = $2)"
    ((both,),) = dataset.ask(
        "select count(*) from hosts where day = $1 and host_id in (select host_id from hosts where day = $2)",
        [first, second],
    )
    return FleetDrift(
        dataset=dataset.url,
        before=first,
        after=second,
        hosts=both,
        only_before=tuple(host for (host,) in sorted(dataset.ask(alone, [first, second]))),
        only_after=tuple(host for (host,) in sorted(dataset.ask(alone, [second, first]))),
        drift=drift(dataset, first, second),
    )


def _days(dataset: Dataset) -> tuple[Day, ...]:
    rows = dataset.ask(
        "select day, count(*), sum(mounts)::bigint, sum(leaks)::bigint, sum(findings)::bigint "
        "from hosts group by day order by day"
    )
    return tuple(Day(*row) for row in rows)


def _unseen(dataset: Dataset) -> tuple[Unseen, ...]:
    rows = dataset.ask(
        "select host, cohort, day from current where day < (select max(day) from hosts) order by day, cohort, host"
    )
    return tuple(Unseen(*row) for row in rows)


def _propagation(dataset: Dataset) -> tuple[Propagations, ...]:
    listed = ", ".join(f"'{place}'" for place in PLACES)
    rows = dataset.ask(
        f"""
        select place, propagation, count(distinct mounts.host_id) from mounts join current using (snapshot)
        where app = 'host' and place in ({listed}) group by all order by 3 desc, 2
        """  # noqa: S608 - our own list
    )
    found: dict[str, dict[str, int]] = {}
    for place, propagation, hosts in rows:
        found.setdefault(place, {})[propagation] = hosts
    return tuple(Propagations(place, found[place]) for place in PLACES if place in found)
