"""Two ways to one table: what statmount(2) tells equals what mountinfo shows, on the running kernel."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from mntscope.errors import KernelError
from mntscope.kernel import syscalls
from mntscope.kernel.worker import inside, with_descriptors
from mntscope.live import capture, foreign, statmount, table_source
from mntscope.live.namespaces import enter
from mntscope.live.procfs import open_proc
from mntscope.model import Mount
from mntscope.parse import parse_mountinfo
from mntscope.selftest.execute import World
from mntscope.selftest.generate import DIRECTORIES, Generator
from mntscope.selftest.traces import SKELETON, snapshot_of
from mntscope.snapshot import Snapshot
from tests.support.throwaway import Actor, Host, Scratch, in_fork

WORLDS = int(os.environ.get("MNTSCOPE_WORLDS", "24"))
"""How many random worlds; ``MNTSCOPE_WORLDS=1000`` takes some minutes."""


@pytest.fixture(autouse=True)
def supported() -> None:
    if not statmount.supported():
        pytest.skip("statmount(2) does not tell enough here: that takes Linux 6.15")


@pytest.fixture
def dear(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Mountinfo is always given up; grows by what is read instead."""
    asked: list[object] = []
    read = table_source.Statmount.read

    def counted(self: table_source.Statmount) -> bytes:
        asked.append(self)
        return read(self)

    monkeypatch.setattr(table_source, "PATIENCE", -1)
    monkeypatch.setattr(table_source, "DEAR", -1)
    monkeypatch.setattr(table_source.Statmount, "read", counted)
    return asked


def both(proc_fd: int) -> tuple[list[Mount], list[Mount]]:
    """This process's table, by mountinfo and by statmount(2)."""
    with open(os.open("self/mountinfo", os.O_RDONLY, dir_fd=proc_fd), "rb", buffering=0) as file:
        return list(parse_mountinfo(file.readall())), list(parse_mountinfo(statmount.table()))


def lines(mounts: list[Mount]) -> list[str]:
    return [f"{mount.mount_id} {mount.mount_point} {mount.root}" for mount in mounts]


# Random worlds


def grown(number: int) -> Iterator[World]:
    """A world of the self-test's generator, after its operations."""
    generator = Generator.of(2026, number)
    with World() as world:
        while True:
            snapshot = snapshot_of(world.state(), SKELETON, "")
            op = generator.next({view.label: view.mounts for view in snapshot.views})
            if op is None:
                break
            generator.learn(op, world.perform(op))
        yield world


@pytest.mark.parametrize("number", range(WORLDS))
def test_random_worlds(namespaces: None, number: int, monkeypatch: pytest.MonkeyPatch, dear: list[object]) -> None:
    # Half of them are asked for by two processes.
    monkeypatch.setattr(statmount, "MANY", 1 + number % 2 * statmount.MANY)
    for world in grown(number):
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        pids = [int(pid) for pid in children][-len(world.labels) :]
        asked = capture(pids, host=False)
        assert len(dear) >= len(asked.views) == len(world.labels)
        with monkeypatch.context() as patch:
            patch.setattr(table_source, "PATIENCE", 60)
            text = capture(pids, host=False)
        assert asked == text
        with open_proc() as proc:
            for pid in pids:
                compare_roots(proc.fd, pid)


