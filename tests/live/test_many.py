"""Everything that keeps a mount namespace, and a machine full of them, on the real kernel."""

from __future__ import annotations

import ctypes
import itertools
import os
import re
import resource
import shutil
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mntscope.kernel import syscalls
from mntscope.live import capture, captures
from mntscope.live.capture import _Machine as Machine
from mntscope.live.namespaces import read_inside
from mntscope.live.procfs import open_proc
from mntscope.live.references import bind_mounts
from mntscope.model import Hold, Namespace, View
from mntscope.snapshot import Snapshot
from tests.support import scenes
from tests.support.throwaway import Actor, Host, as_nobody


def view_of(snapshot: Snapshot, inode: int) -> View:
    """The one view of a namespace."""
    [view] = [view for view in snapshot.views if view.namespace.inode == inode]
    return view


def namespace_of(snapshot: Snapshot, inode: int) -> Namespace:
    return view_of(snapshot, inode).namespace


@pytest.fixture(autouse=True)
def one_processor() -> Iterator[None]:
    """Namespaces made meanwhile have ascending numbers: the kernel deals them out to each processor by the batch.

    The file of a namespace may be bound only in one with a lower number, and not on a shared mount.
    """
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(all_of_them)})
    yield
    os.sched_setaffinity(0, all_of_them)


# What keeps a namespace


def with_a_thread_elsewhere(reported: Path) -> Callable[[], None]:
    """A process with a thread in a mount namespace of its own; the thread's id and namespace go to *reported*."""

    def live_elsewhere(ready: threading.Event) -> None:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("elsewhere", "/mnt", "tmpfs", 0)
        reported.write_text(f"{threading.get_native_id()} {os.stat('/proc/thread-self/ns/mnt').st_ino}")
        ready.set()
        threading.Event().wait()

    def set_up() -> None:
        ready = threading.Event()
        threading.Thread(target=live_elsewhere, args=(ready,), daemon=True).start()
        ready.wait()

    return set_up


def test_a_thread_in_a_namespace_of_its_own(machine: Host, tmp_path: Path) -> None:
    actor = machine.unshare("private", with_a_thread_elsewhere(tmp_path / "thread"))
    thread, inode = map(int, (tmp_path / "thread").read_text().split())
    snapshot = machine.call(capture)
    view = view_of(snapshot, inode)
    assert view.label == f"mnt:[{inode}]"
    assert (view.process, view.namespace.processes) == (None, ())
    [hold] = view.namespace.holds
    assert (hold.kind, hold.where) == ("thread", str(thread))
    assert hold.process is not None
    assert hold.process.pid == actor.inner
    assert "elsewhere" in {mount.source for mount in view.mounts}
    assert namespace_of(snapshot, actor.namespace("mnt")).holds == ()


def test_a_bind_mount(machine: Host, tmp_path: Path) -> None:
    pin = tmp_path / "pins" / "kept"
    inode = scenes.held_by_mount(machine, pin, set_up=lambda: syscalls.mount("inside", "/mnt", "tmpfs", 0))
    snapshot = machine.call(capture)
    view = snapshot.view(f"mnt:[{inode}]")
    assert (view.namespace.inode, view.namespace.processes, view.process) == (inode, (), None)
    assert view.namespace.holds == (Hold("mount", str(pin), label="host"),)
    with open(f"/proc/{machine.pid}/root{pin}") as namespace, open_proc() as proc:
        assert snapshot.mountinfo(view.label) == read_inside(proc, namespace.fileno(), "it").table
    assert "inside" in {mount.source for mount in view.mounts}


def test_a_descriptor(machine: Host) -> None:
    kept = scenes.held_by_fd(machine)
    found = namespace_of(machine.call(capture), kept.inode)
    assert found.processes == ()
    [hold] = found.holds
    assert (hold.kind, hold.where) == ("fd", f"/proc/{kept.holder.inner}/fd/{kept.fd}")
    assert hold.process is not None
    assert hold.process.pid == kept.holder.inner


