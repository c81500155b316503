"""Filesystems whose server never answers, which anybody may mount in a user namespace of his own."""

from __future__ import annotations

import os
import signal
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
