"""Which mount(8), umount(8) and unshare(1) a command line is for, and where their versions differ. The one table of it.

util-linux makes mounts by the newer calls (open_tree(2), mount_setattr(2), move_mount(2)) since 2.39, which does more
than save a call: what an option sets is set on the copy before that is attached, and so on every copy that propagates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

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

OPTIONS_SINCE: Mapping[tuple[str, str], Version] = {
    # 2.36 has none of these, 2.38 has them; 2.37 was not tried.
    ("mount", "--mkdir"): (2, 38),
    ("mount", "-m"): (2, 38),
    ("unshare", "--map-auto"): (2, 38),
    ("unshare", "--map-groups"): (2, 38),
    ("unshare", "--map-users"): (2, 38),
    ("mount", "--beneath"): (2, 42),
}
"""Of the options that are understood, those that a program of util-linux has not always had."""

CHANGES = (PRIVATE_EXCUSED, FLAGS_BEFORE_ATTACHING, LATEST_ATIME_WINS, SAME_TWICE, FLAGS_BEFORE_MOVING, EVERY_LAYER)

_NAME = re.compile(r"util-linux (\d{1,3})\.(\d{1,4})(?:\.\d{1,4})?|(\d{1,3})\.(\d{1,4})(?:\.\d{1,4})?")


_BUSYBOX = re.compile(r"busybox(?:[ -]v?((\d{1,3})\.(\d{1,4})(?:\.\d{1,4})?))?", re.IGNORECASE)
BUSYBOX_TRIED: tuple[Version, Version] = ((1, 30), (1, 38))
"""They all do the same."""


@dataclass(frozen=True, slots=True)
class MountProgram:
    """The programs that carry a command line out."""

    name: str
    """``util-linux 2.41``; empty where it is not known."""
    version: Version | None
    """``None``: not known, taken for the newest."""

    @classmethod
    def of(cls, name: str | None) -> MountProgram:
        """The programs of this name, such as ``util-linux 2.38.1``, ``BusyBox 1.36.1``; others are not known."""
        if busybox := _BUSYBOX.fullmatch(name or ""):
            return cls(" ".join(filter(None, ("BusyBox", busybox[1]))), None)
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

    def accepts(self, program: str, option: str) -> bool:
        """Whether *program*, such as ``mount``, has *option*: ``--mkdir``, ``-m``; it must be one of util-linux's."""
        return self.version is None or self.version >= OPTIONS_SINCE.get((program, option), (0, 0))

    @property
    def busybox(self) -> bool:
        """Whether they are BusyBox's: :mod:`mntscope.parse.busybox`."""
        return self.name.partition(" ")[0] == "BusyBox"

    def doubts(self, *, differs: bool) -> tuple[str, ...]:
        """What is not known where these are not; *differs*: versions of util-linux do something else here."""
        if self.busybox:
            found = _BUSYBOX.fullmatch(self.name)
            if not (found and found[1]) or BUSYBOX_TRIED[0] <= (int(found[2]), int(found[3])) <= BUSYBOX_TRIED[1]:
                return ()
            tried = " to ".join(f"{major}.{minor}" for major, minor in BUSYBOX_TRIED)
            return (f"what {self.name} makes of it: predicted is what {tried} do",)
        if not differs:
            return ()
        if self.name:
            return (f"what {self.name} makes of it: predicted is what util-linux does since 2.39",)
        return (
            "which mount(8) carries it out: predicted is util-linux 2.39 or later, and earlier ones do otherwise here",
        )


NEWEST = MountProgram("", None)
BEFORE_THE_NEW_CALLS = MountProgram("util-linux 2.38", (2, 38))
