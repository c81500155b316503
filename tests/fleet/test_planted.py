"""What was planted in the fleet of the fixture is found: all of it, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fixtures.fleet import DRIFTS, Drifting, Volume
from mntscope import fleet
from mntscope.errors import UsageError

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_the_outliers_are_those_that_were_planted(opened: fleet.Fleet) -> None:
    found = {(one.kind, one.cohort, one.app, one.place, one.what, one.hosts, one.of) for one in opened.outliers()}
    assert found == {
        ("leak", "web", "debug", "/host/kubelet", "leaks to /var/lib/kubelet", 2, 150),
        ("extra", "gpu", "host", "/mnt/scratch", "mounted", 1, 60),
        ("missing", "db", "host", "/srv", "not mounted", 2, 90),
        ("propagation", "db", "host", "/", "private", 1, 90),
        ("many", "web", "", "", "815 mounts", 1, 150),
    }
    examples = {one.kind: tuple(one.examples) for one in opened.outliers()}
    assert examples == {
        "leak": ("web-007", "web-042"),
        "extra": ("gpu-003",),
        "missing": ("db-020", "db-021"),
        "propagation": ("db-011",),
        "many": ("web-099",),
    }


def change(one: Drifting) -> str:
    return "new" if one.before is None else "gone" if one.after is None else "changed"


def leaks(one: Drifting) -> bool:
    def leak(volume: Volume | None) -> bool:
        return volume is not None and volume.propagation != "private" and one.app != "host"

    return leak(one.before) or leak(one.after)


def test_the_drifts_are_those_that_were_planted(opened: fleet.Fleet) -> None:
    found = opened.drift("2026-01-30", "2026-01-31")
    planted = {("leak" if leaks(one) else "mount", change(one), one.app, one.path) for one in DRIFTS}
    assert len(DRIFTS) == len(planted) == 20
    assert {(one.what, one.change, one.app, one.place) for one in found} == planted
    # Each of them on all the hosts on which it is, in one row.
    assert len(found) == 20
    (of_nginx,) = [one for one in found if one.place == "/host/log"]
    assert (of_nginx.hosts, of_nginx.before, of_nginx.after, of_nginx.lands_at) == (
        74, None, "ext4 shared rw,relatime, leaks out and in", "/var/log",
    )  # fmt: skip


def test_drift_is_found_backwards_as_well(opened: fleet.Fleet) -> None:
    there, back = opened.drift("2026-01-30", "2026-01-31"), opened.drift("2026-01-31", "2026-01-30")
    assert {(one.place, one.before, one.after, one.hosts) for one in there} == {
        (one.place, one.after, one.before, one.hosts) for one in back
    }
    assert opened.drift("2026-01-31", "2026-01-31") == ()


def test_a_day_without_snapshots_is_named(opened: fleet.Fleet) -> None:
    with pytest.raises(UsageError, match=r"no snapshot of 2026-02-01; there are those of 2026-01-30, 2026-01-31"):
        opened.drift("2026-01-30", "2026-02-01")
    with pytest.raises(UsageError, match="is no day"):
        opened.drift("yesterday", "2026-01-31")


def test_the_report_counts_hosts(opened: fleet.Fleet) -> None:
    report = fleet.report(opened, when=NOW)
    assert (report.hosts, report.cohorts) == (300, {"web": 150, "db": 90, "gpu": 60})
    assert [(f"{one.day}", one.hosts) for one in report.days] == [("2026-01-30", 300), ("2026-01-31", 300)]
    found = {(one.rule, one.owner, one.path, one.lands_at): one for one in report.findings}
    driver = found["MNT006", "csi-node", "/var/lib/kubelet", "/var/lib/kubelet"]
    assert (driver.hosts, driver.cohorts, driver.cohort) == (300, {"web": 150, "db": 90, "gpu": 60}, None)
    odd = found["MNT006", "debug", "/host/kubelet", "/var/lib/kubelet"]
    assert (odd.hosts, odd.cohort, odd.examples, odd.severity) == (2, "web", ("web-007", "web-042"), "high")
    assert ("MNT009", "host", "/", None) in found
    assert report.failing
    propagation = {one.place: one.types for one in report.propagation}
    assert propagation["/"] == {"shared": 299, "private": 1}
    assert propagation["/home"] == {"shared": 256, "private": 44}
    assert report.unseen == ()


def test_tables_are_lazy_and_become_frames(opened: fleet.Fleet) -> None:
    assert len(opened.hosts) == 600
    leaking = opened.mounts.where("leaks_out and app = 'debug'")
    assert leaking.frame()[["place", "lands_at"]].drop_duplicates().values.tolist() == [
        ["/host/kubelet", "/var/lib/kubelet"]
    ]
    assert opened.hosts.frame().groupby("cohort").size().to_dict() == {"db": 180, "gpu": 120, "web": 300}
    assert list(opened.outliers().frame().columns[:3]) == ["kind", "cohort", "app"]
    assert opened.frame().hosts.max() == 300
    assert set(opened.findings.columns) >= {"rule", "app", "place", "day"}


def test_what_is_older_can_be_left_out(dataset: str) -> None:
    with fleet.open(dataset, since=datetime(2026, 1, 31, tzinfo=UTC).date()) as opened:
        assert (len(opened.hosts), [f"{day}" for day in opened.days]) == (300, ["2026-01-31"])


def test_a_cohort_is_what_the_expression_says(dataset: str) -> None:
    with fleet.open(dataset, cohort="^(web|db)") as opened:
        assert fleet.report(opened, when=NOW).cohorts == {"web": 150, "db": 90, "": 60}
    with pytest.raises(UsageError, match="no regular expression"):
        fleet.open(dataset, cohort="(")
