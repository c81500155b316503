"""The rules MNT008 and MNT010 to MNT018 beyond their cases: remedies as printed, kernel facts, and odd machines."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mntscope.base.counting import counted
from mntscope.graph.severity import SEVERITIES
from mntscope.kernel import syscalls
from mntscope.live import capture
from mntscope.model import Namespace, Owner, Process, View
from mntscope.rules import Finding, Policy, audit, by_id
from mntscope.snapshot import Snapshot
from tests.rules import (
    mnt008_pinned_host_mount,
    mnt010_mount_explosion,
    mnt012_hidden_propagation,
    mnt014_leftover_mount,
    mnt015_namespace_without_process,
    mnt018_quadratic_mountinfo,
)
from tests.support import scenes
from tests.support.corpus import OWN
from tests.support.rule_cases import Scene, tables
from tests.support.tables import hostile_mounts, view
from tests.support.throwaway import Host

RULES = tuple(by_id(f"MNT{number:03}") for number in (8, *range(10, 19)))


@pytest.fixture
def scene(machine: Host, tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(machine, tmp_path, stack)


def found(rule: str, snapshot: Snapshot, policy: Policy | None = None) -> list[Finding]:
    """What one rule finds."""
    result = audit(snapshot, [by_id(rule)], policy or Policy())
    assert not [problem for problem in result.not_seen if problem.where == rule], result.not_seen
    return list(result.findings)


def again(scene: Scene, snapshot: Snapshot) -> Snapshot:
    """The same namespaces, now."""
    pids = [view.process.pid for view in snapshot.views[1:] if view.process is not None]
    return scene.machine.call(partial(capture, pids, everything=False))


def carry_out(scene: Scene, finding: Finding) -> None:
    """Runs the commands as they are printed."""
    assert finding.commands
    for command in finding.commands:
        done = scene.machine.run(command)
        assert done.returncode == 0, (command, done.stderr)


# Remedies, on the running kernel


def test_unmounting_the_copy_releases_the_disk(scene: Scene) -> None:
    disk = mnt008_pinned_host_mount.disk(scene.machine, scene.path)
    actor = scene.machine.unshare("private")
    (finding,) = found("MNT008", scene.seen(actor))
    carry_out(scene, finding)
    assert not found("MNT008", scene.seen(actor))
    assert os.fsencode(disk) not in scene.machine.mountinfo(actor)
    assert os.fsencode(disk) in scene.machine.mountinfo()


def test_the_umounts_leave_one_of_a_stack(scene: Scene) -> None:
    (finding,) = found("MNT010", mnt010_mount_explosion.again(scene))
    carry_out(scene, finding)
    after = scene.seen()
    assert sum(mount.mount_point == finding.path for mount in after.host.mounts) == 1
    assert not found("MNT010", after)


def test_a_recursive_change_from_above_reaches_what_is_hidden(scene: Scene) -> None:
    before = mnt012_hidden_propagation.still_shared(scene)
    (finding,) = found("MNT012", before)
    carry_out(scene, finding)
    after = again(scene, before)
    assert not found("MNT012", after)
    hidden = next(mount for mount in after.views[1].mounts if mount.mount_point == finding.path)
    assert hidden.propagation == "slave"


def test_what_is_left_of_a_container_is_unmounted(scene: Scene) -> None:
    before = mnt014_leftover_mount.gone(scene)
    (finding,) = found("MNT014", before)
    carry_out(scene, finding)
    assert not found("MNT014", again(scene, before))


def test_unmounting_its_file_ends_a_namespace(scene: Scene) -> None:
    inode = scenes.held_by_mount(scene.machine, scene.path / "pins" / "kept")
    (finding,) = found("MNT015", mnt015_namespace_without_process.everything(scene, inode))
    carry_out(scene, finding)
    assert all(view.namespace.inode != inode for view in scene.machine.call(capture).views)


def test_paths_of_the_host_become_read_only(scene: Scene) -> None:
    """For a program with the host's files that is said to be a container, where there is a mount(8) to enter with."""

    def without_sockets_and_devices() -> None:
        for path in ("/run", "/dev"):
            syscalls.mount("own", path, "tmpfs", 0)

    actor = scene.machine.unshare("private", without_sockets_and_devices)
    name = f"process {scene.seen(actor).views[1].namespace.processes[0].comm}"
    policy = Policy(roles=((name, "container"),))
    (finding,) = found("MNT016", scene.seen(actor), policy)
    assert (finding.path, finding.severity) == ("/", "high")
    carry_out(scene, finding)
    (left,) = found("MNT016", scene.seen(actor), policy)
    assert (left.severity, left.commands) == ("low", ())
    assert " can read / of the host" in left.message


