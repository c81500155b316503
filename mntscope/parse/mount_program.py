"""Which mount(8), umount(8) and unshare(1) a command line is for, and where their versions differ. The one table of it.

util-linux makes mounts by the newer calls (open_tree(2), mount_setattr(2), move_mount(2)) since 2.39, which does more
than save a call: what an option sets is set on the copy before that is attached, and so on every copy that propagates.
"""

from __future__ import annotations

import re

from mntscope.base.records import dataclass

Version = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Change:
    """Something that the programs of util-linux do since a version."""

    name: str
    """What they do, in few words."""
    source: str
    """Where: the file of util-linux."""
    since: Version


FLAGS_BEFORE_ATTACHING = Change(
    "what -o sets on a bind is set on its propagated copies, on the host, too",
    "libmount/src/hook_mount.c",
    (2, 39),
)
LATEST_ATIME_WINS = Change(
    "of noatime, relatime and strictatime the last counts",
    "libmount/src/hook_mount.c",
    (2, 39),
)
SAME_TWICE = Change(
    "the same filesystem may be mounted twice at one place",
    "libmount/src/hook_mount.c",
    (2, 39),
)
FLAGS_BEFORE_MOVING = Change(
    "what -o sets on what is moved is set before it is moved",
    "libmount/src/hook_mount.c",
    (2, 39),
)
EVERY_LAYER = Change(
    "umount --recursive takes every mount of a stack",
    "sys-utils/umount.c",
    (2, 39),
)

PRIVATE_EXCUSED = Change(
    "unshare --mount-proc=DIR goes on where DIR is no mount point",
    "sys-utils/unshare.c",
    # 2.36 does not, 2.38 does; 2.37 was not tried.
    (2, 37),
)

CHANGES = (PRIVATE_EXCUSED, FLAGS_BEFORE_ATTACHING, LATEST_ATIME_WINS, SAME_TWICE, FLAGS_BEFORE_MOVING, EVERY_LAYER)

_NAME = re.compile(r"util-linux (\d{1,3})\.(\d{1,4})(?:\.\d{1,4})?|(\d{1,3})\.(\d{1,4})(?:\.\d{1,4})?")


@dataclass(frozen=True, slots=True)
class MountProgram:
    """The programs that carry a command line out."""

    name: str
    """``util-linux 2.41``; empty where it is not known."""
    version: Version | None
    """``None``: not known, taken for the newest."""

    @classmethod
    def of(cls, name: str | None) -> MountProgram:
        """The programs of this name, such as ``util-linux 2.38.1``; others than util-linux's are not known."""
        found = _NAME.fullmatch(name or "")
        if found is None:
            return cls(name or "", None)
        major, minor = found[1] or found[3], found[2] or found[4]
        return cls(name if name and name.startswith("util") else f"util-linux {name}", (int(major), int(minor)))

    def has(self, change: Change) -> bool:
        """Whether they do it."""
        if self.busybox:
            return False
        return self.version is None or self.version >= change.since

    @property
    def busybox(self) -> bool:
        """Whether they are BusyBox's: one mount(2) with all flags, of which the kernel heeds some.

        A bind ignores options and propagation, ``remount,bind`` ignores propagation and never takes ``ro`` back.
        Seen in 1.35.
        """
        return self.name.startswith("BusyBox")

    def doubts(self, *, differs: bool) -> tuple[str, ...]:
        """What is not known where these are not; *differs*: versions of util-linux do something else here."""
        if self.busybox:
            return (f"which options {self.name} knows: it refuses some that util-linux has",)
        if not differs:
            return ()
        if self.name:
            return (f"what {self.name} makes of it: predicted is what util-linux does since 2.39",)
        return (
            "which mount(8) carries it out: predicted is util-linux 2.39 or later, and earlier ones do otherwise here",
        )


NEWEST = MountProgram("", None)
BEFORE_THE_NEW_CALLS = MountProgram("util-linux 2.38", (2, 38))
