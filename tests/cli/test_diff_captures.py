"""``mntscope diff BEFORE AFTER`` on captures of this kernel, and on what is no capture."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from mntscope.cli import main
from mntscope.kernel import syscalls
from tests.support.repository import FIXTURES
from tests.support.throwaway import Host

MORNING = str(FIXTURES / "container-host-1-morning.mntscope.json.gz")
NOON = str(FIXTURES / "container-host-2-noon.mntscope.json.gz")


def captured(host: Host, path: Path) -> str:
    done = host.mntscope("capture", "-o", path)
    assert (done.returncode, done.stderr) == (0, "")
    return str(path)


def compared(host: Host, *words: str) -> tuple[int, Any]:
    done = host.mntscope("diff", *words, "--format", "json")
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def test_what_happened_between_two_captures(machine: Host, tmp_path: Path) -> None:
    healed, stays, ends = machine.unshare("unchanged"), machine.unshare("private"), machine.unshare("private")
    before = captured(machine, tmp_path / "before.json")
    code, found = compared(machine, before, captured(machine, tmp_path / "again.json"))
    assert (code, found["schema"], found["verdict"]) == (0, "mntscope.diff-captures/1", "unchanged")

    machine.kill(ends)
    machine.run(["nsenter", "-t", str(healed.inner), "-m", "mount", "--make-rprivate", "/"])
    machine.run(["nsenter", "-t", str(stays.inner), "-m", "mount", "-t", "tmpfs", "new", "/mnt"])
    born = machine.unshare("unchanged")
    after = captured(machine, tmp_path / "after.json")
    code, found = compared(machine, before, after)
    assert (code, found["verdict"], found["restarted"], found["not_seen"]) == (1, "new-leaks", False, [])
    assert [one["label"] for one in found["born"]] == [str(born.inner)]
    assert [one["label"] for one in found["gone"]] == [str(ends.inner)]
    changed = {one["after"]["label"]: one for one in found["changed"]}
    assert set(changed) == {str(healed.inner), str(stays.inner)}
    (added,) = changed[str(stays.inner)]["changes"]
    assert (added["kind"], added["path"], added["before"], added["after"]["source"]) == ("added", "/mnt", None, "new")
    assert {one["kind"] for one in changed[str(healed.inner)]["changes"]} == {"propagation-changed"}
    assert {leak["label"] for leak in found["healed_leaks"]} == {str(healed.inner)}
    assert {leak["label"] for leak in found["new_leaks"]} == {str(born.inner)}
    assert "/proc" in {leak["path"] for leak in found["new_leaks"]}

    code, one = compared(machine, f"{before}#{stays.inner}", f"{after}#{stays.inner}")
    assert (code, one["verdict"], one["born"]) == (1, "changed", [])
    assert [len(each["changes"]) for each in one["changed"]] == [1]
    assert compared(machine, f"snapshot:{before}#{stays.inner}", f"snapshot:{after}#{stays.inner}") == (code, one)


def test_a_namespace_that_is_entered_anew_is_not_the_old_one(machine: Host, tmp_path: Path) -> None:
    first = machine.unshare("private", lambda: syscalls.mount("one", "/mnt", "tmpfs", 0))
    before = captured(machine, tmp_path / "before.json")
    machine.kill(first)
    # The kernel gives the next one the inode of the last.
    second = machine.unshare("private", lambda: syscalls.mount("one", "/mnt", "tmpfs", 0))
    found = compared(machine, before, captured(machine, tmp_path / "after.json"))[1]
    labels = [[one["label"] for one in found[key]] for key in ("born", "gone")]
    assert labels == [[str(second.inner)], [str(first.inner)]]


@pytest.mark.parametrize("form", ["table", "markdown", "html", "json"])
def test_every_format(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", MORNING, NOON, "--format", form]) == 1
    short = capsys.readouterr().out
    assert main(["diff", MORNING, NOON, "--format", form, "--all"]) == 1
    assert len(capsys.readouterr().out) >= len(short)
    assert main(["diff", NOON, NOON, "--format", form]) == 0
    assert "unchanged" in capsys.readouterr().out.lower()


def test_sosreports_are_compared_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def report(name: str, table: str) -> str:
        (tmp_path / name / "proc/1").mkdir(parents=True)
        (tmp_path / name / "proc/1/mountinfo").write_text(table)
        with tarfile.open(tmp_path / f"{name}.tar", "w") as archive:
            archive.add(tmp_path / name, f"sosreport-{name}")
        return str(tmp_path / f"{name}.tar")

    table = "20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
    before, after = report("monday", table), report("friday", f"{table}21 20 8:2 / /data rw - xfs /dev/sdb rw\n")
    assert main(["diff", before, after]) == 1
    assert "added  /data  xfs /dev/sdb" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no.json", "none.json"], "no.json: there is no such file"),
        ([MORNING, f"{NOON}#nobody"], "the snapshot has no view 'nobody'"),
        ([MORNING, NOON, "--against", "7"], "each of two captures has a host of its own"),
        ([MORNING, NOON, "--format", "csv"], "choose of table, json, markdown, html"),
        ([f"snapshot:{MORNING}#host", "noon.json"], "'noon.json' is no absolute path"),
    ],
)
def test_trouble_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
