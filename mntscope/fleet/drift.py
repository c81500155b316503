"""Drift: what is different between two days, on the hosts that were seen on both.

A namespace has a digest of all its mounts that does not depend on their order or number. Most are the same on both
days, and of these no mount is looked at. Of the others mounts are compared by application and place: so a pod that was
started again is none, and neither is a second one of the same kind.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Literal

from mntscope.base.records import dataclass
from mntscope.fleet.found import EXAMPLES, Found
from mntscope.fleet.tables import DRIFTS

if TYPE_CHECKING:
    from mntscope.fleet.dataset import Dataset

Change = Literal["new", "gone", "changed"]


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference, and on how many hosts it is."""

    what: Literal["leak", "mount"]
    """``leak`` where there is another leak than before, or none any more."""
    change: Change
    app: str
    place: str
    before: str | None
    """What was mounted there, in words: of several things each. ``None`` where nothing was."""
    after: str | None
    lands_at: str | None
    """Of a leak, where it lands on the host, or where it did."""
    hosts: int
    examples: tuple[str, ...]


def drift(dataset: Dataset, before: date, after: date) -> Found[Drift]:
    """What is different between two days: leaks first, and what most hosts have."""
    columns = ", ".join(DRIFTS)
    rows = dataset.ask(
        f"""
        with pairs as (
            select host_id, one.snapshot as then_, other.snapshot as now_, other.host as host
            from hosts one join hosts other using (host_id) where one.day = $1 and other.day = $2
        ),
        digests as (
            select host_id, app,
                   list_sort(list(distinct digest) filter (snapshot = then_)) as then_digests,
                   list_sort(list(distinct digest) filter (snapshot = now_)) as now_digests
            from namespaces join pairs using (host_id) where day in ($1, $2) and snapshot in (then_, now_)
            group by all
        ),
        changed as (
            select pairs.*, app from digests join pairs using (host_id)
            where then_digests is distinct from now_digests
        ),
        states as (
            select distinct changed.host_id, host, mounts.app, snapshot = now_ as is_now, {columns}
            from mounts join changed on mounts.host_id = changed.host_id and mounts.app = changed.app
            where day in ($1, $2) and snapshot in (then_, now_)
        ),
        alone as (
            select host_id, host, app, {columns}, bool_or(is_now) as is_now from states
            group by all having count(distinct is_now) = 1
        ),
        said as (
            select host_id, host, app, place, is_now, lands_at,
                   fs_type || ' ' || propagation || ' ' || options
                   || case when root <> '/' then ' of ' || root else '' end
                   || case when leaks_out and leaks_in then ', leaks out and in' when leaks_out then ', leaks out'
                           when leaks_in then ', leaks in' else '' end as state,
                   case when leaks_out or leaks_in then concat(leaks_out, leaks_in, coalesce(lands_at, '')) end as leak
            from alone
        ),
        of_host as (
            select host_id, host, app, place,
                   string_agg(state, '; ' order by state) filter (not is_now) as before,
                   string_agg(state, '; ' order by state) filter (is_now) as after,
                   list_sort(list(distinct leak) filter (leak is not null and not is_now))
                   is distinct from list_sort(list(distinct leak) filter (leak is not null and is_now)) as leaks,
                   coalesce(min(lands_at) filter (is_now), min(lands_at)) as lands_at
            from said group by host_id, host, app, place
        )
        select leaks, app, place, before, after, case when leaks then lands_at end as lands,
               count(*), list_sort(list(distinct host))[:{EXAMPLES}]
        from of_host group by leaks, app, place, before, after, lands
        """,  # noqa: S608 - names of our own columns
        [before, after],
    )
    found = [_drift(*row) for row in rows]
    found.sort(
        key=lambda one: (one.what, -one.hosts, one.change, one.app, one.place, one.before or "", one.after or "")
    )
    return Found(found, Drift)


def _drift(
    leaks: bool,  # noqa: FBT001 - a column
    app: str,
    place: str,
    before: str | None,
    after: str | None,
    lands_at: str | None,
    hosts: int,
    examples: list[str],
) -> Drift:
    change: Change = "new" if before is None else "gone" if after is None else "changed"
    return Drift("leak" if leaks else "mount", change, app, place, before, after, lands_at, hosts, tuple(examples))
