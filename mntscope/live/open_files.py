"""What processes have of a filesystem: working and root directories, programs, open and mapped files.

It is found without touching the filesystem, whose server may be gone: the kernel tells device and mount of what a link
in /proc/PID leads to from what it remembers (statx(2) with AT_STATX_DONT_SYNC). A few filesystems are asked all the
same (NFS and 9p, whether it still exists), so a child does it, which is killed when it does not go on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import islice

from mntscope.analysis.references import Kind, Reference, References
from mntscope.base.counting import counted
from mntscope.base.records import NamedTuple
from mntscope.errors import MntscopeError, NoAnswerError
from mntscope.kernel import syscalls
from mntscope.kernel.worker import Child, WorkerLostError, write_all
from mntscope.live.procfs import open_proc
from mntscope.model import Problem, Process

SHARE = 0.5
"""Seconds for which the child may say nothing before the process that it looks at is passed over."""
MOST_STUCK = 4
"""After so many processes that are not answered for, no other is looked at."""
MOST_FILES = 1 << 16
"""Descriptors of a process that are looked at."""
MOST_FOUND = 1 << 14
"""References after which no other is looked for."""
LONGEST_MAPS = 1 << 23
"""Bytes of the list of a process's mappings that are read."""

_DONT_SYNC = 0x4000  # AT_STATX_DONT_SYNC
_MNT_ID = 0x1000  # STATX_MNT_ID (Linux 5.8)
_FIELDS = 7
_MAPPING = re.compile(rb"([0-9a-f]+-[0-9a-f]+) \S+ \S+ ([0-9a-f]+):([0-9a-f]+) ([0-9]+) +([^\n]*)")


class _Found(NamedTuple):
    """What the child says of one reference."""

    kind: Kind
    number: int | None
    device: str
    mount_id: int | None
    path: str


def open_on(devices: frozenset[str] | None) -> References:
    """What processes have of filesystems (``major:minor``); of any block device where that is ``None``.

    mntscope itself is left out.
    """
    found: list[Reference] = []
    refused: list[int] = []
    stuck: list[int] = []
    with open_proc() as proc:
        pending = [pid for pid in proc.pids() if pid != os.getpid()]
        while pending and len(stuck) < MOST_STUCK and len(found) < MOST_FOUND:
            done, answers = _ask(partial(_tell_each, proc.fd, pending, devices))
            _take(answers, found, refused)
            if done is None:
                break
            # The next one is the one for which it waited.
            left = pending[done:]
            stuck += left[:1]
            pending = left[1:]
    return References(tuple(found[:MOST_FOUND]), tuple(_problems(refused, stuck, full=len(found) >= MOST_FOUND)))


def _problems(refused: list[int], stuck: list[int], *, full: bool) -> Iterator[Problem]:
    if refused:
        who = "; run mntscope as root" if os.geteuid() else ""
        yield Problem(f"what {counted(len(refused), 'process')} may have open ({_listed(refused)}){who}")
    if stuck:
        yield Problem(f"what {counted(len(stuck), 'process')} may have open ({_listed(stuck)}): it did not answer")
    if len(stuck) >= MOST_STUCK or full:
        yield Problem("what further processes may have open: there is too much of it")


def _listed(pids: list[int]) -> str:
    return ", ".join(map(str, pids[:8])) + (", .." if len(pids) > 8 else "")


