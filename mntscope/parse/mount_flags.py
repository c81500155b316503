"""The words of mount(8)'s -o that set flags of mount(2), and those that take them back."""

from __future__ import annotations

from collections.abc import Iterable

TAKES_BACK = {
    "rw": "ro",
    "suid": "nosuid",
    "dev": "nodev",
    "exec": "noexec",
    "async": "sync",
    "nomand": "mand",
    "atime": "noatime",
    "diratime": "nodiratime",
    "norelatime": "relatime",
    "nostrictatime": "strictatime",
    "nolazytime": "lazytime",
    "noiversion": "iversion",
    "loud": "silent",
}

OF_A_MOUNT = ("nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime", "strictatime", "nosymfollow")
"""Those of one mount, beside ``ro``; the others belong to the superblock, which a bind leaves alone."""

_ATIMES = frozenset(("noatime", "relatime", "strictatime"))


def flags_after(words: Iterable[str], *, last_atime: bool = False) -> frozenset[str]:
    """The flags that are set after all *words*, each of which sets one or takes one back.

    With *last_atime*, of those of atime only the last counts.
    """
    flags: set[str] = set()
    for word in words:
        if last_atime and word in _ATIMES:
            flags -= _ATIMES
        if word in TAKES_BACK:
            flags.discard(TAKES_BACK[word])
        else:
            flags.add(word)
    return frozenset(flags)


def of_a_mount(flags: Iterable[str]) -> tuple[str, ...]:
    """Those of *flags* that belong to a mount, but for ``ro``; in their order."""
    given = frozenset(flags)
    return tuple(flag for flag in OF_A_MOUNT if flag in given)


def printed(flags: frozenset[str]) -> tuple[str, ...]:
    """The options of a new mount as mountinfo prints them (path_mount() and show_mnt_opts() in Linux)."""
    if "strictatime" in flags:
        flags -= {"noatime", "relatime"}
    elif "noatime" in flags:
        flags -= {"relatime"}
    else:
        flags |= {"relatime"}
    order = ("nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime", "nosymfollow")
    return ("ro" if "ro" in flags else "rw", *(name for name in order if name in flags))
