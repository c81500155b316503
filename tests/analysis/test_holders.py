"""Who holds a filesystem, and how each copy got there: from tables."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from mntscope.analysis.holders import Holder, Holders, holders
from mntscope.analysis.remedies import enter
from mntscope.errors import TargetError
from mntscope.model import Hold, Namespace, Owner, Process, View
from mntscope.output.holders import FORMATS
from mntscope.output.writers.page import Page
from mntscope.propagation import simulate
from mntscope.snapshot import Snapshot
from tests.support.tables import hostile_views, view

HOST = """
    20 1 8:1 / / rw shared:1
    21 20 8:16 / /data rw shared:2
"""


def namespaces(*views: View, **given: object) -> Snapshot:
    """A machine of which the first view is the host; process N sleeps in the namespace of the view labelled N."""
    inhabited = [
        replace(
            each, process=(sleeper := Process(int(each.label), comm="sleep")), namespace=Namespace(processes=(sleeper,))
        )
        if each.label.isdecimal()
        else each
        for each in views
    ]
    return Snapshot(views=tuple(inhabited), host_label=views[0].label, **given)  # type: ignore[arg-type]


def told(holding: Holders) -> dict[str, tuple[str, bool]]:
    """By label and path the link of each mount, and whether the host's umount takes it along."""
    return {f"{each.view.label}:{each.mount.mount_point}": (each.via, each.receives) for each in holding.holders}


def commands(holder: Holder) -> list[str]:
    return [" ".join(way.command) for way in holder.ways]


def test_how_each_copy_is_linked_and_whether_it_stays() -> None:
    snapshot = namespaces(
        view("host", HOST),
        view("100", "30 9 8:1 / / rw shared:1\n31 30 8:16 / /data rw shared:2"),
        view("200", "40 9 8:1 / / rw master:1\n41 40 8:16 / /data rw master:2"),
        view("300", "50 9 8:1 / / rw\n51 50 8:16 / /data rw"),
        view("400", "60 9 8:1 / / rw\n61 60 8:16 / /data rw master:2"),
        view("500", "70 9 8:1 / / rw master:1\n71 70 8:16 / /data rw master:2\n72 71 0:9 / /data/sub rw"),
    )
    found = holders(snapshot, "/data")
    assert found.devices == ("8:16",)
    assert told(found) == {
        "300:/data": ("none", False),
        # A slave, but on a mount that does not receive: umounts are events of the parent.
        "400:/data": ("slave", False),
        # On one that does, but with something mounted in it.
        "500:/data": ("slave", False),
        "host:/data": ("host", True),
        "100:/data": ("peer", True),
        "200:/data": ("slave", True),
    }
    assert [commands(each) for each in found.staying] == [
        ["umount --namespace 300 /data", "rmdir /data"],
        ["umount --namespace 400 /data", "rmdir /data"],
        ["umount --namespace 500 /data/sub /data", "rmdir /data"],
    ]


def test_chains_lead_from_the_host_to_the_copy() -> None:
    snapshot = namespaces(
        view("host", "20 1 8:1 / / rw\n21 20 8:16 / /data rw shared:3 master:2"),
        view("100", "30 1 8:16 / /above rw shared:1"),
        view("200", "40 1 8:16 / /between rw shared:2 master:1"),
        view("300", "50 1 8:16 / /beside rw shared:4 master:1"),
        view("400", "60 1 8:16 / /below rw master:5\n61 1 8:16 / /way rw shared:5 master:3"),
        view("500", "70 1 8:16 / /alone rw shared:9"),
    )
    chains = {
        each.mount.mount_point: (each.via, [group for _, group in each.chain])
        for each in holders(snapshot, "8:16").holders
    }
    assert chains == {
        "/data": ("host", []),
        "/above": ("master", [1, 2, 3]),
        "/between": ("master", [2, 3]),
        "/beside": ("relative", [3, 2, 1, 4]),
        "/below": ("slave", [3, 5]),
        "/way": ("slave", [3, 5]),
        "/alone": ("none", []),
    }


@pytest.mark.parametrize("wanted", ["/data", "/data/", "8:16", "/dev/sdb", "21", "31"])
def test_a_filesystem_has_many_names(wanted: str) -> None:
    host = "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n21 20 8:16 / /data rw - ext4 /dev/sdb rw"
    snapshot = namespaces(view("host", host), view("100", "30 1 8:1 / / rw\n31 30 8:16 / /old rw - ext4 /dev/sdb rw"))
    assert [each.mount.mount_id for each in holders(snapshot, wanted).holders] == [31, 21]


def test_a_bind_mount_is_asked_for_with_its_directory_only() -> None:
    host = "20 1 8:1 / / rw\n21 20 8:1 /volumes/a /mnt rw"
    snapshot = namespaces(
        view("host", host),
        view("100", "30 1 8:1 /volumes/a /a rw\n31 1 8:1 /volumes/ab /ab rw\n32 1 8:1 /volumes/a/b /b rw"),
    )
    assert told(holders(snapshot, "/mnt")).keys() == {"host:/mnt", "100:/a", "100:/b"}