def _ask(tell: partial[None]) -> tuple[int | None, list[bytes]]:
    """What a child says until its end, or until it waits; and then for how many processes it has answered."""
    child = Child(tell)
    answers = b""
    try:
        while part := child.read(1 << 16, SHARE):
            answers += part
    except (NoAnswerError, WorkerLostError):
        fields = answers.split(b"\0")
        whole = fields[: len(fields) // _FIELDS * _FIELDS]
        return whole[1::_FIELDS].count(b"end"), whole
    finally:
        child.end()
    return None, answers.split(b"\0")[:-1]


def _take(fields: list[bytes], found: list[Reference], refused: list[int]) -> None:
    for begin in range(0, len(fields) - _FIELDS + 1, _FIELDS):
        pid, kind, comm, number, device, mount_id, path = map(os.fsdecode, fields[begin : begin + _FIELDS])
        if kind == "refused":
            refused.append(int(pid))
        elif kind in ("cwd", "root", "exe", "fd", "map"):
            found.append(
                Reference(
                    process=Process(int(pid), comm=comm),
                    kind=kind,  # type: ignore[arg-type]
                    number=int(number) if number else None,
                    device=device,
                    mount_id=int(mount_id) if mount_id else None,
                    path=path,
                )
            )


# In the child


def _tell_each(proc: int, pids: list[int], devices: frozenset[str] | None, out: int) -> None:
    for pid in pids:
        lines: list[tuple[str, ...]] = []
        with suppress(OSError, ValueError, MntscopeError):
            directory = os.open(str(pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc)
            try:
                found = list(islice(_references(directory, devices), MOST_FOUND))
                comm = _read(directory, "comm", 64).rstrip(b"\n") if found else b""
                for one in found:
                    number, mount_id = (("" if each is None else str(each)) for each in (one.number, one.mount_id))
                    lines.append((one.kind, os.fsdecode(comm), number, one.device, mount_id, one.path))
            except PermissionError:
                lines.append(("refused", "", "", "", "", ""))
            finally:
                os.close(directory)
        lines.append(("end", "", "", "", "", ""))
        write_all(out, b"".join(os.fsencode("\0".join((str(pid), *line))) + b"\0" for line in lines))


def _references(directory: int, devices: frozenset[str] | None) -> Iterator[_Found]:
    program = ""
    for kind in ("cwd", "root", "exe"):
        # A kernel thread has no program.
        with suppress(FileNotFoundError):
            found = _at(directory, kind, kind, devices)
            if found is not None:
                yield found
                program = found.path if kind == "exe" else ""
    descriptors = os.open("fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        with os.scandir(descriptors) as entries:
            names = sorted(int(entry.name) for entry in islice(entries, MOST_FILES))
        for number in names:
            with suppress(FileNotFoundError):
                found = _at(descriptors, str(number), "fd", devices)
                if found is not None:
                    yield found._replace(number=number)
    finally:
        os.close(descriptors)
    yield from (found for found in _mapped(directory, devices) if found.path != program)


def _at(directory: int, name: str, kind: Kind, devices: frozenset[str] | None) -> _Found | None:
    """What a link of proc leads to, if that is on one of the filesystems."""
    path = os.readlink(name, dir_fd=directory)
    # Pipes, sockets and the like are on no filesystem that anybody mounts.
    if not path.startswith("/"):
        return None
    device, mount_id = _place(directory, name)
    return _Found(kind, None, device, mount_id, path) if _is_meant(device, devices) else None


def _place(directory: int, name: str) -> tuple[str, int | None]:
    """Device and mount ID of what a link leads to."""
    import struct

    told = syscalls.statx(directory, name, syscalls.AT_NO_AUTOMOUNT | _DONT_SYNC, _MNT_ID)
    (mask,) = struct.unpack_from("=I", told)
    major, minor, mount_id = struct.unpack_from("=IIQ", told, 136)
    return f"{major}:{minor}", mount_id if mask & _MNT_ID else None


def _is_meant(device: str, devices: frozenset[str] | None) -> bool:
    return device in devices if devices is not None else not device.startswith("0:")


def _mapped(directory: int, devices: frozenset[str] | None) -> Iterator[_Found]:
    """The files that are mapped, each once."""
    seen: set[bytes] = set()
    for match in _MAPPING.finditer(_read(directory, "maps", LONGEST_MAPS)):
        span, major, minor, inode, path = match.groups()
        device = f"{int(major, 16)}:{int(minor, 16)}"
        if inode == b"0" or not _is_meant(device, devices) or inode in seen:
            continue
        seen.add(inode)
        mount_id = None
        with suppress(OSError):
            mount_id = _place(directory, f"map_files/{os.fsdecode(span)}")[1]
        yield _Found("map", None, device, mount_id, os.fsdecode(path))


def _read(directory: int, name: str, most: int) -> bytes:
    fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    with open(fd, "rb", buffering=0) as file:
        parts, left = [], most
        while left > 0 and (part := file.read(min(left, 1 << 16))):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
