"""All rules on whole machines: quiet where all is normal, and silent again after what they advise."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mntscope.kernel import syscalls
from mntscope.lab import ACTS, keep
from mntscope.lab import Scene as Lab
from mntscope.live import capture
from mntscope.model import Namespace, Owner, Process, View
from mntscope.rules import RULES, Finding, audit
from mntscope.snapshot import Snapshot
from tests.support import scenes
from tests.support.rule_cases import Scene
from tests.support.strategies import views
from tests.support.tables import hostile_views
from tests.support.throwaway import Host


def loud(found: tuple[Finding, ...]) -> list[str]:
    return [f"{one.rule.id} {one.severity}: {one.message}" for one in found if one.severity != "low"]


def test_a_normal_container_host_is_quiet(machine: Host, tmp_path: Path) -> None:
    """All shared, as systemd leaves it; what runtimes make by default; units with slaves of their own."""

    def unit() -> None:
        """As systemd does for PrivateTmp=, PrivateMounts= and the like: a slave, and shared within."""
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_SHARED)

    def mount_proc() -> None:
        syscalls.mount("proc", "/proc", "proc", 0)

    with ExitStack() as stack:
        scene = Scene(machine, tmp_path, stack)
        volume = scenes.volume(machine, tmp_path / "volume")
        containers = [
            scenes.runc(machine, tmp_path, "private", binds=[(volume, "/volume", "rprivate")]),
            scenes.runc(machine, tmp_path, "slave", rootfs_propagation="slave", binds=[(volume, "/volume", "rslave")]),
            scenes.runc(machine, tmp_path, "group", binds=[(volume, "/volume", "rshared")]),
            scenes.bwrap(machine),
        ]
        actors = [stack.enter_context(container) for container in containers]
        actors += [machine.unshare("slave", unit), machine.unshare("slave"), machine.unshare("private")]
        actors.append(machine.unshare("private", mount_proc, new_pids=True))
        result = audit(scene.seen(*actors))
    assert loud(result.findings) == []
    assert [str(problem) for problem in result.not_seen if "the rule failed" in problem.what] == []


def test_the_third_act_of_the_lab_is_found_and_gone_after_the_remedy(namespaces: None) -> None:
    """`mount -t proc proc /proc` in a copy of the host's mounts has covered the host's /proc."""
    with Lab() as lab:
        kept = keep(ACTS[2], lab)

        def look() -> tuple[Finding, ...]:
            snapshot = capture([kept.host, kept.target], everything=False, host=False)
            assert snapshot.host_label == str(kept.host)
            return audit(snapshot).findings

        before = look()
        assert {(one.rule.id, one.severity) for one in before} >= {
            ("MNT001", "critical"),
            ("MNT002", "critical"),
            ("MNT004", "critical"),
        }
        # The host first: its /proc is uncovered, then the target's mounts become its own.
        for finding in sorted(before, key=lambda one: one.rule.id != "MNT004"):
            for command in finding.commands:
                if command[0] in ("mount", "umount"):
                    subprocess.run(command, check=True, timeout=60)
        after = look()
    assert {one.rule.id for one in after} & {"MNT001", "MNT002", "MNT004"} == set()


def test_the_printed_remedy_of_each_finding_of_a_leak_ends_it(host: Host) -> None:
    targets = [host.unshare("unchanged"), host.unshare("unchanged", new_pids=True)]

    def look() -> tuple[Finding, ...]:
        return audit(capture([host.pid, *(target.pid for target in targets)], everything=False, host=False)).findings

    found = [one for one in look() if one.rule.id in ("MNT001", "MNT002")]
    assert len(found) == 3
    for finding in found:
        (command,) = finding.commands
        subprocess.run(command, check=True, timeout=60)
    assert [one.rule.id for one in look() if one.rule.id in ("MNT001", "MNT002")] == []


def test_a_slave_elsewhere_that_loses_its_master_is_no_reason_to_give_no_remedy(host: Host, tmp_path: Path) -> None:
    """What the host has made private since is a group of the target's own, of which another namespace is a slave."""
    (tmp_path / "volume").mkdir()
    scenes.volume(host, tmp_path / "volume")
    target, slave = host.unshare("unchanged"), host.unshare("slave")
    host.call(syscalls.mount, None, str(tmp_path / "volume"), None, syscalls.MS_PRIVATE)
    snapshot = capture([host.pid, target.pid, slave.pid], everything=False, host=False)
    (finding,) = (one for one in audit(snapshot).findings if one.rule.id == "MNT001")
    assert [command[-2:] for command in finding.commands] == [("--make-rslave", "/")]


def failures(snapshot: Snapshot) -> list[str]:
    return [str(problem) for problem in audit(snapshot, RULES).not_seen if "the rule failed" in problem.what]


@settings(deadline=None)
@given(views(("host", "a", "b")))
def test_no_rule_fails_on_a_sound_machine(machine: tuple[View, ...]) -> None:
    assert failures(Snapshot(machine, "host")) == []


@st.composite
def peopled(draw: st.DrawFn, label: str) -> View:
    """A view that no kernel wrote, of a namespace with processes of any PID namespace, and any owner."""
    number, name = (
        st.none() | st.integers(1, 3),
        st.sampled_from(["", "kubelet", "systemd", "bwrap", "<b>\n\x1b\u202e"]),
    )
    process = st.builds(
        Process,
        pid=st.integers(1, 3),
        start_time=number,
        comm=name,
        root=st.sampled_from(["", "/", "/x"]),
        pid_namespace=number,
        user_namespace=number,
    )
    owner = st.builds(Owner, st.sampled_from(["docker", "unit", "snap", "process"]), name, pod=name)
    processes = tuple(draw(st.lists(process, max_size=3)))
    return replace(
        draw(hostile_views(label)),
        namespace=Namespace(user_namespace=draw(number), processes=processes, owner=draw(st.none() | owner)),
        process=next(iter(processes), None),
        proc_pid_namespace=draw(number),
    )


@settings(deadline=None)
@given(peopled("host"), peopled("4711"), peopled("mnt:[1]"))
def test_no_rule_fails_on_tables_that_no_kernel_wrote(host: View, one: View, other: View) -> None:
    assert failures(Snapshot((host, one, other), "host")) == []
