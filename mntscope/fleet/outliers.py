"""Outliers: in what few hosts of a cohort are different from all others.

Hosts of one kind are made alike, so what one of a hundred has and the others have not was seldom meant. Compared are

``leak``
    a leak of an application to the host: few hosts of the cohort have it;
``extra``, ``missing``
    a mount of the host's own: few have it, or few have not;
``propagation``
    the propagation type of a mount that nearly all have, and of few hosts it is another;
``many``
    the number of mounts, far from what is usual there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

from mntscope.base.records import dataclass
from mntscope.fleet.found import EXAMPLES, Found

if TYPE_CHECKING:
    from mntscope.fleet.dataset import Dataset

OutlierKind = Literal["leak", "extra", "missing", "propagation", "many"]
KINDS: tuple[OutlierKind, ...] = get_args(OutlierKind)

SMALLEST = 10
"""Of fewer hosts in a cohort it cannot be told what is usual there."""
FEW = 0.05
"""The share of a cohort that is few; a single host is few in any."""
FAR = 10
"""So many times the median deviation from the median is far, and"""
LEAST = 0.5
"""so much of the median itself: where all are the same, a single mount more is not."""


@dataclass(frozen=True, slots=True)
class Outlier:
    """Something in which few hosts are different."""

    kind: OutlierKind
    cohort: str
    app: str
    place: str
    what: str
    """What these hosts have: ``private``, ``3140 mounts``, where a leak lands."""
    usual: str
    """What the others have."""
    hosts: int
    of: int
    """How many hosts the cohort has."""
    examples: Sequence[str]
    """Names of some of them."""


def outliers(dataset: Dataset) -> Found[Outlier]:
    """Those of the last snapshot of each host: by kind, and what fewest have first."""
    rows = dataset.ask(
        f"""
        with cohorts as (
            select cohort, count(*) as size, greatest(1, floor({FEW} * count(*))) as few
            from current group by cohort having count(*) >= {SMALLEST}
        ),
        seen as (
            select current.cohort, size, few, host, app, place, propagation, leaks_out, leaks_in, lands_at
            from mounts join current using (snapshot) join cohorts on cohorts.cohort = current.cohort
            where app = 'host' or leaks_out
        ),
        leaking as (
            select 'leak' as kind, cohort, app, place,
                   'leaks to ' || lands_at as what, 'does not leak' as usual, size, few,
                   count(distinct host) as hosts, list_sort(list(distinct host))[:{EXAMPLES}] as examples
            from seen where app <> 'host' group by all having count(distinct host) <= few
        ),
        own as (
            select cohort, size, few, place, count(distinct host) as hosts, list(distinct host) as having_it
            from seen where app = 'host' group by all
        ),
        extra as (
            select 'extra', cohort, 'host', place, 'mounted', 'not mounted', size, few, hosts,
                   list_sort(having_it)[:{EXAMPLES}]
            from own where hosts <= few
        ),
        missing as (
            select 'missing', cohort, 'host', place, 'not mounted', 'mounted', size, few, size - hosts,
                   list_sort(list_filter(everyone, lambda one: not list_contains(having_it, one)))[:{EXAMPLES}]
            from own join (select cohort, list(host) as everyone from current group by cohort) using (cohort)
            where hosts < size and size - hosts <= few
        ),
        types as (
            select cohort, size, few, place, propagation, count(distinct host) as hosts,
                   list_sort(list(distinct host))[:{EXAMPLES}] as examples
            from seen where app = 'host' group by all
        ),
        other as (
            select 'propagation', cohort, 'host', place, propagation,
                   first_value(propagation) over (partition by cohort, place order by hosts desc) as usual,
                   size, few, hosts, examples
            from types
            qualify first_value(hosts) over (partition by cohort, place order by hosts desc) > few
                and propagation <> usual and hosts <= few
        ),
        middle as (
            select cohort, size, few, median(mounts) as middle, mad(mounts) as deviation
            from current join cohorts using (cohort) group by all
        ),
        counted as (
            select 'many', cohort, '', '', mounts || ' mounts', 'about ' || middle::bigint, size, few, 1, [host]
            from current join middle using (cohort)
            where abs(mounts - middle) > greatest({FAR} * deviation, {LEAST} * middle)
        )
        select kind, cohort, app, place, what, usual, hosts, size, examples from (
            from leaking union all from extra union all from missing union all from other union all from counted
        )
        """  # noqa: S608 - our own numbers
    )
    found = [Outlier(*row) for row in rows]
    order = {kind: at for at, kind in enumerate(KINDS)}
    found.sort(key=lambda one: (order[one.kind], one.hosts, one.cohort, one.app, one.place, one.what, one.examples))
    return Found(found, Outlier)
