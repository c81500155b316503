"""What becomes of findings: waivers, severities, roles, baselines, and rules that others bring."""

from __future__ import annotations

import re
import sys
import textwrap
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from mntscope.errors import UsageError
from mntscope.model import Namespace, Owner, Process
from mntscope.rules import RULES, Evidence, Finding, Machine, Policy, Rule, Waiver, audit, by_id, installed
from mntscope.snapshot import Snapshot
from tests.support.repository import ROOT
from tests.support.rule_cases import INITIAL, tables
from tests.support.tables import view

TODAY = date(2026, 11, 23)


def check(machine: Machine) -> Iterator[Finding]:
    """A finding for each mount at /mnt and below."""
    for other in machine.others:
        for mount in other.mounts:
            if mount.mount_point.startswith("/mnt"):
                key = (machine.name(other.label), mount.mount_point)
                yield EXAMPLE.finding(other.label, f"{mount.mount_point} is there", key, path=mount.mount_point)


EXAMPLE = Rule("EX001", "example", "high", "likely", "Something is mounted at /mnt", "why", "fix", (), check)


def machine(*names: str, paths: tuple[str, ...] = ("/mnt",)) -> Snapshot:
    """Containers with these names, each with mounts at these paths."""
    table = "40 1 0:9 / / rw\n" + "\n".join(f"{41 + at} 40 0:9 / {path} rw" for at, path in enumerate(paths))
    views = {
        str(4711 + at): view(str(4711 + at), table, namespace=Namespace(inode=at, owner=Owner("docker", name)))
        for at, name in enumerate(names)
    }
    return tables("20 1 8:1 / / rw shared:1", **views)


def test_a_waiver_accepts_until_it_expires() -> None:
    waiver = Waiver("EX*", "known", subject="docker web", path="/mnt/*", expires=TODAY)
    snapshot = machine("web", "db", paths=("/mnt/a",))
    result = audit(snapshot, [EXAMPLE], Policy(waivers=(waiver,)), today=TODAY)
    assert [one.key for one in result.findings] == [("docker db", "/mnt/a")]
    assert [(one.finding.key, one.waiver.reason) for one in result.waived] == [(("docker web", "/mnt/a"), "known")]
    assert not result.expired
    late = audit(snapshot, [EXAMPLE], Policy(waivers=(waiver,)), today=date(2026, 11, 24))
    assert len(late.findings) == 2
    assert late.expired == (waiver,)
    assert not late.unused


@pytest.mark.parametrize(
    "given", [{"rule": "EX002"}, {"subject": "docker d*"}, {"path": "/mnt"}, {"rule": "ex001"}, {"path": ""}]
)
def test_a_waiver_accepts_nothing_else(given: dict[str, Any]) -> None:
    waiver = replace(Waiver("example", "known"), **given)
    result = audit(machine("web", paths=("/mnt/a",)), [EXAMPLE], Policy(waivers=(waiver,)), today=TODAY)
    assert len(result.findings) == 1
    assert result.unused == (waiver,)


def test_a_severity_is_that_of_the_site() -> None:
    for name in ("EX001", "example"):
        (finding,) = audit(machine("web"), [EXAMPLE], Policy(severities={name: "low"})).findings
        assert finding.severity == "low"


def test_a_finding_of_the_baseline_is_known() -> None:
    before = audit(machine("web"), [EXAMPLE])
    policy = Policy(baseline=frozenset(finding.fingerprint for finding in before.findings))
    # It is the same container under another pid, and one more.
    result = audit(machine("db", "web"), [EXAMPLE], policy)
    assert [finding.key[0] for finding in result.findings] == ["docker db"]
    assert [finding.key[0] for finding in result.known] == ["docker web"]


def test_namesakes_are_told_apart() -> None:
    found = audit(machine("web", "web"), [EXAMPLE]).findings
    assert [finding.key for finding in found] == [("docker web", "/mnt"), ("docker web", "/mnt", "#2")]
    assert len({finding.fingerprint for finding in found}) == 2


