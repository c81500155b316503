"""What a command opens outside of Python's own files, as strace(1) sees it: the command and all its children.

::

    found = opened(machine, tmp_path / "log", "ns")
    assert Opened("openat", "/proc/PID/mountinfo", "/proc/PID/mountinfo") in found

Directory descriptors are followed, so a path is whole however it was named. It is told of as it was asked for, and as
what it led to: links in it may have been somebody else's. The numbers of processes, descriptors and namespaces are left
out. What failed counts too.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.support.repository import ROOT
from tests.support.throwaway import Host

OPENING = frozenset((
    "open", "creat", "openat", "openat2", "open_tree", "open_tree_attr", "name_to_handle_at", "fspick", "execve",
    "execveat", "readlink", "readlinkat",
))  # fmt: skip
"""Calls that open what they name, run it, or read where it leads."""

_FORKING = frozenset(("clone", "clone3", "fork", "vfork"))
_OTHERS = ("setns", "unshare", "fchdir", *_FORKING)  # beside those that name a file: chdir, chroot, pivot_root

_OWN = (
    *(sys.prefix, sys.base_prefix, str(ROOT)),
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/locale", "/usr/share/zoneinfo"),
    *("/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/localtime", "/dev/null", "/dev/urandom"),
)
"""Where Python, its libraries and what they read are."""

_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+|\?)(?:<((?:[^<>\\]|\\.)*)>)?", re.DOTALL)
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_DESCRIPTOR = re.compile(r"(?:AT_FDCWD|-?\d+)<((?:[^<>\\]|\\.)*)>")
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|.)", re.DOTALL)
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f"}
_NUMBERS = re.compile(r"(?<=/proc/)\d+|(?<=/task/)\d+|(?<=/fd/)\d+|(?<=/fdinfo/)\d+")
_WORDS = {"proc": "PID", "task": "TID", "fd": "FD", "fdinfo": "FD"}


@dataclass(frozen=True, order=True, slots=True)
class Opened:
    """A path, and how it was opened."""

    call: str
    path: str
    got: str = ""
    """What the descriptor is of that was given: the path, or a name such as ``mnt:[N]``; empty where there is none."""
    inside: bool = False
    """By a process that had entered another mount namespace or root directory: what the path means there."""


def opened(host: Host, log: Path, *words: object, **options: Any) -> set[Opened]:
    """What ``mntscope WORDS..`` in *host* opens; *log* is for strace to write, *options* are those of Host.run."""
    program = "import sys; from mntscope.cli import main; sys.exit(main())"
    strace = ["strace", "-f", "-y", "-s", "4096", "--pidns-translation", "-o", log]
    traced = ["-e", f"trace=%file,{','.join(_OTHERS)}", sys.executable, "-c", program]
    host.run([*strace, *traced, *words], **options)
    cwd = str(options.get("cwd", os.getcwd()))
    return {each for each in read(log.read_text("utf-8", "surrogateescape"), cwd) if not _is_own(each.path)}


def read(log: str, cwd: str = "/") -> Iterator[Opened]:
    """What a log of strace says was opened, by processes the first of which began in the directory *cwd*."""
    calls = list(_calls(log.splitlines()))
    parents = {child: parent for parent, name, _, child, _ in calls if name in _FORKING}
    states: dict[int, _State] = {}
    for pid, name, arguments, result, got in calls:
        if pid not in states:
            # A child begins as its parent is: it may be heard of before the call that made it has returned.
            states[pid] = states.get(parents.get(pid, 0), _State(cwd))
        state = states[pid]
        if name in OPENING and (path := state.path(arguments)) is not None:
            yield Opened(name, _numberless(path), _numberless(_unescaped(got)), state.inside)
        if result == 0:
            states[pid] = state.after(name, arguments)


@dataclass(frozen=True, slots=True)
class _State:
    """Where a process is."""

    cwd: str
    inside: bool = False

    def path(self, arguments: str) -> str | None:
        """The one that a call was given: behind a descriptor, or behind the current directory."""
        named = _STRING.search(arguments)
        at = _DESCRIPTOR.match(arguments)
        if named is None:
            return None
        directory = at[1] if at is not None else self.cwd
        path = os.path.join(_unescaped(directory), _unescaped(named[1])) if named[1] else _unescaped(directory)
        return re.sub(r"/(\./)+|/{2,}", "/", path)

    def after(self, name: str, arguments: str) -> _State:
        """Where it is after a call that went well."""
        entered = name in ("setns", "unshare") and ("CLONE_NEWNS" in arguments or "<mnt:" in arguments)
        if entered or name in ("chroot", "pivot_root"):
            return replace(self, inside=True)
        if name == "chdir":
            return replace(self, cwd=self.path(arguments) or self.cwd)
        if name == "fchdir" and (at := _DESCRIPTOR.match(arguments)):
            return replace(self, cwd=_unescaped(at[1]))
        return self


def _calls(lines: Iterable[str]) -> Iterator[tuple[int, str, str, int, str]]:
    """The process, the name of the call, its arguments as they are written, its result (-1 for none), and what of."""
    begun: dict[str, str] = {}
    for line in lines:
        pid, _, rest = line.partition(" ")
        rest = rest.lstrip()
        # A process has one number in its own PID namespace, and one for strace: "12 /* 345 in strace's PID NS */".
        rest = re.sub(r"-?\d+ /\* (\d+) in strace's PID NS \*/", r"\1", rest)
        if rest.endswith("<unfinished ...>"):
            begun[pid] = rest.removesuffix("<unfinished ...>")
            continue
        if rest.startswith("<... "):
            rest = begun.pop(pid, "") + rest.partition(" resumed>")[2]
        if call := _CALL.match(rest):
            yield int(pid), call[1], call[2], int(call[3]) if call[3] != "?" else -1, call[4] or ""


def _unescaped(text: str) -> str:
    data = text.encode("utf-8", "surrogateescape")
    return _ESCAPE.sub(_character, data).decode("utf-8", "surrogateescape")


def _character(escape: re.Match[bytes]) -> bytes:
    said = escape[1]
    return bytes([int(said, 8)]) if said.isdigit() else _LETTERS.get(said, said)


def _numberless(path: str) -> str:
    path = re.sub(r"^(\w+):\[\d+\]", r"\1:[N]", path)
    return _NUMBERS.sub(lambda found: _WORDS[path[: found.start()].rsplit("/", 2)[1]], path)


def _is_own(path: str) -> bool:
    return any(path == own or path.startswith(f"{own}/") for own in _OWN)
