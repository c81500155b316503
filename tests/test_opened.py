"""Beside a hostile container, every command opens what SECURITY.md says, and nothing that the container chose."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mntscope.cli.parser import COMMANDS
from mntscope.kernel import syscalls
from tests.support.opened import Opened, opened, read
from tests.support.repository import ROOT
from tests.support.throwaway import Actor, Host

WAYS = {
    "ns": ["ns", "ns --format json -o {dir}/ns.json"],
    "diff": ["diff {target}", "diff ns:/proc/{target}/ns/mnt", "diff container:nobody"],
    "tree": ["tree {target}"],
    "graph": ["graph"],
    "holders": ["holders /mnt", "holders /srv/nothing", "holders"],
    "audit": ["audit", "audit --no-settings --format html"],
    "predict": ["predict {target} -- mount -t tmpfs x /mnt/one", "predict {target} -- umount /proc"],
    "preview": ["preview {dir}/run.sh", "preview {dir}/run.sh --against host --rootfs {dir}"],
    "isolate": ["isolate {target} --dry-run", "isolate {target} --mount-proc --journal {dir}/journal"],
    "undo": ["undo {dir}/journal", "undo --list"],
    "capture": ["capture -o {dir}/machine.json.gz", "capture {target} -o {dir}/one.json.gz --with-secrets"],
    "fleet": ["fleet report {dir}", "fleet add {dir}/machine.json.gz -o {dir}/fleet --workers 1"],
    "run": ["run -- true", "run --pid -- true"],
    "watch": ["watch --for 1 --record {dir}/recording", "watch --for 1 --source poll --format json"],
    "explain": ["explain MNT001"],
    "completion": ["completion bash"],
    "lab": ["lab"],
    "selftest": ["selftest --operations 20"],
}


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


def test_every_command_is_tried() -> None:
    assert set(WAYS) == set(COMMANDS)


def test_every_command_opens_what_is_listed(machine: Host, hostile: Actor, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "run.sh").write_text(f"docker run -v {tmp_path}/volume:/volume:rslave debian\n")
    listed = listed_paths()
    strangers = []
    for command in (line for lines in WAYS.values() for line in lines):
        words = command.format(target=hostile.inner, dir=tmp_path).split()
        named = [word.partition(":")[2] if word.startswith("ns:") else word for word in words if "/" in word]
        places = [tmp_path, *map(Path, named)]
        allowed = [*listed, *(re.escape(str(path)) for place in places for path in (place, *place.parents))]
        # What is written, and a program that is looked for.
        allowed += [re.escape(str(tmp_path)) + "/.*", *(rf"{re.escape(place)}/true" for place in os.get_exec_path())]
        found = opened(machine, tmp_path / "log", *words, cwd=tmp_path)
        # These two open much, in namespaces that they have made for themselves.
        if words[0] not in ("lab", "selftest"):
            strangers += [(command, each) for each in sorted(found) if not is_listed(each, allowed)]
        assert not any(each.got.endswith("/secret") for each in found), command
    assert strangers == [], "\n".join(map(str, strangers))


def listed_paths() -> list[str]:
    """The paths in the first column of the table of SECURITY.md, as patterns."""
    text = (ROOT / "SECURITY.md").read_text()
    rows = re.findall(r"^\| (`.*?) \|", text[text.index("## What is opened") :], re.MULTILINE)
    home = {"HOME": re.escape(os.path.expanduser("~")), "UID": "[0-9]+"}
    patterns = []
    for path in (path for row in rows for path in re.findall("`(.*?)`", row)):
        pattern = re.escape(path).replace(re.escape("/..."), "(?:/.*)?")
        patterns.append(re.sub("HOME|UID", lambda word: home[word[0]], pattern))
    return patterns


def is_listed(found: Opened, allowed: list[str]) -> bool:
    return all(
        any(re.fullmatch(pattern, path) for pattern in allowed)
        for path in (os.path.normpath(found.path), found.got)
        if path
    )


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