def test_what_the_host_has_unmounted_is_found_where_it_still_is() -> None:
    snapshot = namespaces(
        view("host", "20 1 8:1 / / rw shared:1"), view("100", "30 1 8:1 / / rw\n31 30 8:16 / /data rw")
    )
    (holder,) = holders(snapshot, "/data").holders
    assert (holder.via, holder.receives) == ("none", False)
    assert commands(holder) == ["umount --namespace 100 /data", "rmdir /data"]


def test_nothing_is_mounted_there() -> None:
    snapshot = namespaces(view("host", HOST))
    for wanted in ("/nowhere", "9:9"):
        # Who has looked, and found it, knows that it is free.
        found = holders(snapshot, wanted, exists=True)
        assert found.holders == ()
        assert FORMATS["table"](found, Page()).startswith("FREE  ")
        for exists in (False, None):
            with pytest.raises(TargetError, match=r"does not exist|not recorded|no such device"):
                holders(snapshot, wanted, exists=exists)
    with pytest.raises(TargetError, match="nothing of that name is mounted"):
        holders(snapshot, "data")
    with pytest.raises(TargetError, match="no namespace has a mount of this ID"):
        holders(snapshot, "77")


def test_an_overlay_keeps_the_filesystems_of_its_directories() -> None:
    overlay = "rw,lowerdir=/data/l1:/data/l2,upperdir=/data/u,workdir=/data/w"
    container = f"30 1 0:40 / / rw - overlay overlay {overlay}"
    snapshot = namespaces(view("host", HOST), view("100", container))
    assert told(holders(snapshot, "/data"))["100:/"] == ("overlay", False)
    assert "100:/" not in told(holders(snapshot, "20"))
    # The name is all that is left when the filesystem is mounted nowhere.
    gone = namespaces(view("host", "20 1 8:1 / / rw"), view("100", container))
    assert told(holders(gone, "/data")) == {"100:/": ("overlay", False)}


def test_a_copy_that_nothing_leads_to_cannot_be_unmounted_there() -> None:
    covered = "30 1 8:1 / / rw\n31 30 8:16 / /x/data rw\n32 30 0:9 / /x rw"
    (holder, _) = holders(namespaces(view("host", HOST), view("100", covered)), "/data").holders
    assert (holder.covered, commands(holder)) == (True, ["rmdir /x/data"])


def test_a_lock_makes_removing_the_directory_the_better_way() -> None:
    host = replace(view("host", HOST), namespace=Namespace(user_namespace=4026531837))
    locked = replace(
        view("100", "30 1 8:1 / / rw\n31 30 8:16 / /data rw"), namespace=Namespace(user_namespace=4026532999)
    )
    (holder, _) = holders(namespaces(host, replace(locked, process=Process(100))), "/data").holders
    assert holder.locked


def test_what_would_only_go_if_it_is_not_locked_is_counted() -> None:
    host = view("host", HOST + "22 21 8:17 / /data/sub rw shared:3", namespace=Namespace(user_namespace=4026531837))
    below = "30 1 8:1 / / rw\n31 30 8:16 / /data rw master:2\n32 31 8:17 / /data/sub rw master:3"
    box = view("box", below, namespace=Namespace(user_namespace=4026532999))
    # /data of the box stays, so what is mounted in it goes with the host's only if it is not locked to it.
    assert holders(Snapshot((host, box), "host"), "/data").notes == (
        "1 mount of other user namespaces may be locked: taken to stay",
    )
    assert holders(Snapshot((host, replace(box, namespace=host.namespace)), "host"), "/data").notes == ()


def test_the_ways_into_a_namespace_without_processes() -> None:
    def held(*holds: Hold) -> View:
        namespace = Namespace(inode=4026532568, holds=holds)
        return view("mnt:[4026532568]", "30 1 8:1 / / rw\n31 30 8:16 / /data rw", namespace=namespace)

    pin = Hold("mount", "/run/ns/kept", "host")
    fd = Hold("fd", "/proc/7/fd/3", process=Process(7))
    ways = {
        (): ["rmdir /data"],
        (pin,): ["umount --namespace /run/ns/kept /data", "umount /run/ns/kept", "rmdir /data"],
        (fd,): ["umount --namespace /proc/7/fd/3 /data", "rmdir /data"],
        (fd, pin): ["umount --namespace /run/ns/kept /data", "rmdir /data"],
        (Hold("mount", "/kept", "200"),): ["umount --namespace /proc/200/root/kept /data", "rmdir /data"],
        (Hold("thread", "4712"),): ["umount --namespace /proc/4712/ns/mnt /data", "rmdir /data"],
    }
    for holds, expected in ways.items():
        (holder, _) = holders(namespaces(view("host", HOST), held(*holds)), "/data").holders
        assert commands(holder) == expected
    assert enter(held()) == ()


def test_the_root_of_the_host_stays() -> None:
    snapshot = namespaces(view("host", HOST), view("100", "30 9 8:1 / / rw master:1"))
    found = holders(snapshot, "/")
    assert told(found)["100:/"] == ("slave", False)
    text = FORMATS["table"](found, Page())
    assert text.startswith("HELD  / (8:1,")
    assert "Would stay" not in text


