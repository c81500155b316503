"""What the kernel at hand has: a test of what it has not is skipped, and says so with the release that brought it.

The kernel itself is asked, by a call that changes nothing: a number tells little where changes go into old kernels too.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import pytest

from mntscope.errors import KernelError
from mntscope.kernel import syscalls
from mntscope.live import statmount


@dataclass(frozen=True)
class Feature:
    """Something that kernels have since a release."""

    name: str
    since: str
    here: Callable[[], bool]

    @property
    def missing(self) -> str:
        """Why a test is skipped that needs it."""
        return f"this kernel has no {self.name} (Linux {self.since})"


def _answers(call: Callable[..., object], *arguments: object, otherwise: tuple[int, ...] = (errno.ENOSYS,)) -> bool:
    """Whether the kernel has a call, which fails: not in the way in which one fails that it has not."""
    try:
        call(*arguments)
    except KernelError as error:
        return error.errno not in otherwise
    return True


def _of_own_namespace(call: Callable[[int], object]) -> bool:
    with open("/proc/self/ns/mnt") as namespace, suppress(OSError):
        return _answers(call, namespace.fileno(), otherwise=(errno.ENOTTY,))
    return False


def _lists_namespaces() -> bool:
    return _of_own_namespace(lambda fd: os.close(syscalls.ns_mnt_get_next(fd)[0]))


_NOWHERE = -1
"""No descriptor: EBADF, unless the call is refused before that is looked at."""

MOUNT_SETATTR = Feature("mount_setattr(2)", "5.12", lambda: _answers(syscalls.mount_setattr, _NOWHERE, "", 0))
SET_GROUP = Feature(
    "MOVE_MOUNT_SET_GROUP",
    "5.15",
    lambda: _answers(
        syscalls.move_mount, _NOWHERE, "a", _NOWHERE, "b", syscalls.MOVE_MOUNT_SET_GROUP, otherwise=(errno.EINVAL,)
    ),
)
BENEATH = Feature(
    "MOVE_MOUNT_BENEATH",
    "6.5",
    lambda: _answers(
        syscalls.move_mount, _NOWHERE, "a", _NOWHERE, "b", syscalls.MOVE_MOUNT_BENEATH, otherwise=(errno.EINVAL,)
    ),
)
LISTMOUNT = Feature("listmount(2)", "6.8", lambda: _answers(syscalls.listmount, syscalls.LSMT_ROOT))
MNTNS_ID = Feature("NS_GET_MNTNS_ID", "6.11", lambda: _of_own_namespace(syscalls.ns_get_mntns_id))
LISTS_NAMESPACES = Feature("NS_MNT_GET_NEXT", "6.12", _lists_namespaces)
STATMOUNT_TELLS_ALL = Feature("all of a line of mountinfo by statmount(2)", "6.15", statmount.supported)


def needs(*features: Feature) -> pytest.MarkDecorator:
    """The mark of a test for which the kernel must have all *features*."""
    reasons = [feature.missing for feature in features if not feature.here()]
    return pytest.mark.skipif(bool(reasons), reason=", ".join(reasons) or "nothing is missing")
