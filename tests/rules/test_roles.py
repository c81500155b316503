"""What a namespace is there for, and what that makes of a finding."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mntscope.model import Namespace, Owner, Process
from mntscope.rules import audit, by_id
from mntscope.rules.roles import Role, role_of
from tests.support.rule_cases import tables
from tests.support.tables import view

ID = "1f" * 32


@pytest.mark.parametrize(
    ("unit", "role"),
    [
        (f"libpod-conmon-{ID}.scope", "runtime"),
        (f"crio-conmon-{ID}.scope", "runtime"),
        ("podman-pause-50ffc7cb.scope", "runtime"),
        ("docker.service", "runtime"),
        ("libpod-conmon-mine.scope", "unit"),
        ("nginx.service", "unit"),
    ],
)
def test_a_runtime_is_known_by_the_name_of_its_unit(unit: str, role: Role) -> None:
    assert role_of(view("1", "", namespace=Namespace(owner=Owner("unit", unit)))) == role


def test_a_monitor_that_bears_the_name_of_its_container_is_a_runtimes() -> None:
    assert role_of(view("1", "", namespace=Namespace(owner=Owner("conmon", "web", id=ID)))) == "runtime"


@pytest.mark.parametrize(("unit", "severity"), [(f"libpod-conmon-{ID}.scope", "low"), ("nginx.service", "critical")])
def test_a_copy_of_the_host_that_a_runtime_made_for_its_monitor_is_low(unit: str, severity: str) -> None:
    """Podman with --uidmap: conmon waits for the container there, and runs nothing of it."""
    namespace = Namespace(processes=(Process(40, comm="conmon"),), owner=Owner("unit", unit))
    root = "20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw"
    machine = tables(root, monitor=replace(view("40", root.replace("20 1", "40 1")), namespace=namespace))
    (finding,) = audit(machine, [by_id("MNT001")]).findings
    assert finding.severity == severity
