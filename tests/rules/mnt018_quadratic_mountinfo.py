"""Many binds of one filesystem on the host, and a namespace of slaves: the binds are peers, or are not."""

from __future__ import annotations

from mntscope.kernel import syscalls
from mntscope.rules import Finding
from mntscope.snapshot import Snapshot
from tests.support.rule_cases import Case, Scene, quiet, tables

MANY = 1100


def binds(scene: Scene, flags: int) -> Snapshot:
    volume = scene.path / "volume"
    volume.mkdir()

    def bind() -> None:
        syscalls.mount("volume", str(volume), "tmpfs", 0)
        syscalls.mount(None, str(volume), None, syscalls.MS_PRIVATE)
        source = volume / "source"
        source.mkdir()
        syscalls.mount("source", str(source), "tmpfs", 0)
        syscalls.mount(None, str(source), None, syscalls.MS_SHARED)
        for number in range(MANY):
            target = volume / str(number)
            target.mkdir()
            syscalls.mount(str(source), str(target), None, syscalls.MS_BIND)
            syscalls.mount(None, str(target), None, flags)

    scene.machine.call(bind)
    return scene.seen(scene.machine.unshare("slave"))


def peers(scene: Scene) -> Snapshot:
    return binds(scene, syscalls.MS_SHARED)


def private(scene: Scene) -> Snapshot:
    return binds(scene, syscalls.MS_PRIVATE)


def counts_the_steps(findings: list[Finding], _snapshot: Snapshot) -> None:
    (finding,) = findings
    assert finding.severity == "low"
    facts = dict(finding.evidence.facts)
    assert facts["members of the master group"] == str(MANY + 1)
    assert MANY**2 < int(facts["steps for one reading"]) < (MANY + 100) ** 2


def large(_scene: Scene) -> Snapshot:
    """The same in thousands."""
    numbers = range(3500)
    return tables(
        "20 1 8:1 / / rw\n" + "\n".join(f"{100 + n} 20 0:9 / /v/{n} rw shared:7" for n in numbers),
        unit="21 1 8:1 / / rw\n" + "\n".join(f"{5000 + n} 21 0:9 / /v/{n} rw master:7" for n in numbers),
    )


def slow(findings: list[Finding], _snapshot: Snapshot) -> None:
    (finding,) = findings
    assert finding.severity == "medium"


CASES = (
    Case("binds", peers, private, live=True, check=counts_the_steps),
    Case("thousands", large, quiet, check=slow),
)
