"""What is found on the captured machines, all of it, has a sentence that somebody would sign."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import mntscope
from mntscope.rules import Audit, audit
from tests.support.repository import DATA, ROOT

MACHINES = {
    path.name.split(".")[0]: path
    for directory in (DATA / "captures", ROOT / "fixtures")
    for path in sorted(directory.glob("*.mntscope.json*"))
}
TABLE = Path(__file__).with_name("signed_findings.md")

DEFAULTS = {
    "containerd-cri": {"c-default", "shop/web", "shop/web/nginx", "shop/web/sidecar", "shop/web2", "shop/web2/nginx"},
    "docker-matrix": {"d-default", "d-named1", "d-named2", "d-tmpfs"},
    "lxc-lxd": {"l-default", "l-nomount", "one", "priv"},
    "podman-matrix": {"p-default", "p-named1", "p-named2", "ac403bff2e60-infra", "p-systemd"},
    "podman-uidmap": {"plain", "u1"},
    "sandboxes-rootless": {"sleep"},
    "systemd-nspawn": {"n-sleep", "n-boot", "n-a"},
}
"""What runtimes make without options, or with such that give nothing of the host."""


class Row(NamedTuple):
    """A line of the table, without its sentence."""

    machine: str
    rule: str
    severity: str
    whose: str
    where: str

    def __str__(self) -> str:
        return f"| {' | '.join(self)} | .. |"


@cache
def found(machine: str) -> Audit:
    return audit(mntscope.load(MACHINES[machine]))


def rows_of(machine: str) -> set[Row]:
    result = found(machine)
    return {
        Row(machine, one.rule.id, one.severity, result.machine.name(one.subject), one.path or "")
        for one in result.findings
    }


def table(heading: str) -> dict[Row, str]:
    """The lines below a heading, each with its sentence."""
    part = TABLE.read_text("utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line] for line in lines[2:]]
    return {Row(*line[:5]): line[5] for line in cells}


@pytest.mark.parametrize("machine", MACHINES)
def test_each_finding_is_signed(machine: str) -> None:
    signed = {row for row in table("Signed") if row.machine == machine}
    missing, gone = rows_of(machine) - signed, signed - rows_of(machine)
    assert not missing, "nobody has signed:\n" + "\n".join(map(str, sorted(missing)))
    assert not gone, "signed, and not found:\n" + "\n".join(map(str, sorted(gone)))


def test_each_has_a_sentence() -> None:
    for row, why in (table("Signed") | table("Taken away")).items():
        assert row.machine in MACHINES
        assert why.endswith(".")


def test_what_was_taken_away_is_not_found() -> None:
    assert [str(row) for row in table("Taken away") if row in rows_of(row.machine)] == []


@pytest.mark.parametrize("machine", DEFAULTS)
def test_a_container_without_options_has_nothing_above_low(machine: str) -> None:
    result = found(machine)
    owners = {view.label: view.namespace.owner for view in result.snapshot.views}
    its = {label for label, owner in owners.items() if owner is not None and owner.name in DEFAULTS[machine]}
    assert len({owners[label] for label in its}) == len(DEFAULTS[machine])
    loud = [one for one in result.findings if one.subject in its and one.severity != "low"]
    assert [f"{one.rule.id} {one.message}" for one in loud] == []
