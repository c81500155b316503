"""Where kernels differ: what changed, in which function, since when. The one table of it.

The model is written as the newest kernel does it, and asks :meth:`Kernel.has` wherever an older one did otherwise.
Changes that were fixes came to stable kernels as well, with a point release: Linux 6.1.192 has what 6.1.10 had not.
``uname -r`` of a distribution does not always tell the point release, ``uname -v`` may (Debian's does).

Each was seen on kernels that have it and on kernels that have it not (``make kernels``), unless it says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mntscope.base.records import dataclass

Release = tuple[int, int, int]
"""Major, minor and point: 6.1.192."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that kernels do since a release."""

    name: str
    """What they do, in few words."""
    function: str
    """The kernel's, which does it."""
    source: str
    """The commit that brought it."""
    since: Release
    until: Release | None = None
    """The release in which it was taken back."""
    stable: tuple[Release, ...] = ()
    """The point releases of older kernels that it came to as well, the oldest first."""


MOUNT_SETATTR = Change(
    "mount_setattr(2) changes flags and type of a tree",
    "do_mount_setattr()",
    "2a1867219c7b",
    (5, 12, 0),
)
SET_GROUP = Change(
    "MOVE_MOUNT_SET_GROUP puts a mount in a peer group",
    "do_set_group()",
    "9ffb14ef61ba",
    (5, 15, 0),
    # 5.10.223 has it not; which one brought it is not known.
    stable=((5, 10, 262),),
)
BENEATH = Change(
    "MOVE_MOUNT_BENEATH mounts beneath what is mounted",
    "can_move_mount_beneath()",
    "6ac392815628",
    (6, 5, 0),
)
DETACHED_PASSES_ON = Change(
    "a detached mount keeps no events from its slaves",
    "propagation_next()",
    "d1ddc6f1d9f0",
    (6, 15, 0),
)
BESIDE_PEERS = Change(
    "what joins a group of slaves receives once, as its peers do",
    "do_set_group()",
    "d8cc0362f918",
    (6, 16, 0),
    # Linux 5.10.262 was given SET_GROUP without it.
    stable=((5, 15, 186), (6, 1, 142), (6, 6, 94), (6, 12, 34), (6, 15, 3)),
)
COVERING_STAYS_UNLOCKED = Change(
    "what a tree is tucked beneath is not locked with it",
    "attach_recursive_mnt()",
    "ce7df1968653",
    (6, 16, 0),
    stable=((5, 4, 296), (5, 10, 240), (5, 15, 187), (6, 1, 143), (6, 6, 96), (6, 12, 36), (6, 15, 5)),
)
TUCKED_BENEATH_STACK = Change(
    "a stack is tucked beneath what is mounted as a whole",
    "attach_recursive_mnt()",
    "ffdc52fbbd58",
    (6, 17, 0),
)
UMOUNT_REWRITTEN = Change(
    "an umount takes along stacks and tucked mounts, too",
    "propagate_umount()",
    "f0d0ba19985d",
    (6, 17, 0),
)
UNBINDABLE_DROPPED = Change(
    "unbindable mounts are private in a new namespace",
    "clone_mnt()",
    "406fea799925",
    (6, 17, 0),
    until=(7, 2, 0),
)
LOCK_TAKEN_OVER = Change(
    "what is tucked beneath a locked mount takes its lock",
    "attach_recursive_mnt()",
    "c62a4766937e",
    (7, 1, 0),
)
BENEATH_ROOT = Change(
    "MOVE_MOUNT_BENEATH mounts beneath the root, too",
    "can_move_mount_beneath()",
    "ccfac16e0be5",
    (7, 1, 0),
)

CHANGES = (
    MOUNT_SETATTR,
    SET_GROUP,
    BENEATH,
    DETACHED_PASSES_ON,
    BESIDE_PEERS,
    COVERING_STAYS_UNLOCKED,
    TUCKED_BENEATH_STACK,
    UMOUNT_REWRITTEN,
    UNBINDABLE_DROPPED,
    LOCK_TAKEN_OVER,
    BENEATH_ROOT,
)
"""All of them, the oldest first."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that is made where the kernel has it: it is tried, as a sandbox may refuse what a kernel has."""

    name: str
    function: str
    since: Release
    without: str
    """What is done instead, or not known."""


