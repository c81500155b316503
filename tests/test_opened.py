"""Beside a hostile container, a command opens what it says it does, and nothing that the container chose."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mntscope.kernel import syscalls
from tests.opened import Opened, opened, read
from tests.throwaway import Actor, Host


@pytest.fixture(scope="module", autouse=True)
def strace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    if subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace may not trace here")


@pytest.fixture
def hostile(machine: Host, tmp_path: Path) -> Actor:
    """A container in which what leads to /proc/1 leads to files of its choice."""
    secret = tmp_path / "secret"
    secret.write_text("of the host\n")

    def set_up() -> None:
        syscalls.mount("bait", "/mnt", "tmpfs", 0)
        os.makedirs("/mnt/one/ns")
        for name in ("status", "cgroup", "mountinfo", "stat", "cmdline", "comm"):
            os.symlink(secret, f"/mnt/one/{name}")
        os.symlink("pid:[not-a-number]", "/mnt/one/ns/pid")
        syscalls.mount("proc", "/proc", "proc", 0)
        syscalls.mount("/mnt/one", "/proc/1", None, syscalls.MS_BIND)

    return machine.unshare("private", set_up, new_pids=True)


COMMANDS = ["ns", "diff {target}"]


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_opened_but_proc_and_the_state_of_runtimes(
    machine: Host, hostile: Actor, command: str, tmp_path: Path
) -> None:
    words = command.format(target=hostile.inner).split()
    found = opened(machine, tmp_path / "log", *words)
    assert Opened("openat", "/proc/PID/mountinfo", "/proc/PID/mountinfo") in found
    assert {each for each in found if not is_ours(each.path)} == set()
    assert {each for each in found if each.got and not is_ours(each.got)} == set()


def is_ours(path: str) -> bool:
    """Of procfs, a namespace, or where the runtimes of containers keep their state."""
    return path == "/proc" or path.startswith(("/proc/", "/run/")) or re.fullmatch(r"\w+:\[N\]", path) is not None


# The log of strace, read

LOG = r"""
10 execve("/usr/bin/thing", ["thing"], 0x7ffd /* 3 vars */) = 0
10 openat(AT_FDCWD</home>, "notes", O_RDONLY|O_CLOEXEC) = 3</home/notes>
10 open("relative", O_RDONLY) = -1 ENOENT (No such file or directory)
10 openat(4</proc>, "123/task/124/fd/5", O_PATH) = 5</etc/passwd>
10 openat2(4</proc/7>, "./root/proc", {flags=O_RDONLY, resolve=RESOLVE_NO_XDEV}, 24) = -1 EXDEV (Invalid ..)
10 open_tree(6</mnt/a\74b>, "", OPEN_TREE_CLONE|AT_EMPTY_PATH) = 7</mnt>
10 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD <unfinished ...>
11 setns(5<mnt:[4026532000]>, CLONE_NEWNS <unfinished ...>
10 <... clone resumed>, child_tidptr=0x7f) = 2 /* 11 in strace's PID NS */
11 <... setns resumed>) = 0
11 chdir("/srv") = 0
11 open("with \"quotes\"\n\303\244", O_RDONLY) = 3</srv/x>
10 readlinkat(4</proc>, "self/ns/mnt", "mnt:[4026531841]", 64) = 16
11 +++ exited with 0 +++
10 chroot("/jail") = -1 EPERM (Operation not permitted)
10 execve("./tool", ["tool"], 0x7ffd /* 3 vars */) = 0
"""


def test_descriptors_and_directories_are_followed_into_every_child() -> None:
    assert list(read(LOG, cwd="/home")) == [
        Opened("execve", "/usr/bin/thing"),
        Opened("openat", "/home/notes", "/home/notes"),
        Opened("open", "/home/relative"),
        Opened("openat", "/proc/PID/task/TID/fd/FD", "/etc/passwd"),
        Opened("openat2", "/proc/PID/root/proc"),
        Opened("open_tree", "/mnt/a<b", "/mnt"),
        Opened("open", '/srv/with "quotes"\nä', "/srv/x", inside=True),
        Opened("readlinkat", "/proc/self/ns/mnt"),
        Opened("execve", "/home/tool"),
    ]
