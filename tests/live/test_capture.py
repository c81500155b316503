"""Capturing a machine: a throwaway host on the real kernel, seen from inside it."""

from __future__ import annotations

import itertools
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mntscope.errors import AccessError, MntscopeError
from mntscope.kernel import syscalls
from mntscope.live import capture, table_source
from mntscope.live.procfs import open_proc
from mntscope.snapshot import Snapshot
from tests.support import scenes
from tests.support.features import MNTNS_ID, needs
from tests.support.throwaway import Actor, Host, Scratch, as_nobody, error_of, in_fork


def mount_proc() -> None:
    syscalls.mount("proc", "/proc", "proc", 0)


# What is seen


def test_the_namespaces_of_a_machine(machine: Host) -> None:
    slave = machine.unshare("slave")
    private = machine.unshare("private")
    snapshot = machine.call(capture)
    assert snapshot.host_label == "host"
    assert snapshot.host.process is not None
    assert snapshot.host.process.pid == 1
    assert (snapshot.kernel, snapshot.kernel_version) == (os.uname().release, os.uname().version)
    assert snapshot.distribution == platform.freedesktop_os_release().get("PRETTY_NAME")
    for actor in (slave, private):
        view = snapshot.view(str(actor.inner))
        assert view.namespace.inode == actor.namespace("mnt")
        assert [process.pid for process in view.namespace.processes] == [actor.inner]
        assert snapshot.mountinfo(view.label) == machine.mountinfo(actor)
    assert snapshot.mountinfo("host") == machine.mountinfo()


@needs(MNTNS_ID)
def test_the_facts_of_a_namespace_and_its_process(machine: Host) -> None:
    target = machine.unshare("slave", lambda: syscalls.prctl(syscalls.PR_SET_NAME, b"a) (b\n"))
    view = machine.call(capture, [target.inner]).view(target.inner)
    with open(f"/proc/{target.pid}/ns/mnt") as namespace:
        assert view.namespace.id == syscalls.ns_get_mntns_id(namespace.fileno())
    assert view.namespace.user_namespace == target.namespace("user")
    assert view.process is not None
    assert view.process.comm == "a) (b\n"
    assert view.process.root == "/"
    assert view.process.pid_namespace == target.namespace("pid")
    assert view.process.user_namespace == target.namespace("user")
    assert str(view.process.start_time) == Path(f"/proc/{target.pid}/stat").read_text().rpartition(")")[2].split()[19]
    assert view.process.cgroup == Path(f"/proc/{target.pid}/cgroup").read_text()


def test_given_pids_are_read_with_the_host_and_nothing_else(machine: Host) -> None:
    target, _other = machine.unshare("slave"), machine.unshare("private")
    snapshot = machine.call(capture, [target.inner])
    assert [view.label for view in snapshot.views] == ["host", str(target.inner)]
    assert snapshot.not_seen == ()


def test_pid_1_may_be_left_alone(machine: Host) -> None:
    one, other = machine.unshare("slave"), machine.unshare("private")
    snapshot = machine.call(lambda: capture([one.inner, other.inner], host=False))
    assert [view.label for view in snapshot.views] == [str(one.inner), str(other.inner)]
    assert snapshot.host_label == str(one.inner)
    assert machine.call(lambda: capture([one.inner, 1], host=False)).host_label == "host"


def test_a_process_of_the_hosts_namespace_belongs_to_the_host(machine: Host) -> None:
    neighbour = machine.spawn()
    snapshot = machine.call(capture, [neighbour.inner])
    assert [view.label for view in snapshot.views] == ["host"]
    assert snapshot.view(neighbour.inner) is snapshot.host


def test_the_capturing_process_is_no_part_of_what_it_captures(machine: Host) -> None:
    machine.unshare("slave")
    own = machine.unshare("private")

    def body() -> tuple[int, Snapshot, Snapshot]:
        return os.getpid(), capture(), capture([os.getpid()])

    pid, snapshot, asked = machine.call(body)
    assert pid not in {process.pid for view in snapshot.views for process in view.namespace.processes}
    assert pid in {process.pid for process in asked.host.namespace.processes}
    assert machine.call(capture) == snapshot

    def alone() -> tuple[int, Snapshot]:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        return os.stat("/proc/self/ns/mnt").st_ino, capture()

    inode, snapshot_alone = machine.call(alone)
    (its,) = (view for view in snapshot_alone.views if view.namespace.inode == inode)
    assert len(its.namespace.processes) == 1
    assert str(own.inner) in {view.label for view in snapshot.views}


