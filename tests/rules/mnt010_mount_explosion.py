"""The same bind again and again, in a shared mount; and copies of a directory that lie in one another."""

from __future__ import annotations

from mntscope.kernel import syscalls
from mntscope.rules import Finding
from mntscope.snapshot import Snapshot
from tests.support import scenes
from tests.support.rule_cases import Case, Scene, tables

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


def binds(scene: Scene, *, within: bool) -> Snapshot:
    """A directory in some other places: below itself, recursively, or beside itself."""
    volume = scenes.volume(scene.machine, scene.path / "volume")

    def bind() -> None:
        source = volume / "source"
        source.mkdir()
        syscalls.mount("source", str(source), "tmpfs", 0)
        syscalls.mount(None, str(source), None, syscalls.MS_SHARED)
        for number in range(3 if within else 20):
            target = (source if within else volume) / str(number)
            target.mkdir()
            syscalls.mount(str(source), str(target), None, syscalls.MS_BIND | syscalls.MS_REC)

    scene.machine.call(bind)
    return scene.seen()


def within_itself(scene: Scene) -> Snapshot:
    """mount_namespaces(7) has it of ``/``."""
    return binds(scene, within=True)


def beside_itself(scene: Scene) -> Snapshot:
    """Twenty binds, which are peers: each appears once."""
    return binds(scene, within=False)


def in_all_of_them(findings: list[Finding], _snapshot: Snapshot) -> None:
    (finding,) = findings
    members = int(dict(finding.evidence.facts)["members with one root"])
    assert members == 42, "2, 6, 42, 1806 .."
    assert f"appears {members} times" in finding.message
    assert sum(effect.change == "mount" for effect in finding.evidence.effects) == 32, "as many as are kept"


def heap(shared: str) -> Snapshot:
    """A directory on itself, each start one more."""
    lines = [f"20 1 8:1 / / rw {shared}- ext4 /dev/sda1 rw"]
    lines += [f"{30 + n} {29 + n if n else 20} 8:1 /x /x rw {shared}- ext4 /dev/sda1 rw" for n in range(7)]
    return tables("\n".join(lines))


def shared_heap(_scene: Scene) -> Snapshot:
    return heap("shared:1 ")


def private_heap(_scene: Scene) -> Snapshot:
    return heap("")


CASES = (
    Case("again and again", again, once, live=True, check=doubled_each_time),
    Case("copies in one another", within_itself, beside_itself, live=True, check=in_all_of_them),
    Case("a heap", shared_heap, private_heap),
)