def test_no_command_is_given_that_would_help_nothing(scene: Scene) -> None:
    """A device opens from a read-only mount too."""
    actor = scene.machine.unshare("private")
    name = f"process {scene.seen(actor).views[1].namespace.processes[0].comm}"
    (finding,) = found("MNT016", scene.seen(actor), Policy(roles=((name, "container"),)))
    assert finding.commands == ()
    assert finding.advice


def test_the_flags_come_back(scene: Scene) -> None:
    volume = scene.path / "volume"
    volume.mkdir()
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    scene.machine.call(syscalls.mount, "volume", str(volume), "tmpfs", flags)

    def drop() -> None:
        syscalls.mount(None, str(volume), None, syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY)

    actor = scene.machine.unshare("private", drop)
    name = f"process {scene.seen(actor).views[1].namespace.processes[0].comm}"
    policy = Policy(roles=((name, "container"),))
    (finding,) = found("MNT017", scene.seen(actor), policy)
    # It is read-only, and so it stays.
    assert finding.severity == "low"
    carry_out(scene, finding)
    after = scene.seen(actor)
    assert not found("MNT017", after, policy)
    mount = next(mount for mount in after.views[1].mounts if mount.mount_point == str(volume))
    assert {"ro", "nosuid", "nodev", "noexec"} <= {*mount.options}


# What the rules take for granted of the kernel


def test_a_umount_of_the_host_reaches_slaves_and_not_private_copies(scene: Scene) -> None:
    disk = mnt008_pinned_host_mount.disk(scene.machine, scene.path)
    private, slave = scene.machine.unshare("private"), scene.machine.unshare("slave")
    (finding,) = found("MNT008", scene.seen(private, slave))
    assert finding.subject == str(private.inner)
    scene.machine.run(["umount", disk]).check_returncode()
    assert os.fsencode(disk) in scene.machine.mountinfo(private)
    assert os.fsencode(disk) not in scene.machine.mountinfo(slave)


def test_a_read_only_mount_lets_one_connect_to_a_socket(scene: Scene) -> None:
    """Why MNT016 tells of sockets however they are mounted."""
    directory = scene.path / "s"
    directory.mkdir()

    def connect() -> bool:
        import socket

        os.chdir(directory)
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
            server.bind("socket")
            server.listen()
            syscalls.mount(str(directory), str(directory), None, syscalls.MS_BIND)
            syscalls.mount(None, str(directory), None, syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY)
            os.chdir(directory)
            with pytest.raises(OSError, match="Read-only"):
                Path("other").touch()
            client.connect("socket")
        return True

    assert scene.machine.call(connect)


def test_a_namespace_of_slaves_says_which_group_is_searched(scene: Scene) -> None:
    """MNT018 counts the steps of a search that ends at a member in the reader's own namespace."""
    snapshot = mnt018_quadratic_mountinfo.peers(scene)
    (finding,) = found("MNT018", snapshot)
    first = snapshot.views[1]
    # The same namespace with a member of the group: each search ends there, for the kernel names it.
    member = replace(finding.evidence.mounts[1].mount, mount_id=1, mount_point="/member")
    with_member = replace(first, mounts=(*first.mounts, member))
    (of_both,) = found("MNT018", snapshot.with_views([snapshot.host, with_member]))
    assert int(dict(of_both.evidence.facts)["members of the master group"]) == mnt018_quadratic_mountinfo.MANY + 2


# Machines as they are


def container(label: str, table: bytes) -> View:
    """A container that a pod of Kubernetes consists of."""
    owner = Owner("containerd", "web", "1f" * 32, "8b64844f-fe0f-4b2e-9ccc-be229cdfcc98")
    return view(label, table, namespace=Namespace(processes=(Process(40),), owner=owner))


@pytest.mark.parametrize(
    "pair",
    [
        "rt-bwrap-host container",
        "rt-bwrap-host min-container",
        "rt-docker-default-host container",
        "rt-docker-rslave-host container",
        "rt-docker-rshared-host container",
        "rt-lxc-default-host container",
        "rt-nspawn-host container",
        "rt-nspawn-host bind-container",
        "rt-podman-crun-v2-mountrshared-host container",
        "rt-runc-rootshared-host container",
    ],
)
def test_real_containers_are_quiet(pair: str) -> None:
    """Their leaks are other rules'."""
    host, other = pair.split()
    target = f"{host.removesuffix('host')}{other}"
    seen = tables(OWN[host].read(), web=container("40", OWN[target].read()))
    result = audit(seen, RULES)
    assert [(finding.rule.id, finding.message) for finding in result.findings] == []
    assert not result.not_seen


