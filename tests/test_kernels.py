"""How other kernels are found, booted and reported; what is done on them is done on this one."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kernels import machine, steps, table
from tests.kernels.debian import Package, newest_first
from tests.kernels.kernel import Kernel
from tests.kernels.minimal import SEQUENCES, Sequence, judgements
from tests.kernels.table import Booted, Step


@pytest.mark.parametrize("sequence", SEQUENCES, ids=lambda sequence: sequence.name)
def test_no_minimal_sequence_is_predicted_wrongly_on_this_kernel(namespaces: None, sequence: Sequence) -> None:
    wrong = [judged for judged in judgements(sequence) if judged.result == "wrong"]
    assert [line for judged in wrong for mismatch in judged.mismatches for line in mismatch.lines()] == []


def test_the_steps_leave_their_results(namespaces: None, tmp_path: Path) -> None:
    assert (
        steps.main([str(tmp_path), "lab", "selftest", "record", "--operations=20", "--recorded=10", "--seeds=7"]) == 0
    )
    (tmp_path / "release").write_text("6.18.0\n")
    booted = table.read("6.18", tmp_path, ("lab", "selftest", "record", "tests"), 12)
    found = {name: step.summary if step else None for name, step in booted.steps}
    assert sum(map(int, str(found.pop("selftest")).split("/"))) == 20
    assert found == {"lab": "ok", "record": "10", "tests": None}
    assert not booted.right
    trace = json.loads((tmp_path / "recording.jsonl").read_text().splitlines()[0])
    assert trace["kernel_version"].startswith("#")


RIGHT, WRONG = ("lab", Step("ok", True, 5, ())), ("lab", Step("WRONG", False, 5, ()))
UNFINISHED = ("tests", None)


@pytest.mark.parametrize(
    ("code", "booted"),
    [
        (0, [Booted("6.1", "6.1.9", steps=(RIGHT,))]),
        (1, [Booted("6.1", "6.1.9", steps=(RIGHT,)), Booted("6.12", "6.12.1", steps=(WRONG,))]),
        (1, [Booted("6.1", "6.1.9", steps=(RIGHT, UNFINISHED))]),
        (2, [Booted("6.1", "6.1.9", steps=(RIGHT, UNFINISHED), in_time=False)]),
        (1, [Booted("6.1", "6.1.9", steps=(WRONG, UNFINISHED), in_time=False)]),
        (2, [Booted("6.1", "6.1.9", steps=(RIGHT,)), Booted("6.12", why_not="the 10 minutes are over")]),
    ],
    ids=["right", "one wrong", "stopped", "cut short", "wrong and cut short", "not begun"],
)
def test_a_machine_that_is_slow_finds_nothing_wrong(code: int, booted: list[Booted]) -> None:
    assert table.exit_code(booted) == code


def test_packages_are_sorted_by_the_numbers_in_their_versions() -> None:
    versions = ("7.3~rc7-1", "6.12.9-1", "6.12.118-1", "7.3.4-1~bpo13+1", "6.1.180-1")
    packages = newest_first(Package("linux-image", version, ()) for version in versions)
    assert [package.version for package in packages] == [
        "7.3.4-1~bpo13+1",
        "7.3~rc7-1",
        "6.12.118-1",
        "6.12.9-1",
        "6.1.180-1",
    ]


def test_a_module_is_loaded_after_those_that_it_needs(tmp_path: Path) -> None:
    needs = {"btrfs": "xor,raid6_pq", "raid6-pq": "", "xor": "", "loop": "", "unrelated": ""}
    for name, needed in needs.items():
        (tmp_path / f"{name}.ko").write_bytes(b"\x7fELF\0license=GPL\0depends=%s\0name=x\0" % needed.encode())
    names = [name for name, _ in Kernel("6.1.1", tmp_path).modules()]
    assert sorted(names) == ["btrfs", "loop", "raid6_pq", "xor"]
    assert names.index("btrfs") > max(names.index("xor"), names.index("raid6_pq"))


def test_the_first_root_filesystem_is_an_archive_as_cpio_reads_it(tmp_path: Path) -> None:
    if not shutil.which("busybox"):
        pytest.skip("busybox is not installed")
    (tmp_path / "loop.ko").write_bytes(b"\0depends=\0")
    busybox = tmp_path / "busybox"
    busybox.write_bytes(b"no program, but as long as it likes")
    archive = b"".join(machine.newc(machine.first_root(Kernel("6.1.1", tmp_path), busybox)))
    listed = subprocess.run(["busybox", "cpio", "-t"], input=archive, capture_output=True, check=True)
    assert listed.stdout.decode().split() == [
        "bin",
        "dev",
        "modules",
        "root",
        "init",
        "bin/busybox",
        "modules/loop.ko",
        "modules/order",
    ]


def test_the_table_shows_each_step_and_below_it_what_was_not_right() -> None:
    kernels = (
        Booted("5.10", "5.10.0-46", "", 71, (("minimal", Step("7/0/1", False, 5, ("M3: not so",))), ("lab", None))),
        Booted("6.19", why_not="not to be had: no suite has it"),
    )
    shown = table.text(kernels, ("minimal", "lab")).splitlines()
    assert [line.split() for line in shown[:3]] == [
        ["kernel", "minimal", "(exact/uncertain/wrong)", "lab", "all"],
        ["5.10.0-46", "7/0/1", "5", "s", "-", "71", "s"],
        ["6.19", "-", "-", "0", "s"],
    ]
    assert shown[3:] == ["", "5.10.0-46, minimal:", "  M3: not so", "", "6.19: not to be had: no suite has it"]