def test_the_same_finding_is_told_once() -> None:
    def twice(given: Machine) -> Iterator[Finding]:
        yield from check(given)
        yield from check(given)

    assert len(audit(machine("web"), [replace(EXAMPLE, check=twice)]).findings) == 1


def test_of_many_findings_the_worst_are_told() -> None:
    def worse_and_worse(_given: Machine) -> Iterator[Finding]:
        for number in range(100_000):
            severity = "critical" if number % 2 else "low"
            yield EXAMPLE.finding("host", "many", ("host", str(number)), severity=severity)  # type: ignore[arg-type]

    result = audit(machine("web"), [replace(EXAMPLE, check=worse_and_worse)], Policy(most=5))
    assert [finding.severity for finding in result.findings] == ["critical"] * 5
    ((rule, more),) = result.left_out
    assert (rule.id, more) == ("EX001", 9995)


def test_a_rule_that_fails_costs_its_own_findings_only() -> None:
    def fail(_given: Machine) -> Iterator[Finding]:
        raise KeyError("x")

    result = audit(machine("web"), [replace(EXAMPLE, id="EX000", check=fail), EXAMPLE])
    assert [finding.rule.id for finding in result.findings] == ["EX001"]
    assert [str(problem) for problem in result.not_seen] == [
        "EX000: the rule failed (KeyError('x')): what it would have found is not known"
    ]


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    audit(machine("web"), [EXAMPLE, EXAMPLE], progress=lambda done, of: told.append((done, of)))
    assert told == [(0, 2), (1, 2), (2, 2)]


def test_a_site_says_who_is_who() -> None:
    snapshot = machine("builder", "web")
    assert Machine(snapshot).roles["4711"] == "container"
    roles = Machine(snapshot, [("docker build*", "runtime")]).roles
    assert (roles["4711"], roles["4712"], roles["host"]) == ("runtime", "container", "host")


@pytest.mark.parametrize(
    ("owner", "comm", "role"),
    [
        (Owner("unit", "docker.service"), "dockerd", "runtime"),
        (Owner("unit", "nginx.service"), "nginx", "unit"),
        (Owner("snap", "firefox"), "firefox", "sandbox"),
        (Owner("podman", "web"), "sh", "container"),
        (Owner("process", "bash"), "bash", "other"),
        (None, "containerd-shim", "runtime"),
        (None, "bwrap", "sandbox"),
        (None, "", "other"),
    ],
)
def test_roles_follow_from_owners_and_programs(owner: Owner | None, comm: str, role: str) -> None:
    namespace = Namespace(owner=owner, processes=(Process(4711, comm=comm),))
    snapshot = tables("20 1 8:1 / / rw", **{"4711": view("4711", "40 1 0:9 / / rw", namespace=namespace)})
    assert Machine(snapshot).roles["4711"] == role


NODE = """20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
    21 20 0:7 / /sys rw shared:2 - sysfs sysfs rw
    22 21 0:8 / /sys/fs/bpf rw shared:3 - bpf bpf rw"""


@pytest.mark.parametrize(
    ("volume", "pod", "severity"),
    [
        ("8:1 /var/lib/kubelet/pods /var/lib/kubelet/pods rw shared:1", "1", "low"),
        ("0:7 /fs /sys/fs rw shared:2 - sysfs sysfs rw", "1", "low"),
        ("0:8 / /sys/fs/bpf rw shared:3 - bpf bpf rw", "1", "low"),
        ("0:8 / /sys/fs/bpf rw shared:3 - bpf bpf rw", "", "high"),
        ("8:1 /etc /host/etc rw shared:1", "1", "high"),
    ],
)
def test_what_a_node_plugin_is_there_for_is_no_news(volume: str, pod: str, severity: str) -> None:
    plugin = view("4711", f"40 1 0:9 / / rw\n41 40 {volume}", namespace=Namespace(owner=Owner("docker", "x", pod=pod)))
    snapshot = tables(NODE, **{"4711": plugin})
    assert Machine(snapshot).roles["4711"] == ("node-plugin" if severity == "low" else "container")
    (finding,) = audit(snapshot, [by_id("MNT006")]).findings
    assert finding.severity == severity