def pin_a_new_namespace(place: Path) -> None:
    """A namespace that nothing but a bind mount at *place* keeps; made in this one, of which it is a copy."""
    syscalls.mount("pins", str(place.parent), "tmpfs", 0)
    child = os.fork()
    if child == 0:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        syscalls.unshare(syscalls.CLONE_NEWNS)
        signal.pause()
    own = os.stat("/proc/self/ns/mnt").st_ino
    while os.stat(f"/proc/{child}/ns/mnt").st_ino == own:
        time.sleep(0.001)
    place.touch()
    syscalls.mount(f"/proc/{child}/ns/mnt", str(place), None, syscalls.MS_BIND)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_a_bind_mount_in_another_namespace(machine: Host, tmp_path: Path) -> None:
    actor = machine.unshare("private", lambda: pin_a_new_namespace(tmp_path / "pin"))
    [pin] = bind_mounts(machine.mountinfo(actor))
    snapshot = machine.call(capture)
    assert namespace_of(snapshot, pin.inode).holds == (Hold("mount", str(tmp_path / "pin"), label=str(actor.inner)),)


def test_a_namespace_that_a_namespace_without_processes_keeps(machine: Host, tmp_path: Path) -> None:
    outer = machine.unshare("private", lambda: pin_a_new_namespace(tmp_path / "inner"))
    [inner_pin] = bind_mounts(machine.mountinfo(outer))

    def pin_the_outer() -> None:
        place = tmp_path / "outer"
        syscalls.mount("pins", str(tmp_path), "tmpfs", 0)
        syscalls.mount(None, str(tmp_path), None, syscalls.MS_PRIVATE)
        place.touch()
        syscalls.mount(f"/proc/{outer.inner}/ns/mnt", str(place), None, syscalls.MS_BIND)

    machine.call(pin_the_outer)
    inode = outer.namespace("mnt")
    machine.kill(outer)
    snapshot = machine.call(capture)
    assert namespace_of(snapshot, inode).holds == (Hold("mount", str(tmp_path / "outer"), label="host"),)
    assert namespace_of(snapshot, inner_pin.inode).holds == (
        Hold("mount", str(tmp_path / "inner"), label=f"mnt:[{inode}]"),
    )


def test_what_lies_over_a_pin_is_not_opened(machine: Host, tmp_path: Path) -> None:
    inode = scenes.held_by_mount(machine, tmp_path / "pins" / "kept")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    machine.call(syscalls.mount, str(fifo), str(tmp_path / "pins" / "kept"), None, syscalls.MS_BIND)
    machine.call(capture)
    machine.call(syscalls.umount2, str(tmp_path / "pins" / "kept"))
    assert namespace_of(machine.call(capture), inode).processes == ()


def test_a_namespace_with_processes_is_not_said_to_be_held(machine: Host, tmp_path: Path) -> None:
    target = machine.unshare("private")
    machine.spawn(lambda: os.open(f"/proc/{target.inner}/ns/mnt", os.O_RDONLY))
    found = namespace_of(machine.call(capture), target.namespace("mnt"))
    assert [process.pid for process in found.processes] == [target.inner]
    assert found.holds == ()


def test_the_limit_of_mounts(machine: Host) -> None:
    limit = int(Path("/proc/sys/fs/mount-max").read_text())
    assert machine.call(capture, []).mount_max == limit


# Many


NAMESPACES = int(os.environ.get("MNTSCOPE_NAMESPACES") or 100)
"""With 500 it takes half a minute, most of it strace's."""


