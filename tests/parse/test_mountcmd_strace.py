"""The system calls that are read from a command line are those that util-linux makes: strace(1) is the witness."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mntscope.kernel import syscalls
from tests.support.commands import FORMS
from tests.support.throwaway import Scratch

BELOW = {"/mnt/a": ["/mnt/a/s", "/mnt/a"]}
"""What umount --recursive unmounts in the scene."""


@pytest.fixture(scope="module", autouse=True)
def strace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    traced = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False)
    if traced.returncode:
        pytest.skip("strace may not trace here")
    version = subprocess.run(["mount", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"util-linux (\d+)\.(\d+)", version)
    if not found or tuple(map(int, found.groups())) < (2, 38):
        pytest.skip(f"the calls are those of util-linux 2.38, this is {version.strip() or 'another mount'}")


@pytest.mark.parametrize(("command", "calls"), FORMS, ids=[command for command, _ in FORMS])
def test_the_calls_are_those_of_util_linux(scratch: Scratch, tmp_path: Path, command: str, calls: list[str]) -> None:
    made = scratch(_traced, command, tmp_path / "trace")
    assert made == [call for call in _expanded(calls) if not call.startswith("(")]


def _expanded(calls: list[str]) -> Iterator[str]:
    for call in calls:
        if " -R " in call:
            start, target = call.split("-R ")
            yield from (start + mount_point for mount_point in BELOW[target])
        else:
            yield call.replace(",..", ",relatime")


def _traced(command: str, trace: Path) -> list[str]:
    syscalls.mount("scene", "/mnt", "tmpfs", 0)
    for name in ("a", "b", "plain"):
        os.mkdir(f"/mnt/{name}")
    syscalls.mount("x", "/mnt/a", "tmpfs", 0)
    os.mkdir("/mnt/a/s")
    syscalls.mount("y", "/mnt/a/s", "tmpfs", 0)
    watched: list[str | Path] = [
        "strace",
        "-f",
        "-qq",
        "-e",
        "trace=mount,umount2,unshare",
        "-e",
        "signal=none",
        "-s",
        "4096",
        "-o",
        trace,
    ]
    # Since 2.39 mount(8) makes newer calls unless it is told not to.
    environment = {**os.environ, "LIBMOUNT_FORCE_MOUNT2": "always"}
    subprocess.run(
        [*watched, "sh", "-c", command], cwd="/", env=environment, capture_output=True, check=False, timeout=60
    )
    lines = trace.read_text().splitlines()
    return [call for line in lines if (call := _in_words(line.partition(" ")[2].strip()))]


def _in_words(line: str) -> str | None:
    """One line of strace(1) in the words of ``tests.support.commands``; ``None`` for a call that touches no mount."""
    name, given = re.fullmatch(r"(\w+)\((.*)\) += .*", line).groups()  # type: ignore[union-attr]
    words = [
        word[1:-1].replace('\\"', '"') if word[0] == '"' else word
        for word in re.findall(r'"(?:[^"\\]|\\.)*"|[^, ]+', given)
    ]
    flags = set(words[3 if name == "mount" else -1].split("|"))
    if name == "unshare":
        return f"clone{' +user' * ('CLONE_NEWUSER' in flags)}" if "CLONE_NEWNS" in flags else None
    if name == "umount2":
        return f"umount {'-l ' * ('MNT_DETACH' in flags)}{words[0]}"
    source, target, fs_type = (os.path.normpath(word) if word.startswith("/") else word for word in words[:3])
    recursive = "r" * ("MS_REC" in flags)
    if {"MS_REMOUNT", "MS_BIND"} <= flags:
        shown = [flag for flag in ORDER if f"MS_{flag.upper()}" in flags]
        return f"remount {','.join(['ro' if 'MS_RDONLY' in flags else 'rw', *shown])} {target}"
    if "MS_BIND" in flags:
        return f"{recursive}bind {source} {target}"
    if "MS_MOVE" in flags:
        return f"move {source} {target}"
    for kind in ("shared", "slave", "private", "unbindable"):
        if f"MS_{kind.upper()}" in flags:
            return f"make-{recursive}{kind} {target}"
    return f"new {fs_type} {source} {target} {_field_6(flags)}"


ORDER = ("nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime", "strictatime", "nosymfollow")


def _field_6(flags: set[str]) -> str:
    """The options that mountinfo shows of a mount made with these flags."""
    atime = "MS_NOATIME" if "MS_NOATIME" in flags else "MS_RELATIME"
    shown = flags - {"MS_RELATIME"} if "MS_STRICTATIME" in flags else flags - {"MS_RELATIME"} | {atime}
    return ",".join(
        [
            "ro" if "MS_RDONLY" in flags else "rw",
            *(name for name in ORDER if name != "strictatime" and f"MS_{name.upper()}" in shown),
        ]
    )
