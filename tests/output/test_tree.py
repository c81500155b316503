"""The mount tree of a view, with names for its peer groups."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mntscope.analysis.listing import ONLY, listing
from mntscope.cli import main
from mntscope.cli.tree import COLUMNS as HELP
from mntscope.cli.tree import ONLY as CHOICES
from mntscope.graph import MountTree
from mntscope.kernel import syscalls
from mntscope.model import Mount, Namespace, Owner, Problem, View
from mntscope.output.chosen import columns_chosen
from mntscope.output.tree import COLUMNS, DEEPEST, DEFAULT, FORMATS, PLACES, TELLING
from mntscope.output.writers.page import Page
from mntscope.output.writers.terminal import TRUNK
from mntscope.snapshot import Snapshot
from tests.support import strategies
from tests.support.tables import hostile_views, view
from tests.support.throwaway import Host

HOST = view(
    "host",
    """
    20 1 8:1 / / rw shared:1 - ext4 /dev/vda rw
    21 20 0:5 / /proc rw shared:2 - proc proc rw
    22 21 0:9 / /proc rw - tmpfs over rw
    23 20 0:6 / /srv/share rw shared:3 - ext4 /dev/vdb rw
    24 20 0:7 / /own rw unbindable - tmpfs none rw
    """,
)
WEB = view(
    "30",
    """
    30 9 0:30 / / rw - overlay overlay rw
    31 30 0:6 /data /data rw shared:3 - ext4 /dev/vdb rw
    32 30 8:1 /etc/hosts /etc/hosts rw master:1 - ext4 /dev/vda rw
    33 30 0:8 / /far rw master:99 - tmpfs none rw
    """,
    namespace=Namespace(101, owner=Owner("docker", "web-1")),
)
BOTH = Snapshot((HOST, WEB), "host")


def table(
    label: str = "host", snapshot: Snapshot = BOTH, columns: tuple[str, ...] = (), **asked: Any
) -> list[list[str]]:
    """The lines, the columns of each taken apart."""
    text = FORMATS["table"](listing(snapshot, label, **asked), Page(columns=columns))
    return [re.split(" {2,}", line) for line in text.splitlines()]


def document(label: str = "host", snapshot: Snapshot = BOTH, **asked: Any) -> Any:
    return json.loads(FORMATS["json"](listing(snapshot, label, **asked), Page()))


def nodes(found: Any) -> Iterator[Any]:
    """Every mount of a JSON tree, each before its children."""
    pending = list(reversed(found["tree"]))
    while pending:
        node = pending.pop()
        yield node
        pending.extend(reversed(node["children"]))


# Text


def test_each_mount_stands_below_the_one_it_is_mounted_in() -> None:
    text = FORMATS["table"](listing(BOTH, "host"), Page())
    assert [line.split("  ")[0] for line in text.splitlines()[:6]] == [
        "TARGET",
        "/",
        "├─/proc",
        "│ └─/proc",
        "├─/srv/share",
        "└─/own",
    ]


def test_peers_and_masters_have_names_and_what_hides_is_told() -> None:
    heading, *lines = table("host")
    assert heading == ["TARGET", "SOURCE", "FSTYPE", "PROPAGATION", "PEERS", "STATE", "LEAKS"]
    assert lines[1] == ["├─/proc", "proc", "proc", "shared", "overmounted"]
    assert lines[3] == ["├─/srv/share", "/dev/vdb", "ext4", "shared", "web-1 (docker):/data", "from web-1 (docker)"]
    assert lines[-1] == ["5 mounts of the host; 1 is overmounted."]
    heading, *lines = table("30")
    assert heading == ["TARGET", "SOURCE", "FSTYPE", "PROPAGATION", "PEERS", "MASTER", "LEAKS"]
    assert lines[1] == [
        "├─/data", "/dev/vdb[/data]", "ext4", "shared", "host:/srv/share", "high at /srv/share/data"
    ]  # fmt: skip
    assert lines[2] == ["├─/etc/hosts", "/dev/vda[/etc/hosts]", "ext4", "slave", "host:/"]
    assert lines[3] == ["└─/far", "none", "tmpfs", "slave", "group 99 (no member shown)"]
    assert lines[-1] == ["4 mounts of web-1 (docker)."]


def test_what_lies_over_a_directory_hides_what_is_deeper() -> None:
    over = view("host", "1 0 0:1 / / rw\n2 1 0:2 / /a/b rw\n3 1 0:3 / /a rw")
    assert [line[-1] for line in table(snapshot=Snapshot((over,), "host"))[1:4]] == ["private", "hidden", "private"]


def test_columns_can_be_chosen_and_added() -> None:
    usual = (*DEFAULT, *TELLING)
    assert columns_chosen("id,Target", COLUMNS, usual) == ("ID", "TARGET")
    assert columns_chosen("+options", COLUMNS, usual) == (
        "TARGET", "SOURCE", "FSTYPE", "PROPAGATION", "PEERS", "MASTER", "STATE", "LEAKS", "OPTIONS"
    )  # fmt: skip
    with pytest.raises(KeyError, match="NONE"):
        columns_chosen("id,none", COLUMNS, usual)
    lines = table("30", columns=("GROUP", "MASTER-GROUP", "MAJ:MIN", "TARGET"))
    assert lines[0] == ["GROUP", "MASTER-GROUP", "MAJ:MIN", "TARGET"]
    assert lines[2] == ["", "3", "0:6", "├─/data"]


@pytest.mark.parametrize(
    ("only", "targets"),
    [
        (["leaking"], ["/srv/share"]),
        (["shared"], ["/", "├─/proc", "└─/srv/share"]),
        (["unbindable"], ["/own"]),
        (["private"], ["/proc"]),
        (["slave"], []),
        (["hidden"], ["/proc"]),
        (["hidden", "unbindable"], ["/proc", "/own"]),
    ],
)
def test_only_mounts_of_a_kind(only: list[str], targets: list[str]) -> None:
    lines = table("host", only=only)
    shown = [line[0] for line in lines[1 : lines.index([""])]] if [""] in lines else []
    assert shown == targets
    assert lines[-1][0].startswith(f"{len(targets)} of the 5 mounts of the host ")


def test_a_path_gives_the_mount_that_contains_it_and_what_lies_below() -> None:
    def targets(path: str) -> list[str]:
        return [row.mount.mount_point for row in listing(BOTH, "host", path).rows]

    assert targets("/proc/") == ["/proc", "/proc"], "the whole stack"
    assert targets("/srv") == ["/", "/srv/share"]
    assert targets("/srv/share/deep") == ["/srv/share"]
    assert len(targets("/")) == 5


def test_a_page_that_is_a_terminal_gets_the_rest_of_a_row_below_what_is_too_long() -> None:
    long = "/very/long" * 20
    wide = view("host", f"1 0 0:1 / / rw shared:1\n2 1 0:2 {long} {long} rw shared:2\n3 2 0:3 / {long}/x rw")
    found = listing(Snapshot((wide,), "host"), "host")
    lines = FORMATS["table"](found, Page(width=80, terminal=True)).splitlines()
    assert lines[0].split() == ["TARGET", "FSTYPE", "PROPAGATION"], "without the source"
    assert lines[2] == f"└─{long}"
    assert re.fullmatch(r"   +tmpfs   shared", lines[3])
    assert lines[4] == f"  └─{long}/x"
    assert cell_len(lines[0]) <= 80


def test_in_a_locale_without_more_a_tree_is_ascii() -> None:
    deep = view("host", "1 0 0:1 / / rw\n2 1 0:2 / /a rw\n3 2 0:3 / /a/b rw\n4 1 0:4 / /c rw")
    found = listing(Snapshot((deep,), "host"), "host")
    lines = FORMATS["table"](found, Page(ascii=True)).splitlines()
    assert [line.split()[0] for line in lines[1:5]] == ["/", "|-/a", "|", "`-/c"]
    assert lines[3].startswith("| `-/a/b ")


def test_what_was_not_seen_is_told() -> None:
    unseen = Snapshot((HOST,), "host", not_seen=tuple(Problem(f"gone {n}") for n in range(9)))
    lines = table(snapshot=unseen)
    assert lines[-3:] == [["", "gone 4"], ["", "gone 5"], ["", "and 3 more (--all)"]]


# JSON and CSV


def test_json_nests_mounts_and_tells_what_text_tells() -> None:
    found = document("30")
    assert next(iter(found.items())) == ("schema", "mntscope.tree/1")
    assert (found["host"], found["target"], found["name"], found["mount_namespace"]) == (
        "host", "30", "web-1 (docker)", 101
    )  # fmt: skip
    (root,) = found["tree"]
    data = root["children"][0]
    assert (data["mount_id"], data["propagation"], data["hidden"], data["children"]) == (31, "shared", False, [])
    assert data["peers"] == [{"namespace": "host", "name": "host", "mount_id": 23, "mount_point": "/srv/share"}]
    assert (data["peer_count"], data["peer_names"], data["master_name"]) == (1, "host:/srv/share", None)
    assert data["leaks"] == [
        {"from": "30", "to": "host", "path": "/data", "lands_at": ["/srv/share/data"], "severity": "high"}
    ]
    assert root["children"][1]["master_name"] == "host:/"


def test_on_the_host_leaks_are_those_that_arrive() -> None:
    (share,) = (node for node in nodes(document()) if node["mount_id"] == 23)
    assert [(leak["from"], leak["to"]) for leak in share["leaks"]] == [("30", "host")]
    (covered,) = (node for node in nodes(document()) if node["mount_id"] == 21)
    assert (covered["hidden"], covered["overmounted"]) == (True, True)


def stack(height: int) -> Snapshot:
    """As many mounts on one mount point, each in the one before."""
    mounts = "".join(f"{n} {n - 1} 0:5 / /mnt rw shared:1\n" for n in range(2, height + 1))
    return Snapshot((view("host", f"1 0 0:1 / / rw\n{mounts}"),), "host")


def test_a_deep_stack_is_nested_and_indented_only_so_far() -> None:
    height = 3000
    found = document(snapshot=stack(height))
    assert [node["mount_id"] for node in nodes(found)] == list(range(1, height + 1))
    node, depth = found["tree"][0], 0
    while node["children"]:
        node, depth = node["children"][0], depth + 1
    assert depth == DEEPEST
    lines = table(snapshot=stack(height))
    assert max(len(line[0]) for line in lines) <= TRUNK + len("└─/mnt")


def test_the_peers_of_a_large_group_are_counted() -> None:
    found = list(nodes(document(snapshot=stack(3000))))
    assert {node["peer_count"] for node in found[1:]} == {2998}
    assert sum(len(node["peers"]) for node in found) <= 110_000
    assert re.search(r"/mnt, /mnt, /mnt and 2995 more", found[5]["peer_names"])


def test_csv_has_every_column_exactly_or_those_that_are_chosen() -> None:
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](listing(BOTH, "30"), Page()))))
    assert tuple(rows[0]) == tuple(COLUMNS)
    assert [row["TARGET"] for row in rows] == ["/", "/data", "/etc/hosts", "/far"]
    assert FORMATS["csv"](listing(BOTH, "30"), Page(columns=("ID", "TARGET"))).startswith("ID,TARGET\n30,/\n31,/data\n")


# Any tables


@given(strategies.views(("host", "a", "b")), st.sampled_from(["host", "a"]), st.sets(st.sampled_from(sorted(ONLY))))
def test_every_mount_that_is_asked_for_is_shown_once(views: tuple[View, ...], label: str, only: set[str]) -> None:
    snapshot = Snapshot(views, "host")
    shown = listing(snapshot, label, only=only)
    everything = listing(snapshot, label)
    asked = [row.mount for row in everything.rows if not only or any(ONLY[kind](row) for kind in only)]
    assert [row.mount for row in shown.rows] == asked
    tree = MountTree.of(snapshot.view(label))
    for row in shown.rows:
        above = [shown.rows[row.parent].mount] if row.parent >= 0 else []
        assert set(above) <= set(ancestors(tree, row.mount))
    assert [node["mount_id"] for node in nodes(document(label, snapshot, only=only))] == [m.mount_id for m in asked]


def ancestors(tree: MountTree, mount: Mount) -> Iterator[Mount]:
    while (parent := tree.parent(mount)) is not None:
        yield parent
        mount = parent


@given(hostile_views("host"), hostile_views("a"), st.sampled_from(["host", "a"]), st.none() | st.just("/a/b"))
def test_no_tables_break_it(host: View, other: View, label: str, path: str | None) -> None:
    found = listing(Snapshot((host, other), "host"), label, path)
    if path is None:
        assert len(found.rows) == len(found.view.mounts)
    for show in FORMATS.values():
        assert show(found, Page(width=40, terminal=True))


@given(st.lists(strategies.mounts(), min_size=1, max_size=5), st.text(max_size=8))
def test_names_are_shown_and_not_obeyed(mounts: list[Mount], name: str) -> None:
    owned = Namespace(7, owner=Owner("docker", name + "\x1b[2J\u202e"))
    found = listing(Snapshot((View("host", tuple(mounts)), View("a", tuple(mounts), owned)), "host"), "a")
    for show in FORMATS.values():
        shown = show(found, Page(width=80, terminal=True))
        assert {character for character in shown if not character.isprintable()} <= {"\n", "\u2060"}


def test_one_leak_has_no_more_than_so_many_landing_places() -> None:
    many = "".join(f"{100 + n} 1 0:5 / /mnt/{n} rw shared:5\n" for n in range(3 * PLACES))
    snapshot = Snapshot((view("host", f"1 0 0:1 / / rw\n{many}"), view("a", "50 9 0:5 / / rw shared:5")), "host")
    (node,) = nodes(document("a", snapshot))
    assert len(node["leaks"][0]["lands_at"]) == PLACES


# The command


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["tree", *words]) == 0
    return capsys.readouterr().out


def test_a_file_is_its_own_host(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "table"
    file.write_text("1 0 0:1 / / rw shared:1 - tmpfs none rw\n")
    assert run(capsys, f"file:{file}").splitlines()[-1] == f"1 mount of file:{file}."


def test_views_of_a_directory_of_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "host.mountinfo").write_text("1 0 0:1 / / rw shared:1 - tmpfs none rw\n")
    (tmp_path / "web.mountinfo").write_text("5 0 0:1 / /x rw master:1 - tmpfs none rw\n")
    assert "\n1 mount of the host.\n" in run(capsys, "--snapshot", str(tmp_path))
    by_label = run(capsys, "web", "--snapshot", str(tmp_path))
    assert "  host:/\n" in by_label
    assert run(capsys, f"snapshot:{tmp_path}#web") == by_label
    against = run(capsys, "host", "--snapshot", str(tmp_path), "--against", "web")
    assert "1 mount of web." in against


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--columns", "ID,NOPE"], "no column 'NOPE'; there are TARGET, SOURCE"),
        (["host", "etc"], "PATH 'etc' does not begin with /"),
        (["--only", "good"], "invalid choice: 'good'"),
        (["--snapshot", "/no/such/file"], "/no/such/file: there is no such file"),
    ],
)
def test_what_cannot_be_understood_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tree", *words]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert said in shown.err


def test_the_kinds_and_columns_that_help_names_are_those_there_are() -> None:
    assert tuple(ONLY) == CHOICES
    assert [name for name in COLUMNS if name not in HELP] == []


# On this kernel


def test_a_container_that_shares_a_volume_is_told_by_name(machine: Host, tmp_path: Path) -> None:
    def share() -> None:
        syscalls.mount("volume", str(tmp_path), "tmpfs", 0)

    machine.call(share)
    peer = machine.unshare("unchanged")
    slave = machine.unshare("slave")

    def told(*words: object) -> dict[str, Any]:
        done = machine.mntscope("tree", *words, "--format", "json")
        assert done.stderr == ""
        (volume,) = (node for node in nodes(json.loads(done.stdout)) if node["mount_point"] == str(tmp_path))
        return volume  # type: ignore[no-any-return]

    of_host, of_peer, of_slave = told(tmp_path), told(peer.inner, tmp_path), told(slave.inner)
    assert [each["namespace"] for each in of_host["peers"]] == [str(peer.inner)]
    assert [each["namespace"] for each in of_peer["peers"]] == ["host"]
    assert of_peer["peers"][0]["mount_id"] == of_host["mount_id"]
    assert (of_slave["peers"], of_slave["master_name"]) == ([], f"host:{tmp_path}")
    assert of_slave["master"] == of_host["peer_group"]
    assert [leak["from"] for leak in of_host["leaks"]] == [str(peer.inner)]


def test_mounts_are_those_of_findmnt(machine: Host) -> None:
    def stack() -> None:
        syscalls.mount("one", "/mnt", "tmpfs", 0)
        syscalls.mount("two", "/mnt", "tmpfs", 0)

    machine.call(stack)
    theirs = machine.run(["findmnt", "--list", "--noheadings", "--output", "ID,PARENT,TARGET"])
    if theirs.returncode:
        pytest.skip("findmnt cannot be run here")
    ours = machine.mntscope("tree", "--format", "csv", "--columns", "ID,PARENT,TARGET").stdout
    expected = {tuple(line.split(None, 2)) for line in theirs.stdout.splitlines()}
    assert {tuple(row) for row in csv.reader(ours.splitlines()[1:])} == expected