def test_every_namespace_is_opened_once(machine: Host, tmp_path: Path) -> None:
    """However many processes there are: one mountinfo is opened for each namespace, no more."""
    if shutil.which("strace") is None:
        pytest.skip("not installed: strace")
    scenes.many(
        machine, tmp_path, namespaces=NAMESPACES, mounts=10, processes=2 * NAMESPACES, propagation=("slave", "private")
    )
    trace = tmp_path / "trace"
    program = (
        "from mntscope.live import capture; s = capture();"
        "print(sum(bool(view.namespace.processes) for view in s.views), len(s.views), len(s.not_seen))"
    )
    # A file for each process: in one for all, a call is torn in two where another process calls meanwhile.
    strace = ["strace", "-ff", "--seccomp-bpf", "-e", "trace=open,openat,openat2", "-o", str(trace)]
    done = machine.run([*strace, sys.executable, "-c", program])
    inhabited, views, not_seen = map(int, done.stdout.split())
    calls = "".join(file.read_text() for file in tmp_path.glob("trace.*"))
    opened = re.findall(r'open[^"]*"([^"]*mountinfo)", \S+\) = [0-9]', calls)
    assert (inhabited >= NAMESPACES + 1, not_seen) == (True, 0)
    assert opened.count("mountinfo") == inhabited
    # And once its own, to see whether something is mounted on the proc that is read. The others are those in which no
    # process of this machine lives (whatever else runs beside this test): they are entered.
    assert opened.count("self/mountinfo") == 1 + views - inhabited


def test_progress_is_told(machine: Host, tmp_path: Path) -> None:
    scenes.many(machine, tmp_path, namespaces=20)

    def body() -> tuple[list[tuple[int, int]], int]:
        told: list[tuple[int, int]] = []
        snapshot = capture(progress=lambda done, total: told.append((done, total)))
        return told, len(snapshot.views)

    told, views = machine.call(body)
    assert [done for done, _ in told] == list(range(1, views + 1))
    assert all(done <= total for done, total in told)
    assert told[-1] == (views, views)


def test_with_few_descriptors_what_is_read_once_is_said(machine: Host, tmp_path: Path) -> None:
    scenes.many(machine, tmp_path, namespaces=40)

    def body() -> tuple[Snapshot, int]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96))
        snapshot = capture()
        return snapshot, resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    snapshot, limit = machine.call(body)
    assert len(snapshot.views) >= 41
    assert limit == 96
    [problem] = snapshot.not_seen
    assert re.fullmatch(
        r"\d+ mount tables were read only once: they may be of different moments; raise the limit of open files "
        r"\(ulimit -n\)",
        str(problem),
    )


def test_the_limit_of_descriptors_is_put_back(machine: Host) -> None:
    def body() -> tuple[int, int]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 1000))
        capture()
        return resource.getrlimit(resource.RLIMIT_NOFILE)

    assert machine.call(body) == (200, 1000)


# One moment


