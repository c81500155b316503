"""The words among the options of a mount in an OCI configuration (config.md of the runtime specification, "Mounts")."""

from __future__ import annotations

from collections.abc import Iterable

from mntscope.base.records import NamedTuple
from mntscope.parse.manifests.containers import PROPAGATIONS
from mntscope.propagation.operations import FLAGS, PropagationType

SETS = frozenset(
    (*FLAGS, "ro", "strictatime", "sync", "dirsync", "mand", "iversion", "lazytime", "silent", "remount"),
)
"""Words that set a flag of mount(2)."""

CLEARS = {
    "rw": "ro",
    "suid": "nosuid",
    "dev": "nodev",
    "exec": "noexec",
    "atime": "noatime",
    "diratime": "nodiratime",
    "norelatime": "relatime",
    "nostrictatime": "strictatime",
    "symfollow": "nosymfollow",
    "async": "sync",
    "nomand": "mand",
    "noiversion": "iversion",
    "nolazytime": "lazytime",
    "loud": "silent",
}
"""Words that clear the flag another word sets."""

RECURSIVE = frozenset(f"r{word}" for word in (*FLAGS, "ro", "strictatime", *CLEARS) if word not in ("rw", "loud")) | {
    "rrw"
}
"""Words for a whole tree: mount_setattr(2) with AT_RECURSIVE."""


class Words(NamedTuple):
    """The options of one mount, sorted by what is done with them."""

    bind: bool
    recursive: bool
    """``rbind``."""
    flags: frozenset[str]
    """What is set in the end, one after the other."""
    cleared: frozenset[str]
    """What is cleared in the end: runc from 1.2 on tells it from what was never named."""
    asked: frozenset[str]
    """What is set by any word, whatever came after it: crun never clears."""
    propagations: tuple[str, ...]
    """As mount(8) has them, in their order."""
    tree_set: tuple[str, ...]
    tree_cleared: tuple[str, ...]
    """What mount_setattr(2) sets and clears in the whole tree."""
    idmap: str
    """``idmap``, ``ridmap``, or nothing."""
    data: tuple[str, ...]
    """What is left for the filesystem."""

    @classmethod
    def of(cls, options: Iterable[str]) -> Words:
        """The words of *options*, in their order."""
        flags: set[str] = set()
        cleared: set[str] = set()
        asked: set[str] = set()
        tree: dict[str, bool] = {}
        propagations, data, idmap, binds = [], [], "", []
        for word in options:
            if word in ("bind", "rbind"):
                binds.append(word)
            elif word in SETS:
                flags.add(word)
                cleared.discard(word)
                asked.add(word)
            elif word in CLEARS:
                flags.discard(CLEARS[word])
                cleared.add(CLEARS[word])
            elif word in PROPAGATIONS:
                propagations.append(PROPAGATIONS[word])
            elif word in RECURSIVE:
                plain = word[1:]
                tree[CLEARS.get(plain, plain)] = plain not in CLEARS
            elif word.partition("=")[0] in ("idmap", "ridmap"):
                idmap = word.partition("=")[0]
            else:
                data.append(word)
        return cls(
            bind=bool(binds),
            recursive="rbind" in binds,
            flags=frozenset(flags),
            cleared=frozenset(cleared),
            asked=frozenset(asked),
            propagations=tuple(propagations),
            tree_set=tuple(flag for flag, set_ in tree.items() if set_),
            tree_cleared=tuple(flag for flag, set_ in tree.items() if not set_),
            idmap=idmap,
            data=tuple(data),
        )


def typed(word: str) -> tuple[PropagationType, bool]:
    """The type that a word of mount(8) for a propagation stands for, and whether it is for the whole tree."""
    types: dict[str, PropagationType] = {
        "shared": "shared",
        "slave": "slave",
        "private": "private",
        "unbindable": "unbindable",
    }
    return (types[word], False) if word in types else (types[word[1:]], True)


def new_options(flags: Iterable[str]) -> tuple[str, ...]:
    """Field 6 of a new mount that mount(2) makes with these flags: relatime, unless they say otherwise."""
    given = {*flags}
    shown = given if given & {"noatime", "strictatime"} else given | {"relatime"}
    if "noatime" in given and "strictatime" not in given:
        shown = shown - {"relatime"}
    if "strictatime" in given:
        shown = shown - {"noatime", "relatime"}
    return ("ro" if "ro" in given else "rw", *(flag for flag in FLAGS if flag in shown))


def bind_flags(flags: Iterable[str]) -> tuple[str, ...]:
    """Of *flags*, those that a remount of a bind sets, beside ``ro``."""
    given = {*flags}
    return tuple(flag for flag in (*FLAGS, "strictatime") if flag in given)
