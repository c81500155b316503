"""A diff as programs and people read it."""

import csv
import io
import json
import os
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mntscope.analysis.diff import Diff, diff
from mntscope.model import Process
from mntscope.output.diff import FORMATS
from mntscope.output.diff_json_csv import COLUMNS
from mntscope.output.shell import command, command_for_all
from mntscope.output.writers.page import Page
from mntscope.snapshot import Snapshot

HOST = b"""\
20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
21 20 0:5 / /proc rw shared:12 - proc proc rw
22 20 8:2 / /srv rw shared:3 - ext4 /dev/sdb rw
"""
# As `unshare -m --propagation unchanged` leaves it, then: /srv moved to /data, a tmpfs, /proc private.
LEAKING = (
    HOST.replace(b"20 1", b"40 1").replace(b" 20 ", b" 40 ").replace(b"21 40", b"41 40").replace(b"22 40", b"42 40")
)
MIXED = b"""\
40 1 8:1 / / rw master:1 - ext4 /dev/sda1 rw
41 40 0:5 / /proc ro - proc proc rw
42 40 8:2 / /data rw shared:3 - ext4 /dev/sdb rw
43 40 0:9 / /t rw - tmpfs none rw
"""


def compared(target: bytes, host: bytes = HOST, path: str | None = None) -> Diff:
    return diff(Snapshot.from_mountinfo({"host": host, "4711": target}), "4711", path)


def text(result: Diff, width: int = 100, *, everything: bool = False, colour: bool = False) -> str:
    return FORMATS["table"](result, Page(width, terminal=colour, colour=colour, everything=everything))


def document(result: Diff) -> Any:
    return json.loads(FORMATS["json"](result, Page()))


def rows(result: Diff, page: Page | None = None) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(FORMATS["csv"](result, page or Page()), newline="")))


# JSON


def test_json_begins_with_its_schema_and_holds_what_is_promised() -> None:
    found = document(compared(MIXED))
    assert next(iter(found.items())) == ("schema", "mntscope.diff/1")
    assert found["verdict"] == "leaks"
    (leak,) = [leak for leak in found["leaks"] if leak["direction"] == "both"]
    promised = {
        "path": "/data",
        "lands_at": ["/srv"],
        "via": "peer",
        "peer_group": 3,
        "severity": "high",
        "remedy": "make-slave",
    }
    assert {key: leak[key] for key in promised} == promised
    assert "/srv" in leak["why"]


def test_json_has_each_change_with_both_mounts() -> None:
    changes = document(compared(MIXED))["changes"]
    by_kind = {(change["kind"], change["path"]): change for change in changes}
    assert by_kind["added", "/t"]["host"] is None
    assert by_kind["moved", "/data"]["host"]["mount_point"] == "/srv"
    assert by_kind["remounted", "/proc"]["target"] == {
        "mount_id": 41,
        "parent_id": 40,
        "device": "0:5",
        "root": "/",
        "mount_point": "/proc",
        "options": ["ro"],
        "peer_group": None,
        "master": None,
        "propagate_from": None,
        "unbindable": False,
        "fs_type": "proc",
        "source": "proc",
        "super_options": ["rw"],
        "propagation": "private",
        "unknown_tags": [],
    }


def test_json_is_ascii_and_keeps_bytes_that_are_no_text() -> None:
    table = LEAKING + b"43 40 0:9 / /\xff\xc3\xa9\x1b[2J rw - tmpfs none rw\n"
    written = FORMATS["json"](compared(table), Page())
    assert written.isascii()
    assert "\x1b" not in written
    paths = [change["path"] for change in json.loads(written)["changes"]]
    assert os.fsdecode(b"/\xff\xc3\xa9\x1b[2J") in paths


# CSV


def test_csv_is_one_table_of_all_that_was_found() -> None:
    found = rows(compared(MIXED))
    assert tuple(found[0]) == COLUMNS
    assert found[0] | {"record": "verdict", "kind": "leaks"} == found[0]
    assert {row["kind"] for row in found if row["record"] == "change"} == {
        "added",
        "moved",
        "remounted",
        "propagation-changed",
    }
    (leak,) = [row for row in found if row["record"] == "leak" and row["kind"] == "both"]
    assert (leak["path"], leak["lands_at"], leak["target"]) == (
        "/data",
        "/srv",
        "42 40 8:2 / /data rw shared:3 - ext4 /dev/sdb rw",
    )


def test_csv_keeps_a_path_as_it_is_but_not_on_a_terminal() -> None:
    table = LEAKING + b'43 40 0:9 / /a\xff\x1b,"b rw - tmpfs none rw\n'
    result = compared(table)
    assert os.fsdecode(b'/a\xff\x1b,"b') in [row["path"] for row in rows(result)]
    assert r"/a\xff\x1b," + '"b' in [row["path"] for row in rows(result, Page(terminal=True))]


# The text


def test_the_verdict_comes_first() -> None:
    first = {
        "leaks": text(compared(LEAKING)),
        "receives": text(compared(LEAKING.replace(b"shared", b"master"))),
        "isolated": text(
            compared(LEAKING.replace(b"shared:1 ", b"").replace(b"shared:12 ", b"").replace(b"shared:3 ", b""))
        ),
        "same namespace": text(compared(HOST)),
    }
    assert {verdict: shown.split("  ")[0].lower() for verdict, shown in first.items()} == {v: v for v in first}


def test_the_worst_leak_comes_next_with_where_it_lands_why_and_the_command_that_stops_it() -> None:
    shown = text(compared(LEAKING))
    places = [
        shown.index(words) for words in ("/ -> / on the host", "/proc -> /proc on the host", "high", "To stop all")
    ]
    assert places == sorted(places)
    assert compared(LEAKING).leaks[0].why in " ".join(shown.split())
    assert "\n            mount --make-private /proc\n" in shown
    assert shown.endswith("\n    mount --make-rslave /\n")


