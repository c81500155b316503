"""Whose machine this is: what pid 1 calls it and has for its machine-id(5) and os-release(5), not what a container has.

mntscope may run in a container that shares the machine's processes, such as a pod with ``hostPID``. There its own name
and its own files are those of an image, which are the same on many machines; so the machine's are asked of pid 1.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress

from mntscope.base import machine_id
from mntscope.base.os_release import pretty_name
from mntscope.base.own_version import VERSION
from mntscope.base.records import NamedTuple
from mntscope.errors import MntscopeError
from mntscope.kernel import syscalls
from mntscope.kernel.worker import in_child
from mntscope.live.procfs import Proc, namespace_link
from mntscope.model import Origin

_OS_RELEASES = ("etc/os-release", "usr/lib/os-release")
_LONGEST = 4096
"""Bytes of an os-release file."""


class Whose(NamedTuple):
    """What there is to say of a machine beside its mounts."""

    origin: Origin
    distribution: str | None


def whose(proc: Proc, host: int | None, *, identify: bool) -> Whose:
    """The machine that *proc* is of, now. What cannot be told, or does not answer in time, is ``None``.

    *host* is the inode of the mount namespace that was found to be pid 1's, also where pid 1 may not be asked. Without
    *identify* neither the machine id nor mntscope's version is asked for, and the distribution only where it is this
    process's own: a child, and loading what these take, would double the time of a short command.
    """
    seconds, at_home = int(time.time()), _at_home(proc)
    name = os.uname().nodename if at_home else ""
    if at_home and not identify:
        return Whose(Origin(host_name=name or None, time=seconds), _own_distribution(proc, host))
    theirs = identity = distribution = b""
    with suppress(MntscopeError, OSError):
        told = in_child(lambda: _told(proc, host, at_home=at_home), where="pid 1")
        theirs, identity, distribution = told.split(b"\0", 2)
    origin = Origin(
        host_name=name or os.fsdecode(theirs) or None,
        machine_id=machine_id.derived(identity) if identify else None,
        time=seconds,
        mntscope=VERSION if identify else None,
    )
    return Whose(origin, pretty_name(distribution))


def _at_home(proc: Proc) -> bool:
    """Whether this process has the name of its machine: the UTS namespace of pid 1, as far as that may be known."""
    try:
        return namespace_link("uts", "1", dir_fd=proc.fd) == namespace_link("uts", "self", dir_fd=proc.fd)
    except (OSError, ValueError):
        return True


def _own_distribution(proc: Proc, host: int | None) -> str | None:
    """The one of this process, where it lives in the mount namespace of pid 1."""
    with suppress(OSError, ValueError):
        if host is not None and namespace_link("mnt", "self", dir_fd=proc.fd) == host:
            with open("/etc/os-release", "rb") as file:
                return pretty_name(file.read(_LONGEST))
    return None


# What happens in the child


def _told(proc: Proc, host: int | None, *, at_home: bool) -> bytes:
    """The host name, and two files, with a zero behind each of the first two; what cannot be told is empty."""
    name = identity = distribution = b""
    with suppress(OSError):
        root = _root(proc, host)
        identity = _content(proc, root, "etc/machine-id", machine_id.LONGEST).replace(b"\0", b"?")
        distribution = next(filter(None, (_content(proc, root, each, _LONGEST) for each in _OS_RELEASES)), b"")
    with suppress(OSError):
        if not at_home:
            syscalls.setns(os.open("1/ns/uts", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc.fd), syscalls.CLONE_NEWUTS)
        name = os.fsencode(os.uname().nodename)
    return b"\0".join((name, identity, distribution))


def _root(proc: Proc, host: int | None) -> int:
    """The root directory of pid 1, as a place; our own where that is refused and we live in its mount namespace.

    :raises OSError: neither.
    """
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        return os.open("1/root", flags, dir_fd=proc.fd)
    except OSError:
        # Refused, or hidden (hidepid of proc(5)).
        if host is None or namespace_link("mnt", "self", dir_fd=proc.fd) != host:
            raise
        return os.open("self/root", flags, dir_fd=proc.fd)


def _content(proc: Proc, root: int, path: str, most: int) -> bytes:
    """The beginning of a regular file, links within that root followed; nothing if it is something else."""
    from mntscope.live.foreign import closing, follow

    with suppress(OSError), closing(follow(root, path)) as place:
        if stat.S_ISREG(os.fstat(place).st_mode):
            with closing(os.open(f"self/fd/{place}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=proc.fd)) as fd:
                return os.read(fd, most)
    return b""
