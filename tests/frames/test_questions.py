"""Ten questions that people ask of a machine, each one line of pandas, and the answer found in another way."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import replace

import pandas as pd
import pytest

from mntscope import Snapshot, frames, predict, simulate
from mntscope.analysis.diff import changes
from mntscope.analysis.holders import holders
from mntscope.model import Mount, Namespace, Owner, Process, View
from mntscope.parse import parse_mountinfo
from mntscope.propagation import Outcome
from mntscope.rules import audit

HOST = """\
20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
21 20 0:5 / /proc rw,nosuid shared:2 - proc proc rw
22 20 0:6 / /run rw,nosuid shared:3 - tmpfs tmpfs rw,mode=755
23 20 8:2 / /var rw shared:4 - ext4 /dev/sda2 rw
24 23 0:30 / /var/lib/kubelet/pods/p1/volume rw shared:5 - tmpfs secret rw
25 20 8:16 / /mnt/data rw shared:6 - xfs /dev/sdb rw
26 20 8:16 /export /srv/export rw shared:6 - xfs /dev/sdb rw
27 22 0:31 / /run rw shared:7 - tmpfs over rw
"""

CONTAINERS = {
    # Bidirectional: a peer of the host's /var/lib/kubelet.
    "csi": """\
120 90 0:60 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/u
121 120 0:61 / /proc rw,nosuid - proc proc rw
122 120 8:2 /lib/kubelet /kubelet rw shared:4 - ext4 /dev/sda2 rw
123 122 0:30 / /kubelet/pods/p1/volume rw shared:5 - tmpfs secret rw
""",
    # Everything a slave of the host.
    "agent": """\
220 90 0:62 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/u
221 220 0:63 / /proc rw,nosuid - proc proc rw
222 220 8:1 / /host ro,relatime master:1 - ext4 /dev/sda1 rw
223 222 8:2 / /host/var ro master:4 - ext4 /dev/sda2 rw
224 222 8:16 / /host/mnt/data ro master:6 - xfs /dev/sdb rw
""",
    # A forgotten copy of the host, private.
    "forgotten": """\
320 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
321 320 0:5 / /proc rw,nosuid - proc proc rw
322 320 8:16 / /mnt/data rw - xfs /dev/sdb rw
323 320 8:2 / /var rw - ext4 /dev/sda2 rw
""",
    # unshare --mount --propagation unchanged: every mount a peer.
    "unshared": """\
420 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
421 420 0:5 / /proc rw,nosuid shared:2 - proc proc rw
422 420 0:6 / /run rw,nosuid shared:3 - tmpfs tmpfs rw,mode=755
423 420 8:2 / /var rw shared:4 - ext4 /dev/sda2 rw
424 423 0:30 / /var/lib/kubelet/pods/p1/volume rw shared:5 - tmpfs secret rw
425 420 8:16 / /mnt/data rw shared:6 - xfs /dev/sdb rw
426 420 8:16 /export /srv/export rw shared:6 - xfs /dev/sdb rw
427 422 0:31 / /run rw shared:7 - tmpfs over rw
""",
    "web": """\
