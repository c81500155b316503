"""Audits to be reported: of a machine with one of everything, and of one whose every name is hostile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from mntscope.graph import Member
from mntscope.model import Hold, Mount, Namespace, Owner, Problem, Process, View
from mntscope.output.audit import AuditReport
from mntscope.propagation.operations import MountNew
from mntscope.rules import RULES, Evidence, Finding, Machine, Policy, Reference, Rule, Waiver, audit, by_id
from mntscope.snapshot import Snapshot
from tests.support.tables import view

WHEN = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

HOST = """\
20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
21 20 0:5 / /proc rw shared:12 - proc proc rw
22 20 8:2 / /srv rw shared:3 - ext4 /dev/sdb rw
"""
COPY = """\
40 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
41 40 0:5 / /proc rw shared:12 - proc proc rw
42 40 8:2 / /srv rw master:3 - ext4 /dev/sdb rw
"""


SOME = tuple(by_id(rule) for rule in ("MNT001", "MNT002", "MNT005"))
"""The first two have something to find on :func:`machine`."""


def machine() -> Snapshot:
    """A host, and a copy of it that leaks."""
    host = Namespace(inode=4026531841, processes=(Process(1, 1, "systemd", pid_namespace=4026531836),))
    sleeper = Process(4711, 9, "sleep", pid_namespace=4026532500)
    copy = Namespace(inode=4026532501, owner=Owner("docker", "web-1", "4f" * 32), processes=(sleeper,))
    views = (view("host", HOST, namespace=host), view("4711", COPY, namespace=copy, process=sleeper))
    return Snapshot(views, "host", kernel="6.18.0", not_seen=(Problem("may not be read", "process 12"),))


def made_up(*findings: Finding, **given: Any) -> Rule:
    """A rule that finds these."""

    def check(_: Machine) -> Iterable[Finding]:
        return [replace(finding, rule=rule) for finding in findings]

    texts = {"summary": "Something made up", "why": "It *matters*.\n\nVery.", "fix": "Run `true`."}
    links = (Reference("a page", "https://example.org/page"),)
    known: dict[str, Any] = {"id": "X001", "name": "made-up", "severity": "high", "confidence": "certain", **texts}
    rule = Rule(**{**known, "references": links, "check": check, **given})
    return rule


NONE = made_up()


def found(message: str = "something is wrong", **given: Any) -> Finding:
    """A finding about the copy."""
    known: dict[str, Any] = {"subject": "4711", "key": (message,), "severity": "high", "confidence": "certain"}
    return Finding(**{"rule": NONE, "message": message, **known, **given})


def report(
    snapshot: Snapshot | None = None, rules: Iterable[Rule] = SOME, policy: Policy | None = None, **given: Any
) -> AuditReport:
    """What an audit has to tell."""
    result = audit(snapshot or machine(), rules, policy or Policy(), today=date(2026, 11, 23))
    return AuditReport(result, **{"subject": "this machine", "when": WHEN, **given})


def with_everything() -> AuditReport:
    """A report with findings of each severity, a waiver, one that has expired, a baseline, and gaps."""
    severities = ("critical", "high", "medium", "low")
    rule = made_up(*(found(f"{severity} trouble", severity=severity, path=f"/{severity}") for severity in severities))
    accepted = Waiver("X001", "agreed with the owners", path="/low", expires=date(2027, 1, 31))
    expired = Waiver("X001", "for a week", path="/high", expires=date(2026, 1, 1))
    (known,) = [each for each in report(rules=[rule]).findings if each.severity == "medium"]
    policy = Policy(waivers=(accepted, expired), baseline=frozenset([known.fingerprint]))
    return report(rules=[*SOME, rule], policy=policy, settings="mntscope.toml")


NASTY = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style></script><!--",
    "\x1b[2J\x1b]0;owned\x07\x9b31m",
    "]]>",
    "&#x41;&amp;",
    "a\nb\r\tc\x0b\x85\u2028",
    "\u202egnp.exe\u2066",
    "`; rm -rf / `",
    "| x | **y** | _z_",
    "[a](javascript:alert(1)) ![b](https://example.org/b.png) <https://example.org>",
    "@everyone #1 www.example.org",
    "$(reboot) %s {0} {{7*7}} \\",
    "\udcff\udc80\ufffe",
    "```\n# heading\n- item",
    " ",
    "x" * 65536,
)
"""Names that someone who may mount could choose."""


def hostile() -> Snapshot:
    """A machine all of whose names are such, each leaking to the host."""
    host_mounts, mounts = [], []
    for number, name in enumerate(("", *NASTY)):
        path = "/" + name.replace("/", "\\")
        known: dict[str, Any] = {
            "device": f"0:{number + 1}",
            "root": "/",
            "mount_point": path if name else "/",
            "options": ("rw",),
            "fs_type": name or "ext4",
            "source": name,
            "super_options": ("rw",),
            "peer_group": number + 1,
        }
        host_mounts.append(Mount(mount_id=number + 10, parent_id=10 if number else 1, **known))
        mounts.append(Mount(mount_id=number + 100, parent_id=100 if number else 1, **known))
    process = Process(7, 1, NASTY[0], pid_namespace=5)
    namespaces = [
        Namespace(owner=Owner("docker", name, name), processes=(replace(process, pid=7 + number, comm=name),))
        for number, name in enumerate(NASTY)
    ]
    holds = (Hold("mount", f"/{NASTY[0]}", "host"),)
    views = [
        View(f"{7 + at}", tuple(_numbered(mounts, 1000 * at)), replace(each, holds=holds), process=each.processes[0])
        for at, each in enumerate(namespaces)
    ]
    problems = tuple(Problem(name, name) for name in NASTY)
    host = View("host", tuple(host_mounts), problems=problems)
    return Snapshot((host, *views), "host", kernel=NASTY[0], not_seen=problems)


def _numbered(mounts: Iterable[Mount], first: int) -> Iterator[Mount]:
    """The mounts of one more namespace."""
    for mount in mounts:
        parent = mount.parent_id + first if mount.parent_id > 1 else 1
        yield replace(mount, mount_id=mount.mount_id + first, parent_id=parent)


def hostile_report() -> AuditReport:
    """All rules' findings on it, and one for each name in each field of a finding, each also waived or known."""
    snapshot = hostile()
    findings = []
    for number, name in enumerate(NASTY):
        mount = snapshot.views[1].mounts[number + 1]
        findings.append(
            found(
                f"{name} is wrong at {name}",
                subject=snapshot.views[1].label,
                key=(name,),
                path=f"/{name}",
                advice=name,
                commands=(("mount", "--make-private", name),),
                evidence=Evidence(
                    mounts=(Member(snapshot.views[1].label, mount),),
                    peer_group=(mount.device, mount.peer_group or 0),
                    lands_at=(("host", name),),
                    effects=Machine(snapshot).predicted(MountNew("host", name, name, mount.mount_point)),
                    facts=((name, name),),
                ),
            )
        )
    rule, waived = made_up(*findings), made_up(*findings, id="X002", name="also-made-up")
    policy = Policy(waivers=tuple(Waiver("X002", name) for name in NASTY))
    return report(snapshot, [*RULES, rule, waived], policy, subject=NASTY[0] + NASTY[3], settings=NASTY[1])
