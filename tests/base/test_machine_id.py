"""The id that mntscope tells of a machine: always the same, systemd's own derivation, and not the machine's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from mntscope.base.machine_id import APPLICATION, derived, is_derived

GIVEN = b"3d1219c7c4c5404aaa1f6d2a48adfda4\n"


def test_an_id_is_derived_that_never_changes() -> None:
    # As `systemd-id128 machine-id --app-specific` of systemd 252 derives it on a machine that has the id above.
    assert derived(GIVEN) == "b4bf7cccae6b4bfa89c4022acb08da87"
    assert derived(GIVEN.rstrip(b"\n")) == derived(GIVEN)


def test_it_is_the_one_that_systemd_derives() -> None:
    if shutil.which("systemd-id128") is None:
        pytest.skip("systemd-id128 is not installed")
    done = subprocess.run(
        ["systemd-id128", "machine-id", f"--app-specific={APPLICATION}"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"systemd-id128 finds no id of this machine: {done.stderr.strip()}")
    assert derived(Path("/etc/machine-id").read_bytes()) == done.stdout.strip()


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"uninitialized\n",
        b"0" * 32 + b"\n",
        GIVEN.upper(),
        GIVEN[1:],
        GIVEN + GIVEN,
        b" " + GIVEN[:31] + b"\n",
        b"\xff" * 32,
    ],
)
def test_what_is_no_machine_id_gives_none(file: bytes) -> None:
    assert derived(file) is None


def test_the_form_of_an_id() -> None:
    assert is_derived("b4bf7cccae6b4bfa89c4022acb08da87")
    assert not any(
        map(is_derived, ("", "b4bf7cccae6b4bfa89c4022acb08da8", "b4bf7cccae6b4bfa89c4022acb08da87\n", "x" * 32))
    )