@pytest.mark.usefixtures("dear")
def test_from_a_root_directory_that_does_not_answer_mountinfo_is_read_however_dear(
    machine: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never() -> tuple[bytes, list[int]]:
        time.sleep(60)
        return b"", []

    target = machine.unshare("private")
    # As where NFS or 9p are asked whether it still exists.
    monkeypatch.setattr(foreign, "root_directory", lambda _process: with_descriptors(never)[1][0])
    snapshot = machine.call(lambda: capture([target.inner]))
    assert snapshot.mountinfo(target.inner) == machine.mountinfo(target)
    assert snapshot.not_seen == ()


def compare_roots(proc_fd: int, pid: int) -> None:
    """From the root directory that a process has, and from others below it: most are no mount points."""
    namespace = os.open(f"{pid}/ns/mnt", os.O_RDONLY, dir_fd=proc_fd)
    root = os.open(f"{pid}/root", os.O_PATH, dir_fd=proc_fd)

    def look() -> tuple[bytes, list[int]]:
        place = os.open("/", os.O_PATH)
        for directory in (*DIRECTORIES, *(mount.mount_point for mount in both(proc_fd)[0])):
            try:
                os.chroot(directory)
            except OSError:
                continue
            text, asked = both(proc_fd)
            if text != asked:
                return f"{directory}: {lines(text)} != {lines(asked)}".encode(), []
            os.fchdir(place)
            os.chroot(".")
        return b"", []

    try:
        assert inside(namespace, look, root=root)[0] == b""
    finally:
        os.close(namespace)
        os.close(root)


# Reading again


@pytest.mark.parametrize("many", [1, 1000])
def test_what_is_known_is_not_told_again(
    scratch: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    def body() -> None:
        syscalls.mount("none", str(tmp_path), "tmpfs", 0)
        told = statmount.read()
        known = told[: statmount.FINGERPRINT]
        assert statmount.read(known) == known
        # One half changes, the other one is known.
        syscalls.mount(None, str(tmp_path), None, syscalls.MS_SHARED)
        changed = statmount.read(known)
        assert changed[: statmount.FINGERPRINT] != known
        assert changed[statmount.FINGERPRINT :] == statmount.table()
        syscalls.mount(None, str(tmp_path), None, syscalls.MS_PRIVATE)
        assert statmount.read(changed[: statmount.FINGERPRINT]) == told
        syscalls.umount2(str(tmp_path))
        assert statmount.table() == b"".join(told[statmount.FINGERPRINT :].splitlines(keepends=True)[:-1])

    monkeypatch.setattr(statmount, "MANY", many)
    scratch(body)


def test_a_helper_that_is_killed_is_done_without(
    scratch: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def body() -> None:
        whole, part, ours = statmount.table(), statmount._part, os.getpid()

        def killed(numbers: Sequence[int], known: bytes) -> bytes:
            if os.getpid() != ours:
                os.kill(os.getpid(), signal.SIGKILL)
            return part(numbers, known)

        monkeypatch.setattr(statmount, "MANY", 1)
        monkeypatch.setattr(statmount, "_part", killed)
        assert statmount.table() == whole

    scratch(body)


# What a line holds


def test_every_option_and_every_name(scratch: Scratch, tmp_path: Path) -> None:
    def body() -> None:
        syscalls.mount("none", str(tmp_path), "tmpfs", 0)
        names = [b"plain", b"a b\tc\nd\\e", b"#hash", b"\\040", b"\xff\r\xc2\xa0", b"x" * 255, "größe".encode()]
        for number, name in enumerate(names):
            os.mkdir(os.fsencode(tmp_path) + b"/" + name)
            syscalls.mount(name, os.fsencode(tmp_path) + b"/" + name, "tmpfs", 0, f"size={number + 1}m,mode=700")
            os.mkdir(os.fsencode(tmp_path) + b"/" + name + b"/inner")
            syscalls.mount(os.fsencode(tmp_path) + b"/" + name + b"/inner", str(tmp_path), None, syscalls.MS_BIND)
            syscalls.umount2(str(tmp_path))
        options = tmp_path / "options"
        options.mkdir()
        ms_nosuid, ms_nodev, ms_noexec, ms_sync, ms_dirsync = 2, 4, 8, 16, 128
        noatime, nodiratime, relatime, strictatime, lazytime, nosymfollow = 1024, 2048, 1 << 21, 1 << 24, 1 << 25, 256
        for flags in (
            syscalls.MS_RDONLY | ms_nosuid | ms_nodev | ms_noexec,
            noatime | nodiratime,
            relatime | nodiratime | nosymfollow,
            strictatime,
            strictatime | nodiratime,
            ms_sync | ms_dirsync | lazytime,
        ):
            syscalls.mount("", str(options), "tmpfs", flags)
        syscalls.mount(None, str(options), None, syscalls.MS_UNBINDABLE)
        for fs_type in ("proc", "sysfs", "cgroup2", "devpts", "mqueue", "ramfs"):
            try:
                syscalls.mount(None, str(options), fs_type, 0)
            except KernelError:
                # Not in this kernel, or not to be had in this namespace.
                continue
        gone = tmp_path / "gone"
        gone.mkdir()
        syscalls.mount(str(gone), str(options), None, syscalls.MS_BIND)
        gone.rmdir()
        syscalls.mount("/proc/self/ns/uts", "/dev/null", None, syscalls.MS_BIND)
        with open_proc() as proc:
            text, asked = both(proc.fd)
        assert text == asked
        assert any("//deleted" in mount.root for mount in asked)
        assert {"nosymfollow", "nodiratime", "noatime", "ro"} <= {option for mount in asked for option in mount.options}
        assert {"sync", "dirsync"} <= {option for mount in asked for option in mount.super_options}

    scratch(body)


def test_more_than_fits_into_the_first_buffer(scratch: Scratch, tmp_path: Path) -> None:
    def body() -> None:
        deep = tmp_path
        for _ in range(15):
            deep /= "d" * 250
        deep.mkdir(parents=True)
        os.chdir(tmp_path)
        # mount(2) takes paths of less than a page; this one has nearly as much.
        syscalls.mount("s" * 4000, str(deep)[:4095], "tmpfs", 0)
        with open_proc() as proc:
            text, asked = both(proc.fd)
        assert text == asked
        assert len(asked[-1].source) == 4000

    scratch(body)


def test_a_group_above_the_master(scratch: Scratch, tmp_path: Path) -> None:
    def body() -> list[Mount]:
        first, second, third = (tmp_path / name for name in ("first", "second", "third"))
        for directory in (first, second, third):
            directory.mkdir()
        syscalls.mount("none", str(first), "tmpfs", 0)
        syscalls.mount(None, str(first), None, syscalls.MS_SHARED)
        syscalls.mount(str(first), str(second), None, syscalls.MS_BIND)
        syscalls.mount(None, str(second), None, syscalls.MS_SLAVE)
        syscalls.mount(None, str(second), None, syscalls.MS_SHARED)
        syscalls.mount(str(second), str(third), None, syscalls.MS_BIND)
        syscalls.mount(None, str(third), None, syscalls.MS_SLAVE)

        def without_the_master() -> list[Mount]:
            syscalls.unshare(syscalls.CLONE_NEWNS)
            syscalls.umount2(str(second))
            with open_proc() as proc:
                text, asked = both(proc.fd)
            assert text == asked
            return asked

        return in_fork(without_the_master)

    mounts = {mount.mount_point: mount for mount in scratch(body)}
    first, third = (mounts[str(tmp_path / name)] for name in ("first", "third"))
    # It is a slave of a group that has members in the namespace before only.
    assert third.master is not None
    assert third.propagate_from == first.peer_group != third.master


def test_a_namespace_that_has_lost_its_root(machine: Host) -> None:
    def lose_it() -> None:
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        syscalls.umount2("/", syscalls.MNT_DETACH)

    target = machine.unshare("private", lose_it)
    assert machine.mountinfo(target) == b""
    with open_proc() as proc:
        compare_roots(proc.fd, target.pid)


# When it is asked


def binds_of_one(directory: Path, number: int) -> None:
    """A shared filesystem and many binds of it: one group."""
    syscalls.mount("none", str(directory), "tmpfs", 0)
    syscalls.mount(None, str(directory), None, syscalls.MS_PRIVATE)
    source = directory / "source"
    source.mkdir()
    syscalls.mount("one", str(source), "tmpfs", 0)
    syscalls.mount(None, str(source), None, syscalls.MS_SHARED)
    for place in (directory / str(index) for index in range(number)):
        place.mkdir()
        syscalls.mount(str(source), str(place), None, syscalls.MS_BIND)


def which(machine: Host, target: Actor) -> type[table_source.Source]:
    """How the table of a namespace is read."""

    def look() -> type[table_source.Source]:
        with open_proc() as proc, open(f"/proc/{target.inner}/ns/mnt") as namespace:
            reading = enter(proc, namespace.fileno(), "it")
            with closing(reading):
                assert reading.source is not None
                return type(reading.source)

    return machine.call(look)


def test_mountinfo_is_given_up_where_it_is_quadratic(machine: Host, tmp_path: Path) -> None:
    machine.call(binds_of_one, tmp_path, 8000)
    peers, slaves = machine.unshare("unchanged"), machine.unshare("slave")
    begun = time.thread_time()
    lines = machine.mountinfo(peers).count(b"\n")
    if (cost := (time.thread_time() - begun) / lines) > table_source.DEAR / 2:
        pytest.skip(f"this machine takes {cost * 1e6:.0f} us for a line of any mountinfo: an emulated one")
    assert which(machine, peers) is table_source.Mountinfo
    assert which(machine, slaves) is table_source.Statmount
    snapshot: Snapshot = machine.call(capture, [slaves.inner])
    assert snapshot.mountinfo(slaves.inner) == machine.mountinfo(slaves)


def test_without_statmount_mountinfo_is_read_to_its_end(
    machine: Host, dear: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statmount, "supported", lambda: False)
    target = machine.unshare("slave")
    assert which(machine, target) is table_source.Mountinfo
    assert machine.call(capture, [target.inner]).mountinfo(target.inner) == machine.mountinfo(target)