SNAP = "40 1 7:1 / / ro - squashfs /dev/loop1 ro\n41 40 8:1 {root} {path} rw shared:1 - ext4 /dev/sda1 rw"


@pytest.mark.parametrize(
    ("root", "kind", "severity"),
    [
        ("/media", "snap", "low"),
        ("/home", "snap", "high"),
        ("/media", "docker", "medium"),
        ("/var/lib/docker/plugins/1/mount", "docker", "low"),
    ],
)
def test_what_all_snaps_get_is_no_news(root: str, kind: str, severity: str) -> None:
    """snap-confine shares /media and /run/netns with every snap, both ways."""
    app = view("4711", SNAP.format(root=root, path=root), namespace=Namespace(owner=Owner(kind, "app")))
    snapshot = tables("20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw", **{"4711": app})
    (finding,) = audit(snapshot, [by_id("MNT006")]).findings
    assert finding.severity == severity


def test_nothing_is_printed_as_a_command_for_the_host_that_is_meant_for_another_namespace() -> None:
    """Of tables alone, there is no way into the namespace."""
    app = view("4711", SNAP.format(root="/home", path="/home"))
    snapshot = tables("20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw", **{"4711": app})
    (finding,) = audit(snapshot, [by_id("MNT006")]).findings
    assert (finding.commands, bool(finding.advice)) == ((), True)
    machine = Machine(snapshot)
    assert machine.command("4711", "mount", "--make-private", "/x") is None
    assert machine.command("host", "mount", "--make-private", "/x") == ("mount", "--make-private", "/x")


@pytest.mark.parametrize(
    ("label", "process", "command"),
    [
        ("4711", Process(4711), ("umount", "--namespace", "4711", "/x")),
        ("ns:/run/ns/web", None, ("umount", "--namespace", "/run/ns/web", "/x")),
        ("4711", Process(4711, root="/chroot"), ("nsenter", "-t", "4711", "-m", "-r", "umount", "/x")),
    ],
)
def test_a_command_reaches_a_namespace_from_the_host(
    label: str, process: Process | None, command: tuple[str, ...]
) -> None:
    snapshot = tables("20 1 8:1 / / rw", **{label: view(label, "40 1 0:9 / / rw", process=process)})
    assert Machine(snapshot).command(label, "umount", "/x") == command


def test_a_namespace_keeps_its_name_whatever_its_pid() -> None:
    web = view("4711", "40 1 0:9 / / rw", namespace=Namespace(processes=(Process(4711, comm="sleep"),)))
    snapshot = tables("20 1 8:1 / / rw", **{"4711": web})
    assert (Machine(snapshot).name("4711"), Machine(snapshot).name("host")) == ("sleep", "host")


def test_the_pid_namespace_of_the_host_is_that_of_most_of_its_processes_where_pid_1_does_not_tell() -> None:
    processes = (
        Process(1),
        Process(2, pid_namespace=INITIAL),
        Process(3, pid_namespace=INITIAL),
        Process(4, pid_namespace=7),
    )
    host = view("host", "20 1 8:1 / / rw", namespace=Namespace(processes=processes))
    assert Machine(Snapshot((host,), "host")).host_pid_namespace == INITIAL


def test_who_comes_from_outside_is_no_stranger() -> None:
    """A process of the initial PID namespace that looks into a container which plays the host."""
    visitor = Process(2, comm="nsenter", pid_namespace=INITIAL)
    own = Process(1, comm="init", pid_namespace=7)
    host = view("host", "20 1 8:1 / / rw", namespace=Namespace(processes=(own, visitor)), process=own)
    assert Machine(Snapshot((host,), "host")).host_pid_namespace == 7
    assert not audit(Snapshot((host,), "host"), [by_id("MNT005")]).findings


