"""How the suite of real runtimes judges, encodes and reports; `make runtimes` starts the runtimes themselves."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.runtimes import cri, page, table
from tests.runtimes.__main__ import read
from tests.runtimes.all import ALL, FEW
from tests.runtimes.check import names, not_done, spread, without_lone_numbers
from tests.runtimes.judge import Judge
from tests.runtimes.target import Report, Row, Target
from tests.support.throwaway import Host

LEAKS = Row(
    "docker",
    "-v /srv/vol:/vol:rshared",
    says="leaks",
    kernel="leaks",
    mounts=21,
    checks=79,
    out=["/vol", "/vol/sub"],
    into=["/srv/vol", "/srv/vol/sub", f"/var/lib/docker/overlay2/{'5' * 64}/merged"],
    isolated="exact",
    safe=["mount --namespace PID --make-slave /vol"],
    names=7,
)
WRONG = Row(
    "docker",
    "(no option)",
    says="isolated",
    kernel="receives",
    diff_wrong=["the verdict is isolated, but the kernel's receives"],
    predict_wrong=["/vol: only predicted in host at /\x1b[2J"],
    names=3,
    names_wrong=["'web': there is none"],
)
ABSENT = Row("docker", "--privileged", why_not="no CAP_SYS_RESOURCE")


@pytest.mark.parametrize("how", ["unchanged", "slave", "private"])
def test_the_kernel_is_the_judge_of_what_a_mount_reaches(host: Host, tmp_path: Path, how: str) -> None:
    target = host.unshare(how)  # type: ignore[arg-type]
    judge = Judge({"host": host.pid, "target": target.pid})
    place = str(tmp_path)
    inside = judge.mount(target.pid, place)
    reached = {"target", "host"} if how == "unchanged" else {"target"}
    assert inside.mounts == Counter({(label, place): 1 for label in reached})
    assert inside.types["target", place, "shared" if how == "unchanged" else "private"] == 1
    outside = judge.mount(host.pid, place)
    assert {label for label, _ in outside.mounts} == ({"host"} if how == "private" else {"host", "target"})
    assert (inside.left, outside.left) == ([], [])


def test_the_judge_tells_why_nothing_was_mounted(host: Host, tmp_path: Path) -> None:
    target = host.unshare("private")
    judge = Judge({"host": host.pid, "target": target.pid})
    assert not judge.mount(target.pid, str(tmp_path / "nothing")).there
    (tmp_path / "file").write_text("")
    seen = judge.mount(target.pid, str(tmp_path / "file"))
    assert (seen.errno, seen.file, seen.source, len(seen.mounts)) == (0, True, "/dev/null", 1)


def test_messages_are_encoded_as_protobuf_has_it() -> None:
    assert cri.encoded({1: "ab", 2: 300, 3: False, 4: ""}) == b"\n\x02ab\x10\xac\x02"
    assert cri.encoded({8: {1: True}, 6: [{1: "k"}, {1: "l"}]}) == b"2\x03\n\x01k2\x03\n\x01lB\x02\x08\x01"
    assert cri.first_text(cri.encoded({1: "a" * 200})) == "a" * 200
    assert cri.first_text(b"") == ""


def test_of_very_many_places_some_are_taken_evenly() -> None:
    assert spread(["/", "/a", "/"]) == ["/", "/a"]
    many = spread([str(number) for number in range(250)])
    assert (many[:2], len(many)) == (["0", "5"], 50)


def test_a_peer_group_of_one_member_has_no_number() -> None:
    lines = [b"1 0 0:1 / / rw shared:%d - tmpfs a rw", b"2 1 0:1 / /a rw shared:7 - tmpfs shared:5 rw"]
    slave = b"3 1 0:1 / /b rw master:7 - tmpfs a rw"
    tables = {"host": frozenset([lines[0] % 5, lines[1]]), "4711": frozenset([slave])}
    assert without_lone_numbers(tables) == without_lone_numbers({**tables, "host": frozenset([lines[0] % 6, lines[1]])})
    assert lines[1] in without_lone_numbers(tables)["host"]
    both = {"host": tables["host"], "4711": frozenset([slave, b"4 1 0:1 / /c rw shared:5 - tmpfs a rw"])}
    assert without_lone_numbers(both) == both


def test_a_report_survives_its_json() -> None:
    report = Report("docker", [LEAKS, ABSENT], "docker.io 20.10.24", left=["x"], seconds=1.5)
    assert read(json.dumps(asdict(report))) == report


def test_the_table_shows_what_is_right_and_below_it_what_is_not() -> None:
    shown = table.text([Report("docker", [LEAKS, WRONG, ABSENT], left=["/srv/vol is mounted"], seconds=12)])
    lines = shown.splitlines()
    assert lines[1].split() == [
        "docker",
        "-v",
        "/srv/vol:/vol:rshared",
        "21",
        "leaks",
        "leaks",
        "79",
        "exact",
        "exact",
        "7",
    ]
    assert "isolated WRONG" in lines[2]
    assert "1 wrong" in lines[2]
    for line in (
        "  the verdict is isolated, but the kernel's receives",
        "  /vol: only predicted in host at /\\x1b[2J",
        "  not to be had: --privileged: no CAP_SYS_RESOURCE",
        "  left: /srv/vol is mounted",
    ):
        assert line in lines
    assert "2 targets of 1 runtimes: diff as the kernel on 1, predict on 1" in shown


def test_the_page_has_a_row_for_each_option_and_says_what_is_absent() -> None:
    text = page.text([Report("docker", [LEAKS, ABSENT], "docker.io 20.10.24")], "6.18.1", {"cri-o": "no package"})
    assert (
        "| `-v /srv/vol:/vol:rshared` | **leaks** | `/vol` | `/srv/vol`, `/var/lib/docker/overlay2/ID/merged` "
        "| `mount --namespace PID --make-slave /vol` |"
    ) in text.splitlines()
    assert "docker.io 20.10.24." in text
    assert "- docker, `--privileged`: no CAP_SYS_RESOURCE" in text
    assert "- cri-o: no package" in text


def test_each_runtime_has_one_name_without_spaces() -> None:
    assert all(" " not in name and runtime.name == name for name, runtime in ALL.items())
    assert set(FEW) <= set(ALL)


@pytest.mark.parametrize(
    ("report", "right"),
    [
        (Report("docker", [LEAKS]), True),
        (Report("docker", [LEAKS, WRONG]), False),
        (Report("docker", [LEAKS], left=["/srv/vol is mounted"]), False),
        (Report("docker", failed="it was not over in 20 minutes"), False),
        (Report("docker", [LEAKS, ABSENT], why_not="no such package"), True),
    ],
)
def test_what_failed_or_is_left_is_wrong_and_what_cannot_be_had_is_not(report: Report, right: bool) -> None:
    assert report.right is right


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ('{"journal": null, "refused": "it pins a volume"}', []),
        ('{"journal": "/run/mntscope/1.json", "refused": "all was put back"}', ["isolate: no"]),
        ("", ["isolate: no"]),
    ],
    ids=["refused", "rolled back", "not over in time"],
)
def test_isolate_may_refuse_but_what_it_begins_it_finishes(said: str, wrong: list[str]) -> None:
    row = Row("docker", "(no option)")
    assert not_done(row, said, "no") == "no"
    assert row.isolate_wrong == wrong
    assert row.right is not bool(wrong)


def test_words_that_must_not_find_one_are_refused_with_what_they_have_to_tell() -> None:
    row = Row("docker", "a container that is stopped")
    words = {"container:no-such-one": ("no running container",), "no-such-one": ("no such words",), "host": ("x",)}
    names(Target(row.option, 0, names_only=True, refused=words), row, "")
    assert row.names == 3
    bare, host = row.names_wrong
    assert "not a word of no such words" in bare
    assert host == "'host' finds process 0"