def test_the_views_are_in_one_order_whatever_was_asked_for(machine: Host) -> None:
    _, _, last = (machine.unshare("slave") for _ in range(3))
    kept = [scenes.held_by_fd(machine).inode for _ in range(2)]
    snapshot = machine.call(capture)
    assert machine.call(lambda: capture([last.inner], everything=True)) == snapshot
    labels = [view.label for view in snapshot.views if view.namespace.processes or view.namespace.inode in kept]
    pids = sorted(int(label) for label in labels if label.isdecimal())
    assert labels == ["host", *map(str, pids), *(f"mnt:[{inode}]" for inode in sorted(kept))]


def test_processes_of_one_namespace_share_a_view(machine: Host) -> None:
    first = machine.unshare("slave", new_pids=True)
    snapshot = machine.call(capture)
    # unshare --fork stays behind in the mount namespace, waiting for its child.
    [view] = [view for view in snapshot.views if view.namespace.inode == first.namespace("mnt")]
    assert len(view.namespace.processes) == 2
    assert view.label == str(min(process.pid for process in view.namespace.processes))


def test_the_namespace_of_another_user_namespace_has_another_owner(machine: Host) -> None:
    def set_up() -> None:
        syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS)

    target = machine.spawn(set_up)
    snapshot = machine.call(capture, [target.inner])
    assert snapshot.view(target.inner).namespace.user_namespace == target.namespace("user")
    assert snapshot.view(target.inner).namespace.user_namespace != snapshot.host.namespace.user_namespace


def test_a_table_of_many_pages_is_whole(machine: Host, tmp_path: Path) -> None:
    def set_up() -> None:
        for _ in range(300):
            syscalls.mount("none", str(tmp_path), "tmpfs", 0)

    target = machine.unshare("private", set_up)
    assert machine.call(capture, [target.inner]).mountinfo(target.inner) == machine.mountinfo(target)


def test_a_table_that_never_holds_still_is_reported(machine: Host, tmp_path: Path) -> None:
    def churn() -> None:
        syscalls.mount("none", str(tmp_path), "tmpfs", 0)
        if os.fork() == 0:
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
            for size in itertools.count(100):
                syscalls.mount(None, str(tmp_path), None, syscalls.MS_REMOUNT, f"size={size}k")

    target = machine.unshare("private", churn)

    def slowly() -> Snapshot:
        # So that the other gets its turns between two readings, on a busy machine too.
        os.nice(19)
        return capture([target.inner])

    # On a slow machine other things may not be seen in time as well.
    what = "the mounts kept changing while they were read: this is the last reading"
    snapshots = (machine.call(slowly) for _ in range(100))
    caught = (snapshot for snapshot in snapshots if what in {problem.what for problem in snapshot.not_seen})
    snapshot = next(caught, None)
    if snapshot is None and len(os.sched_getaffinity(0)) == 1:
        pytest.skip("on one processor the other had no turn between two readings")
    assert snapshot is not None
    assert snapshot.view(target.inner).problems == ()
    assert f"/{tmp_path.name} " in snapshot.mountinfo(target.inner).decode()


def test_a_chrooted_process_is_read_through_one_that_sees_all(machine: Host, tmp_path: Path) -> None:
    def confine() -> None:
        syscalls.mount("none", str(tmp_path), "tmpfs", 0)
        os.chroot(tmp_path)

    confined = machine.unshare("private", confine)
    alone = machine.call(capture, [confined.inner])
    assert [mount.mount_point for mount in alone.view(confined.inner).mounts] == ["/"]
    assert [str(problem) for problem in alone.not_seen] == [
        f"{confined.inner}: it was read from a root directory of {tmp_path}: mounts outside are not shown"
    ]

    def join() -> None:
        with open(f"/proc/{confined.inner}/ns/mnt") as namespace:
            syscalls.setns(namespace.fileno(), syscalls.CLONE_NEWNS)

    free = machine.spawn(join)
    together = machine.call(capture, [confined.inner])
    assert together.mountinfo(confined.inner) == machine.mountinfo(free)
    assert together.not_seen == ()
    assert machine.call(capture).mountinfo(confined.inner) == machine.mountinfo(free)


# Which PID namespace a proc shows


def test_a_new_pid_namespace_alone_changes_nothing_about_proc(machine: Host) -> None:
    target = machine.unshare("private", new_pids=True)
    snapshot = machine.call(capture, [target.pids[1]])
    host_pids = Actor(machine.pid, 1).namespace("pid")
    assert snapshot.host.proc_pid_namespace == host_pids
    assert snapshot.view(target.pids[1]).proc_pid_namespace == host_pids


