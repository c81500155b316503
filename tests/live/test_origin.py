"""Whose machine was captured: that of pid 1, whatever the container is called in which mntscope runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mntscope.base.machine_id import derived
from mntscope.base.own_version import VERSION
from mntscope.kernel import syscalls
from mntscope.live import capture
from mntscope.live import origin as live_origin
from mntscope.model import Origin
from mntscope.snapshot import Snapshot
from tests.support.throwaway import Host, as_nobody

MACHINE_ID = b"0123456789abcdef0123456789abcdef\n"


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """A machine's /etc, in which tests put what they like."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/machine-id").write_bytes(MACHINE_ID)
    (tmp_path / "etc/os-release").write_text('PRETTY_NAME="Of the machine"\n')
    return tmp_path / "etc"


def with_etc(machine: Host, etc: Path) -> None:
    machine.call(syscalls.mount, str(etc), "/etc", None, syscalls.MS_BIND)


def in_a_container(body: Callable[[], Snapshot]) -> Callable[[], Snapshot]:
    """*body* where the name and the files are an image's: a pod with hostPID."""

    def there() -> Snapshot:
        syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWUTS)
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        syscalls.mount("image", "/etc", "tmpfs", 0)
        Path("/etc/machine-id").write_bytes(b"f" * 32 + b"\n")
        Path("/etc/os-release").write_text('PRETTY_NAME="Of the image"\n')
        Path("/proc/sys/kernel/hostname").write_text("pod-1")
        assert os.uname().nodename == "pod-1"
        return body()

    return there


def test_this_machine_and_now(machine: Host, etc: Path) -> None:
    with_etc(machine, etc)
    before = int(time.time())
    snapshot = machine.call(capture)
    found = snapshot.origin
    assert found.time is not None
    assert before <= found.time <= time.time()
    assert found == Origin(os.uname().nodename, derived(MACHINE_ID), found.time, VERSION)
    assert snapshot.distribution == "Of the machine"


def test_of_two_processes_only_the_name_and_the_time(machine: Host) -> None:
    target = machine.unshare("slave")
    snapshot = machine.call(capture, [target.inner])
    assert snapshot.origin == Origin(os.uname().nodename, time=snapshot.origin.time)
    assert snapshot.origin.time
    assert snapshot.distribution == machine.call(capture).distribution
    identified = machine.call(lambda: capture([target.inner], identify=True))
    assert identified.origin.mntscope == VERSION


def test_a_container_is_not_taken_for_its_machine(machine: Host, etc: Path) -> None:
    with_etc(machine, etc)
    snapshot = machine.call(in_a_container(capture))
    assert snapshot.origin.host_name == os.uname().nodename
    assert snapshot.origin.machine_id == derived(MACHINE_ID)
    assert snapshot.distribution == "Of the machine"


def test_nor_where_only_one_process_is_asked_about(machine: Host) -> None:
    target = machine.unshare("slave")
    snapshot = machine.call(in_a_container(lambda: capture([target.inner])))
    assert snapshot.origin.host_name == os.uname().nodename
    assert snapshot.distribution != "Of the image"


def test_links_lead_nowhere_but_within_the_machine(machine: Host, etc: Path) -> None:
    (etc / "machine-id").unlink()
    (etc / "machine-id").symlink_to("../etc/real-id")
    (etc / "real-id").write_bytes(MACHINE_ID)
    with_etc(machine, etc)
    assert machine.call(capture).origin.machine_id == derived(MACHINE_ID)


@pytest.mark.parametrize("kind", ["missing", "fifo", "directory", "endless", "device"])
def test_what_is_no_small_file_tells_nothing_and_is_not_waited_for(machine: Host, etc: Path, kind: str) -> None:
    file = etc / "machine-id"
    file.unlink()
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "directory":
        file.mkdir()
    elif kind == "endless":
        with file.open("wb") as endless:
            endless.write(MACHINE_ID)
            endless.truncate(1 << 40)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    with_etc(machine, etc)
    snapshot = machine.call(capture)
    assert snapshot.origin.machine_id is None
    assert snapshot.origin.host_name == os.uname().nodename
    assert snapshot.distribution == "Of the machine"


def test_who_may_not_ask_pid_1_knows_his_own_machine(open_machine: Host, etc: Path) -> None:
    for path in (etc, *etc.iterdir()):
        path.chmod(0o755)
    with_etc(open_machine, etc)
    snapshot = open_machine.call(as_nobody, capture)
    assert snapshot.origin.host_name == os.uname().nodename
    assert snapshot.origin.machine_id in (derived(MACHINE_ID), None)


def test_what_does_not_answer_is_not_known(machine: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's root directory may be on a server that is gone."""

    def never(*_: object) -> bytes:
        time.sleep(60)
        return b""

    monkeypatch.setattr(live_origin, "_content", never)
    snapshot = machine.call(capture)
    assert snapshot.origin.machine_id is None
    assert snapshot.origin.host_name == os.uname().nodename
