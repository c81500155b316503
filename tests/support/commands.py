"""The command lines that are understood, each with the system calls it makes, in words.

The paths are those of a scene that can be built anywhere: ``/mnt/a`` and ``/mnt/a/s`` are mount points of the
filesystems ``x`` and ``y``; ``/mnt/b`` and ``/mnt/plain`` are directories. Two dots stand for the options that the
mount has already.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

PROC = "rw,nosuid,nodev,noexec,relatime"

FORMS: list[tuple[str, list[str]]] = [
    # bind, rbind, move
    ("mount --bind /mnt/a /mnt/b", ["bind /mnt/a /mnt/b"]),
    ("mount -B /mnt/a /mnt/b", ["bind /mnt/a /mnt/b"]),
    ("mount -o bind /mnt/a /mnt/b", ["bind /mnt/a /mnt/b"]),
    ("mount -t none -o bind /mnt/a /mnt/b", ["bind /mnt/a /mnt/b"]),
    ("mount /mnt/a /mnt/b --bind", ["bind /mnt/a /mnt/b"]),
    ("mount -nv --bind -- /mnt/a/ /mnt//b", ["bind /mnt/a /mnt/b"]),
    ("mount --bind --target /mnt/b /mnt/a", ["bind /mnt/a /mnt/b"]),
    ("mount --rbind /mnt/a /mnt/b", ["rbind /mnt/a /mnt/b"]),
    ("mount -R /mnt/a /mnt/b", ["rbind /mnt/a /mnt/b"]),
    ("mount -o rbind,bind /mnt/a /mnt/b", ["rbind /mnt/a /mnt/b"]),
    ("mount --bind -o rbind /mnt/a /mnt/b", ["rbind /mnt/a /mnt/b"]),
    ("mount --move /mnt/a /mnt/b", ["move /mnt/a /mnt/b"]),
    ("mount -M /mnt/a /mnt/b", ["move /mnt/a /mnt/b"]),
    ("mount -o move,ro /mnt/a /mnt/b", ["move /mnt/a /mnt/b"]),
    # the flags of a bind take a second call
    ("mount --bind -o ro /mnt/a /mnt/b", ["bind /mnt/a /mnt/b", "remount ro /mnt/b"]),
    ("mount -r --bind /mnt/a /mnt/b", ["bind /mnt/a /mnt/b", "remount ro /mnt/b"]),
    ("mount -Boro /mnt/a /mnt/b", ["bind /mnt/a /mnt/b", "remount ro /mnt/b"]),
    ("mount -Bo ro,rw /mnt/a /mnt/b", ["bind /mnt/a /mnt/b"]),
    ("mount -w --bind /mnt/a /mnt/b", ["bind /mnt/a /mnt/b"]),
    ("mount -o bind,rw,suid,dev,exec,async,loud /mnt/a /mnt/b", ["bind /mnt/a /mnt/b"]),
    ("mount -o bind,defaults,nofail,x-systemd.after=y /mnt/a /mnt/b", ["bind /mnt/a /mnt/b"]),
    ("mount -o bind,,nosuid, /mnt/a /mnt/b", ["bind /mnt/a /mnt/b", "remount rw,nosuid /mnt/b"]),
    ("mount -o rbind,ro -o nodev /mnt/a /mnt/b", ["rbind /mnt/a /mnt/b", "remount ro,nodev /mnt/b"]),
    ("mount --options=remount,bind,ro /mnt/a", ["remount ro,.. /mnt/a"]),
    ("mount -o remount,bind,ro,rw /mnt/a", ["remount rw,.. /mnt/a"]),
    ("mount -o remount,bind none /mnt/a", ["remount rw /mnt/a"]),
    ("mount --rbind -o remount,ro /mnt/a", ["remount ro,.. /mnt/a"]),
    ("mount -o remount,bind,private,ro /mnt/a", ["remount ro,.. /mnt/a", "make-private /mnt/a"]),
    # propagation types, alone or after something else, in the order given
    *[
        (f"mount --make-{r}{kind} /mnt/a", [f"make-{r}{kind} /mnt/a"])
        for r in ("", "r")
        for kind in ("shared", "slave", "private", "unbindable")
    ],
    ("mount --make-rslave none /mnt/a", ["make-rslave /mnt/a"]),
    ("mount --make-rslave --target /mnt/a", ["make-rslave /mnt/a"]),
    ("mount --make-private --make-rshared /mnt/a", ["make-private /mnt/a", "make-rshared /mnt/a"]),
    ("mount -o shared --make-slave /mnt/a", ["make-shared /mnt/a", "make-slave /mnt/a"]),
    ("mount --make-private /mnt/plain", ["make-private /mnt/plain"]),
    ("mount --bind --make-private /mnt/a /mnt/b", ["bind /mnt/a /mnt/b", "make-private /mnt/b"]),
    ("mount -o rbind,rslave /mnt/a /mnt/b", ["rbind /mnt/a /mnt/b", "make-rslave /mnt/b"]),
    ("mount --move --make-shared /mnt/a /mnt/b", ["move /mnt/a /mnt/b", "make-shared /mnt/b"]),
    (
        "mount -o bind,ro,private /mnt/a /mnt/b",
        ["bind /mnt/a /mnt/b", "make-private /mnt/b", "remount ro /mnt/b"],
    ),
    # new filesystems
    ("mount -t tmpfs tmpfs /mnt/b", ["new tmpfs tmpfs /mnt/b rw,relatime"]),
    ("mount tmpfs -ttmpfs /mnt/b", ["new tmpfs tmpfs /mnt/b rw,relatime"]),
    ("mount --types tmpfs --source x --target /mnt/b", ["new tmpfs x /mnt/b rw,relatime"]),
    ("mount -t tmpfs '' /mnt/b", ["new tmpfs  /mnt/b rw,relatime"]),
    ("mount -t tmpfs -o ro,nosuid,size=1m x /mnt/b", ["new tmpfs x /mnt/b ro,nosuid,relatime"]),
    ("mount -t tmpfs -o noatime,relatime,noexec x /mnt/b", ["new tmpfs x /mnt/b rw,noexec,noatime"]),
    ("mount -t tmpfs -o strictatime,nodiratime x /mnt/b", ["new tmpfs x /mnt/b rw,nodiratime"]),
    ("mount -t tmpfs -o private x /mnt/b", ["new tmpfs x /mnt/b rw,relatime", "make-private /mnt/b"]),
    ("mount -t tmpfs --make-shared x /mnt/b", ["new tmpfs x /mnt/b rw,relatime", "make-shared /mnt/b"]),
    ("mount -t proc proc /proc", ["new proc proc /proc rw,relatime"]),
    ("mount -t proc -o hidepid=2,nosuid,nodev proc /mnt/b", ["new proc proc /mnt/b rw,nosuid,nodev,relatime"]),
    ("mount -t sysfs s /mnt/b", ["new sysfs s /mnt/b rw,relatime"]),
    # umount
    ("umount /mnt/a/s", ["umount /mnt/a/s"]),
    ("umount -nvf /mnt/a/s", ["umount /mnt/a/s"]),
    ("umount /mnt/a", ["umount /mnt/a"]),
    ("umount -l /mnt/a", ["umount -l /mnt/a"]),
    ("umount --lazy --force /mnt/a", ["umount -l /mnt/a"]),
    ("umount --recursive /mnt/a", ["umount -R /mnt/a"]),
    ("umount -lR -- /mnt/a", ["umount -l -R /mnt/a"]),
    ("umount /mnt/plain /mnt/a/s", ["umount /mnt/plain", "umount /mnt/a/s"]),
    # unshare
    ("unshare -m true", ["clone", "make-rprivate /"]),
    ("unshare --mount --propagation slave true", ["clone", "make-rslave /"]),
    ("unshare -m --propagation=shared true", ["clone", "make-rshared /"]),
    ("unshare -m --propagation unchanged true", ["clone"]),
    ("unshare --propagation shared true", []),
    ("unshare -muinC true", ["clone", "make-rprivate /"]),
    ("unshare -U true", []),
    ("unshare -mU --map-user=0 true", ["clone +user", "make-rprivate /"]),
    ("unshare -rm true", ["clone +user", "make-rprivate /"]),
    ("unshare -fp --mount-proc true", ["clone", "make-rprivate /", f"new proc proc /proc {PROC}"]),
    (
        "unshare -rmpf --mount-proc=/mnt/plain true",
        ["clone +user", "make-rprivate /", f"new proc proc /mnt/plain {PROC}"],
    ),
    (
        "unshare --propagation unchanged -fp --mount-proc=/mnt/plain true",
        ["clone", "make-rprivate /mnt/plain", f"new proc proc /mnt/plain {PROC}"],
    ),
    (
        "unshare --propagation slave --kill-child --pid --mount-proc -w / true",
        ["clone", "make-rslave /", "make-rprivate /proc", f"new proc proc /proc {PROC}"],
    ),
    ("unshare -m -- mount --make-shared /mnt/a", ["clone", "make-rprivate /", "make-shared /mnt/a"]),
    ("unshare -m unshare -m --propagation slave true", ["clone", "make-rprivate /", "clone", "make-rslave /"]),
    ("unshare -rm mount -t tmpfs x /mnt/b", ["clone +user", "make-rprivate /", "new tmpfs x /mnt/b rw,relatime"]),
    ("unshare -r mount -t tmpfs x /mnt/b", ["new tmpfs x /mnt/b rw,relatime"]),
    ("unshare -rm --mount-proc true", ["clone +user", "make-rprivate /", f"new proc proc /proc {PROC}"]),
    (
        "unshare -m sh -c 'mount --bind /mnt/a \"/mnt/b\" && umount -l /mnt/b'",
        ["clone", "make-rprivate /", "bind /mnt/a /mnt/b", "umount -l /mnt/b"],
    ),
    # several, quotes, comments
    ("mount --make-private /mnt/a && umount -l /mnt/a", ["make-private /mnt/a", "umount -l /mnt/a"]),
    ("umount /mnt/plain && umount /mnt/a/s", ["umount /mnt/plain", "(umount /mnt/a/s)"]),
    ("umount /mnt/plain; umount /mnt/a/s", ["umount /mnt/plain", "umount /mnt/a/s"]),
    (
        "# first\nmount --bind \\\n  /mnt/a /mnt/b # over b\n\numount -l '/mnt/b'\n",
        ["bind /mnt/a /mnt/b", "umount -l /mnt/b"],
    ),
    ('mount -t tmpfs it\\\'s" a \\"name\\" #1" /mnt/b', ['new tmpfs it\'s a "name" #1 /mnt/b rw,relatime']),
]
"""What stands in parentheses is not carried out: what stands before it fails."""


def installed_program(path: str) -> str | None:
    """The mount(8) found along *path*, as mntscope names it: ``util-linux 2.38.1``; ``None`` for one not known."""
    program = shutil.which("mount", path=path)
    if program is None:
        return None
    # To BusyBox --version is an option of a filesystem.
    said = "".join(
        done.stdout + done.stderr
        for done in (
            subprocess.run([program, option], capture_output=True, text=True, check=False)
            for option in ("--version", "--help")
        )
    )
    found = re.search(r"(util-linux) (\d+\.\d+(?:\.\d+)?)|(BusyBox) v(\d+\.\d+(?:\.\d+)?)", said)
    return " ".join(filter(None, found.groups())) if found else None


def brief(operation: Mapping[str, Any]) -> str:
    """An operation in the words of :data:`FORMS`."""
    recursive = "r" if operation.get("recursive") else ""
    match operation["op"]:
        case "bind" | "move":
            return f"{recursive}{operation['op']} {operation['source']} {operation['target']}"
        case "propagation":
            return f"make-{recursive}{operation['type']} {operation['target']}"
        case "remount":
            flags = ",".join(["ro" if operation["ro"] else "rw", *operation["flags"]])
            return f"remount {flags} {operation['target']}"
        case "mount":
            options = ",".join(operation["options"])
            return f"new {operation['fstype']} {operation['source']} {operation['target']} {options}"
        case "umount":
            return f"umount {'-l ' if operation['lazy'] else ''}{operation['target']}"
        case "clone_ns":
            return "clone +user" if operation["new_userns"] else "clone"
        case other:
            raise AssertionError(other)
