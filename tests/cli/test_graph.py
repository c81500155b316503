"""``mntscope graph`` on this kernel, on files, and where it refuses."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from mntscope.cli import main
from mntscope.cli.graph import FORMATS
from mntscope.kernel import syscalls
from mntscope.output import graph as peers
from tests.support.throwaway import Actor, Host

HOST = b"""\
20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
21 20 0:5 / /proc rw shared:12 - proc proc rw
22 20 8:2 / /var rw shared:13 - ext4 /dev/sda2 rw
23 20 0:9 / /quiet rw - tmpfs none rw
"""
PEER = b"""\
40 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
41 40 0:5 / /proc rw master:12 - proc proc rw
"""


@pytest.fixture
def directory(tmp_path: Path) -> str:
    """A machine as a directory of tables."""
    for label, table in (("host", HOST), ("4711", PEER)):
        (tmp_path / f"{label}.mountinfo").write_bytes(table)
    return str(tmp_path)


def asked(host: Host, *words: object) -> Any:
    """The JSON of ``mntscope graph WORDS..`` in the host."""
    done = host.mntscope("graph", *words, "--format", "json")
    assert done.stderr == ""
    assert done.returncode == 0
    return json.loads(done.stdout)


def told(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["graph", *words]) == 0
    return capsys.readouterr().out


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["graph", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


# On this kernel


def labels(document: Any, actor: Actor) -> str:
    """What the namespace of an actor is called in the document."""
    inode = actor.namespace("mnt")
    return next(str(each["label"]) for each in document["namespaces"] if each["inode"] == inode)


def test_a_copied_namespace_is_a_peer_and_a_slave_receives(machine: Host) -> None:
    peer, slave, alone = machine.unshare("unchanged"), machine.unshare("slave"), machine.unshare("private")
    document = asked(machine)
    (root,) = [group for group in document["groups"] if group["name"] == "host:/"]
    assert root["crosses"] == "both ways"
    assert labels(document, peer) in root["namespaces"]
    assert [each["namespace"] for each in root["slaves"]].count(labels(document, slave)) == 1
    members = [each for group in document["groups"] for each in (*group["members"], *group["slaves"])]
    assert labels(document, alone) not in {each["namespace"] for each in members}


def test_only_what_a_target_is_part_of_is_drawn(machine: Host, tmp_path: Path) -> None:
    def share() -> None:
        syscalls.mount("none", str(tmp_path), "tmpfs", 0)
        syscalls.mount(None, str(tmp_path), None, syscalls.MS_SHARED)

    machine.unshare("unchanged")
    target = machine.unshare("private", share)
    document = asked(machine, target.inner)
    (group,) = document["groups"]
    assert group["crosses"] is None
    assert [member["mount_point"] for member in group["members"]] == [str(tmp_path)]
    assert document["about"] == f"the mounts of {target.inner} (python)" or str(target.inner) in document["about"]


def test_a_path_of_a_target_leads_to_its_group(machine: Host) -> None:
    target = machine.unshare("slave")
    document = asked(machine, target.inner, "--path", "/proc/self")
    (marked,) = [group for group in document["groups"] if group["marked"]]
    assert "/proc" in {member["mount_point"] for member in marked["members"]}
    number = str(marked["peer_group"])
    by_number = asked(machine, "--group", number)
    assert number in {str(group["peer_group"]) for group in by_number["groups"] if group["marked"]}


def test_what_was_captured_is_drawn_as_what_is_live(machine: Host, tmp_path: Path) -> None:
    machine.unshare("unchanged")
    machine.unshare("slave")
    file = tmp_path / "machine.json.gz"
    assert machine.mntscope("capture", "-o", str(file)).returncode == 0
    captured, live = asked(machine, "--snapshot", file), asked(machine)
    # Other tests' namespaces may come and go meanwhile.
    ours = {each["label"] for each in captured["namespaces"]} & {each["label"] for each in live["namespaces"]}

    def of_ours(document: Any) -> list[Any]:
        return [
            (group["name"], group["crosses"], [each for each in group["members"] if each["namespace"] in ours])
            for group in document["groups"]
            if any(member["namespace"] == "host" for member in group["members"])
        ]

    assert of_ours(captured) == of_ours(live)


# On files


def test_every_format_is_written(directory: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tuple(peers.FORMATS) == FORMATS
    for name in FORMATS:
        assert told(capsys, "--snapshot", directory, "--format", name)


def test_a_directory_of_tables_is_drawn(directory: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        told(capsys, "--snapshot", directory)
        == """\
2 mount namespaces, 3 peer groups. 1 group in 2 namespaces passes mounts and umounts both ways: what
one mounts there, the others see. 1 namespace receives the events of others. 1 group stays within
one namespace (--all).

host, 4711
group 1: /
  1: host:/, 4711:/
⇄ events pass both ways

host
group 12: /proc
  12: host:/proc
└── 4711
    1 slave mount: /proc
    → only receives
"""
    )


def test_a_view_of_a_file_is_a_target(directory: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "4711", "--snapshot", directory, "--path", "/proc")
    assert text == told(capsys, f"snapshot:{directory}#4711", "--path", "/proc")
    assert text.startswith("2 mount namespaces, 1 peer group around /proc of 4711.")


def test_who_plays_the_host_can_be_chosen(directory: str, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(told(capsys, "--snapshot", directory, "--against", "4711", "--format", "json"))
    assert document["host"] == "4711"


def test_a_file_is_not_mixed_with_this_machine(directory: str, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(told(capsys, f"file:{directory}/4711.mountinfo", "--format", "json"))
    assert len(document["namespaces"]) == 1


def test_the_page_is_written_to_a_file(directory: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "out.html"
    assert told(capsys, "--snapshot", directory, "--format", "html", "-o", str(file)) == ""
    assert file.read_text("utf-8").startswith("<!DOCTYPE html>")


# Refusals


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--group", "9"], "there is no peer group 9; there are 1, 12, 13"),
        (["--group", "x"], "'x' is no number of a peer group"),
        (["--group", "٣"], "is no number of a peer group"),
        (["--group", "1", "--path", "/"], "--group names a peer group of the whole machine"),
        (["--group", "1", "4711"], "leave out TARGET and --path"),
        (["--path", "/quiet"], "/quiet: it is private in host"),
        (["--path", "/quiet/below"], "/quiet/below: the mount at /quiet, which contains it, is private in host"),
        (["4712"], "the snapshot has no view '4712'"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_a_line(
    directory: str, capsys: pytest.CaptureFixture[str], words: list[str], error: str
) -> None:
    assert error in refusal(capsys, *words, "--snapshot", directory)


def test_a_path_that_is_not_utf8_is_quoted(directory: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert r"/quiet/\xff" in refusal(capsys, "--path", os.fsdecode(b"/quiet/\xff"), "--snapshot", directory)
