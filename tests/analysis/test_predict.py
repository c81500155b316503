"""Command lines and what they do, on machines made of text: who is told what, and how the program ends."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mntscope
from mntscope import Outcome, ParseError, Snapshot, TargetError, UsageError
from mntscope.analysis.predict import Prediction, predict_commands
from mntscope.archive import load, save
from mntscope.cli import main
from mntscope.cli.parser import command_parser
from mntscope.model import Namespace, Problem, Process, View
from mntscope.output.predict import FORMATS
from mntscope.output.writers.page import Page
from tests.support.repository import DATA

HOST = b"""\
20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
21 20 0:20 / /proc rw,relatime shared:2 - proc proc rw
22 20 0:21 / /sys rw,relatime shared:3 - sysfs sysfs rw
23 20 0:22 / /mnt rw,relatime shared:4 - tmpfs t rw
24 23 0:23 / /mnt/a rw,relatime shared:5 - tmpfs a rw
"""
BOX = b"""\
40 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
41 40 0:20 / /proc rw,relatime shared:2 - proc proc rw
42 40 0:21 / /sys rw,relatime master:3 - sysfs sysfs rw
43 40 0:22 / /mnt rw,relatime - tmpfs t rw
44 43 0:23 / /mnt/a rw,relatime - tmpfs a rw
"""
THIRD = b"60 1 8:1 / / rw,relatime master:1 - ext4 /dev/sda1 rw\n"


SOME = """\
mount --make-rshared /
mount --bind /mnt /sys
mount --rbind / /mnt/a
mount --move /mnt /sys
mount --make-rslave /mnt
mount -t tmpfs x /mnt
umount -l /mnt
umount -R /sys
unshare -m
unshare -rm umount /mnt
unshare --propagation shared --mount-proc=/mnt true
"""


def machine(**more: bytes) -> Snapshot:
    return Snapshot.from_mountinfo({"host": HOST, "box": BOX} | more, kernel="6.18.0")


def with_pid_namespaces(host: int, box: int) -> Snapshot:
    snapshot = machine()
    views = []
    for view, pid, pids in zip(snapshot.views, (1, 4711), (host, box), strict=True):
        process = Process(pid, pid_namespace=pids)
        views.append(View(view.label, view.mounts, Namespace(processes=(process,)), process))
    return snapshot.with_views(views)


def changes(outcome: Outcome | Prediction, namespace: str) -> list[str]:
    return [f"{effect.change} {effect.path}" for effect in outcome.effects if effect.namespace == namespace]


class TestPredicting:
    def test_one_command_is_one_outcome(self) -> None:
        outcome = mntscope.predict(machine(), "box", "mount -t proc proc /proc")
        assert outcome.errno is None
        assert outcome.operation.op == "mount"
        assert changes(outcome, "host") == ["mount /proc"]
        assert [mount.mount_point for mount in outcome.snapshot.host.mounts].count("/proc") == 2

    def test_a_sequence_is_predicted_step_by_step(self) -> None:
        outcome = mntscope.predict(machine(), "box", "mount --make-private /proc && mount -t proc proc /proc")
        assert changes(outcome, "host") == []
        assert changes(outcome, "box") == ["propagation /proc", "mount /proc"]

    def test_a_failing_step_stops_what_hangs_on_it(self) -> None:
        prediction = predict_commands(
            machine(), "box", "umount /x && umount /mnt/a; umount /y; mount --make-slave /proc"
        )
        assert [(step.failed.errno if step.failed else None, step.skipped) for step in prediction.steps] == [
            ("EINVAL", False), (None, True), ("EINVAL", False), (None, False),
        ]  # fmt: skip
        outcome = prediction.outcome
        assert outcome is not None
        assert (outcome.errno, outcome.operation.to_dict()["target"]) == ("EINVAL", "/x")
        assert changes(outcome, "box") == ["propagation /proc"]

    def test_a_command_that_its_program_refuses_fails_and_does_nothing(self) -> None:
        command = "umount --lazy /mnt/a && umount /mnt; mount --make-slave /proc"
        prediction = predict_commands(machine(), "box", command, program="busybox")
        assert [(step.fails, step.skipped) for step in prediction.steps] == [
            (True, False), (False, True), (False, False),
        ]  # fmt: skip
        assert prediction.failed is prediction.steps[0]
        assert changes(prediction, "box") == ["propagation /proc"]
        assert predict_commands(machine(), "box", command, program="2.38").failed is None

    def test_a_failing_program_is_not_run(self) -> None:
        prediction = predict_commands(machine(), "box", "unshare -rm --mount-proc sh -c 'umount /mnt; umount /sys'")
        assert [step.skipped for step in prediction.steps] == [False, True, True, True]
        assert prediction.failed is prediction.steps[0]

    def test_umount_of_several_goes_on_and_fails_all_the_same(self) -> None:
        prediction = predict_commands(machine(), "box", "umount /x /mnt/a && umount /mnt")
        assert [step.skipped for step in prediction.steps] == [False, True]
        assert changes(prediction, "box") == ["umount /mnt/a"]

    def test_umount_recursive_takes_the_latest_child_first(self) -> None:
        outcome = mntscope.predict(machine(), "box", "umount -R /")
        assert outcome.errno is None or outcome.operation.to_dict()["target"] == "/"
        assert changes(outcome, "box")[:4] == ["umount /mnt/a", "umount /mnt", "umount /sys", "umount /proc"]

    def test_a_device_is_unmounted_where_it_is_mounted(self) -> None:
        disk = BOX + b"45 40 8:2 / /data rw,relatime - ext4 /dev/sdb1 rw\n"
        outcome = mntscope.predict(machine(box=disk), "box", "umount /dev/sdb1")
        assert changes(outcome, "box") == ["umount /data"]

    def test_a_new_namespace_ends_with_what_runs_in_it(self) -> None:
        prediction = predict_commands(machine(), "box", "unshare -m mount -t tmpfs x /mnt/a; mount -t tmpfs y /mnt")
        assert [view.label for view in prediction.after.views] == ["host", "box"]
        assert prediction.outside == ()

    def test_a_new_namespace_stays_while_a_shell_runs_in_it(self) -> None:
        prediction = predict_commands(machine(), "box", "unshare -m --propagation unchanged")
        assert [view.label for view in prediction.after.views] == ["host", "box", "unshare:1"]
        assert prediction.outside == ()
        assert prediction.uncertain == ("what a shell does is not predicted",)

    def test_a_new_namespace_may_change_the_one_it_was_copied_from(self) -> None:
        prediction = predict_commands(machine(), "host", "unshare --propagation unchanged --mount-proc=/opt bash")
        assert changes(prediction, "host") == ["mount /opt"]
        assert {effect.namespace for effect in prediction.outside} == {"host", "box"}

    def test_a_prediction_can_be_continued(self) -> None:
        world = mntscope.predict(machine(), "box", "unshare -m").snapshot
        assert mntscope.predict(world, "unshare:1", "unshare -m").snapshot.views[-1].label == "unshare:2"

    def test_a_filesystem_that_is_there_only_once_is_recognised(self) -> None:
        errors = [
            predict_commands(machine(), "box", "mount -t sysfs s /sys", program=f"util-linux {version}").failed is None
            for version in ("2.38", "2.39")
        ]
        assert errors == [False, True]
        outcome = mntscope.predict(machine(), "box", "mount -t sysfs s /mnt")
        assert outcome.snapshot.view("box").mounts[-1].device == "0:21"
        (doubt,) = outcome.uncertain
        assert "the same sysfs" in doubt

    def test_a_device_that_is_mounted_keeps_its_superblock_and_type(self) -> None:
        mount = mntscope.predict(machine(), "box", "mount /dev/sda1 /mnt").snapshot.view("box").mounts[-1]
        assert (mount.device, mount.fs_type, mount.source) == ("8:1", "ext4", "/dev/sda1")

    def test_a_device_that_is_not_mounted_is_uncertain(self) -> None:
        outcome = mntscope.predict(machine(), "box", "mount /dev/sdb1 /mnt")
        assert outcome.errno is None
        assert "whether /dev/sdb1 holds a filesystem" in outcome.uncertain[0]

    def test_what_the_command_cannot_tell_is_uncertain(self) -> None:
        assert "frob" in mntscope.predict(machine(), "box", "mount -t tmpfs -o frob x /mnt").uncertain[0]

    def test_there_must_be_something_to_predict(self) -> None:
        with pytest.raises(UsageError, match="touches no mount"):
            mntscope.predict(machine(), "box", "unshare --pid --fork")
        with pytest.raises(ParseError):
            mntscope.predict(machine(), "box", "mount --blah")
        with pytest.raises(TargetError):
            mntscope.predict(machine(), "4711", "umount /mnt")

    @given(st.lists(st.sampled_from(SOME.splitlines()), min_size=1, max_size=6))
    @settings(max_examples=50)
    def test_any_sequence_gives_a_world_that_is_one_step_after_the_other(self, commands: list[str]) -> None:
        whole = predict_commands(machine(), "box", "; ".join(commands))
        world = machine()
        for command in commands:
            world = predict_commands(world, "box", command).after
        shown = [[mount.mount_point for mount in world.view(label).mounts] for label in ("host", "box")]
        assert shown == [[mount.mount_point for mount in whole.after.view(label).mounts] for label in ("host", "box")]


def table(snapshot: Snapshot, command: str, target: str | int = "box", *, everything: bool = False) -> str:
    prediction = predict_commands(snapshot, target, command)
    return FORMATS["table"](prediction, Page(width=200, everything=everything))


class TestTelling:
    def test_the_host_comes_first_and_loudest(self) -> None:
        lines = table(with_pid_namespaces(1, 2), "mount -t proc proc /proc", 4711).splitlines()
        assert lines[0].startswith("CHANGES THE HOST")
        assert lines[2:4] == [
            "On the host",
            "  /proc would be covered by this proc: `ps`, `systemd` and every reader of /proc there would break",
        ]

    def test_a_proc_of_the_same_processes_breaks_less(self) -> None:
        shown = table(with_pid_namespaces(1, 1), "mount -t proc proc /proc", 4711)
        assert "of the same processes; what is mounted below it would be hidden" in shown
        shown = table(with_pid_namespaces(1, 1), "unshare -pf mount -t proc proc /proc", 4711)
        assert "every reader of /proc there would break\n" in shown
        assert "would break if it shows other processes" in table(machine(), "mount -t proc proc /proc")

    def test_a_process_of_the_hosts_mount_namespace_may_mount_a_proc_of_another_pid_namespace(self) -> None:
        process = Process(4711, pid_namespace=2)
        host = replace(machine().host, process=process, proc_pid_namespace=1)
        shown = table(machine().with_views([host]), "mount -t proc proc /proc", "host")
        assert shown.startswith("ON THE HOST")
        assert "every reader of /proc there would break\n" in shown

    def test_what_stays_inside_is_said(self) -> None:
        shown = table(machine(), "mount --make-private /proc && mount -t proc proc /proc")
        assert shown.startswith("STAYS INSIDE  nothing outside the mount namespace of box would change.")
        assert "On the host" not in shown
        assert "  succeeds  mount --make-private /proc\n" in shown

    def test_others_than_the_host_are_named(self) -> None:
        shown = table(machine(third=THIRD), "mount --make-private / && mount --make-private /proc")
        assert shown.startswith("STAYS INSIDE")
        shown = table(machine(third=THIRD), "mount -t tmpfs x /opt", "host")
        assert shown.startswith(
            "ON THE HOST  the command runs in the host's own mount namespace, and would change 2 other"
        )
        assert "\n  /opt would be covered by this tmpfs" in shown
        assert "\nthird\n  mount  /opt  tmpfs x, master:" in shown

    def test_what_is_umounted_moved_and_retyped_is_told(self) -> None:
        shown = table(
            machine(),
            "umount /proc; mount --make-rprivate /mnt; mount --move /mnt/a /mnt; mount -o remount,bind,ro /mnt",
            "host",
        )
        assert "\n  /proc (proc) would be unmounted, on which the whole host relies" in shown
        assert "\n  /mnt, /mnt/a: shared -> private" in shown
        assert "\n  /mnt/a (tmpfs) would be moved to /mnt" in shown
        assert "\n  /mnt: rw -> ro" in shown

    def test_a_failure_says_why(self) -> None:
        shown = table(machine(), "umount /mnt && umount /mnt/a")
        assert shown.startswith("FAILS WITH EBUSY  something is mounted below /mnt; all mounts would stay as they are.")
        assert "\n  EBUSY    umount /mnt\n           something is mounted below /mnt\n" in shown
        assert "\n  not run  umount /mnt/a\n" in shown
        assert "/x is not a mount point" in table(machine(), "mount --make-shared /x")
        assert "/mnt/a lies inside /mnt" in table(machine(), "mount --make-private / && mount --move /mnt /mnt/a")

    def test_what_a_program_refuses_is_told_as_such(self) -> None:
        refused = predict_commands(machine(), "box", "umount -R /mnt", program="busybox")
        shown = FORMATS["table"](refused, Page())
        assert shown.startswith("REFUSED  umount of BusyBox does not take '-R'; all mounts would stay as they are.")
        assert "\n  refused  umount -R /mnt\n           umount of BusyBox does not take '-R'\n" in shown
        (step,) = json.loads(FORMATS["json"](refused, Page()))["steps"]
        assert (step["refused"], step["errno"]) == ("umount of BusyBox does not take '-R'", None)

    def test_new_namespaces_are_told_as_such(self) -> None:
        shown = table(machine(), "unshare -m mount -t tmpfs x /mnt; umount /mnt/a")
        assert (
            "unshare:1 (a new namespace)\n  begins with  5 mounts, copied\n  propagation  /, /proc  shared -> private"
            in shown
        )
        assert "  ends         with the command" in shown

    def test_long_lists_are_cut_unless_asked_for(self) -> None:
        many = b"".join(b"%d 20 0:%d / /d%d rw - tmpfs t rw\n" % (n, n, n) for n in range(100, 120))
        snapshot = Snapshot.from_mountinfo({"host": HOST + many})
        assert "/d105 and 14 more  private -> shared" in table(snapshot, "unshare -m --propagation shared", "host")
        assert "/d119  private -> shared" in table(snapshot, "unshare -m --propagation shared", "host", everything=True)

    @pytest.mark.parametrize("hostile", ["\x1b[2J", "\u202e", "\udcff", "\n"])
    def test_nothing_untrusted_reaches_the_terminal(self, hostile: str) -> None:
        shown = table(machine(), f"mount -t 'tm{hostile}pfs' 'x{hostile}' '/mnt/{hostile}' && umount '/{hostile}'")
        assert hostile not in shown.replace("\n", "" if hostile == "\n" else "\n")

    def test_a_mount_that_ends_up_beneath_another_is_told_apart(self) -> None:
        above = HOST + b"25 22 0:24 / /sys/a rw,relatime - tmpfs s rw\n"
        below = BOX.replace(b"/sys rw,relatime master:3", b"/sys rw,relatime shared:3")
        shown = table(machine(host=above, box=below), "mount -t tmpfs x /sys/a")
        assert "\n  /sys/a would get this tmpfs, beneath what is mounted there" in shown

    def test_what_could_not_be_seen_is_shown(self) -> None:
        snapshot = replace(machine(), not_seen=(Problem("it is gone", where="process 7"),))
        assert "\nNot seen\n  process 7: it is gone\n" in table(snapshot, "umount /mnt/a")


class TestJson:
    def document(self, command: str, target: str = "box") -> dict[str, Any]:
        return json.loads(FORMATS["json"](predict_commands(machine(), target, command), Page()))  # type: ignore[no-any-return]

    def test_the_document_is_the_contract(self) -> None:
        document = self.document("mount -t proc proc /proc")
        assert document["schema"] == "mntscope.predict/1"
        assert document["operation"]["op"] == "mount"
        assert document["errno"] is None
        assert document["uncertain"] == []
        effect = document["effects"][0]
        assert (effect["namespace"], effect["change"], effect["path"], effect["before"], effect["crosses"]) == (
            "host", "mount", "/proc", None, True,
        )  # fmt: skip
        assert (effect["after"]["fs_type"], effect["after"]["propagation"]) == ("proc", "shared")

    def test_a_sequence_has_steps(self) -> None:
        document = self.document("umount /mnt/a && unshare -m umount /x && umount /mnt")
        assert (document["errno"], document["operation"]["target"]) == ("EINVAL", "/x")
        assert [(s["command"], s["depth"], s["skipped"], s["errno"], s["column"]) for s in document["steps"]] == [
            ("umount /mnt/a", 0, False, None, 1),
            ("unshare -m umount /x", 0, False, None, 18),
            ("umount /x", 1, False, "EINVAL", 29),
            ("umount /mnt", 0, True, None, 42),
        ]
        assert [operation["op"] for operation in document["steps"][1]["operations"]] == [
            "clone_ns",
            "propagation",
            "exit_ns",
        ]
        assert sum(len(step["effects"]) for step in document["steps"]) == len(document["effects"])

    def test_a_command_without_operations_has_none(self) -> None:
        document = self.document("unshare --user true")
        assert (document["operation"], document["errno"], document["effects"]) == (None, None, [])


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    for name, data in (("host", HOST), ("box", BOX)):
        (tmp_path / name).write_bytes(data)
    return f"file:{tmp_path}/box", f"file:{tmp_path}/host"


class TestCommandLine:
    def run(self, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
        code = main(["predict", *words])
        out, err = capsys.readouterr()
        return code, out, err

    def test_it_ends_with_1_where_something_else_would_change(
        self, capsys: pytest.CaptureFixture[str], files: tuple[str, str]
    ) -> None:
        box, host = files
        code, out, err = self.run(capsys, box, "--against", host, "--", "mount", "-t", "proc", "proc", "/proc")
        assert (code, err) == (1, "")
        assert out.startswith("CHANGES THE HOST")
        code, out, err = self.run(
            capsys, box, "--against", host, "--", "mount --make-private /proc && mount -t proc proc /proc"
        )
        assert (code, err) == (0, "")
        assert out.startswith("STAYS INSIDE")

    def test_a_captured_machine_is_predicted_offline(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        save(machine(third=THIRD), str(tmp_path / "machine.json.gz"))
        target = f"snapshot:{tmp_path}/machine.json.gz#box"
        code, out, err = self.run(capsys, target, "--format", "json", "--", "mount", "-t", "tmpfs", "x", "/opt")
        assert (code, err) == (1, "")
        found = [(effect["namespace"], effect["path"], effect["crosses"]) for effect in json.loads(out)["effects"]]
        assert found == [("host", "/opt", True), ("box", "/opt", False), ("third", "/opt", True)]

    def test_a_command_that_fails_is_no_trouble(
        self, capsys: pytest.CaptureFixture[str], files: tuple[str, str]
    ) -> None:
        code, out, _ = self.run(capsys, files[0], "--against", files[1], "umount", "/x")
        assert code == 0
        assert "EINVAL" in out

    @pytest.mark.parametrize(
        ("command", "said"),
        [
            (["mount", "--blah"], "command:1:7: mount: option '--blah' is not understood"),
            (["umount '/x"], "command:1:8: the quote ' is never closed"),
            (["umount"], "command:1:1: umount of nothing"),
            (["umount x"], "'x' is not an absolute path"),
            (["mount -o remount,ro /x"], "command:1:10: mount: remount changes the filesystem"),
            ([""], "command:1:1: no command"),
            (["umount \x1b[2J"], r"a command cannot hold '\x1b'"),
        ],
    )
    def test_trouble_is_one_line_with_its_place(
        self, capsys: pytest.CaptureFixture[str], files: tuple[str, str], command: list[str], said: str
    ) -> None:
        code, out, err = self.run(capsys, files[0], "--against", files[1], "--", *command)
        assert (code, out) == (2, "")
        assert err.startswith("mntscope: ")
        assert err.count("\n") == 1
        assert said in err

    @pytest.mark.parametrize(
        "words",
        [
            ["--", "mount", "-o", "bind", "/a", "/b"],
            ["mount", "-o", "bind", "/a", "/b"],
            ["--format", "json", "--", "mount", "-o", "bind", "/a", "/b"],
        ],
    )
    def test_the_options_of_the_command_are_its_own(self, words: list[str]) -> None:
        arguments = command_parser("predict").parse_args(["4711", *words])
        assert arguments.output is None
        assert arguments.command[-5:] == ["mount", "-o", "bind", "/a", "/b"]


def test_what_umounts_have_in_common_is_said_once() -> None:
    prediction = predict_commands(machine(), "box", "umount /sys; umount /mnt/a; umount /mnt; umount /proc")
    (busy,) = [reason for reason in prediction.uncertain if "busy" in reason]
    assert busy.startswith("whether /sys, /mnt/a, /mnt and 1 more is busy")


@pytest.mark.parametrize(
    ("target", "command", "found"),
    [
        ("host", "mount --make-private /mnt", True),
        ("host", "umount /nothing", False),
        ("box", "mount --make-private /mnt", False),
        ("box", "mount -t tmpfs x /srv", True),
        ("box", "nsenter -t host -m true", None),
    ],
)
def test_what_others_see_is_found(target: str, command: str, found: bool | None) -> None:
    if found is None:
        with pytest.raises(ParseError, match="not known"):
            predict_commands(machine(), target, command)
        return
    assert predict_commands(machine(), target, command).found == found


def test_a_mount_beneath_is_uncovered_by_the_umount_of_what_covers_it() -> None:
    for command in ("mount --beneath -t tmpfs x /mnt/a", "mount --beneath --bind /sys /mnt/a"):
        prediction = predict_commands(machine(), "box", command)
        assert prediction.failed is None
        new = [(effect.namespace, effect.path) for effect in prediction.effects if effect.change == "mount"]
        assert new == [("box", "/mnt/a")]
        assert [mount.mount_point for mount in prediction.after.view("box").mounts].count("/mnt/a") == 2


def test_in_a_snapshot_the_file_of_a_namespace_is_what_is_known_of_it() -> None:
    views = list(machine().views)
    for number, view in enumerate(views):
        process = Process(pid=100 + number, user_namespace=4026531837)
        views[number] = replace(view, namespace=Namespace(inode=4026532000 + number, processes=(process,)))
    world = Snapshot(tuple(views), "host")

    def bound(kind: str) -> tuple[str, int]:
        prediction = predict_commands(world, "box", f"mount --bind /proc/100/ns/{kind} /mnt")
        (mount,) = [effect.after for effect in prediction.effects]
        assert mount is not None
        return mount.root, len(prediction.uncertain)

    assert bound("user") == ("user:[4026531837]", 0)
    assert bound("net") == ("net:[?]", 1)
    assert predict_commands(world, "box", "mount --bind /proc/101/ns/mnt /mnt").failed is not None
    entered = predict_commands(world, "box", "nsenter -t 100 -m umount /mnt/a")
    assert {effect.namespace for effect in entered.outside} == {"host"}


def test_a_guard_lets_nothing_through_that_only_a_likely_lock_keeps_from_others() -> None:
    """In a rootless sandbox a bind of what has a locked mount in it fails; were that not locked, it would propagate."""
    snapshot = load(str(DATA / "captures/sandboxes-rootless.mntscope.json.gz"))
    prediction = predict_commands(snapshot, "216", "mount --bind / /proc")
    assert prediction.failed is not None
    assert not prediction.outside
    assert prediction.found
