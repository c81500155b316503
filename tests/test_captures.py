"""Captured hosts with real container runtimes: every command names what the kernel showed to leak, and nothing else.

``tests/data/captures/README.md`` says how the hosts were made; that these containers leak, and no others, was tried
there by mounting something in each. All that the commands write about them is in ``tests/test_json.py``.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

import mntscope
from mntscope.cli import main
from mntscope.parse import format_mountinfo, parse_mountinfo
from mntscope.snapshot import Snapshot
from tests.support.repository import DATA

CAPTURES = DATA / "captures"
LEAKING: dict[str, set[str]] = {
    "containerd-cri": {"shop/csi/driver", "shop/csi-plugin/driver", "shop/root/agent"},
    "docker-matrix": {"d-plain-shared", "d-tmpfs-shared", "d-plain-rshared", "d-tmpfs-rshared", "d-ro-rshared"},
    "lxc-lxd": set(),
    "podman-matrix": {"p-shared", "p-rshared", "p-root-rshared", "p-crun", "p-mount", "p-inpod", "conmon"},
    "podman-uidmap": {"conmon"},
    "sandboxes-rootless": set(),
    "systemd-nspawn": set(),
}
"""The containers in which a mount appears on the host too; ``conmon`` is Podman's monitor of such a one, elsewhere."""

FILES = {name: CAPTURES / f"{name}.mntscope.json.gz" for name in LEAKING}
LEAK_RULES = {"MNT001", "MNT006"}


def names(snapshot: Snapshot) -> dict[str, str]:
    """By the label of each view the name of the container."""
    owners = {view.label: view.namespace.owner for view in snapshot.views}
    return {label: re.sub(r"^libpod-(conmon)-.*", r"\1", owner.name) for label, owner in owners.items() if owner}


def said(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    """The JSON of a command."""
    assert main([*map(str, words), "--format", "json"]) in (0, 1)
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def test_each_capture_is_tested() -> None:
    assert set(FILES.values()) == set(CAPTURES.glob("*.gz"))


@pytest.mark.parametrize("name", FILES)
def test_it_is_read_whole(name: str) -> None:
    snapshot = mntscope.load(FILES[name])
    assert snapshot.not_seen == ()
    assert names(snapshot).keys() == {view.label for view in snapshot.views}, "each namespace has an owner"
    for view in snapshot.views:
        assert view.problems == ()
        assert tuple(parse_mountinfo(snapshot.mountinfo(view.label))) == view.mounts


@pytest.mark.parametrize("name", FILES)
def test_what_leaks_is_named_and_nothing_else(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    named = names(mntscope.load(FILES[name]))
    listed = said(capsys, "ns", "--snapshot", FILES[name])["namespaces"]
    assert {named[each["label"]] for each in listed if each["verdict"] == "leaks"} == LEAKING[name]
    diffs = {label: said(capsys, "diff", f"snapshot:{FILES[name]}#{label}") for label in named}
    assert {named[label] for label, found in diffs.items() if found["verdict"] == "leaks"} == LEAKING[name]
    findings = said(capsys, "audit", "--no-settings", FILES[name])["findings"]
    assert {named[each["subject"]] for each in findings if each["rule"] in LEAK_RULES} == LEAKING[name]


def test_the_table_of_a_host_is_the_one_in_its_capture() -> None:
    table = (CAPTURES / "docker-host.mountinfo").read_bytes()
    assert mntscope.load(FILES["docker-matrix"]).mountinfo("host") == table
    assert format_mountinfo(parse_mountinfo(table)) == table