def test_the_table() -> None:
    web = replace(view("4711", "30 1 8:1 / / rw\n31 30 8:16 / /data rw"), process=Process(4711, comm="nginx"))
    owner = Owner("docker", "web-1")
    web = replace(web, namespace=Namespace(processes=(Process(4711, comm="nginx"), Process(4712)), owner=owner))
    slave = view("100", "40 9 8:1 / / rw master:1\n41 40 8:16 / /data rw master:2")
    snapshot = Snapshot(views=(view("host", HOST), web, slave), host_label="host")
    assert (
        FORMATS["table"](holders(snapshot, "/data"), Page(width=110))
        == """\
BUSY  when the host has unmounted /data (8:16, tmpfs), it is still mounted in one namespace.

Would stay when the host has unmounted its own
  /data  web-1 (docker), 4711 (nginx) and 1 more process
         no group links it to the host's: copied and made private, or mounted there
         umount --namespace 4711 /data

  Or remove its directory, once the host has unmounted its own: every namespace then lets go of what it has
  mounted there.
    umount /data
    rmdir /data

The host's own
  /data  the host

Go with the host's umount
  /data  100
         a slave of host:/data

Notes
  If umount says busy, a process has something open in it, in whatever namespace: fuser -vm /data
  What processes have open, and what was unmounted lazily, was not looked for: no table tells.
"""
    )


def test_json() -> None:
    snapshot = namespaces(view("host", HOST), view("300", "50 9 8:1 / / rw\n51 50 8:16 / /data rw"))
    document = json.loads(FORMATS["json"](holders(snapshot, "/data"), Page()))
    assert (document["schema"], document["device"], document["verdict"]) == ("mntscope.holders/1", "8:16", "busy")
    stays, own = document["holders"]
    assert {
        key: stays[key] for key in ("namespace", "owner", "pids", "path", "via", "receives_host_umount", "remedy")
    } == {
        "namespace": "300",
        "owner": None,
        "pids": [300],
        "path": "/data",
        "via": "none",
        "receives_host_umount": False,
        "remedy": "umount --namespace 300 /data",
    }
    assert (own["via"], own["receives_host_umount"], own["remedy"]) == ("host", True, None)


DATA = """
    20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
    21 20 8:16 / /data rw shared:2 - ext4 /dev/sdb rw
"""


@st.composite
def copied_worlds(draw: st.DrawFn) -> Snapshot:
    """A host, and namespaces made of it one after the other, each of which then changes a few things."""
    world = Snapshot((view("host", DATA),), "host")
    for number in range(draw(st.integers(1, 4))):
        here = f"n{number}"
        origin = draw(st.sampled_from([each.label for each in world.views]))
        steps: list[dict[str, object]] = [{"op": "clone_ns", "ns": origin, "new": here}]
        for _ in range(draw(st.integers(0, 3))):
            at = {"ns": here, "target": draw(st.sampled_from(["/", "/data"]))}
            kind = draw(st.sampled_from(["private", "slave", "shared"]))
            steps.append(
                draw(
                    st.sampled_from(
                        [
                            {"op": "propagation", "type": kind, "recursive": False, **at},
                            {"op": "mount", "fstype": "tmpfs", "source": "none", "ns": here, "target": "/data/sub"},
                            {"op": "bind", "source": "/data", "recursive": False, "ns": here, "target": "/again"},
                        ]
                    )
                )
            )
        for step in steps:
            world = simulate(world, step).snapshot
    return world


@given(copied_worlds())
def test_it_agrees_with_the_prediction_of_the_umount(snapshot: Snapshot) -> None:
    own = [mount for mount in snapshot.host.mounts if mount.device == "8:16"]
    assume(len(own) == 1)
    outcome = simulate(snapshot, {"op": "umount", "ns": "host", "target": "/data", "lazy": True})
    assert not outcome.errno
    gone = {
        (each.namespace, each.before.mount_id) for each in outcome.effects if each.change == "umount" and each.before
    }
    found = holders(snapshot, "/data")
    event(f"{len(found.staying)} stay of {len(found.holders)}")
    for holder in found.holders:
        assert holder.receives == ((holder.view.label, holder.mount.mount_id) in gone)


@given(hostile_views("host"), hostile_views("a"), st.data(), st.sampled_from(sorted(FORMATS)))
def test_anything_gives_an_answer(host: View, other: View, data: st.DataObject, name: str) -> None:
    snapshot = Snapshot(views=(host, other), host_label="host")
    mounts = (*host.mounts, *other.mounts)
    names = {name for mount in mounts for name in (mount.device, str(mount.mount_id), mount.mount_point)}
    found = holders(snapshot, data.draw(st.sampled_from(["/x", *sorted(names - {"", "a"})])), exists=True)
    seen = [(each.view.label, each.mount.mount_id) for each in found.holders]
    assert len(seen) == len(set(seen))
    text = FORMATS[name](found, Page(terminal=True))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