@pytest.fixture(params=["small", "large"])
def tables(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tables are read again here, large ones by another process."""
    monkeypatch.setattr(captures, "LARGE", 0 if request.param == "large" else captures.LARGE)


@pytest.mark.usefixtures("tables")
def test_a_change_of_propagation_while_the_tables_are_read_is_noticed(
    machine: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel tells nobody who polls mountinfo, so nothing but a second look can."""
    target = machine.unshare("unchanged")
    settle = Machine.settle

    def change_first(self: Machine) -> None:
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        settle(self)

    monkeypatch.setattr(Machine, "settle", change_first)
    snapshot = machine.call(capture, [target.inner])
    assert {mount.propagation for mount in snapshot.host.mounts} == {"private"}
    assert {mount.propagation for mount in snapshot.view(target.inner).mounts} == {"shared"}
    assert snapshot.mountinfo("host") == machine.mountinfo()


@pytest.mark.usefixtures("tables")
def test_a_master_that_ends_while_the_tables_are_read_is_noticed(
    machine: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It changes a namespace in which nothing happens."""
    scenes.volume(machine, tmp_path / "volume")
    target = machine.unshare("slave")
    settle = Machine.settle

    def end_it(self: Machine) -> None:
        syscalls.umount2(str(tmp_path / "volume"), syscalls.MNT_DETACH)
        settle(self)

    monkeypatch.setattr(Machine, "settle", end_it)
    snapshot = machine.call(capture, [target.inner])
    assert snapshot.mountinfo(target.inner) == machine.mountinfo(target)
    groups = {mount.peer_group for mount in snapshot.host.mounts}
    assert {mount.master for mount in snapshot.view(target.inner).mounts} <= {*groups, None}


@pytest.mark.usefixtures("tables")
def test_tables_of_many_pages_are_of_one_moment(machine: Host, tmp_path: Path) -> None:
    """A change of all mounts at once falls between two pages, or between two namespaces."""

    def many_mounts() -> None:
        for number in range(300):
            place = tmp_path / str(number)
            place.mkdir()
            syscalls.mount("none", str(place), "tmpfs", 0)

    def toggle() -> None:
        if os.fork() == 0:
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
            for kind in itertools.cycle((syscalls.MS_PRIVATE, syscalls.MS_SHARED)):
                syscalls.mount(None, "/", None, syscalls.MS_REC | kind)
                time.sleep(0.02)

    machine.call(many_mounts)
    target = machine.unshare("private", toggle)
    for _ in range(40):
        snapshot = machine.call(capture, [target.inner])
        kinds = {mount.propagation for mount in snapshot.view(target.inner).mounts}
        assert len(kinds) == 1 or snapshot.not_seen


@pytest.mark.usefixtures("tables")
def test_a_table_outlives_the_process_through_which_it_is_read(machine: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    target = machine.unshare("private")
    table = machine.mountinfo(target)
    settle = Machine.settle

    def kill_first(self: Machine) -> None:
        os.kill(target.inner, signal.SIGKILL)
        settle(self)

    monkeypatch.setattr(Machine, "settle", kill_first)
    assert machine.call(capture, [target.inner]).mountinfo(target.inner) == table


@pytest.mark.usefixtures("tables")
def test_processes_that_come_and_go(machine: Host) -> None:
    """Whatever ends in the midst of a capture is left out, or whole."""

    def churn() -> None:
        if os.fork() == 0:
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
            # Pid 1 reaps what this one leaves behind.
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            for number in itertools.count():
                if os.fork() == 0:
                    syscalls.unshare(syscalls.CLONE_NEWNS)
                    time.sleep(0.001 * (number % 7))
                    os._exit(0)
                time.sleep(0.001)

    machine.spawn(churn)
    for _ in range(20):
        snapshot = machine.call(capture)
        assert snapshot.host.namespace.inode == Actor(machine.pid, 1).namespace("mnt")
        inodes = [view.namespace.inode for view in snapshot.views]
        assert len(set(inodes)) == len(inodes)
        for view in snapshot.views:
            assert view.problems == ()
            assert view.mounts


# Who may see less


def test_a_user_sees_his_own_and_is_told_of_the_rest(open_machine: Host, tmp_path: Path) -> None:
    scenes.many(open_machine, tmp_path, namespaces=12)
    kept = scenes.held_by_mount(open_machine, tmp_path / "pins" / "kept")
    snapshot = open_machine.call(as_nobody, capture)
    assert len(snapshot.views) == 13
    unidentified, not_entered = snapshot.not_seen
    assert re.fullmatch(
        r"the mount namespaces of 12 processes \(\d+(, \d+){7}, \.\.\): their inodes and owners may not be read, their "
        r"tables tell which they are; run mntscope as root",
        str(unidentified),
    )
    assert str(not_entered) == f"1 more mount namespace ({kept}) could not be entered; run mntscope as root"


def give_up(capability: int) -> None:
    """This process keeps all capabilities but one (capset(2), _LINUX_CAPABILITY_VERSION_3)."""
    kept = ~(1 << capability) & 0xFFFF_FFFF
    header = struct.pack("=Ii", 0x2008_0522, 0)
    full = dict(line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines() if "Cap" in line)
    effective = int(full["CapEff"], 16)
    low, high = effective & kept, effective >> 32
    data = struct.pack("=6I", low, low, 0, high, high, 0)
    assert ctypes.CDLL(None).capset(header, data) == 0


def test_namespaces_that_may_not_be_entered_are_told_of_together(
    machine: Host,
) -> None:
    kept = [scenes.held_by_fd(machine) for _ in range(3)]

    def unable_to_enter() -> Snapshot:
        give_up(18)  # CAP_SYS_CHROOT, which setns(2) takes
        return capture()

    snapshot = machine.call(unable_to_enter)
    [problem] = [problem for problem in snapshot.not_seen if "could not be entered; that takes" in problem.what]
    assert all(str(found.inode) in problem.what for found in kept)
