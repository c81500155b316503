"""BusyBox's mount, umount and unshare: one mount(2) with all flags, and fewer options; as strace(1) showed of 1.35."""

from __future__ import annotations

import pytest

from mntscope.errors import ParseError
from mntscope.parse.commands import Call, Step
from mntscope.parse.mount_program import MountProgram
from mntscope.parse.mountcmd import parse_commands
from tests.support.commands import brief

BUSYBOX = MountProgram.of("BusyBox 1.36.1")


def step(command: str, program: MountProgram = BUSYBOX) -> Step:
    (only,) = parse_commands(command, "A", program=program)
    return only


def in_words(call: Call) -> str:
    return brief(call.operation) + (f" {call.errno}" if call.errno else "")


@pytest.mark.parametrize(
    ("command", "calls"),
    [
        ("mount --bind /a /b", ["bind /a /b"]),
        ("mount /a /b --bind", ["bind /a /b"]),
        ("mount --bind -- /a /b", ["bind /a /b"]),
        ("mount --rbind,bind /a /b", ["rbind /a /b"]),
        # What a bind ignores, and what makes it recursive.
        ("mount -o bind,ro,nosuid /a /b", ["bind /a /b"]),
        ("mount --bind --make-rslave /a /b", ["rbind /a /b"]),
        ("mount -o bind,private,whatever /a /b", ["bind /a /b"]),
        # To it every word with two dashes is an option, so the operands are others.
        ("mount --bind --target /b /a", ["bind /b /a"]),
        ("mount --make-rslave /a", ["make-rslave /a"]),
        ("mount --make-shared none /a", ["make-shared /a"]),
        ("mount -t tmpfs --make-shared x /a", ["make-shared /a"]),
        ("mount --make-private --make-rshared /a", ["make-rprivate /a EINVAL"]),
        ("mount --make-shared -r /a", ["make-shared /a EINVAL"]),
        ("mount --move --make-shared /a /b", ["make-shared /b EINVAL"]),
        ("mount --make-shared -o nofail /a", ["make-shared /a EINVAL"]),
        ("mount --make-shared -o nofail none /a", ["make-shared /a"]),
        ("mount -o move,ro /a /b", ["move /a /b"]),
        ("mount -o remount,bind,ro,nodev x /a", ["remount ro,nodev /a"]),
        ("mount -f --bind /a /b", []),
        ("mount -t tmpfs -o ro,noatime,relatime x /a", ["new tmpfs x /a ro,noatime"]),
        ("mount -t tmpfs -o defaults,nofail,_netdev,comment=y x /a", ["new tmpfs x /a rw,relatime"]),
        ("mount -t tmpfs -o private x /a", ["new tmpfs x /a rw,relatime EINVAL"]),
        ("mount -t tmpfs a#b /a", ["new tmpfs a#b /a rw,relatime ENOENT"]),
        ("umount -lf /a", ["umount -l /a"]),
        ("unshare -m true", ["clone", "make-rprivate /"]),
        ("unshare -m --propagation unchanged true", ["clone", "make-private / EINVAL"]),
    ],
)
def test_a_command_is_one_mount_with_all_flags(command: str, calls: list[str]) -> None:
    assert [in_words(call) for call in step(command).calls] == calls


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("mount -B /a /b", "mount of BusyBox 1.36.1 does not take '-B'"),
        ("mount -rR /a /b", "mount of BusyBox 1.36.1 does not take '-R'"),
        ("mount --types tmpfs x /a", "mount of BusyBox 1.36.1 takes a source and a directory, no more"),
        ("umount --lazy /a", "umount of BusyBox 1.36.1 does not take '--lazy'"),
        ("umount -lR /a", "umount of BusyBox 1.36.1 does not take '-R'"),
        ("unshare -muC true", "unshare of BusyBox 1.36.1 does not take '-C'"),
        ("unshare --map-user=0 -m true", "unshare of BusyBox 1.36.1 does not take '--map-user'"),
        ("nsenter -a -t 1 true", "nsenter of BusyBox 1.36.1 does not take '-a'"),
        ("chroot -- /a true", "chroot of BusyBox 1.36.1 does not take '--'"),
    ],
)
def test_it_refuses_what_only_util_linux_has(command: str, why: str) -> None:
    refused = step(command)
    assert (refused.refused, refused.calls) == (why, ())


@pytest.mark.parametrize("command", ["mount --bind /a", "mount -o remount,ro /a", "mount -y /a", "umount --fuorce /a"])
def test_what_is_not_predicted_is_an_error_as_ever(command: str) -> None:
    with pytest.raises(ParseError):
        step(command)


def test_an_option_is_read_once_the_first_list_first() -> None:
    """``ro`` is there already when it comes again, so ``rw`` stays the last word; -r and -w come after every list."""
    (call,) = step("mount -o remount,bind,ro -o rw -o ro x /a").calls
    assert call.operation["ro"] is False
    (call,) = step("mount -w -r -o remount,bind x /a").calls
    assert call.operation["ro"] is False


@pytest.mark.parametrize(
    ("program", "command", "refused"),
    [
        ("util-linux 2.36.1", "mount --mkdir --bind /a /b", "mount of util-linux 2.36.1 does not take '--mkdir'"),
        ("util-linux 2.36.1", "mount -Bm /a /b", "mount of util-linux 2.36.1 does not take '-m'"),
        ("util-linux 2.38.1", "mount --mkdir --bind /a /b", None),
        ("util-linux 2.41.1", "mount --beneath --bind /a /b", "mount of util-linux 2.41.1 does not take '--beneath'"),
        ("util-linux 2.42", "mount --beneath --bind /a /b", None),
        (None, "mount --beneath --bind /a /b", None),
    ],
)
def test_older_versions_of_util_linux_refuse_what_is_new(
    program: str | None, command: str, refused: str | None
) -> None:
    assert step(command, MountProgram.of(program)).refused == refused