def test_a_leak_elsewhere_says_where() -> None:
    assert "\n  high  /data -> /srv on the host\n" in text(compared(MIXED))


def test_what_only_receives_is_one_line() -> None:
    shown = text(compared(MIXED))
    assert "also reach 1 of the 4 mounts." in shown


def test_a_question_about_a_path_is_answered_about_that_path() -> None:
    shown = text(compared(LEAKING, path="/proc/sys"))
    assert shown.startswith("LEAKS  what 4711 mounts or unmounts at /proc/sys also is on the host.")
    assert "/srv" not in shown
    assert "To stop all" not in shown


def test_changes_are_grouped_by_kind() -> None:
    shown = text(compared(MIXED))
    assert "\nCompared with the host: 1 added, 1 moved, 1 remounted, 2 propagation-changed\n" in shown
    assert "\n  moved        /data  ext4, on the host at /srv\n" in shown
    assert "\n  remounted    /proc  proc  rw -> ro\n" in shown
    assert "\n  propagation  shared -> slave: /\n" in shown
    assert "\n  propagation  shared -> private: /proc\n" in shown


def test_long_lists_are_counted_unless_all_is_asked_for() -> None:
    many = b"".join(b"%d 40 0:%d / /m%03d rw - tmpfs none rw\n" % (n, n, n) for n in range(100, 300))
    result = compared(MIXED + many)
    assert "and 195 more (--all)" in text(result)
    assert "/m250" not in text(result)
    assert "/m250" in text(result, everything=True)
    assert "more (--all)" not in text(result, everything=True)


def test_damage_is_told_before_the_leaks() -> None:
    host = HOST + b"24 21 0:77 / /proc rw shared:13 - proc proc rw\n"
    shown = text(compared(LEAKING + b"44 41 0:77 / /proc rw shared:13 - proc proc rw\n", host))
    assert shown.index("DAMAGE") < shown.index("critical")
    assert "umount /proc" in shown


def test_what_was_not_seen_is_said() -> None:
    result = compared(LEAKING.replace(b"shared:3", b"master:99"))
    assert result.not_seen
    assert "\nNot seen\n  no view shows a member of master group 99" in text(result)
    assert "not_seen" in [row["record"] for row in rows(result)]
    assert document(result)["not_seen"]


@pytest.mark.parametrize("width", [20, 40, 80, 140])
def test_every_width_is_kept_except_by_commands(width: int) -> None:
    for line in text(compared(MIXED), width).splitlines():
        assert len(line) <= width or "mount --make-" in line


def test_without_colour_there_is_none_and_nothing_is_lost() -> None:
    plain, coloured = text(compared(MIXED)), text(compared(MIXED), colour=True)
    assert "\x1b" not in plain
    assert "\x1b[1;31mLEAKS" in coloured


@pytest.mark.parametrize("colour", [False, True])
def test_no_line_ends_in_blanks(colour: bool) -> None:
    assert not re.search(r" (\x1b\[0m)?$", text(compared(MIXED), 60, colour=colour), re.MULTILINE)


hostile = st.binary(min_size=1).map(lambda raw: raw.translate(None, b"\n \t\\\0/")).filter(bool)


@given(hostile, st.integers(1, 200))
def test_no_name_can_reach_the_terminal_raw(name: bytes, width: int) -> None:
    tmpfs = b"23 20 0:9 / /" + name + b" rw shared:4 - " + b"tmpfs " + name + b" rw\n"
    result = compared(LEAKING + tmpfs.replace(b"23 20", b"43 40"), HOST + tmpfs.replace(b"0:9 / ", b"0:9 /x "))
    shown = text(result, width, everything=True)
    assert all(line.isprintable() for line in shown.split("\n"))
    assert all(line.isprintable() for line in FORMATS["csv"](result, Page(terminal=True)).split("\n"))


def test_rich_markup_in_a_name_is_only_text() -> None:
    table = LEAKING + b"43 40 0:9 / /[bold]:smile: rw - tmpfs none rw\n"
    assert "/[bold]:smile:" in text(compared(table))


# The commands


def with_process(result: Diff, root: str = "/") -> Diff:
    view = replace(result.target, process=Process(pid=4712, root=root))
    return replace(result, target=view)


def test_a_command_enters_the_process_that_was_asked_about() -> None:
    result = with_process(compared(MIXED))
    assert command(result.leaks[0], result) == "mount --namespace 4711 --make-slave /data"
    assert command_for_all(result) == "mount --namespace 4711 --make-rslave /"


def test_a_command_for_a_process_below_another_root_enters_that_root() -> None:
    result = with_process(compared(MIXED), root="/jail")
    assert command(result.leaks[0], result) == "nsenter -t 4712 -m -r mount --make-slave /data"


def test_a_command_for_a_namespace_file_enters_the_file() -> None:
    tables = {"host": HOST, "ns:/run/a b": MIXED}
    result = diff(Snapshot.from_mountinfo(tables), "ns:/run/a b")
    assert command(result.leaks[0], result) == "mount --namespace '/run/a b' --make-slave /data"


def test_a_command_for_a_table_says_what_to_run_inside() -> None:
    assert command(compared(MIXED).leaks[0], compared(MIXED)) == "mount --make-slave /data"


def test_a_command_names_a_hostile_path_exactly() -> None:
    result = compared(MIXED.replace(b"/data", b"/a\x1b\xff'"))
    assert command(result.leaks[0], result) == r"mount --make-slave $'/a\033\377\047'"