520 90 0:64 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/u
521 520 0:65 / /proc rw,nosuid - proc proc rw
522 520 8:1 /etc/web /etc/web rw,relatime - ext4 /dev/sda1 rw
523 520 8:16 /web /data rw master:6 - xfs /dev/sdb rw
""",
}
TABLES = {"host": HOST, **CONTAINERS}
PIDS = {"host": (1, 2, 300), "csi": (1000,), "agent": (1100, 1101), "unshared": (1300,), "web": (1400, 1401, 1402)}


def view(label: str) -> View:
    mounts = tuple(parse_mountinfo(TABLES[label].encode(), file=label))
    processes = tuple(Process(pid, comm=label) for pid in PIDS.get(label, ()))
    owner = None if label == "host" else Owner("", label)
    inode = 4026531841 + list(TABLES).index(label)
    return View(label, mounts, Namespace(inode=inode, processes=processes, owner=owner), next(iter(processes), None))


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return Snapshot(tuple(map(view, TABLES)), "host", kernel="6.18.0", mount_max=100)


@pytest.fixture(scope="module")
def mounts(snapshot: Snapshot) -> pd.DataFrame:
    return snapshot.frame()


def lines(label: str) -> list[list[str]]:
    """The fields of a table as awk sees them, the optional ones as one."""
    return [re.sub(r" ((?:\S+:\d+ )*)- ", r" \1- ", line).split(" ") for line in TABLES[label].splitlines()]


def groups_of(fields: list[str], tag: str) -> list[tuple[str, int]]:
    return [(fields[2], int(word.partition(":")[2])) for word in fields[6:] if word.startswith(f"{tag}:")]


def mounted(snapshot: Snapshot, namespace: str, path: str) -> Outcome:
    """What a mount there does, as the kernel would have it."""
    return simulate(snapshot, {"op": "mount", "ns": namespace, "fstype": "tmpfs", "source": "t", "target": path})


def test_which_paths_of_the_host_can_a_container_mount_over(snapshot: Snapshot) -> None:
    leaks = frames.leaks(snapshot).query("direction != 'in' and not hidden")
    for container in CONTAINERS:
        answer = set(leaks[leaks.namespace == container].lands_at)
        there = [mounted(snapshot, container, mount.mount_point) for mount in snapshot.view(container).mounts]
        seen = {effect.path for outcome in there for effect in outcome.effects if effect.namespace == "host"}
        assert answer == seen, container
    assert set(leaks[leaks.namespace == "csi"].lands_at) == {
        "/var/lib/kubelet",
        "/var/lib/kubelet/pods/p1/volume",
    }


def test_which_namespaces_pin_a_device(snapshot: Snapshot, mounts: pd.DataFrame) -> None:
    answer = set(mounts[mounts.device == "8:16"].namespace)
    assert answer == {label for label in TABLES if " 8:16 " in TABLES[label]}
    # And which of them keep it busy after the host has unmounted it:
    staying = holders(snapshot, "/dev/sdb").frame().query("~receives").namespace.tolist()
    world = snapshot
    for path in ("/srv/export", "/mnt/data"):
        world = simulate(world, {"op": "umount", "ns": "host", "target": path}).snapshot
    assert staying == [one.label for one in world.views if any(mount.device == "8:16" for mount in one.mounts)]
    assert staying == ["forgotten", "web"]


@pytest.mark.parametrize("most", [1, 2])
def test_which_groups_span_more_than_so_many_namespaces(snapshot: Snapshot, most: int) -> None:
    groups = snapshot.peer_groups.frame()
    answer = set(groups[groups.namespaces > most].peer_group)
    spans = Counter(group for label in TABLES for group in {g for f in lines(label) for g in groups_of(f, "shared")})
    assert answer == {number for (_, number), namespaces in spans.items() if namespaces > most}


def test_what_changed_between_two_captures(snapshot: Snapshot, mounts: pd.DataFrame) -> None:
    host = [mount for mount in snapshot.host.mounts if mount.mount_point != "/run"]
    host[0] = replace(host[0], options=("ro", "relatime"))
    new = Mount(99, 20, "0:99", "/", "/new", ("rw",), "tmpfs", "t", ("rw",))
    web = replace(snapshot.view("web"), mounts=(*snapshot.view("web").mounts, replace(new, parent_id=520)))
    changed = {"host": replace(snapshot.host, mounts=(*host, new)), "web": web}
    later = snapshot.with_views(changed.get(one.label, one) for one in snapshot.views)

    what = ["namespace", "mount_id", "mount_point", "device", "options", "propagation"]
    both = mounts.merge(later.frame(), on=what, how="outer", indicator="seen").query("seen != 'both'")

    answer = {(row.namespace, row.mount_point, row.seen) for row in both.itertuples()}
    expected = set()
    for before, after in zip(snapshot.views, later.views, strict=True):
        for change in changes(before, after):
            if change.host is not None:
                expected.add((before.label, change.host.mount_point, "left_only"))
            if change.target is not None:
                expected.add((before.label, change.target.mount_point, "right_only"))
    assert answer == expected
    assert len(answer) == 5  # /run is left twice


def test_who_receives_what_the_host_mounts_there(snapshot: Snapshot, mounts: pd.DataFrame) -> None:
    edges = frames.edges(snapshot)
    for mount in snapshot.host.mounts:
        path = mount.mount_point
        top = mounts[(mounts.view == "host") & (mounts.mount_point == path) & ~mounts.hidden]
        answer = set(edges.merge(top[["device", "peer_group"]]).namespace)
        (own,) = set(zip(top.device, top.peer_group, strict=True))
        tagged = {
            label for label in TABLES for tag in ("shared", "master") for f in lines(label) if own in groups_of(f, tag)
        }
        assert answer == tagged, path
        # That very place may lie outside of the root of some: prediction tells.
        seen = set(predict(snapshot, "host", f"mount -t tmpfs t {path}").frame().namespace)
        outcome = mounted(snapshot, "host", path)
        assert seen == {effect.namespace for effect in outcome.effects}
        assert answer - seen == {"/var": {"csi"}, "/mnt/data": {"web"}, "/srv/export": {"web"}}.get(path, set()), path


def test_which_namespaces_come_near_the_limit_of_mounts(snapshot: Snapshot, mounts: pd.DataFrame) -> None:
    answer = mounts.groupby("namespace", observed=True).size().loc[lambda count: count >= 8].to_dict()
    assert answer == {label: table.count("\n") for label, table in TABLES.items() if table.count("\n") >= 8}
    assert snapshot.namespaces.frame().set_index("namespace").mounts.to_dict() == {
        label: table.count("\n") for label, table in TABLES.items()
    }


def test_where_are_mounts_stacked(mounts: pd.DataFrame) -> None:
    answer = mounts.groupby(["namespace", "mount_point"], observed=True).size().loc[lambda count: count > 1].to_dict()
    points = Counter((label, fields[4]) for label in TABLES for fields in lines(label))
    assert answer == {place: count for place, count in points.items() if count > 1}
    assert answer == {("host", "/run"): 2, ("unshared", "/run"): 2}


def test_who_can_write_to_the_root_filesystem_of_the_host(mounts: pd.DataFrame) -> None:
    rw = frames.explode(mounts[mounts.device == "8:1"], "options").query("options == 'rw' and namespace != 'host'")
    answer = set(zip(rw.namespace, rw.mount_point, strict=True))
    assert answer == {
        (label, fields[4])
        for label in CONTAINERS
        for fields in lines(label)
        if fields[2] == "8:1" and re.match("rw(,|$)", fields[5])
    }
    assert ("web", "/etc/web") in answer


def test_which_processes_see_a_filesystem(mounts: pd.DataFrame) -> None:
    answer = set(frames.explode(mounts[mounts.device == "8:16"], "pids").pids.dropna())
    assert answer == {pid for label, pids in PIDS.items() if " 8:16 " in TABLES[label] for pid in pids}


def test_what_would_a_command_do_where(snapshot: Snapshot) -> None:
    outcome = predict(snapshot, "host", "umount -l /var")
    answer = outcome.frame().groupby("namespace", observed=True).size().to_dict()
    left = {one.label: len(one.mounts) for one in outcome.snapshot.views}
    gone = {one.label: len(one.mounts) - left[one.label] for one in snapshot.views}
    assert answer == {label: count for label, count in gone.items() if count}
    assert set(answer) >= {"host", "unshared", "agent"}


def test_which_rules_find_what_where(snapshot: Snapshot) -> None:
    found = audit(snapshot)
    answer = found.frame().groupby(["subject", "rule"], observed=True).size().to_dict()
    assert answer == Counter((finding.subject, finding.rule.id) for finding in found.findings)
    worst = found.frame().groupby("subject", observed=True).severity.max().to_dict()
    by_subject = defaultdict(list)
    for finding in found.findings:
        by_subject[finding.subject].append(["low", "medium", "high", "critical"].index(finding.severity))
    assert worst == {
        subject: ["low", "medium", "high", "critical"][max(found)] for subject, found in by_subject.items()
    }
