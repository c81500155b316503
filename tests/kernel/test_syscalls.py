"""The system calls, made for real in throwaway namespaces."""

from __future__ import annotations

import errno
import os
import signal
import struct
from pathlib import Path

import pytest

from mntscope.errors import KernelError
from mntscope.kernel import syscalls
from tests.support.features import LISTMOUNT, LISTS_NAMESPACES, MNTNS_ID, MOUNT_SETATTR, SET_GROUP, needs
from tests.support.throwaway import Host, Scratch


def mount_line(path: Path) -> list[str]:
    """The fields of the last line of this process's mountinfo with that mount point."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [fields for line in lines if (fields := line.split(" "))[4] == str(path)][-1]


def mount_points() -> list[str]:
    return [line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]


def test_mount_and_umount2(scratch: Scratch, tmp_path: Path) -> None:
    def body() -> None:
        syscalls.mount("a source", str(tmp_path), "tmpfs", syscalls.MS_RDONLY | syscalls.MS_NOSUID, "size=1m")
        fields = mount_line(tmp_path)
        assert fields[5] == "ro,nosuid,relatime"
        # Further options are those that the kernel was configured with: inode64.
        assert [*fields[-3:-1], fields[-1][:13]] == ["tmpfs", r"a\040source", "ro,size=1024k"]
        syscalls.umount2(str(tmp_path), syscalls.UMOUNT_NOFOLLOW)
        assert str(tmp_path) not in mount_points()

    scratch(body)


def test_paths_may_be_bytes_that_are_no_text(scratch: Scratch, tmp_path: Path) -> None:
    def body() -> None:
        target = os.fsencode(tmp_path) + b"/\xff\r"
        os.mkdir(target)
        syscalls.mount(None, target, b"tmpfs", 0)
        assert target in Path("/proc/self/mountinfo").read_bytes()
        syscalls.umount2(os.fsdecode(target))

    scratch(body)


def test_propagation_types_through_mount(scratch: Scratch, tmp_path: Path) -> None:
    def body() -> None:
        syscalls.mount("none", str(tmp_path), "tmpfs", 0)
        syscalls.mount(None, str(tmp_path), None, syscalls.MS_SHARED)
        assert mount_line(tmp_path)[6].startswith("shared:")
        syscalls.mount(None, str(tmp_path), None, syscalls.MS_UNBINDABLE)
        assert mount_line(tmp_path)[6] == "unbindable"

    scratch(body)


def test_an_error_names_the_call_the_errno_and_the_path(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    with pytest.raises(KernelError) as caught:
        syscalls.umount2(missing)
    assert caught.value.call == "umount2"
    assert caught.value.errno == errno.ENOENT
    assert caught.value.errno_name == "ENOENT"
    assert str(caught.value) == f"{missing}: umount2: ENOENT (No such file or directory)"


def test_an_ioctl_names_its_request() -> None:
    with open(os.devnull) as device, pytest.raises(KernelError, match="ioctl NS_GET_USERNS: ENOTTY"):
        syscalls.ns_get_userns(device.fileno())


@needs(MOUNT_SETATTR)
def test_a_detached_tree_is_changed_then_attached(scratch: Scratch, tmp_path: Path) -> None:
    def body() -> None:
        syscalls.mount("none", str(tmp_path), "tmpfs", 0)
        flags = syscalls.OPEN_TREE_CLONE | syscalls.OPEN_TREE_CLOEXEC
        tree = syscalls.open_tree(syscalls.AT_FDCWD, str(tmp_path), flags)
        assert not os.get_inheritable(tree)
        syscalls.mount_setattr(tree, "", syscalls.AT_EMPTY_PATH, attr_set=syscalls.MOUNT_ATTR_RDONLY)
        syscalls.mount_setattr(tree, "", syscalls.AT_EMPTY_PATH, propagation=syscalls.MS_SHARED)
        syscalls.move_mount(tree, "", syscalls.AT_FDCWD, str(tmp_path), syscalls.MOVE_MOUNT_F_EMPTY_PATH)
        fields = mount_line(tmp_path)
        assert fields[5] == "ro,relatime"
        assert fields[6].startswith("shared:")
        syscalls.mount_setattr(syscalls.AT_FDCWD, str(tmp_path), 0, attr_clr=syscalls.MOUNT_ATTR_RDONLY)
        assert mount_line(tmp_path)[5] == "rw,relatime"

    scratch(body)


def test_a_filesystem_configured_by_descriptor(scratch: Scratch, tmp_path: Path) -> None:
    def body() -> None:
        filesystem = syscalls.fsopen("tmpfs", syscalls.FSOPEN_CLOEXEC)
        syscalls.fsconfig(filesystem, syscalls.FSCONFIG_SET_STRING, "source", "a name")
        syscalls.fsconfig(filesystem, syscalls.FSCONFIG_SET_STRING, "size", "1m")
        syscalls.fsconfig(filesystem, syscalls.FSCONFIG_CMD_CREATE, None, None)
        mounted = syscalls.fsmount(filesystem, syscalls.FSMOUNT_CLOEXEC, syscalls.MOUNT_ATTR_NOEXEC)
        syscalls.move_mount(mounted, "", syscalls.AT_FDCWD, str(tmp_path), syscalls.MOVE_MOUNT_F_EMPTY_PATH)
        *_, fs_type, source, options = mount_line(tmp_path)
        assert (fs_type, source, options[:13]) == ("tmpfs", r"a\040name", "rw,size=1024k")

    scratch(body)


@needs(SET_GROUP)
def test_set_group_rejoins_a_peer_group(scratch: Scratch, tmp_path: Path) -> None:
    def body() -> None:
        one, other = tmp_path / "one", tmp_path / "other"
        one.mkdir()
        other.mkdir()
        syscalls.mount("none", str(one), "tmpfs", 0)
        syscalls.mount(None, str(one), None, syscalls.MS_SHARED)
        syscalls.mount(str(one), str(other), None, syscalls.MS_BIND)
        syscalls.mount(None, str(other), None, syscalls.MS_PRIVATE)
        at = syscalls.AT_FDCWD
        syscalls.move_mount(at, str(one), at, str(other), syscalls.MOVE_MOUNT_SET_GROUP)
        assert mount_line(other)[6] == mount_line(one)[6]

    scratch(body)


def test_pivot_root(scratch: Scratch, tmp_path: Path) -> None:
    def body() -> None:
        syscalls.mount("none", str(tmp_path), "tmpfs", 0)
        (tmp_path / "old").mkdir()
        syscalls.pivot_root(str(tmp_path), str(tmp_path / "old"))
        os.chdir("/")
        assert os.listdir("/") == ["old"]

    scratch(body)


@needs(MNTNS_ID)
def test_setns_and_the_identity_of_a_mount_namespace(host: Host) -> None:
    def body() -> tuple[int, int]:
        namespace = os.open(f"/proc/{host.pid}/ns/mnt", os.O_RDONLY)
        syscalls.setns(namespace, syscalls.CLONE_NEWNS)
        with open("/proc/self/ns/mnt") as own:
            assert os.fstat(own.fileno()).st_ino == os.fstat(namespace).st_ino
            assert syscalls.ns_get_mntns_id(own.fileno()) == syscalls.ns_get_mntns_id(namespace)
        owner = syscalls.ns_get_userns(namespace)
        return os.fstat(owner).st_ino, os.stat("/proc/self/ns/user").st_ino

    owner, user_namespace = host.call(body)
    assert owner == user_namespace


@needs(LISTS_NAMESPACES)
def test_the_mount_namespaces_are_a_chain(host: Host) -> None:
    with open(f"/proc/{host.pid}/ns/mnt") as namespace:
        here = syscalls.ns_get_mntns_id(namespace.fileno())
        try:
            walker, info = syscalls.ns_mnt_get_prev(namespace.fileno())
        except KernelError as error:
            if error.errno != errno.EPERM:
                raise
            pytest.skip("the kernel lists mount namespaces only to the initial PID namespace")
    assert info.mnt_ns_id < here
    # Other namespaces may come in between at any time.
    while info.mnt_ns_id < here:
        following, info = syscalls.ns_mnt_get_next(walker)
        os.close(walker)
        walker = following
    os.close(walker)
    assert info.mnt_ns_id == here
    # It may count the root filesystem below /, too, which no table shows.
    assert info.nr_mounts - host.mountinfo().count(b"\n") in (0, 1)


@needs(LISTMOUNT, MNTNS_ID)
def test_listmount_and_statmount_show_another_namespace(host: Host) -> None:
    with open(f"/proc/{host.pid}/ns/mnt") as namespace:
        number = syscalls.ns_get_mntns_id(namespace.fileno())
    ids = syscalls.listmount(syscalls.LSMT_ROOT, mnt_ns_id=number)
    basic = [syscalls.statmount(mount, syscalls.STATMOUNT_MNT_BASIC, mnt_ns_id=number) for mount in ids]
    listed = {struct.unpack_from("=I", answer, 56)[0] for answer in basic}
    lines = [line.split() for line in host.mountinfo().splitlines()]
    shown = {int(line[0]) for line in lines}
    # Where the machine was booted from an initial RAM disk, that lies beneath the root, and mountinfo is silent on it.
    assert shown <= listed <= shown | {int(line[1]) for line in lines}
    assert syscalls.listmount(syscalls.LSMT_ROOT, ids[0], mnt_ns_id=number, count=2) == ids[1:3]
    mask = syscalls.STATMOUNT_MNT_POINT | syscalls.STATMOUNT_FS_TYPE
    texts = [syscalls.statmount(mount, mask, mnt_ns_id=number)[512:].split(b"\0") for mount in ids]
    assert any(b"/proc" in text and b"proc" in text for text in texts)
    assert struct.unpack_from("=Q", syscalls.statmount(ids[0], mask, mnt_ns_id=number), 8)[0] == mask
    with pytest.raises(KernelError, match="EOVERFLOW"):
        syscalls.statmount(ids[0], mask, mnt_ns_id=number, size=512)


def test_pidfds_know_whether_a_process_is_alive(host: Host) -> None:
    actor = host.spawn()
    pidfd = syscalls.pidfd_open(actor.pid)
    syscalls.pidfd_send_signal(pidfd, 0)
    host.kill(actor)
    with pytest.raises(KernelError, match="pidfd_send_signal: ESRCH"):
        syscalls.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)
    with pytest.raises(KernelError, match=f"pid {actor.pid}: pidfd_open: ESRCH"):
        syscalls.pidfd_open(actor.pid)


def test_prctl(scratch: Scratch) -> None:
    def body() -> str:
        syscalls.prctl(syscalls.PR_SET_NAME, b"a name")
        return Path("/proc/self/comm").read_text()

    assert scratch(body) == "a name\n"
