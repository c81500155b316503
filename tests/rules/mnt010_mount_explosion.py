"""The same bind again and again, in a shared mount; and many binds of one directory that are peers."""

from __future__ import annotations

from mntscope.kernel import syscalls
from mntscope.rules import Finding
from mntscope.snapshot import Snapshot
from tests.support import scenes
from tests.support.rule_cases import Case, Scene, quiet, tables

TIMES = 6


def again(scene: Scene) -> Snapshot:
    """Each start of a service binds a directory, and none unmounts it (CVE-2016-6213)."""
    volume = scenes.volume(scene.machine, scene.path / "volume")

    def start() -> None:
        for name in ("one", "two"):
            (volume / name).mkdir(exist_ok=True)
        for _ in range(TIMES):
            syscalls.mount(str(volume / "one"), str(volume / "two"), None, syscalls.MS_BIND)

    scene.machine.call(start)
    return scene.seen()


def once(scene: Scene) -> Snapshot:
    """It unmounts it when it stops."""
    volume = scenes.volume(scene.machine, scene.path / "volume")

    def start_and_stop() -> None:
        for name in ("one", "two"):
            (volume / name).mkdir(exist_ok=True)
        for time in range(TIMES):
            if time:
                syscalls.umount2(str(volume / "two"), 0)
            syscalls.mount(str(volume / "one"), str(volume / "two"), None, syscalls.MS_BIND)

    scene.machine.call(start_and_stop)
    return scene.seen()


def doubled_each_time(findings: list[Finding], snapshot: Snapshot) -> None:
    (finding,) = findings
    assert finding.path is not None
    assert finding.path.endswith("/two")
    assert finding.severity == "medium"
    facts = dict(finding.evidence.facts)
    assert facts["mounts at that path"] == str(2 ** (TIMES - 1))
    assert finding.evidence.effects, "it is predicted what one more does"
    assert 0 < len(finding.commands) < TIMES + 2
    assert len(snapshot.host.mounts) > 2 ** (TIMES - 1)


def binds(scene: Scene, flags: int) -> Snapshot:
    """A directory in nine other places."""
    volume = scenes.volume(scene.machine, scene.path / "volume")

    def bind() -> None:
        source = volume / "source"
        source.mkdir()
        syscalls.mount(None, str(volume), None, syscalls.MS_PRIVATE)
        syscalls.mount("source", str(source), "tmpfs", 0)
        syscalls.mount(None, str(source), None, syscalls.MS_SHARED)
        for number in range(9):
            target = volume / str(number)
            target.mkdir()
            syscalls.mount(str(source), str(target), None, syscalls.MS_BIND)
            syscalls.mount(None, str(target), None, flags)

    scene.machine.call(bind)
    return scene.seen()


def peers(scene: Scene) -> Snapshot:
    return binds(scene, syscalls.MS_SHARED)


def private(scene: Scene) -> Snapshot:
    return binds(scene, syscalls.MS_PRIVATE)


def in_all_of_them(findings: list[Finding], _snapshot: Snapshot) -> None:
    (finding,) = findings
    assert "appears 10 times" in finding.message
    assert sum(effect.change == "mount" for effect in finding.evidence.effects) == 10


def stacked(_scene: Scene) -> Snapshot:
    """A tmpfs on a tmpfs, each start one more."""
    lines = ["20 1 8:1 / / rw - ext4 /dev/sda1 rw"]
    lines += [f"{30 + n} {29 + n if n else 20} 0:{30 + n} / /var/lib/x rw - tmpfs none rw" for n in range(7)]
    return tables("\n".join(lines))


CASES = (
    Case("again and again", again, once, live=True, check=doubled_each_time),
    Case("peers", peers, private, live=True, check=in_all_of_them),
    Case("a stack", stacked, quiet),
)
