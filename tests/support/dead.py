"""Filesystems whose server never answers, which anybody may mount in a user namespace of his own."""

from __future__ import annotations

import errno
import os
import signal
import struct
from collections.abc import Callable

from mntscope.kernel import syscalls


def dead_filesystem(path: str, *, greedy: bool = False) -> Callable[[], None]:
    """Mounts a FUSE filesystem at *path* that never answers; for a process that then stays, since it is the server.

    One that is *greedy* takes every request: a process that waits for the answer cannot even be killed.
    """

    def mount() -> None:
        server = os.open("/dev/fuse", os.O_RDWR)
        syscalls.mount("dead", path, "fuse.dead", 0, f"fd={server},rootmode=40000,user_id=0,group_id=0")
        if greedy and os.fork() == 0:
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
            while True:
                os.read(server, 1 << 18)

    return mount


def inside_a_dying_filesystem(path: str, *, root: bool = False) -> Callable[[], None]:
    """Has the process live in a filesystem, as its working or *root* directory, whose server then stops to answer."""

    def live_there() -> None:
        server = os.open("/dev/fuse", os.O_RDWR)
        syscalls.mount("dying", path, "fuse.dying", 0, f"fd={server},rootmode=40000,user_id=0,group_id=0")
        alive = os.fork()
        if alive == 0:
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
            while True:
                answer(server)
        os.chdir(path)
        if root:
            os.chroot(".")
        os.kill(alive, signal.SIGKILL)
        os.waitpid(alive, 0)

    return live_there


def answer(server: int) -> None:
    """One request of fuse(4): what it takes to go to the root directory, and no more."""
    request = os.read(server, 1 << 18)
    _, opcode, unique = struct.unpack_from("=IIQ", request)
    init, getattr_, body = 26, 3, b""
    if opcode == init:
        # struct fuse_init_out: the version, and zeros.
        body = struct.pack("=IIII", 7, 31, 0, 0) + struct.pack("=HHII", 0, 0, 4096, 0) + bytes(36)
    elif opcode == getattr_:
        # struct fuse_attr_out: not to be remembered; a directory with the inode 1.
        attr = struct.pack("=6Q", 1, 0, 0, 0, 0, 0) + struct.pack("=10I", 0, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0)
        body = struct.pack("=QII", 0, 0, 0) + attr
    error = 0 if body else -errno.ENOSYS
    os.write(server, struct.pack("=IiQ", 16 + len(body), error, unique) + body)
