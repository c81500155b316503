"""Every mount namespace, once."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from mntscope.analysis.diff import diff
from mntscope.analysis.namespaces import NamespaceList, namespaces
from mntscope.cli import main
from mntscope.model import Hold, Namespace, Owner, Problem, Process, View
from mntscope.output.namespaces import COLUMNS, FORMATS
from mntscope.output.phrases import ROWS
from mntscope.output.writers.page import Page
from mntscope.snapshot import Snapshot
from tests.support import scenes, strategies
from tests.support.tables import hostile_views, view
from tests.support.throwaway import Host

HOST = view(
    "host",
    "20 1 8:1 / / rw shared:1\n21 20 0:5 / /proc rw shared:2 - proc proc rw\n22 20 0:6 / /srv rw shared:3",
    namespace=Namespace(100, processes=(Process(1, comm="systemd"),)),
)
LEAKING = view(
    "30",
    "30 9 8:1 / / rw shared:1\n31 30 0:5 / /proc rw shared:2 - proc proc rw",
    namespace=Namespace(101, processes=(Process(30, comm="nginx"), Process(31, comm="nginx", root="/srv"))),
)
RECEIVING = view("40", "40 9 8:1 / / rw master:1", namespace=Namespace(102, owner=Owner("docker", "web-1", "f" * 64)))
ISOLATED = view(
    "mnt:[103]", "50 9 8:1 / / rw", namespace=Namespace(103, holds=(Hold("mount", "/run/ns/kept", label="host"),))
)
ALL = Snapshot((HOST, ISOLATED, RECEIVING, LEAKING), "host")


def table(census: NamespaceList, *, everything: bool = False) -> str:
    return FORMATS["table"](census, Page(everything=everything))


def document(census: NamespaceList) -> Any:
    return json.loads(FORMATS["json"](census, Page()))


def test_each_stands_with_the_host_as_diff_says_the_worst_first() -> None:
    found = namespaces(ALL).namespaces
    assert [(each.name, each.verdict, each.severity, each.shared_groups) for each in found] == [
        ("host", "same-namespace", None, 3),
        ("30 (nginx)", "leaks", "critical", 2),
        ("web-1 (docker)", "receives", None, 0),
        ("mnt:[103]", "isolated", None, 0),
    ]


@given(strategies.views(("a", "host", "b", "c")))
def test_verdicts_and_leaks_are_those_of_diff(views: tuple[View, ...]) -> None:
    snapshot = Snapshot(views, "host")
    found = namespaces(snapshot).namespaces
    assert sorted(each.view.label for each in found) == ["a", "b", "c", "host"]
    for each in found:
        told = diff(snapshot, each.view.label)
        assert (each.verdict, each.leaks) == (told.verdict, told.leaks)
        assert each.shared_groups == len(groups_of(each.view) & groups_of(snapshot.host))


def groups_of(view: View) -> set[tuple[str, int]]:
    return {(mount.device, mount.peer_group) for mount in view.mounts if mount.peer_group is not None}


def test_a_namespace_that_several_views_show_is_one_with_the_processes_of_all() -> None:
    again = view("31", "31 30 0:5 / /proc rw shared:2", namespace=Namespace(101, processes=(Process(29),)))
    jailed = replace(HOST, label="2", namespace=Namespace(100, processes=(Process(2),)))
    found = namespaces(Snapshot((jailed, HOST, LEAKING, again), "host")).namespaces
    assert [(each.view.label, [process.pid for process in each.processes]) for each in found] == [
        ("host", [1, 2]),
        ("30", [29, 30, 31]),
    ]
    assert found[1].roots == ("/", "/srv")


def test_the_table_is_a_line_a_namespace_and_what_keeps_it() -> None:
    lines = [re.split(" {2,}", line.strip()) for line in table(namespaces(ALL)).splitlines()]
    assert lines[0] == ["NAMESPACE", "INODE", "PROCESSES", "KEPT BY", "MOUNTS", "SHARED", "VERDICT", "WORST LEAK"]
    assert lines[1] == ["the host", "100", "1", "1 (systemd)", "3", "the host"]
    assert lines[2] == ["30 (nginx)", "101", "2", "30 (nginx)", "2", "2", "leaks", "critical / and 1 more"]
    assert lines[4] == ["mnt:[103]", "103", "0", "mount /run/ns/kept", "1", "0", "isolated"]
    assert lines[-1] == ["4 mount namespaces: the host's, 1 leaks to it, 1 receives from it, 1 is isolated."]


@pytest.mark.parametrize(
    ("hold", "words"),
    [
        (Hold("fd", "/proc/58/fd/7", process=Process(58, comm="sleep")), "fd /proc/58/fd/7 (sleep)"),
        (Hold("mount", "/run/kept", label="30"), "mount /run/kept (30)"),
        (Hold("thread", "59", process=Process(58, comm="java")), "thread 59 (java)"),
    ],
)
def test_a_namespace_without_processes_says_what_keeps_it(hold: Hold, words: str) -> None:
    kept = replace(ISOLATED, namespace=Namespace(103, holds=(hold,)))
    assert f" {words} " in table(namespaces(Snapshot((HOST, kept), "host")))
    twice = replace(ISOLATED, namespace=Namespace(103, holds=(hold, hold)))
    assert f" {words} and 1 more " in table(namespaces(Snapshot((HOST, twice), "host")))


def test_json_holds_what_is_promised() -> None:
    found = document(namespaces(replace(ALL, not_seen=(Problem("gone", where="process 5"),))))
    assert next(iter(found.items())) == ("schema", "mntscope.ns/1")
    assert found["unreadable"] == [{"what": "gone", "where": "process 5"}]
    promised = {"inode", "id", "user_namespace", "owner", "processes", "mounts", "verdict"}
    assert all(promised <= set(each) for each in found["namespaces"])
    web = found["namespaces"][2]
    assert (web["owner"], web["owner_kind"], web["owner_id"], web["label"]) == (
        "docker web-1",
        "docker",
        "f" * 64,
        "40",
    )
    leaking = found["namespaces"][1]
    assert (leaking["severity"], leaking["leaks_out"], leaking["leaks_in"]) == ("critical", 2, 2)
    assert [process["pid"] for process in leaking["processes"]] == [30, 31]
    assert found["namespaces"][3]["holds"] == [
        {"kind": "mount", "where": "/run/ns/kept", "label": "host", "pid": None, "comm": None}
    ]


def test_csv_has_a_row_a_namespace() -> None:
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](namespaces(ALL), Page()))))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["label"], row["processes"], row["verdict"]) for row in rows][1:] == [
        ("30", "2", "leaks"),
        ("40", "0", "receives"),
        ("mnt:[103]", "0", "isolated"),
    ]


def test_many_are_counted_the_worst_are_shown() -> None:
    many = [view(str(n), f"{n} 9 8:1 / / rw master:1") for n in range(1000, 1000 + 2 * ROWS)]
    census = namespaces(Snapshot((HOST, *many, LEAKING), "host"))
    lines = table(census).splitlines()
    assert lines[2].startswith("30 (nginx)")
    assert lines[ROWS + 1] == f"and {ROWS + 2} more (--all)"
    assert len(table(census, everything=True).splitlines()) == len(census.namespaces) + 3


def test_names_are_shown_and_not_obeyed() -> None:
    hostile = "\x1b]0;x\x07\u202e<script>\udcff"
    owned = replace(LEAKING, namespace=Namespace(101, owner=Owner("docker", hostile)))
    snapshot = Snapshot((HOST, owned), "host", not_seen=(Problem(hostile, where=hostile),))
    for form, show in FORMATS.items():
        shown = show(namespaces(snapshot), Page(terminal=True))
        assert "\x1b" not in shown, form
        assert "\u202e" not in shown, form
        shown.encode("utf-8")


@given(hostile_views("host"), hostile_views("a"), hostile_views("b"))
def test_no_tables_break_it(host: View, one: View, other: View) -> None:
    census = namespaces(Snapshot((host, one, other), "a"))
    for show in FORMATS.values():
        assert show(census, Page(width=40, terminal=True))


# On this kernel


def test_a_host_with_containers_lists_each_once_with_its_owner(machine: Host, tmp_path: Path) -> None:
    with scenes.container_host(machine, tmp_path) as scene:
        done = machine.mntscope("ns", "--format", "json")
        assert (done.returncode, done.stderr) == (0, "")
        found = {each["inode"]: each for each in json.loads(done.stdout)["namespaces"]}
        assert len(found) == len(json.loads(done.stdout)["namespaces"])
        for inode, words in scene.owners.items():
            assert (found[inode]["owner"] or "").startswith(words), inode
        assert found[scene.shared.namespace("mnt")]["verdict"] == "leaks"
        assert found[scene.slave.namespace("mnt")]["verdict"] == "receives"
        assert found[scene.private.namespace("mnt")]["verdict"] == "isolated"
        assert found[scene.unshared.namespace("mnt")]["severity"] == "critical"
        assert scene.pin in [hold["where"] for hold in found[scene.pinned]["holds"]]
        assert found[scene.kept.inode]["holds"][0]["kind"] == "fd"


def test_a_captured_machine_is_listed_as_it_was(machine: Host, tmp_path: Path) -> None:
    machine.unshare("unchanged")
    machine.unshare("slave")
    file = tmp_path / "captured"
    assert machine.mntscope("capture", "-o", file).returncode == 0
    live, offline = (
        json.loads(machine.mntscope("ns", *words, "--format", "json").stdout)["namespaces"]
        for words in ([], ["--snapshot", file])
    )
    inodes = {each["inode"] for each in live} & {each["inode"] for each in offline}
    assert len(inodes) >= 3

    def told(found: list[dict[str, Any]]) -> list[tuple[object, ...]]:
        # Other tests' namespaces come and go, and so do the processes that run mntscope.
        fields = ("inode", "label", "name", "mounts", "verdict", "severity", "leaks_out", "groups_shared_with_host")
        return sorted(tuple(each[field] for field in fields) for each in found if each["inode"] in inodes)

    assert told(live) == told(offline)


def test_another_may_play_the_host(machine: Host) -> None:
    target = machine.unshare("slave")
    done = machine.mntscope("ns", "--against", target.inner, "--format", "json")
    found = {each["inode"]: each for each in json.loads(done.stdout)["namespaces"]}
    assert found[target.namespace("mnt")]["verdict"] == "same-namespace"
    assert json.loads(done.stdout)["host"] == str(target.inner)


def test_what_is_no_part_of_the_machine_cannot_play_its_host(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ns", "--against", "file:/dev/null"]) == 2
    assert "no part of this machine" in capsys.readouterr().err


def test_a_view_of_a_file_may_play_the_host(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "host.mountinfo").write_text("1 0 0:1 / / rw shared:1 - tmpfs none rw\n")
    (tmp_path / "web.mountinfo").write_text("5 0 0:1 / /x rw master:1 - tmpfs none rw\n")

    def verdicts(*words: str) -> dict[str, str]:
        assert main(["ns", "--snapshot", str(tmp_path), "--format", "json", *words]) == 0
        return {each["label"]: each["verdict"] for each in json.loads(capsys.readouterr().out)["namespaces"]}

    assert verdicts() == verdicts("--against", "host") == {"host": "same-namespace", "web": "receives"}
    assert verdicts("--against", "web") == {"web": "same-namespace", "host": "leaks"}
    assert verdicts("--against", f"snapshot:{tmp_path}#web") == verdicts("--against", "web")
    assert main(["ns", "--snapshot", str(tmp_path), "--against", "db"]) == 2
    assert "has no view 'db'; it has host, web" in capsys.readouterr().err
