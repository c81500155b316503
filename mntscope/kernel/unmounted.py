"""A filesystem that is mounted nowhere: nobody can put anything over it, and it ends with the last descriptor."""

from __future__ import annotations

import os

from mntscope.kernel import syscalls


def unmounted(fs_type: str) -> int:
    """A descriptor of the root directory of such a filesystem (fsopen(2), fsmount(2), Linux 5.2), which can be listed.

    :raises KernelError: the kernel refuses.
    """
    configured = syscalls.fsopen(fs_type, syscalls.FSOPEN_CLOEXEC)
    try:
        syscalls.fsconfig(configured, syscalls.FSCONFIG_CMD_CREATE, None, None)
        mounted = syscalls.fsmount(configured, syscalls.FSMOUNT_CLOEXEC, 0)
    finally:
        os.close(configured)
    # fsmount(2) gives an O_PATH descriptor, which cannot be listed.
    try:
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=mounted)
    finally:
        os.close(mounted)
