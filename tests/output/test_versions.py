"""The table of what kernels do differently, for a kernel."""

from __future__ import annotations

import json

import pytest

from mntscope.output.versions import FORMATS
from mntscope.output.writers.page import Page
from mntscope.propagation.versions import CHANGES, Kernel

OLD = Kernel.of("5.10.0-32-cloud-amd64")


def test_what_a_kernel_has_and_what_hangs_on_its_point_release() -> None:
    changes = json.loads(FORMATS["json"](OLD, Page()))["changes"]
    assert [change["since"] for change in changes] == [
        f"{major}.{minor}" for major, minor, _ in (c.since for c in CHANGES)
    ]
    assert [(change["commit"], change["here"]) for change in changes if not change["known"]] == [
        ("9ffb14ef61ba", True),
        ("ce7df1968653", True),
    ]
    assert {change["here"] for change in changes if change["known"]} == {False}


@pytest.mark.parametrize("kind", ["table", "markdown", "html"])
def test_each_format_tells_function_and_commit(kind: str) -> None:
    text = FORMATS[kind](OLD, Page())
    for change in CHANGES:
        assert change.source in text
        assert change.function in text
    assert "if its point release has it" in text


def test_what_is_asked_and_what_is_refused_is_told_too() -> None:
    document = json.loads(FORMATS["json"](OLD, Page()))
    assert [(call["since"], call["function"]) for call in document["calls"]] == [
        ("6.8", "cp_statx()"),
        ("6.12", "ns_ioctl()"),
        ("6.15", "do_statmount()"),
    ]
    assert {"program": "mount", "option": "--beneath", "since": "2.42"} in document["options"]
    assert "mount --mkdir (2.38)" in FORMATS["table"](OLD, Page(width=2000))
