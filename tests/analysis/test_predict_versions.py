"""A prediction is for a kernel and a mount(8): what is asked for, doubted and warned of."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mntscope import Snapshot
from mntscope.analysis.predict import predict_commands
from mntscope.cli import main
from mntscope.output.predict import FORMATS
from mntscope.output.writers.page import Page
from tests.analysis.test_predict import machine


@pytest.mark.parametrize(
    ("kernel", "said"),
    [
        ("7.9.1", "Linux 7.9.1 is newer than any that was compared with the model (7.3)"),
        ("5.14.0-570.el9.x86_64", "Linux 5.14.0-570.el9.x86_64 is Red Hat's, which may have changes of later kernels"),
        ("6.18.0", None),
        (None, None),
    ],
)
def test_a_kernel_that_nobody_has_compared_is_a_doubt(kernel: str | None, said: str | None) -> None:
    prediction = predict_commands(replace(machine(), kernel=kernel), "box", "mount -t tmpfs x /opt")
    assert prediction.uncertain == ((said,) if said else ())


def test_another_kernel_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A new namespace drops unbindable until 7.2, which a snapshot of any kernel can be asked."""
    table = tmp_path / "table"
    table.write_bytes(b"10 1 0:1 / / rw,relatime - tmpfs r rw\n11 10 0:2 / /a rw,relatime unbindable - tmpfs t rw\n")
    bind = "unshare -m --propagation unchanged mount --bind /a /a"
    for kernel, errno in (("6.16", "EINVAL"), ("6.18", None), ("7.2", "EINVAL")):
        assert main(["predict", f"file:{table}", "--kernel", kernel, "--format", "json", "--", bind]) == 0
        assert json.loads(capsys.readouterr().out)["errno"] == errno
    assert main(["predict", f"file:{table}", "--kernel", "new", "--", bind]) == 2
    assert "it is no release of Linux" in capsys.readouterr().err


STACKED = b"""\
10 1 0:1 / / rw,relatime - tmpfs r rw
11 10 0:2 / /a rw,relatime - tmpfs one rw
12 11 0:3 / /a rw,relatime - tmpfs two rw
13 12 0:4 / /a/in rw,relatime - tmpfs in rw
"""


@pytest.mark.parametrize(("version", "left"), [("2.38", [10, 11]), ("2.39", [10])])
@pytest.mark.parametrize("options", ["-R", "-RA"])
def test_newer_programs_take_every_layer_of_a_stack(version: str, left: list[int], options: str) -> None:
    snapshot = Snapshot.from_mountinfo({"A": STACKED})
    prediction = predict_commands(snapshot, "A", f"umount {options} /a", program=f"util-linux {version}")
    assert [mount.mount_id for mount in prediction.after.view("A").mounts] == left


def test_options_of_a_bind_that_reach_the_host_are_warned_of() -> None:
    """In words: whoever upgrades util-linux makes the host's copy read-only as well."""
    prediction = predict_commands(machine(), "box", "mount -o bind,ro /mnt /opt", program="util-linux 2.41")
    shown = FORMATS["table"](prediction, Page(width=1000))
    assert "ro is set on the host, too: util-linux 2.41 sets it before the bind is attached." in shown
    (host,) = [mount for mount in prediction.after.host.mounts if mount.mount_point == "/opt"]
    assert "ro" in host.options
    older = predict_commands(machine(), "box", "mount -o bind,ro /mnt /opt", program="util-linux 2.38")
    assert "on the host, too" not in FORMATS["table"](older, Page(width=1000))
    assert older.uncertain == ()


def test_which_program_it_is_is_doubted_only_where_that_matters() -> None:
    assert predict_commands(machine(), "box", "mount --bind /mnt /opt").uncertain == ()
    (doubt,) = predict_commands(machine(), "box", "mount -o bind,ro /mnt /opt").uncertain
    assert "util-linux 2.39 or later" in doubt