def test_a_private_proc_shows_its_own_pid_namespace_and_leaves_the_hosts_alone(machine: Host) -> None:
    target = machine.unshare("private", mount_proc, new_pids=True)
    snapshot = machine.call(capture, [target.pids[1]])
    assert snapshot.not_seen == ()
    assert snapshot.view(target.pids[1]).proc_pid_namespace == target.namespace("pid")
    assert snapshot.host.process is not None
    assert snapshot.host.proc_pid_namespace == snapshot.host.process.pid_namespace != target.namespace("pid")


def test_a_leaked_proc_is_seen_through_and_told(machine: Host) -> None:
    target = machine.unshare("unchanged", mount_proc, new_pids=True)
    snapshot = machine.call(capture, [target.pids[1]])
    assert [str(problem) for problem in snapshot.not_seen] == [
        "/proc: it shows the processes of another PID namespace; a private proc instance was read instead"
    ]
    assert snapshot.host.process is not None
    assert snapshot.host.process.pid == 1
    assert snapshot.host.process.pid_namespace == Actor(machine.pid, 1).namespace("pid")
    assert snapshot.host.proc_pid_namespace == target.namespace("pid")
    assert snapshot.mountinfo("host") == machine.mountinfo()
    assert snapshot.mountinfo(target.pids[1]) == machine.mountinfo(target)


def test_a_leaked_proc_that_may_not_be_seen_through_says_what_to_do(machine: Host) -> None:
    machine.unshare("unchanged", mount_proc, new_pids=True)
    kind, text = machine.call(as_nobody, error_of, capture)
    assert kind is AccessError
    assert text == (
        "/proc: it shows the processes of another PID namespace, and a private proc instance is refused (Operation not "
        "permitted); as root, `umount /proc` uncovers what lies below; or run mntscope as root"
    )


def test_a_proc_of_an_outer_pid_namespace_is_not_mistaken_for_the_own(scratch: Scratch) -> None:
    def body() -> Snapshot:
        syscalls.unshare(syscalls.CLONE_NEWPID)
        return in_fork(capture, [1])

    snapshot = scratch(body)
    assert str(snapshot.not_seen[0]).startswith("/proc: it shows the processes of an outer PID namespace; a private")
    assert snapshot.host.process is not None
    assert snapshot.host.process.comm == Path("/proc/self/comm").read_text().strip()


def test_a_user_namespace_that_may_not_mount_proc(scratch: Scratch) -> None:
    def body() -> tuple[type[MntscopeError], str]:
        # What is hidden in a proc stays hidden from the less privileged: they may not mount a new one.
        syscalls.mount("none", "/proc/sys", "tmpfs", 0)
        syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID)
        return in_fork(error_of, open_proc)

    kind, text = scratch(body)
    assert kind is AccessError
    assert text.endswith("is refused (Operation not permitted); run mntscope outside of this PID namespace, or as root")


@pytest.mark.parametrize("covered", ["tmpfs", "sysfs"])
def test_proc_covered_by_something_else(machine: Host, covered: str) -> None:
    def body() -> Snapshot:
        syscalls.mount("none", "/proc", covered, 0)
        return capture([])

    snapshot = machine.call(body)
    assert str(snapshot.not_seen[0]).startswith("/proc: it is not a proc filesystem; a private proc")
    assert snapshot.host.proc_pid_namespace is None


def test_a_link_at_proc_is_not_followed_out_of_the_targets_root(machine: Host, tmp_path: Path) -> None:
    def set_up() -> None:
        syscalls.mount("none", str(tmp_path), "tmpfs", 0)
        os.symlink("/proc", tmp_path / "proc")
        os.chroot(tmp_path)

    target = machine.unshare("private", set_up)
    assert machine.call(capture, [target.inner]).view(target.inner).proc_pid_namespace is None


# How it behaves


@pytest.mark.parametrize("dear", [False, True])
def test_a_capture_leaves_no_descriptor_open(machine: Host, monkeypatch: pytest.MonkeyPatch, dear: bool) -> None:
    scenes.held_by_fd(machine)
    machine.unshare("unchanged", mount_proc, new_pids=True)
    if dear:
        # Mountinfo is given up at once, for statmount(2) where the kernel has it.
        monkeypatch.setattr(table_source, "PATIENCE", -1)
        monkeypatch.setattr(table_source, "DEAR", -1)

    def body() -> tuple[int, int]:
        # The machine's own /proc is covered: it would list the descriptors of a stranger.
        descriptors = os.open("self/fd", os.O_RDONLY, dir_fd=open_proc().fd)
        before = len(os.listdir(descriptors))
        capture()
        error_of(capture, [999_999])
        return before, len(os.listdir(descriptors))

    before, after = machine.call(body)
    assert before == after


def test_capture_needs_none_of_the_big_libraries() -> None:
    program = "import sys, mntscope.live as live; live.capture([]); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"lark", "numpy", "pandas", "rich"} & set(done.stdout.split())