def test_fingerprints_survive_names_that_are_not_utf8() -> None:
    finding = EXAMPLE.finding("host", "x", ("host", "/\udcff"), evidence=Evidence())
    assert re.fullmatch("[0-9a-f]{32}", finding.fingerprint)


def test_a_rule_is_found_by_id_and_by_name() -> None:
    assert by_id("mnt001") is by_id("Leak-To-Host") is RULES[0]
    with pytest.raises(UsageError, match="there is no rule 'MNT999'; there are MNT001, "):
        by_id("MNT999")


def test_the_catalogue_is_in_order_and_its_texts_are_whole() -> None:
    assert [rule.id for rule in RULES] == sorted({rule.id for rule in RULES})
    assert len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        module = rule.check.__module__.rpartition(".")[2]
        assert module == f"{rule.id.lower()}_{rule.name.replace('-', '_')}"
        assert rule.summary[0].isupper()
        assert not rule.summary.endswith(".")
        assert len(rule.summary) <= 130
        assert rule.why.endswith((".", ".)"))
        assert rule.fix.endswith((".", ".)"))
        assert rule.references
        assert all(reference.url.startswith("https://") for reference in rule.references)


# Rules of one's own


def package(path: Path, module: str, *entry_points: str) -> None:
    """An installed package, as pip leaves it."""
    (path / "site_rules.py").write_text(module)
    info = path / "site_rules-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: site-rules\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[mntscope.rules]\n" + "".join(f"{line}\n" for line in entry_points))


def test_the_documented_rule_of_a_package_finds_what_it_should(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "own-rules.md").read_text("utf-8")
    (module,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (declared,) = re.findall(r'^\[project\.entry-points\."mntscope\.rules"\]\n(\w+ = )"(.*)"$', page, re.MULTILINE)
    package(tmp_path, module, "".join(declared))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "site_rules", raising=False)
    rules = installed()
    assert rules[:-1] == RULES
    wrong = tables("20 1 8:1 / / rw shared:1\n21 20 0:9 / /srv/backup rw,nosuid")
    right = tables("20 1 8:1 / / rw shared:1\n21 20 0:9 / /srv/backup ro,nosuid")
    (finding,) = audit(wrong, rules[-1:]).findings
    assert (finding.rule.id, finding.path) == ("SITE001", "/srv/backup")
    assert not audit(right, rules[-1:]).findings


def test_an_archive_may_bring_rules_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, "RULES = [1]", "site = site_rules:RULES")
    archive = tmp_path / "site.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in [tmp_path / "site_rules.py", *(tmp_path / "site_rules-1.dist-info").iterdir()]:
            file.write(path, path.relative_to(tmp_path))
    monkeypatch.syspath_prepend(archive)
    monkeypatch.delitem(sys.modules, "site_rules", raising=False)
    with pytest.raises(UsageError, match=r"^entry point site = site_rules:RULES: int is no mntscope.rules.Rule"):
        installed()


def test_where_no_package_brings_rules_none_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # To load what tells of packages takes as long as half the audit of a small machine.
    (tmp_path / "other-1.dist-info").mkdir()
    (tmp_path / "other-1.dist-info" / "entry_points.txt").write_text("[console_scripts]\nother = other:main\n")
    monkeypatch.setattr("sys.path", [str(tmp_path), str(tmp_path / "missing")])
    monkeypatch.setitem(sys.modules, "importlib.metadata", None)
    assert installed() == RULES


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("RULES = 1 / 0", "its rules cannot be loaded .*ZeroDivisionError"),
        ("RULES = [1]", "int is no mntscope.rules.Rule"),
        ("from mntscope.rules import RULES", "the id MNT001 is taken"),
        ("", "its rules cannot be loaded"),
    ],
)
def test_a_package_that_brings_no_rules_is_named(
    module: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path, textwrap.dedent(module), "site = site_rules:RULES")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "site_rules", raising=False)
    with pytest.raises(UsageError, match=f"^entry point site = site_rules:RULES: {message}"):
        installed()