def test_of_a_privileged_container_little_is_said() -> None:
    """Its sysfs is its own, and writable: that was asked for."""
    container_table = OWN["rt-ctr-overlay-container"].read()
    result = audit(tables(OWN["rt-ctr-overlay-host"].read(), web=container("40", container_table)))
    assert [(one.rule.id, one.severity, one.path) for one in result.findings] == [("MNT016", "low", "/sys")]


# Roles and places that decide


def test_a_node_plugin_may_write_to_kubelets_directory() -> None:
    host = "20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw"
    kubelet = "41 40 8:1 /var/lib/kubelet /var/lib/kubelet rw {} - ext4 /dev/sda1 rw"
    root = "40 1 0:51 / / rw - overlay overlay rw\n"
    plugin = container("40", (root + kubelet.format("shared:1")).encode())
    other = container("40", (root + kubelet.format("master:1")).encode())
    assert not found("MNT016", tables(host, csi=plugin))
    (finding,) = found("MNT016", tables(host, web=other))
    assert finding.severity == "medium"


def test_root_of_another_user_namespace_is_another_user() -> None:
    host = tables("20 1 8:1 / / rw - ext4 /dev/sda1 rw")
    web = container("40", b"40 1 0:51 / / rw - overlay overlay rw\n41 40 8:1 /etc /etc rw - ext4 /dev/sda1 rw\n")
    mapped = replace(web, namespace=replace(web.namespace, user_namespace=4026532001))
    owned = replace(host.host, namespace=Namespace(user_namespace=4026531837))
    (finding,) = found("MNT016", Snapshot((owned, mapped), "host"))
    assert (finding.severity, finding.confidence) == ("medium", "possible")
    (finding,) = found("MNT016", host.with_views([host.host, web]))
    assert (finding.severity, finding.confidence) == ("high", "certain")


def test_what_was_received_from_the_host_is_told_of_once() -> None:
    """A service has a copy of the host's stack."""
    stack = "\n".join(f"{30 + n} {29 + n if n else 20} 0:30 / /x rw shared:9" for n in range(5))
    mine = "\n".join(f"{50 + n} {49 + n if n else 40} 0:30 / /x rw shared:9" for n in range(5))
    (finding,) = found("MNT010", tables(f"20 1 8:1 / / rw\n{stack}", unit=f"40 1 8:1 / / rw\n{mine}"))
    assert finding.subject == "host"


def test_findings_stay_the_same_in_another_capture(scene: Scene) -> None:
    disk = mnt008_pinned_host_mount.disk(scene.machine, scene.path)
    first = found("MNT008", scene.seen(scene.machine.unshare("private")))
    second = found("MNT008", scene.seen(scene.machine.unshare("private")))
    assert first[0].subject != second[0].subject
    assert first[0].fingerprint == second[0].fingerprint
    assert str(disk) in first[0].key


# Machines as nobody has them

snapshots = st.builds(
    lambda found, inode: Snapshot(
        tuple(
            View(
                f"v{number}",
                tuple(mounts),
                Namespace(
                    inode=inode + number if number % 2 else None,
                    processes=() if number == 3 else (Process(number + 1, comm="x", cgroup="0::/a"),),
                ),
            )
            for number, mounts in enumerate(found)
        ),
        "v0",
        mount_max=6,
    ),
    st.lists(st.lists(hostile_mounts, max_size=12), min_size=1, max_size=4),
    st.integers(1, 5),
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(snapshots)
def test_no_table_makes_a_rule_fail(snapshot: Snapshot) -> None:
    result = audit(snapshot, RULES, Policy(roles=(("*", "container"),)))
    assert not result.not_seen
    for finding in result.findings:
        assert SEVERITIES.index(finding.severity) >= SEVERITIES.index(finding.rule.severity)
        assert finding.subject in {view.label for view in snapshot.views}
        assert finding.fingerprint


@pytest.mark.parametrize(("number", "words"), [(1, "1 more mount"), (2, "2 more mounts"), (0, "0 more mounts")])
def test_numbers_of_things(number: int, words: str) -> None:
    assert counted(number, "more mount") == words
