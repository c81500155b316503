"""Tables that other people published with their programs: read as they meant them, and quiet where nothing is wrong.

They are not ours to copy, so they lie beside the repository, if at all; what this file is about is tested with our own
tables in every room as well.
"""

from __future__ import annotations

import io
import lzma
import re
import tarfile
from pathlib import Path

import pytest

from mntscope import load
from mntscope.analysis.diff import diff
from mntscope.analysis.owners import owner_of_namespace
from mntscope.errors import ParseError
from mntscope.model import Process
from mntscope.parse import UnusualSpelling, format_mountinfo, parse_mountinfo
from mntscope.rules import Audit, audit
from mntscope.snapshot import Snapshot
from tests.parse.test_columns import as_rows
from tests.support.corpus import OWN, Table, corpus, machine
from tests.support.repository import PUBLIC_TABLES

TABLES = {name: table for name, table in corpus(PUBLIC_TABLES).items() if name not in OWN}

if not TABLES:
    pytest.skip("other people's tables are not here", allow_module_level=True)

VALID = [pytest.param(table, id=name) for name, table in TABLES.items() if table.valid]
INVALID = [pytest.param(table, id=name) for name, table in TABLES.items() if not table.valid]
NODE = [TABLES[f"rhcos-sos-pid{pid}"] for pid in (1, 974, 1252, 1472)]
"""Of a sosreport of an OpenShift master: systemd, a service, and two containers of CRI-O."""


def loud(result: Audit) -> list[str]:
    """What is found above *low*; no rule may fail."""
    assert not [problem for problem in result.not_seen if problem.where.startswith("MNT")]
    return [f"{one.rule.id} {one.severity}: {one.message}" for one in result.findings if one.severity != "low"]


INVENTED = {
    "numcpus-cgroups-mountinfo_multi_opt": "found 'shared:8'",
    "k8s-mountutils": "found 'shared:44'",
    "snapd-disks": "found 'rw\\\\n'",
    "snapd-nfs": "found 'shared:0'",
}
"""Tables that somebody wrote by hand, with lines that no kernel prints, and what the first of them is told."""


@pytest.mark.parametrize("table", VALID)
def test_a_valid_table_comes_back_byte_for_byte(table: Table) -> None:
    data = table.read()
    if table.name in INVENTED:
        with pytest.raises(UnusualSpelling, match=re.escape(INVENTED[table.name])):
            parse_mountinfo(data, file=table.name)
    mounts = parse_mountinfo(data, file=table.name, strict=table.name not in INVENTED)
    assert len(mounts) == table.lines
    assert format_mountinfo(mounts) == data
    assert bool(parse_mountinfo(data, strict=False).problems) == (table.name in INVENTED)


@pytest.mark.parametrize("table", INVALID)
def test_every_bad_line_of_a_table_is_named(table: Table) -> None:
    data = table.read()
    mounts = parse_mountinfo(data, strict=False, file=table.name)
    named = [problem.line for problem in mounts.problems]
    # What is kept is named, too, though its author calls it good.
    assert set(table.bad_lines) <= set(named)
    left_out = [problem for problem in mounts.problems if not isinstance(problem, UnusualSpelling)]
    assert len(mounts) == table.lines - len(left_out)
    with pytest.raises(ParseError) as caught:
        parse_mountinfo(data, file=table.name)
    assert str(caught.value) == str(mounts.problems[0])
    if not left_out:
        assert format_mountinfo(mounts) == data


@pytest.mark.parametrize("table", [*VALID, *INVALID])
def test_columns_are_what_rows_are(table: Table) -> None:
    as_rows(table.read())


@pytest.mark.parametrize("table", VALID)
def test_a_table_alone_is_quiet(table: Table) -> None:
    """Whoever it is of, nothing is seen that it could harm; and no rule fails on two of it."""
    assert loud(audit(machine(table))) == []
    loud(audit(Snapshot((table.view("host", 1), table.view("copy", 2)), "host")))


@pytest.mark.parametrize("node", ["kubevirt-overlay", "kubevirt-btrfs"])
def test_a_virtual_machine_in_a_pod_leaks_nothing(node: str) -> None:
    seen = machine(TABLES[f"{node}-host"], TABLES[f"{node}-launcher"])
    assert diff(seen, "4711").verdict != "leaks"
    assert loud(audit(seen)) == []


def test_a_node_with_its_services_and_containers_is_quiet() -> None:
    assert loud(audit(machine(*NODE))) == []


def test_their_sosreport_is_read(tmp_path: Path) -> None:
    names = {f"proc/{table.name.removeprefix('rhcos-sos-pid')}/mountinfo": table.read() for table in NODE}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in names.items():
            member = tarfile.TarInfo(f"sosreport-master-0/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    path = tmp_path / "sosreport.tar.xz"
    path.write_bytes(lzma.compress(packed.getvalue()))
    snapshot = load(path)
    assert [view.label for view in snapshot.views] == ["host", "974", "1252", "1472"]
    assert {f"proc/{pid}/mountinfo": snapshot.mountinfo(pid) for pid in (1, 974, 1252, 1472)} == names


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kubevirt-overlay-launcher", "docker compute"),
        ("otel-containerd", "containerd accountingservice"),
        ("otel-crio2", "cri-o accountingservice"),
        ("otel-docker", "docker "),
        ("rhcos-sos-pid1252", "cri-o 3f2164ffc40a"),
        ("rhcos-sos-pid974", "chronyd.service"),
        ("kubevirt-overlay-host", "process sleep"),
        ("rhcos-sos-pid1", "process sleep"),
    ],
)
def test_whose_they_are(name: str, words: str) -> None:
    mounts = parse_mountinfo(TABLES[name].read(), strict=False)
    assert str(owner_of_namespace([Process(4711, 100, "sleep")], [], mounts)).startswith(words)