ASKED = (
    Asked(
        "statx(2) and statmount(2) tell the unique ID of a mount",
        "cp_statx()",
        (6, 8, 0),
        "a mount is known by an ID that may be given anew",
    ),
    Asked(
        "NS_MNT_GET_NEXT lists every mount namespace",
        "ns_ioctl()",
        (6, 12, 0),
        "those without a process are found by their files alone",
    ),
    Asked(
        "statmount(2) tells all that a line of mountinfo holds",
        "do_statmount()",
        (6, 15, 0),
        "mountinfo is read, which takes long where slaves are many",
    ),
)

TESTED: tuple[Release, Release] = (5, 10, 0), (7, 3, 99)
"""The oldest and the newest release that was compared with the model."""

_RELEASE = re.compile(r"(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?")
_DEBIAN = re.compile(r"\bDebian (\d{1,4})\.(\d{1,4})\.(\d{1,4})-")
_VENDORS = {
    "Red Hat": re.compile(r"\.el\d"),
    "SUSE": re.compile(r"-default\b|SUSE"),
    "Ubuntu": re.compile(r"\bUbuntu\b"),
    "Android": re.compile(r"-android\d"),
}
"""Who puts changes of later kernels into theirs without changing its number, and how that shows."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel, as far as its names tell which."""

    release: str | None
    """``uname -r``, such as ``6.1.0-57-cloud-amd64``."""
    number: Release | None
    """``None``: not known, taken for the newest."""
    exact: bool
    """Whether the point release is known."""
    vendor: str | None = None
    """Who has changed it by more than a stable kernel is changed."""

    @classmethod
    def of(cls, release: str | None, version: str | None = None) -> Kernel:
        """The kernel of which ``uname -r`` is *release* and ``uname -v`` is *version*, where that is known."""
        found = _RELEASE.match(release or "")
        if found is None:
            return cls(release, None, exact=False)
        major, minor, point = int(found[1]), int(found[2]), int(found[3] or 0)
        vendor = next((name for name, mark in _VENDORS.items() if mark.search(f"{release} {version or ''}")), None)
        debian = _DEBIAN.search(version or "")
        if debian is not None and (int(debian[1]), int(debian[2])) == (major, minor):
            return cls(release, (major, minor, int(debian[3])), exact=True, vendor=vendor)
        # Debian and Ubuntu write 6.1.0 whatever the point release is; so does a first release, which has no other.
        exact = vendor is None and found[3] is not None and (point > 0 or "-" not in (release or ""))
        return cls(release, (major, minor, point), exact=exact, vendor=vendor)

    def has(self, change: Change) -> bool:
        """Whether this kernel does it; of a point release that is not known, the newest is taken."""
        if self.number is None:
            return change.until is None
        if self.number >= change.since:
            return change.until is None or self.number < change.until
        return self._backported(change) is True

    def doubts(self, change: Change) -> bool:
        """Whether that hangs on a point release that is not known."""
        return (
            self.number is not None
            and not self.exact
            and self.number < change.since
            and self._backported(change) is not None
        )

    def _backported(self, change: Change) -> bool | None:
        """Whether its point release is one that the change came to; ``None`` where it never came to its like."""
        assert self.number is not None
        point = next((stable[2] for stable in change.stable if stable[:2] == self.number[:2]), None)
        if point is None:
            return None
        return not self.exact or self.number[2] >= point

    def caveats(self) -> Iterator[str]:
        """Why a prediction for it may be wrong as a whole: nobody has compared the like of it with the model."""
        oldest, newest = TESTED
        if self.number is None:
            pass
        elif self.number > newest:
            yield f"Linux {self.release} is newer than any that was compared with the model ({newest[0]}.{newest[1]})"
        elif self.number < oldest:
            yield f"Linux {self.release} is older than any that was compared with the model ({oldest[0]}.{oldest[1]})"
        if self.vendor is not None:
            yield f"Linux {self.release} is {self.vendor}'s, which may have changes of later kernels"
