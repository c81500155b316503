"""The rules on tables of real systems: every recorded leak is found, and what is normal is quiet."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mntscope.analysis.owners import owner_of
from mntscope.model import Namespace, Process, View
from mntscope.parse import parse_mountinfo
from mntscope.rules import Audit, audit
from mntscope.snapshot import Snapshot

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
MANIFEST = CORPUS / "manifest.json"
FILES: dict[str, dict[str, Any]] = (
    {entry["file"]: entry for entry in json.loads(MANIFEST.read_text("utf-8"))} if MANIFEST.exists() else {}
)

pytestmark = pytest.mark.skipif(not FILES, reason="the corpus of real tables (../shared/corpus) is not here")

LEAK_RULES = {"MNT001", "MNT002", "MNT004", "MNT006"}


def view(label: str, file: str, pid: int) -> View:
    """A table as a view, with what its cgroup tells."""
    cgroup = FILES[file].get("cgroup") or ""
    process = Process(pid, cgroup=cgroup)
    mounts = tuple(parse_mountinfo((CORPUS / file).read_bytes(), strict=False, file=file))
    return View(label, mounts, Namespace(processes=(process,), owner=owner_of(cgroup)), process)


def pairs() -> Iterator[tuple[str, str]]:
    """Hosts and what runs on them."""
    for file, entry in FILES.items():
        host = entry.get("pair", "")
        if host.endswith("-host.mountinfo") and not file.endswith("-host.mountinfo"):
            # Some hosts are of a container that was recorded at another time.
            yield (host if host in FILES else "", file)


def machine(host: str, file: str) -> Snapshot:
    return Snapshot((view("host", host, 1), view("4711", file, 4711)), "host")


def loud(result: Audit) -> list[str]:
    """What is found above *low*."""
    return [f"{one.rule.id} {one.severity}: {one.message}" for one in result.findings if one.severity != "low"]


PAIRS = [pair for pair in pairs() if pair[0]]


@pytest.mark.parametrize(("host", "file"), PAIRS, ids=[file for _, file in PAIRS])
def test_a_pair_is_loud_if_it_leaks_and_else_quiet(host: str, file: str) -> None:
    result = audit(machine(host, file))
    assert not [problem for problem in result.not_seen if problem.where.startswith("MNT")]
    leaks = [one for one in result.findings if one.rule.id in LEAK_RULES and one.severity != "low"]
    if FILES[file].get("leak"):
        assert leaks, "the recorded leak is not found"
        assert len(result.findings) <= 12, [one.message for one in result.findings]
    else:
        assert loud(result) == []


def test_a_node_with_its_pods_is_quiet() -> None:
    """A sosreport's tables: systemd, CRI-O and three of its containers."""
    pids = (1, 974, 1252, 1472)
    views = [view("host" if pid == 1 else str(pid), f"rhcos-sos-pid{pid}.mountinfo", pid) for pid in pids]
    assert loud(audit(Snapshot(tuple(views), "host"))) == []


@pytest.mark.parametrize("file", [file for file, entry in FILES.items() if entry["valid"]])
def test_a_table_alone_is_quiet(file: str) -> None:
    """Whoever it is of, nothing is seen that it could harm."""
    assert loud(audit(Snapshot((view("host", file, 1),), "host"))) == []


@pytest.mark.parametrize("file", [file for file, entry in FILES.items() if entry["valid"]])
def test_no_rule_fails_on_any_table(file: str) -> None:
    result = audit(Snapshot((view("host", file, 1), view("copy", file, 2)), "host"))
    assert not [problem for problem in result.not_seen if problem.where.startswith("MNT")]


def test_what_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"{'container':46}{'leak':7}{'found':40}"]
    for host, file in PAIRS:
        found = [f"{one.rule.id} {one.severity} {one.path or ''}" for one in audit(machine(host, file)).findings]
        lines.append(f"{file:46}{FILES[file].get('leak')!s:7}{'; '.join(found) or '-'}")
    # The table is part of every run's output.
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")
